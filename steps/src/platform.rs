//! An orchestrator to play on: the common one, or a lane leased by a scenario that would disturb its neighbours.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, bail};
use bootstrap::{
    EmbeddedTarget,
    lane::{Lane, LaneProcess, LaneSpec, ProcessKind},
};
use chrono::Utc;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use k8s_openapi::api::{batch::v1::Job, core::v1::Secret};
use reqwest::Client;
use serde_json::{Value, json};
use sqlx::postgres::PgConnectOptions;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    database::Database,
    staff::Staff,
    wait::{Reading, until},
};

/// Lanes of their own that run at once: each is four processes, on a machine that may have two cores.
pub const LEASES_AT_ONCE: usize = 4;

/// Longest wait for a process to be ready again after a fault.
const READY_DEADLINE: Duration = Duration::from_secs(30);

/// R-15 gives a worker five seconds to end; twice that for a machine that is busy.
const END_GRACE: Duration = Duration::from_secs(10);

/// Longest wait for a platform to end its runs and namespaces.
const SETTLE_DEADLINE: Duration = Duration::from_secs(60);

/// Longest wait for the controller-manager to finalise all run namespaces at once.
const FINALISE_DEADLINE: Duration = Duration::from_secs(180);

/// Two days: beyond the longest lease of a namespace that any scenario asks for.
const LONGEST_LEASE_SECONDS: u64 = 2 * 24 * 60 * 60;

/// Life of a service token (DU-12).
const SERVICE_TOKEN_LIFE_SECONDS: i64 = 300;

/// What a scenario asks of a platform of its own.
#[derive(Clone, Debug)]
pub struct PlatformSpec {
    pub workers: usize,
    /// Gateways and control planes.
    pub replicas: usize,
    pub settings: BTreeMap<String, String>,
}

impl Default for PlatformSpec {
    fn default() -> Self {
        Self {
            workers: 1,
            replicas: 1,
            settings: BTreeMap::new(),
        }
    }
}

/// One orchestrator with its database, reached by protocol only.
pub struct Platform {
    pub instance: String,
    pub staff: Staff,
    pub database: Database,
    lane: Lane,
    http: Client,
    orchestrator: std::path::PathBuf,
    /// Environment of the worker that was killed last.
    last_settings: Mutex<Vec<(String, String)>>,
    /// Held until the platform is closed; the platform itself is kept for its evidence.
    permit: Mutex<Option<OwnedSemaphorePermit>>,
    /// Whether scenarios share it.
    is_common: bool,
}

impl std::fmt::Debug for Platform {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Platform({})", self.instance)
    }
}

impl Platform {
    #[must_use]
    pub fn new(
        lane: Lane,
        database: PgConnectOptions,
        http: Client,
        orchestrator: std::path::PathBuf,
        permit: Option<OwnedSemaphorePermit>,
    ) -> Self {
        Self {
            instance: lane.instance.clone(),
            staff: Staff::new(
                http.clone(),
                &lane.public_url,
                &lane.secrets.staff_owner_token,
            ),
            database: Database::connect(database),
            lane,
            http,
            orchestrator,
            last_settings: Mutex::default(),
            is_common: permit.is_none(),
            permit: Mutex::new(permit),
        }
    }

    #[must_use]
    pub fn lane(&self) -> &Lane {
        &self.lane
    }

    /// From now on callers of the staff API try again while nobody answers, as people do when a process has died.
    pub fn be_patient(&self) {
        self.staff.be_patient();
    }

    /// The staff API for what scenarios begin with. Only of the common platform so much is asked that helpers are needed;
    /// one of its own may have settings by which it knows no console.
    #[must_use]
    pub fn staff_of_beginnings(&self) -> Staff {
        if self.is_common {
            self.staff.as_helper()
        } else {
            self.staff.clone()
        }
    }

    #[must_use]
    pub fn webhook_url(&self) -> String {
        format!("{}/api/v1/webhooks/github", self.lane.public_url)
    }

    /// One webhook URL per gateway.
    #[must_use]
    pub fn webhook_urls(&self) -> Vec<String> {
        self.lane
            .of_kind(ProcessKind::Gateway)
            .map(|gateway| format!("{}/api/v1/webhooks/github", gateway.health_url))
            .collect()
    }

