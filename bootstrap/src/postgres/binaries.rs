//! Finding the server programs on this machine.

use std::path::{Path, PathBuf};

/// A folder with `initdb` and `postgres`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerPrograms {
    pub folder: PathBuf,
    /// In words for people: where they were found.
    pub origin: &'static str,
    /// Whether they lie in our own cache, where only its owner can go.
    pub(super) is_fetched: bool,
}

impl ServerPrograms {
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// PATH first, then where Debian keeps servers outside PATH (newest first).
#[must_use]
pub fn find() -> Option<ServerPrograms> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if let Some(folder) = std::env::split_paths(&path).find(|folder| has_server(folder)) {
        return Some(ServerPrograms {
            folder,
            origin: "PATH",
            is_fetched: false,
        });
    }
    newest_in(Path::new("/usr/lib/postgresql")).map(|folder| ServerPrograms {
        folder,
        origin: "system package",
        is_fetched: false,
    })
}

fn has_server(folder: &Path) -> bool {
    folder.join("initdb").is_file() && folder.join("postgres").is_file()
}

fn newest_in(root: &Path) -> Option<PathBuf> {
    std::fs::read_dir(root)
        .ok()?
        .flatten()
        .filter_map(|entry| {
            Some((
                entry.file_name().to_str()?.parse::<u32>().ok()?,
                entry.path().join("bin"),
            ))
        })
        .filter(|(_, folder)| has_server(folder))
        .max_by_key(|(version, _)| *version)
        .map(|(_, folder)| folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_complete_version_is_taken() {
        let root = tempfile::tempdir().expect("temporary folder");
        for (version, programs) in [
            ("9", &["initdb", "postgres"][..]),
            ("15", &["initdb", "postgres"]),
            ("17", &["initdb"]),
        ] {
            let folder = root.path().join(version).join("bin");
            std::fs::create_dir_all(&folder).expect("folder");
            for program in programs {
                std::fs::write(folder.join(program), "").expect("program");
            }
        }
        assert_eq!(newest_in(root.path()), Some(root.path().join("15/bin")));
    }
}
