//! What one scenario knows, and what all scenarios share.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use anyhow::{Context, bail};
use chrono::Utc;
use cucumber::World;
use reports::evidence::{AnnouncedLog, Observation, ObservationSource, Recorder, ScenarioKey};
use serde_json::Value;

use crate::{
    audit_log::AuditLog,
    delivery_play::Plays,
    null::{NullPlay, Switches},
    place::Place,
    platform::{Platform, PlatformPool},
};

/// Shared by all scenarios of a run: the target, the stand-ins, the recorder.
pub struct Gate {
    pub recorder: Recorder,
    pub github: Arc<crate::hub::Hub>,
    /// Stand-in of the model that real agents ask.
    pub model: fixtures::model::ModelStandIn,
    /// Stand-in of the adapter that messages are delivered to.
    pub adapter: fixtures::adapter::AdapterStandIn,
    pub platforms: PlatformPool,
    pub audit: AuditLog,
    pub kube: kube::Client,
    pub http: reqwest::Client,
    /// Commit that was checked out, as health must report it.
    pub revision: String,
    pub dirty: bool,
    /// Folder for files by which a scenario lets a waiting agent go on.
    pub signals: std::path::PathBuf,
    /// Set when the features are played against a null orchestrator.
    pub null: Option<NullPlay>,
    facts: Mutex<HashMap<ScenarioKey, Facts>>,
    plays: Mutex<Option<Arc<Plays>>>,
}

/// What the evidence of a scenario names besides its steps.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    pub runs: Vec<String>,
    pub repositories: Vec<String>,
    pub instance: String,
    pub announced: Vec<AnnouncedLog>,
    /// Restarts that the scenario announced (PH-02).
    pub restarts: Vec<String>,
}

impl Gate {
    /// # Errors
    /// When the HTTP client cannot be built.
    #[expect(
        clippy::too_many_arguments,
        reason = "construction of the one shared environment"
    )]
    pub fn new(
        recorder: Recorder,
        github: Arc<crate::hub::Hub>,
        model: fixtures::model::ModelStandIn,
        adapter: fixtures::adapter::AdapterStandIn,
        platforms: PlatformPool,
        audit: AuditLog,
        kube: kube::Client,
        revision: String,
        dirty: bool,
        signals: std::path::PathBuf,
    ) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(std::time::Duration::from_secs(30))
            .no_proxy()
            .build()
            .context("failed to build the HTTP client")?;
        Ok(Self {
            recorder,
            github,
            model,
            adapter,
            platforms,
            audit,
            kube,
            http,
            revision,
            dirty,
            signals,
            null: None,
            facts: Mutex::default(),
            plays: Mutex::default(),
        })
    }

    /// The plays under way, when scenarios are played again with something happening to their deliveries (E-45).
    #[must_use]
    pub fn plays(&self) -> Option<Arc<Plays>> {
        self.plays
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Whether a transform keeps this delivery from its answer.
    pub(crate) fn keeps(&self, repository: &str, delivery: &crate::place::Delivery) -> bool {
        self.plays()
            .is_some_and(|plays| plays.is_held(&self.github, repository, delivery))
    }

    pub(crate) fn set_plays(&self, plays: Option<Arc<Plays>>) {
        *self.plays.lock().unwrap_or_else(PoisonError::into_inner) = plays;
    }

    /// Changes what is known of a scenario.
    pub fn with_facts<T>(&self, key: &ScenarioKey, change: impl FnOnce(&mut Facts) -> T) -> T {
        let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        change(facts.entry(key.clone()).or_default())
    }

    /// Restarts that any scenario announced, by process name.
    #[must_use]
    pub fn announced_restarts(&self) -> Vec<String> {
        let facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        facts
            .values()
            .flat_map(|facts| facts.restarts.clone())
            .collect()
    }
}

static GATE: Mutex<Option<Arc<Gate>>> = Mutex::new(None);

/// Makes the environment known to the worlds: cucumber builds them without arguments.
///
/// # Errors
/// When another one is installed: two runs at once would swap each other's panic hook.
pub fn install(gate: Arc<Gate>) -> anyhow::Result<()> {
    let mut slot = GATE.lock().unwrap_or_else(PoisonError::into_inner);
    anyhow::ensure!(
        slot.is_none(),
        "another run of the gate is under way in this process"
    );
    *slot = Some(gate);
    Ok(())
}

/// Forgets the environment, so that what it holds can be taken down.
pub fn uninstall() {
    GATE.lock().unwrap_or_else(PoisonError::into_inner).take();
}

/// The error of a step: the whole chain in one text, since cucumber shows only `Display`.
#[derive(Debug)]
pub struct Failure(String);

