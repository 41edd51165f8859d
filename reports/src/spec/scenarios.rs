//! The scenario lists at the end of the chapters, and the folders of `gate.md` 1.
use serde::Serialize;

use super::SpecError;
use super::rules::rule_id;
use super::text::{SpecText, code_words, section, table_cells};

/// One scenario as the specification lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SpecScenario {
    /// Id, such as `SL-07`.
    pub id: String,
    /// Feature name without `.feature`.
    pub feature: String,
    /// The sentence of the specification.
    pub text: String,
    /// Rules in brackets.
    pub rules: Vec<String>,
    /// Comfort and looks: bound to no row, never decisive (E-2).
    pub comfort: bool,
    /// File that lists it.
    pub chapter: String,
    /// Line there.
    pub line: usize,
}

/// One feature file of `gate.md` 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FeatureFile {
    /// Name without `.feature`.
    pub name: String,
    /// Tag of its set without `@`.
    pub set: String,
    /// Folder under `features/`.
    pub folder: String,
}

pub(super) fn read(text: &SpecText) -> Result<Vec<SpecScenario>, SpecError> {
    let comfort = comfort_ids(text)?;
    let mut scenarios: Vec<SpecScenario> = Vec::new();
    let mut place: Option<(&'static str, String)> = None;
    for (chapter, line_number, line) in text.lines() {
        let problem = |problem: String| SpecError::Line {
            chapter,
            line: line_number,
            problem,
        };
        if let Some(heading) = line.strip_prefix("### ") {
            place = heading
                .trim()
                .strip_suffix(".feature")
                .map(|name| (chapter, name.to_owned()));
            continue;
        }
        if line.starts_with("## ") {
            place = None;
        }
        let Some((id, sentence)) = line.strip_prefix("- ").and_then(scenario_id) else {
            continue;
        };
        let Some((_, feature)) = place.as_ref().filter(|(own, _)| *own == chapter) else {
            return Err(problem(format!("{id} stands under no feature file")));
        };
        let (sentence, rules) = split_rules(sentence)
            .ok_or_else(|| problem(format!("{id} names no rules in brackets at its end")))?;
        if scenarios.iter().any(|scenario| scenario.id == id) {
            return Err(problem(format!("{id} is listed twice")));
        }
        scenarios.push(SpecScenario {
            id: id.to_owned(),
            feature: feature.clone(),
            text: sentence.to_owned(),
            rules,
            comfort: comfort.iter().any(|comfort| comfort == id),
            chapter: chapter.to_owned(),
            line: line_number,
        });
    }
    for id in comfort {
        if !scenarios.iter().any(|scenario| scenario.id == id) {
            return Err(SpecError::Disagreement(format!(
                "E-2 names {id}, which no chapter lists"
            )));
        }
    }
    Ok(scenarios)
}

pub(super) fn feature_files(text: &SpecText) -> Result<Vec<FeatureFile>, SpecError> {
    let gate = text.chapter("gate.md");
    let mut files = Vec::new();
    for line in section(gate, "## 1.").unwrap_or_default().lines() {
        let Some(cells) = table_cells(line).filter(|cells| cells[0].starts_with("`@set-")) else {
            continue;
        };
        let words = code_words(cells[0]);
        let [set, folder] = words[..] else {
            return Err(SpecError::Disagreement(format!(
                "the set {} has no folder",
                cells[0]
            )));
        };
        for name in cells[1].split(',') {
            files.push(FeatureFile {
                name: name.trim().to_owned(),
                set: set.trim_start_matches('@').to_owned(),
                folder: folder.to_owned(),
            });
        }
    }
    Ok(files)
}

/// The scenario id that a text begins with, and the rest.
pub(super) fn scenario_id(text: &str) -> Option<(&str, &str)> {
    let id = text.get(..5)?;
    let bytes = id.as_bytes();
    let shaped = bytes[..2].iter().all(u8::is_ascii_uppercase)
        && bytes[2] == b'-'
        && bytes[3..].iter().all(u8::is_ascii_digit);
    (shaped && !text[5..].starts_with(|c: char| c.is_ascii_digit())).then(|| (id, text[5..].trim()))
}

fn split_rules(sentence: &str) -> Option<(&str, Vec<String>)> {
    let inner = sentence.strip_suffix(']')?;
    let (sentence, list) = inner.rsplit_once('[')?;
    let rules: Option<Vec<String>> = list
        .split(',')
        .map(|rule| rule.trim())
        .map(|rule| (rule_id(rule) == Some(rule)).then(|| rule.to_owned()))
        .collect();
    Some((sentence.trim(), rules?))
}

fn comfort_ids(text: &SpecText) -> Result<Vec<String>, SpecError> {
    let gate = text.chapter("gate.md");
    let (_, list) = gate
        .split_once("`@p2` = only ")
        .ok_or_else(|| SpecError::Disagreement("E-2 has no list of `@p2` scenarios".into()))?;
    let list = list.split_once(':').map_or(list, |(list, _)| list);
    list.split(',')
        .map(|item| match scenario_id(item.trim()) {
            Some((id, "")) => Ok(id.to_owned()),
            _ => Err(SpecError::Disagreement(format!(
                "the `@p2` list of E-2 holds {item:?}"
            ))),
        })
        .collect()
}
