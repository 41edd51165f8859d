//! Targets by their names, as `up`, `status` and `down` speak of them.

use bootstrap::{lane::ProcessKind, runs::Access};
use serde_json::{Value, json};

use crate::{
    cli::Output,
    gate::{Failure, Running, failure},
    output::print_line,
};

/// A name that cannot be used is wrong usage; whatever else happened on the way to it is not.
pub fn failure_of_name(error: bootstrap::Error) -> Failure {
    match error {
        bootstrap::Error::Name(_) => match failure(error) {
            Failure::Gate { message, hint } => {
                Failure::Usage(hint.map_or(message.clone(), |hint| format!("{message}\n  {hint}")))
            }
            other => other,
        },
        other => failure(other),
    }
}

/// A target as data.
#[must_use]
pub fn describe(name: &str, run_id: &str, access: Option<&Access>) -> Value {
    json!({
        "name": name,
        "run_id": run_id,
        "state": if access.is_some() { "up" } else { "coming up" },
        "access": access,
    })
}

/// Writes down what a person needs of a target that is up, so that other commands can say it too.
///
/// # Errors
/// When it cannot be written down.
pub fn open_to_people(running: &Running) -> Result<Access, Failure> {
    let platform = running.gate.platforms.common();
    let lane = platform.lane();
    let console = lane
        .of_kind(ProcessKind::WebConsole)
        .next()
        .map(|process| process.health_url.clone());
    running
        .target
        .open_to_people(&lane.secrets.staff_owner_token, |owner_token| Access {
            platform: lane.public_url.clone(),
            console,
            github: running.stand_in.api_base_url(),
            owner_login: running.gate.github.owner_login(),
            owner_token,
            kubeconfig: running.target.kubeconfig_admin.clone(),
        })
        .map_err(failure)
}

/// Tells of one target.
pub fn print(name: &str, run_id: &str, access: Option<&Access>, output: Output) {
    if output == Output::Json {
        print_line(&describe(name, run_id, access).to_string());
        return;
    }
    for line in lines(name, run_id, access) {
        print_line(&line);
    }
}

/// What a person reads of one target.
#[must_use]
pub fn lines(name: &str, run_id: &str, access: Option<&Access>) -> Vec<String> {
    let Some(access) = access else {
        return vec![format!("{name} (run {run_id}) is coming up")];
    };
    let mut facts = vec![("staff API and webhooks", access.platform.clone())];
    facts.extend(access.console.clone().map(|url| ("console", url)));
    facts.extend([
        ("GitHub's stand-in", access.github.clone()),
        ("kubeconfig", access.kubeconfig.display().to_string()),
        (
            "log in",
            format!(
                "as {} with the token in {}",
                access.owner_login,
                access.owner_token.display()
            ),
        ),
    ]);
    let first = format!("{name} (run {run_id}) is up");
    let facts = facts
        .into_iter()
        .map(|(what, text)| format!("  {what:<23} {text}"));
    std::iter::once(first).chain(facts).collect()
}
