//! Starts the parts of each process, and ends them together on SIGTERM.
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::Router;
use axum::middleware;
use axum::routing::get;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::app::{App, SharedApp};
use crate::conduct::Conduct;
use crate::config::{Config, ProcessKind};
use crate::control_plane::{self, ControlPlane};
use crate::http_api::{self, Readiness};
use crate::secrets::{self, ColumnCipher};
use crate::staff::Services;
use crate::store::{self, migrations};
use crate::{gateway, mcp, telemetry, web_console};

/// What is left to do on SIGTERM must fit into a pod's grace; R-15 gives a worker five seconds.
const SHUTDOWN_LIMIT: Duration = Duration::from_secs(8);

/// Between two looks for a database that is not there yet.
const DATABASE_PAUSE: Duration = Duration::from_millis(500);

type Parts = JoinSet<(&'static str, anyhow::Result<()>)>;

/// Runs a process until it is told to end.
pub async fn run(config: Config, conduct: Arc<dyn Conduct>) -> anyhow::Result<()> {
    let metrics = telemetry::init_metrics().context("failed to install the metrics recorder")?;
    let shutdown = CancellationToken::new();
    cancel_on_signal(&shutdown)?;
    tracing::info!(
        process = config.process.as_str(),
        revision = crate::build_info::build().revision,
        dirty = crate::build_info::build().dirty,
        "starting"
    );
    let mut parts = Parts::new();
    match config.process {
        ProcessKind::Gateway => {
            let gateway = gateway::Gateway::remote(&config)?;
            start_metrics(&mut parts, &config, metrics, &shutdown).await?;
            start_public(&mut parts, &config, gateway::router(gateway), &shutdown).await?;
        }
        ProcessKind::WebConsole => {
            start_metrics(&mut parts, &config, metrics, &shutdown).await?;
            start_public(&mut parts, &config, web_console::router(), &shutdown).await?;
        }
        ProcessKind::ControlPlane => {
            let app = App::new(config, metrics, conduct, shutdown.clone()).await?;
            start_control_plane(&mut parts, &app).await?;
        }
        ProcessKind::Worker => {
            let app = App::new(config, metrics, conduct, shutdown.clone()).await?;
            migrations::wait_until_migrated(&app.pool).await?;
            start_health(&mut parts, &app).await?;
            start_worker(&mut parts, &app);
            start_listener(&mut parts, &app);
        }
        ProcessKind::All => {
            let app = App::new(config, metrics, conduct, shutdown.clone()).await?;
            let control_plane = start_control_plane(&mut parts, &app).await?;
            start_health(&mut parts, &app).await?;
            start_worker(&mut parts, &app);
            let gateway = gateway::Gateway::local(&app.config, control_plane)?;
            start_public(&mut parts, &app.config, gateway::router(gateway), &shutdown).await?;
        }
    }
    supervise(parts, &shutdown).await
}

/// Applies the migrations and ends.
pub async fn migrate(config: Config) -> anyhow::Result<()> {
    let url = config
        .database
        .url
        .as_ref()
        .context("CODEXK8S_DATABASE_URL is required")?;
    let pool = store::pool(url, 1, "migrate")?;
    let applied = migrations::migrate(&pool).await?;
    tracing::info!(
        applied,
        latest = migrations::latest(),
        "the schema is up to date"
    );
    Ok(())
}

/// Seals what the key before holds with the present one; how many values (G-122).
pub async fn rotate_keys(config: Config) -> anyhow::Result<u64> {
    let url = config
        .database
        .url
        .as_ref()
        .context("CODEXK8S_DATABASE_URL is required")?;
    let keys = &config.keys;
    let (Some(present), Some(previous)) = (&keys.token_encryption, &keys.token_encryption_previous)
    else {
        anyhow::bail!(
            "failed to rotate: CODEXK8S_TOKEN_ENCRYPTION_KEY_PREVIOUS is not set; it is the key that was in use before"
        );
    };
    let cipher = ColumnCipher::new(present, Some(previous))?;
    let pool = store::pool(url, 1, "rotate-keys")?;
    Ok(secrets::reseal_stored(&pool, &cipher).await?)
}

/// One sweep of expired namespaces, mode `namespace_cleanup_once` (runtime 2.4).
pub async fn cleanup_namespaces_once(
    config: Config,
    conduct: Arc<dyn Conduct>,
) -> anyhow::Result<()> {
    let app = app_without_parts(config, conduct).await?;
    let swept = crate::worker::cleanup_once(app).await?;
    tracing::info!(
        deleted = swept.deleted,
        kept = swept.kept,
        "swept expired namespaces"
    );
    Ok(())
}

/// One leak check; prints findings and kept namespaces as JSON.
pub async fn hygiene(config: Config, conduct: Arc<dyn Conduct>) -> anyhow::Result<()> {
    let app = app_without_parts(config, conduct).await?;
    let report = crate::worker::hygiene_once(app).await?;
    println!("{}", serde_json::to_string_pretty(&report)?);
    Ok(())
}

/// For a command that does one thing and ends.
async fn app_without_parts(config: Config, conduct: Arc<dyn Conduct>) -> anyhow::Result<SharedApp> {
    let metrics = telemetry::init_metrics()?;
    Ok(App::new(config, metrics, conduct, CancellationToken::new()).await?)
}

/// The runner of a Job.
pub async fn run_agent(arguments: Vec<String>) -> anyhow::Result<()> {
    let code = crate::agent::main(arguments).await;
    std::process::exit(code)
}

async fn start_control_plane(parts: &mut Parts, app: &SharedApp) -> anyhow::Result<ControlPlane> {
    prepare_database(app).await?;
    let listener = http_api::bind(app.config.listen.internal, "internal HTTP").await?;
    let mcp_listener = http_api::bind(app.config.listen.mcp, "MCP").await?;
    let (control_plane, loops) = ControlPlane::new(app);
    let router = control_plane.internal_router();
    let shutdown = app.shutdown.clone();
    spawn(parts, "internal HTTP", async move {
        Ok(http_api::serve(listener, router, "internal HTTP", shutdown).await?)
    });
    let mcp_router = mcp::router(Services::new(app.clone()));
    let shutdown = app.shutdown.clone();
    spawn(parts, "MCP", async move {
        Ok(http_api::serve(mcp_listener, mcp_router, "MCP", shutdown).await?)
    });
    start_listener(parts, app);
    for (name, part) in loops {
        spawn(parts, name, async move {
            part.await;
            Ok(())
        });
    }
    Ok(control_plane)
}

/// Migrations and seeds (DM-2: before any listener opens). A database that is not there yet is waited for;
/// whatever else is wrong ends the process.
async fn prepare_database(app: &SharedApp) -> anyhow::Result<()> {
    loop {
        let prepared = async {
            migrations::migrate(&app.pool).await?;
            control_plane::prepare(app).await
        };
        let error = match prepared.await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let unavailable = error
            .chain()
            .filter_map(|cause| cause.downcast_ref::<sqlx::Error>())
            .any(store::is_unavailable);
        if !unavailable {
            return Err(error);
        }
        tracing::warn!(
            error = AsRef::<dyn std::error::Error>::as_ref(&error),
            "the database is not available, trying again"
        );
        tokio::select! {
            () = tokio::time::sleep(DATABASE_PAUSE) => {}
            () = app.shutdown.cancelled() => return Err(error),
        }
    }
}

fn start_worker(parts: &mut Parts, app: &SharedApp) {
    let app = app.clone();
    spawn(parts, "worker", async move {
        crate::worker::run(app).await?;
        Ok(())
    });
}

fn start_listener(parts: &mut Parts, app: &SharedApp) {
    let app = app.clone();
    spawn(parts, "notification listener", async move {
        let url = app
            .config
            .database
            .url
            .as_ref()
            .context("CODEXK8S_DATABASE_URL is required")?;
        // Its own pool: a listener that holds a connection of the shared one would keep that from closing.
        let pool = store::pool(url, 1, "listener")?;
        app.wakeups.listen(pool, app.shutdown.clone()).await;
        Ok(())
    });
}

/// Health and metrics of the worker, never public.
async fn start_health(parts: &mut Parts, app: &SharedApp) -> anyhow::Result<()> {
    let listener = http_api::bind(app.config.listen.health, "health").await?;
    let readiness: Readiness = {
        let app = app.clone();
        Arc::new(move || {
            let app = app.clone();
            Box::pin(async move { control_plane::failing_checks(&app, true).await })
        })
    };
    let metrics = app.metrics.clone();
    let router = http_api::health_routes(readiness)
        .route("/metrics", get(move || async move { metrics.render() }))
        .fallback(http_api::unknown_route)
        .layer(middleware::from_fn(http_api::with_request_id));
    let shutdown = app.shutdown.clone();
    spawn(parts, "health", async move {
        Ok(http_api::serve(listener, router, "health", shutdown).await?)
    });
    Ok(())
}

async fn start_metrics(
    parts: &mut Parts,
    config: &Config,
    metrics: metrics_exporter_prometheus::PrometheusHandle,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let listener = http_api::bind(config.listen.health, "metrics").await?;
    let router = Router::new()
        .route("/metrics", get(move || async move { metrics.render() }))
        .fallback(http_api::unknown_route);
    let shutdown = shutdown.clone();
    spawn(parts, "metrics", async move {
        Ok(http_api::serve(listener, router, "metrics", shutdown).await?)
    });
    Ok(())
}

async fn start_public(
    parts: &mut Parts,
    config: &Config,
    router: Router,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let listener = http_api::bind(config.listen.http, "public HTTP").await?;
    let shutdown = shutdown.clone();
    spawn(parts, "public HTTP", async move {
        Ok(http_api::serve(listener, router, "public HTTP", shutdown).await?)
    });
    Ok(())
}

fn spawn(
    parts: &mut Parts,
    name: &'static str,
    part: impl Future<Output = anyhow::Result<()>> + Send + 'static,
) {
    parts.spawn(async move { (name, part.await) });
}

fn cancel_on_signal(shutdown: &CancellationToken) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("failed to watch for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("failed to watch for SIGINT")?;
    let shutdown = shutdown.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("told to end");
        shutdown.cancel();
    });
    Ok(())
}

/// A part that ends before it was told to ends the process: its supervisor starts it anew, whole.
async fn supervise(mut parts: Parts, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let mut outcome = Ok(());
    while let Some(ended) = parts.join_next().await {
        let (name, result) = ended.context("a part of the process panicked")?;
        if shutdown.is_cancelled() {
            break;
        }
        outcome = result
            .and_then(|()| Err(anyhow::anyhow!("it ended without being told to")))
            .with_context(|| format!("failed to keep {name} running"));
        break;
    }
    shutdown.cancel();
    let rest = async {
        while let Some(ended) = parts.join_next().await {
            if let Ok((name, Err(error))) = ended {
                tracing::warn!(
                    part = name,
                    error = error.as_ref() as &dyn std::error::Error,
                    "a part ended with an error"
                );
            }
        }
    };
    if tokio::time::timeout(SHUTDOWN_LIMIT, rest).await.is_err() {
        tracing::warn!("some parts did not end in time");
    }
    outcome
}
