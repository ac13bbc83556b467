//! The parameters of a file, on their way from text to settings: the rules between several of them.
//!
//! A rule between two parameters takes the classic default for a parameter that the file does not give. So a file is refused here
//! exactly where the classic daemon stops. Only timers are different: a file may give one without the others.

use std::net::SocketAddr;

use super::error::{Findings, Mistake, Position, shown};
use super::live::{Live, Log, Process, Web};
use super::print;
use super::syntax::Spanned;
use crate::multipath::Policy;
use crate::ring::Windows;
use crate::session::Method;
use crate::wire::MethodName;

const CLASSIC_WINDOW: u32 = 160;
const CLASSIC_PERSONAL_WINDOW: u32 = 20;
const CLASSIC_ACCELERATED_WINDOW: u32 = 15;

/// The name of the only access policy.
pub(super) const PERMIT: &str = "PERMIT";

/// How many messages of the largest size the outbox of one client must have room for.
const MESSAGES_IN_OUTBOX: usize = 4;

/// The values of the file so far: for each keyword the last one, but all authentication lists. Values without a rule are already
/// in `live` and `process`.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub live: Live,
    pub process: Process,
    pub policy: Option<Spanned<Policy>>,
    pub window: Option<Spanned<u32>>,
    pub personal_window: Option<Spanned<u32>>,
    pub accelerated_ring: Option<Spanned<bool>>,
    pub accelerated_window: Option<Spanned<u32>>,
    pub allowed: Vec<Spanned<String>>,
    pub required: Vec<Spanned<String>>,
    pub access_policy: Option<Spanned<String>>,
    pub max_memory: Option<Spanned<usize>>,
    pub metrics: Option<Spanned<SocketAddr>>,
    pub status: Option<Spanned<SocketAddr>>,
    /// The place of `MaxSessionMessages = 0`.
    silence: Option<Position>,
    /// The place that switches `DangerousMonitor` on.
    dangerous: Option<Position>,
}

impl Draft {
    pub(super) fn set_max_session_messages(&mut self, number: Spanned<u32>) {
        self.live.session.max_session_messages = number.value as usize;
        self.silence = (number.value == 0).then_some(number.at);
    }

    pub(super) fn set_dangerous_monitor(&mut self, boolean: Spanned<bool>) {
        self.live.dangerous_monitor = boolean.value;
        self.dangerous = boolean.value.then_some(boolean.at);
    }

    /// Applies the rules between parameters. The result means something only if the file has no errors.
    pub(super) fn apply_rules(&mut self, findings: &mut Findings) {
        self.check_access_policy(findings);
        if let Some(at) = self.silence {
            findings.warning(at, "with MaxSessionMessages = 0 every client is disconnected at its first message");
        }
        if let Some(at) = self.dangerous {
            let message = match self.live.key_file {
                Some(_) => "DangerousMonitor has no effect with KeyFile: the commands of monitors carry no seal",
                None => {
                    "DangerousMonitor lets everybody who can send datagrams to this daemon part and throttle it: leave it out where the networks are not private"
                }
            };
            findings.warning(at, message);
        }
        if let Some((allowed, required)) = self.authentication(findings) {
            (self.live.session.allowed, self.live.session.required) = (allowed, required);
        }
        self.check_memory(findings);
        self.check_web(findings);
        let session = &mut self.live.session;
        // In a smaller outbox a few of the largest messages would look like a slow client.
        session.max_outbox_bytes = session.max_outbox_bytes.max(MESSAGES_IN_OUTBOX * session.message_limit);
        if let Some(windows) = self.windows(findings) {
            self.live.windows = windows;
        }
        if self.live.log.precise {
            // A precise time needs a format to appear in.
            self.live.log.time_stamp.get_or_insert_with(|| Log::DEFAULT_STAMP.to_string());
        }
    }

