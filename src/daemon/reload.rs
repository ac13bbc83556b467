//! A file that is read again while the daemon runs: it counts as a whole or not at all.
//!
//! The caller has read the file, so a mistake in it has already changed nothing. Here it is compared with what is in force: what is not
//! this daemon's file is refused, with the reason; the rest goes to the loop in one piece, and both values of whatever changes are told.

use std::fmt;

use tracing::{info, warn};

use super::files::{self, FileError};
use super::handle::{Handle, Request};
use crate::config::{Change, Difference, Live, Settings};
use crate::seal::Keys;
use crate::time::Duration;
use crate::wire::DaemonId;

/// How long the loop may take to obey.
const PATIENCE: Duration = Duration::from_secs(5);

/// The settings that are in force, and for whom.
#[derive(Clone, Debug)]
pub(super) struct InForce {
    pub settings: Settings,
    pub name: String,
    pub me: DaemonId,
    /// Descriptors that this process may have, if that is known.
    pub descriptors: Option<usize>,
}

/// What came of a reload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// What counts from now on.
    pub now: Vec<Difference>,
    /// What counts when the daemon is started again.
    pub at_restart: Vec<Difference>,
}

impl fmt::Display for Reloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.now.is_empty() && self.at_restart.is_empty() {
            return f.write_str("nothing has changed");
        }
        let join = |list: &[Difference]| list.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        f.write_str(&join(&self.now))?;
        if !self.at_restart.is_empty() {
            let separator = if self.now.is_empty() { "" } else { "; " };
            write!(f, "{separator}only after a restart: {}", join(&self.at_restart))?;
        }
        Ok(())
    }
}

/// Why a reload changed nothing.
#[derive(Debug)]
pub enum ReloadError {
    /// A file cannot be used.
    File(FileError),
    /// It is not the file of this daemon; the reason.
    NotOurs(String),
    /// It changes members or their addresses, which only a restart of the daemons can do; the changes.
    Members(Vec<Difference>),
    /// The daemon does not answer.
    Busy,
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReloadError::File(error) => error.fmt(f),
            ReloadError::NotOurs(reason) => f.write_str(reason),
            ReloadError::Members(changes) => {
                let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
                let changes = changes.join("; ");
                write!(f, "members and networks change only when all daemons are started again: {changes}")
            }
            ReloadError::Busy => f.write_str("the daemon is busy: ask it again"),
        }
    }
}

impl std::error::Error for ReloadError {}

impl From<FileError> for ReloadError {
    fn from(error: FileError) -> ReloadError {
        ReloadError::File(error)
    }
}

impl InForce {
    /// What another reading of the file would change, or why it cannot be taken over.
    fn compare(&self, new: &Settings) -> Result<Reloaded, ReloadError> {
        let name = &self.name;
        let Some(me) = new.table.daemons.iter().find(|daemon| daemon.name == *name) else {
            return Err(ReloadError::NotOurs(format!("the file has no daemon {name}, which this one is")));
        };
        if me.id != self.me {
            let (identity, me) = (me.identity, self.me);
            let reason = format!(
                "{name} is identified by {identity} there, but this daemon is {me}: only a restart can change that"
            );
            return Err(ReloadError::NotOurs(reason));
        }
        let differences = new.differences(&self.settings);
        let of = |change: Change| -> Vec<Difference> {
            differences.iter().filter(|difference| difference.change == change).cloned().collect()
        };
        match of(Change::Table) {
            members if members.is_empty() => Ok(Reloaded { now: of(Change::Live), at_restart: of(Change::Start) }),
            members => Err(ReloadError::Members(members)),
        }
    }
}

impl InForce {
    /// The keys of the file that the new settings name; none if packets travel in the open. Only a restart begins to seal packets, or
    /// ends it, because daemons that seal do not hear those that do not.
    fn read_keys(&self, new: &mut Live) -> Result<Keys, FileError> {
        match (&self.settings.live.key_file, &new.key_file) {
            (Some(_), Some(file)) => files::read_keys(file),
            (old, _) => {
                new.key_file.clone_from(old);
                old.as_deref().map_or(Ok(Keys::NONE), files::read_keys)
            }
        }
    }
}

impl Handle {
    /// Most bytes of data and group names that the daemon takes in one message.
    pub fn message_limit(&self) -> usize {
        self.in_force().settings.live.session.message_limit
    }

    /// Takes over settings that were read again, and says what they change. The access, password and key files are read again too. If
    /// anything is wrong everything stays as it was.
    pub fn reload(&self, mut settings: Settings) -> Result<Reloaded, ReloadError> {
        let mut in_force = self.in_force();
        let changes = in_force.compare(&settings)?;
        files::read_access(&mut settings.live.session)?;
        let keys = in_force.read_keys(&mut settings.live)?;
        files::fit_memory(&mut settings.live);
        if let Some(count) = in_force.descriptors {
            files::fit_descriptors(&mut settings.live.session, count);
        }
        settings.warnings.iter().for_each(|warning| warn!(name: "configuration_warning", "{warning}"));
        if !self.obey(Request::Live { live: Box::new(settings.live.clone()), keys }, PATIENCE) {
            return Err(ReloadError::Busy);
        }
        in_force.settings = settings;
        changes.now.iter().for_each(|change| info!(name: "setting_changed", "the file was read again: {change}"));
        changes
            .at_restart
            .iter()
            .for_each(|change| warn!(name: "setting_waits", "the file was read again; only after a restart {change}"));
        Ok(changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "Spread_Segment unicast { alpha 10.0.0.1 beta 10.0.0.2 }";

    fn read(text: &str) -> Settings {
        Settings::parse("f", text.as_bytes()).unwrap()
    }

    fn compare(text: &str) -> Result<String, String> {
        let settings = read(FILE);
        let (name, me) = ("alpha".to_owned(), settings.table.daemons[0].id);
        let in_force = InForce { settings, name, me, descriptors: None };
        in_force.compare(&read(text)).map(|changes| changes.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_counts_now_and_later_is_told() {
        assert_eq!(compare(FILE).as_deref(), Ok("nothing has changed"));
        let both = compare(&format!("{FILE} MaxSessions = 7 DaemonUser = other Window = 100"));
        let now = "MaxSessions was 10000 and is 7; Window was 512 and is 100; PersonalWindow was 128 and is 20";
        assert_eq!(both, Ok(format!("{now}; only after a restart: DaemonUser was \"spread\" and is \"other\"")));
    }

    #[test]
    fn a_file_that_is_not_ours_is_refused() {
        for (text, reason) in [
            ("Spread_Segment unicast { gamma 10.0.0.1 beta 10.0.0.2 }", "the file has no daemon alpha"),
            ("Spread_Segment unicast { alpha 10.0.0.9 beta 10.0.0.2 }", "alpha is identified by 10.0.0.9 there"),
            ("Spread_Segment unicast { alpha 10.0.0.1 }", "the daemon beta is removed"),
        ] {
            assert!(compare(text).unwrap_err().contains(reason), "{text}");
        }
    }
}
