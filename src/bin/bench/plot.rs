//! Line charts as SVG without other files. A chart has linear or logarithmic axes with round numbers, a legend, and a title for every
//! point. Colours are classes, so that the page's style sets them.

use std::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 340.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 16.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 46.0;
/// Lines with different colours.
pub const COLOURS: usize = 8;
/// A line with more points than this has no marks.
const MARKED: usize = 40;

/// One axis.
#[derive(Clone, Debug)]
pub struct Axis {
    pub label: &'static str,
    pub logarithmic: bool,
    /// Values that must be on it.
    pub from: Option<f64>,
    pub to: Option<f64>,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Series {
    pub name: String,
    pub points: Vec<(f64, f64)>,
    /// The lowest and highest of several measurements for each point; empty if there is only one measurement.
    pub ranges: Vec<(f64, f64)>,
}

/// A chart.
#[derive(Clone, Debug)]
pub struct Chart {
    pub x: Axis,
    pub y: Axis,
    pub series: Vec<Series>,
    /// A marked range of the x axis, and its label.
    pub band: Option<(f64, f64, &'static str)>,
}

/// Turns values into places in the picture.
struct Scale {
    logarithmic: bool,
    low: f64,
    high: f64,
    at: f64,
    length: f64,
}

impl Scale {
    fn new(axis: &Axis, values: impl Iterator<Item = f64>, at: f64, length: f64) -> Scale {
        let usable = |value: &f64| value.is_finite() && (!axis.logarithmic || *value > 0.0);
        let values: Vec<f64> = values.chain(axis.from).chain(axis.to).filter(usable).collect();
        let low = values.iter().copied().fold(f64::INFINITY, f64::min);
        let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (low, high) = match (values.is_empty(), axis.logarithmic) {
            (true, _) => (1.0, 10.0),
            (false, true) => (axis.from.unwrap_or(low / 1.15), axis.to.unwrap_or(high * 1.15).max(low * 2.0)),
            (false, false) => (axis.from.unwrap_or(0.0), axis.to.unwrap_or(high * 1.08).max(low + 1e-9)),
        };
        Scale { logarithmic: axis.logarithmic, low, high, at, length }
    }

    fn place(&self, value: f64) -> f64 {
        let value = value.clamp(self.low, self.high);
        let part = match self.logarithmic {
            true => (value / self.low).ln() / (self.high / self.low).ln(),
            false => (value - self.low) / (self.high - self.low),
        };
        self.at + part * self.length
    }

