//! The quota of a run namespace (G-117). No LimitRange is made: `apply` deletes one of the platform's name.

use super::names::namespaced;
use k8s_openapi::api::core::v1::{ResourceQuota, ResourceQuotaSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use std::collections::BTreeMap;

/// Builds the pod quota.
pub fn build_resource_quota(
    name: &str,
    namespace: &str,
    instance: &str,
    pods: u32,
) -> ResourceQuota {
    ResourceQuota {
        metadata: namespaced(name, namespace, instance),
        spec: Some(ResourceQuotaSpec {
            hard: Some(BTreeMap::from([(
                "pods".to_owned(),
                Quantity(pods.to_string()),
            )])),
            ..ResourceQuotaSpec::default()
        }),
        status: None,
    }
}
