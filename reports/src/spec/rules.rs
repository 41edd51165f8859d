//! Rule ids: a rule begins a line as `- **X-n**`, or a table row whose first cell begins with `X-n` (E-26).
use serde::Serialize;

use super::text::{SpecText, table_cells};

/// Prefixes of rule ids, the longer ones first.
const PREFIXES: [&str; 13] = [
    "DM", "DF", "DA", "DU", "DR", "DC", "DE", "L", "G", "R", "B", "D", "E",
];

/// One rule of the specification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rule {
    /// Id, such as `L-33`.
    pub id: String,
    /// File that defines it.
    pub chapter: String,
    /// Line of the definition.
    pub line: usize,
    /// Begin of its text.
    pub title: String,
}

/// Longest title that a report can show in one line.
const TITLE_CHARACTERS: usize = 110;

pub(super) fn read(text: &SpecText) -> Vec<Rule> {
    let mut rules: Vec<Rule> = Vec::new();
    for (chapter, line_number, line) in text.lines() {
        let Some((id, rest)) = definition(line) else {
            continue;
        };
        if rules.iter().any(|rule| rule.id == id) {
            continue; // a table of another chapter that quotes the rule
        }
        rules.push(Rule {
            id: id.to_owned(),
            chapter: chapter.to_owned(),
            line: line_number,
            title: title(rest),
        });
    }
    rules
}

fn definition(line: &str) -> Option<(&str, &str)> {
    // `**L-46**` opens a paragraph with a table instead of a list item.
    let bold = line
        .strip_prefix("- **")
        .or_else(|| line.strip_prefix("**"));
    if let Some(rest) = bold {
        let (id, rest) = rest.split_once("**")?;
        return (rule_id(id) == Some(id)).then_some((id, rest));
    }
    let cells = table_cells(line)?;
    let id = rule_id(cells.first()?)?;
    Some((id, cells.get(1).copied().unwrap_or_default()))
}

/// The rule id that a text begins with.
pub(super) fn rule_id(text: &str) -> Option<&str> {
    let prefix = PREFIXES.into_iter().find(|prefix| {
        text.strip_prefix(prefix)
            .is_some_and(|r| r.starts_with('-'))
    })?;
    let digits = text[prefix.len() + 1..]
        .bytes()
        .take_while(u8::is_ascii_digit)
        .count();
    (digits > 0).then(|| &text[..prefix.len() + 1 + digits])
}

fn title(text: &str) -> String {
    let plain = text.trim().trim_start_matches(['.', ':']).trim();
    if plain.chars().count() <= TITLE_CHARACTERS {
        return plain.to_owned();
    }
    let cut: String = plain.chars().take(TITLE_CHARACTERS).collect();
    let end = cut.rfind(' ').unwrap_or(cut.len());
    format!("{} …", &cut[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_recognised_in_both_forms() {
        assert_eq!(definition("- **L-33** Guards"), Some(("L-33", " Guards")));
        assert_eq!(definition("| DM-1 | Files | x |"), Some(("DM-1", "Files")));
        assert_eq!(definition("| R-31: kill | x |").map(|d| d.0), Some("R-31"));
        assert_eq!(definition("- **(decided)** marks"), None);
        assert_eq!(definition("| S2-1 | x |"), None);
        assert_eq!(definition("text about L-33"), None);
    }
}