    /// Warns of a MaxMemory without room for a few of the largest messages: a client that sends one may lose its session.
    fn check_memory(&mut self, findings: &mut Findings) {
        let Some(memory) = self.max_memory.take() else { return };
        self.live.max_memory = Some(memory.value);
        let least = MESSAGES_IN_OUTBOX * self.live.session.message_limit;
        if memory.value < least {
            let message = format!(
                "MaxMemory has no room for {MESSAGES_IN_OUTBOX} of the largest messages: their senders may lose their sessions; \
                 write {} or more, or a smaller MaxMessageSize",
                print::size(least)
            );
            findings.warning(memory.at, message);
        }
    }

    /// Refuses one address and port for both pages, because it cannot serve both.
    fn check_web(&mut self, findings: &mut Findings) {
        let (metrics, status) = (self.metrics.map(|place| place.value), self.status.map(|place| place.value));
        if let Some(Spanned { value, at }) = self.status
            && status == metrics
        {
            let message =
                format!("MetricsAddress and StatusAddress are both {value}: write another port for one of them");
            findings.error(Mistake::new(at, message));
        }
        self.live.web = Web { metrics, status };
    }

    fn check_access_policy(&self, findings: &mut Findings) {
        if let Some(policy) = self.access_policy.as_ref().filter(|policy| policy.value != PERMIT) {
            let message = format!("{} is no access policy: write {PERMIT}", shown(&policy.value));
            findings.error(Mistake::new(policy.at, message));
        }
    }

    /// The allowed and the required methods, if there is a list. If there is one, NULL is allowed only if the list names it.
    fn authentication(&self, findings: &mut Findings) -> Option<(Vec<Method>, Vec<Method>)> {
        // Without any list the default holds, which allows NULL.
        let first = self.allowed.iter().chain(&self.required).map(|list| list.at).min()?;
        let allowed = methods(&self.allowed, findings);
        let required = methods(&self.required, findings);
        if allowed.is_empty() {
            let message =
                "no method is allowed, so every client is refused: add AllowedAuthMethods = \"NULL\" or \"IP\"";
            findings.warning(first, message);
        }
        Some((allowed, required))
    }

    fn windows(&self, findings: &mut Findings) -> Option<Windows> {
        let (ring, personal) = (self.window, self.personal_window);
        let accelerated = self.accelerated_ring;
        if let Some(off) = accelerated.filter(|accelerated| !accelerated.value) {
            findings.warning(off.at, "AcceleratedRing = false has no effect: the ring always passes the token early");
        }
        let windows = Windows {
            ring: ring.map_or(CLASSIC_WINDOW, |window| window.value),
            personal: personal.map_or(CLASSIC_PERSONAL_WINDOW, |window| window.value),
        };
        // If the file gives neither window, there is no place, and this daemon's own defaults hold.
        let at = personal.or(ring).map(|window| window.at);
        if let Some(at) = at
            && windows.personal > windows.ring
        {
            let Windows { ring, personal } = windows;
            let message = format!("PersonalWindow, here {personal}, must not exceed Window, here {ring}");
            findings.error(Mistake::new(at, message));
        }
        // The ring does not use this window. The check is here because the classic daemon stops at this mistake.
        let early = self.accelerated_window.map_or(CLASSIC_ACCELERATED_WINDOW, |window| window.value);
        if let Some(on) = accelerated.filter(|accelerated| accelerated.value && early > windows.personal) {
            let at = self.accelerated_window.or(personal).map_or(on.at, |window| window.at);
            let message =
                format!("AcceleratedWindow, here {early}, must not exceed PersonalWindow, here {}", windows.personal);
            findings.error(Mistake::new(at, message));
        }
        at.map(|_| windows)
    }
}

