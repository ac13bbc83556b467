//! Reloads the file while the daemon runs: it takes effect as a whole or not at all.
//!
//! The caller has parsed the file, so a file with mistakes never comes here. Here it is compared with the settings in force. A file that
//! is not this daemon's is refused, with the reason. Otherwise all changes go to the loop in one request, and the log has both values of
//! each.

use std::fmt;

use tracing::{info, warn};

use super::files::{self, FileError};
use super::handle::{Handle, News, Request};
use super::setup::Membership;
use crate::config::{Change, ClientAddresses, Daemon, Difference, Live, Settings};
use crate::ring::RingSettings;
use crate::seal::Keys;
use crate::time::Duration;
use crate::wire::{DaemonId, Incarnation};

/// How long the loop may take to apply the settings.
const APPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// The settings in force, and the daemon that they are for.
#[derive(Clone, Debug)]
pub(super) struct InForce {
    pub settings: Settings,
    pub name: String,
    pub me: DaemonId,
    /// Descriptors that this process may have, if that is known.
    pub descriptors: Option<usize>,
}

/// The changes that a reload made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// In force from now on.
    pub now: Vec<Difference>,
    /// In force as soon as all members of the ring have read the file.
    pub once_all_have_it: Vec<Difference>,
    /// In force at the next start of the daemon.
    pub at_restart: Vec<Difference>,
}

impl fmt::Display for Reloaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = [
            ("", &self.now),
            ("once all daemons of the ring have read it: ", &self.once_all_have_it),
            ("only after a restart: ", &self.at_restart),
        ];
        let join = |list: &[Difference]| list.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        let said =
            parts.iter().filter(|(_, list)| !list.is_empty()).map(|(when, list)| format!("{when}{}", join(list)));
        let said: Vec<String> = said.collect();
        f.write_str(if said.is_empty() { "nothing has changed" } else { "" })?;
        f.write_str(&said.join("; "))
    }
}

/// Why a reload changed nothing.
#[derive(Debug)]
pub enum ReloadError {
    /// A file cannot be used.
    File(FileError),
    /// It is not the file of this daemon; the reason.
    NotOurs(String),
    /// A port that it needs cannot be opened; the reason.
    Refused(String),
    /// The daemon does not answer.
    Busy,
}

impl fmt::Display for ReloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReloadError::File(error) => error.fmt(f),
            ReloadError::NotOurs(reason) => f.write_str(reason),
            ReloadError::Refused(reason) => f.write_str(reason),
            ReloadError::Busy => f.write_str("the daemon is busy: try again"),
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
    /// The changes that the new settings bring, or the reason why they cannot be applied.
    fn compare(&self, new: &Settings) -> Result<Reloaded, ReloadError> {
        let name = &self.name;
        // By name, so that a changed id gets an error of its own.
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
        let daemons = new.table.daemons.iter().map(|daemon| daemon.id).collect();
        // Daemons that cannot form a ring are refused before anything changes.
        if let Err(error) = RingSettings::new(self.me, Incarnation(0), daemons).check() {
            return Err(ReloadError::NotOurs(error.to_string()));
        }
        let mut differences = new.differences(&self.settings);
        let port = |settings: &Settings| {
            let me = settings.table.daemons.iter().find(|daemon| daemon.id == self.me)?;
            Some(settings.table.segment_of(me).client_port())
        };
        if let (Some(old), Some(now)) = (port(&self.settings), port(new))
            && old != now
        {
            let text = format!("the clients' port was {old} and is {now}");
            differences.push(Difference { change: Change::Start, text });
        }
        let of = |change: Change| -> Vec<Difference> {
            differences.iter().filter(|difference| difference.change == change).cloned().collect()
        };
        let (now, once_all_have_it, at_restart) = (of(Change::Live), of(Change::Table), of(Change::Start));
        Ok(Reloaded { now, once_all_have_it, at_restart })
    }

    /// The daemons and networks of these settings.
    fn membership(&self, settings: &Settings) -> Membership {
        Membership::of(settings, self.own(settings))
    }

    /// The addresses for TCP clients, if these settings change them for this daemon.
    fn other_clients(&self, settings: &Settings) -> Option<ClientAddresses> {
        let [before, now] = [&self.settings, settings].map(|settings| &self.own(settings).clients);
        (before != now).then(|| now.clone())
    }

    fn own<'a>(&self, settings: &'a Settings) -> &'a Daemon {
        let me = settings.table.daemons.iter().find(|daemon| daemon.id == self.me);
        me.expect("a file without this daemon is refused")
    }
}

