//! What a run takes over from the bundle that it is compared with.
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::verify::{VerifyError, digests};
use super::{BundleError, Problem};
use crate::journals::JournalError;
use crate::verdict::{Baseline, Criteria};

/// As much of `verdict.json` as a comparison needs.
#[derive(Deserialize)]
struct Judged {
    gate_run_id: String,
    headline: String,
    findings: Vec<Found>,
}

#[derive(Deserialize)]
struct Found {
    subject: String,
}

/// Reads the baseline from a bundle folder.
///
/// Its digests are checked, its verdict is not made again: an older bundle follows from an older specification.
///
/// # Errors
/// When a file of the bundle was changed, is missing or cannot be read.
pub fn baseline(folder: &Path) -> Result<Baseline, VerifyError> {
    let problems = digests(folder)?;
    if !problems.is_empty() {
        return Err(VerifyError::Broken(problems));
    }
    let file = "verdict.json";
    let bytes = fs::read(folder.join(file)).map_err(|source| {
        BundleError::from(JournalError::Read {
            file: file.into(),
            source,
        })
    })?;
    let judged: Judged = serde_json::from_slice(&bytes).map_err(|error| {
        VerifyError::Broken(vec![Problem {
            file: file.to_owned(),
            reason: format!("is no verdict: {error}"),
        }])
    })?;
    let criteria = Criteria::read(&folder.join("gate.yaml"))?;
    let mut findings: Vec<String> = judged
        .findings
        .into_iter()
        .map(|found| found.subject)
        .collect();
    findings.sort();
    findings.dedup();
    Ok(Baseline {
        gate_run_id: judged.gate_run_id,
        scope: criteria.scope,
        headline: judged.headline,
        findings,
    })
}
