//! What the daemon shows by HTTP: metrics that a Prometheus library reads, and a page that a browser draws and keeps up to date.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_types, reason = "waiting has an end")]
#![expect(clippy::disallowed_methods, reason = "waiting asks again after a pause")]

#[path = "web/browser.rs"]
mod browser;
mod solo;

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use browser::Browser;
use socket2::{Domain, Socket, Type};
use spread::counters::{Counter, Value};
use spread::daemon::Status;
use spread::net::{Counters, LinkStatus};

use solo::{PATIENCE, Setup, Solo, eventually, free_port};

/// Two daemons on two loopback networks; the first one shows itself.
struct Pair {
    one: Solo,
    _other: Solo,
    status: u16,
    metrics: u16,
}

impl Pair {
    fn start(test: &str) -> Pair {
        let [setup, mut other] = ["one", "other"].map(|name| Setup::new(&format!("web-{test}-{name}"), ""));
        let [port, status, metrics] = [setup.port, free_port(), free_port()];
        let members = format!(
            "Spread_Segment unicast:{port} unicast:{port} {{
                solo 127.0.0.1 {{ D 127.0.0.1 D 127.1.0.1 C 127.0.0.1 }}
                other 127.0.0.2 {{ D 127.0.0.2 D 127.1.0.2 C 127.0.0.2 }}
            }}
            Network 1 {{ Name = office }}
            DaemonUser = root DaemonGroup = root RuntimeDir = /no/such/directory\n"
        );
        let shown = format!("StatusAddress = 127.0.0.1:{status} MetricsAddress = 127.0.0.1:{metrics}\n");
        fs::write(setup.directory.join("spread.conf"), format!("{members}{shown}")).unwrap();
        fs::write(other.directory.join("spread.conf"), members).unwrap();
        other.command = Command::new(env!("CARGO_BIN_EXE_spread"));
        other.command.arg("-c").arg(other.directory.join("spread.conf")).args(["-n", "other"]).stdin(Stdio::null());
        let one = setup.start();
        one.expect_log(&["clients can connect"]);
        let pair = Pair { one, _other: other.start(), status, metrics };
        pair.one.expect_log(&["a ring of 2 daemons is installed"]);
        let is_whole = |status: &str| status.contains(" daemons=2 ") && status.matches("state=healthy").count() == 2;
        eventually(|| is_whole(&pair.ask("status")).then_some(()));
        pair
    }

    /// What `spmonitor` of another machine gets.
    fn ask(&self, what: &str) -> String {
        get(self.status, &format!("/{what}")).1
    }

    fn drill(&self, switch: &str) {
        let port = self.one.port.to_string();
        let words = ["drill", "1", switch, "-s", &port];
        assert!(Command::new(env!("CARGO_BIN_EXE_spmonitor")).args(words).status().unwrap().success());
    }
}