fn methods(lists: &[Spanned<String>], findings: &mut Findings) -> Vec<Method> {
    let mut methods = Vec::new();
    for list in lists {
        for name in list.value.split_whitespace() {
            match MethodName::new(name.as_bytes()).and_then(Method::from_name) {
                // Several lists add up, so a method may come twice.
                Some(method) if methods.contains(&method) => {}
                Some(method) => methods.push(method),
                None => {
                    let message = format!(
                        "{} is no authentication method and is ignored; there are NULL, IP, PWORD and UNIX",
                        shown(name)
                    );
                    findings.warning(list.at, message);
                }
            }
        }
    }
    methods
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Priority, Settings, Timers};
    use crate::session::SlowClient;
    use crate::time::Duration;

    fn read(parameters: &str) -> Result<Settings, String> {
        let text = format!("{parameters}\nSpread_Segment 127.0.0.1 {{ a 127.0.0.1 }}");
        Settings::parse("f", text.as_bytes()).map_err(|error| error.to_string())
    }

    fn live(text: &str) -> Live {
        read(text).unwrap().live
    }

    #[test]
    fn limits_of_memory_have_bounds_and_room_for_messages() {
        let limits = |text: &str| {
            let live = live(text);
            (live.max_memory, live.session.max_user_sessions, live.session.max_user_memory)
        };
        assert_eq!(limits(""), (None, usize::MAX, usize::MAX));
        assert_eq!(limits("MaxMemory = 2G MaxUserSessions = 7 MaxUserMemory = 64M"), (Some(2 << 30), 7, 64 << 20));
        assert_eq!((warnings("MaxMemory = 64M"), warnings("MaxMemory = 63M")), (0, 1));
        assert_eq!(warnings("MaxMemory = 4M MaxMessageSize = 1M"), 0);
        for text in ["MaxMemory = 1000", "MaxUserSessions = 0", "MaxUserMemory = 2000G"] {
            assert!(read(text).unwrap_err().contains("must lie between"), "{text}");
        }
    }

    fn warnings(text: &str) -> usize {
        read(text).unwrap().warnings.len()
    }

    #[test]
    fn every_parameter_reaches_its_place() {
        let settings = read(
            "EventPriority = ERROR EventLogFile = 'a b' EventTimeStamp = %H EventPreciseTimeStamp DangerousMonitor = Yes
             SocketPortReuse = on RuntimeDir = /x DaemonUser = u DaemonGroup = g MaxSessionMessages = 7
             MaxSessions = 8 ClientTimeout = 9 MaxMessageSize = 2M SlowClient = drop-unreliable BusyPoll = 50 Window = 100 NetworkPolicy = active 1",
        );
        let Settings { live, process, .. } = settings.unwrap();
        assert_eq!(live.log.priority, Priority::Error);
        assert_eq!((live.log.file.as_deref(), live.log.time_stamp.as_deref()), (Some("a b"), Some("%H")));
        assert!(live.log.precise && live.dangerous_monitor);
        assert_eq!([process.runtime_dir, process.user, process.group], ["/x", "u", "g"]);
        let session = live.session;
        assert_eq!((session.max_session_messages, session.quota, session.message_limit), (7, 8, 2 << 20));
        assert_eq!((live.client_timeout, session.slow_client), (Duration::from_secs(9), SlowClient::DropUnreliable));
        assert_eq!(live.busy_poll, Duration::from_micros(50));
        assert_eq!((live.windows, live.policy), (Windows { ring: 100, personal: 20 }, Policy::Copies(1)));
    }

    #[test]
    fn of_repeated_parameters_the_last_counts() {
        assert_eq!(read("DaemonUser = a DaemonUser = b").unwrap().process.user, "b");
        assert!(!live("DangerousMonitor = true DangerousMonitor = no").dangerous_monitor);
    }

    #[test]
    fn windows_fit_each_other() {
        for wrong in [
            "Window = 0",
            "PersonalWindow = 0",
            "Window = 19",
            "PersonalWindow = 161",
            "AcceleratedRing = true AcceleratedWindow = 21",
            "AcceleratedRing = true PersonalWindow = 10",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        assert_eq!(live("Window = 300 PersonalWindow = 300").windows, Windows { ring: 300, personal: 300 });
        for nothing in ["AcceleratedRing = yes AcceleratedWindow = 0", "AcceleratedWindow = 900"] {
            assert_eq!(live(nothing).windows, Live::default().windows);
        }
    }

    #[test]
    fn metrics_and_status_have_ports_of_their_own() {
        let both = read("MetricsAddress = 127.0.0.1:90 StatusAddress = 127.0.0.1:90").unwrap_err();
        assert!(both.contains("are both 127.0.0.1:90: write another port"), "{both}");
        for fine in ["MetricsAddress = 127.0.0.1:90 StatusAddress = 127.0.0.2:90", "StatusAddress = 127.0.0.1"] {
            assert!(read(fine).is_ok(), "{fine}");
        }
        assert_eq!(live("StatusAddress = 127.0.0.1").web.status, Some("127.0.0.1:4880".parse().unwrap()));
    }

    #[test]
    fn sizes_have_a_unit_and_a_range() {
        let size = |text: &str| read(&format!("MaxMessageSize = {text}")).map(|read| read.live.session.message_limit);
        for (text, bytes) in [("143952", 143_952), ("200000", 200_000), ("512K", 512 << 10), ("256m", 256 << 20)] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for wrong in ["143951", "257M", "999999999M", "1G", "M", "-1", "\"1M\"", "16 M", "1.5M"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        assert!(read("MaxSessions = 0").is_err());
        assert!(read("SlowClient = drop").unwrap_err().contains("one of disconnect, block-senders, drop-unreliable"));
        assert!(read("SlowClients = disconnect").unwrap_err().contains("did you mean SlowClient?"));
        assert!(read("MaxMesageSize = 1M").unwrap_err().contains("did you mean MaxMessageSize?"));
    }

    #[test]
    fn a_timer_may_be_given_alone_and_is_never_zero() {
        assert_eq!(live("").timers, Timers::default());
        let lookup = Duration::from_millis(250);
        assert_eq!(live("LookupTimeout = 250").timers, Timers { lookup, ..Timers::default() });
        let zero = read("HurryTimeout = 0").unwrap_err();
        assert_eq!(zero, "f:1:16: HurryTimeout must lie between 1 and 999999, here it is 0");
    }

    #[test]
    fn any_authentication_list_removes_null_and_lists_add_up() {
        use Method::{Ip, Null};
        let lists = |text: &str| (live(text).session.allowed, live(text).session.required);
        assert_eq!(lists(""), (vec![Null], vec![]));
        assert_eq!(lists("AllowedAuthMethods = IP"), (vec![Ip], vec![]));
        assert_eq!(lists("AllowedAuthMethods = IP AllowedAuthMethods = 'NULL IP'"), (vec![Ip, Null], vec![]));
        assert_eq!(lists("RequiredAuthMethods = IP"), (vec![], vec![Ip]));
        assert_eq!(warnings("RequiredAuthMethods = IP"), 1);
        assert_eq!(warnings("AllowedAuthMethods = 'NULL BOGUS'"), 1);
        assert_eq!(warnings("AllowedAuthMethods = NULL RequiredAuthMethods = IP"), 0);
    }

    #[test]
    fn time_stamps_have_a_default_format() {
        let stamp = |text| live(text).log.time_stamp;
        assert_eq!(stamp(""), None);
        assert_eq!(stamp("EventTimeStamp").as_deref(), Some("[%m/%d/%y %H:%M:%S]"));
        assert_eq!(stamp("EventPreciseTimeStamp"), stamp("EventTimeStamp"));
    }

    #[test]
    fn what_has_no_meaning_here_is_a_warning() {
        for text in [
            "DebugInitialSequence",
            "LinkProtocol = TcpHop",
            "RouteMatrix { 0 1\n1 0 }",
            "AcceleratedRing = no",
            "AcceleratedWindow = 1",
            "MaxSessionMessages = 0",
            "EventTimeStamp = \"abc",
        ] {
            assert_eq!(warnings(text), 1, "{text}");
        }
    }

    #[test]
    fn there_is_one_access_policy() {
        assert_eq!(warnings("AccessControlPolicy = \"PERMIT\""), 0);
        assert!(read("AccessControlPolicy = BOGUS").unwrap_err().contains("write PERMIT"));
    }
}
