//! The health of a daemon, as a line and as an exit status for scripts: 0 if all is well, 2 if there is a failure that redundancy masks,
//! 3 if the daemon does not do its work. 1 is for mistakes of the command line.

use std::collections::BTreeMap;
use std::process::ExitCode;

use super::control;

/// The health of a daemon.
#[derive(Debug, PartialEq, Eq)]
pub struct Health {
    grade: Grade,
    /// One line.
    pub words: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Grade {
    Well,
    Degraded,
    Failed,
}

impl Health {
    /// The health in an answer to `status`. An empty answer means that there was none.
    pub fn of(answer: &str) -> Health {
        let (mut state, mut members, mut troubles) = (None, 0, Vec::new());
        let known = control::records(answer).filter(|record| record.kind == "member");
        let names: BTreeMap<String, String> =
            known.map(|record| (record.value("daemon").to_owned(), record.value("name").to_owned())).collect();
        let named = |daemon: &str| names.get(daemon).map_or(daemon.to_owned(), |name| format!("{name} ({daemon})"));
        let mut silent: BTreeMap<String, bool> = BTreeMap::new();
        for record in control::records(answer) {
            let value = |key: &str| record.value(key).to_owned();
            match record.kind {
                "daemon" => state = Some(value("state")),
                "ring" => members = value("daemons").parse().unwrap_or(0),
                "network" if value("switched") == "off" => {
                    troubles.push(format!("network {} is off", value("network")))
                }
                "network" if value("link") != "up" => troubles.push(format!("network {} is down", value("network"))),
                "network" if value("drill") == "on" => {
                    troubles.push(format!("network {} is in a drill", value("network")))
                }
                "path" => {
                    let (daemon, state) = (value("daemon"), value("state"));
                    *silent.entry(daemon.clone()).or_insert(true) &= state == "silent";
                    if !["healthy", "silent"].contains(&state.as_str()) {
                        troubles.push(format!(
                            "the path to {} on network {} is {state}",
                            named(&daemon),
                            value("network")
                        ));
                    }
                }
                _ => {}
            }
        }
        let (mut out, mut double) = (Vec::new(), Vec::new());
        for member in control::records(answer).filter(|record| record.kind == "member") {
            let (daemon, is_silent) = (member.value("daemon"), silent.get(member.value("daemon")) == Some(&true));
            if member.value("ring") == "out" && !is_silent {
                out.push(format!("{} is not in the ring", named(daemon)));
            }
            if member.value("hosts") == "2" {
                double.push(format!("two hosts run as {}", named(daemon)));
            }
        }
        let gone =
            silent.iter().filter(|(_, silent)| **silent).map(|(daemon, _)| format!("{} is not heard", named(daemon)));
        let gone: Vec<String> = gone.chain(out).chain(double).collect();
        troubles.splice(0..0, gone);
        Health::grade(state.as_deref(), members, &troubles)
    }

    /// The health of a daemon that does not answer, with the reason.
    pub fn unknown(reason: &str) -> Health {
        Health { grade: Grade::Failed, words: format!("failed: the daemon does not answer: {reason}") }
    }

    fn grade(state: Option<&str>, members: u32, troubles: &[String]) -> Health {
        let (grade, words) = match (state, troubles) {
            (None, _) => (Grade::Failed, "failed: the daemon gives no status".to_owned()),
            (Some("operational"), []) => (Grade::Well, format!("well: a ring of {members}, every path is healthy")),
            (Some("operational"), _) => {
                (Grade::Degraded, format!("degraded: a ring of {members}; {}", troubles.join("; ")))
            }
            (Some(state), _) => (Grade::Failed, format!("failed: there is no ring, its state is {state}")),
        };
        Health { grade, words }
    }

    /// The status for scripts.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self.grade {
            Grade::Well => 0,
            Grade::Degraded => 2,
            Grade::Failed => 3,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn health(state: &str, link: &str, paths: [&str; 2]) -> (Grade, String) {
        let paths = paths.map(|state| format!("path daemon=10.0.0.2 network=0 state={state}\n")).concat();
        let answer = format!(
            "daemon name=a state={state}\nring id=x daemons=2\nnetwork network=0 link={link} switched=on drill=off\n{paths}member daemon=10.0.0.2 name=beta ring=in"
        );
        let Health { grade, words } = Health::of(&answer);
        (grade, words)
    }

    #[test]
    fn redundancy_that_is_lost_is_worse_than_well_and_better_than_no_ring() {
        let well = health("operational", "up", ["healthy", "healthy"]);
        assert_eq!(well, (Grade::Well, "well: a ring of 2, every path is healthy".to_owned()));
        let path = health("operational", "up", ["healthy", "faulty"]);
        let words = "degraded: a ring of 2; the path to beta (10.0.0.2) on network 0 is faulty";
        assert_eq!(path, (Grade::Degraded, words.to_owned()));
        let gone = health("operational", "up", ["silent", "silent"]);
        assert_eq!(gone, (Grade::Degraded, "degraded: a ring of 2; beta (10.0.0.2) is not heard".to_owned()));
        assert_eq!(health("operational", "down", ["healthy", "healthy"]).0, Grade::Degraded);
        assert_eq!(health("gather", "up", ["healthy", "healthy"]).0, Grade::Failed);
        assert_eq!(Health::of("").grade, Grade::Failed);
    }

    #[test]
    fn a_daemon_outside_the_ring_and_a_second_host_are_failures() {
        let health = |members: &str| {
            let front = "daemon name=a state=operational\nring id=x daemons=1\n";
            let paths = "path daemon=10.0.0.2 network=0 state=healthy\npath daemon=10.0.0.3 network=0 state=silent\n";
            let Health { grade, words } = Health::of(&format!("{front}{paths}{members}"));
            assert_eq!(grade, Grade::Degraded);
            words
        };
        let beta = "member daemon=10.0.0.2 name=beta ring=out hosts=2\n";
        let gamma = "member daemon=10.0.0.3 name=gamma ring=out hosts=1\n";
        let (lost, two) = ("beta (10.0.0.2) is not in the ring", "two hosts run as beta (10.0.0.2)");
        let words = format!("degraded: a ring of 1; gamma (10.0.0.3) is not heard; {lost}; {two}");
        assert_eq!(health(&format!("{beta}{gamma}")), words);
    }
}
