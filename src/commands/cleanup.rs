//! `gonogo cleanup`: ends what killed runs left behind.

use serde_json::json;

use crate::{
    cli::Output,
    exit_code::ExitStatus,
    gate::{Failure, failure},
    output::print_line,
};

/// Ends processes and removes folders of runs whose gate is dead.
///
/// # Errors
/// When the cache folder cannot be read.
pub async fn cleanup(output: Output) -> Result<ExitStatus, Failure> {
    let cache = bootstrap::CacheFolder::from_environment().map_err(failure)?;
    let mut cleaned = bootstrap::runs::cleanup(&cache).await.map_err(failure)?;
    cleaned.extend(
        bootstrap::runs::clean_up_builds(&cache)
            .await
            .map_err(failure)?,
    );
    let left: usize = cleaned.iter().map(|run| run.left.len()).sum();
    if output == Output::Json {
        let runs: Vec<_> = cleaned
            .iter()
            .map(|run| json!({"run_id": run.run_id, "ended": run.ended.len(), "left": run.left.len(), "removed": run.removed}))
            .collect();
        print_line(&json!({"runs": runs, "left": left}).to_string());
    } else if cleaned.is_empty() {
        print_line("nothing to clean up");
    } else {
        for run in &cleaned {
            print_line(&format!(
                "run {}: {} processes ended, {} folders removed, {} processes left",
                run.run_id,
                run.ended.len(),
                run.removed.len(),
                run.left.len()
            ));
        }
    }
    Ok(if left == 0 {
        ExitStatus::Go
    } else {
        ExitStatus::NoGo
    })
}
