//! The daemon's state by HTTP: metrics for Prometheus at one address, a page that draws the ring at another one.
//!
//! Everything is read only. Each connection has a short time-out and a thread of its own, up to a limit for each source. The daemon is
//! asked for one answer at a time. So many clients delay each other, but slow ones of one source keep no other out, and none delays the ring.

mod metrics;
mod visitors;

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use spread::config;
use spread::daemon::Handle;
use tracing::{debug, info, warn};
use visitors::Visitors;

/// Bytes of a request.
const REQUEST_LIMIT: usize = 8 << 10;
/// Header fields of a request.
const HEADER_LIMIT: usize = 64;
/// How long a client may take to send its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a client may take to read its answer: a long list of groups on a slow link.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

const PAGE: &str = include_str!("web/page.html");

/// Requests to the daemon, which it answers as on its control socket.
const RECORDS: [&str; 6] = ["status", "ring", "counters", "events", "groups", "sessions"];

/// The servers of a daemon.
#[derive(Debug)]
pub struct Web {
    handle: Handle,
    metrics: Option<Server>,
    status: Option<Server>,
}

/// The content of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Site {
    Metrics,
    Status,
}

impl Web {
    /// Listens at the addresses of the settings. An error if a port cannot be opened.
    pub fn start(settings: &config::Web, handle: Handle) -> Result<Web, String> {
        let mut web = Web { handle, metrics: None, status: None };
        web.change(settings).map(|()| web)
    }

    /// Listens at the addresses of new settings. A server that cannot change stays as it was; the other one may have changed.
    pub fn change(&mut self, settings: &config::Web) -> Result<(), String> {
        let handle = &self.handle;
        // The metrics move first, perhaps to where the page is until now.
        if settings.status != settings.metrics {
            self.status.take_if(|server| settings.metrics == Some(server.address));
        }
        let metrics = renew(&mut self.metrics, settings.metrics, Site::Metrics, handle);
        let status = renew(&mut self.status, settings.status, Site::Status, handle);
        let failed: Vec<String> = [metrics, status].into_iter().filter_map(Result::err).collect();
        if failed.is_empty() { Ok(()) } else { Err(failed.join("; ")) }
    }
}

/// Moves a server to this address, or ends it if there is none.
fn renew(server: &mut Option<Server>, address: Option<SocketAddr>, site: Site, handle: &Handle) -> Result<(), String> {
    if server.as_ref().map(|server| server.address) == address {
        return Ok(());
    }
    let open = |address| Server::open(address, site, handle.clone());
    // The new one opens before the old one closes. With the same port the system does not allow both, so the old one closes first.
    let before = server.as_ref().map(|server| server.address);
    let is_elsewhere = before.map(|before| before.port()) != address.map(|address| address.port());
    let closed = if is_elsewhere { None } else { server.take().and(before) };
    match address.map(open).transpose() {
        Ok(opened) => {
            *server = opened;
            Ok(())
        }
        Err(error) => {
            // The old address was free a moment ago, so it can most likely be opened again.
            *server = server.take().or_else(|| open(closed?).ok());
            Err(error)
        }
    }
}

