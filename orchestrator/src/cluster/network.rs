//! The seven network policies of a run namespace (runtime 2.1), and the six of the code-only namespace (R-40).

use super::names::namespaced;
use k8s_openapi::api::networking::v1::{
    IPBlock, NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
    NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use std::collections::BTreeMap;

/// Well-known label of every namespace with its own name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";
/// Namespace of cluster DNS.
const SYSTEM_NAMESPACE: &str = "kube-system";
const DNS_PORT: u16 = 53;

/// What the policies open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkPlan {
    /// Namespace of the control plane.
    pub platform_namespace: String,
    /// Ports of the control plane that a run calls: MCP and internal HTTP.
    pub control_plane_ports: [u16; 2],
    /// Address range and port of the API server; absent in the code-only namespace, whose Pods hold no account.
    pub api_server: Option<(String, u16)>,
}

/// Builds the policies in a fixed order.
pub fn build_network_policies(
    plan: &NetworkPlan,
    namespace: &str,
    instance: &str,
) -> Vec<NetworkPolicy> {
    let policy = |suffix: &str, spec: NetworkPolicySpec| NetworkPolicy {
        metadata: namespaced(&format!("codex-k8s-{suffix}"), namespace, instance),
        spec: Some(spec),
    };
    let mut policies = vec![
        policy(
            "default-deny-all",
            NetworkPolicySpec {
                policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
                ..everything()
            },
        ),
        policy(
            "allow-ingress-from-platform-and-system",
            NetworkPolicySpec {
                policy_types: Some(vec!["Ingress".to_owned()]),
                ingress: Some(vec![NetworkPolicyIngressRule {
                    from: Some(vec![
                        namespace_peer(&plan.platform_namespace),
                        namespace_peer(SYSTEM_NAMESPACE),
                    ]),
                    ports: None,
                }]),
                ..everything()
            },
        ),
        policy(
            "allow-egress-dns",
            egress(
                vec![namespace_peer(SYSTEM_NAMESPACE)],
                vec![port("UDP", DNS_PORT), port("TCP", DNS_PORT)],
            ),
        ),
        policy(
            "allow-egress-to-platform-mcp",
            egress(
                vec![namespace_peer(&plan.platform_namespace)],
                plan.control_plane_ports
                    .into_iter()
                    .map(|number| port("TCP", number))
                    .collect(),
            ),
        ),
        policy(
            "allow-egress-web",
            egress(
                vec![block("0.0.0.0/0")],
                vec![port("TCP", 80), port("TCP", 443)],
            ),
        ),
        policy(
            "allow-same-namespace",
            NetworkPolicySpec {
                policy_types: Some(vec!["Ingress".to_owned(), "Egress".to_owned()]),
                ingress: Some(vec![NetworkPolicyIngressRule {
                    from: Some(vec![same_namespace()]),
                    ports: None,
                }]),
                egress: Some(vec![NetworkPolicyEgressRule {
                    to: Some(vec![same_namespace()]),
                    ports: None,
                }]),
                ..everything()
            },
        ),
    ];
    if let Some((cidr, api_port)) = &plan.api_server {
        policies.push(policy(
            "allow-egress-k8s-api",
            egress(vec![block(cidr)], vec![port("TCP", *api_port)]),
        ));
    }
    policies
}

fn everything() -> NetworkPolicySpec {
    NetworkPolicySpec {
        pod_selector: Some(LabelSelector::default()),
        ..NetworkPolicySpec::default()
    }
}

fn egress(to: Vec<NetworkPolicyPeer>, ports: Vec<NetworkPolicyPort>) -> NetworkPolicySpec {
    NetworkPolicySpec {
        policy_types: Some(vec!["Egress".to_owned()]),
        egress: Some(vec![NetworkPolicyEgressRule {
            to: Some(to),
            ports: Some(ports),
        }]),
        ..everything()
    }
}

fn namespace_peer(name: &str) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector {
            match_labels: Some(BTreeMap::from([(
                NAMESPACE_NAME.to_owned(),
                name.to_owned(),
            )])),
            match_expressions: None,
        }),
        ..NetworkPolicyPeer::default()
    }
}

fn same_namespace() -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        pod_selector: Some(LabelSelector::default()),
        ..NetworkPolicyPeer::default()
    }
}

fn block(cidr: &str) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        ip_block: Some(IPBlock {
            cidr: cidr.to_owned(),
            except: None,
        }),
        ..NetworkPolicyPeer::default()
    }
}

fn port(protocol: &str, number: u16) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(IntOrString::Int(i32::from(number))),
        end_port: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(api_server: Option<(String, u16)>) -> NetworkPlan {
        NetworkPlan {
            platform_namespace: "codex-k8s-prod".to_owned(),
            control_plane_ports: [8081, 9090],
            api_server,
        }
    }

    fn names(policies: &[NetworkPolicy]) -> Vec<String> {
        policies
            .iter()
            .filter_map(|policy| policy.metadata.name.clone())
            .collect()
    }

    #[test]
    fn a_run_namespace_has_seven_policies() {
        let policies =
            build_network_policies(&plan(Some(("10.0.0.1/32".to_owned(), 6443))), "ns", "main");
        insta::assert_json_snapshot!(names(&policies), @r#"
        [
          "codex-k8s-default-deny-all",
          "codex-k8s-allow-ingress-from-platform-and-system",
          "codex-k8s-allow-egress-dns",
          "codex-k8s-allow-egress-to-platform-mcp",
          "codex-k8s-allow-egress-web",
          "codex-k8s-allow-same-namespace",
          "codex-k8s-allow-egress-k8s-api"
        ]
        "#);
        insta::assert_json_snapshot!(policies[3].spec, @r#"
        {
          "egress": [
            {
              "ports": [
                {
                  "port": 8081,
                  "protocol": "TCP"
                },
                {
                  "port": 9090,
                  "protocol": "TCP"
                }
              ],
              "to": [
                {
                  "namespaceSelector": {
                    "matchLabels": {
                      "kubernetes.io/metadata.name": "codex-k8s-prod"
                    }
                  }
                }
              ]
            }
          ],
          "podSelector": {},
          "policyTypes": [
            "Egress"
          ]
        }
        "#);
    }

    #[test]
    fn the_code_only_namespace_lacks_the_way_to_the_api_server() {
        let with = names(&build_network_policies(
            &plan(Some(("10.0.0.1/32".to_owned(), 6443))),
            "ns",
            "main",
        ));
        let without = names(&build_network_policies(&plan(None), "ns", "main"));
        assert_eq!(with[..6], without[..]);
        assert_eq!(without.len(), 6);
    }
}
