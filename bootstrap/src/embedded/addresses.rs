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
        let host = u8::try_from(number)
            .ok()
            .and_then(|number| FIRST_LANE.checked_add(number))?;
        (host <= LAST_LANE).then(|| LaneAddresses {
            host: self.host(host),
        })
    }
}

/// The one address of a lane, with a port for each of its listeners.
#[derive(Debug, Clone, Copy)]
pub struct LaneAddresses {
    host: IpAddr,
}

impl LaneAddresses {
    /// Public HTTP, in front of all gateways.
    #[must_use]
    pub fn public(self) -> SocketAddr {
        (self.host, 8080).into()
    }

    /// Internal HTTP, in front of all control-planes.
    #[must_use]
    pub fn internal(self) -> SocketAddr {
        (self.host, 9090).into()
    }

    /// MCP, in front of all control-planes.
    #[must_use]
    pub fn mcp(self) -> SocketAddr {
        (self.host, 8081).into()
    }

    /// Fault proxy in front of the database.
    #[must_use]
    pub fn postgres(self) -> SocketAddr {
        (self.host, 5432).into()
    }

    /// Fault proxy in front of the API server.
    #[must_use]
    pub fn api_server(self) -> SocketAddr {
        (self.host, 6443).into()
    }

    /// A listener of one process: `process` counts all processes of the lane, `listener` those of one process.
    pub(crate) fn process(self, process: u16, listener: u16) -> SocketAddr {
        /// More listeners than any process has.
        const LISTENERS: u16 = 10;
        (self.host, 10_000 + process * LISTENERS + listener).into()
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
        assert!(network.lane(231).is_none());
        assert!(network.lane(usize::MAX).is_none());
    }
}
