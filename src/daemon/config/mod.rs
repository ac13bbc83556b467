//! The configuration file, `spread.conf`: from bytes to a checked [`Configuration`], or to everything that is wrong with it.
//!
//! Four stages, a file each: `lexer` cuts the bytes, `parser` builds a tree (`syntax`), `check` applies the rules (with
//! `networks` and `tunables`), `model` is the result. The keywords are a table in `params`. Every file that a classic daemon
//! takes is taken, save where it could not have worked; nothing that stands in a file can panic. The access file, which
//! names clients' addresses, is only read here; `session` knows what it means.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::net::{IpAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

mod address;
mod check;
mod error;
mod explain;
mod lexer;
mod model;
mod networks;
mod params;
mod parser;
mod stanza;
mod syntax;
mod tunables;
mod values;

pub use error::{ConfigError, Diagnostic, EntryError, FINDING_LIMIT, Position};
pub use explain::explain;
pub use model::{
    AuthMethod, ClientAddresses, Configuration, Daemon, Network, NetworkKind, NetworkOptions, NetworkPolicy,
    Parameters, PortReuse, Priority, Segment, Timers, Windows,
};

use crate::session::{AccessList, Passwords};
use error::Findings;

/// The name of the file when none is given.
pub const DEFAULT_FILE: &str = "spread.conf";

/// The name of the access file, looked for in the working directory and in `/etc`.
pub const ACCESS_FILE: &str = "spread.access_ip";

/// The name of the password file, looked for in the same places.
pub const PASSWORD_FILE: &str = "spread.access_pword";

/// The file to read: the one named, otherwise `spread.conf` in the working directory, otherwise in `/etc`; the first that
/// is not plainly absent, even if it turns out not to be readable.
pub fn find_file(name: &Path) -> Option<PathBuf> {
    first_present(&[name, Path::new(DEFAULT_FILE), Path::new("/etc/spread.conf")])
}

/// The access file to read: in the working directory, otherwise in `/etc`.
pub fn find_access_file() -> Option<PathBuf> {
    first_present(&[Path::new(ACCESS_FILE), &Path::new("/etc").join(ACCESS_FILE)])
}

/// Reads an access file.
pub fn read_access_file(path: &Path) -> Result<AccessList, ConfigError> {
    let text = read_limited(path)?;
    AccessList::parse(&String::from_utf8_lossy(&text)).map_err(|error| ConfigError::AccessFile(path.into(), error))
}

/// The password file to read: in the working directory, otherwise in `/etc`.
pub fn find_password_file() -> Option<PathBuf> {
    first_present(&[Path::new(PASSWORD_FILE), &Path::new("/etc").join(PASSWORD_FILE)])
}

/// Reads a password file.
pub fn read_password_file(path: &Path) -> Result<Passwords, ConfigError> {
    let text = read_limited(path)?;
    Passwords::parse(&String::from_utf8_lossy(&text)).map_err(|error| ConfigError::PasswordFile(path.into(), error))
}

fn first_present(candidates: &[&Path]) -> Option<PathBuf> {
    let absent = |error: io::Error| matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory);
    let present = |path: &&&Path| !path.symlink_metadata().is_err_and(absent);
    candidates.iter().find(present).map(|path| path.to_path_buf())
}

impl Configuration {
    /// Reads a file.
    pub fn read(path: &Path) -> Result<Configuration, ConfigError> {
        let text = read_limited(path)?;
        Configuration::parse(&path.display().to_string(), &text)
    }

    /// Reads a text; `file` is its name in messages. A daemon without an address is looked up as a host.
    pub fn parse(file: &str, text: &[u8]) -> Result<Configuration, ConfigError> {
        Configuration::parse_with(file, text, &resolve)
    }

    /// As [`Configuration::parse`], with another way to look up hosts.
    pub fn parse_with(
        file: &str,
        text: &[u8],
        resolve: &dyn Fn(&str) -> Option<IpAddr>,
    ) -> Result<Configuration, ConfigError> {
        let mut findings = Findings::default();
        let tokens = lexer::tokens(text, &mut findings);
        let tree = parser::parse(&tokens, &mut findings);
        let configuration = check::check(tree, resolve, &mut findings);
        let (errors, warnings) = findings.into_diagnostics(file);
        if errors.is_empty() {
            Ok(Configuration { warnings, ..configuration })
        } else {
            Err(ConfigError::Invalid(errors))
        }
    }
}

/// The bytes of a file that is not too large.
fn read_limited(path: &Path) -> Result<Vec<u8>, ConfigError> {
    let mut text = Vec::new();
    let limit = Configuration::FILE_LIMIT as u64 + 1;
    File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut text))
        .map_err(|error| ConfigError::Unreadable(path.to_path_buf(), error))?;
    if text.len() > Configuration::FILE_LIMIT {
        return Err(ConfigError::TooLarge(path.to_path_buf()));
    }
    Ok(text)
}

