//! The order of a run: list, bring up, play, settle, collect, take down, judge.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use anyhow::Context;
use chrono::Utc;
use reports::{
    bundle,
    evidence::{Capability, CapabilityState, GateRun, PhaseFacts, ScenarioResult, TargetPhase},
    spec::Specification,
    verdict::{Baseline, Criteria, Effect, Finding, Outcome},
};
use steps::{Options, selection::CAPABILITY_TAGS};

use super::{
    Failure,
    bundle_folder::BundleFolder,
    collect,
    interrupt::Interrupt,
    proofs::Proofs,
    target::{Agent, Running, Wanted, bring_up, failure},
};
use crate::progress::Reporter;

/// What a run is asked for.
#[derive(Clone, Debug)]
pub struct Request {
    /// Id of the run, from [`bootstrap::runs::new_run_id`].
    pub run_id: String,
    pub features: PathBuf,
    pub tags: Option<String>,
    pub jobs: usize,
    pub repeat: u32,
    /// Folder of the bundle; `target/gate/<id>` when absent.
    pub out: Option<PathBuf>,
    /// Criteria; those of the walking gate when absent.
    pub criteria: Option<PathBuf>,
    /// Bundle that this one is compared with.
    pub baseline: Option<PathBuf>,
    /// Folders with results of the gate's proofs of itself, which the bundle keeps.
    pub proofs: Vec<PathBuf>,
    /// The target stays up after the features, for a person to look at.
    pub keep: bool,
    pub agent: Agent,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            run_id: bootstrap::runs::new_run_id(),
            features: "features".into(),
            tags: None,
            jobs: 1,
            repeat: 1,
            out: None,
            criteria: None,
            baseline: None,
            proofs: Vec::new(),
            keep: false,
            agent: Agent::default(),
        }
    }
}

/// How a run ended.
#[derive(Debug)]
pub struct Verdict {
    pub outcome: Outcome,
    pub headline: String,
    /// Why it ended before its end, if it did.
    pub interrupted: Option<String>,
    /// The target outlived the verdict, which `on_kept` has seen.
    pub kept: bool,
    pub bundle: PathBuf,
    pub results: Vec<ScenarioResult>,
    /// What the verdict rests on when it is not GO, the worst first.
    pub findings: Vec<Finding>,
    /// The verdict as `verdict.json` holds it.
    pub document: serde_json::Value,
}

/// Runs the gate once. A target that is to be kept is shown to `on_kept` with the verdict, and taken down when the
/// person asks for it.
///
/// # Errors
/// When it could not do its work; a bundle is written as soon as there is evidence.
pub async fn run(
    request: &Request,
    reporter: &Reporter,
    on_end: impl Fn(&ScenarioResult) + Send + Sync + 'static,
    on_kept: impl FnOnce(&Running, &Verdict) -> Result<(), Failure>,
) -> Result<Verdict, Failure> {
    let mut options = Options {
        features: request.features.clone(),
        tags: request.tags.clone(),
        jobs: request.jobs,
        repeat: request.repeat,
        capabilities: all_capabilities(),
        only: None,
    };
    let planned =
        steps::runner::plan(&options).map_err(|error| Failure::Usage(format!("{error:#}")))?;
    reporter.expect_scenarios(planned.len() * request.repeat.max(1) as usize);
    let specification = Specification::embedded().context("failed to read the specification")?;
    let criteria = criteria(request.criteria.as_deref(), &specification)?;
    let baseline = request.baseline.as_deref().map(baseline).transpose()?;
    let proofs = Proofs::read(&request.proofs).await?;

    let mut stop = Interrupt::listen().context("failed to listen for signals")?;
    let run_id = request.run_id.clone();
    let folder = BundleFolder::open(request.out.as_deref(), &run_id)?;
    if let Some(baseline) = baseline {
        folder
            .recorder
            .write_json("baseline.json", &baseline)
            .context("failed to keep the baseline")?;
    }
    proofs.keep(&folder.recorder)?;
    let mut facts = begin(&run_id, request, &planned);
    folder
        .recorder
        .gate_run(&facts)
        .context("failed to keep what is known of the run")?;
    let judge = |interrupted| judge(&folder, &criteria, &specification, interrupted);

    let wanted = Wanted {
        agent: request.agent,
        ..Wanted::default()
    };
    let running = tokio::select! {
        running = bring_up(&run_id, folder.recorder.clone(), reporter, wanted) => running,
        reason = stop.asked() => {
            clean_up_after(&run_id).await;
            return judge(Some(reason.to_owned()));
        }
    };
    let mut running = match running {
        Ok(running) => running,
        Err(failure) => {
            clean_up_after(&run_id).await;
            // Why the target did not come up matters more than why that could not be written down.
            if let Err(error) = judge(Some(failure.to_string())) {
                tracing::warn!(%error, "the bundle could not be written");
            }
            return Err(failure);
        }
    };
    describe(&mut facts, &running);
    options.capabilities = capabilities_of(&running);
    let tell = {
        let reporter = reporter.clone();
        Arc::new(move |result: &ScenarioResult| {
            reporter.scenario(result);
            on_end(result);
        })
    };
    let gathered = gather(
        &mut running,
        &options,
        &mut facts,
        reporter,
        tell,
        (&mut stop, request.keep),
    )
    .await;
    if request.keep && matches!(gathered, Ok(None)) {
        facts.finished_at = Some(Utc::now());
        facts.kept = true;
        let kept = keep(&folder, &facts, &running, &judge, on_kept);
        if kept.is_ok() {
            tokio::select! {
                _ = stop.asked() => {}
                error = running.target.ended() => reporter.line(&format!("  the target ended: {error}")),
            }
        }
        let down = take_down(running, reporter).await;
        if !down.as_ref().is_ok_and(|phase| phase.ok) {
            clean_up_after(&run_id).await;
        }
        if !down?.ok {
            return Err(Failure::from(anyhow::anyhow!(
                "failed to take the target down: something was left and `gonogo cleanup` may find more"
            )));
        }
        return kept;
    }
    // Whatever happened before: nothing may be left behind.
    let down = take_down(running, reporter).await;
    if down.is_err() {
        clean_up_after(&run_id).await;
    }
    let interrupted = match &gathered {
        Ok(interrupted) => interrupted
            .or_else(|| stop.asked_already())
            .map(str::to_owned),
        Err(error) => Some(format!("{error:#}")),
    };
    facts.phases.extend(down.as_ref().ok().cloned());
    facts.finished_at = Some(Utc::now());
    facts.interrupted.clone_from(&interrupted);
    let verdict = folder
        .recorder
        .gate_run(&facts)
        .context("failed to keep what is known of the run")
        .map_err(Failure::from)
        .and_then(|()| judge(interrupted));
    down?;
    verdict
}

