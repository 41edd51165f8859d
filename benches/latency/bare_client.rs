//! The floor: a client that knows nothing of runs and makes the same objects as fast as it can.

use std::time::Instant;

use anyhow::Context;
use gonogo::gate::Running;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{
    LimitRange, Namespace, PersistentVolumeClaim, ResourceQuota, Secret, ServiceAccount,
};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ApiResource, DynamicObject, ListParams, PostParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource};

/// Label of the namespaces of runs.
const OF_RUNS: &str = "codex-k8s.dev/namespace-purpose=run";

/// Objects of a run, to be made again and again.
pub struct BareClient {
    client: Client,
    objects: Vec<(ApiResource, DynamicObject)>,
    job: Job,
}

impl BareClient {
    /// Takes the objects that the platform made for the newest run namespace.
    pub async fn like_last_run(running: &Running) -> anyhow::Result<Self> {
        let client = running.target.kube.clone();
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let found = namespaces
            .list(&ListParams::default().labels(OF_RUNS))
            .await?;
        let namespace = found
            .items
            .into_iter()
            .max_by_key(|namespace| {
                namespace
                    .metadata
                    .creation_timestamp
                    .as_ref()
                    .map(|time| time.0)
            })
            .and_then(|namespace| namespace.metadata.name)
            .context("there is no namespace of a run to copy")?;
        let mut objects = Vec::new();
        copy::<ServiceAccount>(&client, &namespace, &mut objects).await?;
        copy::<Role>(&client, &namespace, &mut objects).await?;
        copy::<RoleBinding>(&client, &namespace, &mut objects).await?;
        copy::<ResourceQuota>(&client, &namespace, &mut objects).await?;
        copy::<LimitRange>(&client, &namespace, &mut objects).await?;
        copy::<NetworkPolicy>(&client, &namespace, &mut objects).await?;
        copy::<PersistentVolumeClaim>(&client, &namespace, &mut objects).await?;
        copy::<Secret>(&client, &namespace, &mut objects).await?;
        let jobs: Api<Job> = Api::namespaced(client.clone(), &namespace);
        let mut job = jobs
            .list(&ListParams::default())
            .await?
            .items
            .pop()
            .context("the namespace holds no Job to copy")?;
        job.metadata = bare(job.metadata);
        job.status = None;
        if let Some(spec) = &mut job.spec {
            // The object counts, not what it would run.
            spec.suspend = Some(true);
            spec.selector = None;
            if let Some(metadata) = &mut spec.template.metadata {
                metadata.labels = None;
            }
        }
        Ok(Self {
            client,
            objects,
            job,
        })
    }

    /// Objects beside namespace and Job.
    pub fn objects(&self) -> usize {
        self.objects.len()
    }

    /// Makes them all: the namespace, everything in it at once, the Job. Milliseconds until the Job exists.
    pub async fn make(&self, number: usize) -> anyhow::Result<f64> {
        let name = format!("bare-{number}");
        let namespace = Namespace {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        let jobs: Api<Job> = Api::namespaced(self.client.clone(), &name);
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let options = PostParams::default();
        let began = Instant::now();
        namespaces.create(&options, &namespace).await?;
        let all = self.objects.iter().map(|(kind, object)| {
            let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &name, kind);
            let options = &options;
            async move { api.create(options, object).await }
        });
        futures::future::try_join_all(all).await?;
        jobs.create(&options, &self.job).await?;
        let took = began.elapsed().as_secs_f64() * 1_000.0;
        namespaces
            .delete(&name, &kube::api::DeleteParams::default())
            .await?;
        Ok(took)
    }
}

/// What every namespace holds by itself is left out.
async fn copy<K>(
    client: &Client,
    namespace: &str,
    objects: &mut Vec<(ApiResource, DynamicObject)>,
) -> anyhow::Result<()>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
{
    let kind = ApiResource::erase::<K>(&());
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &kind);
    for object in api.list(&ListParams::default()).await?.items {
        let metadata = bare(object.metadata);
        if metadata.name.as_deref() == Some("default") {
            continue;
        }
        let mut data = object.data;
        if let Some(fields) = data.as_object_mut() {
            fields.remove("status");
            if let Some(spec) = fields.get_mut("spec").and_then(|spec| spec.as_object_mut()) {
                spec.remove("volumeName");
            }
        }
        objects.push((
            kind.clone(),
            DynamicObject {
                types: object.types,
                metadata,
                data,
            },
        ));
    }
    Ok(())
}

fn bare(metadata: ObjectMeta) -> ObjectMeta {
    ObjectMeta {
        name: metadata.name,
        labels: metadata.labels,
        annotations: metadata.annotations,
        ..ObjectMeta::default()
    }
}
