//! The task prompt: the nearest seed of R-79 in its envelope, filled with the facts of the run.
//!
//! The seed says what this stage wants; blocks chosen by role, write scope, stage and kind say the rest, so that no
//! seed repeats it. What people wrote follows at the end, quoted line by line, and is never filled in itself.
use super::seeds;

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
    pub self_improve_paths: &'a [&'a str],
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

/// Renders the prompt; `None` when no seed serves this kind, or no block its write scope.
pub fn render(facts: &PromptFacts<'_>) -> Option<Prompt> {
    let locale = supported_locale(facts.locale);
    let first_block = |names: &[String]| names.iter().find_map(|name| seeds::block(name, locale));
    let (template, seed) = candidates(facts)
        .iter()
        .find_map(|name| seeds::seed(name))?;
    let role = first_block(&[format!("role-{}", facts.agent), "role-other".to_owned()])?;
    let scope = first_block(&[format!("scope-{}", facts.write_scope)])?;
    let conduct = first_block(
        &[facts.write_scope, facts.stage, facts.kind].map(|key| format!("conduct-{key}")),
    )?;
    let part = |text: &str| fill(text, |name| facts.value(name));
    let mut text = fill(seeds::block("envelope", locale)?, |name| match name {
        "role" => Some(part(role)),
        "seed" => Some(part(seed)),
        "scope" => Some(part(scope)),
        "conduct" => Some(part(conduct)),
        other => facts.value(other),
    });
    for (block, quoted) in [
        ("issue", facts.quoted_issue()),
        ("review", facts.quoted_review()),
    ] {
        if let Some(quoted) = quoted {
            text.push_str("\n\n");
            text.push_str(&fill(seeds::block(block, locale)?, |name| {
                (name == "quoted").then(|| quoted.clone())
            }));
        }
    }
    text.push('\n');
    Some(Prompt { template, text })
}

impl PromptFacts<'_> {
    fn value(&self, placeholder: &str) -> Option<String> {
        let value = match placeholder {
            "stage" => self.stage.to_owned(),
            "agent" => self.agent.to_owned(),
            "repository" => self.repository.to_owned(),
            "branch" => self.branch.to_owned(),
            "base_branch" => self.base_branch.to_owned(),
            "documents" => self.documents(),
            "self_improve_paths" => self
                .self_improve_paths
                .iter()
                .map(|path| format!("`{path}`"))
                .collect::<Vec<_>>()
                .join(", "),
            _ => return None,
        };
        Some(value)
    }

    /// Where the documents of this Issue are (L-6).
    fn documents(&self) -> String {
        match self.issue {
            Some((number, ..)) => format!("docs/issues/{number}"),
            None => "docs".to_owned(),
        }
    }

    fn quoted_issue(&self) -> Option<String> {
        let (number, title, body) = self.issue?;
        Some(quote(&format!("#{number} {title}\n\n{body}")))
    }

    fn quoted_review(&self) -> Option<String> {
        let remarks: Vec<String> = self
            .review_comments
            .iter()
            .map(|comment| {
                let place = match (&comment.path, comment.line) {
                    (Some(path), Some(line)) => format!(", {path}:{line}"),
                    (Some(path), None) => format!(", {path}"),
                    _ => String::new(),
                };
                quote(&format!("@{}{place}\n\n{}", comment.author, comment.body))
            })
            .collect();
        (!remarks.is_empty()).then(|| remarks.join("\n\n"))
    }
}

/// Marks every line, so that no text can end its own quotation.
fn quote(text: &str) -> String {
    let text = text.trim_end().replace("\r\n", "\n");
    let lines = text.split([
        '\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}',
    ]);
    let quoted: Vec<String> = lines
        .map(|line| format!("> {line}").trim_end().to_owned())
        .collect();
    quoted.join("\n")
}

/// Replaces each `{{name}}` once; what was put in is not looked at again, and an unknown name stays.
fn fill(template: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut filled = String::new();
    let mut rest = template.trim_end();
    while let Some((before, after)) = rest.split_once("{{") {
        filled.push_str(before);
        match after.split_once("}}") {
            Some((name, tail)) => {
                match value(name) {
                    Some(value) => filled.push_str(&value),
                    None => filled.push_str(&format!("{{{{{name}}}}}")),
                }
                rest = tail;
            }
            None => {
                filled.push_str("{{");
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    filled
}

#[cfg(test)]
mod tests;
