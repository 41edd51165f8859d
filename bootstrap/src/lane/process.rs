//! One process of a lane: started, killed, started again on the same addresses.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::spec::ProcessKind;
use crate::error::{Error, Result};
use crate::process::{Connection, Launch, ProcessError, Supervised, connections_of, last_lines};

/// Longest wait for readiness; usual is a fraction of a second.
const READY_DEADLINE: Duration = Duration::from_secs(60);
/// Between two looks whether a process is ready.
const LOOK_AGAIN: Duration = Duration::from_millis(15);
/// Longest time one health request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// A process of a lane, running or not.
pub struct LaneProcess {
    pub name: String,
    pub kind: ProcessKind,
    /// Base URL of `/healthz` and `/readyz`.
    pub health_url: String,
    pub log: PathBuf,
    /// Its own listener, behind the lane's shared addresses.
    pub address: SocketAddr,
    launch: Launch,
    http: reqwest::Client,
    running: Mutex<Option<std::sync::Arc<Supervised>>>,
    /// Settings that differ from those of the launch, from the next start on.
    changed: Mutex<Vec<(String, String)>>,
}

impl LaneProcess {
    pub(super) fn new(
        kind: ProcessKind,
        launch: Launch,
        address: SocketAddr,
        http: reqwest::Client,
    ) -> Self {
        Self {
            name: launch.name.clone(),
            kind,
            health_url: format!("http://{address}"),
            log: launch.log.clone(),
            address,
            launch,
            http,
            running: Mutex::new(None),
            changed: Mutex::new(Vec::new()),
        }
    }

    fn current(&self) -> Option<std::sync::Arc<Supervised>> {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Id of the running process.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.current()
            .filter(|process| process.exit_status().is_none())
            .map(|process| process.pid())
    }

    #[must_use]
    pub fn is_running(&self) -> bool {
        self.pid().is_some()
    }

    fn changed(&self) -> std::sync::MutexGuard<'_, Vec<(String, String)>> {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes a setting, from the next start on; an empty value counts as none.
    pub fn change_setting(&self, name: &str, value: &str) {
        self.changed().push((name.to_owned(), value.to_owned()));
    }

    /// Starts it if it does not run; does not wait for readiness.
    pub fn start(&self) -> Result<()> {
        if self.is_running() {
            return Ok(());
        }
        let mut launch = self.launch.clone();
        for (name, value) in self.changed().iter() {
            launch.env.retain(|(known, _)| known != name);
            launch.env.push((name.clone(), value.clone()));
        }
        let process = Supervised::start(&launch)?;
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) =
            Some(std::sync::Arc::new(process));
        Ok(())
    }

    /// SIGKILL, as a machine that loses power would; returns when it is gone.
    pub async fn kill(&self) {
        if let Some(process) = self.take() {
            process.kill().await;
        }
    }

    /// SIGTERM, and SIGKILL after `grace`; tells whether it went by itself.
    pub async fn terminate(&self, grace: Duration) -> bool {
        match self.take() {
            Some(process) => process.stop(Signal::TERM, grace).await,
            None => true,
        }
    }

    /// SIGKILL and start again, ready.
    pub async fn restart(&self) -> Result<()> {
        self.kill().await;
        self.start()?;
        self.ready().await
    }

    /// Stops it in its tracks, or lets it go on.
    pub fn freeze(&self, frozen: bool) {
        if let Some(process) = self.current() {
            process.signal(if frozen { Signal::STOP } else { Signal::CONT });
        }
    }

    fn take(&self) -> Option<std::sync::Arc<Supervised>> {
        self.running
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Waits until `/readyz` answers 200; a process that ends meanwhile is an error with its last words.
    pub async fn ready(&self) -> Result<()> {
        let process = self
            .current()
            .ok_or_else(|| Error::UnknownProcess(self.name.clone()))?;
        let started = Instant::now();
        let asked = async {
            loop {
                let Err(last_seen) = self.readiness().await else {
                    return Ok(());
                };
                if started.elapsed() > READY_DEADLINE {
                    return Err(Error::NotReady {
                        what: format!("{} ready", self.name),
                        seconds: READY_DEADLINE.as_secs(),
                        last_seen: format!(
                            "{last_seen}; last log lines:\n{}",
                            last_lines(&self.log, 5)
                        ),
                    });
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        };
        process.while_running(asked).await?
    }

    async fn readiness(&self) -> Result<(), String> {
        let answer = self
            .http
            .get(format!("{}/readyz", self.health_url))
            .timeout(REQUEST_TIMEOUT)
            .send()
            .await
            .map_err(|error| error.to_string())?;
        if answer.status().is_success() {
            Ok(())
        } else {
            Err(format!("{} from /readyz", answer.status()))
        }
    }

    /// How it ended, when nobody ended it.
    #[must_use]
    pub fn unexpected_exit(&self) -> Option<ProcessError> {
        let process = self.current()?;
        Some(process.unexpected_exit(process.exit_status()?))
    }

    /// Its TCP sockets now.
    #[must_use]
    pub fn connections(&self) -> Vec<Connection> {
        self.pid().map(connections_of).unwrap_or_default()
    }

    /// Its environment as the kernel knows it.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let Some(pid) = self.pid() else {
            return Vec::new();
        };
        std::fs::read(format!("/proc/{pid}/environ"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
            .split('\0')
            .filter_map(|variable| variable.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// Files it has open, by path.
    #[must_use]
    pub fn open_files(&self) -> Vec<PathBuf> {
        let Some(pid) = self.pid() else {
            return Vec::new();
        };
        let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else {
            return Vec::new();
        };
        entries
            .flatten()
            .filter_map(|entry| std::fs::read_link(entry.path()).ok())
            .filter(|path| path.is_absolute() && path != Path::new("/dev/null"))
            .collect()
    }
}
