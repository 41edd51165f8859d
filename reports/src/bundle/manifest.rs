//! `manifest.json`: every file with its digest, and one root over all of them.
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::BundleError;
use crate::journals::files_below;

/// Name of the manifest in the bundle.
pub(super) const FILE: &str = "manifest.json";

/// One file of the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Path in the bundle.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
    /// Media type.
    pub media_type: String,
    /// `journal` for what was recorded, `derived` for what follows from it.
    pub source: String,
}

/// All files and their root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of this form.
    pub schema_version: u32,
    /// Merkle root: leaves are SHA-256 of 0x00, path, 0x00, file digest; nodes of 0x01, left, right.
    pub root: String,
    /// Files in order of their paths.
    pub files: Vec<FileEntry>,
}

/// Files that are made after the manifest.
fn listed(path: &str) -> bool {
    path != FILE && !path.ends_with(".dsse.json") && !path.ends_with(".tar.zst")
}

/// Manifest of the files that a folder holds now.
pub fn of_folder(folder: &Path) -> Result<Manifest, BundleError> {
    let mut files = Vec::new();
    for path in files_below(folder)?.into_iter().filter(|path| listed(path)) {
        let full = folder.join(&path);
        let bytes = fs::read(&full).map_err(|source| BundleError::Write { path: full, source })?;
        files.push(FileEntry {
            size: bytes.len() as u64,
            sha256: hex::encode(Sha256::digest(&bytes)),
            media_type: media_type(&path).to_owned(),
            source: if recorded(&path) {
                "journal"
            } else {
                "derived"
            }
            .to_owned(),
            path,
        });
    }
    Ok(Manifest {
        schema_version: 1,
        root: root(&files),
        files,
    })
}

fn recorded(path: &str) -> bool {
    const RECORDED: [&str; 9] = [
        "events.ndjson",
        "environment.json",
        "capabilities.json",
        "canaries.json",
        "github-certificate.json",
        "selfcheck.json",
        "baseline.json",
        "risks.json",
        "gate.yaml",
    ];
    path.starts_with("journals/") || RECORDED.contains(&path)
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or_default() {
        "json" => "application/json",
        "ndjson" => "application/x-ndjson",
        "html" => "text/html",
        "md" => "text/markdown",
        "xml" => "application/xml",
        "yaml" => "application/yaml",
        _ => "text/plain",
    }
}

pub(super) fn root(files: &[FileEntry]) -> String {
    let mut level: Vec<Vec<u8>> = files
        .iter()
        .map(|file| {
            let mut leaf = Sha256::new();
            leaf.update([0]);
            leaf.update(file.path.as_bytes());
            leaf.update([0]);
            leaf.update(file.sha256.as_bytes());
            leaf.finalize().to_vec()
        })
        .collect();
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| match pair {
                [left, right] => {
                    let mut node = Sha256::new();
                    node.update([1]);
                    node.update(left);
                    node.update(right);
                    node.finalize().to_vec()
                }
                _ => pair[0].clone(),
            })
            .collect();
    }
    hex::encode(level.first().map_or(&[][..], Vec::as_slice))
}
