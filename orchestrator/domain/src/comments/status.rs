//! The status comment of a run (L-102 to L-104).

use chrono::{DateTime, Utc};

use super::StatusMarker;
use super::status_words::{StatusWords, finished_headline, headline, variant_title, words};
use crate::effects::CommentPhase;
use crate::ids::{NamespaceName, RunId};
use crate::namespaces::rfc3339;
use crate::next_steps::NextStep;
use crate::policy::Locale;
use crate::runs::RunStatus;
use crate::stages::{AccessProfile, RuntimeMode, TargetEnv};

/// Groups of status reports that are shown (G-40).
pub const REPORT_GROUPS: usize = 3;

/// Longest error text in the comment, in characters; the whole text stands in the event.
pub const ERROR_CHARACTERS: usize = 2_000;

/// Everything the comment shows, read at the moment of writing.
#[derive(Debug, Clone, PartialEq)]
pub struct StatusComment {
    /// First run of a resume chain.
    pub run_id: RunId,
    /// Phase (already advanced, L-103).
    pub phase: CommentPhase,
    /// Status.
    pub status: RunStatus,
    /// Trigger kind, or `discussion`.
    pub kind: String,
    /// Mode.
    pub runtime_mode: RuntimeMode,
    /// Environment.
    pub target_env: Option<TargetEnv>,
    /// What is checked out.
    pub build_ref: Option<String>,
    /// Access profile.
    pub access_profile: AccessProfile,
    /// Namespace and name of the Job or Pod.
    pub job: Option<(String, String)>,
    /// Namespace.
    pub namespace: Option<NamespaceName>,
    /// Address of the stack.
    pub slot_url: Option<String>,
    /// Issue.
    pub issue_number: Option<i64>,
    /// Pull request.
    pub pr_number: Option<i64>,
    /// Its page.
    pub pr_url: Option<String>,
    /// Model, once resolved.
    pub model: Option<String>,
    /// Reasoning effort, once resolved.
    pub reasoning_effort: Option<String>,
    /// End reason of a failed or cancelled run.
    pub finish_reason: Option<String>,
    /// Redacted error text.
    pub error: Option<String>,
    /// Label that would help, e.g. the work label when a revise found no pull request (L-46 row 4).
    pub suggested_label: Option<String>,
    /// What the agent reported, oldest first.
    pub reports: Vec<StatusReport>,
    /// When each phase was reached, oldest first.
    pub timeline: Vec<(DateTime<Utc>, CommentPhase)>,
    /// What becomes of the namespace.
    pub namespace_action: Option<NamespaceAction>,
    /// Offered steps (L-91).
    pub next_steps: Vec<NextStep>,
    /// Login page and code; shown in phase 4 only.
    pub login: Option<(String, String)>,
}

/// One `run_status_report`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusReport {
    /// When.
    pub at: DateTime<Utc>,
    /// Redacted text.
    pub text: String,
}

/// What becomes of the namespace of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamespaceAction {
    /// Stays until its lease ends.
    KeptUntil(DateTime<Utc>),
    /// Stays because of `run:debug`.
    KeptForDebug,
    /// Deleted.
    Deleted,
}

/// Consecutive equal reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportGroup {
    /// Text.
    pub text: String,
    /// How often.
    pub count: usize,
    /// The last time.
    pub at: DateTime<Utc>,
}

/// The last groups of consecutive equal reports, newest first (G-40).
pub fn group_reports(reports: &[StatusReport]) -> Vec<ReportGroup> {
    let mut groups: Vec<ReportGroup> = Vec::new();
    for report in reports {
        match groups.last_mut() {
            Some(group) if group.text == report.text => {
                group.count += 1;
                group.at = report.at;
            }
            _ => groups.push(ReportGroup {
                text: report.text.clone(),
                count: 1,
                at: report.at,
            }),
        }
    }
    groups.into_iter().rev().take(REPORT_GROUPS).collect()
}

/// Renders the comment (L-104).
pub fn status_comment(
    comment: &StatusComment,
    public_base_url: Option<&str>,
    locale: Locale,
) -> String {
    let words = words(locale);
    let mut lines = vec![title(comment, public_base_url, locale), String::new()];
    lines.extend(facts(comment, &words));
    lines.extend(problem(comment, &words));
    lines.extend(login(comment, &words));
    lines.extend(reports(comment, &words));
    lines.extend(timeline(comment, locale, &words));
    lines.extend(namespace_action(comment, &words));
    lines.extend(next_steps(comment, locale, &words));
    lines.push(String::new());
    lines.push(
        StatusMarker {
            run_id: comment.run_id,
            phase: comment.phase,
            status: comment.status,
        }
        .line(),
    );
    lines.join("\n")
}

fn title(comment: &StatusComment, public_base_url: Option<&str>, locale: Locale) -> String {
    let ended = comment.phase >= CommentPhase::Finished;
    let text = if ended {
        finished_headline(comment.status, locale)
    } else {
        headline(comment.phase, locale)
    };
    match public_base_url {
        Some(base) => format!(
            "### [{text}]({}/runs/{})",
            base.trim_end_matches('/'),
            comment.run_id
        ),
        None => format!("### {text}"),
    }
}

