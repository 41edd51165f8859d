//! Events about Pods, as `kubectl describe` shows them.
//!
//! Written to the core group: a node's identity has no right to the newer `events.k8s.io`.

use k8s_openapi::api::core::v1::{Event, EventSource, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time};
use k8s_openapi::jiff::Timestamp;
use kube::api::PostParams;
use kube::{Api, Resource as _};

const COMPONENT: &str = "process-node";
/// The API server's limit for a message.
const MESSAGE_LIMIT_BYTES: usize = 1024;

/// Publishes events without holding up the one who reports.
#[derive(Clone)]
pub(super) struct PodEvents {
    client: kube::Client,
    node_name: String,
}

impl PodEvents {
    pub(super) fn new(client: kube::Client, node_name: &str) -> Self {
        Self {
            client,
            node_name: node_name.to_owned(),
        }
    }

    /// Something went as it should.
    pub(super) fn normal(&self, pod: &Pod, container: Option<&str>, reason: &str, message: String) {
        self.publish("Normal", pod, container, reason, message);
    }

    /// Something is wrong with the Pod.
    pub(super) fn warning(
        &self,
        pod: &Pod,
        container: Option<&str>,
        reason: &str,
        message: String,
    ) {
        self.publish("Warning", pod, container, reason, message);
    }

    fn publish(
        &self,
        kind: &str,
        pod: &Pod,
        container: Option<&str>,
        reason: &str,
        mut message: String,
    ) {
        message.truncate(message.floor_char_boundary(MESSAGE_LIMIT_BYTES));
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        let now = Timestamp::now();
        let name = format!(
            "{}.{:x}",
            pod.metadata.name.as_deref().unwrap_or_default(),
            now.as_nanosecond()
        );
        let event = Event {
            metadata: ObjectMeta {
                name: Some(name),
                namespace: Some(namespace.clone()),
                ..ObjectMeta::default()
            },
            involved_object: ObjectReference {
                field_path: container.map(|name| format!("spec.containers{{{name}}}")),
                ..pod.object_ref(&())
            },
            type_: Some(kind.to_owned()),
            reason: Some(reason.to_owned()),
            message: Some(message),
            action: Some(reason.to_owned()),
            count: Some(1),
            event_time: Some(MicroTime(now)),
            first_timestamp: Some(Time(now)),
            last_timestamp: Some(Time(now)),
            reporting_component: Some(COMPONENT.to_owned()),
            reporting_instance: Some(self.node_name.clone()),
            source: Some(EventSource {
                component: Some(COMPONENT.to_owned()),
                host: Some(self.node_name.clone()),
            }),
            ..Event::default()
        };
        let api = Api::<Event>::namespaced(self.client.clone(), &namespace);
        tokio::spawn(async move {
            // A namespace that is going away takes no events.
            if let Err(error) = api.create(&PostParams::default(), &event).await {
                tracing::debug!(reason = event.reason, %error, "failed to publish an event");
            }
        });
    }
}
