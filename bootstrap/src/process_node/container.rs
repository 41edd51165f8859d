//! One container of a Pod: prepared, run as a process, restarted by the Pod's policy.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::core::v1::Container;
use k8s_openapi::jiff::Timestamp;
use tokio::sync::watch;

use super::config::RUN_MARKER_VARIABLE;
use super::environment::{self, References};
use super::error::{PodError, describe};
use super::image_name::is_image_name;
use super::logs::{ContainerLog, log_path};
use super::pod_worker::{PodRun, Stop};
use super::process::{Process, ProcessSpec, exit_code};
use super::status::{ContainerRecord, Progress, Termination, restart_policy, restarts_after};
use super::volumes::{SERVICE_ACCOUNT_MOUNT, mounts};

/// Code a container runtime reports for a process that could not be started.
const START_FAILED_EXIT_CODE: i32 = 128;
/// Pauses between restarts, as a kubelet has them; the first restart comes at once.
const FIRST_RESTART_PAUSE: Duration = Duration::from_secs(10);
const LONGEST_RESTART_PAUSE: Duration = Duration::from_secs(300);
/// Pauses between attempts to resolve the environment.
const FIRST_CONFIG_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_CONFIG_PAUSE: Duration = Duration::from_secs(2);
/// Time for the last output of a process that has ended; a descendant outside its group may hold the pipe.
const LAST_OUTPUT_TIMEOUT: Duration = Duration::from_secs(1);
/// Where programs are looked for when neither the container nor the host says so.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Tells a process where the service account is mounted, since the usual path does not exist on the host.
const SERVICE_ACCOUNT_VARIABLE: &str = "KUBERNETES_SERVICE_ACCOUNT_DIR";

/// Runs one container until it is done for good or stopped.
pub(super) async fn run(
    pod: &PodRun<'_>,
    container: &Container,
    init: bool,
    mut stop: watch::Receiver<Option<Stop>>,
) {
    let mut record = ContainerRecord::default();
    let mut pause = Duration::ZERO;
    loop {
        let Some(spec) = prepare(pod, container, init, &mut record, &mut stop).await else {
            return;
        };
        let termination = run_once(pod, container, init, spec, &mut record, &mut stop).await;
        let exit_code = termination.exit_code;
        pod.context
            .journal
            .ended(pod.namespace, pod.name, &container.name, &termination);
        record.progress = Progress::Terminated(termination.clone());
        pod.update(init, &container.name, &record);
        if stop.borrow().is_some() || !restarts_after(restart_policy(pod.pod), exit_code, init) {
            return;
        }
        if !pause.is_zero() {
            let message = format!(
                "back-off {}s restarting failed container={}",
                pause.as_secs(),
                container.name
            );
            pod.context
                .events
                .warning(pod.pod, Some(&container.name), "BackOff", message.clone());
            record.last = Some(termination.clone());
            record.progress = Progress::Waiting {
                reason: "CrashLoopBackOff",
                message: Some(message),
            };
            pod.update(init, &container.name, &record);
            if stopped_within(&mut stop, pause).await {
                record.progress = Progress::Terminated(termination);
                pod.update(init, &container.name, &record);
                return;
            }
        }
        pause = if pause.is_zero() {
            FIRST_RESTART_PAUSE
        } else {
            (pause * 2).min(LONGEST_RESTART_PAUSE)
        };
        record.last = Some(termination);
        record.restarts += 1;
    }
}

