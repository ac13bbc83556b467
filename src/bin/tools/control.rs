//! The client of a daemon's control socket, and the daemon's records for programs. New records and keys need no change here.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};
use spread::config::Web;

use crate::tools::plain::plain;

/// Sends a request to the daemon with this client port, control socket or status page. Returns the answer without the final newline.
pub fn ask(daemon: &str, request: &str) -> Result<String, String> {
    let answer = match page_of(daemon) {
        Some(page) => page::ask(&page, request)?,
        None => socket::ask(daemon, request)?,
    };
    // Newlines between records stay; all other control characters are escaped.
    let answer = answer.split('\n').map(plain).collect::<Vec<_>>().join("\n");
    match answer.strip_prefix("error ") {
        Some(error) => Err(error.trim_end().to_owned()),
        None if answer.is_empty() => Err(format!("{daemon}: the daemon gives no answer")),
        None => Ok(answer.trim_end().to_owned()),
    }
}

/// The host and port of the status page of a daemon on another machine; `None` for a daemon of this machine.
fn page_of(daemon: &str) -> Option<String> {
    let port = Web::STATUS_PORT;
    match daemon.parse::<IpAddr>() {
        Ok(ip) => return Some(SocketAddr::new(ip, port).to_string()),
        _ if daemon.contains('/') || daemon.parse::<u16>().is_ok() || Path::new(daemon).exists() => return None,
        _ => {}
    }
    match daemon.rsplit_once(':') {
        Some(("", _)) => None,
        Some(_) => Some(daemon.to_owned()),
        None => Some(format!("{daemon}:{port}")),
    }
}

/// How long the daemon may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of an answer.
const ANSWER_LIMIT: u64 = 1 << 20;

/// Daemons on other machines, through the status page at their `StatusAddress`. It answers questions, but takes no commands.
mod page {
    use std::io::{self, Read, Write};
    use std::net::{TcpStream, ToSocketAddrs};

    use super::{ANSWER_LIMIT, ANSWER_TIMEOUT};

    pub fn ask(daemon: &str, request: &str) -> Result<String, String> {
        let failed = |error: io::Error| format!("{daemon}: {error}");
        if request.contains(' ') || ["rekey", "reload", "terminate"].contains(&request) {
            return Err(format!("{daemon}: a daemon on another machine can only be asked; do this on its machine"));
        }
        let addresses = daemon.to_socket_addrs().map_err(failed)?;
        let mut tried = Err(format!("{daemon}: there is no such host"));
        for address in addresses {
            tried = TcpStream::connect_timeout(&address, ANSWER_TIMEOUT).map_err(failed);
            if tried.is_ok() {
                break;
            }
        }
        let mut stream = tried?;
        let converse = || {
            stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
            stream.write_all(
                format!("GET /{request} HTTP/1.1\r\nHost: {daemon}\r\nConnection: close\r\n\r\n").as_bytes(),
            )?;
            let mut answer = String::new();
            stream.take(ANSWER_LIMIT).read_to_string(&mut answer)?;
            Ok(answer)
        };
        let answer = converse().map_err(failed)?;
        match answer.split_once("\r\n\r\n") {
            Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => Ok(body.to_owned()),
            _ => Err(format!("{daemon}: there is no status page: set StatusAddress in the daemon's spread.conf")),
        }
    }
}

/// This system has no unix sockets.
#[cfg(not(unix))]
mod socket {
    pub fn ask(_daemon: &str, _request: &str) -> Result<String, String> {
        Err("this system has no control socket for daemons: use -s with a daemon's StatusAddress, or the menu without a command"
            .to_owned())
    }
}

#[cfg(unix)]
mod socket {
    use std::io::{ErrorKind, Read, Write};
    use std::os::unix::net::UnixStream;
    use std::path::PathBuf;

    use spread::client::trust::{self, CONTROL};

    use super::{ANSWER_LIMIT, ANSWER_TIMEOUT};

    pub fn ask(daemon: &str, request: &str) -> Result<String, String> {
        let places =
            daemon.parse().map_or_else(|_| vec![PathBuf::from(daemon)], |port| trust::places(port, CONTROL).to_vec());
        let (file, stream) = connect(places)?;
        let converse = || {
            let mut stream = stream;
            stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
            stream.write_all(format!("{request}\n").as_bytes())?;
            let mut answer = String::new();
            stream.take(ANSWER_LIMIT).read_to_string(&mut answer)?;
            Ok(answer)
        };
        converse().map_err(|error: std::io::Error| format!("{}: {error}", file.display()))
    }

    /// A connection to the first place where a program listens. It is an error if that program cannot be the daemon.
    fn connect(places: Vec<PathBuf>) -> Result<(PathBuf, UnixStream), String> {
        let last = places.last().cloned().unwrap_or_default();
        for place in places {
            match UnixStream::connect(&place) {
                Ok(stream) => {
                    trust::check(&stream).map_err(|error| format!("{}: {error}", place.display()))?;
                    return Ok((place, stream));
                }
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ConnectionRefused) => {}
                Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                    let place = place.display();
                    return Err(format!("{place}: only the daemon's own user and root may ask it here ({error})"));
                }
                Err(error) => return Err(format!("{}: {error}", place.display())),
            }
        }
        Err(format!("no daemon listens at {}", last.display()))
    }
}

