//! What a run needs of this machine, looked at before anything is built: whoever waits ten minutes
//! for a build should not read only then that a program is missing.

use std::path::PathBuf;
use std::process::Stdio;

use crate::assets;
use crate::cache::{CacheFolder, check_runs};
use crate::error::Result;
use crate::postgres;
use crate::progress::Progress;

/// A program that has to be there and is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequirementError {
    #[error("failed to find git on PATH")]
    NoGit,
    #[error("failed to find git-http-backend among git's programs")]
    NoGitHttpBackend,
}

impl RequirementError {
    pub(crate) fn hint(&self) -> String {
        match self {
            Self::NoGit => "install git (Debian and Ubuntu: `apt-get install git`)",
            Self::NoGitHttpBackend => {
                "install the full git package; the GitHub stand-in serves repositories with it"
            }
        }
        .to_owned()
    }
}

/// Looks for everything that the embedded target cannot be without; a database server is fetched where there is none.
///
/// # Errors
/// With the first thing that is missing.
pub async fn check(cache: &CacheFolder, progress: &dyn Progress) -> Result<()> {
    git_version().await?;
    git_http_backend().await?;
    check_runs(cache)?;
    assets::obtainable(cache).await?;
    // Last, because it may take a while.
    if !postgres::is_given() {
        postgres::obtain(cache, progress).await?;
    }
    Ok(())
}

/// What git says it is.
pub(crate) async fn git_version() -> Result<String, RequirementError> {
    output_of_git(&["--version"])
        .await
        .ok_or(RequirementError::NoGit)
}

/// The program that serves repositories over HTTP.
pub(crate) async fn git_http_backend() -> Result<PathBuf, RequirementError> {
    let folder = output_of_git(&["--exec-path"])
        .await
        .ok_or(RequirementError::NoGit)?;
    let program = PathBuf::from(folder).join("git-http-backend");
    if program.is_file() {
        Ok(program)
    } else {
        Err(RequirementError::NoGitHttpBackend)
    }
}

/// What git prints, without white space at its ends; `None` when it is not there or fails.
pub(crate) async fn output_of_git(arguments: &[&str]) -> Option<String> {
    let output = tokio::process::Command::new("git")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .await
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