/// Resolves command and environment, waiting for missing objects; nothing when stopped meanwhile.
async fn prepare(
    pod: &PodRun<'_>,
    container: &Container,
    init: bool,
    record: &mut ContainerRecord,
    stop: &mut watch::Receiver<Option<Stop>>,
) -> Option<ProcessSpec> {
    let mut pause = FIRST_CONFIG_PAUSE;
    loop {
        let attempt = tokio::select! {
            attempt = process_spec(pod, container) => attempt,
            () = stopped(stop) => return None,
        };
        let error = match attempt {
            Ok(spec) => return Some(spec),
            Err(error) => error,
        };
        let message = describe(&error);
        if error.is_final() {
            pod.context.events.warning(
                pod.pod,
                Some(&container.name),
                "Unsupported",
                message.clone(),
            );
        }
        let progress = Progress::Waiting {
            reason: error.waiting_reason(),
            message: Some(message.clone()),
        };
        // An API server that does not answer says nothing about the Pod.
        let concerns_pod = !matches!(error, PodError::Api { .. });
        if concerns_pod && record.progress != progress {
            pod.context.events.warning(
                pod.pod,
                Some(&container.name),
                "Failed",
                format!("Error: {message}"),
            );
            record.progress = progress;
            pod.update(init, &container.name, record);
        }
        if stopped_within(stop, pause).await {
            return None;
        }
        pause = (pause * 2).min(LONGEST_CONFIG_PAUSE);
    }
}

async fn process_spec(pod: &PodRun<'_>, container: &Container) -> Result<ProcessSpec, PodError> {
    if let Some(image) = container
        .image
        .as_ref()
        .filter(|image| !is_image_name(image))
    {
        return Err(PodError::InvalidImageName(image.clone()));
    }
    let context = pod.context;
    let mapping = mounts(container, pod.volumes)?;
    let references = References::load(&context.client, pod.namespace, container).await?;
    let resolved = environment::resolve(
        container,
        pod.pod,
        &context.node,
        &context.service_variables,
        &references,
    )?;
    let command = environment::command_line(container, &resolved, &mapping);
    let mut variables: BTreeMap<String, String> = resolved
        .iter()
        .map(|(name, value)| (name.clone(), mapping.rewrite(value)))
        .collect();

    let root = pod.folder.join("containers").join(&container.name);
    let temporary = root.join("tmp");
    let working_directory = mapping.working_directory(container.working_dir.as_deref(), &root);
    for folder in [&root, &temporary, &working_directory] {
        std::fs::create_dir_all(folder).map_err(|source| PodError::Io {
            path: folder.clone(),
            source,
        })?;
    }
    variables.insert(
        "PATH".to_owned(),
        search_path(&context.path_prefix, variables.get("PATH")),
    );
    variables
        .entry("HOME".to_owned())
        .or_insert_with(|| root.to_string_lossy().into_owned());
    variables
        .entry("TMPDIR".to_owned())
        .or_insert_with(|| temporary.to_string_lossy().into_owned());
    variables
        .entry("HOSTNAME".to_owned())
        .or_insert_with(|| pod.name.to_owned());
    if let Some(folder) = mapping.resolve(SERVICE_ACCOUNT_MOUNT) {
        variables
            .entry(SERVICE_ACCOUNT_VARIABLE.to_owned())
            .or_insert_with(|| folder.to_string_lossy().into_owned());
    }
    variables.insert(RUN_MARKER_VARIABLE.to_owned(), context.run_marker.clone());

    let mut words = command.into_iter();
    let word = words
        .next()
        .ok_or_else(|| PodError::Unsupported("empty command".to_owned()))?;
    let program = resolve_program(&word, &variables["PATH"]);
    Ok(ProcessSpec {
        program,
        arguments: words.collect(),
        environment: variables,
        working_directory,
        marker: format!("{}-{}", pod.uid, uuid::Uuid::new_v4().simple()),
    })
}

fn search_path(prefix: &[PathBuf], wanted: Option<&String>) -> String {
    let host = std::env::var("PATH").unwrap_or_else(|_| DEFAULT_PATH.to_owned());
    let mut path: Vec<String> = prefix
        .iter()
        .map(|folder| folder.to_string_lossy().into_owned())
        .collect();
    path.extend(wanted.cloned());
    path.push(host);
    path.join(":")
}

// The search uses the container's path, not the node's own.
fn resolve_program(word: &str, path: &str) -> String {
    if word.contains('/') {
        return word.to_owned();
    }
    path.split(':')
        .filter(|folder| !folder.is_empty())
        .map(|folder| Path::new(folder).join(word))
        .find(|candidate| candidate.is_file())
        .map_or_else(
            || word.to_owned(),
            |found| found.to_string_lossy().into_owned(),
        )
}

