//! The task of a worker. The coordinator sends it as a line of JSON.

use serde_json::{Value, json};

use super::library::Service;

/// The group of every measurement.
pub const GROUP: &str = "bench";

/// One worker's part in a measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// The library, as `library::load` understands it.
    pub library: String,
    /// The daemon, as the library understands it.
    pub daemon: String,
    /// This worker, from 0.
    pub place: usize,
    pub workers: usize,
    /// The daemon may still be starting.
    pub patient: bool,
    pub job: Job,
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Job {
    Flow(Flow),
    /// An extra worker joins and leaves this many times; the others watch.
    Joins {
        rounds: usize,
    },
    /// Report each view, after one with this many members.
    Watch {
        members: usize,
    },
}

/// Some workers send messages to all.
#[derive(Clone, Debug, PartialEq)]
pub struct Flow {
    /// Workers that send, the first ones.
    pub senders: usize,
    pub service: Service,
    pub size: usize,
    /// Messages a second of each sender; 0 for as many as possible.
    pub rate: f64,
    /// Messages of one sender that may be on their way.
    pub credit: u64,
    pub seconds: f64,
    /// Groups, used in turn.
    pub groups: usize,
    /// Sessions of each worker; all but one only receive.
    pub sessions: usize,
    /// Silences longer than this, in microseconds, are recorded one by one; 0 for none.
    pub silence_micros: u64,
}

impl Task {
    pub fn to_json(&self) -> Value {
        let mut value = json!({
            "library": self.library, "daemon": self.daemon, "place": self.place, "workers": self.workers, "patient": self.patient,
        });
        match &self.job {
            Job::Joins { rounds } => value["joins"] = json!(rounds),
            Job::Watch { members } => value["watch"] = json!(members),
            Job::Flow(flow) => {
                value["flow"] = json!({
                    "senders": flow.senders, "service": flow.service.name(), "size": flow.size, "rate": flow.rate,
                    "credit": flow.credit, "seconds": flow.seconds, "groups": flow.groups,
                    "sessions": flow.sessions, "silence_micros": flow.silence_micros,
                });
            }
        }
        value
    }

    pub fn from_json(value: &Value) -> Result<Task, String> {
        let number = |value: &Value, key: &str| value[key].as_u64().ok_or_else(|| format!("the task has no {key}"));
        let text =
            |value: &Value, key: &str| value[key].as_str().map(str::to_owned).ok_or(format!("the task has no {key}"));
        let job = match (value["joins"].as_u64(), value["watch"].as_u64()) {
            (Some(rounds), _) => Job::Joins { rounds: rounds as usize },
            (_, Some(members)) => Job::Watch { members: members as usize },
            (None, None) => {
                let flow = &value["flow"];
                Job::Flow(Flow {
                    senders: number(flow, "senders")? as usize,
                    service: Service::parse(&text(flow, "service")?)?,
                    size: number(flow, "size")? as usize,
                    rate: flow["rate"].as_f64().unwrap_or(0.0),
                    credit: number(flow, "credit")?,
                    seconds: flow["seconds"].as_f64().ok_or("the task has no seconds")?,
                    groups: number(flow, "groups")? as usize,
                    sessions: number(flow, "sessions")? as usize,
                    silence_micros: number(flow, "silence_micros")?,
                })
            }
        };
        Ok(Task {
            library: text(value, "library")?,
            daemon: text(value, "daemon")?,
            place: number(value, "place")? as usize,
            workers: number(value, "workers")? as usize,
            patient: value["patient"] == json!(true),
            job,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_comes_back_from_json() {
        let flow = Flow {
            senders: 2,
            service: Service::Safe,
            size: 1200,
            rate: 12.5,
            credit: 100,
            seconds: 0.5,
            groups: 3,
            sessions: 4,
            silence_micros: 5,
        };
        for job in [Job::Flow(flow), Job::Joins { rounds: 7 }, Job::Watch { members: 3 }] {
            let task = Task { library: "ours".into(), daemon: "4803".into(), place: 1, workers: 3, patient: true, job };
            assert_eq!(Task::from_json(&task.to_json()), Ok(task));
        }
        assert!(Task::from_json(&json!({ "library": "ours" })).is_err());
    }
}
