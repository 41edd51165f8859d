//! Which scenarios run: tag expressions, waiting tags and missing capabilities, decided before anything starts.

use std::collections::BTreeSet;

use anyhow::{Context, bail};
use cucumber::{feature::Ext as _, tag::Ext as _};
use gherkin::{GherkinEnv, tagexpr::TagOperation};

/// The closed set of waiting tags (E-2).
pub const WAITING_TAGS: [&str; 10] = [
    "waits-mcp",
    "waits-approvals",
    "waits-console",
    "waits-deploy",
    "waits-images",
    "waits-onboarding",
    "waits-docset",
    "waits-selfdeploy",
    "waits-crossproject",
    "waits-bootstrap",
];

/// The closed set of capability tags (E-2).
pub const CAPABILITY_TAGS: [&str; 8] = [
    "needs-pods",
    "needs-container-isolation",
    "needs-network-policy",
    "needs-image-build",
    "needs-ingress",
    "needs-acme",
    "needs-codex",
    "needs-ssh-host",
];

/// One scenario of the feature files; each row of an Outline is one.
#[derive(Clone, Debug)]
pub struct Listed {
    /// The id of the chapter, e.g. `SL-07`.
    pub id: String,
    /// Feature file name without suffix.
    pub feature: String,
    pub file: String,
    pub line: usize,
    pub name: String,
    pub tags: Vec<String>,
    pub verdict: Eligibility,
}

impl Listed {
    /// Unique within the feature files: rows of an Outline share id and name.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}:{}", self.feature, self.line)
    }
}

/// Whether a scenario can run here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Eligibility {
    Runs,
    /// Its subject is not built yet; the waiting tag.
    Waiting(String),
    /// The target lacks a capability; the tag.
    NotProvableHere(String),
}

/// Reads the feature files below `path` and lists what `expression` selects.
///
/// # Errors
/// When a file has a syntax error, a scenario has no id, a tag is unknown, or nothing is selected.
pub fn list(
    path: &std::path::Path,
    expression: Option<&str>,
    capabilities: &BTreeSet<String>,
) -> anyhow::Result<Vec<Listed>> {
    let expression_text = expression;
    let expression: Option<TagOperation> = match expression {
        Some(text) => Some(text.parse().map_err(|error| {
            anyhow::anyhow!(
                "the tag expression {text:?} is not valid: {error}; write one such as '@p0 and not @set-d'"
            )
        })?),
        None => None,
    };
    let mut listed = Vec::new();
    for file in feature_files(path)? {
        let feature = gherkin::Feature::parse_path(&file, GherkinEnv::default())
            .map_err(|error| not_gherkin(&file, &error))?
            .expand_examples()
            .map_err(|error| anyhow::anyhow!("{} has a broken outline: {error}", file.display()))?;
        let name = feature_name(&file);
        let mut found = 0_usize;
        for scenario in &feature.scenarios {
            found += 1;
            let tags: Vec<String> = feature.tags.iter().chain(&scenario.tags).cloned().collect();
            let id = scenario_id(&tags).with_context(|| {
                format!(
                    "{}:{} has no scenario id: tag the scenario with one, such as @SL-07",
                    file.display(),
                    scenario.position.line
                )
            })?;
            if expression
                .as_ref()
                .is_some_and(|expression| !expression.eval(tags.iter()))
            {
                continue;
            }
            listed.push(Listed {
                id,
                feature: name.clone(),
                file: file.display().to_string(),
                line: scenario.position.line,
                name: scenario.name.clone(),
                verdict: eligibility(&tags, capabilities)
                    .with_context(|| format!("{}:{}", file.display(), scenario.position.line))?,
                tags,
            });
        }
        if found == 0 {
            bail!(
                "{} yields no scenario (E-7): write one that begins with `Scenario:`, or remove the file",
                file.display()
            );
        }
    }
    if listed.is_empty() {
        match expression_text {
            Some(text) => bail!(
                "nothing is selected: no scenario in {} matches {text:?}; `gonogo plan` lists what there is",
                path.display()
            ),
            None => bail!(
                "nothing is selected: {} holds no feature file",
                path.display()
            ),
        }
    }
    Ok(listed)
}