/// The head and the body of an answer.
fn get(port: u16, path: &str) -> (String, String) {
    exchange(port, &format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n"))
}

fn exchange(port: u16, request: &str) -> (String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    (head.to_owned(), body.to_owned())
}

#[test]
fn what_is_asked_by_http_is_answered_and_nothing_else() {
    let pair = Pair::start("ask");
    let status = pair.ask("status");
    assert!(status.contains("member daemon=127.0.0.2 name=other ring=in"), "{status}");
    assert!(
        pair.ask("events").contains("event=member_joined text=other (127.0.0.2) is in the ring"),
        "{}",
        pair.ask("events")
    );
    let _client = pair.one.connect();
    assert!(pair.ask("sessions").contains("session session="), "{}", pair.ask("sessions"));
    let heads = [
        exchange(pair.status, "GET /nothing HTTP/1.1\r\n\r\n"),
        exchange(pair.status, "POST /status HTTP/1.1\r\n\r\n"),
        exchange(pair.status, "reload\r\n\r\n"),
        exchange(pair.metrics, "GET /status HTTP/1.1\r\n\r\n"),
    ];
    let codes = heads.map(|(head, _)| head.split(' ').nth(1).unwrap_or_default().to_owned());
    assert_eq!(codes, ["404", "405", "400", "404"]);
    let place = format!("127.0.0.1:{}", pair.status);
    let spmonitor = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_spmonitor")).args(words).args(["-s", &place]).output().unwrap();
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    };
    assert!(spmonitor(&["ring"]).contains("other"), "{}", spmonitor(&["ring"]));
    assert!(spmonitor(&["events", "--json"]).starts_with(r#"{"event":["#), "{}", spmonitor(&["events", "--json"]));
    assert!(spmonitor(&["reload"]).contains("can only be asked"), "{}", spmonitor(&["reload"]));
}

#[test]
fn who_says_nothing_is_not_waited_for_for_long() {
    let pair = Pair::start("silent");
    let _silent: Vec<TcpStream> = (0..2).map(|_| TcpStream::connect(("127.0.0.1", pair.status)).unwrap()).collect();
    assert!(get(pair.status, "/").1.contains("<svg"));
    let mut long = TcpStream::connect(("127.0.0.1", pair.status)).unwrap();
    // It is told that this is too much, or cut off.
    let _ = long.write_all(&[b'a'; 1 << 16]);
    assert!(get(pair.status, "/").1.contains("<svg"));
    pair.one.expect_well();
}

#[test]
fn many_that_say_nothing_keep_nobody_else_out() {
    let pair = Pair::start("crowd");
    // More than the system keeps for a server that does not accept.
    let crowd: Vec<TcpStream> = (0..300).map(|_| connect_from("127.0.0.3", pair.metrics)).collect();
    for _ in 0..3 {
        assert!(get(pair.metrics, "/metrics").1.contains("torc_ring_operational"));
    }
    drop(crowd);
    pair.one.expect_well();
}

/// A connection from another address of this machine, opened without waiting for the server.
fn connect_from(host: &str, port: u16) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let at = |host: &str, port: u16| SocketAddr::from((host.parse::<Ipv4Addr>().unwrap(), port));
    socket.bind(&at(host, 0).into()).unwrap();
    socket.set_nonblocking(true).unwrap();
    let _in_progress = socket.connect(&at("127.0.0.1", port).into());
    socket.set_nonblocking(false).unwrap();
    socket.into()
}

#[test]
fn a_port_in_use_is_an_error_at_the_start_and_a_warning_at_a_reload() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let line = format!("MetricsAddress = 127.0.0.1:{port}");
    Setup::new("web-taken", &line).expect_refusal(&format!("MetricsAddress: port {port} of 127.0.0.1 is in use"));
    let daemon = Setup::new("web-taken-later", "").start();
    daemon.expect_log(&["clients can connect"]);
    let file = daemon.directory.join("spread.conf");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{text}{line}\n")).unwrap();
    daemon.signal("-HUP");
    daemon.expect_log(&["WARN", &format!("port {port} of "), "is in use"]);
    drop(taken);
    daemon.signal("-HUP");
    eventually(|| TcpStream::connect(("127.0.0.1", port)).ok());
    assert!(get(port, "/metrics").1.contains("torc_ring_operational"));
    // The same port at every address, and at one again: the system allows only one of these at a time.
    for (place, elsewhere) in [(format!("0.0.0.0:{port}"), true), (format!("127.0.0.1:{port}"), false)] {
        fs::write(&file, format!("{text}MetricsAddress = {place}\n")).unwrap();
        daemon.signal("-HUP");
        let open = |host: &str| TcpStream::connect((host, port)).is_ok();
        eventually(|| (open("127.0.0.9") == elsewhere && open("127.0.0.1")).then_some(()));
    }
    fs::write(&file, text).unwrap();
    daemon.signal("-HUP");
    eventually(|| TcpStream::connect(("127.0.0.1", port)).is_err().then_some(()));
    daemon.expect_well();
}

