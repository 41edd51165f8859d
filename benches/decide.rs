//! How long one decision takes on a thread with a hundred runs behind it, everything it asks for already loaded.
//!
//! `cargo bench --profile release --bench decide`; `GONOGO_BENCH_SAMPLES` sets the samples per kind of event
//! (20000).

#[path = "shared/samples.rs"]
mod samples;
#[path = "decide/thread.rs"]
mod thread;

use std::hint::black_box;
use std::process::ExitCode;
use std::time::Instant;

use domain::decide::{Outcome, decide};
use domain::policy::Policy;
use samples::Samples;
use thread::{RUNS, cases};

/// Samples per kind of event.
const SAMPLES: usize = 20_000;
/// Decisions before anything is measured.
const WARM_UP: usize = 1_000;
/// Decisions in a row of which the fastest is the sample: what counts is the decision, not who else wanted the core.
const TURN: usize = 3;
/// Wanted: p99 of a decision, in microseconds.
const P99: f64 = 50.0;

fn main() -> ExitCode {
    let samples = match std::env::var("GONOGO_BENCH_SAMPLES").map(|text| text.parse()) {
        Ok(Ok(samples)) => samples,
        Ok(Err(_)) => {
            eprintln!("decide: failed to read GONOGO_BENCH_SAMPLES: it is no number");
            return ExitCode::FAILURE;
        }
        Err(_) => SAMPLES,
    };
    let profile = if cfg!(debug_assertions) {
        "dev"
    } else {
        "release"
    };
    println!("{RUNS} runs, {samples} samples of each kind, {profile} profile");
    let policy = Policy::default();
    let mut met = true;
    for case in cases(&policy) {
        let once = || decide(&case.snapshot, &case.event, &policy, case.event.received_at);
        let outcome = match once().expect("every fact is loaded").outcome {
            Outcome::Accepted(run) => format!("accepted, {}", run.trigger.kind),
            Outcome::Ignored(ignored) => ignored.reason.to_string(),
            Outcome::Received => "received".to_owned(),
        };
        for _ in 0..WARM_UP {
            let _ = black_box(once());
        }
        let time = || {
            let start = Instant::now();
            let decision = black_box(once());
            let took = start.elapsed().as_secs_f64() * 1e6;
            drop(decision);
            took
        };
        let turns: Vec<[f64; TURN]> = (0..samples).map(|_| [(); TURN].map(|()| time())).collect();
        let clock = Samples::of(turns.iter().flatten().copied().collect());
        let best = |turn: &[f64; TURN]| turn.iter().copied().fold(f64::INFINITY, f64::min);
        let took = Samples::of(turns.iter().map(best).collect());
        let p99 = took.percentile(99);
        met &= p99 <= P99;
        println!(
            "  {:<36} p50 {:>5.1} us  p99 {p99:>5.1} us  by the clock p99 {:>7.1} us   {outcome}",
            case.name,
            took.median(),
            clock.percentile(99),
        );
    }
    println!(
        "  p99 of each wanted <= {P99:.0} us: {}",
        if met { "met" } else { "not met" }
    );
    if met {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
