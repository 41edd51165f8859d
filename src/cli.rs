//! Arguments and dispatch.

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::{
    commands,
    exit_code::{EXIT_CODES, ExitStatus},
    gate::Agent,
    output::{print_line, tell_line},
};

/// A regression gate for a label-driven agent orchestrator: GO or NO-GO, with evidence.
#[derive(Debug, Parser)]
#[command(
    name = "gonogo",
    version,
    about,
    after_help = "Examples:\n  gonogo run                        judge this checkout on the embedded target\n  gonogo run --tags '@SL-07'        one scenario\n  gonogo plan                       what would run, and what cannot be proven here\n  gonogo doctor                     what this machine lacks\n\nExit codes: gonogo help exit-codes"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Output {
    #[default]
    Text,
    Json,
}

/// Which scenarios.
#[derive(Clone, Debug, Args)]
pub struct Selection {
    /// Folder of feature files, or one file.
    #[arg(long, default_value = "features", value_name = "PATH")]
    pub features: PathBuf,
    /// Tag expression, such as '@p0 and not @set-d'.
    #[arg(long, value_name = "EXPR")]
    pub tags: Option<String>,
}

/// What a run may be told.
#[derive(Clone, Debug, Args)]
pub struct RunArguments {
    #[command(flatten)]
    pub selection: Selection,
    /// Where the features run.
    #[arg(long, default_value = "embedded", value_parser = ["embedded"])]
    pub target: String,
    /// Scenarios played side by side.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,
    /// Play every scenario so often; one failure among them is FLAKY and blocks GO.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub repeat: u32,
    /// What works on the Issues.
    #[arg(long, value_enum, default_value_t)]
    pub agent: Agent,
    /// Bundle of an earlier run: what it had in scope must be in scope, and findings say since when they are there.
    #[arg(long, value_name = "BUNDLE")]
    pub baseline: Option<PathBuf>,
    /// Folder of a null check or a crash sweep of this revision: its result is kept in the bundle, shown in the report
    /// and part of the verdict. May be given twice.
    #[arg(long, value_name = "DIR")]
    pub proof: Vec<PathBuf>,
    /// Keep the target under this name, until Ctrl-C or `gonogo down`, to look at what happened. Leases are not ended
    /// and nothing proves that nothing is left, so that the verdict is never GO.
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true, default_missing_value = bootstrap::runs::DEFAULT_NAME)]
    pub keep: Option<String>,
    /// Folder of the bundle [default: target/gate/<id>].
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Criteria of the verdict [default: the walking gate's].
    #[arg(long, value_name = "FILE")]
    pub criteria: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// What a target to play with may be told.
#[derive(Clone, Debug, Args)]
pub struct UpArguments {
    /// Name of the target; several may be up side by side.
    #[arg(long, default_value = bootstrap::runs::DEFAULT_NAME)]
    pub name: String,
    /// Return once it is up; `gonogo down` takes it down.
    #[arg(long, short)]
    pub detach: bool,
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// What a self-check may be told.
#[derive(Clone, Debug, Args)]
pub struct SelfcheckArguments {
    /// Play the features against orchestrators that do nothing, and list the scenarios that stay green.
    #[arg(long)]
    pub null: bool,
    #[command(flatten)]
    pub selection: Selection,
    /// Scenarios played side by side against (b) and (c); most of the time they wait.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,
    /// Bundle of a healthy run of this revision and selection [default: play one].
    #[arg(long, value_name = "BUNDLE")]
    pub reference: Option<PathBuf>,
    /// Play each scenario against one orchestrator only, drawn by this seed among those that can judge it: a third of
    /// the time, for checks that are repeated with every revision.
    #[arg(long, value_name = "SEED")]
    pub draw: Option<u64>,
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// What a delivery sweep may be told.
#[derive(Clone, Debug, Args)]
pub struct DeliverySweepArguments {
    /// Folder of feature files, or one file.
    #[arg(long, default_value = "features", value_name = "PATH")]
    pub features: PathBuf,
    /// Tag expression of the scenarios that are played again.
    #[arg(long, value_name = "EXPR", default_value = "@set-a or @set-b")]
    pub tags: String,
    /// Chooses among the plays that there are; the same seed chooses the same.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// At most so many plays with a transform.
    #[arg(long, default_value_t = 64, value_name = "N")]
    pub plays: usize,
    /// Every play that there is.
    #[arg(long, conflicts_with = "plays")]
    pub all: bool,
    /// Plays side by side.
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub jobs: u16,
    /// Bundle of a healthy run of this revision and selection [default: play one].
    #[arg(long, value_name = "BUNDLE")]
    pub reference: Option<PathBuf>,
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

#[derive(Debug, Args)]
pub struct CrashSweepArguments {
    /// Folder of feature files, or one file.
    #[arg(long, default_value = "features", value_name = "PATH")]
    pub features: PathBuf,
    /// Tag expression of the scenarios in which processes die.
    #[arg(long, value_name = "EXPR", default_value = "@crash-story")]
    pub tags: String,
    /// Chooses among the kills that there are; the same seed chooses the same.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// At most so many kills.
    #[arg(long, default_value_t = 32, value_name = "N")]
    pub kills: usize,
    /// Every kill that there is.
    #[arg(long, conflicts_with = "kills")]
    pub all: bool,
    /// Kill only at transitions whose name contains this.
    #[arg(long, value_name = "TEXT")]
    pub point: Option<String>,
    /// Plays side by side; each has a platform of its own.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..=16))]
    pub jobs: u16,
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring the target up, play the features, judge, write the bundle.
    #[command(
        after_help = "Examples:\n  gonogo run\n  gonogo run --tags '@webhook or @p0' --jobs 4\n  gonogo run --features features/b_review_revise --out /var/tmp/bundle\n  gonogo run --tags '@SL-07' --keep\n  gonogo run --baseline target/gate/latest\n  gonogo run --proof target/crash-sweep/20261123-021753-2cca0a62\n  gonogo run --output json"
    )]
    Run(RunArguments),
    /// List what would run, what waits and what this target cannot prove.
    #[command(after_help = "Examples:\n  gonogo plan\n  gonogo plan --tags @S2-1 --output json")]
    Plan {
        #[command(flatten)]
        selection: Selection,
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Bring a target up to play with, until Ctrl-C or `gonogo down`.
    #[command(
        after_help = "Examples:\n  gonogo up\n  gonogo up --detach --name second\n  gonogo up --detach --output json | jq -r .access.platform"
    )]
    Up(UpArguments),
    /// Say which targets are up, what can be opened and how to log in.
    #[command(after_help = "Examples:\n  gonogo status\n  gonogo status second --output json")]
    Status {
        /// One target [default: all].
        name: Option<String>,
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Take a target down that `gonogo up` keeps.
    #[command(after_help = "Examples:\n  gonogo down\n  gonogo down second")]
    Down {
        /// Name of the target.
        #[arg(default_value = bootstrap::runs::DEFAULT_NAME)]
        name: String,
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Say what this machine lacks and how to get it.
    #[command(after_help = "Example:\n  gonogo doctor --output json")]
    Doctor {
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// End processes and remove folders of runs that were killed.
    #[command(after_help = "Example:\n  gonogo cleanup")]
    Cleanup {
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Recompute a bundle offline and check every digest.
    #[command(after_help = "Example:\n  gonogo verify target/gate/latest")]
    Verify {
        /// Folder of the bundle.
        bundle: PathBuf,
        #[arg(long, value_enum, default_value_t)]
        output: Output,
    },
    /// Let the gate prove itself: a scenario that stays green against an orchestrator that does nothing is vacuous.
    #[command(
        after_help = "Examples:\n  gonogo selfcheck --null\n  gonogo selfcheck --null --tags '@set-a' --reference target/gate/latest\n  gonogo selfcheck --null --features features/b_review_revise --output json\n\nExit codes: 0 nothing is vacuous, 1 findings, 2 wrong usage, 4 the check could not do its work"
    )]
    Selfcheck(SelfcheckArguments),
    /// Play scenarios again while GitHub loses, repeats, reorders or delays one of their webhooks, and compare how they end.
    #[command(
        after_help = "Examples:\n  gonogo delivery-sweep --seed 7\n  gonogo delivery-sweep --tags @RV-06 --all\n  gonogo delivery-sweep --reference target/gate/latest --plays 24 --output json\n\nExit codes: 0 every end state is the same or refused with a reason on record, 1 one differs, 2 wrong usage, 3 something could not be swept, 4 the sweep could not do its work"
    )]
    DeliverySweep(DeliverySweepArguments),
    /// Kill the orchestrator at its persisted transitions, and see whether another process goes on.
    #[command(
        after_help = "Examples:\n  gonogo crash-sweep\n  gonogo crash-sweep --all --output json\n  gonogo crash-sweep --tags @SL-07 --point run.finish --all"
    )]
    CrashSweep(CrashSweepArguments),
    /// Start one stand-in alone, to try things by hand.
    StandIn {
        #[command(subcommand)]
        which: StandIn,
    },
    /// Print what a shell needs to complete this program's arguments.
    #[command(
        after_help = "Examples:\n  gonogo completions bash > ~/.local/share/bash-completion/completions/gonogo\n  gonogo completions fish > ~/.config/fish/completions/gonogo.fish"
    )]
    Completions { shell: clap_complete::Shell },
    /// Print the manual page, or write one for each command.
    #[command(
        after_help = "Examples:\n  gonogo man | man -l -\n  gonogo man --out ~/.local/share/man/man1"
    )]
    Man {
        /// Folder for a page of each command.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Print the exit codes.
    #[command(alias = "help-exit-codes", help_template = "{about}\n\n{after-help}", after_help = EXIT_CODES)]
    ExitCodes,
}

