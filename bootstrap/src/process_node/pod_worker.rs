//! One task per Pod uid: drives the Pod from its binding to its removal.
//!
//! Level-triggered: the watch only says what the Pod looks like now; the worker compares that with
//! what it has done. All statuses go through [`StatusWriter`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::{Pod, PodStatus};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{DeleteParams, Preconditions};
use tokio::sync::watch;

use super::capabilities::unsupported;
use super::container::{self, stopped, stopped_within};
use super::environment::NodeFacts;
use super::error::{PodError, describe};
use super::events::PodEvents;
use super::journal::Journal;
use super::logs::LogRegistry;
use super::status::{ContainerRecord, ForcedEnd, StatusFacts, compute};
use super::status_writer::StatusWriter;
use super::volumes::VolumeBuilder;

/// Grace of a Pod that does not name one, as the API server defaults it.
const DEFAULT_GRACE: Duration = Duration::from_secs(30);
/// Time for processes to end by themselves when the node itself goes down.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(1);
const FIRST_MOUNT_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_MOUNT_PAUSE: Duration = Duration::from_secs(1);
const FIRST_DELETE_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_DELETE_PAUSE: Duration = Duration::from_secs(2);

/// What all Pods of the node share.
pub(super) struct NodeContext {
    pub(super) client: kube::Client,
    pub(super) events: PodEvents,
    pub(super) logs: Arc<LogRegistry>,
    pub(super) journal: Journal,
    pub(super) node: NodeFacts,
    pub(super) root_dir: PathBuf,
    pub(super) path_prefix: Vec<PathBuf>,
    pub(super) run_marker: String,
    pub(super) service_variables: BTreeMap<String, String>,
}

/// What the API server says about a Pod now.
#[derive(Debug, Clone)]
pub(super) enum Desired {
    /// The Pod is there, possibly with a deletion time.
    Present(Arc<Pod>),
    /// The Pod object has gone.
    Gone,
    /// The node goes down.
    Shutdown,
}

/// An order to end all processes of the Pod.
#[derive(Debug, Clone)]
pub(super) struct Stop {
    pub(super) grace: Duration,
    forced_end: Option<ForcedEnd>,
    write_status: bool,
}

/// A Pod whose volumes are ready; what its containers need to run.
pub(super) struct PodRun<'a> {
    pub(super) context: &'a NodeContext,
    pub(super) pod: &'a Pod,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
    pub(super) uid: &'a str,
    pub(super) folder: &'a Path,
    pub(super) volumes: &'a BTreeMap<String, PathBuf>,
    board: &'a StatusBoard,
}

impl PodRun<'_> {
    /// Notes what a container does now and publishes the Pod's new status.
    pub(super) fn update(&self, init: bool, container: &str, record: &ContainerRecord) {
        self.board.update(init, container, record);
    }
}

/// Collects container records and turns them into statuses.
struct StatusBoard {
    pod: Arc<Pod>,
    address: String,
    started: Timestamp,
    state: Mutex<BoardState>,
    sender: watch::Sender<Option<PodStatus>>,
}

#[derive(Default)]
struct BoardState {
    init: Vec<ContainerRecord>,
    main: Vec<ContainerRecord>,
    forced_end: Option<ForcedEnd>,
    stopping: bool,
    previous: Option<PodStatus>,
}

impl StatusBoard {
    fn new(pod: Arc<Pod>, address: String, sender: watch::Sender<Option<PodStatus>>) -> Self {
        let spec = pod.spec.as_ref();
        let init = spec
            .and_then(|spec| spec.init_containers.as_ref())
            .map_or(0, Vec::len);
        let main = spec.map_or(0, |spec| spec.containers.len());
        let state = BoardState {
            init: vec![ContainerRecord::default(); init],
            main: vec![ContainerRecord::default(); main],
            ..BoardState::default()
        };
        Self {
            pod,
            address,
            started: Timestamp::now(),
            state: Mutex::new(state),
            sender,
        }
    }

    fn update(&self, init: bool, container: &str, record: &ContainerRecord) {
        let spec = self.pod.spec.as_ref();
        let specs = match init {
            true => spec.and_then(|spec| spec.init_containers.as_deref()),
            false => spec.map(|spec| spec.containers.as_slice()),
        };
        let place = specs
            .unwrap_or_default()
            .iter()
            .position(|spec| spec.name == container);
        self.change(|state| {
            let records = if init {
                &mut state.init
            } else {
                &mut state.main
            };
            if let Some(slot) = place.and_then(|place| records.get_mut(place)) {
                *slot = record.clone();
            }
        });
    }

    fn publish(&self) {
        self.change(|_| {});
    }

    fn end(&self, forced_end: Option<ForcedEnd>) {
        self.change(|state| {
            state.stopping = true;
            state.forced_end = forced_end;
        });
    }

    fn change(&self, change: impl FnOnce(&mut BoardState)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        let status = compute(&StatusFacts {
            pod: &self.pod,
            init: &state.init,
            main: &state.main,
            address: &self.address,
            started: self.started,
            now: Timestamp::now(),
            forced_end: state.forced_end.as_ref(),
            stopping: state.stopping,
            previous: state.previous.as_ref(),
        });
        state.previous = Some(status.clone());
        self.sender.send_replace(Some(status));
    }
}

