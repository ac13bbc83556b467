//! The monitor's menu: its state, the commands that it repeats, and the loop that waits for lines, reports and timers at once.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::io::{self, BufRead};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::ops::ControlFlow::{self, Break, Continue};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use spread::config::{self, Daemon, Table};
use spread::daemon::files;
use spread::net;
use spread::wire::{DaemonId, FlowControl, MonitorCommand, MonitorRequest, NetworkId, Report};

use super::live::terminal;
use super::report;
use super::screen::Screen;
use super::tables::folded;

/// How often a partition is sent again, because a daemon ends it after a minute.
const REPEAT_INTERVAL: Duration = Duration::from_secs(25);
/// How many copies of a command are sent, because nothing acknowledges it.
const COPIES: usize = 2;
/// Lines and reports that may wait.
const WAITING_LIMIT: usize = 64;
/// How long the monitor waits for the last reports after the end of the input.
const LAST_WORDS: Duration = Duration::from_millis(300);

const MENU: &str = "  0  choose daemons to report      5  define flow control
  1  define partition              6  send flow control
  2  send partition                7  show flow control
  3  show partition                8  terminate daemons
  4  end partition                 r  let daemons reload
  9  quit, also q";

/// What the user asked for.
#[derive(Debug)]
pub struct MonitorSettings<'a> {
    /// UDP port for reports.
    pub port: u16,
    /// The daemon on whose machine we are.
    pub name: Option<&'a str>,
    /// Seconds between reports.
    pub interval: u64,
    /// The configuration file.
    pub config: Option<&'a Path>,
}

/// Runs the menu until the user quits or the input ends.
pub fn run(settings: &MonitorSettings<'_>) -> Result<(), String> {
    let table = table(settings.config)?;
    let addresses = net::local_addresses().unwrap_or_default();
    let me = table.me(settings.name, &addresses).map_err(|error| error.to_string())?.id;
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, settings.port))
        .map_err(|error| format!("cannot receive reports at port {}: {error}", settings.port))?;
    let port = socket.local_addr().map_err(|error| error.to_string())?.port();
    let daemons = table.daemons.len();
    let inputs = listen(&socket)?;
    let mut monitor = Monitor {
        me,
        socket,
        port,
        inputs,
        screen: Screen::new(None),
        interval: Duration::from_secs(settings.interval),
        watched: BTreeSet::new(),
        next_status: None,
        partition: vec![0; daemons],
        sent: None,
        flow: FlowControl { personal: vec![None; daemons], ring: None },
        last: None,
        table,
    };
    monitor.print(format_args!("{daemons} daemons, reports at port {port}\n{MENU}"));
    while let Some(line) = monitor.ask("spmonitor> ") {
        if monitor.obey(&line).is_break() {
            return Ok(());
        }
    }
    monitor.linger();
    Ok(())
}

fn table(file: Option<&Path>) -> Result<Table, String> {
    let file = match file {
        Some(file) => Some(file.to_owned()),
        None => files::find_file(Path::new(files::DEFAULT_FILE)),
    };
    let settings = file.map_or_else(|| Ok(config::Settings::localhost()), |file| files::read(&file));
    settings.map(|settings| settings.table).map_err(|error| error.to_string())
}

/// What the loop waits for.
enum Input {
    Line(String),
    End,
    Datagram(Vec<u8>),
}

fn listen(socket: &UdpSocket) -> Result<Receiver<Input>, String> {
    let (sender, inputs) = sync_channel(WAITING_LIMIT);
    let (socket, lines) = (socket.try_clone().map_err(|error| error.to_string())?, sender.clone());
    let spawn = |name: &str, work: Box<dyn FnOnce() + Send>| {
        thread::Builder::new().name(name.to_owned()).spawn(work).map_err(|error| error.to_string())
    };
    spawn("reports", Box::new(move || pass_reports(&socket, &sender)))?;
    spawn("input", Box::new(move || pass_lines(&lines)))?;
    Ok(inputs)
}

fn pass_reports(socket: &UdpSocket, sender: &SyncSender<Input>) {
    let mut buffer = [0; 1024];
    while let Ok(length) = socket.recv(&mut buffer) {
        if sender.send(Input::Datagram(buffer[..length].to_vec())).is_err() {
            return;
        }
    }
}

fn pass_lines(sender: &SyncSender<Input>) {
    for line in io::stdin().lock().lines().map_while(Result::ok) {
        if sender.send(Input::Line(line)).is_err() {
            return;
        }
    }
    // An error means that the loop has already ended.
    let _ = sender.send(Input::End);
}

