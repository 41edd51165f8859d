//! A TCP proxy that can misbehave on demand: what stands between a lane and its database or API
//! server, and in front of several replicas of one process as a Service would.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Bytes moved at once in one direction.
const BUFFER: usize = 16 * 1024;

/// What the proxy does with connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Bytes flow.
    Pass,
    /// Open connections are closed, new ones are closed at once.
    Cut,
    /// Connections stay open and new ones are taken, but no byte flows.
    Hold,
}

/// Where the proxy leads.
#[derive(Debug, Clone)]
pub enum Upstream {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A running proxy; dropping it closes the listener and every connection.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    mode: watch::Sender<Mode>,
    shared: Arc<Counters>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Counters {
    open: AtomicUsize,
    accepted: AtomicUsize,
}

impl FaultProxy {
    /// Listens on `address`; a connection goes to the first upstream that takes it, beginning with
    /// another one each time.
    pub async fn start(address: SocketAddr, upstreams: Vec<Upstream>) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let (mode, receiver) = watch::channel(Mode::Pass);
        let shared = Arc::new(Counters::default());
        let task = tokio::spawn(accept(
            listener,
            Arc::new(upstreams),
            receiver,
            Arc::clone(&shared),
        ));
        Ok(Self {
            address,
            mode,
            shared,
            task,
        })
    }

    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    #[must_use]
    pub fn mode(&self) -> Mode {
        *self.mode.borrow()
    }

    pub fn set(&self, mode: Mode) {
        self.mode.send_replace(mode);
    }

    /// Lets bytes flow again.
    pub fn pass(&self) {
        self.set(Mode::Pass);
    }

    /// Closes every connection and takes no new one.
    pub fn cut(&self) {
        self.set(Mode::Cut);
    }

    /// Stops the flow without closing anything.
    pub fn hold(&self) {
        self.set(Mode::Hold);
    }

    /// Connections that are open now.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.shared.open.load(Ordering::Relaxed)
    }

    /// Connections taken since the start.
    #[must_use]
    pub fn accepted_connections(&self) -> usize {
        self.shared.accepted.load(Ordering::Relaxed)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.task.abort();
        // Connection tasks see the sender go and end.
    }
}

async fn accept(
    listener: TcpListener,
    upstreams: Arc<Vec<Upstream>>,
    mode: watch::Receiver<Mode>,
    counters: Arc<Counters>,
) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            continue;
        };
        counters.accepted.fetch_add(1, Ordering::Relaxed);
        if *mode.borrow() == Mode::Cut {
            // Dropping it closes it.
            continue;
        }
        let first = counters.accepted.load(Ordering::Relaxed);
        let (upstreams, mode, counters) =
            (Arc::clone(&upstreams), mode.clone(), Arc::clone(&counters));
        tokio::spawn(async move {
            counters.open.fetch_add(1, Ordering::Relaxed);
            serve(client, &upstreams, first, mode).await;
            counters.open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

async fn serve(
    mut client: TcpStream,
    upstreams: &[Upstream],
    first: usize,
    mode: watch::Receiver<Mode>,
) {
    // Small answers must not wait for more bytes.
    let _ = client.set_nodelay(true);
    let mut held = mode.clone();
    if held.wait_for(|mode| *mode != Mode::Hold).await.is_err() {
        return;
    }
    for turn in 0..upstreams.len() {
        match &upstreams[(first + turn) % upstreams.len()] {
            Upstream::Tcp(address) => {
                if let Ok(mut server) = TcpStream::connect(address).await {
                    let _ = server.set_nodelay(true);
                    let (server_read, server_write) = server.split();
                    let (client_read, client_write) = client.split();
                    return both(client_read, client_write, server_read, server_write, mode).await;
                }
            }
            Upstream::Unix(path) => {
                if let Ok(mut server) = UnixStream::connect(path).await {
                    let (server_read, server_write) = server.split();
                    let (client_read, client_write) = client.split();
                    return both(client_read, client_write, server_read, server_write, mode).await;
                }
            }
        }
    }
}

async fn both(
    client_read: impl AsyncRead + Unpin,
    client_write: impl AsyncWrite + Unpin,
    server_read: impl AsyncRead + Unpin,
    server_write: impl AsyncWrite + Unpin,
    mut mode: watch::Receiver<Mode>,
) {
    let up = copy(client_read, server_write, mode.clone());
    let down = copy(server_read, client_write, mode.clone());
    // A reset ends both ways: who was killed must not leave a connection, and a transaction in it, on the other side.
    tokio::select! {
        _ = async { tokio::try_join!(up, down) } => {}
        // The mode turned to Cut, or the proxy is gone.
        _ = mode.wait_for(|mode| *mode == Mode::Cut) => {}
    }
}

/// Moves bytes one way, pausing while the mode is Hold; passes the end of the stream on.
async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut mode: watch::Receiver<Mode>,
) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = from.read(&mut buffer).await?;
        if mode.wait_for(|mode| *mode != Mode::Hold).await.is_err() || read == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..read]).await?;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listener");
        let address = listener.local_addr().expect("address");
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut read, mut write) = stream.split();
                    tokio::io::copy(&mut read, &mut write).await
                });
            }
        });
        address
    }

    async fn proxied() -> (FaultProxy, TcpStream) {
        let proxy = FaultProxy::start(
            "127.0.0.1:0".parse().expect("address"),
            vec![Upstream::Tcp(echo().await)],
        )
        .await
        .expect("proxy");
        let client = TcpStream::connect(proxy.address()).await.expect("client");
        (proxy, client)
    }

    async fn exchange(client: &mut TcpStream) -> io::Result<u8> {
        client.write_all(b"x").await?;
        client.read_u8().await
    }

    #[tokio::test]
    async fn bytes_pass_both_ways() {
        let (_proxy, mut client) = proxied().await;
        assert_eq!(exchange(&mut client).await.expect("an answer"), b'x');
    }

    #[tokio::test]
    async fn a_cut_ends_open_connections_and_refuses_new_ones_until_it_passes_again() {
        let (proxy, mut client) = proxied().await;
        exchange(&mut client).await.expect("an answer");
        proxy.cut();
        assert!(exchange(&mut client).await.is_err());
        let mut refused = TcpStream::connect(proxy.address())
            .await
            .expect("the listener stays");
        assert!(exchange(&mut refused).await.is_err());
        proxy.pass();
        let mut client = TcpStream::connect(proxy.address()).await.expect("client");
        assert_eq!(exchange(&mut client).await.expect("an answer"), b'x');
    }

    #[tokio::test]
    async fn held_bytes_arrive_once_released() {
        let (proxy, mut client) = proxied().await;
        exchange(&mut client).await.expect("an answer");
        proxy.hold();
        client.write_all(b"y").await.expect("sent");
        let silent = tokio::time::timeout(Duration::from_millis(100), client.read_u8()).await;
        assert!(silent.is_err(), "no byte flows while held");
        proxy.pass();
        assert_eq!(client.read_u8().await.expect("the held answer"), b'y');
    }
}
