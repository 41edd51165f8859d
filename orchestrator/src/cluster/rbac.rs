//! Accounts, roles and bindings of the agents in a run namespace (G-109..G-111).
//!
//! No rule names `secrets` or the RBAC group, and the objects that fence the namespace in are readable only (R-37, R-38).

use super::names::namespaced;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};

/// Which account an agent works under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AgentAccount {
    /// `dev` and `reviewer` (G-109).
    Candidate,
    /// Read only (G-110), also for `sa`, `em`, `sre` in a candidate namespace (G-111).
    Readonly,
    /// Read only plus Jobs and exec, for `qa` (G-111).
    Qa,
    /// `run:ai-repair` in LIVE_NS: the rules of [`AgentAccount::Candidate`] under a name of its own (G-112).
    Repair,
}

impl AgentAccount {
    /// All accounts of a run namespace; the one of a repair is made in LIVE_NS alone.
    pub const ALL: [Self; 3] = [Self::Candidate, Self::Readonly, Self::Qa];

    /// Account of an agent in a candidate namespace. A custom role gets the least.
    pub fn of_agent(agent_key: &str) -> Self {
        match agent_key {
            "dev" | "reviewer" => Self::Candidate,
            "qa" => Self::Qa,
            _ => Self::Readonly,
        }
    }
}

/// Names of the accounts; Role and RoleBinding bear the same name (runtime 6.2 lets an operator rename them).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunAccounts {
    /// Name for [`AgentAccount::Candidate`].
    pub candidate: String,
    /// Name for [`AgentAccount::Readonly`].
    pub readonly: String,
    /// Name for [`AgentAccount::Qa`].
    pub qa: String,
    /// Name for [`AgentAccount::Repair`].
    pub repair: String,
}

impl Default for RunAccounts {
    fn default() -> Self {
        Self {
            candidate: "codex-runner".to_owned(),
            readonly: "codex-runner-readonly".to_owned(),
            qa: "codex-runner-qa".to_owned(),
            repair: "codex-runner-repair".to_owned(),
        }
    }
}

impl RunAccounts {
    /// Name of one account.
    pub fn name(&self, account: AgentAccount) -> &str {
        match account {
            AgentAccount::Candidate => &self.candidate,
            AgentAccount::Readonly => &self.readonly,
            AgentAccount::Qa => &self.qa,
            AgentAccount::Repair => &self.repair,
        }
    }
}

/// Builds an account. The token is mounted by the run Pod alone, never by default.
pub fn build_service_account(name: &str, namespace: &str, instance: &str) -> ServiceAccount {
    ServiceAccount {
        metadata: namespaced(name, namespace, instance),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

/// Builds the Role of an account.
pub fn build_role(name: &str, account: AgentAccount, namespace: &str, instance: &str) -> Role {
    let rules = match account {
        AgentAccount::Candidate | AgentAccount::Repair => candidate_rules(),
        AgentAccount::Readonly => readonly_rules(),
        AgentAccount::Qa => {
            let mut rules = readonly_rules();
            rules.push(rule(&["batch"], &["jobs"], &["create", "delete"]));
            rules.push(rule(&[""], &["pods/exec"], &["create"]));
            rules
        }
    };
    Role {
        metadata: namespaced(name, namespace, instance),
        rules: Some(rules),
    }
}

/// Builds the binding of an account to its Role.
pub fn build_role_binding(name: &str, namespace: &str, instance: &str) -> RoleBinding {
    RoleBinding {
        metadata: namespaced(name, namespace, instance),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".to_owned(),
            kind: "Role".to_owned(),
            name: name.to_owned(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name: name.to_owned(),
            namespace: Some(namespace.to_owned()),
            api_group: None,
        }]),
    }
}

const READ: [&str; 3] = ["get", "list", "watch"];

fn candidate_rules() -> Vec<PolicyRule> {
    vec![
        rule(
            &[""],
            &[
                "configmaps",
                "endpoints",
                "events",
                "persistentvolumeclaims",
                "pods",
                "pods/attach",
                "pods/exec",
                "pods/log",
                "pods/portforward",
                "replicationcontrollers",
                "services",
                "services/proxy",
            ],
            &["*"],
        ),
        rule(&["apps", "batch", "autoscaling", "policy"], &["*"], &["*"]),
        rule(&["networking.k8s.io"], &["ingresses"], &["*"]),
        rule(
            &[""],
            &["resourcequotas", "limitranges", "serviceaccounts"],
            &READ,
        ),
        rule(&["networking.k8s.io"], &["networkpolicies"], &READ),
    ]
}

