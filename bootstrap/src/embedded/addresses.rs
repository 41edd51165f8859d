//! A loopback network of the run's own, `127.A.B.0/24`: every listener has an address nobody else
//! uses, so well-known ports are free and no port is guessed.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use rand::Rng;

use crate::error::{Error, Result};

/// Tries to find a network nobody holds; with 50 000 of them the first nearly always is free.
const TRIES: usize = 50;
/// Host that is listened to as long as the network is ours.
const CLAIM: (u8, u16) = (254, 20_000);
/// The first host given to lanes.
const FIRST_LANE: u8 = 20;
/// The last host given to lanes.
const LAST_LANE: u8 = 250;
/// Lanes of one round have hosts of their own; those of the next one have the same hosts and other ports, for a sweep
/// brings up hundreds, one after the other.
const LANES_PER_ROUND: usize = (LAST_LANE - FIRST_LANE) as usize + 1;
/// The ports of twenty rounds fit below 65 536.
const ROUNDS: usize = 20;
/// Above the well-known ports of the last round.
const FIRST_PROCESS: u16 = 20_000;
/// Between the well-known ports of two rounds: those of one differ in their last two digits.
const ROUND_OF_WELL_KNOWN: u16 = 100;
/// Between the ports of the processes of two rounds.
const ROUND_OF_PROCESSES: u16 = 2000;

/// A claimed network; free again when dropped.
#[derive(Debug)]
pub struct Network {
    a: u8,
    b: u8,
    _claim: TcpListener,
}

impl Network {
    /// Claims a random network.
    pub fn claim() -> Result<Self> {
        let mut random = rand::rng();
        let mut refused = None;
        for _ in 0..TRIES {
            // Small second parts are where other programs keep well-known loopback addresses.
            let (a, b) = (random.random_range(64..=254), random.random_range(0..=255));
            match TcpListener::bind((Ipv4Addr::new(127, a, b, CLAIM.0), CLAIM.1)) {
                Ok(claim) => {
                    return Ok(Self {
                        a,
                        b,
                        _claim: claim,
                    });
                }
                Err(error) => refused = Some(error),
            }
        }
        Err(Error::NoAddresses {
            tried: TRIES,
            source: refused.unwrap_or_else(|| std::io::ErrorKind::AddrInUse.into()),
        })
    }

    fn host(&self, host: u8) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(127, self.a, self.b, host))
    }

    /// The network in the usual notation.
    #[must_use]
    pub fn cidr(&self) -> String {
        format!("127.{}.{}.0/24", self.a, self.b)
    }

    /// Where stand-ins listen; any port.
    #[must_use]
    pub fn stand_ins(&self) -> IpAddr {
        self.host(2)
    }

    pub(super) fn etcd_client(&self) -> SocketAddr {
        (self.host(3), 2379).into()
    }

    pub(super) fn etcd_peer(&self) -> SocketAddr {
        (self.host(3), 2380).into()
    }

    /// The API server.
    #[must_use]
    pub fn api_server(&self) -> SocketAddr {
        (self.host(4), 6443).into()
    }

    pub(super) fn controller_manager(&self) -> SocketAddr {
        (self.host(5), 10_257).into()
    }

    pub(super) fn scheduler(&self) -> SocketAddr {
        (self.host(6), 10_259).into()
    }

    /// The node's log endpoint.
    #[must_use]
    pub fn node(&self) -> SocketAddr {
        (self.host(7), 10_250).into()
    }

    /// Where the capability probe listens.
    pub(crate) fn probe(&self) -> SocketAddr {
        (self.host(8), 8080).into()
    }

    /// Where the database is reached while its template is migrated.
    pub(crate) fn migration_database(&self) -> SocketAddr {
        (self.host(9), 5432).into()
    }

    /// Addresses of the lane with this number, counted from 0.
    #[must_use]
    pub fn lane(&self, number: usize) -> Option<LaneAddresses> {
        let round = u16::try_from(number / LANES_PER_ROUND).ok()?;
        let host = u8::try_from(number % LANES_PER_ROUND).ok()? + FIRST_LANE;
        (usize::from(round) < ROUNDS).then(|| LaneAddresses {
            host: self.host(host),
            round,
        })
    }
}

/// The one address of a lane, with a port for each of its listeners.
#[derive(Debug, Clone, Copy)]
pub struct LaneAddresses {
    host: IpAddr,
    round: u16,
}

impl LaneAddresses {
    fn well_known(self, port: u16) -> SocketAddr {
        (self.host, port + self.round * ROUND_OF_WELL_KNOWN).into()
    }

    /// Public HTTP, in front of all gateways.
    #[must_use]
    pub fn public(self) -> SocketAddr {
        self.well_known(8080)
    }

    /// Internal HTTP, in front of all control-planes.
    #[must_use]
    pub fn internal(self) -> SocketAddr {
        self.well_known(9090)
    }

    /// MCP, in front of all control-planes.
    #[must_use]
    pub fn mcp(self) -> SocketAddr {
        self.well_known(8081)
    }

    /// Fault proxy in front of the database.
    #[must_use]
    pub fn postgres(self) -> SocketAddr {
        self.well_known(5432)
    }

    /// Fault proxy in front of the API server.
    #[must_use]
    pub fn api_server(self) -> SocketAddr {
        self.well_known(6443)
    }

    /// A listener of one process: `process` counts all processes of the lane, `listener` those of one process.
    pub(crate) fn process(self, process: u16, listener: u16) -> SocketAddr {
        /// More listeners than any process has.
        const LISTENERS: u16 = 10;
        let first = FIRST_PROCESS + self.round * ROUND_OF_PROCESSES;
        (self.host, first + process * LISTENERS + listener).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_claims_never_share_a_network() {
        let (first, second) = (
            Network::claim().expect("network"),
            Network::claim().expect("network"),
        );
        assert_ne!(first.cidr(), second.cidr());
    }

    #[test]
    fn lanes_end_before_the_claim() {
        let network = Network::claim().expect("network");
        assert!(network.lane(0).is_some());
        assert!(network.lane(230).is_some());
        assert!(network.lane(LANES_PER_ROUND * ROUNDS).is_none());
        assert!(network.lane(usize::MAX).is_none());
    }

    #[test]
    fn no_two_lanes_share_an_address() {
        /// More processes than a lane has.
        const PROCESSES: u16 = 40;
        let network = Network::claim().expect("network");
        let mut seen = std::collections::HashSet::new();
        let of_one_host = (0..ROUNDS).map(|round| 7 + round * LANES_PER_ROUND);
        for lane in of_one_host.map(|number| network.lane(number).expect("a lane")) {
            let fixed = [
                lane.public(),
                lane.internal(),
                lane.mcp(),
                lane.postgres(),
                lane.api_server(),
            ];
            let of_processes = (0..PROCESSES)
                .flat_map(|process| (0..10).map(move |listener| lane.process(process, listener)));
            for address in fixed.into_iter().chain(of_processes) {
                assert!(seen.insert(address), "{address} is given out twice");
            }
        }
        let other = network.lane(8).expect("a lane");
        assert!(
            !seen
                .iter()
                .any(|address| address.ip() == other.public().ip())
        );
    }
}
