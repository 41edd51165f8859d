//! The task prompt: the nearest seed of R-79, filled with the facts of the run.
use std::fmt::Write;

/// Embedded seeds by name; the operator's repository grows them, the lookup stays.
const SEEDS: [(&str, &str); 8] = [
    ("dev-work_en", include_str!("../../seeds/dev-work_en.md")),
    ("dev-work_ru", include_str!("../../seeds/dev-work_ru.md")),
    (
        "dev-revise_en",
        include_str!("../../seeds/dev-revise_en.md"),
    ),
    (
        "dev-revise_ru",
        include_str!("../../seeds/dev-revise_ru.md"),
    ),
    (
        "role-reviewer-work_en",
        include_str!("../../seeds/role-reviewer-work_en.md"),
    ),
    (
        "role-reviewer-work_ru",
        include_str!("../../seeds/role-reviewer-work_ru.md"),
    ),
    (
        "default-discussion_en",
        include_str!("../../seeds/default-discussion_en.md"),
    ),
    (
        "default-discussion_ru",
        include_str!("../../seeds/default-discussion_ru.md"),
    ),
];

/// What selects and fills a template.
#[derive(Debug, Clone, Copy)]
pub struct PromptFacts<'a> {
    pub stage: &'a str,
    pub agent: &'a str,
    pub kind: &'a str,
    pub locale: &'a str,
    pub repository: &'a str,
    pub branch: &'a str,
    pub base_branch: &'a str,
    pub write_scope: &'a str,
    pub issue: Option<(i64, &'a str, &'a str)>,
    pub review_comments: &'a [ReviewComment],
}

/// One remark of a review.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct ReviewComment {
    pub author: String,
    pub body: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<i64>,
}

/// A rendered prompt and the seed it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    pub template: &'static str,
    pub text: String,
}

/// An unsupported locale falls back to English (L-13).
pub fn supported_locale(locale: &str) -> &'static str {
    if locale == "ru" { "ru" } else { "en" }
}

/// Names in the order of R-79.
fn candidates(facts: &PromptFacts<'_>) -> [String; 10] {
    let PromptFacts {
        stage, agent, kind, ..
    } = facts;
    let locale = supported_locale(facts.locale);
    [
        format!("{stage}-{agent}-{kind}_{locale}"),
        format!("{stage}-{agent}-{kind}"),
        format!("role-{agent}-{kind}_{locale}"),
        format!("role-{agent}-{kind}"),
        format!("{stage}-{kind}_{locale}"),
        format!("{stage}-{kind}"),
        format!("dev-{kind}_{locale}"),
        format!("dev-{kind}"),
        format!("default-{kind}_{locale}"),
        format!("default-{kind}"),
    ]
}

/// Renders the prompt; `None` when no seed serves this kind.
pub fn render(facts: &PromptFacts<'_>) -> Option<Prompt> {
    let (template, seed) = candidates(facts)
        .iter()
        .find_map(|name| SEEDS.iter().find(|(seed, _)| seed == name))?;
    let mut text = seed.to_string();
    for (placeholder, value) in [
        ("{{stage}}", facts.stage),
        ("{{agent}}", facts.agent),
        ("{{repository}}", facts.repository),
        ("{{branch}}", facts.branch),
        ("{{base_branch}}", facts.base_branch),
        ("{{write_scope}}", facts.write_scope),
    ] {
        text = text.replace(placeholder, value);
    }
    if let Some((number, title, body)) = facts.issue {
        let _ = write!(text, "\n## #{number} {title}\n\n{body}\n");
    }
    for comment in facts.review_comments {
        let place = match (&comment.path, comment.line) {
            (Some(path), Some(line)) => format!(" — `{path}:{line}`"),
            (Some(path), None) => format!(" — `{path}`"),
            _ => String::new(),
        };
        let _ = write!(
            text,
            "\n### {}{place}\n\n{}\n",
            comment.author, comment.body
        );
    }
    Some(Prompt { template, text })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn facts() -> PromptFacts<'static> {
        PromptFacts {
            stage: "dev",
            agent: "dev",
            kind: "work",
            locale: "ru",
            repository: "acme/shop",
            branch: "codex/issue-7",
            base_branch: "main",
            write_scope: "any",
            issue: Some((7, "Add a basket", "It should hold things.")),
            review_comments: &[],
        }
    }

    #[test]
    fn the_nearest_seed_wins() {
        let template = |change: fn(&mut PromptFacts<'static>)| {
            let mut facts = facts();
            change(&mut facts);
            render(&facts).map(|prompt| prompt.template)
        };
        assert_eq!(template(|_| {}), Some("dev-work_ru"));
        assert_eq!(template(|f| f.locale = "de"), Some("dev-work_en"));
        assert_eq!(template(|f| f.stage = "plan"), Some("dev-work_ru"));
        assert_eq!(
            template(|f| f.agent = "reviewer"),
            Some("role-reviewer-work_ru")
        );
        assert_eq!(
            template(|f| f.kind = "discussion"),
            Some("default-discussion_ru")
        );
        assert_eq!(template(|f| f.kind = "unknown"), None);
    }

    #[test]
    fn every_placeholder_is_filled() {
        for (name, _) in SEEDS {
            let kind = ["work", "revise", "discussion"]
                .into_iter()
                .find(|kind| name.contains(kind))
                .unwrap();
            let prompt = render(&PromptFacts { kind, ..facts() }).unwrap();
            assert!(!prompt.text.contains("{{"), "{name}: {}", prompt.text);
            assert!(prompt.text.contains("#7 Add a basket"));
        }
    }
}
