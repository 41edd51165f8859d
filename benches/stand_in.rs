//! How fast GitHub's stand-in is: REST requests a second over connections that stay open, and the clone of a large
//! repository. Server and clients share one process and one machine.
//!
//! `cargo bench --profile dev --bench stand_in`; `GONOGO_BENCH_SECONDS` sets the time per part (5).

use std::process::{ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use fixtures::github::{
    GithubClient, GithubConfig, GithubHandle, GithubStandIn, RequestLimits, UserKind,
};

/// Seconds per part.
const SECONDS: u64 = 5;
/// Clients that ask side by side, each with one request at a time.
const CLIENTS: usize = 16;
/// Requests a second that a part should reach.
const TARGET_RATE: f64 = 1_000.0;
/// Files of the large repository, and bytes of each: 20 MB that do not compress.
const FILES: u64 = 20;
const FILE_BYTES: usize = 1_000_000;
/// Clones, of which the middle one counts.
const CLONES: usize = 5;
/// Seconds that a clone should take at most.
const TARGET_CLONE: f64 = 1.0;
const REPOSITORY: &str = "acme/shop";

fn main() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    match runtime.block_on(bench()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("a target was missed");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// True when every target was met.
async fn bench() -> anyhow::Result<bool> {
    let seconds = match std::env::var("GONOGO_BENCH_SECONDS") {
        Ok(text) => text
            .parse()
            .context("GONOGO_BENCH_SECONDS is not a number")?,
        Err(_) => SECONDS,
    };
    let duration = Duration::from_secs(seconds);
    let folder = tempfile::tempdir()?;
    let stand_in = GithubStandIn::start(GithubConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        root_dir: folder.path().join("repositories"),
        journal: Some(folder.path().join("github.ndjson")),
        limits: RequestLimits::generous(),
    })
    .await?;
    let handle = stand_in.handle();
    let token = handle.create_user("olga", UserKind::User)?;
    handle.create_organization("acme", "olga")?;
    handle
        .create_repository("acme", "shop", large_files())
        .await?;
    let client = handle.as_user(&token);
    let mut issues = Vec::new();
    for number in 0..CLIENTS {
        let title = format!("Issue {number}");
        let issue = client
            .create_issue(REPOSITORY, &title, "Say hello.")
            .await?;
        issues.push(issue);
    }
    let reads = rate(&client, &issues, duration, Part::Reads).await?;
    let mixed = rate(&client, &issues, duration, Part::Mixed).await?;
    let clone = clone(&handle, folder.path()).await?;
    println!("part                                    measured     target");
    println!("issue reads a second                {reads:>12.0}   ≥ {TARGET_RATE:.0}");
    println!("reads and label writes a second     {mixed:>12.0}   ≥ {TARGET_RATE:.0}");
    println!("clone of 20 MB, seconds             {clone:>12.2}   ≤ {TARGET_CLONE:.0}");
    stand_in.shutdown().await;
    Ok(reads >= TARGET_RATE && mixed >= TARGET_RATE && clone <= TARGET_CLONE)
}

/// What the clients of a part ask.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// An Issue, again and again.
    Reads,
    /// An Issue, a label set, its labels, the label taken away.
    Mixed,
}

/// Requests a second of all clients together.
async fn rate(
    client: &GithubClient,
    issues: &[u64],
    duration: Duration,
    part: Part,
) -> anyhow::Result<f64> {
    let answered = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let clients: Vec<_> = issues
        .iter()
        .map(|issue| {
            let (client, issue, answered) = (client.clone(), *issue, Arc::clone(&answered));
            tokio::spawn(async move {
                while started.elapsed() < duration {
                    let asked = match part {
                        Part::Reads => {
                            client.issue(REPOSITORY, issue).await?;
                            1
                        }
                        Part::Mixed => {
                            client.issue(REPOSITORY, issue).await?;
                            client.add_label(REPOSITORY, issue, "bug").await?;
                            client.labels(REPOSITORY, issue).await?;
                            client.remove_label(REPOSITORY, issue, "bug").await?;
                            4
                        }
                    };
                    answered.fetch_add(asked, Ordering::Relaxed);
                }
                anyhow::Ok(())
            })
        })
        .collect();
    for client in clients {
        client.await??;
    }
    Ok(answered.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64())
}

/// Files whose bytes look random, the same ones every time.
fn large_files() -> Vec<(String, Vec<u8>)> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..FILES)
        .map(|number| {
            let mut bytes = Vec::with_capacity(FILE_BYTES + 8);
            while bytes.len() < FILE_BYTES {
                bytes.extend_from_slice(&next());
            }
            (format!("data/{number}.bin"), bytes)
        })
        .collect()
}

/// Seconds that the middle one of several clones took.
async fn clone(handle: &GithubHandle, folder: &std::path::Path) -> anyhow::Result<f64> {
    let address = format!("{}/{REPOSITORY}.git", handle.git_base_url());
    let mut taken = Vec::new();
    for number in 0..CLONES {
        let target = folder.join(format!("clone-{number}"));
        let started = Instant::now();
        let status = tokio::process::Command::new("git")
            .args(["clone", "--quiet", &address])
            .arg(&target)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            .stdin(Stdio::null())
            .status()
            .await
            .context("failed to run git clone")?;
        ensure!(status.success(), "git clone ended with {status}");
        taken.push(started.elapsed().as_secs_f64());
        tokio::fs::remove_dir_all(&target).await?;
    }
    taken.sort_by(f64::total_cmp);
    Ok(taken[taken.len() / 2])
}
