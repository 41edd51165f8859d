//! Writes the newest status of one Pod to the API server, one write at a time.
//!
//! Separate from the worker so that a slow API server never delays a process; a status that was
//! overtaken by a newer one is not written.

use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Handle of the writing task.
pub(super) struct StatusWriter {
    newest: watch::Sender<Option<PodStatus>>,
    task: JoinHandle<()>,
}

impl StatusWriter {
    pub(super) fn start(api: Api<Pod>, name: String, uid: String) -> Self {
        let (newest, receiver) = watch::channel(None);
        Self {
            newest,
            task: tokio::spawn(write_all(api, name, uid, receiver)),
        }
    }

    /// Where new statuses are put.
    pub(super) fn sender(&self) -> watch::Sender<Option<PodStatus>> {
        self.newest.clone()
    }

    /// Waits until the newest status is written; all senders must be gone.
    pub(super) async fn finish(self) {
        drop(self.newest);
        drop(self.task.await);
    }

    /// Gives up what is not written yet.
    pub(super) fn abandon(self) {
        self.task.abort();
    }
}

async fn write_all(
    api: Api<Pod>,
    name: String,
    uid: String,
    mut newest: watch::Receiver<Option<PodStatus>>,
) {
    let mut pause = FIRST_PAUSE;
    while newest.changed().await.is_ok() {
        loop {
            let Some(status) = newest.borrow_and_update().clone() else {
                break;
            };
            // The uid turns a write to a successor of the same name into a conflict. As a kubelet's, the patch merges
            // conditions by type, so that what others wrote meanwhile stays, such as that the Pod is being evicted.
            let patch = Patch::Strategic(json!({"metadata": {"uid": uid}, "status": status}));
            match api
                .patch_status(&name, &PatchParams::default(), &patch)
                .await
            {
                Ok(_) => {
                    pause = FIRST_PAUSE;
                    break;
                }
                Err(kube::Error::Api(answer))
                    if answer.code == 404 || answer.code == 409 || answer.code == 422 =>
                {
                    tracing::debug!(
                        pod = name,
                        reason = answer.reason,
                        "the pod took no more status"
                    );
                    return;
                }
                Err(error) => {
                    tracing::warn!(pod = name, %error, "failed to write a pod status");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }
}