/// Judges a run whose target stays up, and shows both.
fn keep(
    folder: &BundleFolder,
    facts: &GateRun,
    running: &Running,
    judge: &impl Fn(Option<String>) -> Result<Verdict, Failure>,
    show: impl FnOnce(&Running, &Verdict) -> Result<(), Failure>,
) -> Result<Verdict, Failure> {
    folder
        .recorder
        .gate_run(facts)
        .context("failed to keep what is known of the run")?;
    let verdict = Verdict {
        kept: true,
        ..judge(None)?
    };
    show(running, &verdict)?;
    Ok(verdict)
}

/// Plays, settles and collects; answers with the reason when the person stopped it.
async fn gather(
    running: &mut Running,
    options: &Options,
    facts: &mut GateRun,
    reporter: &Reporter,
    tell: steps::writer::OnEnd,
    (stop, kept): (&mut Interrupt, bool),
) -> anyhow::Result<Option<&'static str>> {
    let recorder = &running.gate.recorder.clone();
    recorder
        .gate_run(facts)
        .context("failed to keep what is known of the run")?;
    recorder
        .capabilities(&capabilities(running))
        .context("failed to keep the capabilities")?;

    let began = (Utc::now(), Instant::now());
    let played = tokio::select! {
        played = steps::run(options, running.gate.clone(), tell) => played.map(|()| None),
        reason = stop.asked() => {
            steps::world::uninstall();
            Ok(Some(reason))
        }
        error = running.target.ended() => {
            steps::world::uninstall();
            Err(anyhow::Error::from(error))
        }
    };
    // What scenarios say of a system that could not write is no verdict on it.
    let played = played.and_then(|played| {
        running.target.check_space()?;
        Ok(played)
    });
    facts.phases.push(phase("features", began, vec![]));
    let mut interrupted = *played.as_ref().unwrap_or(&None);
    if let Ok(None) = played {
        tokio::select! {
            probed = &mut running.disappearance => {
                let (name, disappearance) =
                    probed.context("the probe of disappearing namespaces broke off")?;
                running.capabilities.capabilities.insert(name, disappearance);
                recorder
                    .capabilities(&capabilities(running))
                    .context("failed to keep the capabilities")?;
            }
            reason = stop.asked() => interrupted = Some(reason),
        }
    }
    running.disappearance.abort();
    // Who wants to look at what happened needs the namespaces of the runs.
    if played.is_ok() && interrupted.is_none() && !kept {
        let began = (Utc::now(), Instant::now());
        reporter.now("leases end, sweeps run …");
        let settled = tokio::select! {
            settled = settle(running) => settled,
            reason = stop.asked() => {
                interrupted = Some(reason);
                Err(anyhow::anyhow!(reason))
            }
        };
        let result = match &settled {
            Ok(()) => "no run namespace remains".to_owned(),
            Err(error) => format!("{error:#}"),
        };
        let fact = PhaseFacts {
            subject: "run namespaces after the longest lease".to_owned(),
            result,
            ok: settled.is_ok(),
            duration_ms: millis(began.1),
        };
        facts.phases.push(phase("sweep", began, vec![fact]));
    }
    reporter.now("collecting evidence …");
    let collected = collect::journals(running, recorder).await;
    played?;
    if interrupted.is_some() {
        // A run that was stopped keeps what there is.
        facts.lanes = collected.unwrap_or_default();
        return Ok(interrupted);
    }
    facts.lanes = collected?;
    collect::search_canaries(running, recorder).await?;
    Ok(None)
}

