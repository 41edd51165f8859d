//! The result of a run that has no pull request to put it in: an audit without findings (L-111), a repair (L-113).

use crate::policy::Locale;

/// What a documentation audit says when nothing has to change.
pub fn audit_result(summary: Option<&str>, locale: Locale) -> String {
    let (heading, nothing) = match locale {
        Locale::En => (
            "Documentation audit",
            "Code, documents and checklists agree; nothing has to change.",
        ),
        Locale::Ru => (
            "Аудит документации",
            "Код, документы и чек-листы согласованы; менять ничего не нужно.",
        ),
    };
    text(heading, nothing, summary)
}

/// What a repair says about the incident; `head` is the commit it left on `branch`.
pub fn repair_result(summary: Option<&str>, branch: &str, head: &str, locale: Locale) -> String {
    let (heading, done) = match locale {
        Locale::En => (
            "Incident",
            format!("The repair is on `{branch}`, its last commit is {head}."),
        ),
        Locale::Ru => (
            "Инцидент",
            format!("Исправление находится в ветке `{branch}`, последний коммит {head}."),
        ),
    };
    text(heading, &done, summary)
}

fn text(heading: &str, outcome: &str, summary: Option<&str>) -> String {
    match summary {
        Some(summary) => format!("### {heading}\n\n{outcome}\n\n{summary}"),
        None => format!("### {heading}\n\n{outcome}"),
    }
}
