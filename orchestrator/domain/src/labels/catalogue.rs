//! Names of the catalogue: defaults, renames by configuration, and recognition (L-2).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{CatalogueLabel, LabelGroup};
use crate::stages::TriggerKind;

/// Labels in the catalogue (L-1).
pub const CATALOGUE_SIZE: usize = 54;

/// Colour of every catalogue label in a bound repository (L-1).
pub const LABEL_COLOUR: &str = "1f6feb";

/// The configured names of the 54 labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue {
    names: BTreeMap<CatalogueLabel, String>,
    exact: HashMap<String, CatalogueLabel>,
    bracketless: HashMap<String, CatalogueLabel>,
}

/// A rename that cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CatalogueError {
    /// The left side is no default name.
    #[error("failed to rename label {0:?}: the catalogue has no such name")]
    UnknownLabel(String),
    /// The right side is blank.
    #[error("failed to rename label {0:?}: the new name is blank")]
    BlankName(String),
    /// Two labels would bear one name.
    #[error("failed to rename label {0:?}: the name {1:?} is taken by another label")]
    NameTaken(String, String),
}

impl Default for Catalogue {
    fn default() -> Self {
        Self::with_renames(&BTreeMap::new()).expect("the 54 default names are distinct")
    }
}

fn fold(name: &str) -> String {
    name.trim().to_lowercase()
}

fn without_brackets(folded: &str) -> &str {
    folded
        .strip_prefix('[')
        .and_then(|inner| inner.strip_suffix(']'))
        .map_or(folded, str::trim)
}

impl Catalogue {
    /// Builds the catalogue; `renames` maps a default name to the configured one (L-2).
    pub fn with_renames(renames: &BTreeMap<String, String>) -> Result<Self, CatalogueError> {
        let folded: BTreeMap<String, &String> =
            renames.iter().map(|(from, to)| (fold(from), to)).collect();
        let defaults: BTreeSet<String> = CatalogueLabel::all()
            .into_iter()
            .map(|label| fold(&label.default_name()))
            .collect();
        if let Some(unknown) = renames.keys().find(|name| !defaults.contains(&fold(name))) {
            return Err(CatalogueError::UnknownLabel(unknown.clone()));
        }
        let mut catalogue = Self {
            names: BTreeMap::new(),
            exact: HashMap::new(),
            bracketless: HashMap::new(),
        };
        for label in CatalogueLabel::all() {
            let default = label.default_name();
            let name = folded
                .get(&fold(&default))
                .map_or(default.as_str(), |renamed| renamed.trim())
                .to_owned();
            if name.is_empty() {
                return Err(CatalogueError::BlankName(default));
            }
            let key = fold(&name);
            let bracketless_key = without_brackets(&key).to_owned();
            let taken = catalogue.exact.contains_key(&key)
                || catalogue.bracketless.contains_key(&bracketless_key);
            if taken {
                return Err(CatalogueError::NameTaken(default, name));
            }
            if matches!(label.group(), LabelGroup::Model | LabelGroup::Reasoning) {
                catalogue.bracketless.insert(bracketless_key, label);
            }
            catalogue.exact.insert(key, label);
            catalogue.names.insert(label, name);
        }
        Ok(catalogue)
    }

    /// The catalogue label that a text names, or none for a foreign one (L-2, L-3).
    pub fn classify(&self, text: &str) -> Option<CatalogueLabel> {
        let folded = fold(text);
        self.exact
            .get(&folded)
            .or_else(|| self.bracketless.get(without_brackets(&folded)))
            .copied()
    }

    /// The configured name.
    pub fn name(&self, label: CatalogueLabel) -> &str {
        self.names.get(&label).map_or("", String::as_str)
    }

    /// The configured name of a catalogue label; a foreign label is only trimmed.
    pub fn canonical(&self, text: &str) -> String {
        self.classify(text).map_or_else(
            || text.trim().to_owned(),
            |label| self.name(label).to_owned(),
        )
    }

    /// All labels with their configured names, in catalogue order.
    pub fn entries(&self) -> impl Iterator<Item = (CatalogueLabel, &str)> {
        self.names
            .iter()
            .map(|(label, name)| (*label, name.as_str()))
    }

    /// Distinct trigger kinds among the labels of a thread, in catalogue order (L-33).
    pub fn triggers<'a>(
        &self,
        labels: impl IntoIterator<Item = &'a String>,
    ) -> BTreeSet<TriggerKind> {
        labels
            .into_iter()
            .filter_map(|text| match self.classify(text) {
                Some(CatalogueLabel::Trigger(kind)) => Some(kind),
                _ => None,
            })
            .collect()
    }

    /// Whether a thread bears a label.
    pub fn bears<'a>(
        &self,
        labels: impl IntoIterator<Item = &'a String>,
        wanted: CatalogueLabel,
    ) -> bool {
        labels
            .into_iter()
            .any(|text| self.classify(text) == Some(wanted))
    }
}