/// Lets leases end and waits until no run namespace is left.
async fn settle(running: &Running) -> anyhow::Result<()> {
    let platforms = &running.gate.platforms;
    platforms.settle(&platforms.common()).await?;
    platforms.finalised().await
}

/// Capabilities as `Options` take them, when nothing is known of the target yet.
pub(super) fn all_capabilities() -> BTreeSet<String> {
    capability_names(|_| true)
}

/// Those that the probe of the target found.
pub(super) fn capabilities_of(running: &Running) -> BTreeSet<String> {
    capability_names(|tag| running.capabilities.missing_for(tag).is_none())
}

fn capability_names(wanted: impl Fn(&str) -> bool) -> BTreeSet<String> {
    CAPABILITY_TAGS
        .iter()
        .filter(|tag| wanted(tag))
        .map(|tag| tag.trim_start_matches("needs-").to_owned())
        .collect()
}

/// The criteria of a run: a file that was named, or those this program was built with.
fn criteria(path: Option<&Path>, specification: &Specification) -> Result<Criteria, Failure> {
    let criteria = match path {
        Some(path) => Criteria::read(path)
            .map_err(|error| Failure::Usage(format!("{:#}", anyhow::Error::from(error))))?,
        None => Criteria::walking_gate(),
    };
    criteria
        .check(specification)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    Ok(criteria)
}

/// The bundle that a run is compared with.
fn baseline(path: &Path) -> Result<Baseline, Failure> {
    bundle::baseline(path).map_err(|error| {
        Failure::Usage(format!(
            "failed to compare with {}: {:#}",
            path.display(),
            anyhow::Error::from(error)
        ))
    })
}

fn begin(run_id: &str, request: &Request, planned: &[steps::selection::Listed]) -> GateRun {
    let features: BTreeSet<String> = planned
        .iter()
        .map(|scenario| scenario.feature.clone())
        .collect();
    GateRun {
        gate_run_id: run_id.to_owned(),
        target: "embedded".to_owned(),
        host: host(),
        revision: String::new(),
        dirty: false,
        binary_digest: String::new(),
        versions: BTreeMap::new(),
        origins: BTreeMap::new(),
        stand_ins: Vec::new(),
        settings: BTreeMap::new(),
        features: features.into_iter().collect(),
        tags: request.tags.clone(),
        lanes: Vec::new(),
        phases: Vec::new(),
        started_at: Utc::now(),
        finished_at: None,
        interrupted: None,
        sample: false,
        kept: false,
    }
}

fn host() -> String {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let field = |name: &str| {
        release
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}=")))
            .map(|value| value.trim_matches('"').to_owned())
    };
    match (field("NAME"), field("VERSION_ID")) {
        (Some(name), Some(version)) => format!("{} {version}", name.trim_end_matches(" GNU/Linux")),
        _ => "unknown".to_owned(),
    }
}

fn describe(facts: &mut GateRun, running: &Running) {
    facts.revision = running.binary.revision.clone().unwrap_or_default();
    facts.dirty = running.binary.checkout_dirty.unwrap_or_default();
    facts.binary_digest.clone_from(&running.binary.sha256);
    facts.settings.clone_from(&running.settings);
    facts.stand_ins = vec![
        "GitHub: the gate's own stand-in (REST, git over HTTP, webhooks)".to_owned(),
        running.agent.stand_in().to_owned(),
        "the model: the gate's own stand-in (Responses API), which plays the stories".to_owned(),
        "the adapter: the gate's own stand-in of a chat, in which a person presses and writes as the scenario says"
            .to_owned(),
        "the node: the process node, Pods are processes of this host".to_owned(),
    ];
    facts.versions.insert(
        "postgres".to_owned(),
        running.target.postgres.version().to_owned(),
    );
    facts.versions.insert(
        "kubernetes".to_owned(),
        bootstrap::assets::KUBERNETES_VERSION.to_owned(),
    );
    facts.versions.insert(
        "etcd".to_owned(),
        bootstrap::assets::ETCD_VERSION.to_owned(),
    );
    for timing in &running.target.timings {
        facts
            .origins
            .insert(timing.piece.clone(), timing.origin.clone());
    }
    facts
        .origins
        .insert("orchestrator".to_owned(), running.binary.origin.to_owned());
    facts.phases.push(running.up.clone());
}

