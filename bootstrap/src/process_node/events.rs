//! Events about Pods, as `kubectl describe` shows them.

use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use kube::Resource as _;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

/// Publishes events without holding up the one who reports.
#[derive(Clone)]
pub(super) struct PodEvents {
    recorder: Recorder,
}

impl PodEvents {
    pub(super) fn new(client: kube::Client, node_name: &str) -> Self {
        let reporter = Reporter { controller: "process-node".to_owned(), instance: Some(node_name.to_owned()) };
        Self { recorder: Recorder::new(client, reporter) }
    }

    /// Something went as it should.
    pub(super) fn normal(&self, pod: &Pod, container: Option<&str>, reason: &str, note: String) {
        self.publish(EventType::Normal, pod, container, reason, note);
    }

    /// Something is wrong with the Pod.
    pub(super) fn warning(&self, pod: &Pod, container: Option<&str>, reason: &str, note: String) {
        self.publish(EventType::Warning, pod, container, reason, note);
    }

    fn publish(&self, type_: EventType, pod: &Pod, container: Option<&str>, reason: &str, mut note: String) {
        /// The API server's limit for a note.
        const NOTE_LIMIT_BYTES: usize = 1024;
        note.truncate(note.floor_char_boundary(NOTE_LIMIT_BYTES));
        let event = Event { type_, reason: reason.to_owned(), note: Some(note), action: reason.to_owned(), secondary: None };
        let reference = ObjectReference {
            field_path: container.map(|name| format!("spec.containers{{{name}}}")),
            ..pod.object_ref(&())
        };
        let recorder = self.recorder.clone();
        tokio::spawn(async move {
            // A namespace that is going away takes no events.
            if let Err(error) = recorder.publish(&event, &reference).await {
                tracing::debug!(reason = event.reason, %error, "failed to publish an event");
            }
        });
    }
}
