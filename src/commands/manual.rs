//! `gonogo completions` and `gonogo man`: what shells and `man` want to know, written from the arguments themselves.

use std::path::Path;

use anyhow::Context;
use clap::Command;
use clap_complete::Shell;

use crate::{
    exit_code::ExitStatus,
    gate::Failure,
    output::{print_line, write_all},
};

/// Prints the completions of a shell.
pub fn completions(mut command: Command, shell: Shell) -> ExitStatus {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "gonogo", &mut script);
    write_all(&script);
    ExitStatus::Go
}

/// Prints the manual page of the program, or writes a page for it and each of its commands into a folder.
///
/// # Errors
/// When a page cannot be written.
pub fn manual(mut command: Command, out: Option<&Path>) -> Result<ExitStatus, Failure> {
    command.build();
    let Some(folder) = out else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command)
            .render(&mut page)
            .context("failed to make the manual page")?;
        write_all(&page);
        return Ok(ExitStatus::Go);
    };
    std::fs::create_dir_all(folder)
        .with_context(|| format!("failed to create {}", folder.display()))?;
    clap_mangen::generate_to(command, folder)
        .with_context(|| format!("failed to write manual pages to {}", folder.display()))?;
    print_line(&format!("manual pages are in {}", folder.display()));
    Ok(ExitStatus::Go)
}
