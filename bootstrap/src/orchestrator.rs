//! The program under test: built from the checkout when there is one, so that a stale program is
//! never judged, and identified by its digest.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Serialize;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::assets::digest_of;
use crate::progress::{Piece, Progress};
use crate::requirements::output_of_git;

/// The program under test.
pub(crate) const PRODUCT: &str = "orchestrator";
/// What the gate proves itself against (E-40).
const NULL: &str = "null-orchestrator";
/// The program under test with points to be killed at (E-44).
const FAILPOINTS: &str = "orchestrator-failpoints";
/// The feature without which cargo does not build that one.
const FAILPOINTS_FEATURE: &str = "orchestrator-program/failpoints";

/// Why there is no orchestrator to judge.
#[derive(Debug, thiserror::Error)]
pub enum OrchestratorError {
    #[error("failed to build the orchestrator: cargo is not on PATH")]
    NoCargo,
    #[error("failed to build the orchestrator: {}", last_error(output))]
    Build { output: String },
    #[error("failed to find the orchestrator beside {}", beside.display())]
    NotFound { beside: PathBuf },
    #[error("failed to read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
}

impl OrchestratorError {
    pub(crate) fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoCargo => "install Rust 1.95 or newer, or run an installed gonogo outside the checkout".to_owned(),
            Self::Build { output } if output.contains("No space left on device") => {
                "the disk is full: free space, or set CARGO_TARGET_DIR to a folder on another file system".to_owned()
            }
            Self::Build { .. } => "`cargo build --bin orchestrator` shows what is wrong".to_owned(),
            Self::NotFound { .. } => "run from the checkout, or put the orchestrator beside gonogo".to_owned(),
            Self::Read { .. } => return None,
        })
    }
}

/// The line of cargo's output that sums the failure up.
fn last_error(output: &str) -> &str {
    output
        .lines()
        .rfind(|line| line.starts_with("error"))
        .or_else(|| output.lines().last())
        .unwrap_or("no output")
}

/// The program that is judged.
#[derive(Debug, Clone, Serialize)]
pub struct OrchestratorBinary {
    pub path: PathBuf,
    pub sha256: String,
    /// Commit of the checkout it was built from.
    pub revision: Option<String>,
    /// Whether known files of the checkout had changes that are in no commit; what the program says of itself.
    pub dirty: Option<bool>,
    /// The same, with files that git does not know: a new feature file changes what is played.
    pub checkout_dirty: Option<bool>,
    pub origin: &'static str,
}

/// The checkout around the current folder, if there is one.
#[must_use]
pub fn workspace() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    here.ancestors()
        .find(|folder| {
            folder.join(PRODUCT).join("Cargo.toml").is_file()
                && std::fs::read_to_string(folder.join("Cargo.toml"))
                    .is_ok_and(|manifest| manifest.contains("[workspace]"))
        })
        .map(Path::to_owned)
}

/// Builds the orchestrator in the profile of this program, or takes the one beside it where there
/// is no checkout.
pub async fn build_orchestrator(
    progress: &dyn Progress,
) -> Result<OrchestratorBinary, OrchestratorError> {
    obtain(PRODUCT, progress).await
}

/// The null orchestrator, in the same way.
pub async fn build_null_orchestrator(
    progress: &dyn Progress,
) -> Result<OrchestratorBinary, OrchestratorError> {
    obtain(NULL, progress).await
}

/// The program under test with failpoints, in the same way.
pub async fn build_failpoints_orchestrator(
    progress: &dyn Progress,
) -> Result<OrchestratorBinary, OrchestratorError> {
    obtain(FAILPOINTS, progress).await
}

async fn obtain(
    program: &str,
    progress: &dyn Progress,
) -> Result<OrchestratorBinary, OrchestratorError> {
    let piece = Piece::start(progress, program);
    let binary = match workspace() {
        Some(workspace) => {
            let path = build(program, &workspace, &piece).await?;
            // Read after a build that may have waited long for another one: the program carries what was there then.
            let (revision, checkout_dirty) = revision(&workspace).await;
            let dirty = embedded_dirty(&workspace).await;
            OrchestratorBinary {
                revision,
                dirty,
                checkout_dirty,
                ..identify(path, "build").await?
            }
        }
        None => identify(beside_this_program(program)?, "installed").await?,
    };
    piece.ready(format!(
        "{}, sha256 {}",
        binary.origin,
        &binary.sha256[..12]
    ));
    Ok(binary)
}

async fn identify(
    path: PathBuf,
    origin: &'static str,
) -> Result<OrchestratorBinary, OrchestratorError> {
    let file = path.clone();
    let sha256 = tokio::task::spawn_blocking(move || digest_of(&file))
        .await
        .expect("reading a file does not panic")
        .map_err(|source| OrchestratorError::Read {
            path: path.clone(),
            source,
        })?;
    Ok(OrchestratorBinary {
        path,
        sha256,
        revision: None,
        dirty: None,
        checkout_dirty: None,
        origin,
    })
}