/// Starts the process, waits for its end and stops it when asked to.
async fn run_once(
    pod: &PodRun<'_>,
    container: &Container,
    init: bool,
    spec: ProcessSpec,
    record: &mut ContainerRecord,
    stop: &mut watch::Receiver<Option<Stop>>,
) -> Termination {
    let context = pod.context;
    let name = &container.name;
    let begun = Timestamp::now();
    let path = log_path(
        &context.root_dir,
        pod.namespace,
        pod.name,
        pod.uid,
        name,
        record.restarts,
    );
    let started = ContainerLog::create(path).and_then(|log| Ok((Process::spawn(&spec)?, log)));
    let (mut process, log) = match started {
        Ok(started) => started,
        Err(error) => {
            let message = format!("failed to start \"{}\": {error}", spec.program);
            context
                .events
                .warning(pod.pod, Some(name), "Failed", format!("Error: {message}"));
            return Termination {
                exit_code: START_FAILED_EXIT_CODE,
                reason: "StartError",
                message: Some(message),
                started: begun,
                finished: Timestamp::now(),
            };
        }
    };
    context.logs.add(
        pod.namespace,
        pod.name,
        pod.uid,
        name,
        std::sync::Arc::clone(&log),
    );
    let (stdout, stderr) = process.take_outputs();
    let readers = [
        stdout.map(|output| tokio::spawn(std::sync::Arc::clone(&log).capture("stdout", output))),
        stderr.map(|output| tokio::spawn(std::sync::Arc::clone(&log).capture("stderr", output))),
    ];
    record.id = process.id().map(|id| format!("process://{}-{id}", pod.uid));
    record.progress = Progress::Running { started: begun };
    pod.update(init, name, record);
    context.events.normal(
        pod.pod,
        Some(name),
        "Started",
        format!("Started container {name}"),
    );

    let status = wait_or_stop(pod, name, &mut process, stop).await;
    let finished = Timestamp::now();
    let last_output = futures::future::join_all(readers.into_iter().flatten());
    if tokio::time::timeout(LAST_OUTPUT_TIMEOUT, last_output)
        .await
        .is_err()
    {
        tracing::warn!(
            pod = pod.name,
            container = name,
            "the output is still held open by another process"
        );
    }
    log.close();
    let exit_code = match status {
        Ok(status) => exit_code(status),
        Err(error) => {
            tracing::error!(pod = pod.name, container = name, %error, "failed to wait for a process");
            START_FAILED_EXIT_CODE
        }
    };
    let reason = if exit_code == 0 { "Completed" } else { "Error" };
    Termination {
        exit_code,
        reason,
        message: None,
        started: begun,
        finished,
    }
}

async fn wait_or_stop(
    pod: &PodRun<'_>,
    name: &str,
    process: &mut Process,
    stop: &mut watch::Receiver<Option<Stop>>,
) -> std::io::Result<std::process::ExitStatus> {
    tokio::select! {
        status = process.wait() => return status,
        () = stopped(stop) => {}
    }
    pod.context.events.normal(
        pod.pod,
        Some(name),
        "Killing",
        format!("Stopping container {name}"),
    );
    process.terminate();
    let asked = tokio::time::Instant::now();
    loop {
        // A later order may shorten the grace, as a forced deletion does.
        let grace = stop
            .borrow_and_update()
            .as_ref()
            .map_or(Duration::ZERO, |order| order.grace);
        tokio::select! {
            status = process.wait() => return status,
            () = tokio::time::sleep_until(asked + grace) => break,
            changed = stop.changed() => if changed.is_err() { break },
        }
    }
    process.kill();
    process.wait().await
}

/// Waits for an order to stop.
pub(super) async fn stopped(stop: &mut watch::Receiver<Option<Stop>>) {
    // The sender lives as long as the worker; without it there is nobody left to run for.
    drop(stop.wait_for(Option::is_some).await);
}

/// Whether an order to stop came within the time.
pub(super) async fn stopped_within(
    stop: &mut watch::Receiver<Option<Stop>>,
    time: Duration,
) -> bool {
    tokio::time::timeout(time, stopped(stop)).await.is_ok()
}
