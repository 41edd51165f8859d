//! Gauges that are counts in the database, refreshed while the process lives.
use std::collections::HashSet;
use std::time::Duration;

use crate::app::SharedApp;
use crate::store::gauges::{self, Count};
use crate::wakeups::Woken;

/// As often as scrapers usually come.
const REFRESH: Duration = Duration::from_secs(15);

/// Refreshes until the process ends.
pub async fn run(app: SharedApp) {
    let mut waiter = app
        .wakeups
        .waiter(&[crate::wakeups::Channel::Clock], &app.shutdown);
    let mut known: HashSet<Series> = HashSet::new();
    loop {
        match gauges::read(&app.pool).await {
            Ok(counts) => {
                let mut absent = known.clone();
                for entry in counts {
                    let (series, count) = series(entry);
                    absent.remove(&series);
                    set(&series, count);
                    known.insert(series);
                }
                for series in absent {
                    set(&series, 0);
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

/// A metric and its labels.
type Series = (String, Vec<metrics::Label>);

fn series(entry: Count) -> (Series, i64) {
    let contour = entry
        .contour
        .map(|contour| metrics::Label::new("contour", contour));
    let state = metrics::Label::new(entry.name, entry.state);
    let labels = contour.into_iter().chain([state]).collect();
    ((entry.metric, labels), entry.count)
}

#[allow(clippy::cast_precision_loss)] // counts of rows stay far below 2^53
fn set((metric, labels): &Series, count: i64) {
    metrics::gauge!(metric.clone(), labels.clone()).set(count as f64);
}
