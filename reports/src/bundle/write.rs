//! Writes what follows from the journals, then the manifest and the archive.
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{archive, derive, manifest};
use crate::evidence::GateRun;
use crate::journals::{JournalError, Journals};
use crate::spec::Specification;
use crate::verdict::{Criteria, Judgement};

/// Why a bundle cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// The journals cannot be read.
    #[error("failed to read the journals")]
    Journals(#[from] JournalError),
    /// The file system refused.
    #[error("failed to write {path}")]
    Write {
        /// File.
        path: PathBuf,
        /// Cause.
        #[source]
        source: io::Error,
    },
    /// A value has no JSON form.
    #[error("failed to encode {file}")]
    Encode {
        /// File in the bundle.
        file: String,
        /// Cause.
        #[source]
        source: serde_json::Error,
    },
    /// The report for people cannot be rendered.
    #[error("failed to render the report")]
    Page(#[source] askama::Error),
    /// The JUnit file cannot be rendered.
    #[error("failed to render junit.xml")]
    Junit(#[source] quick_junit::SerializeError),
}

/// A finished bundle.
#[derive(Debug)]
pub struct Written {
    /// What was judged.
    pub judgement: Judgement,
    /// Merkle root of the manifest.
    pub root: String,
    /// The compressed archive, beside the folder.
    pub archive: PathBuf,
}

/// Judges the journals in `folder` and writes everything that follows from them.
pub fn write(
    folder: &Path,
    criteria: &Criteria,
    specification: &Specification,
) -> Result<Written, BundleError> {
    put(folder, "gate.yaml", criteria.to_yaml().as_bytes())?;
    if !folder.join("risks.json").is_file() {
        put(folder, "risks.json", b"[]\n")?;
    }
    let journals = Journals::read(folder)?;
    let derived = derive::derive(&journals, criteria, specification)?;
    for (path, bytes) in &derived.files {
        put(folder, path, bytes)?;
    }
    let manifest = manifest::of_folder(folder)?;
    put(
        folder,
        manifest::FILE,
        &derive::json(manifest::FILE, &manifest)?,
    )?;
    Ok(Written {
        archive: archive::write(folder)?,
        root: manifest.root,
        judgement: derived.judgement,
    })
}

/// Writes an INCONCLUSIVE bundle of what a run left behind that was interrupted or killed.
pub fn write_interrupted(
    folder: &Path,
    reason: &str,
    criteria: &Criteria,
    specification: &Specification,
) -> Result<Written, BundleError> {
    let mut gate_run: GateRun = Journals::read(folder)?.gate_run;
    gate_run.interrupted = Some(reason.to_owned());
    let bytes = derive::json("environment.json", &gate_run)?;
    put(folder, "environment.json", &bytes)?;
    write(folder, criteria, specification)
}

fn put(folder: &Path, file: &str, bytes: &[u8]) -> Result<(), BundleError> {
    let path = folder.join(file);
    let failed = |source| BundleError::Write {
        path: path.clone(),
        source,
    };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(failed)?;
    }
    fs::write(&path, bytes).map_err(failed)
}