/// An address of the host with this name, IPv4 if it has one.
fn resolve(name: &str) -> Option<IpAddr> {
    let addresses: Vec<IpAddr> = (name, 0).to_socket_addrs().ok()?.map(|socket| socket.ip()).collect();
    addresses.iter().find(|ip| ip.is_ipv4()).or(addresses.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    const SAMPLE: &str = include_str!("../../../docs/spread.conf.example");

    fn parse(text: &[u8]) -> Result<Configuration, ConfigError> {
        Configuration::parse_with("f", text, &|_| None)
    }

    #[test]
    fn the_sample_file_is_sound() {
        let configuration = parse(SAMPLE.as_bytes()).unwrap();
        assert_eq!(configuration.warnings, []);
        assert_eq!((configuration.daemons.len(), configuration.network_count()), (3, 2));
    }

    #[test]
    fn random_bytes_give_a_value() {
        let mut rng = Rng::new(1);
        for _ in 0..2000 {
            let length = rng.below(300);
            let bytes: Vec<u8> = (0..length).map(|_| rng.next_u64() as u8).collect();
            let _ = parse(&bytes);
        }
    }

    #[test]
    fn random_words_give_a_value() {
        const WORDS: [&str; 41] = [
            "Spread_Segment",
            "Spread_Segment",
            "{",
            "{",
            "}",
            "}",
            "=",
            "= ",
            "\n",
            "#",
            "\"",
            "'",
            "a",
            "b",
            "a#b",
            "\"\"",
            "10.0.0.1",
            "10.0.0.2:0",
            "10.0.0.255:4803",
            "[ff02::1]:99999",
            "fd00::1",
            "127.0.0.1",
            "unicast",
            "unicast:",
            "D",
            "C",
            "M",
            "!",
            "PRINT",
            "DebugFlags",
            "Window",
            "160",
            "1000000",
            "TokenTimeout",
            "RouteMatrix",
            "NetworkPolicy",
            "Network",
            "active",
            "9",
            "EventTimeStamp",
            "\u{fffd}\u{1f600}",
        ];
        let mut rng = Rng::new(2);
        for _ in 0..5000 {
            let text: Vec<&str> = (0..rng.below(60)).map(|_| WORDS[rng.below(WORDS.len() as u64) as usize]).collect();
            let _ = parse(text.join(" ").as_bytes()).map(|configuration| explain(&configuration, None));
        }
    }

    #[test]
    fn a_damaged_file_is_refused_with_a_place_in_it_or_taken() {
        let lines = SAMPLE.lines().count() as u32;
        let mut rng = Rng::new(3);
        for _ in 0..2000 {
            let mut bytes = SAMPLE.as_bytes().to_vec();
            for _ in 0..rng.below(6) {
                let at = rng.below(bytes.len() as u64) as usize;
                bytes[at] = b" \n{}#=\"a9"[rng.below(9) as usize];
            }
            let added = bytes.iter().filter(|&&byte| byte == b'\n').count() as u32;
            match parse(&bytes) {
                Ok(configuration) => assert!(!explain(&configuration, None).is_empty()),
                Err(ConfigError::Invalid(errors)) => {
                    assert!(!errors.is_empty());
                    assert!(errors.iter().all(|e| e.at.column > 0 && (1..=lines.max(added) + 1).contains(&e.at.line)));
                }
                Err(other) => panic!("{other}"),
            }
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_is_a_clear_error() {
        let missing = Configuration::read(Path::new("no/such/spread.conf")).unwrap_err().to_string();
        assert!(missing.starts_with("no/such/spread.conf: cannot be read: "), "{missing}");
        assert!(matches!(Configuration::read(Path::new("src")), Err(ConfigError::Unreadable(..))));
    }

    #[test]
    #[cfg(unix)]
    fn a_file_without_end_is_refused() {
        assert!(matches!(Configuration::read(Path::new("/dev/zero")), Err(ConfigError::TooLarge(..))));
    }

    #[test]
    fn the_first_file_that_is_there_is_found() {
        let [missing, here, also] = ["no/such/spread.conf", "docs/spread.conf.example", "Cargo.toml"].map(Path::new);
        assert_eq!(first_present(&[missing, here, also]).as_deref(), Some(here));
        assert_eq!(first_present(&[missing]), None);
        assert_eq!(find_file(also).as_deref(), Some(also));
    }

    #[test]
    fn a_daemon_without_an_address_is_looked_up() {
        let known = |name: &str| (name == "a").then(|| IpAddr::from([10, 0, 0, 1]));
        let text = b"Spread_Segment 10.0.0.255 { a b { D 10.0.0.2 } }";
        let error = Configuration::parse_with("f", text, &known).unwrap_err().to_string();
        assert!(error.starts_with("f:1:31: the daemon \"b\" has no address"), "{error}");
        let found = Configuration::parse_with("f", b"Spread_Segment 10.0.0.255 { a }", &known).unwrap();
        assert_eq!(found.daemons[0].id.to_string(), "10.0.0.1");
    }
}
