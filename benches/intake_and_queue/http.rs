//! One keep-alive connection. A client library would take as much of the two cores as what is measured, so requests are
//! sent as bytes and of an answer only status and length are read.

use std::net::SocketAddr;

use anyhow::Context;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer's head is far below.
const HEAD_LIMIT: usize = 16 * 1024;

pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("failed to connect to {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            received: Vec::with_capacity(1024),
        })
    }

    /// Sends a request and answers the status of its answer, which has arrived whole then.
    pub async fn send(&mut self, request: &[u8]) -> anyhow::Result<u16> {
        self.stream
            .write_all(request)
            .await
            .context("failed to send a request")?;
        self.received.clear();
        let head = loop {
            if let Some(end) = self
                .received
                .windows(4)
                .position(|bytes| bytes == b"\r\n\r\n")
            {
                break end + 4;
            }
            anyhow::ensure!(
                self.received.len() < HEAD_LIMIT,
                "failed to read an answer: no end of its head"
            );
            self.receive().await?;
        };
        let text =
            std::str::from_utf8(&self.received[..head]).context("failed to read an answer")?;
        let status = text
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok())
            .with_context(|| format!("failed to read an answer: {text}"))?;
        let length: usize = text
            .lines()
            .filter_map(|line| line.split_once(':'))
            .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
            .and_then(|(_, length)| length.trim().parse().ok())
            .with_context(|| format!("failed to read an answer without its length: {text}"))?;
        while self.received.len() < head + length {
            self.receive().await?;
        }
        Ok(status)
    }

    async fn receive(&mut self) -> anyhow::Result<()> {
        let read = self
            .stream
            .read_buf(&mut self.received)
            .await
            .context("failed to read an answer")?;
        anyhow::ensure!(
            read > 0,
            "failed to read an answer: the connection was closed"
        );
        Ok(())
    }
}