/// Where a feature file stops being Gherkin, in words.
fn not_gherkin(file: &std::path::Path, error: &gherkin::ParseFileError) -> anyhow::Error {
    let file = file.display();
    let gherkin::ParseFileError::Parsing {
        error: cause,
        source,
        ..
    } = error
    else {
        return anyhow::anyhow!(
            "failed to read the feature file {file}: {}",
            std::error::Error::source(error).map_or_else(String::new, ToString::to_string)
        );
    };
    // Of the parser's own words only the line helps: it lists every token it could have gone on with.
    let text = source.to_string();
    let line = text
        .strip_prefix("Error at ")
        .and_then(|text| text.split_once(':'))
        .map_or("?", |(line, _)| line);
    match cause {
        Some(cause) => anyhow::anyhow!("{file} is not valid Gherkin near line {line}: {cause}"),
        None => anyhow::anyhow!(
            "{file} is not valid Gherkin near line {line}: a feature begins with `Feature:`, its steps with Given, When, Then or And"
        ),
    }
}

/// The scenario id among `tags`, e.g. `SL-07`: two capital letters and two digits.
#[must_use]
pub fn scenario_id(tags: &[String]) -> Option<String> {
    tags.iter().find(|tag| is_scenario_id(tag)).cloned()
}

fn is_scenario_id(tag: &str) -> bool {
    /// Prefixes of rules that have the form of a scenario's (E-26).
    const RULES: [&str; 7] = ["DM-", "DF-", "DA-", "DU-", "DR-", "DC-", "DE-"];
    let bytes = tag.as_bytes();
    bytes.len() == 5
        && !RULES.iter().any(|prefix| tag.starts_with(prefix))
        && bytes[..2].iter().all(u8::is_ascii_uppercase)
        && bytes[2] == b'-'
        && bytes[3..].iter().all(u8::is_ascii_digit)
}

fn eligibility(tags: &[String], capabilities: &BTreeSet<String>) -> anyhow::Result<Eligibility> {
    let mut missing = None;
    for tag in tags {
        if tag.starts_with("waits-") {
            if !WAITING_TAGS.contains(&tag.as_str()) {
                bail!("@{tag} is no waiting tag of E-2");
            }
            if capabilities.contains(tag.trim_start_matches("waits-")) {
                bail!("@{tag} waits for something that this target has (E-2)");
            }
            return Ok(Eligibility::Waiting(tag.clone()));
        }
        if tag.starts_with("needs-") {
            if !CAPABILITY_TAGS.contains(&tag.as_str()) {
                bail!("@{tag} is no capability tag of E-2");
            }
            if !capabilities.contains(tag.trim_start_matches("needs-")) {
                missing = Some(tag.clone());
            }
        }
    }
    Ok(missing.map_or(Eligibility::Runs, Eligibility::NotProvableHere))
}

fn feature_files(path: &std::path::Path) -> anyhow::Result<Vec<std::path::PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    if !path.exists() {
        bail!(
            "failed to find {}: name a feature file or a folder of them with --features, or run from the checkout",
            path.display()
        );
    }
    let mut files = Vec::new();
    let mut folders = vec![path.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder)
            .with_context(|| format!("failed to read the folder {}", folder.display()))?;
        for entry in entries {
            let path = entry
                .with_context(|| format!("failed to read the folder {}", folder.display()))?
                .path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|suffix| suffix == "feature") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

pub(crate) fn feature_name(file: &std::path::Path) -> String {
    file.file_stem()
        .map(|stem| stem.to_string_lossy().into_owned())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tags(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_scenario_id_is_not_a_rule_id() {
        assert_eq!(
            scenario_id(&tags("set-a p0 S2-1 L-25 R-18 DA-14 SL-07 needs-pods")),
            Some("SL-07".to_owned())
        );
        assert_eq!(scenario_id(&tags("L-25 DA-1 S2-13")), None);
    }

    #[test]
    fn a_waiting_tag_whose_capability_exists_is_refused() {
        let none = BTreeSet::new();
        let with_mcp = BTreeSet::from(["mcp".to_owned()]);
        assert_eq!(
            eligibility(&tags("waits-mcp"), &none).expect("known"),
            Eligibility::Waiting("waits-mcp".into())
        );
        assert!(eligibility(&tags("waits-mcp"), &with_mcp).is_err());
        assert!(eligibility(&tags("waits-forever"), &none).is_err());
    }

    #[test]
    fn a_missing_capability_is_named() {
        let pods = BTreeSet::from(["pods".to_owned()]);
        assert_eq!(
            eligibility(&tags("needs-pods"), &pods).expect("known"),
            Eligibility::Runs
        );
        assert_eq!(
            eligibility(&tags("needs-pods needs-acme"), &pods).expect("known"),
            Eligibility::NotProvableHere("needs-acme".into())
        );
    }
}
