//! The networks: a directed link for each network and each ordered pair of daemons, each with its own faults.

use spread::time::Duration;
use spread::wire::NetworkId;

/// How a link treats what it carries.
#[derive(Clone, Copy, Debug)]
pub struct Quality {
    /// Shortest delay.
    pub delay: Duration,
    /// Longest additional delay; more than the distance between two datagrams reorders them.
    pub jitter: Duration,
    /// Probability that a datagram is lost.
    pub loss: f64,
    /// Probability that a datagram arrives twice.
    pub duplicate: f64,
    /// Probability that a copy arrives once more, up to `late_by` later.
    pub late: f64,
    pub late_by: Duration,
    /// Probability that a datagram arrives mutilated.
    pub mangle: f64,
}

impl Quality {
    /// A LAN without faults.
    pub fn good() -> Quality {
        Quality {
            delay: Duration::from_micros(200),
            jitter: Duration::from_micros(100),
            loss: 0.0,
            duplicate: 0.0,
            late: 0.0,
            late_by: Duration::ZERO,
            mangle: 0.0,
        }
    }
}

/// A directed link.
#[derive(Clone, Debug)]
pub struct Link {
    pub quality: Quality,
    pub cut: bool,
    /// Longer datagrams vanish.
    pub limit: usize,
}

/// No datagram is too long.
pub const NO_LIMIT: usize = usize::MAX;

/// Which links a fault concerns; `None` means all.
#[derive(Clone, Copy, Debug, Default)]
pub struct Which {
    pub network: Option<usize>,
    pub from: Option<usize>,
    pub to: Option<usize>,
}

/// All links, and who is on which side of a partition.
#[derive(Debug)]
pub struct Links {
    daemons: usize,
    links: Vec<Link>,
    sides: Vec<u8>,
}

impl Links {
    pub fn new(daemons: usize, networks: usize) -> Links {
        let link = Link { quality: Quality::good(), cut: false, limit: NO_LIMIT };
        Links { daemons, links: vec![link; networks * daemons * daemons], sides: vec![0; daemons] }
    }

    /// How many networks there are.
    pub fn networks(&self) -> usize {
        self.links.len() / (self.daemons * self.daemons)
    }

    pub fn link(&mut self, network: usize, from: usize, to: usize) -> &mut Link {
        &mut self.links[(network * self.daemons + from) * self.daemons + to]
    }

    /// The links that are meant.
    pub fn select(&mut self, which: Which) -> impl Iterator<Item = &mut Link> {
        let daemons = self.daemons;
        let meant = move |(n, link)| {
            let (network, from, to) = (n / daemons / daemons, n / daemons % daemons, n % daemons);
            let fits = |wanted: Option<usize>, is| wanted.is_none_or(|wanted| wanted == is);
            (fits(which.network, network) && fits(which.from, from) && fits(which.to, to)).then_some(link)
        };
        self.links.iter_mut().enumerate().filter_map(meant)
    }

    pub fn partition(&mut self, sides: &[u8]) {
        self.sides.copy_from_slice(sides);
    }

    /// Every link becomes as good as this, and nothing is cut.
    pub fn heal(&mut self, quality: &Quality) {
        self.sides.fill(0);
        self.select(Which::default()).for_each(|link| *link = Link { quality: *quality, cut: false, limit: NO_LIMIT });
    }

    /// Whether anything gets through at all.
    pub fn is_open(&self, network: usize, from: usize, to: usize) -> bool {
        let link = &self.links[(network * self.daemons + from) * self.daemons + to];
        !link.cut && self.sides[from] == self.sides[to]
    }
}

/// The index of a network.
pub fn index(network: NetworkId) -> usize {
    usize::from(network.0)
}
