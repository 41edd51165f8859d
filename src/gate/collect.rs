//! Journals of a run, from sources that the orchestrator does not control, into the bundle.

use anyhow::Context;
use reports::{
    canary::{CanarySearcher, Sink},
    evidence::{LaneFacts, Recorder, SecretValue},
};
use steps::platform::Platform;

use super::target::Running;

/// Tables whose rows are evidence.
const SLICES: [(&str, &str); 8] = [
    (
        "agent_runs",
        "SELECT to_jsonb(t) - 'agent_logs_json' FROM agent_runs t ORDER BY created_at, id",
    ),
    (
        "flow_events",
        "SELECT to_jsonb(t) FROM flow_events t ORDER BY id",
    ),
    (
        "webhook_deliveries",
        "SELECT to_jsonb(t) - 'raw_body' FROM webhook_deliveries t ORDER BY created_at, delivery_id",
    ),
    (
        "outbox_effects",
        "SELECT to_jsonb(t) FROM outbox_effects t ORDER BY id",
    ),
    (
        "namespace_leases",
        "SELECT to_jsonb(t) FROM namespace_leases t ORDER BY namespace",
    ),
    (
        "slots",
        "SELECT to_jsonb(t) FROM slots t ORDER BY project_id, slot_no",
    ),
    (
        "runtime_errors",
        "SELECT to_jsonb(t) FROM runtime_errors t ORDER BY created_at, id",
    ),
    ("links", "SELECT to_jsonb(t) FROM links t ORDER BY id"),
];

/// Writes all journals of the run.
///
/// # Errors
/// When a source cannot be read or the disk is full.
pub async fn journals(running: &Running, recorder: &Recorder) -> anyhow::Result<Vec<LaneFacts>> {
    let github = running.target.run_dir.join("github.ndjson");
    recorder
        .import(&github, "journals/github.ndjson")
        .context("failed to keep the journal of GitHub's stand-in")?;
    recorder
        .import(
            &running.target.run_dir.join("model.ndjson"),
            "journals/model.ndjson",
        )
        .context("failed to keep the journal of the model's stand-in")?;
    recorder
        .import(
            &running.target.run_dir.join("adapter.ndjson"),
            "journals/adapter.ndjson",
        )
        .context("failed to keep the journal of the adapter's stand-in")?;
    let handle = running.stand_in.handle();
    let certificate = tokio::task::spawn_blocking(move || handle.certificate())
        .await?
        .context("the check of the stand-in's answers broke off")?;
    recorder
        .write_json("github-certificate.json", &certificate)
        .context("failed to keep the certificate of GitHub's stand-in")?;
    recorder
        .import(&running.target.audit_log, "journals/audit.ndjson")
        .context("failed to keep the audit log")?;
    let mut lanes = Vec::new();
    for (platform, purpose) in running.gate.platforms.all() {
        lanes.push(platform_journals(&platform, &purpose, recorder).await?);
    }
    Ok(lanes)
}

async fn platform_journals(
    platform: &Platform,
    purpose: &str,
    recorder: &Recorder,
) -> anyhow::Result<LaneFacts> {
    let instance = &platform.instance;
    for (table, query) in SLICES {
        let rows = platform
            .database
            .rows(query, &[])
            .await
            .with_context(|| format!("failed to read {table} of {instance}"))?;
        let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
        recorder
            .write_text(
                &format!("journals/postgres/{instance}/{table}.ndjson"),
                &text,
            )
            .context("failed to keep a slice of Postgres")?;
    }
    let chunks = platform
        .database
        .rows("SELECT jsonb_build_object('run', run_id, 'stream', stream, 'text', text) FROM run_log_chunks ORDER BY run_id, id", &[])
        .await?;
    let mut logs = std::collections::BTreeMap::<String, String>::new();
    for chunk in chunks {
        let log = logs
            .entry(chunk["run"].as_str().unwrap_or("unknown").to_owned())
            .or_default();
        for line in chunk["text"].as_str().unwrap_or_default().lines() {
            log.push_str(&format!(
                "[{}] {line}\n",
                chunk["stream"].as_str().unwrap_or("-")
            ));
        }
    }
    for (run, text) in logs {
        recorder
            .write_text(&format!("journals/jobs/{run}.log"), &text)
            .context("failed to keep the log of a Job")?;
    }
    let mut processes = std::collections::BTreeMap::<&str, usize>::new();
    for process in &platform.lane().processes {
        *processes.entry(process.kind.name()).or_default() += 1;
        recorder
            .import(
                &process.log,
                &format!("journals/orchestrator/{instance}/{}.log", process.name),
            )
            .with_context(|| format!("failed to keep the log of {}", process.name))?;
    }
    Ok(LaneFacts {
        instance: instance.clone(),
        database: platform.lane().database.name.clone(),
        processes: processes
            .iter()
            .map(|(kind, count)| format!("{kind} ×{count}"))
            .collect::<Vec<_>>()
            .join(", "),
        namespaces: vec![
            platform.lane().platform_namespace.clone(),
            platform.lane().code_runs_namespace.clone(),
        ],
        purpose: purpose.to_owned(),
    })
}