struct Monitor {
    table: Table,
    me: DaemonId,
    socket: UdpSocket,
    port: u16,
    inputs: Receiver<Input>,
    screen: Screen,
    interval: Duration,
    /// Daemons that are asked for reports, by their place in the configuration.
    watched: BTreeSet<usize>,
    next_status: Option<Instant>,
    /// The component of each daemon, as defined by the user.
    partition: Vec<i16>,
    /// The partition that was sent and is repeated, and when the next time is.
    sent: Option<(Vec<i16>, Instant)>,
    flow: FlowControl,
    last: Option<Report>,
}

impl Monitor {
    /// The next line. Until it comes, prints reports and serves timers.
    fn ask(&mut self, prompt: &'static str) -> Option<String> {
        self.screen.ask(prompt);
        loop {
            self.do_what_is_due();
            match self.next_input() {
                Some(Input::Line(line)) => {
                    self.screen.answered();
                    return Some(line.trim().to_owned());
                }
                Some(Input::End) => {
                    self.screen.abandon();
                    return None;
                }
                Some(Input::Datagram(datagram)) => self.print_report(&datagram),
                None => {}
            }
        }
    }

    /// Prints the reports that are on their way when the input ends.
    fn linger(&mut self) {
        let end = Instant::now() + LAST_WORDS;
        while let Some(left) = end.checked_duration_since(Instant::now())
            && !self.watched.is_empty()
        {
            if let Ok(Input::Datagram(datagram)) = self.inputs.recv_timeout(left) {
                self.print_report(&datagram);
            }
        }
    }