/// One address and the thread that serves it. Dropping it ends both.
#[derive(Debug)]
struct Server {
    address: SocketAddr,
    ending: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn open(address: SocketAddr, site: Site, handle: Handle) -> Result<Server, String> {
        let what = if site == Site::Metrics { "MetricsAddress" } else { "StatusAddress" };
        let failed = |error: io::Error| match error.kind() {
            ErrorKind::AddrInUse => format!("{what}: port {} of {} is in use", address.port(), address.ip()),
            _ => format!("{what}: {address}: {error}"),
        };
        let listener = TcpListener::bind(address).map_err(failed)?;
        let ending = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&ending);
        let (visitors, desk) = (Arc::new(Visitors::default()), Arc::new(Desk { site, handle: Mutex::new(handle) }));
        let serve = move || {
            loop {
                let accepted = listener.accept();
                if ended.load(Ordering::Acquire) {
                    return;
                }
                match accepted {
                    Ok((stream, from)) => admit(stream, from.ip(), &visitors, &desk),
                    // Perhaps no descriptor is left, so wait until one is closed.
                    Err(_) => thread::sleep(Duration::from_millis(100)),
                }
            }
        };
        let thread = thread::Builder::new().name("web".to_owned()).spawn(serve).map_err(|error| error.to_string())?;
        info!(name: "web_open", %address, "{what}: http://{address}/ is served");
        Ok(Server { address, ending, thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.ending.store(true, Ordering::Release);
        // The thread waits for a client, so connect to wake it.
        let mut here = self.address;
        if here.ip().is_unspecified() {
            here.set_ip(if here.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
        }
        match TcpStream::connect_timeout(&here, REQUEST_TIMEOUT) {
            Ok(_) => {
                if let Some(thread) = self.thread.take() {
                    let _ = thread.join();
                }
            }
            Err(error) => {
                warn!(name: "web_stuck", %error, "a web server could not be ended: it runs until the daemon ends")
            }
        }
    }
}

/// What a server gives out.
#[derive(Debug)]
struct Desk {
    site: Site,
    /// Locked while the daemon is asked, so that it is asked for one answer at a time.
    handle: Mutex<Handle>,
}

/// Serves a connection on a thread of its own, or closes it if there are too many.
fn admit(stream: TcpStream, from: IpAddr, visitors: &Arc<Visitors>, desk: &Arc<Desk>) {
    let Some(place) = visitors.enter(from) else {
        debug!(%from, "a web client is not served: there are too many");
        return;
    };
    let desk = Arc::clone(desk);
    let served = thread::Builder::new().name("web client".to_owned()).spawn(move || {
        if let Err(error) = serve(&stream, &desk) {
            debug!(%error, "a web client is not served");
        }
        drop(place);
    });
    if let Err(error) = served {
        debug!(%error, "a web client is not served");
    }
}

/// The answer to a request.
#[derive(Debug)]
struct Answer {
    status: &'static str,
    kind: &'static str,
    body: String,
}

impl Answer {
    fn text(status: &'static str, body: &str) -> Answer {
        Answer { status, kind: "text/plain; charset=utf-8", body: body.to_owned() }
    }
}

fn serve(stream: &TcpStream, desk: &Desk) -> io::Result<()> {
    let answer = match request(stream)? {
        Some((method, _)) if method != "GET" => Answer::text("405 Method Not Allowed", "only GET is answered\n"),
        Some((_, path)) => {
            let handle = desk.handle.lock().unwrap_or_else(PoisonError::into_inner);
            answer(desk.site, &path, &handle)
        }
        None => Answer::text("400 Bad Request", "this is not an HTTP request\n"),
    };
    let Answer { status, kind, body } = answer;
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\nCache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\nContent-Security-Policy: default-src 'none'; connect-src 'self'; \
         style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\r\n\r\n",
        body.len()
    );
    write(stream, &[head.as_bytes(), body.as_bytes()].concat())
}

/// Writes all of it, or fails if that takes too long.
fn write(mut stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    let end = Instant::now() + ANSWER_TIMEOUT;
    while !bytes.is_empty() {
        stream.set_write_timeout(Some(left_until(end)?))?;
        match stream.write(bytes)? {
            0 => return Err(ErrorKind::WriteZero.into()),
            written => bytes = &bytes[written..],
        }
    }
    Ok(())
}

/// The time that is left; an error if none is.
fn left_until(end: Instant) -> io::Result<Duration> {
    let left = end.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

fn answer(site: Site, path: &str, handle: &Handle) -> Answer {
    let path = path.split('?').next().unwrap_or_default();
    match (site, path) {
        (Site::Metrics, "/" | "/metrics") => Answer {
            status: "200 OK",
            kind: "text/plain; version=0.0.4; charset=utf-8",
            body: metrics::text(&handle.name(), &handle.status()),
        },
        (Site::Status, "/") => Answer { status: "200 OK", kind: "text/html; charset=utf-8", body: PAGE.to_owned() },
        (Site::Status, _) => match RECORDS.iter().find(|&&records| path.strip_prefix('/') == Some(records)) {
            Some(records) => Answer::text("200 OK", &handle.records(records).unwrap_or_default()),
            None => Answer::text("404 Not Found", "there is nothing here\n"),
        },
        (Site::Metrics, _) => Answer::text("404 Not Found", "the metrics are at /metrics\n"),
    }
}

/// The method and the path of a request; `None` if the bytes are not a request.
fn request(mut stream: &TcpStream) -> io::Result<Option<(String, String)>> {
    let (mut bytes, end) = (Vec::new(), Instant::now() + REQUEST_TIMEOUT);
    let mut piece = [0; 1024];
    loop {
        stream.set_read_timeout(Some(left_until(end)?))?;
        let read = stream.read(&mut piece)?;
        bytes.extend_from_slice(&piece[..read]);
        let mut headers = [httparse::EMPTY_HEADER; HEADER_LIMIT];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(&bytes) {
            Ok(httparse::Status::Complete(_)) => {
                let found = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
                return Ok(Some((found.0.to_owned(), found.1.to_owned())));
            }
            Ok(httparse::Status::Partial) if read > 0 && bytes.len() < REQUEST_LIMIT => {}
            _ => return Ok(None),
        }
    }
}
