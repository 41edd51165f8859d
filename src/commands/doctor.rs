//! `gonogo doctor`: what this machine lacks.

use bootstrap::doctor::State;
use serde_json::json;

use crate::{cli::Output, exit_code::ExitStatus, gate::Failure, output::print_line};

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
        print_line(&serde_json::to_string_pretty(&items).unwrap_or_default());
    } else {
        for finding in &findings {
            print_line(&format!(
                "{:<8} {:<22} {}",
                format!("{:?}", finding.state).to_lowercase(),
                finding.name,
                finding.found
            ));
            if finding.state != State::Ok && !finding.hint.is_empty() {
                print_line(&format!("         {}", finding.hint));
            }
        }
    }
    Ok(if missing {
        ExitStatus::NoGo
    } else {
        ExitStatus::Go
    })
}
