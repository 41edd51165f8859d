//! The target's storage: one class whose volumes are folders of the run. The controller manager's
//! own hostPath provisioner writes to one fixed folder for all users of a machine, so it is not used.

use std::path::PathBuf;

use futures::StreamExt;
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{Api, DeleteParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Client, ResourceExt};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::error::{Error, Result};
use crate::runs::remove_folder;

/// Name of the default storage class.
const CLASS: &str = "run-folder";
/// Names the provisioner on everything it made.
const PROVISIONER: &str = "gonogo.dev/run-folder";
const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

/// Makes volumes for claims and removes them with their folders until dropped.
pub(super) struct Volumes {
    tasks: [JoinHandle<()>; 2],
}

impl Volumes {
    pub(super) async fn start(client: Client, folder: PathBuf) -> Result<Self> {
        let class: StorageClass = serde_json::from_value(json!({
            "metadata": {"name": CLASS, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
            "provisioner": PROVISIONER,
            "reclaimPolicy": "Delete",
            "volumeBindingMode": "Immediate",
        }))?;
        Api::all(client.clone())
            .create(&PostParams::default(), &class)
            .await
            .map_err(Error::kubernetes("create the storage class"))?;
        let tasks = [
            tokio::spawn(provision(client.clone(), folder)),
            tokio::spawn(reclaim(client)),
        ];
        Ok(Self { tasks })
    }
}

impl Drop for Volumes {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn provision(client: Client, folder: PathBuf) {
    let claims = watcher(
        Api::<PersistentVolumeClaim>::all(client.clone()),
        watcher::Config::default(),
    )
    .default_backoff()
    .applied_objects();
    let volumes: Api<PersistentVolume> = Api::all(client);
    futures::pin_mut!(claims);
    while let Some(event) = claims.next().await {
        let Ok(claim) = event else { continue };
        if let Err(error) = provision_one(&volumes, &folder, &claim).await {
            tracing::error!(
                claim = claim.name_any(),
                error = error.with_causes(),
                "failed to provide a volume"
            );
        }
    }
}

async fn provision_one(
    volumes: &Api<PersistentVolume>,
    folder: &std::path::Path,
    claim: &PersistentVolumeClaim,
) -> Result<()> {
    let (Some(spec), Some(uid)) = (&claim.spec, &claim.metadata.uid) else {
        return Ok(());
    };
    if spec.volume_name.is_some()
        || spec.storage_class_name.as_deref() != Some(CLASS)
        || claim.metadata.deletion_timestamp.is_some()
    {
        return Ok(());
    }
    let name = format!("pvc-{uid}");
    let path = folder.join(&name);
    crate::cache::create_folder(&path)?;
    let size = spec
        .resources
        .as_ref()
        .and_then(|resources| resources.requests.as_ref())
        .and_then(|sizes| sizes.get("storage"));
    let volume: PersistentVolume = serde_json::from_value(json!({
        "metadata": {"name": name, "annotations": {PROVISIONED_BY: PROVISIONER}},
        "spec": {
            "capacity": {"storage": size},
            "accessModes": spec.access_modes,
            "storageClassName": CLASS,
            "persistentVolumeReclaimPolicy": "Delete",
            "hostPath": {"path": path, "type": "Directory"},
            "claimRef": {
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "uid": uid,
                "namespace": claim.namespace(), "name": claim.name_any(),
            },
        },
    }))?;
    match volumes.create(&PostParams::default(), &volume).await {
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        result => result
            .map(|_| ())
            .map_err(Error::kubernetes("create a volume")),
    }
}

async fn reclaim(client: Client) {
    let api: Api<PersistentVolume> = Api::all(client);
    let volumes = watcher(api.clone(), watcher::Config::default())
        .default_backoff()
        .applied_objects();
    futures::pin_mut!(volumes);
    while let Some(event) = volumes.next().await {
        let Ok(volume) = event else { continue };
        let released = volume
            .status
            .as_ref()
            .and_then(|status| status.phase.as_deref())
            == Some("Released");
        let ours = volume
            .annotations()
            .get(PROVISIONED_BY)
            .is_some_and(|name| name == PROVISIONER);
        let path = volume
            .spec
            .as_ref()
            .and_then(|spec| spec.host_path.as_ref())
            .map(|source| PathBuf::from(&source.path));
        let (true, true, Some(path)) = (released, ours, path) else {
            continue;
        };
        let name = volume.name_any();
        // A folder that cannot be removed now goes with the run.
        let _ = tokio::task::spawn_blocking(move || remove_folder(&path)).await;
        if let Err(error) = api.delete(&name, &DeleteParams::default()).await {
            tracing::warn!(volume = name, %error, "failed to delete a released volume");
        }
    }
}
