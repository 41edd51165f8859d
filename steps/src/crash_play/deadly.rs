//! The death of a play: armed, met, overcome.
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use bootstrap::lane::ProcessKind;
use chrono::{DateTime, Utc};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{Api, Client, api::ListParams};
use reports::crash_matrix::{CrashPoint, Reached};
use tokio::task::JoinHandle;

use super::oracle;
use crate::{
    delivery_play::Disturbance,
    platform::{Platform, PlatformSpec},
    wait::{Reading, until},
    world::GateWorld,
};

/// How much of a log tells why a platform does not rest.
const LAST_LINES: usize = 4;
/// Names the folder by which a process with failpoints is told where to die.
const FOLDER_VARIABLE: &str = "FAILPOINTS_FOLDER";
/// Beyond every lease that a dead process can hold, and beyond the next look at GitHub's list of deliveries (D-2, D-6,
/// D-31, R-8, R-186).
const LEASES_OVER_SECONDS: u64 = 6 * 60;
/// Between two looks whether a process has died.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Longest wait for launched agents to begin, and for the platform to take the clock's new time after a death.
const RECOVERY_DEADLINE: Duration = Duration::from_secs(60);
/// Longest wait until lost deliveries have come again.
const REDELIVERY_DEADLINE: Duration = Duration::from_secs(60);

/// A process that died, and what followed.
#[derive(Clone, Debug)]
pub struct Death {
    /// Its name in the platform.
    pub process: String,
    /// What the runs of the scenario were then.
    pub state: String,
    /// From the end of its leases to the next persisted step, in milliseconds.
    pub takeover_ms: Option<u64>,
}

/// What a play with failpoints left.
#[derive(Clone, Debug)]
pub struct DeathTaken {
    /// All points that were reached, oldest first.
    pub journal: Vec<Reached>,
    /// The death, if it came.
    pub death: Option<Death>,
    /// What was lost, doubled or left behind.
    pub faults: Vec<String>,
}

/// A process that was found dead, and when its leases were over.
#[derive(Clone, Debug)]
struct Overcome {
    process: String,
    state: String,
    leases_over_at: DateTime<Utc>,
}

/// A platform on which a process may die.
pub(crate) struct Deadly {
    platform: Arc<Platform>,
    folder: PathBuf,
    point: Option<CrashPoint>,
    watch: Mutex<Option<JoinHandle<anyhow::Result<Overcome>>>>,
    overcome: Mutex<Option<Overcome>>,
}

impl Drop for Deadly {
    fn drop(&mut self) {
        if let Some(watch) = self.taken_watch() {
            watch.abort();
        }
    }
}

impl Deadly {
    fn taken_watch(&self) -> Option<JoinHandle<anyhow::Result<Overcome>>> {
        self.watch
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn has_fired(&self) -> bool {
        self.folder.join("fired").exists()
    }

    fn journal(&self) -> anyhow::Result<Vec<Reached>> {
        let path = self.folder.join("journal");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("failed to read the journal {}", path.display()));
            }
        };
        text.lines()
            .map(|line| {
                serde_json::from_str(line)
                    .with_context(|| format!("the journal of failpoints has the line {line:?}"))
            })
            .collect()
    }
}

/// Gives a play with a death its platform: two workers, so that one can take over from the other.
pub(crate) async fn begin(world: &mut GateWorld) -> anyhow::Result<()> {
    let Some(plays) = world.gate.plays() else {
        return Ok(());
    };
    let number = world.key.attempt;
    let Some(Disturbance::Death(point)) = plays.disturbance(number).cloned() else {
        return Ok(());
    };
    let folder = world.gate.signals.join(format!("failpoints-{number}"));
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("failed to make the folder {}", folder.display()))?;
    let spec = PlatformSpec {
        workers: 2,
        settings: [(FOLDER_VARIABLE.to_owned(), folder.display().to_string())].into(),
        ..PlatformSpec::default()
    };
    let platform = world
        .gate
        .platforms
        .lease(spec, &world.key.scenario)
        .await?;
    platform.be_patient();
    world.use_own_platform(platform.clone());
    world.deadly = Some(Arc::new(Deadly {
        platform,
        folder,
        point,
        watch: Mutex::default(),
        overcome: Mutex::default(),
    }));
    Ok(())
}

/// From now on points count, and one of them kills.
pub(crate) async fn arm(world: &mut GateWorld) -> anyhow::Result<()> {
    let deadly = world
        .deadly
        .clone()
        .context("the play has no platform with failpoints")?;
    let repository = world.place()?.repository;
    let text = deadly
        .point
        .as_ref()
        .map_or_else(|| "none".to_owned(), ToString::to_string);
    // Renamed into place: a process must not read half of it.
    let draft = deadly.folder.join("draft");
    std::fs::write(&draft, text)
        .and_then(|()| std::fs::rename(&draft, deadly.folder.join("armed")))
        .context("failed to arm a failpoint")?;
    let platform = deadly.platform.clone();
    let kube = world.gate.kube.clone();
    let watch = tokio::spawn(async move { overcome(&platform, &kube, &repository).await });
    *deadly.watch.lock().unwrap_or_else(PoisonError::into_inner) = Some(watch);
    Ok(())
}

