//! What the control plane and the worker need to work.
use std::time::Duration;

use crate::app::App;

/// A check that takes longer has failed.
const CHECK_LIMIT: Duration = Duration::from_secs(2);

/// Names the checks that fail now.
pub async fn failing_checks(app: &App, needs_kubernetes: bool) -> Vec<&'static str> {
    let mut failing = Vec::new();
    let database = async { sqlx::query("SELECT 1").execute(&app.pool).await.is_ok() };
    if !tokio::time::timeout(CHECK_LIMIT, database)
        .await
        .unwrap_or(false)
    {
        failing.push("database");
    }
    if needs_kubernetes {
        let kubernetes = async {
            match &app.kube {
                Some(client) => client.apiserver_version().await.is_ok(),
                None => false,
            }
        };
        if !tokio::time::timeout(CHECK_LIMIT, kubernetes)
            .await
            .unwrap_or(false)
        {
            failing.push("kubernetes");
        }
    }
    failing
}
