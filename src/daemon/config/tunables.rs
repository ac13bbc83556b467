//! The parameters of a file: from a draft, rule by rule, to checked values.
//!
//! Rules between two parameters are judged with the classic defaults for what is not given, so a file is refused here exactly
//! where the classic daemon stops.

use super::error::{Findings, Mistake, Position, shown};
use super::model::{AuthMethod, Parameters, Timers, Windows};
use super::params::{Draft, TIMERS};
use super::syntax::Spanned;
use crate::time::Duration;
use crate::wire::DAEMON_LIMIT;

const DEFAULT_WINDOW: u32 = 160;
const DEFAULT_PERSONAL_WINDOW: u32 = 20;
const DEFAULT_ACCELERATED_WINDOW: u32 = 15;

/// The largest MaxMessageSize: several such messages must fit in memory for every client that is slow.
const MESSAGE_SIZE_LIMIT: usize = 256 << 20;

/// The name of the one access policy.
const PERMIT: &str = "PERMIT";

/// The parameters of this draft. Only meaningful if nothing was found wrong.
pub(super) fn settle(draft: Draft, findings: &mut Findings) -> Parameters {
    let defaults = Parameters::default();
    check_access_policy(&draft, findings);
    let (allowed_auth, required_auth) = authentication(&draft, findings);
    if let Some(zero) = draft.max_session_messages.filter(|messages| messages.value == 0) {
        findings.warning(zero.at, "with MaxSessionMessages = 0 every client is disconnected at its first message");
    }
    Parameters {
        network_policy: draft.network_policy.map(|policy| policy.value),
        windows: windows(&draft, findings),
        timers: timers(&draft, findings),
        max_session_messages: draft.max_session_messages.map_or(defaults.max_session_messages, |given| given.value),
        max_sessions: max_sessions(&draft, findings).unwrap_or(defaults.max_sessions),
        client_timeout: draft.client_timeout.map_or(defaults.client_timeout, |given| Duration::from_secs(given.into())),
        max_message_size: max_message_size(&draft, findings).unwrap_or(defaults.max_message_size),
        slow_client: draft.slow_client.unwrap_or(defaults.slow_client),
        allowed_auth,
        required_auth,
        event_priority: draft.event_priority.unwrap_or_default(),
        event_log_file: draft.event_log_file,
        event_time_stamp: time_stamp(draft.event_time_stamp, draft.event_precise),
        event_precise: draft.event_precise,
        dangerous_monitor: draft.dangerous_monitor,
        socket_port_reuse: draft.socket_port_reuse,
        runtime_dir: draft.runtime_dir.unwrap_or(defaults.runtime_dir),
        daemon_user: draft.daemon_user.unwrap_or(defaults.daemon_user),
        daemon_group: draft.daemon_group.unwrap_or(defaults.daemon_group),
    }
}

fn max_sessions(draft: &Draft, findings: &mut Findings) -> Option<u32> {
    let given = draft.max_sessions?;
    if given.value == 0 {
        findings.error(Mistake::new(given.at, "MaxSessions must be at least 1".to_string()));
    }
    Some(given.value)
}

fn max_message_size(draft: &Draft, findings: &mut Findings) -> Option<usize> {
    let given = draft.max_message_size?;
    if !(DAEMON_LIMIT..=MESSAGE_SIZE_LIMIT).contains(&given.value) {
        let message =
            format!("MaxMessageSize must lie between {DAEMON_LIMIT}, which classic clients may send, and 256M");
        findings.error(Mistake::new(given.at, message));
    }
    Some(given.value)
}

fn time_stamp(given: Option<Option<String>>, precise: bool) -> Option<String> {
    const DEFAULT_FORMAT: &str = "[%m/%d/%y %H:%M:%S]";
    let wanted = given.or_else(|| precise.then_some(None))?;
    Some(wanted.unwrap_or_else(|| DEFAULT_FORMAT.to_string()))
}

fn check_access_policy(draft: &Draft, findings: &mut Findings) {
    if let Some(policy) = draft.access_policy.as_ref().filter(|policy| policy.value != PERMIT) {
        let message = format!("{} is no access policy: write {PERMIT}", shown(&policy.value));
        findings.error(Mistake::new(policy.at, message));
    }
}