fn capabilities(running: &Running) -> Vec<Capability> {
    let state = |present: bool| {
        if present {
            CapabilityState::Present
        } else {
            CapabilityState::Absent
        }
    };
    let tried = running
        .capabilities
        .capabilities
        .iter()
        .map(|(name, found)| Capability {
            name: name.clone(),
            state: state(found.available),
            reason: format!("{}: {}", found.tried, found.seen),
        });
    let tags = CAPABILITY_TAGS.iter().map(|tag| {
        let missing = running.capabilities.missing_for(tag);
        Capability {
            name: tag.trim_start_matches("needs-").to_owned(),
            state: state(missing.is_none()),
            reason: missing
                .unwrap_or_else(|| "every capability behind this tag was seen".to_owned()),
        }
    });
    tried.chain(tags).collect()
}

fn phase(
    name: &str,
    (started_at, clock): (chrono::DateTime<Utc>, Instant),
    facts: Vec<PhaseFacts>,
) -> TargetPhase {
    TargetPhase {
        name: name.to_owned(),
        started_at,
        duration_ms: millis(clock),
        ok: facts.iter().all(|fact| fact.ok),
        facts,
    }
}

fn millis(clock: Instant) -> u64 {
    u64::try_from(clock.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Takes everything down and proves that nothing is left.
///
/// # Errors
/// When something still uses the target, or it cannot be taken down.
pub async fn take_down(running: Running, reporter: &Reporter) -> Result<TargetPhase, Failure> {
    let began = (Utc::now(), Instant::now());
    reporter.now("taking the target down …");
    let Running {
        target,
        stand_in,
        gate,
        ..
    } = running;
    let platforms: Vec<_> = gate.platforms.all();
    futures::future::join_all(platforms.iter().map(|(platform, _)| platform.close())).await;
    drop(platforms);
    drop(gate);
    stand_in.shutdown().await;
    let target = Arc::try_unwrap(target)
        .map_err(|_| anyhow::anyhow!("failed to take the target down: something still uses it"))?;
    let report = target.down().await.map_err(failure)?;
    let left = |subject: &str, items: Vec<String>| PhaseFacts {
        subject: subject.to_owned(),
        ok: items.is_empty(),
        result: if items.is_empty() {
            "none left".to_owned()
        } else {
            items.join(", ")
        },
        duration_ms: 0,
    };
    let facts = vec![
        left(
            "processes with the run's marker",
            report
                .left_processes
                .iter()
                .map(|process| format!("{process:?}"))
                .collect(),
        ),
        left(
            "listeners on the run's addresses",
            report.left_listeners.clone(),
        ),
        left(
            "folders of the run",
            report
                .left_paths
                .iter()
                .map(|path| path.display().to_string())
                .collect(),
        ),
    ];
    let proof = if report.is_clean() {
        "nothing is left"
    } else {
        "something is LEFT"
    };
    reporter.line(&format!(
        "  target down in {} ms: {} processes examined, {proof}",
        report.milliseconds, report.processes_examined
    ));
    Ok(phase("down", began, facts))
}

fn judge(
    folder: &BundleFolder,
    criteria: &Criteria,
    specification: &Specification,
    interrupted: Option<String>,
) -> Result<Verdict, Failure> {
    let written = match &interrupted {
        None => bundle::write(&folder.path, criteria, specification),
        Some(reason) => bundle::write_interrupted(&folder.path, reason, criteria, specification),
    };
    let written = written.context("failed to write the bundle")?;
    folder
        .link()
        .context("failed to point `latest` to the bundle")?;
    let verdict = written.judgement.verdict;
    Ok(Verdict {
        outcome: verdict.verdict,
        headline: verdict.headline.clone(),
        interrupted,
        kept: false,
        bundle: folder.path.clone(),
        results: folder.recorder.scenarios(),
        findings: verdict
            .findings
            .iter()
            .filter(|finding| finding.effect != Effect::Reported)
            .cloned()
            .collect(),
        document: serde_json::to_value(&verdict).context("failed to write the verdict")?,
    })
}

/// What a run has begun and cannot end in order, ended as `gonogo cleanup` would; other runs are left alone.
pub async fn clean_up_after(run_id: &str) {
    let cleaned = match bootstrap::CacheFolder::from_environment() {
        Ok(cache) => bootstrap::runs::clean_up_own(&cache, run_id).await,
        Err(error) => Err(error),
    };
    if let Err(error) = cleaned {
        tracing::warn!(%error, run_id, "what was started could not be cleaned up");
    }
}
