//! What is printed: for people, and for programs.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use bootstrap::orchestrator::OrchestratorBinary;
use serde::Serialize;

use crate::database::Settings;
use crate::intake::Intake;
use crate::pgbench::Pgbench;
use crate::pick_up::Queue;
use crate::samples::Samples;

/// Wanted: as many acknowledged deliveries as bare transactions.
const INTAKE_RATIO: f64 = 1.0;
/// Wanted: the middle of all waits, in milliseconds.
const PICK_UP_P50: f64 = 5.0;
/// Wanted: our p95 through River's.
const PICK_UP_RATIO: f64 = 0.2;

#[derive(Debug, Serialize)]
pub struct Report {
    pub cores: usize,
    pub profile: &'static str,
    pub revision: Option<String>,
    pub pgbench: String,
    #[serde(flatten)]
    pub settings: Settings,
    pub seconds: u64,
    pub intake: Intake,
    pub intake_ratio: f64,
    pub queue: Queue,
}

impl Report {
    pub fn new(
        settings: Settings,
        orchestrator: &OrchestratorBinary,
        pgbench: &Pgbench,
        intake: Intake,
        queue: Queue,
    ) -> Self {
        Self {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            profile: if cfg!(debug_assertions) {
                "dev"
            } else {
                "release"
            },
            revision: orchestrator.revision.clone(),
            pgbench: pgbench.version.clone(),
            settings,
            seconds: 0,
            intake_ratio: intake.ratio(),
            intake,
            queue,
        }
    }

    /// How long all of it took.
    pub fn took(&mut self, took: Duration) {
        self.seconds = took.as_secs();
    }

    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("a report is JSON")
    }
}

impl Display for Report {
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        let intake = &self.intake;
        let settings: Vec<String> = self
            .settings
            .settings
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        writeln!(
            out,
            "PostgreSQL {} on {}, {} cores, {} profile, {} s in all",
            self.settings.postgres,
            self.settings.file_system,
            self.cores,
            self.profile,
            self.seconds
        )?;
        writeln!(out, "  {}", settings.join(" "))?;
        writeln!(
            out,
            "intake: {} connections, {} bytes, {} turns of {} s each, load on the same cores",
            intake.connections,
            intake.payload_bytes,
            intake.pgbench.len(),
            intake.seconds_a_turn
        )?;
        line(
            out,
            "  pgbench, one transaction a row, no NOTIFY",
            &intake.pgbench,
        )?;
        line(
            out,
            "  orchestrator, HTTP with signature, acknowledged",
            &intake.orchestrator,
        )?;
        line(out, "  orchestrator, decided", &intake.decided)?;
        writeln!(
            out,
            "  ratio orchestrator / pgbench {:.2}, wanted >= {INTAKE_RATIO:.2}: {}",
            self.intake_ratio,
            met(self.intake_ratio >= INTAKE_RATIO)
        )?;
        writeln!(
            out,
            "  answers p50 {:.1} ms, p99 {:.1} ms, by status {:?}",
            intake.answer_p50, intake.answer_p99, intake.statuses
        )?;
        writeln!(
            out,
            "  {} deliveries answered with 2xx, {} of them in the table, {} undecided",
            intake.acknowledged, intake.found, intake.undecided
        )?;
        writeln!(
            out,
            "pick-up: commit to handler; a delivery and the decider beside a job of River {} ({}) and its worker",
            self.queue.river, self.queue.go
        )?;
        for found in &self.queue.pick_up {
            let ratio = found.orchestrator_p95 / found.river_p95;
            writeln!(
                out,
                "  {:<12} orchestrator p50 {:>6.2} ms  p95 {:>6.2} ms   River p50 {:>6.2} ms  p95 {:>6.2} ms   p95 ratio {ratio:.2}",
                found.arrival,
                found.orchestrator_p50,
                found.orchestrator_p95,
                found.river_p50,
                found.river_p95
            )?;
        }
        if let Some(steady) = self.queue.pick_up.first() {
            let ratio = steady.orchestrator_p95 / steady.river_p95;
            writeln!(
                out,
                "  at {}: p50 {:.2} ms, wanted <= {PICK_UP_P50:.1}: {}; p95 {ratio:.2} of River's, wanted <= {PICK_UP_RATIO:.2}: {}",
                steady.arrival,
                steady.orchestrator_p50,
                met(steady.orchestrator_p50 <= PICK_UP_P50),
                met(ratio <= PICK_UP_RATIO)
            )?;
        }
        Ok(())
    }
}

fn met(is_met: bool) -> &'static str {
    if is_met { "met" } else { "not met" }
}

fn line(out: &mut Formatter<'_>, name: &str, rates: &[f64]) -> fmt::Result {
    let samples = Samples::of(rates.to_vec());
    writeln!(
        out,
        "{name:<52} median {:>6.0}/s   {:>6.0} to {:.0}",
        samples.median(),
        samples.percentile(0),
        samples.percentile(100)
    )
}