pub(crate) fn beside_this_program(wanted: &str) -> Result<PathBuf, OrchestratorError> {
    let program = std::env::current_exe().map_err(|source| OrchestratorError::Read {
        path: PathBuf::from("/proc/self/exe"),
        source,
    })?;
    let beside = program.with_file_name(wanted);
    if beside.is_file() {
        Ok(beside)
    } else {
        Err(OrchestratorError::NotFound { beside: program })
    }
}

/// The profile this program was built in, from where cargo put it: `target/<profile>/…`.
fn profile() -> String {
    const IN_PROFILE_FOLDER: [&str; 2] = ["deps", "examples"];
    let folder = std::env::current_exe()
        .ok()
        .and_then(|program| {
            program
                .ancestors()
                .skip(1)
                .find(|folder| {
                    !IN_PROFILE_FOLDER
                        .iter()
                        .any(|name| folder.file_name().is_some_and(|folder| folder == *name))
                })
                .and_then(|folder| {
                    folder
                        .file_name()
                        .map(|name| name.to_string_lossy().into_owned())
                })
        })
        .unwrap_or_default();
    match folder.as_str() {
        "release" => "release".to_owned(),
        // Cargo's own name differs from its folder's.
        _ => "dev".to_owned(),
    }
}

async fn build(
    program: &str,
    workspace: &Path,
    piece: &Piece<'_>,
) -> Result<PathBuf, OrchestratorError> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // No package is named: it would resolve features for that package alone and build its dependencies a second time.
    let features: &[&str] = if program == FAILPOINTS {
        &["--features", FAILPOINTS_FEATURE]
    } else {
        &[]
    };
    let mut child = tokio::process::Command::new(cargo)
        .args([
            "build",
            "--bin",
            program,
            "--message-format=json-render-diagnostics",
            "--profile",
        ])
        .arg(profile())
        .args(features)
        .current_dir(workspace)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|_| OrchestratorError::NoCargo)?;
    let stdout = child.stdout.take().expect("stdout was asked for");
    let stderr = child.stderr.take().expect("stderr was asked for");
    let executable = async {
        let mut lines = BufReader::new(stdout).lines();
        let mut executable = None;
        while let Ok(Some(line)) = lines.next_line().await {
            executable = executable_in(program, &line).or(executable);
        }
        executable
    };
    let news = async {
        let mut lines = BufReader::new(stderr).lines();
        let mut output = String::new();
        while let Ok(Some(line)) = lines.next_line().await {
            if line.trim_start().starts_with("Compiling") {
                piece.note(line.trim());
            }
            output.push_str(&line);
            output.push('\n');
        }
        output
    };
    let (executable, output) = tokio::join!(executable, news);
    let succeeded = child.wait().await.is_ok_and(|status| status.success());
    match executable {
        Some(path) if succeeded => Ok(path),
        _ => Err(OrchestratorError::Build { output }),
    }
}

/// The program's path, if this line of cargo's output announces it.
fn executable_in(program: &str, line: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    (message["reason"] == "compiler-artifact" && message["target"]["name"] == program)
        .then(|| message["executable"].as_str().map(PathBuf::from))
        .flatten()
}

/// Commit of a checkout, and whether it holds anything else, files that git does not know included; unknown where git
/// cannot tell.
pub async fn revision(workspace: &Path) -> (Option<String>, Option<bool>) {
    let folder = workspace.display().to_string();
    let revision = output_of_git(&["-C", &folder, "rev-parse", "HEAD"]).await;
    (
        revision,
        has_changes(&folder, "--untracked-files=normal").await,
    )
}

/// The dirty flag as the orchestrator embeds it: its build cannot see a file come that git does not know.
async fn embedded_dirty(workspace: &Path) -> Option<bool> {
    has_changes(&workspace.display().to_string(), "--untracked-files=no").await
}

async fn has_changes(folder: &str, untracked: &str) -> Option<bool> {
    output_of_git(&["-C", folder, "status", "--porcelain", untracked])
        .await
        .map(|changes| !changes.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_read_from_cargos_messages() {
        let line = r#"{"reason":"compiler-artifact","target":{"name":"orchestrator"},"executable":"/t/orchestrator"}"#;
        assert_eq!(
            executable_in(PRODUCT, line),
            Some(PathBuf::from("/t/orchestrator"))
        );
        let library =
            r#"{"reason":"compiler-artifact","target":{"name":"orchestrator"},"executable":null}"#;
        assert_eq!(executable_in(PRODUCT, library), None);
        assert_eq!(executable_in(PRODUCT, "warning: something"), None);
    }
}