impl std::fmt::Display for Failure {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self(format!("{error:#}"))
    }
}

/// What a step returns.
pub type Step = Result<(), Failure>;

/// One reading of the world by a `Then`, before it is recorded.
pub struct Seen<'a> {
    pub rules: &'a [&'a str],
    pub source: ObservationSource,
    pub subject: String,
    pub query: String,
    pub expected: String,
    pub seen: String,
    pub ok: bool,
}

#[derive(World)]
#[world(init = Self::new)]
pub struct GateWorld {
    pub gate: Arc<Gate>,
    pub key: ScenarioKey,
    step: String,
    platform: Option<Arc<Platform>>,
    leased: Vec<Arc<Platform>>,
    place: Option<Place>,
    /// Deliveries that the scenario looks at, the newest last.
    pub deliveries: Vec<crate::place::Delivery>,
    /// The run at hand, as it was last read.
    run: Option<Value>,
    /// The run before it.
    pub previous_run: Option<Value>,
    /// Several runs of scenarios that start many.
    pub many: Vec<(Place, crate::place::Delivery)>,
    pub second: Option<(Arc<Platform>, Place)>,
    pub pull_request: Option<u64>,
    /// Commits of the pull request before the step under test.
    pub commits_before: usize,
    pub review: Option<u64>,
    pub answer: Option<(u16, Value)>,
    pub remembered: HashMap<String, String>,
    /// The walk that the scenario plays.
    pub walk: Option<crate::walks::Played>,
    /// The platform of a play in which a process may die.
    pub(crate) deadly: Option<Arc<crate::crash_play::Deadly>>,
    /// The repositories of the scenario meet the null from now on.
    meets_null: bool,
}

impl std::fmt::Debug for GateWorld {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("GateWorld")
            .field("scenario", &self.key.scenario)
            .finish_non_exhaustive()
    }
}

impl GateWorld {
    fn new() -> Result<Self, anyhow::Error> {
        let gate = GATE
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
            .context("the gate's environment is not set")?;
        Ok(Self {
            gate,
            key: ScenarioKey::new("", 0),
            step: String::new(),
            platform: None,
            leased: Vec::new(),
            place: None,
            deliveries: Vec::new(),
            run: None,
            previous_run: None,
            many: Vec::new(),
            second: None,
            pull_request: None,
            commits_before: 0,
            review: None,
            answer: None,
            remembered: HashMap::new(),
            walk: None,
            deadly: None,
            meets_null: false,
        })
    }

    /// The platform that the scenario plays on: a lane of its own when it leased one, else the common one.
    pub fn platform(&mut self) -> Arc<Platform> {
        let gate = &self.gate;
        let platform = self
            .platform
            .get_or_insert_with(|| gate.platforms.common())
            .clone();
        self.gate.with_facts(&self.key, |facts| {
            facts.instance.clone_from(&platform.instance)
        });
        platform
    }

    /// Plays on a platform of its own from now on; it is taken down when the scenario ends.
    pub fn use_own_platform(&mut self, platform: Arc<Platform>) {
        self.leased.push(platform.clone());
        self.platform = Some(platform);
    }

    /// Cancels what the scenario started on the common platform and saw no end of: nobody will look at it any more,
    /// and it would take the machine from its neighbours.
    pub async fn cancel_the_rest(&self) {
        // What a scenario broke for good would keep its namespaces from being swept (L-11).
        for repository in self
            .gate
            .with_facts(&self.key, |facts| facts.repositories.clone())
        {
            self.gate.github.release(&repository);
        }
        if !self.leased.is_empty() {
            // A platform of its own ends its runs before it is taken down.
            return;
        }
        let repositories = self
            .gate
            .with_facts(&self.key, |facts| facts.repositories.clone());
        let common = self.gate.platforms.common();
        for repository in repositories {
            if let Err(error) = common.cancel_open_runs(&repository).await {
                tracing::warn!(%error, repository, "runs of a scenario that has ended go on");
            }
        }
    }

    pub fn leased(&mut self) -> Vec<Arc<Platform>> {
        std::mem::take(&mut self.leased)
    }

    pub fn keep_lease(&mut self, platform: Arc<Platform>) {
        self.leased.push(platform);
    }

    pub fn set_place(&mut self, place: Place) {
        self.gate.with_facts(&self.key, |facts| {
            facts.repositories.push(place.repository.clone())
        });
        if self.meets_null
            && let Some(Err(error)) = self
                .switches()
                .map(|switches| switches.turn(&place.repository))
        {
            tracing::error!(%error, "a repository goes on meeting the product");
        }
        self.place = Some(place);
    }

    fn switches(&self) -> Option<&Switches> {
        self.gate.null.as_ref().and_then(NullPlay::switches)
    }

