//! Built programs in the cache: found by what they were built from, trusted only after their
//! digest was compared.

use std::io::Read;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

pub(super) const PROGRAM: &str = "kubernetes";
const CHECKSUM: &str = "kubernetes.sha256";

/// What the cache holds for one state of the module.
pub(super) enum Lookup {
    Nothing,
    Found(PathBuf),
    /// There, but not what was built.
    Broken(Vec<PathBuf>),
}

/// Looks for any build of `source_digest`, whatever Go version made it: who has no Go uses what is there.
pub(super) fn look_up(folder: &Path, source_digest: &str) -> Result<Lookup> {
    let prefix = format!("{source_digest}-");
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Ok(Lookup::Nothing);
    };
    let mut builds: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
        .map(|entry| entry.path())
        .collect();
    builds.sort();
    let mut broken = Vec::new();
    for build in builds.into_iter().rev() {
        let program = build.join(PROGRAM);
        let expected = std::fs::read_to_string(build.join(CHECKSUM)).unwrap_or_default();
        let actual = digest_of(&program).unwrap_or_default();
        if !actual.is_empty() && expected.split_whitespace().next() == Some(actual.as_str()) {
            return Ok(Lookup::Found(program));
        }
        broken.push(build);
    }
    Ok(if broken.is_empty() {
        Lookup::Nothing
    } else {
        Lookup::Broken(broken)
    })
}

/// Completes a build folder with its checksum file and gives it its final name in one step.
pub(super) fn store(built: &Path, destination: &Path) -> Result<PathBuf> {
    let program = built.join(PROGRAM);
    let digest = digest_of(&program).map_err(|source| Error::file("read", &program, source))?;
    let checksum = built.join(CHECKSUM);
    std::fs::write(&checksum, format!("{digest}  {PROGRAM}\n"))
        .map_err(|source| Error::file("write", &checksum, source))?;
    std::fs::rename(built, destination)
        .map_err(|source| Error::file("move the build to", destination, source))?;
    Ok(destination.join(PROGRAM))
}

/// SHA-256 of a file, in hexadecimal.
pub(crate) fn digest_of(path: &Path) -> std::io::Result<String> {
    /// Bytes read at once: large enough that the digest, not the calls, takes the time.
    const CHUNK: usize = 1 << 20;
    let mut file = std::fs::File::open(path)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex::encode(hash.finalize()));
        }
        hash.update(&buffer[..read]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn build(folder: &Path) -> PathBuf {
        let built = folder.join("tmp");
        std::fs::create_dir_all(&built).expect("folder");
        std::fs::write(built.join(PROGRAM), b"program").expect("program");
        store(&built, &folder.join("abc-go1.26")).expect("stored")
    }

    #[test]
    fn a_stored_build_is_found_without_knowing_the_go_version() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let program = build(folder.path());
        assert!(
            matches!(look_up(folder.path(), "abc"), Ok(Lookup::Found(path)) if path == program)
        );
        assert!(matches!(look_up(folder.path(), "def"), Ok(Lookup::Nothing)));
    }

    #[test]
    fn a_changed_program_is_reported_and_left_to_the_caller() {
        let folder = tempfile::tempdir().expect("temporary folder");
        let program = build(folder.path());
        std::fs::write(&program, b"program with a flipped bit").expect("program");
        assert!(matches!(
            look_up(folder.path(), "abc"),
            Ok(Lookup::Broken(builds)) if builds.len() == 1 && builds[0].is_dir()
        ));
    }
}
