//! Which commit this program was built from.
use std::sync::OnceLock;

static BUILD: OnceLock<Build> = OnceLock::new();

/// What the program knows of its build.
#[derive(Debug, Clone, Copy)]
pub struct Build {
    /// The commit, or `unknown` when it was built outside a checkout.
    pub revision: &'static str,
    /// Whether tracked files differed from that commit.
    pub dirty: bool,
}

const UNKNOWN: Build = Build {
    revision: "unknown",
    dirty: true,
};

/// Makes the build known; the program does so first of all. A second call changes nothing.
pub fn install(build: Build) {
    let _ = BUILD.set(build);
}

/// The build of this program; unknown in a program that did not say.
pub fn build() -> Build {
    BUILD.get().copied().unwrap_or(UNKNOWN)
}
