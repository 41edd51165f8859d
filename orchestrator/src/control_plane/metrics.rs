//! Gauges that are counts in the database, refreshed while the process lives.
use std::collections::HashSet;
use std::time::Duration;

use crate::app::SharedApp;
use crate::store::gauges;
use crate::wakeups::Woken;

/// As often as scrapers usually come.
const REFRESH: Duration = Duration::from_secs(15);

/// Refreshes until the process ends.
pub async fn run(app: SharedApp) {
    let mut waiter = app
        .wakeups
        .waiter(&[crate::wakeups::Channel::Clock], &app.shutdown);
    let mut known: HashSet<(String, String)> = HashSet::new();
    loop {
        match gauges::read(&app.pool).await {
            Ok(counts) => {
                let mut absent = known.clone();
                for entry in counts {
                    absent.remove(&(entry.metric.clone(), entry.label.clone()));
                    known.insert((entry.metric.clone(), entry.label.clone()));
                    set(entry.metric, entry.label, entry.count);
                }
                for (metric, label) in absent {
                    set(metric, label, 0);
                }
            }
            Err(error) => tracing::debug!(
                error = &error as &dyn std::error::Error,
                "failed to refresh the gauges"
            ),
        }
        if waiter.wait(REFRESH).await == Woken::Shutdown {
            return;
        }
    }
}

#[allow(clippy::cast_precision_loss)] // counts of rows stay far below 2^53
fn set(metric: String, label: String, count: i64) {
    let name = if matches!(
        metric.as_str(),
        "codexk8s_runs" | "codexk8s_deploy_tasks" | "codexk8s_deliveries"
    ) {
        "status"
    } else {
        "state"
    };
    metrics::gauge!(metric, name => label).set(count as f64);
}