/// Drives one Pod to its removal, or until the node goes down.
pub(super) async fn run(
    context: Arc<NodeContext>,
    pod: Arc<Pod>,
    mut desired: watch::Receiver<Desired>,
) {
    let namespace = pod.metadata.namespace.clone().unwrap_or_default();
    let name = pod.metadata.name.clone().unwrap_or_default();
    let uid = pod.metadata.uid.clone().unwrap_or_default();
    let api = Api::<Pod>::namespaced(context.client.clone(), &namespace);
    let folder = context.root_dir.join("pods").join(&uid);

    let phase = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        .unwrap_or("Pending");
    if !matches!(phase, "Succeeded" | "Failed") && pod.metadata.deletion_timestamp.is_none() {
        let writer = StatusWriter::start(api.clone(), name.clone(), uid.clone());
        let board = StatusBoard::new(
            Arc::clone(&pod),
            context.node.node_ip.clone(),
            writer.sender(),
        );
        let (orders, stop) = watch::channel(None);
        let refused = refusal(&pod, phase);
        if let Some(end) = refused {
            context
                .events
                .warning(&pod, None, end.reason, end.message.clone());
            board.end(Some(end));
        } else {
            let work = work(
                &context,
                &pod,
                &namespace,
                &name,
                &uid,
                &folder,
                &board,
                stop.clone(),
            );
            tokio::pin!(work);
            tokio::select! {
                () = &mut work => {}
                () = supervise(&pod, board.started, &mut desired, &orders) => work.await,
            }
            if let Some(order) = stop.borrow().clone() {
                board.end(order.forced_end);
            }
        }
        drop(board);
        let wanted = stop
            .borrow()
            .as_ref()
            .is_none_or(|order| order.write_status);
        if wanted {
            writer.finish().await;
        } else {
            writer.abandon();
        }
    }
    remove_folder(&folder);
    if wait_for_removal(&mut desired).await {
        delete_for_good(&api, &name, &uid, &mut desired).await;
    }
    context.logs.remove(&namespace, &name, &uid);
}

fn refusal(pod: &Pod, phase: &str) -> Option<ForcedEnd> {
    if phase == "Running" {
        let message =
            "the process node has no process of this pod; it was started by another node process"
                .to_owned();
        return Some(ForcedEnd {
            reason: "ProcessLost",
            message,
        });
    }
    unsupported(pod).map(|feature| ForcedEnd {
        reason: "Unsupported",
        message: PodError::Unsupported(feature).to_string(),
    })
}

/// Volumes, then init containers in order, then all containers.
#[allow(
    clippy::too_many_arguments,
    reason = "the parts of one pod, borrowed for one call"
)]
async fn work(
    context: &NodeContext,
    pod: &Pod,
    namespace: &str,
    name: &str,
    uid: &str,
    folder: &Path,
    board: &StatusBoard,
    mut stop: watch::Receiver<Option<Stop>>,
) {
    board.publish();
    let builder = VolumeBuilder {
        client: &context.client,
        pod,
        node: &context.node,
        namespace,
        folder: folder.join("volumes"),
    };
    let Some(volumes) = build_volumes(context, pod, &builder, board, &mut stop).await else {
        return;
    };
    let run = PodRun {
        context,
        pod,
        namespace,
        name,
        uid,
        folder,
        volumes: &volumes,
        board,
    };
    let Some(spec) = &pod.spec else { return };
    for (index, init) in spec.init_containers.iter().flatten().enumerate() {
        container::run(&run, init, true, stop.clone()).await;
        let succeeded = {
            let state = board.state.lock().unwrap_or_else(PoisonError::into_inner);
            matches!(&state.init[index].progress, super::status::Progress::Terminated(end) if end.exit_code == 0)
        };
        if !succeeded || stop.borrow().is_some() {
            return;
        }
    }
    let all = spec
        .containers
        .iter()
        .map(|container| container::run(&run, container, false, stop.clone()));
    futures::future::join_all(all).await;
}

async fn build_volumes(
    context: &NodeContext,
    pod: &Pod,
    builder: &VolumeBuilder<'_>,
    board: &StatusBoard,
    stop: &mut watch::Receiver<Option<Stop>>,
) -> Option<BTreeMap<String, PathBuf>> {
    /// An object that comes a moment later, such as the namespace's root certificate, is no news.
    const QUIET_ATTEMPTS: u32 = 5;
    let mut pause = FIRST_MOUNT_PAUSE;
    let mut attempts = 0;
    loop {
        let attempt = tokio::select! {
            attempt = builder.build() => attempt,
            () = stopped(stop) => return None,
        };
        let error = match attempt {
            Ok(volumes) => return Some(volumes),
            Err(error) => error,
        };
        if error.is_final() {
            let message = describe(&error);
            context
                .events
                .warning(pod, None, "Unsupported", message.clone());
            board.end(Some(ForcedEnd {
                reason: "Unsupported",
                message,
            }));
            return None;
        }
        attempts += 1;
        if attempts == QUIET_ATTEMPTS {
            context.events.warning(
                pod,
                None,
                "FailedMount",
                format!("MountVolume.SetUp failed: {}", describe(&error)),
            );
        }
        if stopped_within(stop, pause).await {
            return None;
        }
        pause = (pause * 2).min(LONGEST_MOUNT_PAUSE);
    }
}

