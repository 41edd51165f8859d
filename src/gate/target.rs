//! Bringing up all that scenarios need: the target, GitHub's stand-in, the common platform.

use std::{collections::BTreeMap, path::Path, sync::Arc, time::Instant};

use anyhow::Context;
use bootstrap::{
    EmbeddedTarget, Event, UpOptions,
    canary::canary,
    lane::{GithubAccess, LaneSpec},
    orchestrator::{
        OrchestratorBinary, build_failpoints_orchestrator, build_null_orchestrator,
        build_orchestrator,
    },
    probe::{Capabilities, Capability, probe, probe_disappearance},
};
use chrono::{DateTime, Utc};
use fixtures::{
    adapter::{AdapterConfig, AdapterStandIn},
    github::{GithubConfig, GithubStandIn, RequestLimits},
    model::{ModelConfig, ModelStandIn},
};
use reports::{
    evidence::{PhaseFacts, Recorder, SecretValue, TargetPhase},
    null_check::Null,
};
use steps::{
    Gate,
    audit_log::AuditLog,
    hub::{Accounts, Hub},
    null::{NullPlay, Switches},
    platform::{LEASES_AT_ONCE, PlatformPool},
};

use tokio::task::JoinHandle;

use super::Failure;
use crate::progress::Reporter;

/// Agents' Jobs disappear so long after their end (R-69, E-13): long enough to be read, short enough to see them go.
const JOB_TTL_SECONDS: u64 = 30;
/// A discussion looks at its thread every 15 s by default; what it does then does not depend on how often (L-108).
const DISCUSSION_POLL_INTERVAL: &str = "200ms";

/// Lanes of their own that run at once against a null: they wait for deadlines most of the time.
const NULL_LEASES_AT_ONCE: usize = 12;
/// Says to the null orchestrator which of the nulls it is.
const NULL_VARIABLE: &str = "GONOGO_NULL";
/// Names the folder in which a repository is given over to the null.
const SWITCHES_VARIABLE: &str = "GONOGO_NULL_SWITCHES";

/// A target with everything on it.
pub struct Running {
    pub target: Arc<EmbeddedTarget>,
    pub stand_in: GithubStandIn,
    pub gate: Arc<Gate>,
    pub binary: OrchestratorBinary,
    pub capabilities: Capabilities,
    /// The one answer of the probe that comes later.
    pub disappearance: JoinHandle<(String, Capability)>,
    pub up: TargetPhase,
    pub settings: BTreeMap<String, String>,
    pub agent: Agent,
}

/// What works on the Issues.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Agent {
    /// The stories that the repositories hold, played without a model.
    #[default]
    Script,
    /// The real Codex CLI, on a stand-in of the model that plays the same stories.
    Codex,
}

impl Agent {
    fn adapter(self) -> &'static str {
        match self {
            Self::Script => "script",
            Self::Codex => "codex",
        }
    }

    /// How reports name what stands in for it.
    #[must_use]
    pub fn stand_in(self) -> &'static str {
        match self {
            Self::Script => {
                "the agent: scripted stories from the repository; where a scenario asks for it, the real Codex CLI"
            }
            Self::Codex => "the agent is the real Codex CLI",
        }
    }
}

/// What a target is brought up for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted {
    pub program: Program,
    pub agent: Agent,
}

/// What plays the orchestrator.
#[derive(Clone, Copy, Debug, Default)]
pub enum Program {
    #[default]
    Product,
    /// The product that dies where it is told to (E-44).
    Failpoints,
    /// One that does less than the product (E-40).
    Null(Null),
}

impl From<Program> for Wanted {
    fn from(program: Program) -> Self {
        Self {
            program,
            agent: Agent::default(),
        }
    }
}

