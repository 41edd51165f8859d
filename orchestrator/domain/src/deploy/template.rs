//! Templates of services.yaml and of manifests.
//!
//! A template names values and does nothing else: it has no conditions and no loops, so that the same input gives the
//! same bytes whatever the time or the machine.

use std::collections::BTreeMap;

/// What a template may name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TemplateContext {
    /// Project of the stack.
    pub project: String,
    /// Environment.
    pub env: String,
    /// Slot of the run, 0 without one.
    pub slot: i32,
    /// Namespace.
    pub namespace: String,
    /// Free values.
    pub vars: BTreeMap<String, String>,
    /// Versions by name.
    pub versions: BTreeMap<String, String>,
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// `{{` without `}}`.
    #[error("line {line}: {{{{ is not closed")]
    Open {
        /// Counted from one.
        line: usize,
    },
    /// Neither a value nor anything else that is understood.
    #[error("line {line}: {{{{ {expression} }}}} is none of {allowed}")]
    Unknown {
        /// Counted from one.
        line: usize,
        /// What stands between the braces.
        expression: String,
        /// What may stand there.
        allowed: String,
    },
}

const OPEN: &str = "{{";
const CLOSE: &str = "}}";

/// Fills a template in.
///
/// # Errors
/// Names the line of a value that is not there: an empty text in its place would deploy something else than was meant.
pub fn render(template: &str, context: &TemplateContext) -> Result<String, TemplateError> {
    let mut rendered = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(start) = rest.find(OPEN) {
        let line = 1 + template[..template.len() - rest.len() + start]
            .matches('\n')
            .count();
        let (before, opened) = rest.split_at(start);
        rendered.push_str(before);
        let opened = &opened[OPEN.len()..];
        let end = opened.find(CLOSE).ok_or(TemplateError::Open { line })?;
        let expression = opened[..end].trim();
        let value = value_of(expression, context).ok_or_else(|| TemplateError::Unknown {
            line,
            expression: expression.to_owned(),
            allowed: allowed(context),
        })?;
        rendered.push_str(&value);
        rest = &opened[end + CLOSE.len()..];
    }
    rendered.push_str(rest);
    Ok(rendered)
}

fn value_of(expression: &str, context: &TemplateContext) -> Option<String> {
    match expression {
        ".Project" => Some(context.project.clone()),
        ".Env" => Some(context.env.clone()),
        ".Slot" => Some(context.slot.to_string()),
        ".Namespace" => Some(context.namespace.clone()),
        _ => {
            let of = |prefix: &str, values: &BTreeMap<String, String>| {
                values.get(expression.strip_prefix(prefix)?).cloned()
            };
            of(".Vars.", &context.vars).or_else(|| of(".Versions.", &context.versions))
        }
    }
}

fn allowed(context: &TemplateContext) -> String {
    let named = |prefix: &str, values: &BTreeMap<String, String>| {
        values
            .keys()
            .map(|name| format!("{prefix}{name}"))
            .collect::<Vec<_>>()
    };
    let mut names: Vec<String> = [".Project", ".Env", ".Slot", ".Namespace"]
        .map(str::to_owned)
        .into();
    names.extend(named(".Vars.", &context.vars));
    names.extend(named(".Versions.", &context.versions));
    names.join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn context() -> TemplateContext {
        TemplateContext {
            project: "shop".to_owned(),
            env: "ai".to_owned(),
            slot: 2,
            namespace: "codex-issue-a".to_owned(),
            vars: BTreeMap::from([("colour".to_owned(), "{{ .Slot }}".to_owned())]),
            versions: BTreeMap::from([("api".to_owned(), "1.2.3".to_owned())]),
        }
    }

    #[test]
    fn values_are_filled_in_and_nothing_else_is_touched() {
        let template = "a: {{ .Project }}-{{.Env}}\nb: {{ .Slot }} {{ .Namespace }}\nc: {{ .Versions.api }} {x}\n";
        let rendered = render(template, &context()).unwrap();
        assert_eq!(rendered, "a: shop-ai\nb: 2 codex-issue-a\nc: 1.2.3 {x}\n");
        assert_eq!(render(template, &context()).unwrap(), rendered);
        // What a value holds is no template.
        assert_eq!(
            render("{{ .Vars.colour }}", &context()).unwrap(),
            "{{ .Slot }}"
        );
    }

    #[test]
    fn what_is_not_understood_is_named_with_its_line() {
        let error = |template: &str| render(template, &context()).unwrap_err().to_string();
        assert_eq!(
            error("a\n{{ .Versions.web }}"),
            "line 2: {{ .Versions.web }} is none of .Project, .Env, .Slot, .Namespace, .Vars.colour, .Versions.api"
        );
        assert!(error("{{ if .Env }}x{{ end }}").starts_with("line 1: {{ if .Env }} is none of"));
        assert_eq!(error("a\nb\n{{ .Env"), "line 3: {{ is not closed");
    }
}