impl InForce {
    /// The keys of the file that the new settings name; none if packets are not sealed. Only a restart can begin or end sealing, because
    /// daemons that seal do not accept packets of those that do not.
    fn read_keys(&self, new: &mut Live) -> Result<Keys, FileError> {
        match (&self.settings.live.key_file, &new.key_file) {
            (Some(_), Some(file)) => files::read_keys(file),
            (old, next) => {
                // The next start will need this file, so a mistake in it is reported now.
                next.as_deref().map(files::read_keys).transpose()?;
                new.key_file.clone_from(old);
                old.as_deref().map_or(Ok(Keys::NONE), files::read_keys)
            }
        }
    }
}

impl Handle {
    /// The largest number of bytes, data and group names together, that the daemon takes in one message.
    pub fn message_limit(&self) -> usize {
        self.in_force().settings.live.session.message_limit
    }

    /// Applies settings that were read again, and returns what they change. The access, password and key files are read again too. After
    /// an error everything is as it was.
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
        let news = News {
            live: settings.live.clone(),
            has_new_policy: settings.live.policy != in_force.settings.live.policy,
            keys,
            membership: in_force.membership(&settings),
            clients: in_force.other_clients(&settings),
        };
        if !self.obey(Request::Settings(Box::new(news)), APPLY_TIMEOUT) {
            return Err(ReloadError::Busy);
        }
        if let Some(reason) = self.status().reload_error {
            return Err(ReloadError::Refused(reason));
        }
        // Only now: after an error the next reload must still be compared with the old settings.
        in_force.settings = settings;
        changes.now.iter().for_each(|change| info!(name: "setting_changed", "the file was read again: {change}"));
        self.happened("reloaded", format!("the file was read again: {changes}"));
        changes
            .once_all_have_it
            .iter()
            .for_each(|change| info!(name: "table_changes", "the file was read again; in force once all daemons of the ring have read it: {change}"));
        changes.at_restart.iter().for_each(
            |change| warn!(name: "setting_waits", "the file was read again; in force only after a restart: {change}"),
        );
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
    fn other_daemons_and_networks_wait_for_all() {
        let removed = compare("Spread_Segment unicast:4900 { alpha 10.0.0.1 } Window = 100 PersonalWindow = 20");
        assert_eq!(
            removed,
            Ok("Window was 512 and is 100; PersonalWindow was 128 and is 20; once all daemons of the ring have read it: \
                the daemon beta is removed; network 0 of segment 1 was unicast to each daemon in turn, port 4803 and is \
                unicast to each daemon in turn, port 4900; only after a restart: the clients' port was 4803 and is 4900"
                .to_owned())
        );
        let named = compare("Spread_Segment unicast { alpha 10.0.0.1 beta 10.0.0.2 } Network 0 { Name = office }");
        assert_eq!(named.as_deref(), Ok("network 0 was not named and is \"office\""));
    }

    #[test]
    fn a_file_that_is_not_ours_is_refused() {
        for (text, reason) in [
            ("Spread_Segment unicast { gamma 10.0.0.1 beta 10.0.0.2 }", "the file has no daemon alpha"),
            ("Spread_Segment unicast { alpha 10.0.0.9 beta 10.0.0.2 }", "alpha is identified by 10.0.0.9 there"),
        ] {
            assert!(compare(text).unwrap_err().contains(reason), "{text}");
        }
    }
}
