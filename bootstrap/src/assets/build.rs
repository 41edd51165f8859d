//! Building the programs with the Go tool: modules first, so that a missing network is told apart
//! from a failing build, then the program, counting packages for the person who waits.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader};

use super::cached::PROGRAM;
use super::error::AssetError;
use super::source;
use crate::error::{Error, Result};
use crate::progress::Piece;

/// Oldest Go that Kubernetes' own module accepts.
const OLDEST_GO: (u32, u32) = (1, 24);
/// Space a cold build takes, in megabytes: 0.8 GB of modules, 3 GB of Go's build cache, the program.
const NEEDED_MEGABYTES: u64 = 4_200;
/// Packages a cold build compiles, to give the person a sense of how far it is.
const ABOUT_PACKAGES: usize = 2_650;
/// Every so many packages there is a line of news.
const PACKAGES_PER_NOTE: usize = 100;

/// Version of the Go tool on PATH, such as `1.26.8`; `None` when there is none.
async fn go_version() -> Option<String> {
    let output = tokio::process::Command::new("go")
        .args(["env", "GOVERSION"])
        .stdin(Stdio::null())
        .output()
        .await
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output
        .status
        .success()
        .then(|| text.trim().trim_start_matches("go").to_owned())
}

/// Version of a Go tool that can build the programs.
pub(crate) async fn check_go() -> Result<String, AssetError> {
    let version = go_version().await.ok_or(AssetError::NoGo)?;
    check_version(&version)?;
    Ok(version)
}

fn check_version(version: &str) -> Result<(), AssetError> {
    let mut parts = version.split('.').map(|part| {
        part.chars()
            .take_while(char::is_ascii_digit)
            .collect::<String>()
    });
    let mut number = || {
        parts
            .next()
            .and_then(|part| part.parse::<u32>().ok())
            .unwrap_or(0)
    };
    if (number(), number()) >= OLDEST_GO {
        Ok(())
    } else {
        Err(AssetError::GoTooOld {
            found: version.to_owned(),
        })
    }
}

/// Builds into `folder`, which then holds the program alone.
pub(super) async fn build(folder: &Path, piece: &Piece<'_>) -> Result<()> {
    check_space(folder)?;
    let module = folder.join("module");
    source::write(&module)?;
    let log = folder.with_file_name("build.log");
    piece.note("downloading Go modules (about 130 MB)");
    go(&module, &log, &["mod", "download"], |_| {})
        .await?
        .map_err(|last_line| AssetError::Download {
            last_line,
            log: log.clone(),
        })?;
    piece.note("compiling Kubernetes and etcd from source, about five minutes on two cores");
    let output = folder.join(PROGRAM);
    let flags = source::linker_flags();
    let arguments = [
        "build",
        "-v",
        "-mod=readonly",
        "-trimpath",
        "-buildvcs=false",
        "-ldflags",
        &flags,
        "-o",
        output.to_str().unwrap_or(PROGRAM),
        ".",
    ];
    go(&module, &log, &arguments, |packages| {
        if packages % PACKAGES_PER_NOTE == 0 {
            piece.note(format!(
                "{packages} of about {ABOUT_PACKAGES} packages compiled"
            ));
        }
    })
    .await?
    .map_err(|last_line| AssetError::Build {
        last_line,
        log: log.clone(),
    })?;
    std::fs::remove_dir_all(&module).map_err(|source| Error::file("remove", &module, source))?;
    // The log is of use only after a failure.
    let _ = std::fs::remove_file(&log);
    Ok(())
}

fn check_space(folder: &Path) -> Result<(), AssetError> {
    let Ok(system) = rustix::fs::statvfs(folder) else {
        return Ok(());
    };
    let free_megabytes = system.f_bavail.saturating_mul(system.f_frsize) / 1_000_000;
    if free_megabytes < NEEDED_MEGABYTES {
        return Err(AssetError::NoSpace {
            path: folder.to_owned(),
            free_megabytes,
            needed_megabytes: NEEDED_MEGABYTES,
        });
    }
    Ok(())
}

/// Runs the Go tool, counting the lines it prints; the inner result carries its last line when it failed.
async fn go(
    module: &Path,
    log: &PathBuf,
    arguments: &[&str],
    mut each_line: impl FnMut(usize),
) -> Result<std::result::Result<(), String>> {
    let failed = |source| AssetError::Unusable {
        path: "go".into(),
        source,
    };
    let mut child = tokio::process::Command::new("go")
        .args(arguments)
        .current_dir(module)
        // Flags and workspaces of the person's own Go projects would change what is built.
        .env("GOFLAGS", "")
        .env("GOWORK", "off")
        .env("CGO_ENABLED", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    let stderr = child.stderr.take().expect("stderr was asked for");
    let mut lines = BufReader::new(stderr).lines();
    let mut count = 0;
    let mut output = String::new();
    while let Some(line) = lines.next_line().await.map_err(failed)? {
        count += 1;
        each_line(count);
        output.push_str(&line);
        output.push('\n');
    }
    let status = child.wait().await.map_err(failed)?;
    if status.success() {
        return Ok(Ok(()));
    }
    std::fs::write(log, &output).map_err(|source| Error::file("write", log, source))?;
    Ok(Err(output
        .lines()
        .rfind(|line| !line.trim().is_empty())
        .unwrap_or("no output")
        .to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn go_before_1_24_is_refused() {
        assert!(check_version("1.24").is_ok());
        assert!(check_version("1.26.8").is_ok());
        assert!(check_version("1.25rc1").is_ok());
        assert!(matches!(
            check_version("1.19.8"),
            Err(AssetError::GoTooOld { .. })
        ));
    }
}
