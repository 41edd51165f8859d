//! Bookings from the Kubernetes audit log.
use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::Entry;
use crate::journals::{AuditRecord, Journals, LaneSlices, Line};
use crate::journals::{field_text, field_time};

/// Users of the system under test begin so.
const ORCHESTRATOR_USER: &str = "codex-k8s";

/// Resources that come and go by themselves: records of the cluster, no objects of a run.
const NOT_BOOKED: [&str; 12] = [
    "events",
    "leases",
    "endpoints",
    "endpointslices",
    "tokenreviews",
    "subjectaccessreviews",
    "selfsubjectaccessreviews",
    "selfsubjectreviews",
    "localsubjectaccessreviews",
    "selfsubjectrulesreviews",
    "nodes",
    "csinodes",
];

pub(super) fn entries(journals: &Journals) -> Vec<Entry> {
    let Some(audit) = &journals.audit else {
        return Vec::new();
    };
    let owners = Owners::read(journals);
    let mut entries: Vec<Entry> = Vec::new();
    // resource, namespace, name → index of the living entry
    let mut living: BTreeMap<(String, String, String), usize> = BTreeMap::new();
    for line in audit {
        let record = &line.value;
        let key = (
            record.resource.clone(),
            record.namespace.clone(),
            record.name.clone(),
        );
        if record.created() && !living.contains_key(&key) {
            if let Some(account) = owners.account(record) {
                living.insert(key, entries.len());
                entries.push(entry(line, account));
            }
        } else if record.deleted() && record.resource != "namespaces" {
            if let Some(index) = living.remove(&key) {
                entries[index].deleted = Some(line.pointer());
            }
        } else if record.finalised_namespace() {
            living.retain(|(resource, namespace, name), index| {
                let gone =
                    *namespace == record.name || (resource == "namespaces" && *name == record.name);
                if gone {
                    entries[*index].deleted = Some(line.pointer());
                }
                !gone
            });
        }
    }
    for ((resource, namespace, name), index) in living {
        let home = if resource == "namespaces" {
            &name
        } else {
            &namespace
        };
        entries[index].kept = if entries[index].account == TARGET {
            owners
                .target_went_down
                .then(|| "goes_with_target".to_owned())
        } else {
            owners.kept_namespaces.get(home).cloned()
        };
    }
    entries
}

/// Account of what the gate made for the target and its lanes.
const TARGET: &str = "target";
/// Account of what no scenario can be found for.
const UNKNOWN: &str = "unknown";

fn entry(line: &Line<AuditRecord>, account: String) -> Entry {
    let record = &line.value;
    Entry {
        kind: kind(&record.resource),
        name: match record.namespace.as_str() {
            "" => record.name.clone(),
            namespace => format!("{namespace}/{}", record.name),
        },
        account,
        created_by: record.user.clone(),
        created_at: Some(record.at),
        created: line.pointer(),
        deleted: None,
        kept: None,
    }
}

/// Who an object belongs to, found by the namespace or by the run's short id in its name.
struct Owners {
    namespaces: BTreeMap<String, String>,
    runs: Vec<(String, String)>,
    lane_namespaces: Vec<String>,
    kept_namespaces: BTreeMap<String, String>,
    target_went_down: bool,
}

/// Length of the id in names of Jobs, Secrets and namespaces.
const SHORT_RUN_ID: usize = 12;