/// Searches the raw sources, before redaction, for every secret handed to the system (E-24).
///
/// # Errors
/// When a source cannot be read.
pub async fn search_canaries(running: &Running, recorder: &Recorder) -> anyhow::Result<()> {
    let secrets: Vec<SecretValue> = bootstrap::canary::all()
        .into_iter()
        .map(|secret| SecretValue::new(secret.name.clone(), secret.value.clone()))
        .collect();
    let planted = SecretValue::new("planted leak", bootstrap::canary::canary("planted leak"));
    let mut searcher = CanarySearcher::new(&secrets, &planted);
    for (platform, _) in running.gate.platforms.all() {
        for process in &platform.lane().processes {
            let bytes = tokio::fs::read(&process.log)
                .await
                .with_context(|| format!("failed to read the log of {}", process.name))?;
            searcher.search(Sink {
                kind: "process logs",
                name: &format!("{} {}", platform.instance, process.name),
                bytes: &bytes,
            });
        }
        for (table, query) in SLICES {
            let rows = platform.database.rows(query, &[]).await?;
            let text: String = rows.iter().map(|row| format!("{row}\n")).collect();
            searcher.search(Sink {
                kind: "database",
                name: &format!("{} {table}", platform.instance),
                bytes: text.as_bytes(),
            });
        }
        let chunks = platform
            .database
            .rows("SELECT to_jsonb(text) FROM run_log_chunks ORDER BY id", &[])
            .await?;
        let text: String = chunks.iter().filter_map(|chunk| chunk.as_str()).collect();
        searcher.search(Sink {
            kind: "Job logs",
            name: &platform.instance,
            bytes: text.as_bytes(),
        });
    }
    let audit = tokio::fs::read(&running.target.audit_log)
        .await
        .context("failed to read the audit log")?;
    searcher.search(Sink {
        kind: "Kubernetes audit log",
        name: "audit.ndjson",
        bytes: &audit,
    });
    let github = tokio::fs::read(running.target.run_dir.join("github.ndjson"))
        .await
        .context("failed to read the stand-in's journal")?;
    searcher.search(Sink {
        kind: "GitHub journal",
        name: "github.ndjson",
        bytes: &github,
    });
    // It repeats what a failing command of an agent printed.
    let model = tokio::fs::read(running.target.run_dir.join("model.ndjson"))
        .await
        .context("failed to read the journal of the model's stand-in")?;
    searcher.search(Sink {
        kind: "model journal",
        name: "model.ndjson",
        bytes: &model,
    });
    let adapter = tokio::fs::read(running.target.run_dir.join("adapter.ndjson"))
        .await
        .context("failed to read the journal of the adapter's stand-in")?;
    searcher.search(Sink {
        kind: "adapter journal",
        name: "adapter.ndjson",
        bytes: &adapter,
    });
    searcher.search(Sink {
        kind: "planted leak",
        name: "a line with one secret",
        bytes: format!("token={}", planted.expose()).as_bytes(),
    });
    recorder
        .write_json("canaries.json", &searcher.finish())
        .context("failed to keep the canary search")?;
    Ok(())
}
