//! Intake beside pgbench: who takes in more deliveries a second, the orchestrator over HTTP or bare inserts?

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde::Serialize;
use sqlx::PgPool;
use uuid::Uuid;

use crate::database::DurableServer;
use crate::delivery::Deliveries;
use crate::load;
use crate::pgbench::Pgbench;
use crate::platform::{Platform, Template};
use crate::samples::Samples;

/// Connections of the load generator, clients of pgbench.
pub const CONNECTIONS: usize = 64;
/// The first transactions of either open connections and plan statements.
const WARM_UP: Duration = Duration::from_secs(2);
/// What was taken in is decided afterwards; the next turn waits for that, at most so long.
const DECIDE_DEADLINE: Duration = Duration::from_secs(120);
/// Between two looks whether all is decided.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What all turns gave.
#[derive(Debug, Serialize)]
pub struct Intake {
    pub connections: usize,
    pub payload_bytes: usize,
    pub seconds_a_turn: u64,
    /// Transactions a second of pgbench, one turn after the other.
    pub pgbench: Vec<f64>,
    /// Acknowledged deliveries a second.
    pub orchestrator: Vec<f64>,
    /// Deliveries decided a second, from the first one sent to the last one decided.
    pub decided: Vec<f64>,
    /// Milliseconds from request to answer.
    pub answer_p50: f64,
    pub answer_p99: f64,
    pub statuses: BTreeMap<u16, u64>,
    /// Deliveries answered with 2xx, and how many of them are in the table.
    pub acknowledged: usize,
    pub found: usize,
    pub undecided: i64,
}

impl Intake {
    /// The median of the one through the median of the other.
    pub fn ratio(&self) -> f64 {
        Samples::of(self.orchestrator.clone()).median() / Samples::of(self.pgbench.clone()).median()
    }
}

/// Plays the turns: pgbench, orchestrator, pgbench, orchestrator …
pub async fn measure(
    server: &DurableServer,
    template: &Template,
    pgbench: &Pgbench,
    deliveries: &Arc<Deliveries>,
    rounds: u32,
    length: Duration,
) -> anyhow::Result<Intake> {
    let bare = server
        .create("bare_inserts", Some(&template.database))
        .await?;
    let ours = server.create("intake", Some(&template.database)).await?;
    let platform = Platform::start(template, "intake", &server.url(&ours), "info").await?;
    let eyes = server.eyes(&ours).await?;
    pgbench.run(server, &bare, CONNECTIONS, WARM_UP).await?;
    let mut acknowledged = load::send(platform.gateway, deliveries, CONNECTIONS, WARM_UP)
        .await?
        .acknowledged;
    decided(&eyes).await?;

    let mut found = Intake {
        connections: CONNECTIONS,
        payload_bytes: crate::delivery::PAYLOAD_BYTES,
        seconds_a_turn: length.as_secs(),
        pgbench: Vec::new(),
        orchestrator: Vec::new(),
        decided: Vec::new(),
        answer_p50: 0.0,
        answer_p99: 0.0,
        statuses: BTreeMap::new(),
        acknowledged: 0,
        found: 0,
        undecided: 0,
    };
    let mut latencies = Vec::new();
    for round in 1..=rounds {
        server.checkpoint().await?;
        let ceiling = pgbench.run(server, &bare, CONNECTIONS, length).await?;
        server.checkpoint().await?;
        let began = Instant::now();
        let load = load::send(platform.gateway, deliveries, CONNECTIONS, length).await?;
        decided(&eyes).await?;
        let decided_rate = load.acknowledged.len() as f64 / began.elapsed().as_secs_f64();
        eprintln!(
            "intake {round}/{rounds}: pgbench {ceiling:.0}/s, orchestrator {:.0}/s, decided at {decided_rate:.0}/s",
            load.rate()
        );
        found.pgbench.push(ceiling);
        found.orchestrator.push(load.rate());
        found.decided.push(decided_rate);
        for (status, count) in load.statuses {
            *found.statuses.entry(status).or_default() += count;
        }
        latencies.extend(load.latencies);
        acknowledged.extend(load.acknowledged);
    }
    let latencies = Samples::of(latencies);
    found.answer_p50 = latencies.median();
    found.answer_p99 = latencies.percentile(99);
    found.acknowledged = acknowledged.len();
    found.found = in_the_table(&eyes, &acknowledged).await?;
    found.undecided = undecided(&eyes).await?;
    anyhow::ensure!(
        found.found == found.acknowledged,
        "failed to find every acknowledged delivery: {} of {} are in the table",
        found.found,
        found.acknowledged
    );
    Ok(found)
}

async fn undecided(eyes: &PgPool) -> anyhow::Result<i64> {
    Ok(
        sqlx::query_scalar("SELECT count(*) FROM webhook_deliveries WHERE status = 'processing'")
            .fetch_one(eyes)
            .await?,
    )
}

/// Waits until every delivery has its outcome.
async fn decided(eyes: &PgPool) -> anyhow::Result<()> {
    let deadline = Instant::now() + DECIDE_DEADLINE;
    loop {
        let open: bool = sqlx::query_scalar(
            "SELECT EXISTS (SELECT FROM webhook_deliveries WHERE status = 'processing')",
        )
        .fetch_one(eyes)
        .await?;
        if !open {
            return Ok(());
        }
        anyhow::ensure!(
            Instant::now() < deadline,
            "failed to see every delivery decided within {} s: {} are open",
            DECIDE_DEADLINE.as_secs(),
            undecided(eyes).await?
        );
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// How many of the given deliveries are stored.
async fn in_the_table(eyes: &PgPool, acknowledged: &[Uuid]) -> anyhow::Result<usize> {
    let ids: Vec<String> = acknowledged.iter().map(Uuid::to_string).collect();
    let found: i64 =
        sqlx::query_scalar("SELECT count(*) FROM webhook_deliveries WHERE delivery_id = ANY($1)")
            .bind(&ids)
            .fetch_one(eyes)
            .await
            .context("failed to look for the acknowledged deliveries")?;
    Ok(usize::try_from(found)?)
}
