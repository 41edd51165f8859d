//! Which commit this program was built from.

/// The commit, or `unknown` when it was built outside a checkout.
pub const REVISION: &str = env!("CODEXK8S_BUILD_REVISION");

/// Whether tracked files differed from that commit.
pub fn is_dirty() -> bool {
    env!("CODEXK8S_BUILD_DIRTY") == "true"
}