    /// Round values for grid lines.
    fn ticks(&self) -> Vec<f64> {
        if self.logarithmic {
            let decades = (self.high / self.low).log10();
            let steps: &[f64] = if decades > 4.0 { &[1.0] } else { &[1.0, 2.0, 5.0] };
            let first = self.low.log10().floor() as i32;
            let all = (first..=self.high.log10().ceil() as i32)
                .flat_map(|ten| steps.iter().map(move |step| step * 10f64.powi(ten)));
            return all.filter(|tick| (self.low..=self.high).contains(tick)).collect();
        }
        let rough = (self.high - self.low) / 5.0;
        let ten = 10f64.powf(rough.log10().floor());
        let step =
            [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * ten).find(|step| *step >= rough).unwrap_or(rough);
        let first = (self.low / step).ceil() as i64;
        (first..).map(|n| n as f64 * step).take_while(|tick| *tick <= self.high * (1.0 + 1e-9)).collect()
    }
}

impl Chart {
    /// The chart as an SVG element.
    pub fn svg(&self, name: &str) -> String {
        let (inner_width, inner_height) = (WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM);
        let points = || self.series.iter().flat_map(|series| series.points.iter());
        let ranges = self.series.iter().flat_map(|series| series.ranges.iter()).flat_map(|&(low, high)| [low, high]);
        let x = Scale::new(&self.x, points().map(|point| point.0), LEFT, inner_width);
        let y = Scale::new(&self.y, points().map(|point| point.1).chain(ranges), HEIGHT - BOTTOM, -inner_height);
        let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n", escape(name));
        if let Some((from, to, what)) = self.band {
            let (left, right) = (x.place(from), x.place(to));
            let _ = writeln!(
                svg,
                "<rect class=\"band\" x=\"{left:.1}\" y=\"{TOP}\" width=\"{:.1}\" height=\"{inner_height}\"><title>{}</title></rect>\
                 <text class=\"note\" x=\"{:.1}\" y=\"{}\">{}</text>",
                right - left,
                escape(what),
                left + 6.0,
                TOP + 16.0,
                escape(what)
            );
        }
        self.draw_axes(&mut svg, &x, &y);
        for (number, series) in self.series.iter().enumerate() {
            draw_series(&mut svg, number, series, (&x, &y));
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn draw_axes(&self, svg: &mut String, x: &Scale, y: &Scale) {
        let (bottom, right) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        for tick in x.ticks() {
            let at = x.place(tick);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{at:.1}\" y1=\"{TOP}\" x2=\"{at:.1}\" y2=\"{bottom}\"/>\
                 <text class=\"tick\" x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                bottom + 16.0,
                amount(tick)
            );
        }
        for tick in y.ticks() {
            let at = y.place(tick);
            let _ = writeln!(
                svg,
                "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{at:.1}\" x2=\"{right}\" y2=\"{at:.1}\"/>\
                 <text class=\"tick\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                at + 4.0,
                amount(tick)
            );
        }
        let (middle_x, middle_y) = ((LEFT + right) / 2.0, (TOP + bottom) / 2.0);
        let _ = writeln!(
            svg,
            "<text class=\"label\" x=\"{middle_x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>\
             <text class=\"label\" transform=\"translate(14 {middle_y:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            HEIGHT - 8.0,
            escape(self.x.label),
            escape(self.y.label)
        );
    }

    /// Names and colours of the lines.
    pub fn legend(&self) -> String {
        let item = |(number, series): (usize, &Series)| {
            format!("<li><span class=\"key c{}\"></span>{}</li>", number % COLOURS, escape(&series.name))
        };
        format!("<ul class=\"legend\">{}</ul>\n", self.series.iter().enumerate().map(item).collect::<String>())
    }
}

fn draw_series(svg: &mut String, number: usize, series: &Series, (x, y): (&Scale, &Scale)) {
    let class = number % COLOURS;
    let place = |&(at, value): &(f64, f64)| format!("{:.1},{:.1}", x.place(at), y.place(value));
    let line: Vec<String> = series.points.iter().map(place).collect();
    let _ = writeln!(svg, "<polyline class=\"line c{class}\" points=\"{}\"/>", line.join(" "));
    for (&(at, _), &(low, high)) in series.points.iter().zip(&series.ranges) {
        let (at, low, high) = (x.place(at), y.place(low), y.place(high));
        let _ = writeln!(
            svg,
            "<line class=\"range c{class}\" x1=\"{at:.1}\" y1=\"{low:.1}\" x2=\"{at:.1}\" y2=\"{high:.1}\"/>"
        );
    }
    // Many marks would touch each other and hide the line.
    let marked = if series.points.len() <= MARKED { &series.points[..] } else { &[] };
    for &(at, value) in marked {
        let (name, right, up) = (escape(&series.name), x.place(at), y.place(value));
        let _ = writeln!(
            svg,
            "<circle class=\"dot c{class}\" cx=\"{right:.1}\" cy=\"{up:.1}\" r=\"3.5\"><title>{name}: {} at {}</title></circle>",
            amount(value),
            amount(at)
        );
    }
}

/// A number in a short form.
pub fn amount(value: f64) -> String {
    let size = value.abs();
    let (value, unit) = match size {
        _ if size >= 1e6 => (value / 1e6, "M"),
        _ if size >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text = match value.abs() {
        size if size >= 100.0 || (size - size.round()).abs() < 1e-9 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    };
    format!("{text}{unit}")
}

/// Text with the characters of markup escaped.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINEAR: Axis = Axis { label: "a < b", logarithmic: false, from: None, to: None };
    const LOGARITHMIC: Axis = Axis { logarithmic: true, ..LINEAR };

    #[test]
    fn ticks_are_round_and_within_the_axis() {
        let linear = Scale::new(&LINEAR, [0.0, 930.0].into_iter(), 0.0, 100.0);
        assert_eq!(linear.ticks(), [0.0, 500.0, 1000.0]);
        let wide = Scale::new(&LOGARITHMIC, [40.0, 1e6].into_iter(), 0.0, 100.0);
        assert_eq!(wide.ticks(), [100.0, 1e3, 1e4, 1e5, 1e6]);
        assert!(wide.place(40.0) < wide.place(100.0) && wide.place(1e6) <= 100.0);
    }

    #[test]
    fn a_chart_without_points_is_still_a_chart() {
        let empty = Series { name: "none".into(), points: vec![], ranges: vec![] };
        let nothing = Series { points: vec![(0.0, 0.0), (f64::NAN, 1.0)], ..empty.clone() };
        let chart = Chart { x: LOGARITHMIC, y: LOGARITHMIC, series: vec![empty, nothing], band: None };
        let svg = chart.svg("x");
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n") && svg.contains("a &lt; b"), "{svg}");
    }

    #[test]
    fn numbers_are_short() {
        for (value, text) in
            [(0.0, "0"), (0.25, "0.25"), (3.5, "3.5"), (9999.0, "9999"), (12_500.0, "12.5k"), (2e6, "2M")]
        {
            assert_eq!(amount(value), text);
        }
    }
}
