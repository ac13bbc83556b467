//! Clients on other machines, which are network namespaces: one whose machine goes without a word in the middle of a message, and one
//! that does not read although its machine is there.
//!
//! Needs root, `ip` and `nft`; without them each test says that it was skipped.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use spread::client::{ConnectOptions, Mailbox, Received};
use spread::wire::{FrameType, Name};

use crate::process::Process;
use crate::rig::Rig;
use crate::{PATIENCE, Reader, name};

/// The daemon's machine; clients come from those above.
const HOME: usize = 0;
const DAEMON: &str = "4803@10.77.0.1";

/// A client that does not read may have all that the tests send waiting.
const CONFIGURATION: &str = "
    Spread_Segment unicast:4803 { alpha 10.77.0.1 { D 10.77.0.1 C 10.77.0.1 } }
    ClientTimeout = 2
    MaxSessionMessages = 100000
    DaemonUser = root
    DaemonGroup = root
";

/// Messages that nobody reads, and their size: far more than sockets keep.
const MESSAGES: i16 = 120;
const SIZE: usize = 100_000;

#[test]
fn a_machine_that_goes_without_a_word_is_missed_by_the_groups_of_its_clients() {
    let Some(mut stage) = Stage::up(2) else { return };
    let witness = stage.join(HOME, "witness");
    let lost = stage.join(1, "lost");
    await_members(&witness, 2);
    stage.rig.cut(1, 0);
    witness.multicast(FrameType::AGREED, &[name("g")], 0, b"is anybody there?").unwrap();
    assert_eq!(stage.next_loss(&witness), "#lost#alpha");
    let log = fs::read_to_string(&stage.log).unwrap();
    let line = log.lines().find(|line| line.contains("acknowledges nothing")).expect("the log says why");
    assert!(line.contains("10.77.0.2:"), "{line}");
    drop(lost);
    stage.rig.heal();
    assert_eq!(stage.join(1, "lost").private_group(), name("#lost#alpha"));
}

#[test]
fn a_stopped_reader_stays_longer_than_machines_that_have_gone() {
    let Some(mut stage) = Stage::up(5) else { return };
    let witness = stage.join(HOME, "witness");
    let reader = stage.reader(1);
    await_members(&witness, 2);
    reader.signal("-STOP");
    for number in 0..MESSAGES {
        witness.multicast(FrameType::AGREED, &[name("#reader#alpha")], number, &[b'x'; SIZE]).unwrap();
    }
    // One after the other: its machine is asked ever more rarely meanwhile, and says nothing for longer than is enough for them.
    for (node, lost) in [(2, "one"), (3, "two"), (4, "three")] {
        let _lost = stage.join(node, lost);
        await_members(&witness, 3);
        stage.rig.cut(node, 0);
        witness.multicast(FrameType::AGREED, &[name("g")], 0, b"is anybody there?").unwrap();
        assert_eq!(stage.next_loss(&witness), format!("#{lost}#alpha"));
    }
    reader.signal("-CONT");
    witness.multicast(FrameType::AGREED, &[name("#reader#alpha")], 0, b"and that was all").unwrap();
    stage.until(|| fs::read_to_string(stage.reading()).unwrap().contains("and that was all"));
}

/// Waits for a view of so many members.
fn await_members(witness: &Mailbox, members: usize) {
    while !matches!(witness.receive().unwrap(), Received::View(view) if view.members.len() == members) {}
}

/// A daemon on a machine of its own.
struct Stage {
    _daemon: Process,
    log: PathBuf,
    rig: Rig,
}

impl Stage {
    /// Starts the daemon, and machines for clients.
    fn up(machines: usize) -> Option<Stage> {
        let rig = Rig::up(machines, 1)?;
        let file = rig.directory().join("spread.conf");
        fs::write(&file, CONFIGURATION).unwrap();
        let mut command = rig.command(HOME, Path::new(env!("CARGO_BIN_EXE_spread")));
        command.arg("-c").arg(&file).args(["-n", "alpha"]);
        let daemon = Process::start(command, &rig.directory().join("alpha"));
        let log = rig.directory().join("alpha.out");
        Some(Stage { _daemon: daemon, log, rig })
    }

    /// A client on a machine, in the group g.
    fn join(&self, machine: usize, private_name: &str) -> Mailbox {
        let (daemon, private_name) = (DAEMON.to_owned(), private_name.to_owned());
        let options = ConnectOptions { daemon, private_name, ..Default::default() };
        let mut mailbox = None;
        self.until(|| {
            mailbox = self.rig.inside(machine, || Mailbox::connect(&options)).ok();
            mailbox.is_some()
        });
        let mailbox = mailbox.unwrap();
        mailbox.join(name("g")).unwrap();
        mailbox
    }

    /// A program on a machine, in the group g.
    fn reader(&self, machine: usize) -> Reader {
        let program = self.rig.command(machine, Path::new(env!("CARGO_BIN_EXE_spuser")));
        Reader::run(program, DAEMON, "g", File::create(self.reading()).unwrap().into())
    }

    /// Where the program writes what it reads.
    fn reading(&self) -> PathBuf {
        self.rig.directory().join("reader.out")
    }

    /// Who is the next that the groups lose.
    fn next_loss(&self, witness: &Mailbox) -> String {
        self.until(|| witness.bytes_waiting() > 0);
        loop {
            match witness.receive().unwrap() {
                Received::View(view) => return view.vs_sets[0].iter().map(Name::to_string).collect(),
                _ => self.until(|| witness.bytes_waiting() > 0),
            }
        }
    }

    fn until(&self, mut holds: impl FnMut() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !holds() {
            assert!(Instant::now() < end, "nothing of the kind: {}", fs::read_to_string(&self.log).unwrap());
            sleep(Duration::from_millis(20));
        }
    }
}