    /// Lets the scenario's repositories, and those it makes later, meet the null orchestrator.
    ///
    /// # Errors
    /// When there is none, or it cannot be told.
    pub fn meet_null(&mut self) -> anyhow::Result<()> {
        let switches = self
            .switches()
            .context("the features are not played against a null orchestrator")?;
        let repositories = self
            .gate
            .with_facts(&self.key, |facts| facts.repositories.clone());
        for repository in repositories {
            switches.turn(&repository)?;
        }
        self.meets_null = true;
        Ok(())
    }

    /// # Errors
    /// When no `Given` has made one.
    pub fn place(&self) -> anyhow::Result<Place> {
        self.place
            .clone()
            .context("the scenario has no repository yet")
    }

    pub fn set_run(&mut self, run: Value) {
        if let Some(id) = run["id"].as_str() {
            let id = id.to_owned();
            self.gate.with_facts(&self.key, |facts| {
                if !facts.runs.contains(&id) {
                    facts.runs.push(id);
                }
            });
        }
        self.run = Some(run);
    }

    /// # Errors
    /// When no step has found one.
    pub fn run(&self) -> anyhow::Result<Value> {
        self.run.clone().context("the scenario has no run at hand")
    }

    pub fn take_run(&mut self) -> Option<Value> {
        self.run.take()
    }

    /// The run at hand, if there is one, becomes the run before.
    pub fn leave_run(&mut self) {
        if let Some(run) = self.run.take() {
            self.previous_run = Some(run);
        }
    }

    pub fn has_run(&self) -> bool {
        self.run.is_some()
    }

    /// # Errors
    /// When no step has found one.
    pub fn run_id(&self) -> anyhow::Result<String> {
        text(&self.run()?, "id")
    }

    /// # Errors
    /// When the scenario has no delivery yet.
    pub fn delivery(&self) -> anyhow::Result<crate::place::Delivery> {
        self.deliveries
            .last()
            .cloned()
            .context("the scenario has no delivery yet")
    }

    /// Begins a `Then`: observations that follow belong to it.
    pub fn then(&mut self, step: &gherkin::Step) {
        self.step.clone_from(&step.value);
    }

    /// Records an observation (E-21) and fails when it is not what was expected.
    ///
    /// # Errors
    /// When seen and expected differ, or the evidence cannot be kept.
    pub fn observe(&self, seen: Seen<'_>) -> anyhow::Result<()> {
        let observation = Observation {
            key: self.key.clone(),
            step: self.step.clone(),
            rules: seen.rules.iter().map(|rule| (*rule).to_owned()).collect(),
            subject: seen.subject,
            expected: seen.expected,
            seen: seen.seen,
            ok: seen.ok,
            source: seen.source,
            query: seen.query,
            contradiction: false,
            at: Utc::now(),
        };
        let verdict = if observation.ok {
            Ok(())
        } else {
            Err(format!(
                "{}: expected {}, saw {}",
                observation.subject, observation.expected, observation.seen
            ))
        };
        self.gate
            .recorder
            .observe(observation)
            .context("failed to keep an observation")?;
        if let Err(message) = verdict {
            bail!(message);
        }
        Ok(())
    }

    /// Records that two values are equal.
    ///
    /// # Errors
    /// As [`Self::observe`].
    pub fn equal(
        &self,
        rules: &[&str],
        source: ObservationSource,
        subject: &str,
        query: &str,
        expected: impl ToString,
        seen: impl ToString,
    ) -> anyhow::Result<()> {
        let (expected, seen) = (expected.to_string(), seen.to_string());
        let ok = expected == seen;
        self.observe(Seen {
            rules,
            source,
            subject: subject.to_owned(),
            query: query.to_owned(),
            expected,
            seen,
            ok,
        })
    }

    /// Records that something holds, in words.
    ///
    /// # Errors
    /// As [`Self::observe`].
    #[expect(
        clippy::too_many_arguments,
        reason = "an observation has that many parts"
    )]
    pub fn holds(
        &self,
        rules: &[&str],
        source: ObservationSource,
        subject: &str,
        query: &str,
        expected: impl ToString,
        seen: impl ToString,
        ok: bool,
    ) -> anyhow::Result<()> {
        self.observe(Seen {
            rules,
            source,
            subject: subject.to_owned(),
            query: query.to_owned(),
            expected: expected.to_string(),
            seen: seen.to_string(),
            ok,
        })
    }
}

/// A text field of a row.
///
/// # Errors
/// When it is absent.
pub fn text(row: &Value, field: &str) -> anyhow::Result<String> {
    row[field]
        .as_str()
        .map(str::to_owned)
        .with_context(|| format!("{field} is not set in the row {}", row["id"]))
}
