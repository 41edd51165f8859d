//! Pick-up beside River: how long what was committed waits for the first line of its handler.
//!
//! Ours is the delivery: from the commit that makes its acknowledgement true to the decider, which turns it into its
//! outcome; whoever sets a label waits for that. The times are those of the control plane's own log.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use uuid::Uuid;

use crate::database::DurableServer;
use crate::delivery::Deliveries;
use crate::http::Connection;
use crate::platform::{Platform, Template};
use crate::river::River;
use crate::samples::Samples;

/// What the control plane says, with the times that are measured here.
const LOG_FILTER: &str = "info,orchestrator::control_plane=debug";
const COMMITTED: &str = "stored a delivery";
const PICKED_UP: &str = "picked a delivery up";
/// Deliveries before the measured ones.
const WARM_UP: usize = 20;
const WARM_UP_INTERVAL: Duration = Duration::from_millis(20);
/// Longest wait for the log of what was sent.
const LOG_DEADLINE: Duration = Duration::from_secs(10);
/// Between two looks into it.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// How work arrives.
struct Arrival {
    name: &'static str,
    interval: Duration,
    jobs: usize,
}

/// Steadily, and one by one: the first meets a queue's own limits, the second an idle queue.
const ARRIVALS: [Arrival; 2] = [
    Arrival {
        name: "50 a second",
        interval: Duration::from_millis(20),
        jobs: 200,
    },
    Arrival {
        name: "4 a second",
        interval: Duration::from_millis(250),
        jobs: 16,
    },
];

/// Milliseconds from commit to handler.
#[derive(Debug, Serialize)]
pub struct PickUp {
    pub arrival: &'static str,
    pub samples: usize,
    pub orchestrator_p50: f64,
    pub orchestrator_p95: f64,
    pub river_p50: f64,
    pub river_p95: f64,
}

/// Both ways of arriving, with River's version.
#[derive(Debug, Serialize)]
pub struct Queue {
    pub river: String,
    pub go: String,
    pub pick_up: Vec<PickUp>,
}

/// Plays the turns: River, orchestrator, River, orchestrator …
pub async fn measure(
    server: &DurableServer,
    template: &Template,
    river: &River,
    deliveries: &Arc<Deliveries>,
    rounds: u32,
) -> anyhow::Result<Queue> {
    let of_river = server.create("river", None).await?;
    let ours = server.create("queue", Some(&template.database)).await?;
    let platform = Platform::start(template, "queue", &server.url(&ours), LOG_FILTER).await?;
    let mut versions = None;
    let mut pick_up = Vec::new();
    for arrival in &ARRIVALS {
        let (mut orchestrators, mut rivers) = (Vec::new(), Vec::new());
        for round in 1..=rounds {
            server.checkpoint().await?;
            let measured = river
                .run(&server.url(&of_river), arrival.jobs, arrival.interval)
                .await?;
            server.checkpoint().await?;
            play(&platform, deliveries, WARM_UP, WARM_UP_INTERVAL).await?;
            let waits = play(&platform, deliveries, arrival.jobs, arrival.interval).await?;
            eprintln!(
                "pick-up, {} {round}/{rounds}: River p50 {:.1} ms, orchestrator p50 {:.1} ms",
                arrival.name,
                Samples::of(measured.milliseconds.clone()).median(),
                Samples::of(waits.clone()).median()
            );
            rivers.extend(measured.milliseconds);
            orchestrators.extend(waits);
            versions = Some((measured.river, measured.go));
        }
        let (orchestrator, river) = (Samples::of(orchestrators), Samples::of(rivers));
        pick_up.push(PickUp {
            arrival: arrival.name,
            samples: orchestrator.len(),
            orchestrator_p50: orchestrator.median(),
            orchestrator_p95: orchestrator.percentile(95),
            river_p50: river.median(),
            river_p95: river.percentile(95),
        });
    }
    let (river, go) = versions.context("River was never played")?;
    Ok(Queue { river, go, pick_up })
}

/// Sends so many deliveries at a steady pace, whatever becomes of those before, and reads what they waited.
async fn play(
    platform: &Platform,
    deliveries: &Arc<Deliveries>,
    count: usize,
    interval: Duration,
) -> anyhow::Result<Vec<f64>> {
    let mut pace = tokio::time::interval(interval);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sent = JoinSet::new();
    let mut ids = Vec::with_capacity(count);
    for number in 0..count {
        pace.tick().await;
        let id = Uuid::new_v4();
        ids.push(id);
        sent.spawn(send(platform.gateway, deliveries.clone(), number, id));
    }
    while let Some(answered) = sent.join_next().await {
        let status = answered??;
        anyhow::ensure!(
            (200..300).contains(&status),
            "failed to send a delivery: it was answered with {status}"
        );
    }
    let deadline = Instant::now() + LOG_DEADLINE;
    loop {
        let log = Log::read(&platform.log)?;
        let waits: Vec<f64> = ids.iter().filter_map(|id| log.wait(id)).collect();
        if waits.len() == count {
            return Ok(waits);
        }
        anyhow::ensure!(
            Instant::now() < deadline,
            "failed to see every delivery picked up: the log tells of {} of {count}",
            waits.len()
        );
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

async fn send(
    gateway: SocketAddr,
    deliveries: Arc<Deliveries>,
    issue: usize,
    id: Uuid,
) -> anyhow::Result<u16> {
    let mut request = Vec::new();
    deliveries.write(issue, id, &mut request);
    Connection::open(gateway).await?.send(&request).await
}

/// When deliveries were committed and picked up.
#[derive(Default)]
struct Log {
    committed: BTreeMap<String, DateTime<Utc>>,
    picked_up: BTreeMap<String, DateTime<Utc>>,
}

impl Log {
    fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("failed to read {}", path.display()))?;
        let mut log = Self::default();
        for line in text.lines() {
            let Ok(line) = serde_json::from_str::<Value>(line) else {
                continue;
            };
            let times = match line["message"].as_str() {
                Some(COMMITTED) => &mut log.committed,
                Some(PICKED_UP) => &mut log.picked_up,
                _ => continue,
            };
            if let (Some(id), Some(time)) = (
                line["delivery_id"].as_str(),
                line["timestamp"]
                    .as_str()
                    .and_then(|time| time.parse().ok()),
            ) {
                times.insert(id.to_owned(), time);
            }
        }
        Ok(log)
    }

    fn wait(&self, id: &Uuid) -> Option<f64> {
        let id = id.to_string();
        let wait = *self.picked_up.get(&id)? - *self.committed.get(&id)?;
        Some(wait.as_seconds_f64() * 1_000.0)
    }
}