    fn next_input(&self) -> Option<Input> {
        let due = self.next_status.into_iter().chain(self.sent.as_ref().map(|(_, at)| *at)).min();
        let Some(due) = due else { return self.inputs.recv().ok() };
        match self.inputs.recv_timeout(due.saturating_duration_since(Instant::now())) {
            Ok(input) => Some(input),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Input::End),
        }
    }

    fn do_what_is_due(&mut self) {
        let now = Instant::now();
        if self.next_status.is_some_and(|at| at <= now) {
            self.next_status = Some(now + self.interval);
            for place in self.watched.clone() {
                self.send(place, &MonitorRequest::Status, 1);
            }
        }
        if let Some((components, _)) = self.sent.take_if(|(_, at)| *at <= now) {
            self.send_all(&MonitorRequest::Partition(components.clone()));
            self.sent = Some((components, now + REPEAT_INTERVAL));
        }
    }

    fn obey(&mut self, line: &str) -> ControlFlow<()> {
        match line.chars().next() {
            Some('0') => self.choose_watched(),
            Some('1') => self.define_partition(),
            Some('2') => {
                self.send_all(&MonitorRequest::Partition(self.partition.clone()));
                self.sent = Some((self.partition.clone(), Instant::now() + REPEAT_INTERVAL));
                self.print(
                    "partition sent; it is sent again every 25 s until you end it; only daemons with DangerousMonitor obey",
                );
            }
            Some('3') => match &self.sent {
                Some((components, _)) => self.print(self.map(components)),
                None => self.print("no partition is in force"),
            },
            Some('4') => {
                self.sent = None;
                self.send_all(&MonitorRequest::Partition(vec![0; self.partition.len()]));
                self.print("partition ended");
            }
            Some('5') => self.define_flow(),
            Some('6') => {
                self.send_all(&MonitorRequest::FlowControl(self.flow.clone()));
                self.print("flow control sent; only daemons with DangerousMonitor obey");
            }
            Some('7') => self.print(self.windows()),
            Some('8') => self.terminate(),
            Some('r') => {
                self.send_all(&MonitorRequest::Reload);
                self.print(
                    "asked for a reload; daemons refuse that to a datagram: use spmonitor reload on their machines",
                );
            }
            Some('9' | 'q') => return Break(()),
            None => {}
            Some(other) => self.print(format_args!("unknown command: {}\n{MENU}", other.escape_default())),
        }
        Continue(())
    }

    fn choose_watched(&mut self) {
        self.watched = self.choose();
        self.next_status = (!self.watched.is_empty()).then(Instant::now);
        self.do_what_is_due();
    }

    /// Daemons by name, until an empty line.
    fn choose(&mut self) -> BTreeSet<usize> {
        let mut chosen = BTreeSet::new();
        while let Some(word) = self.ask("daemon, all or none; empty line ends> ").filter(|word| !word.is_empty()) {
            match word.as_str() {
                "all" => chosen.extend(0..self.table.daemons.len()),
                "none" => chosen.clear(),
                name => match self.table.daemons.iter().position(|daemon| daemon.name == name) {
                    Some(place) => _ = chosen.insert(place),
                    None => self.print(format_args!("there is no daemon {}", name.escape_default())),
                },
            }
        }
        chosen
    }

    fn define_partition(&mut self) {
        for place in 0..self.partition.len() {
            self.print(format_args!("component of {}", self.table.daemons[place].name));
            while let Some(word) = self.ask("number> ") {
                match word.parse() {
                    Ok(component) if component >= 0 => self.partition[place] = component,
                    _ => {
                        self.print("a component is a number from 0 to 32767");
                        continue;
                    }
                }
                break;
            }
        }
        self.print(self.map(&self.partition));
    }

    fn define_flow(&mut self) {
        self.print("window of the ring");
        self.flow.ring = self.ask_window();
        for place in 0..self.flow.personal.len() {
            self.print(format_args!("window of {}", self.table.daemons[place].name));
            self.flow.personal[place] = self.ask_window();
        }
        self.print(self.windows());
    }

    fn ask_window(&mut self) -> Option<u16> {
        loop {
            let word = self.ask("packets, empty line for no change> ").filter(|word| !word.is_empty())?;
            match word.parse() {
                Ok(window) if (1..=i16::MAX as u16).contains(&window) => return Some(window),
                _ => self.print("a window is a number from 1 to 32767"),
            }
        }
    }

    fn terminate(&mut self) {
        let chosen = self.choose();
        let mut components = vec![0; self.partition.len()];
        chosen.iter().for_each(|&place| components[place] = MonitorCommand::TERMINATE);
        let request = MonitorRequest::Partition(components);
        chosen.iter().for_each(|&place| self.send(place, &request, COPIES));
        self.print(format_args!(
            "asked {} daemons to end; daemons refuse that to a datagram: use spmonitor terminate on their machines",
            chosen.len()
        ));
    }

    fn send_all(&self, request: &MonitorRequest) {
        (0..self.table.daemons.len()).for_each(|place| self.send(place, request, COPIES));
    }

    fn send(&self, place: usize, request: &MonitorRequest, copies: usize) {
        let daemon = &self.table.daemons[place];
        let command = MonitorCommand {
            from: self.me,
            reply_port: self.port,
            configuration: MonitorCommand::ANY_CONFIGURATION,
            request: request.clone(),
        };
        let sent = address(&self.table, daemon).map_or_else(
            || Err(io::Error::other("it has no address")),
            |to| (0..copies).try_for_each(|_| self.socket.send_to(&command.encode(), to).map(|_| ())),
        );
        if let Err(error) = sent {
            self.print(format_args!("cannot send to {}: {error}", daemon.name));
        }
    }

    fn print(&self, text: impl Display) {
        self.screen.print(folded(&text.to_string(), terminal().map(|size| size.columns)));
    }

    fn print_report(&mut self, datagram: &[u8]) {
        let Ok(report) = Report::decode(datagram) else {
            self.print("a datagram came that is not a report");
            return;
        };
        let name = |id| self.table.daemons.iter().find(|daemon| daemon.id == DaemonId(id)).map(|daemon| &daemon.name);
        let Some(daemon) = name(report.me) else {
            let stranger = DaemonId(report.me);
            self.print(format_args!("an illegal report: {stranger} is not in the configuration"));
            return;
        };
        let leader = name(report.representative).map_or("nobody", String::as_str);
        self.print(report::describe(&report, daemon, leader, self.last.as_ref()));
        self.last = Some(report);
    }

    fn map(&self, components: &[i16]) -> String {
        let line = |(daemon, component): (&Daemon, &i16)| format!("  {:19}  component {component}", daemon.name);
        self.table.daemons.iter().zip(components).map(line).collect::<Vec<_>>().join("\n")
    }

    fn windows(&self) -> String {
        let window = |window: Option<u16>| window.map_or("no change".to_owned(), |window| window.to_string());
        let line =
            |(daemon, personal): (&Daemon, &Option<u16>)| format!("\n  {:19}  {}", daemon.name, window(*personal));
        let daemons: String = self.table.daemons.iter().zip(&self.flow.personal).map(line).collect();
        format!("  {:19}  {}{daemons}", "all together", window(self.flow.ring))
    }
}

/// The address at which a daemon takes monitors' commands.
fn address(table: &Table, daemon: &Daemon) -> Option<SocketAddr> {
    table.traffic_address(daemon, NetworkId(0))
}
