//! The orchestrator with its effect taken away, three ways (E-40). The gate plays the features against each: a scenario
//! that stays green looks at nothing that matters.
//!
//! It takes the product's subcommands and environment. `GONOGO_NULL` says which of the three it is, and
//! `GONOGO_NULL_SWITCHES` names the folder of [`switches::Switches`].

mod answers;
mod conduct;
mod switches;

use std::sync::Arc;

use anyhow::{Context, bail};
use orchestrator::command_line;

use crate::conduct::{Undecided, Written};
use crate::switches::Switches;

/// Which null: `a` answers and does nothing, `b` decides nothing, `c` does nothing of what it writes.
const NULL: &str = "GONOGO_NULL";
/// Folder of the switches.
const SWITCHES: &str = "GONOGO_NULL_SWITCHES";

fn main() -> anyhow::Result<()> {
    // The commands that a target needs to come up know nothing of nulls: they get no such variable.
    let null = std::env::var(NULL).unwrap_or_default();
    let switches = || {
        let folder =
            std::env::var_os(SWITCHES).with_context(|| format!("{SWITCHES} is not set"))?;
        anyhow::Ok(Switches::new(folder.into()))
    };
    match null.as_str() {
        "a" => answers::main(),
        "b" => command_line::main(Arc::new(Undecided(switches()?))),
        "c" => command_line::main(Arc::new(Written(switches()?))),
        "" => command_line::main(Arc::new(orchestrator::conduct::Product)),
        other => bail!("{NULL} is {other}, which is none of a, b and c"),
    }
}
