//! The floor: a client that makes the Jobs and nothing else.

use std::time::Instant;

use anyhow::Context;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client};
use serde_json::Value;

/// Requests under way at once: as many runs as a worker claims in one pass.
pub const AT_ONCE: usize = 10;
/// Label of what this client made.
const MADE_HERE: &str = "gonogo.dev/made-by";
/// What makes an object the platform's own, which would count it among its leaks.
const OF_PLATFORM: &str = "codex-k8s.dev/";

pub struct BareJobs {
    jobs: Api<Job>,
    job: Job,
}

impl BareJobs {
    /// Jobs like that of a run that the platform started.
    pub async fn like(client: &Client, run: &Value) -> anyhow::Result<Self> {
        let text = |field: &str| {
            run[field]
                .as_str()
                .with_context(|| format!("the run has no {field}"))
        };
        let jobs: Api<Job> = Api::namespaced(client.clone(), text("job_namespace")?);
        let mut job = jobs
            .get(text("job_name")?)
            .await
            .context("failed to read the Job to copy")?;
        let labels = |labels: Option<std::collections::BTreeMap<String, String>>| {
            let mut labels = labels.unwrap_or_default();
            labels.retain(|name, _| {
                !name.starts_with(OF_PLATFORM)
                    && !name.contains("controller-uid")
                    && !name.ends_with("job-name")
            });
            labels.insert(MADE_HERE.to_owned(), "queue".to_owned());
            labels
        };
        job.metadata = ObjectMeta {
            labels: Some(labels(job.metadata.labels)),
            annotations: job.metadata.annotations,
            ..ObjectMeta::default()
        };
        job.status = None;
        let spec = job.spec.as_mut().context("the Job has no spec")?;
        spec.selector = None;
        if let Some(metadata) = &mut spec.template.metadata {
            metadata.labels = Some(labels(metadata.labels.take()));
        }
        Ok(Self { jobs, job })
    }

    /// Makes so many, and takes them away again. Jobs a second.
    pub async fn rate(&self, count: usize) -> anyhow::Result<f64> {
        let began = Instant::now();
        stream::iter(0..count)
            .map(|number| {
                let mut job = self.job.clone();
                job.metadata.name = Some(format!("bare-{number}"));
                async move {
                    self.jobs
                        .create(&PostParams::default(), &job)
                        .await
                        .map(drop)
                }
            })
            .buffer_unordered(AT_ONCE)
            .try_collect::<()>()
            .await
            .context("failed to make a Job")?;
        let took = began.elapsed().as_secs_f64();
        let made_here = ListParams::default().labels(MADE_HERE);
        self.jobs
            .delete_collection(&DeleteParams::background(), &made_here)
            .await
            .context("failed to delete the Jobs")?;
        Ok(f64::from(u32::try_from(count)?) / took)
    }
}