/// One record: its kind, and its keys with their values.
pub struct Record<'a> {
    /// The kind of thing that it describes.
    pub kind: &'a str,
    /// Its keys and their values.
    pub fields: Vec<(&'a str, &'a str)>,
}

impl Record<'_> {
    /// The value of a key; a dash if it has none.
    pub fn value(&self, key: &str) -> &str {
        self.fields.iter().find(|(other, _)| *other == key).map_or("-", |(_, value)| *value)
    }
}

/// The records of the wanted kinds as a JSON object. It has a list for each kind that may occur several times, and an object for each
/// other kind. Whole numbers are numbers, and unknown values are null.
pub fn json(answer: &str, wanted: impl Fn(&str) -> bool) -> String {
    let mut kinds = Map::new();
    for record in answer.lines().filter_map(record).filter(|record| wanted(record.kind)) {
        let fields = record.fields.iter().map(|(key, value)| ((*key).to_owned(), typed(key, value)));
        let object = Value::Object(fields.collect());
        match kinds.get_mut(record.kind) {
            Some(Value::Array(list)) => list.push(object),
            _ if is_tabular(&record) => _ = kinds.insert(record.kind.to_owned(), Value::Array(vec![object])),
            _ => _ = kinds.insert(record.kind.to_owned(), object),
        }
    }
    Value::Object(kinds).to_string()
}

/// Keys of texts, some of which look like numbers. A program gets a text each time.
const TEXTS: [&str; 10] = ["daemon", "from", "group", "in", "key", "keys", "name", "networks", "text", "waits_for"];

fn typed(key: &str, value: &str) -> Value {
    match value.parse::<u64>() {
        Ok(number) if !TEXTS.contains(&key) => number.into(),
        _ if value == "-" && key != "group" => Value::Null,
        _ => value.into(),
    }
}

/// The records of an answer.
pub fn records(answer: &str) -> impl Iterator<Item = Record<'_>> {
    answer.lines().filter_map(record)
}

fn record(line: &str) -> Option<Record<'_>> {
    let (front, text) = line.split_once(" text=").map_or((line, None), |(front, text)| (front, Some(text)));
    let mut words = front.split_ascii_whitespace();
    let kind = words.next()?;
    let fields = words.map(|word| word.split_once('=').unwrap_or((word, "")));
    // A text comes last and goes to the end of the line.
    Some(Record { kind, fields: fields.chain(text.map(|text| ("text", text))).collect() })
}

/// Whether there may be several of a kind: then the first key says which one it is.
pub fn is_tabular(record: &Record<'_>) -> bool {
    matches!(
        record.fields.first(),
        Some(("network" | "daemon" | "from" | "section" | "number" | "group" | "session", _))
    )
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// What a daemon answers, shortened.
    pub(crate) const ANSWER: &str = "daemon name=alpha clients=2
network network=0 link=up sent=1
network network=1 link=down sent=100
path daemon=10.0.0.2 network=0 state=healthy new_key=7";

    #[test]
    fn records_are_json_for_programs() {
        let expected = r#"{"daemon":{"clients":2,"name":"alpha"},"network":[{"link":"up","network":0,"sent":1},{"link":"down","network":1,"sent":100}]}"#;
        assert_eq!(json(ANSWER, |kind| kind != "path"), expected);
        assert_eq!(json("path daemon=10.0.0.2 loss=-", |_| true), r#"{"path":[{"daemon":"10.0.0.2","loss":null}]}"#);
        assert_eq!(json("", |_| true), "{}");
    }

    #[test]
    fn what_only_looks_like_a_number_is_a_text() {
        let answer = "seal key=57110030 keys=57110030\nmatrix daemon=10.0.0.2 networks=0\ngroup group=007 members=1\ngroup group=- members=2";
        let expected = r#"{"group":[{"group":"007","members":1},{"group":"-","members":2}],"matrix":[{"daemon":"10.0.0.2","networks":"0"}],"seal":{"key":"57110030","keys":"57110030"}}"#;
        assert_eq!(json(answer, |_| true), expected);
    }

    #[test]
    fn a_host_may_have_a_port() {
        for (daemon, page) in [
            ("10.0.0.2", Some("10.0.0.2:4880")),
            ("10.0.0.2:99", Some("10.0.0.2:99")),
            ("::1", Some("[::1]:4880")),
            ("[::1]:99", Some("[::1]:99")),
            ("beta.example", Some("beta.example:4880")),
            ("4803", None),
            ("/run/spread/4803.control", None),
            ("./4803:control", None),
            ("Cargo.toml", None),
        ] {
            assert_eq!(page_of(daemon).as_deref(), page, "{daemon}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_daemon_that_is_not_there_is_named_by_its_socket() {
        assert_eq!(ask("/no/such/socket", "status"), Err("no daemon listens at /no/such/socket".to_owned()));
    }
}
