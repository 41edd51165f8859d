//! `gonogo doctor`: what this machine lacks.

use bootstrap::doctor::State;
use serde_json::json;

use crate::{cli::Output, exit_code::ExitStatus, gate::Failure};

/// Prints each finding with how to mend it.
///
/// # Errors
/// Never at present; commands share one signature.
pub async fn doctor(output: Output) -> Result<ExitStatus, Failure> {
    let findings = bootstrap::doctor::doctor().await;
    let missing = findings
        .iter()
        .any(|finding| finding.state == State::Missing);
    if output == Output::Json {
        let items: Vec<_> = findings
            .iter()
            .map(|finding| json!({"name": finding.name, "state": format!("{:?}", finding.state).to_lowercase(), "found": finding.found, "hint": finding.hint}))
            .collect();
        println!(
            "{}",
            serde_json::to_string_pretty(&items).unwrap_or_default()
        );
    } else {
        for finding in &findings {
            println!(
                "{:<8} {:<22} {}",
                format!("{:?}", finding.state).to_lowercase(),
                finding.name,
                finding.found
            );
            if finding.state != State::Ok && !finding.hint.is_empty() {
                println!("         {}", finding.hint);
            }
        }
    }
    Ok(if missing {
        ExitStatus::NoGo
    } else {
        ExitStatus::Go
    })
}
