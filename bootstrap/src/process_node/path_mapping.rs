//! Maps paths inside a container to the real folders behind its mounts.
//!
//! A process sees the host's file system, so every path that names a mount is rewritten before the
//! process starts: in arguments, environment values and the working directory.

use std::path::{Path, PathBuf};

/// The mounts of one container, longest first.
#[derive(Debug, Clone, Default)]
pub(super) struct PathMapping {
    mounts: Vec<(String, PathBuf)>,
}

impl PathMapping {
    /// Takes (mount path, real folder) pairs in any order.
    pub(super) fn new(mounts: impl IntoIterator<Item = (String, PathBuf)>) -> Self {
        let mut mounts: Vec<(String, PathBuf)> = mounts
            .into_iter()
            .map(|(path, folder)| (trimmed(&path).to_owned(), folder))
            .collect();
        mounts.sort_by(|left, right| {
            right
                .0
                .len()
                .cmp(&left.0.len())
                .then_with(|| left.0.cmp(&right.0))
        });
        Self { mounts }
    }

    /// Rewrites a value that equals a mount path or lies below one; other values stay.
    pub(super) fn rewrite(&self, value: &str) -> String {
        match self.resolve(value) {
            Some(path) => path.to_string_lossy().into_owned(),
            None => value.to_owned(),
        }
    }

    /// The real path of `value` when a mount covers it.
    pub(super) fn resolve(&self, value: &str) -> Option<PathBuf> {
        for (mount, folder) in &self.mounts {
            if let Some(rest) = value.strip_prefix(mount.as_str()) {
                if rest.is_empty() {
                    return Some(folder.clone());
                }
                if let Some(below) = rest.strip_prefix('/') {
                    return Some(if below.is_empty() {
                        folder.clone()
                    } else {
                        folder.join(below)
                    });
                }
            }
        }
        None
    }

    /// The working directory: a mounted folder, or a place below the container's own root.
    pub(super) fn working_directory(&self, wanted: Option<&str>, container_root: &Path) -> PathBuf {
        match wanted.filter(|path| !path.is_empty()) {
            None => container_root.to_owned(),
            Some(path) => self
                .resolve(path)
                .unwrap_or_else(|| container_root.join(path.trim_start_matches('/'))),
        }
    }
}

fn trimmed(path: &str) -> &str {
    let shorter = path.trim_end_matches('/');
    if shorter.is_empty() { "/" } else { shorter }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapping() -> PathMapping {
        PathMapping::new([
            ("/workspace".to_owned(), PathBuf::from("/real/w")),
            ("/workspace/cache/".to_owned(), PathBuf::from("/real/c")),
            ("/var/run/secrets".to_owned(), PathBuf::from("/real/s")),
        ])
    }

    #[test]
    fn a_mount_and_what_lies_below_it_are_rewritten() {
        assert_eq!(mapping().rewrite("/workspace"), "/real/w");
        assert_eq!(mapping().rewrite("/workspace/"), "/real/w");
        assert_eq!(
            mapping().rewrite("/workspace/repo/a.rs"),
            "/real/w/repo/a.rs"
        );
    }

    #[test]
    fn the_longest_mount_wins() {
        assert_eq!(mapping().rewrite("/workspace/cache/x"), "/real/c/x");
        assert_eq!(mapping().rewrite("/workspace/cached"), "/real/w/cached");
    }

    #[test]
    fn other_values_stay() {
        assert_eq!(mapping().rewrite("/workspaces"), "/workspaces");
        assert_eq!(mapping().rewrite("a/workspace"), "a/workspace");
        assert_eq!(mapping().rewrite(""), "");
    }

    #[test]
    fn a_working_directory_outside_mounts_lies_in_the_container_root() {
        let root = Path::new("/pods/1/root");
        assert_eq!(mapping().working_directory(None, root), root);
        assert_eq!(
            mapping().working_directory(Some("/srv/app"), root),
            root.join("srv/app")
        );
        assert_eq!(
            mapping().working_directory(Some("/workspace/x"), root),
            PathBuf::from("/real/w/x")
        );
    }
}