/// The allowed and the required methods. NULL is allowed only while no list is given.
fn authentication(draft: &Draft, findings: &mut Findings) -> (Vec<AuthMethod>, Vec<AuthMethod>) {
    let Some(first) = draft.allowed.iter().chain(&draft.required).map(|list| list.at).min() else {
        let defaults = Parameters::default();
        return (defaults.allowed_auth, defaults.required_auth);
    };
    let allowed = methods(&draft.allowed, findings);
    let required = methods(&draft.required, findings);
    if allowed.is_empty() {
        let message = "no method is allowed, so every client is refused: add AllowedAuthMethods = \"NULL\" or \"IP\"";
        findings.warning(first, message);
    }
    (allowed, required)
}

fn methods(lists: &[Spanned<String>], findings: &mut Findings) -> Vec<AuthMethod> {
    let mut methods = Vec::new();
    for list in lists {
        for name in list.value.split_whitespace() {
            match AuthMethod::from_name(name) {
                Some(method) if methods.contains(&method) => {}
                Some(method) => methods.push(method),
                None => {
                    let message = format!(
                        "{} is no authentication method and is ignored; there are NULL, IP and PWORD",
                        shown(name)
                    );
                    findings.warning(list.at, message);
                }
            }
        }
    }
    methods
}

fn windows(draft: &Draft, findings: &mut Findings) -> Option<Windows> {
    let (ring, personal) = (draft.window, draft.personal_window);
    for (name, window) in [("Window", ring), ("PersonalWindow", personal)] {
        if let Some(zero) = window.filter(|window| window.value == 0) {
            findings.error(Mistake::new(zero.at, format!("{name} must be at least 1")));
            return None;
        }
    }
    let accelerated = draft.accelerated_ring;
    if let Some(off) = accelerated.filter(|accelerated| !accelerated.value) {
        findings.warning(off.at, "AcceleratedRing = false has no effect: the ring always passes the token early");
    }
    let windows = Windows {
        ring: ring.map_or(DEFAULT_WINDOW, |window| window.value),
        personal: personal.map_or(DEFAULT_PERSONAL_WINDOW, |window| window.value),
    };
    let at = personal.or(ring).map(|window| window.at);
    if let Some(at) = at.filter(|_| windows.personal > windows.ring) {
        let Windows { ring, personal } = windows;
        let message = format!("PersonalWindow, here {personal}, must not exceed Window, here {ring}");
        findings.error(Mistake::new(at, message));
    }
    let early = draft.accelerated_window.map_or(DEFAULT_ACCELERATED_WINDOW, |window| window.value);
    if let Some(on) = accelerated.filter(|accelerated| accelerated.value && early > windows.personal) {
        let at = draft.accelerated_window.or(personal).map_or(on.at, |window| window.at);
        let message =
            format!("AcceleratedWindow, here {early}, must not exceed PersonalWindow, here {}", windows.personal);
        findings.error(Mistake::new(at, message));
    }
    at.map(|_| windows)
}

fn timers(draft: &Draft, findings: &mut Findings) -> Option<Timers> {
    let first = draft.first_timer()?;
    let (mut times, mut missing) = ([Duration::ZERO; TIMERS.len()], Vec::new());
    for ((time, timer), name) in times.iter_mut().zip(draft.timers).zip(TIMERS) {
        match timer {
            Some(Spanned { value: 0, at }) => findings.error(Mistake::new(at, format!("{name} must be at least 1"))),
            Some(Spanned { value, .. }) => *time = Duration::from_millis(value.into()),
            None => missing.push(name),
        }
    }
    if !missing.is_empty() {
        findings.error(incomplete_timers(first, &missing));
        return None;
    }
    let [token, hurry, alive, join, representative, segment, gather, form, lookup] = times;
    Some(Timers { token, hurry, alive, join, representative, segment, gather, form, lookup })
}

