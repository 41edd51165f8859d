//! Progress on standard error: a live line on a terminal, plain lines elsewhere. Standard output carries data only.

use std::{
    io::IsTerminal,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use console::style;
use indicatif::{ProgressBar, ProgressStyle};
use reports::evidence::{ScenarioResult, ScenarioState};
use tracing_subscriber::EnvFilter;

/// How often the live line is drawn anew.
const TICK: Duration = Duration::from_millis(120);

/// The gate's own logs go to standard error and are off unless `RUST_LOG` asks for them.
pub fn init_logs() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off"));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
    debug_assert!(logs.is_ok(), "logs are set up once");
}

/// What the gate tells a person while it works. Cheap to clone.
#[derive(Clone)]
pub struct Reporter {
    bar: ProgressBar,
    total: Arc<AtomicUsize>,
    done: Arc<AtomicUsize>,
    failed: Arc<AtomicUsize>,
    quiet: bool,
}

impl Reporter {
    #[must_use]
    pub fn new(quiet: bool) -> Self {
        let live = !quiet && std::io::stderr().is_terminal() && std::env::var_os("CI").is_none();
        let bar = if live {
            ProgressBar::new_spinner()
        } else {
            ProgressBar::hidden()
        };
        bar.set_style(
            ProgressStyle::with_template("{spinner} {msg} {elapsed}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner()),
        );
        if live {
            bar.enable_steady_tick(TICK);
        }
        Self {
            bar,
            total: Arc::default(),
            done: Arc::default(),
            failed: Arc::default(),
            quiet,
        }
    }

    /// A finished piece of work, kept on the screen.
    pub fn line(&self, text: &str) {
        if self.quiet {
            return;
        }
        if self.bar.is_hidden() {
            crate::output::tell_line(text);
        } else {
            self.bar.println(text);
        }
    }

    /// What is going on now; shown only on a terminal.
    pub fn now(&self, text: &str) {
        self.bar.set_message(text.to_owned());
    }

    pub fn expect_scenarios(&self, total: usize) {
        self.total.store(total, Ordering::Relaxed);
        self.done.store(0, Ordering::Relaxed);
    }

    /// A scenario has ended.
    pub fn scenario(&self, result: &ScenarioResult) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        let total = self.total.load(Ordering::Relaxed);
        let seconds = std::time::Duration::from_millis(result.duration_ms()).as_secs_f64();
        let mark = match result.state {
            ScenarioState::Passed => style("✓").green(),
            ScenarioState::Waiting | ScenarioState::NotProvableHere => style("·").yellow(),
            _ => style("✗").red(),
        };
        let mark = mark.for_stderr();
        self.line(&format!(
            "{mark} {:>3}/{total} {} {} ({seconds:.1} s)",
            done, result.key.scenario, result.name
        ));
        if result.state.is_trouble() {
            let failed = self.failed.fetch_add(1, Ordering::Relaxed) + 1;
            self.line(&format!(
                "    {}",
                result.reason.as_deref().unwrap_or("no reason given")
            ));
            self.now(&format!("{done} of {total} scenarios, {failed} not passed"));
        } else {
            self.now(&format!("{done} of {total} scenarios"));
        }
    }

    /// A scenario has ended against a null orchestrator, where failing is what is hoped for.
    pub fn played(&self, result: &ScenarioResult) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        let total = self.total.load(Ordering::Relaxed);
        let seconds = std::time::Duration::from_millis(result.duration_ms()).as_secs_f64();
        let state = result.state.title();
        self.line(&format!(
            "  {done:>3}/{total} {} {}: {state} ({seconds:.1} s)",
            result.key.scenario, result.name
        ));
        self.now(&format!("{done} of {total} scenarios"));
    }

    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