#[derive(Debug, Subcommand)]
enum StandIn {
    /// GitHub: REST, git over HTTP, webhooks.
    #[command(after_help = "Example:\n  gonogo stand-in github --listen 127.0.0.1:8000")]
    Github {
        #[arg(long, default_value = "127.0.0.1:8000")]
        listen: std::net::SocketAddr,
    },
}

/// Parses, runs, and turns the outcome into an exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    crate::progress::init_logs();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tell_line(&format!("gonogo: failed to start: {error}"));
            return ExitCode::from(ExitStatus::GateFailed.code());
        }
    };
    let outcome = runtime.block_on(dispatch(cli.command));
    let status = match outcome {
        Ok(status) => status,
        Err(failure) => {
            tell_line(&failure.sentence());
            failure.status()
        }
    };
    // A thread that waits for another gonogo's build would hold the program back.
    runtime.shutdown_background();
    ExitCode::from(status.code())
}

async fn dispatch(command: Command) -> Result<ExitStatus, crate::gate::Failure> {
    match command {
        Command::Run(arguments) => commands::run::run(arguments).await,
        Command::Plan { selection, output } => commands::plan::plan(&selection, output),
        Command::Up(arguments) => commands::up::up(arguments).await,
        Command::Status { name, output } => commands::status::status(name.as_deref(), output),
        Command::Down { name, output } => commands::down::down(&name, output).await,
        Command::Doctor { output } => commands::doctor::doctor(output).await,
        Command::Cleanup { output } => commands::cleanup::cleanup(output).await,
        Command::Verify { bundle, output } => commands::verify::verify(&bundle, output),
        Command::Selfcheck(arguments) => commands::selfcheck::selfcheck(arguments).await,
        Command::DeliverySweep(arguments) => {
            commands::delivery_sweep::delivery_sweep(arguments).await
        }
        Command::CrashSweep(arguments) => commands::crash_sweep::crash_sweep(arguments).await,
        Command::StandIn {
            which: StandIn::Github { listen },
        } => commands::stand_in::github(listen).await,
        Command::Completions { shell } => Ok(commands::manual::completions(Cli::command(), shell)),
        Command::Man { out } => commands::manual::manual(Cli::command(), out.as_deref()),
        Command::ExitCodes => {
            print_line(EXIT_CODES);
            Ok(ExitStatus::Go)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    /// A person who asks a command for help reads how to use it, not only what it takes.
    #[test]
    fn every_command_shows_an_example() {
        fn without_example(command: &clap::Command, path: &str, found: &mut Vec<String>) {
            let path = format!("{path} {}", command.get_name());
            let mut leaves = command
                .get_subcommands()
                .filter(|inner| inner.get_name() != "help")
                .peekable();
            if leaves.peek().is_none() {
                let after = command
                    .get_after_help()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                if !after.contains("  gonogo ") {
                    found.push(path);
                }
                return;
            }
            for inner in leaves {
                without_example(inner, &path, found);
            }
        }
        let mut found = Vec::new();
        without_example(&Cli::command(), "", &mut found);
        // The table of exit codes is its own help.
        assert_eq!(found, [" gonogo exit-codes"]);
    }
}
