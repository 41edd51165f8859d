//! Starting a server of our own: a fresh data folder, a unix socket nobody else may open, and, for a run, no
//! durability, because the data lives no longer than it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use sqlx::ConnectOptions;
use sqlx::postgres::PgConnectOptions;

use super::binaries::ServerPrograms;
use super::error::PostgresError;
use super::{Durability, fetched};
use crate::cache::{create_folder, write_private};
use crate::error::{Error, Result};
use crate::process::{Launch, Owner, RUN_MARKER, Supervised, last_lines};

/// The name of the superuser of a server of our own.
pub(super) const SUPERUSER: &str = "gonogo";
/// The port is a part of the socket's name only: the server listens to no network.
pub(super) const PORT: u16 = 5432;
/// `nobody`: PostgreSQL refuses to run as root, and this user owns nothing.
const NOBODY: Owner = Owner {
    uid: 65534,
    gid: 65534,
};
/// Longest wait for the first answer; usual is half a second.
const START_DEADLINE: Duration = Duration::from_secs(30);
/// Longest wait for an abandoned server to end by itself; usual is a few milliseconds.
const ABANDONED_DEADLINE: Duration = Duration::from_secs(3);
/// Between two looks whether it answers.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A server that was started, and how to reach it as its superuser.
pub(super) struct Started {
    pub(super) process: Supervised,
    pub(super) socket_folder: PathBuf,
    pub(super) superuser: PgConnectOptions,
}