/// Turns what the API server says, and the Pod's own deadline, into orders to stop. Ends with the first order
/// that no later one can change.
async fn supervise(
    pod: &Pod,
    started: Timestamp,
    desired: &mut watch::Receiver<Desired>,
    orders: &watch::Sender<Option<Stop>>,
) {
    let begun = tokio::time::Instant::now();
    let elapsed = Timestamp::now().duration_since(started).unsigned_abs();
    let mut current = pod.clone();
    let mut deadline_passed = false;
    loop {
        let deadline = active_deadline(&current).map(|limit| begun + limit.saturating_sub(elapsed));
        let wait_for_deadline = async {
            match deadline {
                Some(at) if !deadline_passed => tokio::time::sleep_until(at).await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = desired.changed() => {
                let now = if changed.is_ok() { desired.borrow_and_update().clone() } else { Desired::Shutdown };
                match now {
                    Desired::Present(newer) => {
                        if newer.metadata.deletion_timestamp.is_some() {
                            give(orders, Stop { grace: deletion_grace(&newer), forced_end: None, write_status: true });
                        }
                        current = (*newer).clone();
                    }
                    Desired::Gone => {
                        give(orders, Stop { grace: Duration::ZERO, forced_end: None, write_status: false });
                        return;
                    }
                    Desired::Shutdown => {
                        give(orders, Stop { grace: SHUTDOWN_GRACE, forced_end: None, write_status: false });
                        return;
                    }
                }
            }
            () = wait_for_deadline => {
                deadline_passed = true;
                let end = ForcedEnd {
                    reason: "DeadlineExceeded",
                    message: "Pod was active on the node longer than the specified deadline".to_owned(),
                };
                give(orders, Stop { grace: termination_grace(&current), forced_end: Some(end), write_status: true });
            }
        }
    }
}

// The first forced end stays the reason, whatever comes later.
fn give(orders: &watch::Sender<Option<Stop>>, order: Stop) {
    orders.send_modify(|current| {
        let forced_end = current
            .take()
            .and_then(|earlier| earlier.forced_end)
            .or(order.forced_end);
        *current = Some(Stop {
            forced_end,
            ..order
        });
    });
}

fn active_deadline(pod: &Pod) -> Option<Duration> {
    let seconds = pod.spec.as_ref()?.active_deadline_seconds?;
    Some(Duration::from_secs(
        u64::try_from(seconds).unwrap_or_default(),
    ))
}

fn deletion_grace(pod: &Pod) -> Duration {
    let seconds = pod
        .metadata
        .deletion_grace_period_seconds
        .unwrap_or_default();
    Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}

fn termination_grace(pod: &Pod) -> Duration {
    let seconds = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.termination_grace_period_seconds);
    seconds
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map_or(DEFAULT_GRACE, Duration::from_secs)
}

/// Waits until the Pod is to be removed; false when it has gone already or the node goes down.
async fn wait_for_removal(desired: &mut watch::Receiver<Desired>) -> bool {
    let is_final = |desired: &Desired| match desired {
        Desired::Present(pod) => pod.metadata.deletion_timestamp.is_some(),
        Desired::Gone | Desired::Shutdown => true,
    };
    match desired.wait_for(is_final).await {
        Ok(state) => matches!(&*state, Desired::Present(_)),
        Err(_closed) => false,
    }
}

/// Removes the Pod object, which only the node may do once its processes have ended.
async fn delete_for_good(
    api: &Api<Pod>,
    name: &str,
    uid: &str,
    desired: &mut watch::Receiver<Desired>,
) {
    let parameters = DeleteParams {
        grace_period_seconds: Some(0),
        preconditions: Some(Preconditions {
            uid: Some(uid.to_owned()),
            resource_version: None,
        }),
        ..DeleteParams::default()
    };
    let mut pause = FIRST_DELETE_PAUSE;
    loop {
        match api.delete(name, &parameters).await {
            Ok(_) => return,
            Err(kube::Error::Api(answer)) if answer.code == 404 || answer.code == 409 => return,
            Err(error) => tracing::warn!(pod = name, %error, "failed to remove a pod"),
        }
        let over = desired.wait_for(|state| matches!(state, Desired::Gone | Desired::Shutdown));
        if tokio::time::timeout(pause, over).await.is_ok() {
            return;
        }
        pause = (pause * 2).min(LONGEST_DELETE_PAUSE);
    }
}

fn remove_folder(folder: &Path) {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(folder = %folder.display(), %error, "failed to remove a pod folder");
        }
        _ => {}
    }
}
