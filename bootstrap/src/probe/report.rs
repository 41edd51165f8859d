//! The result of the probe, as `capabilities.json` holds it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

/// One capability, with what was tried and what was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Capability {
    pub available: bool,
    /// What the probe did.
    pub tried: String,
    /// What it saw; the reason, where the capability is missing.
    pub seen: String,
    pub milliseconds: u128,
}

/// All capabilities by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    pub capabilities: BTreeMap<String, Capability>,
}

/// What a probe saw: the capability is there, or why it is not.
pub(super) type Seen = Result<String, String>;

impl Capability {
    pub(super) fn new(tried: &str, seen: Seen, took: Duration) -> Self {
        let (available, seen) = match seen {
            Ok(seen) => (true, seen),
            Err(seen) => (false, seen),
        };
        Self {
            available,
            tried: tried.to_owned(),
            seen,
            milliseconds: took.as_millis(),
        }
    }
}

impl Capabilities {
    /// Why a scenario with this tag (`needs-…`) cannot be proven here; `None` when it can. A tag
    /// nobody probes for counts as missing.
    #[must_use]
    pub fn missing_for(&self, tag: &str) -> Option<String> {
        let needed: &[&str] = match tag.trim_start_matches('@') {
            "needs-pods" => &["jobs_run", "logs_read"],
            "needs-container-isolation" => &["container_isolation"],
            "needs-network-policy" => &["network_policy_blocks"],
            "needs-image-build" => &["images_build"],
            "needs-ingress" => &["ingress"],
            "needs-acme" => &["acme"],
            "needs-codex" => &["codex"],
            "needs-ssh-host" => &["ssh_host"],
            other => return Some(format!("the capability of {other} is not probed")),
        };
        needed
            .iter()
            .find_map(|name| match self.capabilities.get(*name) {
                Some(capability) if capability.available => None,
                Some(capability) => Some(format!("{name}: {}", capability.seen)),
                None => Some(format!("{name} was not probed")),
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_is_provable_only_if_all_it_needs_was_seen() {
        let seen = |seen: Seen| Capability::new("tried", seen, Duration::ZERO);
        let mut capabilities = BTreeMap::from([
            ("jobs_run".to_owned(), seen(Ok("completed".to_owned()))),
            ("logs_read".to_owned(), seen(Err("no endpoint".to_owned()))),
        ]);
        let missing = Capabilities {
            capabilities: capabilities.clone(),
        };
        assert_eq!(
            missing.missing_for("@needs-pods").as_deref(),
            Some("logs_read: no endpoint")
        );
        capabilities.insert("logs_read".to_owned(), seen(Ok("read".to_owned())));
        assert_eq!(
            Capabilities { capabilities }.missing_for("needs-pods"),
            None
        );
        assert!(missing.missing_for("needs-something-new").is_some());
    }
}
