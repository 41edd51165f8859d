//! The gate's fast profile behind `cargo test`: one trial per `@p0` scenario. The first trial starts one parallel run
//! of the whole selection; each trial only waits for its own scenario, and the program for the end of the run: its
//! target must be down before this process goes.

use std::{
    collections::{BTreeSet, HashMap},
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, PoisonError},
};

use gonogo::{gate, progress::Reporter};
use libtest_mimic::{Arguments, Failed, Trial};
use reports::evidence::{ScenarioResult, ScenarioState};
use steps::{Options, runner, selection::Eligibility};

/// The fast profile (spec/gate.md §8).
const PROFILE: &str = "@p0";

/// Names another tag expression instead, for a quicker look.
const PROFILE_VARIABLE: &str = "GONOGO_GATE_TAGS";

fn profile() -> String {
    std::env::var(PROFILE_VARIABLE).unwrap_or_else(|_| PROFILE.to_owned())
}

/// Results as they come, by feature and line.
#[derive(Default)]
struct Results {
    found: Mutex<(HashMap<(String, u32), ScenarioResult>, Option<String>)>,
    changed: Condvar,
}

impl Results {
    fn add(&self, result: ScenarioResult) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found
            .0
            .insert((result.feature.clone(), result.key.line), result);
        self.changed.notify_all();
    }

    fn over(&self, how: String) {
        self.found.lock().unwrap_or_else(PoisonError::into_inner).1 = Some(how);
        self.changed.notify_all();
    }

    /// Waits until the run has ended with its target; how it ended.
    fn wait_for_end(&self) -> String {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        self.changed
            .wait_while(found, |found| found.1.is_none())
            .unwrap_or_else(PoisonError::into_inner)
            .1
            .clone()
            .unwrap_or_default()
    }

    fn wait_for(&self, key: &(String, u32)) -> Result<ScenarioResult, String> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let found = self
            .changed
            .wait_while(found, |found| {
                !found.0.contains_key(key) && found.1.is_none()
            })
            .unwrap_or_else(PoisonError::into_inner);
        found
            .0
            .get(key)
            .cloned()
            .ok_or_else(|| found.1.clone().unwrap_or_default())
    }
}

fn main() {
    let arguments = Arguments::from_args();
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    std::env::set_current_dir(&root).expect("the workspace exists");
    // What the embedded target has on every machine; scenarios that need more are not proven here.
    let capabilities = BTreeSet::from(["pods".to_owned()]);
    let options = Options {
        features: "features".into(),
        tags: Some(profile()),
        jobs: 1,
        repeat: 1,
        capabilities,
        only: None,
    };
    let listed = runner::plan(&options).expect("the feature files are valid");

    let results = Arc::new(Results::default());
    let started = Arc::new(std::sync::Once::new());
    let mut trials: Vec<Trial> = listed
        .into_iter()
        .map(|scenario| {
            let key = (
                scenario.feature.clone(),
                u32::try_from(scenario.line).unwrap_or(u32::MAX),
            );
            let results = results.clone();
            let started = started.clone();
            Trial::test(
                format!("{}:{} {}", scenario.id, scenario.line, scenario.name),
                move || {
                    started.call_once(|| play(results.clone()));
                    let result = results.wait_for(&key).map_err(Failed::from)?;
                    match result.state {
                        ScenarioState::Passed => Ok(()),
                        _ => Err(Failed::from(
                            result
                                .reason
                                .unwrap_or_else(|| result.state.title().to_owned()),
                        )),
                    }
                },
            )
            .with_kind("gate")
            // Counted as not proven in the report; here it must not look like a success.
            .with_ignored_flag(scenario.verdict != Eligibility::Runs)
        })
        .collect();
    trials.push({
        let (results, started) = (results.clone(), started.clone());
        Trial::test("the target goes, and nothing of it is left", move || {
            started.call_once(|| play(results.clone()));
            nothing_is_left(&results.wait_for_end()).map_err(Failed::from)
        })
        .with_kind("gate")
    });
    // Every trial waits for one shared run: as many threads as trials, so that results are shown as they come.
    let mut arguments = arguments;
    arguments.test_threads = Some(trials.len().max(1));
    let conclusion = libtest_mimic::run(&arguments, trials);
    if started.is_completed() {
        // To leave earlier would leave the target.
        results.wait_for_end();
    }
    conclusion.exit();
}

/// No state folder of this process may remain, which stands for processes and folders of its run.
fn nothing_is_left(how_it_ended: &str) -> Result<(), String> {
    let cache = bootstrap::CacheFolder::from_environment().map_err(|error| error.to_string())?;
    let left = bootstrap::runs::list(&cache).into_iter().any(|run| {
        run.state
            .is_some_and(|state| state.owner_pid == std::process::id())
    });
    if left {
        return Err(format!("a run of this process is left; {how_it_ended}"));
    }
    Ok(())
}

/// As large as a main thread's: the future of a run is unoptimised and big.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// Starts the one run on a thread of its own: the future of a run stays on its thread.
fn play(results: Arc<Results>) {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
    let started = thread.spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .expect("a runtime starts");
        let request = gate::Request {
            tags: Some(profile()),
            jobs: 4,
            out: Some(
                PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
                    .join("gate")
                    .join(bootstrap::runs::new_run_id()),
            ),
            ..gate::Request::default()
        };
        let keep = results.clone();
        let outcome = runtime.block_on(gate::run(
            &request,
            &Reporter::new(true),
            move |result| keep.add(result.clone()),
            |_, _| Ok(()),
        ));
        results.over(match outcome {
            Ok(verdict) => format!("the scenario was not played: {}", verdict.headline),
            Err(failure) => failure.sentence(),
        });
    });
    started.expect("a thread starts");
}
