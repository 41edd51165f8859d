//! What is missing on this machine, and how to get it.

use std::process::Stdio;

use serde::Serialize;

use crate::assets;
use crate::cache::CacheFolder;
use crate::embedded::Network;
use crate::postgres;
use crate::probe::program_on_path;

/// Megabytes that must be free for a first run: the build and a run's data.
const FREE_MEGABYTES: u64 = 6_000;

/// How one thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Ok,
    /// Not there, but another way leads to the same.
    Optional,
    Missing,
}

/// One thing a run needs.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    pub name: &'static str,
    pub state: State,
    /// What was found, or what is wrong.
    pub found: String,
    /// What to do; empty when nothing has to be done.
    pub hint: String,
}

impl Finding {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            state: State::Ok,
            found: found.into(),
            hint: String::new(),
        }
    }

    fn not(
        name: &'static str,
        state: State,
        found: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self {
            name,
            state,
            found: found.into(),
            hint: hint.into(),
        }
    }
}

/// Looks at everything a run on the embedded target needs.
pub async fn doctor() -> Vec<Finding> {
    let mut findings = vec![platform(), git().await, git_http_backend().await, cargo()];
    match CacheFolder::from_environment() {
        Ok(cache) => {
            findings.extend(cache_folder(&cache));
            findings.extend(kubernetes(&cache).await);
        }
        Err(error) => {
            findings.push(Finding::not(
                "cache",
                State::Missing,
                error.to_string(),
                error.hint().unwrap_or_default(),
            ));
        }
    }
    findings.push(postgres());
    findings.push(loopback());
    findings
}

fn platform() -> Finding {
    let found = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
    if cfg!(target_os = "linux") && std::path::Path::new("/proc/self/environ").exists() {
        Finding::ok("platform", found)
    } else {
        Finding::not(
            "platform",
            State::Missing,
            found,
            "run on Linux with /proc mounted",
        )
    }
}

async fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = tokio::process::Command::new(program)
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

async fn git() -> Finding {
    match output("git", &["--version"]).await {
        Some(version) => Finding::ok("git", version),
        None => Finding::not(
            "git",
            State::Missing,
            "not on PATH",
            "install git (Debian and Ubuntu: `apt-get install git`)",
        ),
    }
}

async fn git_http_backend() -> Finding {
    let folder = output("git", &["--exec-path"]).await.unwrap_or_default();
    let program = std::path::Path::new(&folder).join("git-http-backend");
    if program.is_file() {
        Finding::ok("git http-backend", program.display().to_string())
    } else {
        Finding::not(
            "git http-backend",
            State::Missing,
            "not among git's programs",
            "install the full git package; the GitHub stand-in serves repositories with it",
        )
    }
}

fn cargo() -> Finding {
    match program_on_path("cargo") {
        Ok(path) => Finding::ok("cargo", path),
        Err(reason) => Finding::not(
            "cargo",
            State::Optional,
            reason,
            "needed in a checkout only, to build what is judged",
        ),
    }
}

fn cache_folder(cache: &CacheFolder) -> Vec<Finding> {
    if let Err(error) = crate::cache::create_folder(cache.path()) {
        return vec![Finding::not(
            "cache",
            State::Missing,
            error.with_causes(),
            error.hint().unwrap_or_default(),
        )];
    }
    let free = rustix::fs::statvfs(cache.path()).map_or(0, |system| {
        system.f_bavail.saturating_mul(system.f_frsize) / 1_000_000
    });
    let found = format!("{}, {free} MB free", cache.path().display());
    if free < FREE_MEGABYTES {
        let hint =
            format!("free space there, or set GONOGO_CACHE to a folder with {FREE_MEGABYTES} MB");
        vec![Finding::not("cache", State::Missing, found, hint)]
    } else {
        vec![Finding::ok("cache", found)]
    }
}

async fn kubernetes(cache: &CacheFolder) -> Vec<Finding> {
    const NAME: &str = "Kubernetes programs";
    let go = assets::check_go().await;
    let mut findings = match assets::peek(cache).await {
        Ok(Some(found)) => vec![Finding::ok(
            NAME,
            format!("{} ({})", assets::KUBERNETES_VERSION, found.origin),
        )],
        Ok(None) if go.is_ok() => {
            vec![Finding::not(
                NAME,
                State::Optional,
                "not in the cache",
                "the first run builds them, about five minutes on two cores",
            )]
        }
        Ok(None) => vec![Finding::not(
            NAME,
            State::Missing,
            "not in the cache",
            "see Go",
        )],
        Err(error) => vec![Finding::not(
            NAME,
            State::Missing,
            error.to_string(),
            error.hint().unwrap_or_default(),
        )],
    };
    let present = findings[0].state == State::Ok;
    findings.push(match go {
        Ok(version) => Finding::ok("Go", version),
        Err(error) => {
            let state = if present {
                State::Optional
            } else {
                State::Missing
            };
            Finding::not(
                "Go",
                state,
                error.to_string(),
                crate::Error::from(error).hint().unwrap_or_default(),
            )
        }
    });
    findings
}

fn postgres() -> Finding {
    const NAME: &str = "PostgreSQL server";
    if std::env::var(postgres::GIVEN_URL).is_ok_and(|url| !url.is_empty()) {
        return Finding::ok(NAME, format!("given by {}", postgres::GIVEN_URL));
    }
    match postgres::find_programs() {
        Some(programs) => Finding::ok(NAME, programs.folder.display().to_string()),
        None => {
            let error = crate::Error::from(postgres::PostgresError::NoPrograms);
            Finding::not(
                NAME,
                State::Missing,
                "not found",
                error.hint().unwrap_or_default(),
            )
        }
    }
}

fn loopback() -> Finding {
    match Network::claim() {
        Ok(network) => Finding::ok("loopback addresses", network.cidr()),
        Err(error) => Finding::not(
            "loopback addresses",
            State::Missing,
            error.with_causes(),
            error.hint().unwrap_or_default(),
        ),
    }
}