/// Waits for a death and does what a cluster does then.
async fn overcome(
    platform: &Platform,
    kube: &Client,
    repository: &str,
) -> anyhow::Result<Overcome> {
    let lane = platform.lane();
    let dead = loop {
        let dead = lane
            .processes
            .iter()
            .find(|process| process.unexpected_exit().is_some());
        match dead {
            Some(dead) => break dead,
            None => tokio::time::sleep(LOOK_AGAIN).await,
        }
    };
    let state = states(platform, repository).await?;
    // Of workers there is another one, which has to see by itself that this one is gone.
    if dead.kind != ProcessKind::Worker {
        dead.start()?;
        dead.ready().await?;
    }
    // Nobody takes over before the leases are over; until then the agents work, with what they were given.
    let began = Instant::now();
    while !agents_have_begun(kube, &platform.instance).await? {
        anyhow::ensure!(
            began.elapsed() < RECOVERY_DEADLINE,
            "the agents that were launched do not begin"
        );
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    let began = Instant::now();
    while let Err(error) = platform.advance_clock(LEASES_OVER_SECONDS).await {
        if began.elapsed() > RECOVERY_DEADLINE {
            return Err(error.context("failed to move the clock after a death"));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(Overcome {
        process: dead.name.clone(),
        state,
        leases_over_at: Utc::now(),
    })
}

/// Whether every Job of the platform's runs has a Pod, and each of them has its environment.
async fn agents_have_begun(kube: &Client, instance: &str) -> anyhow::Result<bool> {
    let of_platform = ListParams::default().labels(&format!(
        "codex-k8s.dev/instance={instance},codex-k8s.dev/run-id"
    ));
    let jobs: Api<Job> = Api::all(kube.clone());
    let pods: Api<Pod> = Api::all(kube.clone());
    let jobs = jobs.list_metadata(&of_platform).await?.items.len();
    let pods = pods.list(&of_platform).await?.items;
    let begun = pods.iter().filter(|pod| {
        let phase = pod
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref());
        phase.is_some_and(|phase| phase != "Pending")
    });
    Ok(begun.count() >= jobs.max(pods.len()))
}

/// What the runs of a repository are, such as `running` or `running, succeeded`.
async fn states(platform: &Platform, repository: &str) -> anyhow::Result<String> {
    let query = "SELECT to_jsonb(status) FROM agent_runs WHERE repository_full_name = $1 ORDER BY created_at, id";
    let rows = platform.database.rows(query, &[repository]).await?;
    let states: Vec<&str> = rows.iter().filter_map(serde_json::Value::as_str).collect();
    Ok(match states.as_slice() {
        [] => "no run".to_owned(),
        states => states.join(", "),
    })
}

/// Whether a process has died since this was asked last: then its leases are over now, and what was lost has come
/// again.
pub(crate) async fn has_recovered_meanwhile(world: &mut GateWorld) -> anyhow::Result<bool> {
    let Some(deadly) = world.deadly.clone() else {
        return Ok(false);
    };
    if !deadly.has_fired() {
        return Ok(false);
    }
    let Some(watch) = deadly.taken_watch() else {
        return Ok(false);
    };
    let overcome = watch.await.context("the watch over a death panicked")??;
    *deadly
        .overcome
        .lock()
        .unwrap_or_else(PoisonError::into_inner) = Some(overcome);
    let repository = world.place()?.repository;
    let github = world.gate.github.clone();
    until(
        "the lost deliveries of the repository",
        REDELIVERY_DEADLINE,
        async || {
            let lost = oracle::not_stored(&deadly.platform, &github, &repository).await?;
            Ok(if lost.is_empty() {
                Reading::Reached(())
            } else {
                Reading::NotYet(format!("not stored: {}", lost.join(", ")))
            })
        },
    )
    .await?;
    Ok(true)
}

/// What the play left, when it had failpoints.
pub(crate) async fn finish(world: &mut GateWorld) -> anyhow::Result<Option<DeathTaken>> {
    let Some(deadly) = world.deadly.clone() else {
        return Ok(None);
    };
    if let Some(watch) = deadly.taken_watch() {
        watch.abort();
    }
    let faults = oracle::faults(world, &deadly.platform).await?;
    let journal = deadly.journal()?;
    let overcome = deadly
        .overcome
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let killed = journal
        .iter()
        .find(|reached| reached.killed)
        .map(|reached| reached.process);
    let death = overcome.map(|overcome| Death {
        takeover_ms: journal
            .iter()
            .filter(|reached| Some(reached.process) != killed)
            .map(|reached| (reached.at - overcome.leases_over_at).num_milliseconds())
            .find_map(|passed| u64::try_from(passed).ok()),
        process: overcome.process,
        state: overcome.state,
    });
    Ok(Some(DeathTaken {
        journal,
        death,
        faults,
    }))
}

/// What a person needs who asks why the platform does not rest: who runs, and what each said last.
pub(crate) async fn circumstances(world: &mut GateWorld) -> String {
    let Some(deadly) = world.deadly.clone() else {
        return "the platform does not rest".to_owned();
    };
    let mut text = String::from("the platform does not rest");
    let watch = deadly.taken_watch();
    let watched = match watch {
        None => "nobody watches".to_owned(),
        Some(watch) if !watch.is_finished() => "no death, or it is not overcome yet".to_owned(),
        Some(watch) => match watch.await {
            Ok(Ok(overcome)) => format!("{} died and was overcome", overcome.process),
            Ok(Err(error)) => format!("a death was not overcome: {error:#}"),
            Err(error) => error.to_string(),
        },
    };
    text.push_str(&format!(" ({watched})"));
    for process in &deadly.platform.lane().processes {
        let log = tokio::fs::read_to_string(&process.log).await;
        let log = log.unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(LAST_LINES).collect();
        text.push_str(&format!(
            "; {} {}: {}",
            process.name,
            if process.is_running() {
                "runs"
            } else {
                "does not run"
            },
            last.into_iter().rev().collect::<Vec<_>>().join(" | ")
        ));
    }
    text
}