impl Owners {
    fn read(journals: &Journals) -> Self {
        let lane_namespaces: Vec<String> = journals
            .gate_run
            .lanes
            .iter()
            .flat_map(|lane| lane.namespaces.clone())
            .collect();
        let mut namespaces = BTreeMap::new();
        let mut runs = Vec::new();
        let mut kept_namespaces = BTreeMap::new();
        for lane in journals.lanes.values() {
            for line in &lane.runs {
                let id = field_text(&line.value, "id");
                let account = journals
                    .scenario_of_run(id, field_text(&line.value, "repository_full_name"))
                    .map_or(UNKNOWN.to_owned(), |result| result.key.scenario.clone());
                let short: String = id
                    .chars()
                    .filter(|c| *c != '-')
                    .take(SHORT_RUN_ID)
                    .collect();
                let namespace = field_text(&line.value, "namespace");
                // Code-only runs share a namespace of the lane, which is nobody's own.
                if !namespace.is_empty()
                    && !lane_namespaces.iter().any(|shared| shared == namespace)
                {
                    namespaces
                        .entry(namespace.to_owned())
                        .or_insert_with(|| account.clone());
                }
                if short.len() == SHORT_RUN_ID {
                    runs.push((short, account));
                }
            }
            kept_namespaces.extend(kept(lane, journals.gate_run.finished_at));
        }
        Self {
            namespaces,
            runs,
            lane_namespaces,
            kept_namespaces,
            target_went_down: journals
                .gate_run
                .phases
                .iter()
                .any(|phase| phase.name == "down" && phase.ok),
        }
    }

    /// The account, or nothing when the object is none of ours.
    fn account(&self, record: &AuditRecord) -> Option<String> {
        let by_cluster = (record.resource == "configmaps" && record.name == "kube-root-ca.crt")
            || (record.resource == "serviceaccounts" && record.name == "default");
        if NOT_BOOKED.contains(&record.resource.as_str()) || by_cluster {
            return None;
        }
        let home = match record.resource.as_str() {
            "namespaces" => &record.name,
            _ => &record.namespace,
        };
        let of_run = || {
            self.runs
                .iter()
                .find(|(short, _)| home.contains(short) || record.name.contains(short))
                .map(|(_, account)| account.clone())
        };
        self.namespaces
            .get(home)
            .cloned()
            .or_else(of_run)
            .or_else(|| {
                if self.lane_namespaces.contains(home) {
                    Some(TARGET.to_owned())
                } else {
                    record
                        .user
                        .starts_with(ORCHESTRATOR_USER)
                        .then(|| UNKNOWN.to_owned())
                }
            })
    }
}

/// Namespaces that stay, with the reason of E-20.
fn kept(lane: &LaneSlices, finished_at: Option<DateTime<Utc>>) -> BTreeMap<String, String> {
    // Platform time may be ahead of the wall clock (D-7), never behind.
    let now = lane.latest().max(finished_at);
    let debug: Vec<&str> = lane
        .events_of("run.namespace.cleanup_skipped")
        .filter(|line| line.value["payload"]["reason"] == "debug_label_present")
        .filter_map(|line| line.value["payload"]["namespace"].as_str())
        .collect();
    lane.leases
        .iter()
        .filter(|line| field_text(&line.value, "state") == "active")
        .filter_map(|line| {
            let namespace = field_text(&line.value, "namespace");
            let reason = if line.value["debug_hold"] == true || debug.contains(&namespace) {
                "run_debug"
            } else if field_time(&line.value["expires_at"]) > now {
                "lease_not_over"
            } else {
                return None;
            };
            Some((namespace.to_owned(), reason.to_owned()))
        })
        .collect()
}

fn kind(resource: &str) -> String {
    match resource {
        "namespaces" => "Namespace",
        "jobs" => "Job",
        "pods" => "Pod",
        "secrets" => "Secret",
        "configmaps" => "ConfigMap",
        "serviceaccounts" => "ServiceAccount",
        "roles" => "Role",
        "rolebindings" => "RoleBinding",
        "clusterroles" => "ClusterRole",
        "clusterrolebindings" => "ClusterRoleBinding",
        "resourcequotas" => "ResourceQuota",
        "limitranges" => "LimitRange",
        "networkpolicies" => "NetworkPolicy",
        "persistentvolumeclaims" => "PersistentVolumeClaim",
        "persistentvolumes" => "PersistentVolume",
        "services" => "Service",
        "deployments" => "Deployment",
        "statefulsets" => "StatefulSet",
        other => other,
    }
    .to_owned()
}
