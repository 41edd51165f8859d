//! The load: so many connections, each sending its next delivery when it has the answer to the one before.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use uuid::Uuid;

use crate::delivery::Deliveries;
use crate::http::Connection;

/// What came of some seconds.
#[derive(Default)]
pub struct Load {
    /// Deliveries that were answered with 2xx.
    pub acknowledged: Vec<Uuid>,
    pub statuses: BTreeMap<u16, u64>,
    /// Of each answer, in milliseconds.
    pub latencies: Vec<f64>,
    /// Until the last answer.
    pub took: Duration,
}

impl Load {
    /// Acknowledged deliveries a second.
    pub fn rate(&self) -> f64 {
        self.acknowledged.len() as f64 / self.took.as_secs_f64()
    }
}

/// Sends for so long.
///
/// # Errors
/// When a connection breaks: the answer to its delivery would be lost.
pub async fn send(
    gateway: SocketAddr,
    deliveries: &Arc<Deliveries>,
    connections: usize,
    length: Duration,
) -> anyhow::Result<Load> {
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        open.push(Connection::open(gateway).await?);
    }
    let began = Instant::now();
    let mut senders = JoinSet::new();
    for (number, connection) in open.into_iter().enumerate() {
        senders.spawn(one(connection, deliveries.clone(), number, began + length));
    }
    let mut all = Load::default();
    while let Some(part) = senders.join_next().await {
        let part = part??;
        all.acknowledged.extend(part.acknowledged);
        all.latencies.extend(part.latencies);
        for (status, count) in part.statuses {
            *all.statuses.entry(status).or_default() += count;
        }
    }
    all.took = began.elapsed();
    Ok(all)
}

async fn one(
    mut connection: Connection,
    deliveries: Arc<Deliveries>,
    issue: usize,
    end: Instant,
) -> anyhow::Result<Load> {
    let mut load = Load::default();
    let mut request = Vec::new();
    loop {
        let sent = Instant::now();
        if sent >= end {
            return Ok(load);
        }
        let id = Uuid::new_v4();
        deliveries.write(issue, id, &mut request);
        let status = connection.send(&request).await?;
        load.latencies.push(sent.elapsed().as_secs_f64() * 1_000.0);
        *load.statuses.entry(status).or_default() += 1;
        if (200..300).contains(&status) {
            load.acknowledged.push(id);
        }
    }
}