fn incomplete_timers(first: Position, missing: &[&str]) -> Mistake {
    Mistake::new(first, format!("the nine timers go together: also set {}, or none of them", missing.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::config::{Configuration, NetworkPolicy, PortReuse, Priority};
    use crate::session::SlowClient;

    fn read(parameters: &str) -> Result<Configuration, String> {
        let text = format!("{parameters}\nSpread_Segment 127.0.0.1 {{ a 127.0.0.1 }}");
        Configuration::parse("f", text.as_bytes()).map_err(|error| error.to_string())
    }

    fn parameters(text: &str) -> Parameters {
        read(text).unwrap().parameters
    }

    fn warnings(text: &str) -> usize {
        read(text).unwrap().warnings.len()
    }

    fn all_timers(value: &str) -> String {
        TIMERS.map(|name| format!("{name} = {value}")).join("\n")
    }

    #[test]
    fn every_parameter_reaches_its_place() {
        let given = parameters(
            "EventPriority = ERROR EventLogFile = 'a b' EventTimeStamp = %H EventPreciseTimeStamp DangerousMonitor = Yes
             SocketPortReuse = on RuntimeDir = /x DaemonUser = u DaemonGroup = g MaxSessionMessages = 7
             MaxSessions = 8 ClientTimeout = 9 MaxMessageSize = 2M SlowClient = drop-unreliable Window = 100 NetworkPolicy = active 1",
        );
        assert_eq!(given.event_priority, Priority::Error);
        assert_eq!(given.event_log_file.as_deref(), Some("a b"));
        assert_eq!(given.event_time_stamp.as_deref(), Some("%H"));
        assert!(given.event_precise && given.dangerous_monitor);
        assert_eq!(given.socket_port_reuse, PortReuse::On);
        assert_eq!([given.runtime_dir, given.daemon_user, given.daemon_group], ["/x", "u", "g"]);
        assert_eq!((given.max_session_messages, given.max_sessions, given.max_message_size), (7, 8, 2 << 20));
        assert_eq!(given.client_timeout, Duration::from_secs(9));
        assert_eq!(given.slow_client, SlowClient::DropUnreliable);
        assert_eq!(given.windows, Some(Windows { ring: 100, personal: 20 }));
        assert_eq!(given.network_policy, Some(NetworkPolicy::Copies(1)));
    }

    #[test]
    fn of_repeated_parameters_the_last_counts() {
        assert_eq!(parameters("DaemonUser = a DaemonUser = b").daemon_user, "b");
        assert!(!parameters("DangerousMonitor = true DangerousMonitor = no").dangerous_monitor);
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
        assert_eq!(parameters("Window = 300 PersonalWindow = 300").windows, Some(Windows { ring: 300, personal: 300 }));
        assert_eq!(parameters("AcceleratedRing = yes AcceleratedWindow = 0").windows, None);
        assert_eq!(parameters("AcceleratedWindow = 900").windows, None);
    }

    #[test]
    fn sizes_have_a_unit_and_a_range() {
        let size = |text: &str| read(&format!("MaxMessageSize = {text}")).map(|read| read.parameters.max_message_size);
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
    fn timers_are_given_all_or_none_and_never_zero() {
        assert_eq!(parameters("").timers, None);
        assert_eq!(parameters(&all_timers("250")).timers.unwrap().lookup, Duration::from_millis(250));
        assert!(read(&all_timers("0")).is_err());
        let lonely = read("\nHurryTimeout = 5").unwrap_err();
        assert!(
            lonely.starts_with("f:2:16: the nine timers go together: also set TokenTimeout, AliveTimeout"),
            "{lonely}"
        );
    }

    #[test]
    fn any_authentication_list_removes_null_and_lists_add_up() {
        use AuthMethod::{Ip, Null};
        let lists = |text: &str| (parameters(text).allowed_auth, parameters(text).required_auth);
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
        let stamp = |text| parameters(text).event_time_stamp;
        assert_eq!(stamp(""), None);
        assert_eq!(stamp("EventTimeStamp").as_deref(), Some("[%m/%d/%y %H:%M:%S]"));
        assert_eq!(stamp("EventPreciseTimeStamp"), stamp("EventTimeStamp"));
    }

    #[test]
    fn what_has_no_meaning_here_is_a_warning() {
        for text in [
            "DebugFlags = { ALL }",
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
