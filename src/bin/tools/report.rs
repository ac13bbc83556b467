//! A daemon's report as lines for a person, with the changes since the last report.

use spread::wire::Report;

/// Describes a report; `name` and `leader` are the names of the daemon and of its ring's representative.
pub fn describe(report: &Report, name: &str, leader: &str, before: Option<&Report>) -> String {
    let r = report;
    let seconds = r.seconds;
    let protocol = if r.accelerated == 1 { "accelerated ring" } else { "regular ring" };
    let lines = [
        format!("{name} {}.{}.{}, up for {seconds} s", r.major, r.minor, r.patch),
        format!("state: {}, groups {}", ring_state(r.ring_state), group_state(r.group_state)),
        format!("ring: {} daemons in {} segments, led by {leader}, {protocol}", r.daemons, r.segments),
        format!(
            "token: {} rotations, {} retransmitted; {} membership changes",
            r.tokens, r.tokens_retransmitted, r.configurations
        ),
        format!(
            "packets: {} sent, {} received, {} delivered; {} retransmitted ({} to one, {} in the segment, {} to all)",
            r.packets_sent,
            r.packets_received,
            r.packets_delivered,
            r.retransmitted,
            r.retransmitted_to_one,
            r.retransmitted_in_segment,
            r.retransmitted_to_all
        ),
        format!("numbers: {} here, {} everywhere, {} highest", r.aru, r.safe, r.highest),
        format!("clients: {} sessions, {} groups, {} messages delivered", r.sessions, r.groups, r.messages),
        format!("windows: {} ring, {} personal, {} accelerated", r.window, r.personal_window, r.accelerated_window),
        before.map_or(String::new(), |before| {
            let change = |now: u32, before: u32| i64::from(now) - i64::from(before);
            format!(
                "since the report before: {} messages, {} packets, {} s",
                change(r.messages, before.messages),
                change(r.aru, before.aru),
                change(r.seconds, before.seconds)
            )
        }),
    ];
    let lines: Vec<String> = lines.into_iter().filter(|line| !line.is_empty()).collect();
    lines.join("\n  ")
}

fn ring_state(number: u32) -> &'static str {
    match number {
        1 => "operational",
        2 => "in its segment",
        3 => "represented",
        4 => "gather",
        5 => "form",
        6 => "recovery",
        _ => "unknown",
    }
}

fn group_state(number: u32) -> &'static str {
    match number {
        1 => "operational",
        2 => "transitional",
        3 => "gather",
        4 => "gather and transitional",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_says_what_changed() {
        let before = Report { seconds: 10, messages: 5, aru: 9, ..Report::default() };
        let now =
            Report { seconds: 12, messages: 25, aru: 3, ring_state: 1, group_state: 3, patch: 2, ..before.clone() };
        let text = describe(&now, "beta", "alpha", Some(&before));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "beta 0.0.2, up for 12 s");
        assert_eq!(lines[1], "  state: operational, groups gather");
        assert_eq!(lines[8], "  since the report before: 20 messages, -6 packets, 2 s");
        assert_eq!(describe(&now, "beta", "alpha", None).lines().count(), 8);
    }
}