    #[must_use]
    pub fn webhook_secret(&self) -> String {
        self.lane.secrets.github_webhook_secret.clone()
    }

    /// Secrets handed to the platform, by name.
    #[must_use]
    pub fn secret_values(&self) -> Vec<(String, String)> {
        let secrets = &self.lane.secrets;
        [
            ("staff owner token", &secrets.staff_owner_token),
            ("service token key", &secrets.service_token_key),
            ("webhook secret", &secrets.github_webhook_secret),
            ("token encryption key", &secrets.token_encryption_key),
            ("run token signing key", &secrets.mcp_token_signing_key),
            ("secret derivation key", &secrets.secret_derivation_key),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.clone()))
        .collect()
    }

    /// Moves platform time forward (D-7).
    ///
    /// # Errors
    /// When the control plane refuses.
    pub async fn advance_clock(&self, seconds: u64) -> anyhow::Result<()> {
        let now = Utc::now().timestamp();
        let claims = json!({"iss": "codex-k8s", "sub": "gate", "aud": "control-plane", "iat": now, "exp": now + SERVICE_TOKEN_LIFE_SECONDS});
        let key = EncodingKey::from_secret(self.lane.secrets.service_token_key.as_bytes());
        let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)
            .context("failed to sign a service token")?;
        let response = self
            .http
            .put(format!("{}/internal/v1/clock", self.lane.internal_url))
            .bearer_auth(token)
            .json(&json!({"advance_seconds": seconds}))
            .send()
            .await
            .context("failed to reach the clock")?;
        let status = response.status();
        if !status.is_success() {
            bail!(
                "the clock did not move: {status} {}",
                response.text().await.unwrap_or_default()
            );
        }
        Ok(())
    }

    /// Metrics of the gateways, one after the other.
    ///
    /// # Errors
    /// When a gateway does not answer.
    pub async fn gateway_metrics(&self) -> anyhow::Result<String> {
        let all = self.metrics().await?;
        Ok(all
            .into_iter()
            .filter(|(name, _)| name.starts_with(ProcessKind::Gateway.name()))
            .map(|(_, text)| text)
            .collect())
    }

    /// Name and metrics of every process.
    ///
    /// # Errors
    /// When one does not answer.
    pub async fn metrics(&self) -> anyhow::Result<Vec<(String, String)>> {
        let mut all = Vec::new();
        for process in &self.lane.processes {
            // A public listener is for GitHub and people.
            let base = match process.kind {
                ProcessKind::Gateway | ProcessKind::WebConsole => {
                    let address = variable(process, "CODEXK8S_HEALTH_LISTEN")
                        .with_context(|| format!("{} has no listener for metrics", process.name))?;
                    format!("http://{address}")
                }
                _ => process.health_url.clone(),
            };
            let text = self
                .http
                .get(format!("{base}/metrics"))
                .send()
                .await
                .and_then(reqwest::Response::error_for_status)
                .with_context(|| format!("failed to read metrics of {}", process.name))?
                .text()
                .await
                .with_context(|| format!("failed to read metrics of {}", process.name))?;
            all.push((process.name.clone(), text));
        }
        Ok(all)
    }

    /// One line per process: `name: <status of healthz> <status of readyz> <revision> dirty=<bool>`.
    ///
    /// # Errors
    /// When a process does not answer.
    pub async fn health(&self) -> anyhow::Result<Vec<String>> {
        let mut lines = Vec::new();
        for process in &self.lane.processes {
            let read = async |path: &str| -> anyhow::Result<(u16, Value)> {
                let response = self
                    .http
                    .get(format!("{}{path}", process.health_url))
                    .send()
                    .await
                    .with_context(|| format!("{} does not answer", process.name))?;
                let status = response.status().as_u16();
                Ok((status, response.json().await.unwrap_or(Value::Null)))
            };
            let (alive, _) = read("/healthz").await?;
            let (ready, body) = read("/readyz").await?;
            lines.push(format!(
                "{}: {alive} {ready} {} dirty={}",
                process.name,
                body["revision"].as_str().unwrap_or("-"),
                body["dirty"]
            ));
        }
        Ok(lines)
    }

    /// Waits until every process is ready.
    ///
    /// # Errors
    /// When one is not in time.
    pub async fn await_ready(&self) -> anyhow::Result<()> {
        until("readiness of every process", READY_DEADLINE, async || {
            let health = self.health().await?;
            Ok(if health.iter().all(|line| line.contains(": 200 200 ")) {
                Reading::Reached(())
            } else {
                Reading::NotYet(health.join("; "))
            })
        })
        .await
    }

    /// Kills the worker with this id, without warning.
    ///
    /// # Errors
    /// When there is none.
    pub async fn kill_worker(&self, worker_id: &str) -> anyhow::Result<()> {
        let settings = self.worker_settings();
        self.worker(worker_id)?.kill().await;
        // What the command line of the platform needs outlives its last worker.
        *self
            .last_settings
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = settings;
        Ok(())
    }

    /// Takes a worker out of the registry of workers, as an operator might who tidies up; no API of the platform does.
    ///
    /// # Errors
    /// When the database refuses, or knows no such worker.
    pub async fn forget_worker(&self, worker_id: &str) -> anyhow::Result<()> {
        let done = sqlx::query("DELETE FROM worker_instances WHERE worker_id = $1")
            .bind(worker_id)
            .execute(self.database.pool())
            .await
            .context("failed to take a worker out of the registry")?;
        anyhow::ensure!(
            done.rows_affected() == 1,
            "the registry has no worker {worker_id}"
        );
        Ok(())
    }

    /// Tells the worker with this id to end, and waits until it has.
    ///
    /// # Errors
    /// When there is none, or it had to be killed.
    pub async fn end_worker(&self, worker_id: &str) -> anyhow::Result<()> {
        let went = self.worker(worker_id)?.terminate(END_GRACE).await;
        anyhow::ensure!(went, "the worker {worker_id} had to be killed");
        Ok(())
    }

    /// Stops the worker with this id in its tracks, or lets it go on.
    ///
    /// # Errors
    /// When there is none.
    pub fn freeze_worker(&self, worker_id: &str, frozen: bool) -> anyhow::Result<()> {
        self.worker(worker_id)?.freeze(frozen);
        Ok(())
    }

    fn worker(&self, worker_id: &str) -> anyhow::Result<&LaneProcess> {
        self.lane
            .of_kind(ProcessKind::Worker)
            .find(|worker| variable(worker, "CODEXK8S_WORKER_ID").as_deref() == Some(worker_id))
            .with_context(|| format!("there is no worker {worker_id}"))
    }

    /// Another worker of the platform with these settings on top; its output when it has ended by itself within the
    /// deadline, else none.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start_worker_with(
        &self,
        settings: &[(&str, &str)],
    ) -> anyhow::Result<Option<std::process::Output>> {
        let mut environment = self.worker_settings();
        // Its listener is taken by the worker whose settings these are.
        environment.retain(|(name, _)| name != "CODEXK8S_HEALTH_LISTEN");
        environment.push((
            "CODEXK8S_HEALTH_LISTEN".to_owned(),
            "127.0.0.1:0".to_owned(),
        ));
        for (name, value) in settings {
            environment.retain(|(known, _)| known != name);
            environment.push(((*name).to_owned(), (*value).to_owned()));
        }
        let worker = tokio::process::Command::new(&self.orchestrator)
            .arg(ProcessKind::Worker.name())
            .env_clear()
            .envs(environment)
            .kill_on_drop(true)
            .output();
        match tokio::time::timeout(READY_DEADLINE, worker).await {
            Ok(output) => Ok(Some(output.context("failed to start a worker")?)),
            Err(_) => Ok(None),
        }
    }

    /// Cuts every connection to the database and lets no new one through.
    ///
    /// # Errors
    /// Never; for symmetry with [`Self::restore_database`].
    pub async fn cut_database(&self) -> anyhow::Result<()> {
        self.lane.postgres_proxy.cut();
        Ok(())
    }

    /// # Errors
    /// Never; for symmetry with [`Self::cut_database`].
    pub async fn restore_database(&self) -> anyhow::Result<()> {
        self.lane.postgres_proxy.pass();
        Ok(())
    }

    /// Cuts every connection of the orchestrator to the Kubernetes API and lets no new one through.
    pub fn cut_kubernetes(&self) {
        self.lane.kube_proxy.cut();
    }

    pub fn restore_kubernetes(&self) {
        self.lane.kube_proxy.pass();
    }

    /// Kills every process of these kinds at once, without warning, and starts them again; their names.
    ///
    /// # Errors
    /// When one does not come back.
    pub async fn restart(&self, kinds: &[ProcessKind]) -> anyhow::Result<Vec<String>> {
        let processes: Vec<&LaneProcess> = self
            .lane
            .processes
            .iter()
            .filter(|process| kinds.contains(&process.kind))
            .collect();
        futures::future::join_all(processes.iter().map(|process| process.kill())).await;
        self.lane
            .start_all()
            .await
            .context("failed to start the killed processes again")?;
        Ok(processes
            .iter()
            .map(|process| format!("{}-{}", self.instance, process.name))
            .collect())
    }

    /// All log files of the lane's processes.
    ///
    /// # Errors
    /// When one cannot be read.
    pub async fn logs(&self) -> anyhow::Result<String> {
        let mut text = String::new();
        for process in &self.lane.processes {
            text.push_str(
                &tokio::fs::read_to_string(&process.log)
                    .await
                    .with_context(|| format!("failed to read the log of {}", process.name))?,
            );
        }
        Ok(text)
    }

    /// What a process holds of the database, in words.
    ///
    /// # Errors
    /// When there is no such process.
    pub async fn process_facts(&self, kind: &str) -> anyhow::Result<String> {
        let process = self
            .lane
            .processes
            .iter()
            .find(|process| process.kind.name() == kind)
            .with_context(|| format!("there is no {kind}"))?;
        let environment = process.environment();
        if environment.is_empty() {
            bail!("the environment of {} cannot be read", process.name);
        }
        let credential = environment.iter().any(|(name, value)| {
            name.contains("DATABASE") || name.contains("POSTGRES") || value.contains("postgres://")
        });
        let database = self.lane.postgres_proxy.address();
        let connected = process
            .connections()
            .iter()
            .any(|connection| std::net::SocketAddr::V4(connection.remote) == database);
        Ok(format!(
            "database credential: {credential}, connections to Postgres: {connected}"
        ))
    }

    /// Exits of processes that nobody asked for and no scenario announced.
    #[must_use]
    pub fn unannounced_exits(&self, announced: &[String]) -> Vec<String> {
        self.lane
            .processes
            .iter()
            .filter(|process| {
                !process.is_running()
                    && !announced.contains(&format!("{}-{}", self.instance, process.name))
            })
            .map(|process| process.name.clone())
            .collect()
    }

    /// The leak check, as its command prints it.
    ///
    /// # Errors
    /// When the command fails.
    pub async fn hygiene(&self) -> anyhow::Result<Value> {
        let output = self
            .one_shot(&["hygiene", "--output", "json"])
            .await
            .context("failed to run the leak check")?;
        serde_json::from_slice(&output.stdout).with_context(|| {
            format!(
                "the leak check printed no JSON: {}",
                String::from_utf8_lossy(&output.stderr)
            )
        })
    }

    /// One sweep of expired namespaces, as the CronJob makes it (runtime 2.4).
    ///
    /// # Errors
    /// When the command fails.
    pub async fn sweep_once(&self) -> anyhow::Result<()> {
        let output = self
            .one_shot(&["worker", "--mode", "namespace-cleanup-once"])
            .await
            .context("failed to run the sweep")?;
        anyhow::ensure!(
            output.status.success(),
            "the sweep ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// Another process of the platform, with the settings of its workers, run to its end.
    async fn one_shot(&self, arguments: &[&str]) -> anyhow::Result<std::process::Output> {
        let output = tokio::process::Command::new(&self.orchestrator)
            .args(arguments)
            .env_clear()
            .envs(self.worker_settings())
            .output()
            .await?;
        Ok(output)
    }

    /// Changes a setting of every control plane, from its next start on; an empty value counts as none.
    pub fn change_control_planes(&self, name: &str, value: &str) {
        for process in self.lane.of_kind(ProcessKind::ControlPlane) {
            process.change_setting(name, value);
        }
    }

    /// Seals what the key before holds with the present one, as an operator does; what the command says.
    ///
    /// # Errors
    /// When it fails.
    pub async fn rotate_keys(&self) -> anyhow::Result<String> {
        let running = self
            .lane
            .of_kind(ProcessKind::ControlPlane)
            .next()
            .context("the platform has no control plane")?;
        let output = tokio::process::Command::new(&self.orchestrator)
            .arg("rotate-keys")
            .env_clear()
            .envs(running.environment())
            .output()
            .await
            .context("failed to start the rotation")?;
        anyhow::ensure!(
            output.status.success(),
            "the rotation ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// Another control plane with the settings of this platform's, but on ports of its own and with these settings
    /// changed; none takes one away. Its exit code and the last line that it says, or nothing when it did not end in
    /// time.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn start_control_plane_with(
        &self,
        changed: &[(&str, Option<String>)],
        patience: Duration,
    ) -> anyhow::Result<Option<(i32, String)>> {
        let running = self
            .lane
            .of_kind(ProcessKind::ControlPlane)
            .next()
            .context("the platform has no control plane")?;
        let mut settings: BTreeMap<String, String> = running.environment().into_iter().collect();
        for listen in ["INTERNAL", "MCP", "HEALTH"] {
            settings.insert(
                format!("CODEXK8S_{listen}_LISTEN"),
                "127.0.0.1:0".to_owned(),
            );
        }
        for (name, value) in changed {
            match value {
                Some(value) => settings.insert((*name).to_owned(), value.clone()),
                None => settings.remove(*name),
            };
        }
        let ended = tokio::process::Command::new(&self.orchestrator)
            .arg("control-plane")
            .env_clear()
            .envs(settings)
            .stdin(std::process::Stdio::null())
            .kill_on_drop(true)
            .output();
        let Ok(ended) = tokio::time::timeout(patience, ended).await else {
            return Ok(None);
        };
        let ended = ended.context("failed to start a control plane")?;
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        let last = said.lines().last().unwrap_or_default().to_owned();
        Ok(Some((ended.status.code().unwrap_or(-1), last)))
    }

    /// Environment of a worker, or of the last one that ran.
    fn worker_settings(&self) -> Vec<(String, String)> {
        let running = self
            .lane
            .of_kind(ProcessKind::Worker)
            .find(|worker| worker.is_running());
        match running {
            Some(worker) => worker.environment(),
            None => self
                .last_settings
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone(),
        }
    }

    /// Ids of the workers that run.
    #[must_use]
    pub fn worker_ids(&self) -> Vec<String> {
        self.lane
            .of_kind(ProcessKind::Worker)
            .filter(|worker| worker.is_running())
            .filter_map(|worker| variable(worker, "CODEXK8S_WORKER_ID"))
            .collect()
    }

    /// Tries to change the status of a run as the database's own user; says how it was refused, or `accepted`.
    ///
    /// # Errors
    /// When no transaction can be opened.
    pub async fn try_to_change_status(&self, run_id: &str, status: &str) -> anyhow::Result<String> {
        let mut transaction = self
            .database
            .pool()
            .begin()
            .await
            .context("failed to open a transaction")?;
        let outcome = sqlx::query("UPDATE agent_runs SET status = $2, finish_reason = 'kubernetes job failed' WHERE id = $1::text::uuid")
            .bind(run_id)
            .bind(status)
            .execute(&mut *transaction)
            .await;
        let refusal = match outcome {
            Ok(done) if done.rows_affected() == 0 => bail!("there is no run {run_id} to change"),
            Ok(_) => "accepted".to_owned(),
            Err(error) => error.to_string(),
        };
        transaction
            .rollback()
            .await
            .context("failed to roll back")?;
        Ok(refusal)
    }

    /// Cancels the runs of a repository that have not ended; the platform ends them in its own time.
    ///
    /// # Errors
    /// When the database or the staff API cannot be reached, or the latter refuses; the other runs are cancelled then.
    pub async fn cancel_open_runs(&self, repository: &str) -> anyhow::Result<()> {
        let open = "SELECT to_jsonb(r.id) FROM agent_runs r WHERE repository_full_name = $1 \
                    AND status NOT IN ('succeeded', 'failed', 'canceled')";
        let mut outcome = Ok(());
        for run in self.database.rows(open, &[repository]).await? {
            if let Some(id) = run.as_str() {
                outcome = outcome.and(self.staff.cancel_if_open(id).await);
            }
        }
        outcome
    }

    /// Ends the platform's processes.
    pub async fn close(&self) {
        self.lane.close().await;
        self.permit
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
    }
}

fn variable(process: &LaneProcess, name: &str) -> Option<String> {
    process
        .environment()
        .into_iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value)
}

/// Platforms of a run: the common one, and lanes on demand.
pub struct PlatformPool {
    target: Arc<EmbeddedTarget>,
    base: LaneSpec,
    common: Arc<Platform>,
    http: Client,
    permits: Arc<Semaphore>,
    made: Mutex<Vec<(Arc<Platform>, String)>>,
}

impl PlatformPool {
    /// Starts the common platform: every process on its own, two workers. Of other lanes `leases` may run at once.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(
        target: Arc<EmbeddedTarget>,
        base: LaneSpec,
        leases: usize,
    ) -> anyhow::Result<Self> {
        let http = Client::builder()
            .no_proxy()
            .timeout(READY_DEADLINE)
            .build()
            .context("failed to build the HTTP client")?;
        let spec = LaneSpec {
            workers: 2,
            ..base.clone()
        };
        let lane = target
            .lane(spec)
            .await
            .context("failed to start the common platform")?;
        let options = target.postgres.options_for(&lane.database);
        let common = Arc::new(Platform::new(
            lane,
            options,
            http.clone(),
            base.orchestrator.clone(),
            None,
        ));
        let made = Mutex::new(vec![(common.clone(), "scenarios side by side".to_owned())]);
        Ok(Self {
            target,
            base,
            common,
            http,
            permits: Arc::new(Semaphore::new(leases)),
            made,
        })
    }

    /// A client of the cluster that is whoever its API server gave `token` to.
    ///
    /// # Errors
    /// When it cannot be set up.
    pub fn client_by_token(&self, token: &str) -> anyhow::Result<kube::Client> {
        self.target
            .client_by_token(token)
            .context("failed to set up a client by token")
    }

    #[must_use]
    pub fn common(&self) -> Arc<Platform> {
        self.common.clone()
    }

    /// Every platform of the run with what it was for.
    #[must_use]
    pub fn all(&self) -> Vec<(Arc<Platform>, String)> {
        self.made
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// A platform for one scenario.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn lease(
        &self,
        wanted: PlatformSpec,
        scenario: &str,
    ) -> anyhow::Result<Arc<Platform>> {
        let permit = self
            .permits
            .clone()
            .acquire_owned()
            .await
            .context("the pool of lanes is closed")?;
        let suffix: String = uuid::Uuid::new_v4()
            .simple()
            .to_string()
            .chars()
            .take(6)
            .collect();
        let mut spec = LaneSpec {
            instance: format!("{}-{suffix}", scenario.to_lowercase()),
            workers: wanted.workers,
            gateways: wanted.replicas,
            control_planes: wanted.replicas,
            web_consoles: 0,
            ..self.base.clone()
        };
        spec.extra_env.extend(wanted.settings);
        let lane = self
            .target
            .lane(spec)
            .await
            .with_context(|| format!("failed to start a platform for {scenario}"))?;
        let options = self.target.postgres.options_for(&lane.database);
        let platform = Arc::new(Platform::new(
            lane,
            options,
            self.http.clone(),
            self.base.orchestrator.clone(),
            Some(permit),
        ));
        self.made
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push((platform.clone(), scenario.to_owned()));
        Ok(platform)
    }

    /// Ends a leased platform after its leases are over (E-13).
    pub async fn give_back(&self, platform: Arc<Platform>) {
        if let Err(error) = self.settle(&platform).await {
            tracing::warn!(%error, instance = platform.instance, "a leased platform did not settle");
        }
        platform.close().await;
    }

    /// Moves the platform's clock past its longest lease and waits until its sweep has ended every run namespace.
    ///
    /// # Errors
    /// When namespaces remain.
    pub async fn settle(&self, platform: &Platform) -> anyhow::Result<()> {
        platform.lane.postgres_proxy.pass();
        platform.lane.kube_proxy.pass();
        platform
            .lane
            .start_all()
            .await
            .context("failed to start the platform again")?;
        let open = "SELECT to_jsonb(r.id) FROM agent_runs r WHERE status NOT IN ('succeeded', 'failed', 'canceled')";
        for run in platform.database.rows(open, &[]).await? {
            if let Some(id) = run.as_str() {
                platform.staff.cancel(id, false).await?;
            }
        }
        until("the end of all runs", SETTLE_DEADLINE, async || {
            let left = platform.database.rows(open, &[]).await?;
            Ok(if left.is_empty() {
                Reading::Reached(())
            } else {
                Reading::NotYet(format!("{} runs", left.len()))
            })
        })
        .await?;
        platform.advance_clock(LONGEST_LEASE_SECONDS).await?;
        let namespaces: kube::Api<k8s_openapi::api::core::v1::Namespace> =
            kube::Api::all(self.target.kube.clone());
        let selector = kube::api::ListParams::default().labels(&format!(
            "codex-k8s.dev/instance={},codex-k8s.dev/managed-by=codex-k8s-worker,codex-k8s.dev/namespace-purpose=run",
            platform.instance
        ));
        until(
            "the end of all run namespaces",
            SETTLE_DEADLINE,
            async || {
                let list = namespaces.list(&selector).await?;
                let held = |namespace: &k8s_openapi::api::core::v1::Namespace| {
                    namespace
                        .metadata
                        .annotations
                        .as_ref()
                        .is_some_and(|found| found.contains_key("codex-k8s.dev/namespace-keep"))
                };
                let kept = list
                    .items
                    .iter()
                    .filter(|namespace| {
                        namespace.metadata.deletion_timestamp.is_none() && !held(namespace)
                    })
                    .count();
                Ok(if kept == 0 {
                    Reading::Reached(())
                } else {
                    Reading::NotYet(format!("{kept} namespaces"))
                })
            },
        )
        .await?;
        self.code_runs_are_gone(platform).await
    }

    /// Waits until the Jobs of runs without a namespace of their own have gone with their credentials.
    async fn code_runs_are_gone(&self, platform: &Platform) -> anyhow::Result<()> {
        let namespace = &platform.lane.code_runs_namespace;
        let client = &self.target.kube;
        let jobs: kube::Api<Job> = kube::Api::namespaced(client.clone(), namespace);
        let secrets: kube::Api<Secret> = kube::Api::namespaced(client.clone(), namespace);
        let all = kube::api::ListParams::default();
        until(
            "the end of all code-only runs",
            SETTLE_DEADLINE,
            async || {
                let (jobs, secrets) = tokio::try_join!(jobs.list(&all), secrets.list(&all))?;
                let left: Vec<String> = jobs
                    .items
                    .into_iter()
                    .map(|job| job.metadata)
                    .chain(secrets.items.into_iter().map(|secret| secret.metadata))
                    .filter_map(|metadata| metadata.name)
                    .collect();
                Ok(if left.is_empty() {
                    Reading::Reached(())
                } else {
                    Reading::NotYet(left.join(", "))
                })
            },
        )
        .await
    }

    /// Waits until the API server has finalised every run namespace of every platform but those held by `run:debug`.
    ///
    /// # Errors
    /// When namespaces remain.
    pub async fn finalised(&self) -> anyhow::Result<()> {
        let namespaces: kube::Api<k8s_openapi::api::core::v1::Namespace> =
            kube::Api::all(self.target.kube.clone());
        let selector = kube::api::ListParams::default().labels(
            "codex-k8s.dev/managed-by=codex-k8s-worker,codex-k8s.dev/namespace-purpose=run",
        );
        until(
            "the end of every run namespace",
            FINALISE_DEADLINE,
            async || {
                let list = namespaces.list(&selector).await?;
                let left = list
                    .items
                    .iter()
                    .filter(|namespace| namespace.metadata.deletion_timestamp.is_some())
                    .count();
                Ok(if left == 0 {
                    Reading::Reached(())
                } else {
                    Reading::NotYet(format!("{left} namespaces are being deleted"))
                })
            },
        )
        .await
    }
}