/// Tells the server of a dead run to end by itself, for the same reason; `home` may hold none.
pub(crate) async fn end_abandoned(home: &Path) {
    let data = home.join("data");
    let Some(pid) = server_pid(&data) else { return };
    // Gone already is as good.
    let _ = rustix::process::kill_process(pid, Signal::QUIT);
    let started = std::time::Instant::now();
    while server_pid(&data).is_some() && started.elapsed() < ABANDONED_DEADLINE {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// The process that works in a data folder, by the file it keeps there; other processes may have
/// the id by now, so its working folder is compared.
fn server_pid(data: &Path) -> Option<rustix::process::Pid> {
    let file = std::fs::read_to_string(data.join("postmaster.pid")).ok()?;
    let pid: i32 = file.lines().next()?.trim().parse().ok()?;
    let works_in = std::fs::read_link(format!("/proc/{pid}/cwd")).ok()?;
    (works_in == data)
        .then(|| rustix::process::Pid::from_raw(pid))
        .flatten()
}

pub(super) async fn start(
    programs: &ServerPrograms,
    home: &Path,
    log: &Path,
    run_id: &str,
    password: &str,
    durability: Durability,
) -> Result<Started> {
    let owner = rustix::process::geteuid().is_root().then_some(NOBODY);
    let data = home.join("data");
    create_folder(home)?;
    let programs = &match owner {
        // The server runs as a user who cannot enter the cache.
        Some(_) if programs.is_fetched => fetched::copy_for_run(programs, home)?,
        _ => programs.clone(),
    };
    let password_file = home.join("password");
    write_private(&password_file, password)?;
    for path in [home, &password_file] {
        give_to(path, owner)?;
    }
    initialise(programs, &data, &password_file, owner, run_id).await?;
    std::fs::remove_file(&password_file)
        .map_err(|source| Error::file("remove", &password_file, source))?;

    let mut launch = Launch::new("postgres", &programs.program("postgres"), run_id, log)
        .args(arguments(&data, home, durability));
    launch.owner = owner;
    // Killed outright it would leave a shared memory segment with the kernel.
    launch.last_signal = Signal::QUIT;
    launch.directory = Some("/".into());
    let process = Supervised::start(&launch)?;
    let superuser = PgConnectOptions::new_without_pgpass()
        .socket(home)
        .port(PORT)
        .username(SUPERUSER)
        .password(password)
        .database("postgres")
        .log_statements(tracing::log::LevelFilter::Off);
    answers(&process, &superuser).await?;
    Ok(Started {
        process,
        socket_folder: home.to_owned(),
        superuser,
    })
}

/// What our own servers have in common.
const SETTINGS: [&str; 7] = [
    "listen_addresses=",
    // Lanes hold a pool and a listener per process.
    "max_connections=400",
    // A title would overwrite the environment that carries the run's marker.
    "update_process_title=off",
    "unix_socket_permissions=0700",
    "log_line_prefix=%m [%p] %d %a ",
    "timezone=UTC",
    "log_timezone=UTC",
];

/// What a run adds; a durable server keeps PostgreSQL's defaults instead.
const DISPOSABLE: [&str; 10] = [
    // The data dies with the run, so nothing has to survive a power cut.
    "fsync=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "shared_buffers=128MB",
    "max_wal_size=2GB",
    "jit=off",
    // Statements are many, short and alike: planning one anew for its parameters takes longer than running it.
    "plan_cache_mode=force_generic_plan",
    // A run of the gate is over before a table would need it.
    "autovacuum=off",
    // Segments in /dev/shm would outlive a killed server; files in the data folder go with it.
    "dynamic_shared_memory_type=mmap",
];

fn arguments(data: &Path, socket_folder: &Path, durability: Durability) -> Vec<std::ffi::OsString> {
    let mut arguments: Vec<std::ffi::OsString> = vec![
        "-D".into(),
        data.into(),
        "-k".into(),
        socket_folder.into(),
        "-p".into(),
        PORT.to_string().into(),
    ];
    let own: &[&str] = match durability {
        Durability::Disposable => &DISPOSABLE,
        Durability::Durable => &[],
    };
    for setting in SETTINGS.iter().chain(own) {
        arguments.extend(["-c".into(), setting.into()]);
    }
    arguments
}

async fn initialise(
    programs: &ServerPrograms,
    data: &Path,
    password_file: &Path,
    owner: Option<Owner>,
    run_id: &str,
) -> Result<()> {
    let mut command = tokio::process::Command::new(programs.program("initdb"));
    command
        .arg("-D")
        .arg(data)
        .args([
            "-U",
            SUPERUSER,
            "-A",
            "scram-sha-256",
            "-E",
            "UTF8",
            "--no-locale",
            "--no-sync",
        ])
        .arg("--pwfile")
        .arg(password_file)
        .env(RUN_MARKER, run_id)
        .current_dir("/")
        .kill_on_drop(true);
    if let Some(owner) = owner {
        command.uid(owner.uid).gid(owner.gid);
    }
    let output = command
        .output()
        .await
        .map_err(|source| Error::file("run", &programs.program("initdb"), source))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text
        .lines()
        .rfind(|line| line.contains("error") || line.contains("FATAL"))
        .or_else(|| text.lines().last());
    Err(PostgresError::InitDb {
        program: programs.program("initdb"),
        last_line: line.unwrap_or("no output").to_owned(),
    }
    .into())
}

fn give_to(path: &Path, owner: Option<Owner>) -> Result<()> {
    let mode = if path.is_dir() { 0o700 } else { 0o600 };
    let change = || {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        match owner {
            Some(owner) => std::os::unix::fs::chown(path, Some(owner.uid), Some(owner.gid)),
            None => Ok(()),
        }
    };
    change().map_err(|source| Error::file("hand over", path, source))
}

async fn answers(process: &Supervised, options: &PgConnectOptions) -> Result<()> {
    let connect = async {
        loop {
            if options.connect().await.is_ok() {
                return;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    tokio::time::timeout(START_DEADLINE, process.while_running(connect))
        .await
        .map_err(|_| Error::NotReady {
            what: "an answer of PostgreSQL".to_owned(),
            seconds: START_DEADLINE.as_secs(),
            last_seen: last_lines(process.log(), 1),
        })??;
    Ok(())
}
