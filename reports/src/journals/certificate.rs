//! What was held against GitHub's own description of its API in this run, and what was not.
use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// How the gate's own client names itself to the stand-in; everybody else is the platform under judgement.
const GATE_CLIENT: &str = "gonogo";

/// `github-certificate.json`, as far as it is judged and shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GithubCertificate {
    /// What it was checked against.
    pub description: CertificateOrigin,
    /// Answers that the stand-in gave.
    pub answers: u64,
    /// Webhooks that it sent.
    pub deliveries: u64,
    /// Answers and webhooks that GitHub would not have given.
    pub problems: Vec<CertificateProblem>,
    /// What nobody checked.
    pub unverified: CertificateGaps,
    /// Operations that were called.
    pub routes: Vec<CertificateRoute>,
    /// Webhooks that were sent.
    pub webhooks: Vec<serde_json::Value>,
}

/// Where the description comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateOrigin {
    /// Package that publishes it.
    pub package: String,
    /// Its version.
    pub version: String,
}

/// Something that breaks the description.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateProblem {
    /// Operation with status, or webhook.
    pub place: String,
    /// JSON pointer into the body.
    pub pointer: String,
    /// What is wrong.
    pub message: String,
}

/// What has no schema.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateGaps {
    /// Operations.
    pub routes: Vec<CertificateRoute>,
    /// Webhooks.
    pub webhooks: Vec<String>,
    /// Fields that were sent though the description does not have them, by place.
    pub fields: BTreeMap<String, BTreeSet<String>>,
}

/// One operation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateRoute {
    /// HTTP method.
    pub method: String,
    /// Path with its parameters in braces.
    pub route: String,
    /// Who called it.
    pub clients: BTreeSet<String>,
    /// By status.
    pub answers: BTreeMap<String, serde_json::Value>,
}

impl GithubCertificate {
    /// Whether any answer that the platform was given, and any webhook, was held against a schema.
    pub fn speaks_of_the_platform(&self) -> bool {
        let has_schema = |answer: &serde_json::Value| {
            let against = answer["against"].as_str();
            against.is_some_and(|against| against.starts_with('#'))
        };
        self.deliveries > 0
            && self
                .routes
                .iter()
                .any(|route| route.used_by_the_platform() && route.answers.values().any(has_schema))
    }
}

impl CertificateRoute {
    /// Whether the platform under judgement called it, and not the gate alone.
    pub fn used_by_the_platform(&self) -> bool {
        self.clients.iter().any(|client| client != GATE_CLIENT)
    }

    /// `GET /repos/{owner}/{repo} 200, 404`.
    pub fn title(&self) -> String {
        let statuses: Vec<&str> = self.answers.keys().map(String::as_str).collect();
        format!("{} {} {}", self.method, self.route, statuses.join(", "))
    }
}