fn readonly_rules() -> Vec<PolicyRule> {
    vec![
        rule(
            &[""],
            &[
                "pods",
                "services",
                "endpoints",
                "configmaps",
                "persistentvolumeclaims",
                "resourcequotas",
                "limitranges",
                "serviceaccounts",
                "replicationcontrollers",
                "events",
            ],
            &READ,
        ),
        rule(&["events.k8s.io"], &["events"], &READ),
        rule(
            &["apps"],
            &["deployments", "daemonsets", "replicasets", "statefulsets"],
            &READ,
        ),
        rule(&["batch"], &["jobs", "cronjobs"], &READ),
        rule(&["autoscaling"], &["horizontalpodautoscalers"], &READ),
        rule(
            &["networking.k8s.io"],
            &["ingresses", "networkpolicies"],
            &READ,
        ),
        rule(&[""], &["pods/log"], &["get"]),
    ]
}

fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> PolicyRule {
    let owned = |values: &[&str]| {
        values
            .iter()
            .map(|value| (*value).to_owned())
            .collect::<Vec<_>>()
    };
    PolicyRule {
        api_groups: Some(owned(groups)),
        resources: Some(owned(resources)),
        verbs: owned(verbs),
        ..PolicyRule::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_roles() -> Vec<Role> {
        AgentAccount::ALL
            .into_iter()
            .chain([AgentAccount::Repair])
            .map(|account| build_role("r", account, "ns", "main"))
            .collect()
    }

    #[test]
    fn no_role_names_secrets_or_the_rbac_group() {
        for role in all_roles() {
            for rule in role.rules.expect("rules") {
                let resources = rule.resources.expect("resources");
                let groups = rule.api_groups.expect("groups");
                assert!(!resources.iter().any(|name| name.starts_with("secrets")));
                assert!(
                    !groups
                        .iter()
                        .any(|group| group == "*" || group == "rbac.authorization.k8s.io")
                );
                assert!(
                    !(groups.iter().any(String::is_empty)
                        && resources.iter().any(|name| name == "*"))
                );
            }
        }
    }

    #[test]
    fn fences_are_read_only_in_every_role() {
        let fences = [
            "resourcequotas",
            "limitranges",
            "networkpolicies",
            "serviceaccounts",
        ];
        for role in all_roles() {
            let rules = role.rules.expect("rules");
            let fencing: Vec<_> = rules
                .iter()
                .filter(|rule| {
                    rule.resources
                        .iter()
                        .flatten()
                        .any(|name| fences.contains(&name.as_str()))
                })
                .collect();
            assert!(!fencing.is_empty());
            for rule in fencing {
                assert_eq!(rule.verbs, READ);
            }
        }
    }

    #[test]
    fn only_qa_adds_jobs_and_exec_to_the_read_only_rules() {
        let readonly = build_role("r", AgentAccount::Readonly, "ns", "main")
            .rules
            .expect("rules");
        let qa = build_role("r", AgentAccount::Qa, "ns", "main")
            .rules
            .expect("rules");
        assert_eq!(qa[..readonly.len()], readonly[..]);
        let added: Vec<_> = qa[readonly.len()..]
            .iter()
            .map(|rule| {
                (
                    rule.resources.clone().expect("resources"),
                    rule.verbs.clone(),
                )
            })
            .collect();
        assert_eq!(
            added,
            vec![
                (
                    vec!["jobs".to_owned()],
                    vec!["create".to_owned(), "delete".to_owned()]
                ),
                (vec!["pods/exec".to_owned()], vec!["create".to_owned()]),
            ]
        );
        assert!(
            readonly
                .iter()
                .all(|rule| rule.verbs.iter().all(|verb| READ.contains(&verb.as_str())))
        );
    }

    #[test]
    fn agents_get_the_account_of_their_role() {
        assert_eq!(AgentAccount::of_agent("reviewer"), AgentAccount::Candidate);
        assert_eq!(AgentAccount::of_agent("qa"), AgentAccount::Qa);
        assert_eq!(AgentAccount::of_agent("sre"), AgentAccount::Readonly);
        assert_eq!(
            AgentAccount::of_agent("a-custom-role"),
            AgentAccount::Readonly
        );
    }

    #[test]
    fn binding_names_its_own_account() {
        insta::assert_json_snapshot!(build_role_binding("codex-runner-qa", "codex-issue-x", "lane1"), @r#"
        {
          "apiVersion": "rbac.authorization.k8s.io/v1",
          "kind": "RoleBinding",
          "metadata": {
            "labels": {
              "codex-k8s.dev/instance": "lane1",
              "codex-k8s.dev/managed-by": "codex-k8s-worker"
            },
            "name": "codex-runner-qa",
            "namespace": "codex-issue-x"
          },
          "roleRef": {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "Role",
            "name": "codex-runner-qa"
          },
          "subjects": [
            {
              "kind": "ServiceAccount",
              "name": "codex-runner-qa",
              "namespace": "codex-issue-x"
            }
          ]
        }
        "#);
    }
}
