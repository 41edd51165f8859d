//! The program in surroundings of its own, and how it ended.
#![allow(dead_code)] // every test program uses a part of it

use std::{
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

use bootstrap::{CacheFolder, runs};

pub const USAGE: i32 = 2;
pub const INCONCLUSIVE: i32 = 3;
pub const GATE_FAILED: i32 = 4;

/// A scenario that takes a second.
pub const SHORT: &str = "@LC-01";

/// Two targets at once on two cores would take longer than one after the other.
static ONE_TARGET: Mutex<()> = Mutex::new(());

/// The program in surroundings of its own: a folder, and below it a cache without runs.
pub struct Surroundings {
    pub folder: tempfile::TempDir,
    /// Whether the program works in the checkout, to build what it judges.
    in_checkout: bool,
}

impl Surroundings {
    pub fn new() -> Self {
        Self {
            folder: tempfile::tempdir().expect("a temporary folder"),
            in_checkout: false,
        }
    }

    /// With the Kubernetes programs of this machine and the checkout, so that a target comes up.
    pub fn with_target() -> (Self, MutexGuard<'static, ()>) {
        let turn = ONE_TARGET.lock().unwrap_or_else(PoisonError::into_inner);
        let surroundings = Self {
            in_checkout: true,
            ..Self::new()
        };
        let kubernetes = CacheFolder::from_environment()
            .expect("a cache folder")
            .kubernetes();
        std::fs::create_dir_all(&kubernetes).expect("a folder for the programs");
        std::fs::create_dir_all(surroundings.path("cache")).expect("a cache");
        symlink(kubernetes, surroundings.path("cache/kubernetes")).expect("a link");
        (surroundings, turn)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn cache(&self) -> CacheFolder {
        CacheFolder::at(self.path("cache"))
    }

    pub fn write(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_gonogo"));
        command
            .args(arguments)
            .env("GONOGO_CACHE", self.path("cache"))
            .env_remove("GONOGO_KUBE_ASSETS")
            .env_remove("GONOGO_POSTGRES_URL")
            .env_remove("GONOGO_POSTGRES")
            .stdin(Stdio::null());
        if !self.in_checkout {
            command.current_dir(self.folder.path());
        }
        command
    }

    /// `gonogo run` of one short scenario into the folder `bundle`, with `more` arguments.
    pub fn run(&self, more: &[&str]) -> Command {
        let features = Path::new(env!("CARGO_MANIFEST_DIR")).join("features");
        let mut command = self.command(&["run", "--tags", SHORT, "--features"]);
        command
            .arg(features)
            .arg("--out")
            .arg(self.path("bundle"))
            .args(more);
        command
    }

    /// Runs that have a state folder: none may be left.
    pub fn runs(&self) -> Vec<runs::KnownRun> {
        runs::list(&self.cache())
    }
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

pub fn ended(mut command: Command) -> Ended {
    command.output().expect("the program starts").into()
}

/// Wrong usage is told in one line on standard error.
#[track_caller]
pub fn assert_usage(command: Command, sentence: &str) {
    let ended = ended(command);
    assert_eq!(ended.code, Some(USAGE), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    assert!(ended.stderr.contains(sentence), "{ended:?}");
    assert_eq!(ended.stdout, "");
}
