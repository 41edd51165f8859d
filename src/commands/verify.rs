//! `gonogo verify`: recomputes a bundle offline.

use std::path::Path;

use reports::{bundle, spec::Specification};
use serde_json::json;

use crate::{cli::Output, exit_code::ExitStatus, gate::Failure};

/// Recomputes verdict, coverage and ledger, and checks every digest.
///
/// # Errors
/// When the specification cannot be read.
pub fn verify(folder: &Path, output: Output) -> Result<ExitStatus, Failure> {
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
        Output::Text => println!("{text}"),
        Output::Json => println!("{document}"),
    }
    Ok(status)
}