fn facts(comment: &StatusComment, words: &StatusWords) -> Vec<String> {
    let code = |text: &str| format!("`{text}`");
    let access = match comment.access_profile {
        AccessProfile::Candidate => words.access_candidate,
        AccessProfile::ProductionReadonly => words.access_readonly,
        AccessProfile::ProductionRepair => words.access_repair,
        AccessProfile::None => words.access_none,
    };
    let pull_request = comment.pr_number.map(|number| match &comment.pr_url {
        Some(url) => format!("[#{number}]({url})"),
        None => format!("#{number}"),
    });
    let rows: Vec<(&str, Option<String>)> = vec![
        (words.run, Some(code(&comment.run_id.to_string()))),
        (words.status, Some(code(comment.status.as_str()))),
        (words.kind, Some(code(&comment.kind))),
        (words.mode, Some(code(comment.runtime_mode.as_str()))),
        (
            words.target_env,
            comment.target_env.map(|env| code(env.as_str())),
        ),
        (words.build_ref, comment.build_ref.as_deref().map(code)),
        (
            words.access,
            Some(format!("`{}`: {access}", comment.access_profile)),
        ),
        (
            words.job,
            comment
                .job
                .as_ref()
                .map(|(namespace, name)| code(&format!("{namespace}/{name}"))),
        ),
        (
            words.namespace,
            comment.namespace.as_ref().map(|name| code(name.as_str())),
        ),
        (words.slot_url, comment.slot_url.clone()),
        (
            words.issue,
            comment.issue_number.map(|number| format!("#{number}")),
        ),
        (words.pull_request, pull_request),
        (words.model, comment.model.as_deref().map(code)),
        (
            words.reasoning,
            comment.reasoning_effort.as_deref().map(code),
        ),
    ];
    rows.into_iter()
        .filter_map(|(name, value)| value.map(|value| format!("- {name}: {value}")))
        .collect()
}

fn problem(comment: &StatusComment, words: &StatusWords) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(reason) = &comment.finish_reason {
        lines.push(format!("- {}: `{reason}`", words.reason));
    }
    if let Some(error) = comment.error.as_deref().filter(|error| !error.is_empty()) {
        let shown: String = error.chars().take(ERROR_CHARACTERS).collect();
        // A fence longer than any in the text, so that the text cannot leave it.
        let fence = "`".repeat(longest_backtick_run(&shown).max(2) + 1);
        lines.extend([
            String::new(),
            format!("**{}:**", words.error),
            fence.clone(),
            shown,
            fence,
        ]);
    }
    if let Some(label) = &comment.suggested_label {
        lines.extend([String::new(), format!("{} `{label}`.", words.advice)]);
    }
    lines
}

fn longest_backtick_run(text: &str) -> usize {
    text.split(|character| character != '`')
        .map(str::len)
        .max()
        .unwrap_or_default()
}

fn login(comment: &StatusComment, words: &StatusWords) -> Vec<String> {
    match &comment.login {
        Some((url, code)) if comment.phase == CommentPhase::AuthRequired => {
            vec![
                String::new(),
                format!("**{}:** {url} – `{code}`", words.login),
            ]
        }
        _ => Vec::new(),
    }
}

fn reports(comment: &StatusComment, words: &StatusWords) -> Vec<String> {
    let groups = group_reports(&comment.reports);
    if groups.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![String::new(), format!("**{}:**", words.reports)];
    lines.extend(groups.into_iter().map(|group| {
        let times = if group.count > 1 {
            format!(" x{}", group.count)
        } else {
            String::new()
        };
        format!("- {} – {}{times}", rfc3339(group.at), one_line(&group.text))
    }));
    lines
}

/// Text of an agent inside a list: one line, and no HTML comment that could pass for a marker.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r'], " ").replace("<!--", "&lt;!--")
}

fn timeline(comment: &StatusComment, locale: Locale, words: &StatusWords) -> Vec<String> {
    if comment.timeline.is_empty() {
        return Vec::new();
    }
    let mut lines = vec![String::new(), format!("**{}:**", words.timeline)];
    lines.extend(comment.timeline.iter().map(|(at, phase)| {
        let text = if *phase == CommentPhase::Finished {
            finished_headline(comment.status, locale)
        } else {
            headline(*phase, locale)
        };
        format!("- {} – {text}", rfc3339(*at))
    }));
    lines
}

fn namespace_action(comment: &StatusComment, words: &StatusWords) -> Vec<String> {
    let text = match comment.namespace_action {
        None => return Vec::new(),
        Some(NamespaceAction::KeptUntil(at)) => format!("{} {}", words.kept_until, rfc3339(at)),
        Some(NamespaceAction::KeptForDebug) => words.kept_for_debug.to_owned(),
        Some(NamespaceAction::Deleted) => words.deleted.to_owned(),
    };
    vec![String::new(), format!("**{}:** {text}", words.namespace)]
}

fn next_steps(comment: &StatusComment, locale: Locale, words: &StatusWords) -> Vec<String> {
    if comment.next_steps.is_empty() || comment.phase < CommentPhase::Finished {
        return Vec::new();
    }
    let mut lines = vec![String::new(), format!("**{}:**", words.next_steps)];
    lines.extend(comment.next_steps.iter().map(|step| {
        let title = variant_title(step.display_variant, locale);
        match &step.url {
            Some(url) => format!("- [{title}]({url}) – `{}`", step.target_label),
            None => format!("- {title} – `{}`", step.target_label),
        }
    }));
    lines
}
