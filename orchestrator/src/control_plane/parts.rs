//! The control plane as parts that run side by side.
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;

use super::intake::{self, Committer, Intake};
use super::outcomes::Outcomes;
use super::pressure::Pressure;
use super::readiness::failing_checks;
use super::{decider, executor, lost_deliveries, metrics, reconcile, router};
use crate::app::SharedApp;
use crate::notifications;
use crate::secrets::check_stored_ciphertexts;
use crate::staff;
use crate::store::seeds;

/// Nothing that is due is looked at more often than this, however the clocks differ.
const SHORTEST_PAUSE: Duration = Duration::from_millis(20);

/// A loop with the name it is reported under.
pub type Part = (&'static str, Pin<Box<dyn Future<Output = ()> + Send>>);

/// State of the control plane in one process.
#[derive(Clone)]
pub struct ControlPlane {
    pub(super) app: SharedApp,
    pub(super) intake: Intake,
    pub(super) staff: Router,
    pub(super) callbacks: Router,
    outcomes: Arc<Outcomes>,
}

impl ControlPlane {
    /// Builds the state and the loops; nothing runs yet.
    pub fn new(app: &SharedApp) -> (Self, Vec<Part>) {
        let outcomes = Arc::new(Outcomes::default());
        let pressure = Arc::new(Pressure::default());
        let (intake, committer) = intake::intake(outcomes.clone(), pressure.clone());
        let control_plane = Self {
            app: app.clone(),
            intake,
            staff: staff::router(staff::Services::new(app.clone())),
            callbacks: notifications::router(staff::Services::new(app.clone())),
            outcomes,
        };
        let parts = control_plane.parts(committer, pressure);
        (control_plane, parts)
    }

    fn parts(&self, committer: Committer, pressure: Arc<Pressure>) -> Vec<Part> {
        let mut parts: Vec<Part> = vec![("intake", Box::pin(committer.run(self.app.clone())))];
        parts.push((
            "decider",
            Box::pin(decider::run(
                self.app.clone(),
                self.outcomes.clone(),
                pressure,
            )),
        ));
        parts.push(("executor", Box::pin(executor::run(self.app.clone()))));
        let (app, outcomes) = (self.app.clone(), self.outcomes.clone());
        parts.push((
            "outcomes",
            Box::pin(async move { outcomes.watch(&app).await }),
        ));
        let app = self.app.clone();
        parts.push((
            "wake-ups of others",
            Box::pin(async move { app.wakeups.tell(&app.pool, &app.shutdown).await }),
        ));
        parts.push(("full pass", Box::pin(reconcile::run(self.app.clone()))));
        parts.push((
            "lost deliveries",
            Box::pin(lost_deliveries::run(self.app.clone())),
        ));
        parts.push((
            "approvals",
            Box::pin(crate::approvals::expire_overdue(self.app.clone())),
        ));
        parts.push((
            "retention",
            Box::pin(crate::retention::run(self.app.clone())),
        ));
        parts.push((
            "notifications",
            Box::pin(notifications::run(self.app.clone())),
        ));
        parts.push(("gauges", Box::pin(metrics::run(self.app.clone()))));
        parts.push(("deploy", Box::pin(crate::deploy::run(self.app.clone()))));
        parts
    }

    /// The internal listener.
    pub fn internal_router(&self) -> Router {
        router::router(self.clone())
    }

    /// Takes a checked delivery, for a gateway in the same process.
    pub fn intake(&self) -> &Intake {
        &self.intake
    }

    /// Whether everything the control plane needs answers.
    pub async fn is_ready(&self) -> bool {
        failing_checks(&self.app, false).await.is_empty()
    }

    /// The callback routes of adapters, for a gateway in the same process.
    pub fn callback_router(&self) -> Router {
        self.callbacks.clone()
    }

    /// The staff routes, for a gateway in the same process.
    pub fn staff_router(&self) -> Router {
        self.staff.clone()
    }
}

/// What must hold before a listener opens: readable secrets and the bootstrap owner (D-22, DM-8).
pub async fn prepare(app: &SharedApp) -> anyhow::Result<()> {
    if let Some(cipher) = &app.cipher {
        check_stored_ciphertexts(&app.pool, cipher).await?;
    }
    let people = &app.config.staff;
    if let Some(email) = &people.owner_email {
        seeds::ensure_owner(&app.pool, email, people.owner_github_login.as_deref()).await?;
    }
    seeds::ensure_users(&app.pool, &people.platform_admin_emails, true).await?;
    seeds::ensure_users(&app.pool, &people.allowed_emails, false).await?;
    Ok(())
}

/// How long a loop may sleep: until something is due, and never beyond the fallback.
pub(crate) fn pause_until(due_seconds: Option<f64>, fallback: Duration) -> Duration {
    let due = due_seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds.max(0.0)).ok());
    due.map_or(fallback, |due| due.min(fallback))
        .max(SHORTEST_PAUSE)
}
