//! `gonogo verify`: checks every digest and makes every derived file again (E-32, E-42).
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::manifest::{self, Manifest};
use super::{BundleError, derive};
use crate::journals::Journals;
use crate::spec::Specification;
use crate::verdict::{Criteria, CriteriaError, Verdict};

/// What is wrong with a bundle.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// File in the bundle.
    pub file: String,
    /// Why.
    pub reason: String,
}

/// Why a bundle does not hold.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Files are missing, changed or do not follow from the journals.
    #[error("the bundle does not hold: {}", describe(.0))]
    Broken(Vec<Problem>),
    /// The bundle cannot be judged.
    #[error("failed to make the bundle again")]
    Bundle(#[from] BundleError),
    /// The criteria cannot be read.
    #[error("failed to read the criteria of the bundle")]
    Criteria(#[from] CriteriaError),
}

fn describe(problems: &[Problem]) -> String {
    let texts: Vec<String> = problems
        .iter()
        .map(|problem| format!("{}: {}", problem.file, problem.reason))
        .collect();
    texts.join("; ")
}

/// Checks a bundle folder; answers with its verdict when it holds.
pub fn verify(folder: &Path, specification: &Specification) -> Result<Verdict, VerifyError> {
    let mut problems = digests(folder)?;
    if problems.is_empty() {
        let journals = Journals::read(folder).map_err(BundleError::from)?;
        let criteria = Criteria::read(&folder.join("gate.yaml"))?;
        let derived = derive::derive(&journals, &criteria, specification)?;
        for (path, bytes) in &derived.files {
            let stored = fs::read(folder.join(path)).unwrap_or_default();
            if stored != *bytes {
                problems.push(Problem {
                    file: path.clone(),
                    reason: format!(
                        "does not follow from the journals, first difference at byte {}",
                        first_difference(&stored, bytes)
                    ),
                });
            }
        }
        if problems.is_empty() {
            return Ok(derived.judgement.verdict);
        }
    }
    problems.sort();
    Err(VerifyError::Broken(problems))
}

pub(super) fn digests(folder: &Path) -> Result<Vec<Problem>, VerifyError> {
    let problem = |file: &str, reason: &str| Problem {
        file: file.to_owned(),
        reason: reason.to_owned(),
    };
    let stored: Option<Manifest> = fs::read(folder.join(manifest::FILE))
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let Some(stored) = stored else {
        return Ok(vec![problem(
            manifest::FILE,
            "is missing or cannot be read",
        )]);
    };
    let mut problems = Vec::new();
    if manifest::root(&stored.files) != stored.root {
        problems.push(problem(manifest::FILE, "its root is not that of its files"));
    }
    let found = manifest::of_folder(folder)?;
    let known: BTreeSet<&str> = stored.files.iter().map(|file| file.path.as_str()).collect();
    for file in &stored.files {
        match found.files.iter().find(|found| found.path == file.path) {
            None => problems.push(problem(&file.path, "is missing")),
            Some(found) if found.size < file.size => {
                problems.push(problem(&file.path, "is shorter than the manifest says"));
            }
            Some(found) if found.sha256 != file.sha256 => {
                problems.push(problem(&file.path, "was changed: its digest differs"));
            }
            Some(found) if found != file => {
                problems.push(problem(&file.path, "is described wrongly in the manifest"));
            }
            Some(_) => {}
        }
    }
    for file in &found.files {
        if !known.contains(file.path.as_str()) {
            problems.push(problem(&file.path, "is not in the manifest"));
        }
    }
    Ok(problems)
}

fn first_difference(a: &[u8], b: &[u8]) -> usize {
    a.iter()
        .zip(b)
        .position(|(a, b)| a != b)
        .unwrap_or(a.len().min(b.len()))
}
