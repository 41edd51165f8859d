//! Targets by their names, as `up`, `status` and `down` speak of them.

use bootstrap::runs::Access;
use serde_json::{Value, json};

use crate::{
    cli::Output,
    gate::{Failure, failure},
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

/// Tells of one target.
pub fn print(name: &str, run_id: &str, access: Option<&Access>, output: Output) {
    if output == Output::Json {
        print_line(&describe(name, run_id, access).to_string());
        return;
    }
    let Some(access) = access else {
        print_line(&format!("{name} (run {run_id}) is coming up"));
        return;
    };
    print_line(&format!("{name} (run {run_id}) is up"));
    let mut lines = vec![("staff API and webhooks", access.platform.clone())];
    lines.extend(access.console.clone().map(|url| ("console", url)));
    lines.extend([
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
    for (what, text) in lines {
        print_line(&format!("  {what:<23} {text}"));
    }
}