/// Brings everything up, telling what takes time: with the product, or with a null orchestrator in its place.
///
/// # Errors
/// With one sentence and what to do about it.
pub async fn bring_up(
    run_id: &str,
    recorder: Recorder,
    reporter: &Reporter,
    wanted: Wanted,
) -> Result<Running, Failure> {
    let Wanted { program, agent } = wanted;
    let began: DateTime<Utc> = Utc::now();
    let clock = Instant::now();
    if agent == Agent::Codex && bootstrap::probe::program_on_path("codex").is_err() {
        return Err(Failure::Usage(
            "--agent codex needs the Codex CLI, and codex is not on PATH\n  gonogo doctor says how to get it"
                .to_owned(),
        ));
    }
    let tell = {
        let reporter = reporter.clone();
        move |event: Event| match event {
            Event::Started { piece } => reporter.now(&format!("{piece} …")),
            Event::Note { piece, text } => reporter.line(&format!("  {piece}: {text}")),
            Event::Ready {
                piece,
                origin,
                milliseconds,
            } => reporter.line(&format!("  {piece} ready in {milliseconds} ms ({origin})")),
        }
    };
    let cache = bootstrap::CacheFolder::from_environment().map_err(failure)?;
    bootstrap::requirements::check(&cache, &tell)
        .await
        .map_err(failure)?;
    let binary = build_orchestrator(&tell)
        .await
        .map_err(|error| failure(bootstrap::Error::from(error)))?;
    let program_folder = binary
        .path
        .parent()
        .map(Path::to_owned)
        .context("the orchestrator lies in no folder")?;
    // Agents are the product's own against a null as well: the folder above is where Pods look.
    let played = match program {
        Program::Product => Ok(binary.clone()),
        Program::Failpoints => build_failpoints_orchestrator(&tell).await,
        Program::Null(_) => build_null_orchestrator(&tell).await,
    }
    .map_err(|error| failure(bootstrap::Error::from(error)))?
    .path;
    let null = match program {
        Program::Null(null) => Some(null),
        Program::Product | Program::Failpoints => None,
    };
    let built = clock.elapsed();
    let mut options = UpOptions::new(&tell).map_err(failure)?;
    options.run_id = run_id.to_owned();
    options.program_folders = vec![program_folder];
    let target = Arc::new(EmbeddedTarget::up(options).await.map_err(failure)?);

    let accounts = Accounts {
        platform_login: "codex-platform".to_owned(),
        platform_token: canary("GitHub platform token"),
        bot_login: "codex-bot".to_owned(),
        bot_token: canary("GitHub bot token"),
        owner_login: "platform-owner".to_owned(),
        owner_token: canary("GitHub token of the owner"),
    };
    let stand_in = GithubStandIn::start(GithubConfig {
        listen: (target.network.stand_ins(), 0).into(),
        root_dir: target.run_dir.join("github"),
        journal: Some(target.run_dir.join("github.ndjson")),
        limits: RequestLimits::generous(),
    })
    .await
    .context("failed to start GitHub's stand-in")?;
    let hub = Hub::new(stand_in.handle(), accounts.clone())?;
    let model = ModelStandIn::start(ModelConfig {
        listen: (target.network.stand_ins(), 0).into(),
        journal: Some(target.run_dir.join("model.ndjson")),
    })
    .await
    .context("failed to start the model's stand-in")?;
    let adapter = AdapterStandIn::start(AdapterConfig {
        listen: (target.network.stand_ins(), 0).into(),
        journal: Some(target.run_dir.join("adapter.ndjson")),
    })
    .await
    .context("failed to start the adapter's stand-in")?;
    let github = GithubAccess {
        api_base_url: stand_in.api_base_url(),
        git_base_url: stand_in.git_base_url(),
        platform_token: accounts.platform_token.clone(),
        bot_token: accounts.bot_token.clone(),
        bot_username: accounts.bot_login.clone(),
        bot_mail: "codex-bot@codex-k8s.local".to_owned(),
    };
    let settings = BTreeMap::from([
        (
            "CODEXK8S_WORKER_JOB_TTL_SECONDS".to_owned(),
            JOB_TTL_SECONDS.to_string(),
        ),
        (
            "CODEXK8S_DISCUSSION_POLL_INTERVAL".to_owned(),
            DISCUSSION_POLL_INTERVAL.to_owned(),
        ),
    ]);
    let mut base = LaneSpec::new("common", played, github);
    base.owner_login.clone_from(&accounts.owner_login);
    base.extra_env.extend(settings.clone());
    base.agent_adapter = agent.adapter().to_owned();
    base.extra_env
        .insert("CODEXK8S_OPENAI_BASE_URL".to_owned(), model.base_url());
    base.extra_env.insert(
        "CODEXK8S_BOOTSTRAP_PLATFORM_ADMIN_EMAILS".to_owned(),
        steps::staff::HELPERS.join(","),
    );
    let switches = target.run_dir.join("switches");
    if let Some(null) = null {
        base.extra_env
            .insert(NULL_VARIABLE.to_owned(), null.letter().to_owned());
        base.extra_env
            .insert(SWITCHES_VARIABLE.to_owned(), switches.display().to_string());
    }
    let disappearance = tokio::spawn(probe_disappearance(target.kube.clone()));
    let leases = null.map_or(LEASES_AT_ONCE, |_| NULL_LEASES_AT_ONCE);
    let (platforms, capabilities) = tokio::join!(
        PlatformPool::start(target.clone(), base, leases),
        probe(&target)
    );
    let platforms = platforms?;
    for secret in bootstrap::canary::all() {
        recorder.add_secret(SecretValue::new(secret.name.clone(), secret.value.clone()));
    }

    let signals = target.run_dir.join("signals");
    tokio::fs::create_dir_all(&signals)
        .await
        .context("failed to make a folder for signals")?;
    let took = clock.elapsed();
    let mut gate = Gate::new(
        recorder,
        hub,
        model,
        adapter,
        platforms,
        AuditLog::new(&target.audit_log),
        target.kube.clone(),
        binary.revision.clone().unwrap_or_default(),
        binary.dirty.unwrap_or_default(),
        signals,
    )?;
    gate.null = null.map(|null| match null {
        Null::A => NullPlay::FromTheStart,
        Null::B | Null::C => NullPlay::FromTheTurn(Switches::new(switches)),
    });
    reporter.line(&format!(
        "  target up in {:.1} s, and {:.1} s to build the orchestrator",
        (took - built).as_secs_f64(),
        built.as_secs_f64()
    ));
    let facts = target
        .timings
        .iter()
        .map(|timing| PhaseFacts {
            subject: timing.piece.clone(),
            result: format!("ready ({})", timing.origin),
            ok: true,
            duration_ms: u64::try_from(timing.milliseconds).unwrap_or(u64::MAX),
        })
        .collect();
    let up = TargetPhase {
        name: "up".to_owned(),
        started_at: began,
        duration_ms: u64::try_from((took - built).as_millis()).unwrap_or(u64::MAX),
        ok: true,
        facts,
    };
    Ok(Running {
        target,
        stand_in,
        gate: Arc::new(gate),
        binary,
        capabilities,
        disappearance,
        up,
        settings,
        agent,
    })
}

/// A failure of a target, with what to do.
pub fn failure(error: bootstrap::Error) -> Failure {
    let hint = error.hint();
    Failure::Gate {
        message: error.with_causes(),
        hint,
    }
}
