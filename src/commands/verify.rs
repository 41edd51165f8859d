//! `gonogo verify`: recomputes a bundle offline.

use std::path::Path;

use reports::{bundle, spec::Specification};
use serde_json::json;

use crate::{cli::Output, exit_code::ExitStatus, gate::Failure, output::print_line};

/// Recomputes verdict, coverage and ledger, and checks every digest.
///
/// # Errors
/// When the specification cannot be read.
pub fn verify(folder: &Path, output: Output) -> Result<ExitStatus, Failure> {
    if !folder.is_dir() {
        return Err(Failure::Usage(format!(
            "failed to find a bundle in {}: it is no folder; name the one that a run wrote, such as target/gate/latest",
            folder.display()
        )));
    }
    let specification = Specification::embedded().map_err(|error| Failure::gate(&error))?;
    let (status, text, document) = match bundle::verify(folder, &specification) {
        Ok(verdict) => (
            ExitStatus::Go,
            format!("{}\nthe bundle is what it says it is", verdict.headline),
            json!({"ok": true, "headline": verdict.headline}),
        ),
        Err(error) => {
            let message = format!("{:#}", anyhow::Error::from(error));
            (
                ExitStatus::NoGo,
                message.clone(),
                json!({"ok": false, "error": message}),
            )
        }
    };
    match output {
        Output::Text => print_line(&text),
        Output::Json => print_line(&document.to_string()),
    }
    Ok(status)
}