#[test]
fn metrics_and_page_change_places_at_a_reload() {
    let ports = [free_port(), free_port()];
    let daemon = Setup::new("web-places", "").start();
    daemon.expect_log(&["clients can connect"]);
    let file = daemon.directory.join("spread.conf");
    let text = fs::read_to_string(&file).unwrap();
    for [metrics, status] in [ports, [ports[1], ports[0]], ports] {
        let places = format!("MetricsAddress = 127.0.0.1:{metrics}\nStatusAddress = 127.0.0.1:{status}\n");
        fs::write(&file, format!("{text}{places}")).unwrap();
        daemon.signal("-HUP");
        // While they move a connection may be cut.
        let shows = |port, path: &str| {
            let (mut stream, mut answer) = (TcpStream::connect(("127.0.0.1", port)).ok()?, String::new());
            stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n").as_bytes()).ok()?;
            stream.read_to_string(&mut answer).ok()?;
            answer.starts_with("HTTP/1.1 200 ").then_some(())
        };
        eventually(|| shows(metrics, "/metrics").and_then(|()| shows(status, "/status")));
    }
    assert!(!daemon.log().contains("web_closed"), "{}", daemon.log());
}

/// The section, key and network of every counter that one place shows.
type CounterKeys = BTreeSet<(String, String, Option<u64>)>;

