//! The claim that holds a run's source tree (runtime 2.1), kept with the namespace so that a revise run finds it again.

use super::names::namespaced;
use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use std::collections::BTreeMap;

/// Name of the claim.
pub const REPO_CACHE_CLAIM: &str = "codex-k8s-repo-cache";

/// Size asked for: a checkout with its history and build output of an ordinary service.
const REPO_CACHE_SIZE: &str = "5Gi";

/// Builds the claim; the cluster's default storage class serves it.
pub fn build_repo_cache_claim(namespace: &str, instance: &str) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        metadata: namespaced(REPO_CACHE_CLAIM, namespace, instance),
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".to_owned()]),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([(
                    "storage".to_owned(),
                    Quantity(REPO_CACHE_SIZE.to_owned()),
                )])),
                limits: None,
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}
