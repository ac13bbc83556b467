//! How a daemon speaks where two hosts may run as one daemon.

/// Which life of a daemon is greeted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::multipath) enum LifeMet {
    /// The one that is believed, or the first one that is met.
    Only,
    /// Another one than that which is believed.
    Another,
}

/// What this daemon may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::multipath) enum Voice {
    Full,
    /// That it is there, and who it is: its own reports and greetings.
    Signs,
}

/// Where a daemon is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::multipath) enum Place {
    /// At the site of this one.
    Near,
    /// At another site, where it is reached by its address only.
    Elsewhere,
}
