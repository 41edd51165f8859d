//! Which TCP connections a process has, read from the kernel: evidence of who talks to whom.

use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddrV4};

use serde::Serialize;

/// One TCP socket of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Connection {
    pub local: SocketAddrV4,
    /// Port 0 for a listener.
    pub remote: SocketAddrV4,
}

/// The IPv4 TCP sockets of a process; empty when it is gone.
#[must_use]
pub fn connections_of(pid: i32) -> Vec<Connection> {
    let inodes = socket_inodes(pid);
    let table = std::fs::read_to_string(format!("/proc/{pid}/net/tcp")).unwrap_or_default();
    table
        .lines()
        .skip(1)
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (local, remote, inode) = (fields.get(1)?, fields.get(2)?, fields.get(9)?);
            inodes
                .contains(*inode)
                .then(|| {
                    Some(Connection {
                        local: address_of(local)?,
                        remote: address_of(remote)?,
                    })
                })
                .flatten()
        })
        .collect()
}

fn socket_inodes(pid: i32) -> HashSet<String> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
        return HashSet::new();
    };
    entries
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .filter_map(|target| {
            target
                .to_str()?
                .strip_prefix("socket:[")?
                .strip_suffix(']')
                .map(str::to_owned)
        })
        .collect()
}

/// An address as the kernel prints it: hexadecimal in the machine's byte order, then the port.
pub(crate) fn address_of(text: &str) -> Option<SocketAddrV4> {
    let (address, port) = text.split_once(':')?;
    let address = u32::from_str_radix(address, 16).ok()?;
    Some(SocketAddrV4::new(
        Ipv4Addr::from(address.to_ne_bytes()),
        u16::from_str_radix(port, 16).ok()?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_connections_are_seen() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("listener");
        let address = listener.local_addr().expect("address");
        let _client = std::net::TcpStream::connect(address).expect("client");
        let own = connections_of(std::process::id().cast_signed());
        assert!(
            own.iter()
                .any(|connection| std::net::SocketAddr::V4(connection.remote) == address)
        );
    }
}
