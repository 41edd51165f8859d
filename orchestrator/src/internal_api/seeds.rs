//! The embedded prompt seeds, and the blocks of the envelope that all of them share.
//!
//! Both are the Markdown files of `orchestrator/seeds`, so that a new seed is a new file and no code.

/// Name without `.md`, and text, in the order of names.
pub(super) type Texts = &'static [(&'static str, &'static str)];

pub(super) const SEEDS: Texts = include!(concat!(env!("OUT_DIR"), "/seeds.rs"));
const BLOCKS: Texts = include!(concat!(env!("OUT_DIR"), "/prompt_blocks.rs"));

/// A seed by its whole name, `plan-em-work_en`.
pub(super) fn seed(name: &str) -> Option<(&'static str, &'static str)> {
    find(SEEDS, name)
}

/// A block by its name and locale.
pub(super) fn block(name: &str, locale: &str) -> Option<&'static str> {
    find(BLOCKS, &format!("{name}_{locale}")).map(|(_, text)| text)
}

fn find(texts: Texts, name: &str) -> Option<(&'static str, &'static str)> {
    texts
        .binary_search_by_key(&name, |(known, _)| known)
        .ok()
        .and_then(|index| texts.get(index))
        .copied()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn placeholders(text: &str) -> BTreeSet<&str> {
        text.split("{{")
            .skip(1)
            .filter_map(|rest| rest.split("}}").next())
            .collect()
    }

    #[test]
    fn both_languages_have_the_same_texts_with_the_same_placeholders_and_lists() {
        for texts in [SEEDS, BLOCKS] {
            assert!(texts.len() > 30, "only {} texts", texts.len());
            for (name, text) in texts {
                let other = match name.strip_suffix("_en") {
                    Some(stem) => format!("{stem}_ru"),
                    None => format!("{}_en", name.trim_end_matches("_ru")),
                };
                let (_, twin) = find(texts, &other).unwrap_or_else(|| panic!("no {other}"));
                assert_eq!(placeholders(text), placeholders(twin), "{name}");
                let items = |text: &str| text.lines().filter(|line| line.starts_with("- ")).count();
                assert_eq!(items(text), items(twin), "{name}");
            }
        }
    }

    #[test]
    fn russian_is_russian_and_english_is_not() {
        let is_cyrillic = |letter: char| ('а'..='я').contains(&letter.to_ascii_lowercase());
        for (name, text) in SEEDS.iter().chain(BLOCKS) {
            assert_eq!(
                text.chars().any(is_cyrillic),
                name.ends_with("_ru"),
                "{name}"
            );
        }
    }
}
