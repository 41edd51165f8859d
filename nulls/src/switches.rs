//! When a null stops being the product: not before the gate says so, so that every `Given` succeeds.

use std::path::PathBuf;

/// A folder in which the gate makes a file per repository, named `owner/name`, once its scenario has come to its first
/// `When` or `Then`. Looked at anew for every question: each process of a lane sees the switch at once.
#[derive(Debug, Clone)]
pub struct Switches {
    folder: PathBuf,
}

impl Switches {
    /// Switches in this folder.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Whether `owner/name` is played against the null now.
    pub fn is_null(&self, repository_full_name: &str) -> bool {
        // GitHub compares names without case, and so does who made the file.
        let name = repository_full_name.to_lowercase();
        !name.is_empty() && self.folder.join(name).is_file()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_switch_is_for_one_repository_and_can_be_taken_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let switches = Switches::new(folder.path().to_owned());
        assert!(!switches.is_null("shop-1/app"));

        std::fs::create_dir(folder.path().join("shop-1")).expect("a folder");
        std::fs::write(folder.path().join("shop-1/app"), "").expect("a file");
        assert!(switches.is_null("shop-1/app"));
        assert!(switches.is_null("Shop-1/App"));
        assert!(!switches.is_null("shop-2/app"));
        assert!(!switches.is_null("shop-1"), "an owner is no repository");
        assert!(!switches.is_null(""), "an event of no repository");

        std::fs::remove_file(folder.path().join("shop-1/app")).expect("removed");
        assert!(!switches.is_null("shop-1/app"));
    }
}