/// What is counted is told to programs of all kinds: on the control socket, as JSON, by HTTP and to Prometheus.
#[test]
fn no_counter_is_unreachable() {
    let pair = Pair::start("tree");
    let links = vec![LinkStatus { up: true, drilled: false, counters: Counters::default() }; 2];
    let (mut all, mut metrics) = (CounterKeys::new(), BTreeSet::new());
    Status { links, ..Status::default() }.visit(&mut |network, Counter { section, key, value, .. }| {
        all.insert((section.to_owned(), key.to_owned(), network.map(|network| network.0.into())));
        let ending = match value {
            Value::Count(_) => "_total",
            Value::Level(_) => "",
            Value::Times(_) => "_seconds",
        };
        let label = network.map_or(String::new(), |network| format!("{{network=\"{}\"}}", network.0));
        let shown = if ending == "_seconds" { "_seconds_count" } else { ending };
        metrics.insert(format!("torc_{section}_{key}{shown}{label}"));
    });
    let (_, text) = get(pair.metrics, "/metrics");
    let told: BTreeSet<String> = text.lines().filter_map(|line| Some(line.split_once(' ')?.0.to_owned())).collect();
    assert_eq!(metrics.difference(&told).collect::<Vec<_>>(), [""; 0]);
    let records = |text: &str| -> CounterKeys {
        let counters = text.lines().filter(|line| line.starts_with("counter ") || line.starts_with("times "));
        let value = |line: &str, key: &str| {
            line.split(' ').find_map(|word| word.strip_prefix(key)).unwrap_or_default().to_owned()
        };
        let name = |line| (value(line, "section="), value(line, "key="), value(line, "network=").parse().ok());
        counters.map(name).collect()
    };
    assert_eq!(records(&pair.ask("counters")), all);
    let mut socket = UnixStream::connect(format!("/tmp/{}.control", pair.one.port)).unwrap();
    socket.write_all(b"counters\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert_eq!(records(&answer), all);
    let port = pair.one.port.to_string();
    let monitor = Command::new(env!("CARGO_BIN_EXE_spmonitor")).args(["counters", "--json", "-s", &port]).output();
    let json: serde_json::Value = serde_json::from_slice(&monitor.unwrap().stdout).unwrap();
    let name = |it: &serde_json::Value| {
        let text = |key: &str| it[key].as_str().unwrap().to_owned();
        (text("section"), text("key"), it["network"].as_u64())
    };
    let of = |kind: &str| json[kind].as_array().unwrap().iter().map(name).collect::<Vec<_>>();
    assert_eq!(of("counter").into_iter().chain(of("times")).collect::<CounterKeys>(), all);
}

/// Reads the metrics as Prometheus does, and prints some.
const SCRAPE: &str = r#"
import sys
from prometheus_client.parser import text_string_to_metric_families
families = {family.name: family for family in text_string_to_metric_families(sys.stdin.read())}
assert all(family.documentation and family.samples for family in families.values())
value = lambda name: [(sample.labels, sample.value) for sample in families[name].samples]
assert value("torc_ring_members") == [({}, 2.0)], value("torc_ring_members")
assert sorted(labels["network"] for labels, up in value("torc_network_up") if up == 1.0) == ["0", "1"]
assert [labels["daemon"] for labels, healthy in value("torc_path_healthy")] == ["127.0.0.2"] * 2
assert families["torc_ring_tokens"].type == "counter" and value("torc_ring_tokens")[0][1] > 0
for name in ["torc_ring_token_rotation_seconds", "torc_ring_delivery_seconds"]:
    assert families[name].type == "histogram", name
    buckets = [sample for sample in families[name].samples if sample.name == name + "_bucket"]
    counts = [sample.value for sample in buckets]
    [count] = [sample.value for sample in families[name].samples if sample.name == name + "_count"]
    assert buckets[-1].labels == {"le": "+Inf"} and counts == sorted(counts) and counts[-1] == count, buckets
assert families["torc_clients_memory_bytes"].type == "gauge"
print(len(families))
"#;

/// An interpreter that has the library of Prometheus: that of the system, or one in a directory of its own.
fn python_with_prometheus() -> Option<PathBuf> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("prometheus");
    let (system, own) = (PathBuf::from("python3"), place.join("bin/python"));
    let runs = |python: &Path, words: &[&str]| {
        let status = Command::new(python).args(words).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    let has_it = |python: &Path| runs(python, &["-c", "import prometheus_client"]);
    if has_it(&system) {
        return Some(system);
    }
    if !has_it(&own) {
        runs(&system, &["-m", "venv", place.to_str()?]);
        runs(&own, &["-m", "pip", "--quiet", "--disable-pip-version-check", "install", "prometheus-client"]);
    }
    has_it(&own).then_some(own)
}

#[test]
fn prometheus_reads_every_metric() {
    let pair = Pair::start("metrics");
    let (head, metrics) = get(pair.metrics, "/metrics");
    assert!(head.contains("Content-Type: text/plain; version=0.0.4"), "{head}");
    let Some(python) = python_with_prometheus() else {
        return eprintln!("skipped: needs python3 and its module prometheus_client, or a package index");
    };
    let mut python = Command::new(python);
    python.args(["-c", SCRAPE]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut python = python.spawn().unwrap();
    python.stdin.take().unwrap().write_all(metrics.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success());
    let families: usize = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    assert!(families > 70, "{families}");
}

#[test]
fn a_browser_draws_the_ring_and_sees_a_cut() {
    let pair = Pair::start("page");
    let Some(mut browser) = Browser::start(&pair.one.directory) else {
        return eprintln!("skipped: needs chromium");
    };
    browser.open(&format!("http://127.0.0.1:{}/", pair.status));
    let lines = "[...document.querySelectorAll('#picture line')].map((line) => line.dataset.network + line.dataset.sound).join()";
    browser.await_value(lines, "0true,1true", PATIENCE);
    assert_eq!(browser.value("document.getElementById('state').textContent"), "operational");
    assert_eq!(browser.value("document.querySelectorAll('#picture circle').length"), "2");
    assert!(
        browser.value("document.getElementById('events').textContent").contains("a ring of 2 daemons is installed")
    );
    let times = browser.value("document.getElementById('times').textContent");
    assert!(times.starts_with("delivery ") && times.contains("token "), "{times}");
    let back = "getComputedStyle(document.body).backgroundColor";
    let [light, dark] = ["light", "dark"].map(|scheme| {
        browser.prefer(scheme);
        browser.value(back)
    });
    assert_ne!(light, dark);
    browser.resize(360, 640);
    assert_eq!(browser.value("document.documentElement.scrollWidth <= 360"), "true", "it fits a phone");
    pair.drill("on");
    browser.await_value(lines, "0true,1false", PATIENCE);
    pair.drill("off");
    browser.await_value(lines, "0true,1true", PATIENCE);
    assert_eq!(browser.complaints(), [""; 0]);
}
