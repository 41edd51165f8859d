//! The chapters as text: those compiled in, or those of a folder.
use std::fs;
use std::path::Path;

use super::SpecError;

/// File names of the chapters, in reading order; `rows.md` comes last.
const CHAPTERS: [&str; 6] = [
    "labels-and-stages.md",
    "runtime.md",
    "governance.md",
    "data-and-api.md",
    "gate.md",
    "rows.md",
];

/// Text of the specification.
#[derive(Debug, Clone)]
pub struct SpecText {
    chapters: Vec<(&'static str, String)>,
}

impl SpecText {
    /// The chapters of the checkout that this crate was compiled from.
    pub fn embedded() -> Self {
        let texts = [
            include_str!("../../../docs/spec/labels-and-stages.md"),
            include_str!("../../../docs/spec/runtime.md"),
            include_str!("../../../docs/spec/governance.md"),
            include_str!("../../../docs/spec/data-and-api.md"),
            include_str!("../../../docs/spec/gate.md"),
            include_str!("../../../docs/spec/rows.md"),
        ];
        Self {
            chapters: CHAPTERS
                .into_iter()
                .zip(texts.map(ToOwned::to_owned))
                .collect(),
        }
    }

    /// The chapters of a folder.
    pub fn read(folder: &Path) -> Result<Self, SpecError> {
        let mut chapters = Vec::with_capacity(CHAPTERS.len());
        for name in CHAPTERS {
            let path = folder.join(name);
            let text =
                fs::read_to_string(&path).map_err(|source| SpecError::Read { path, source })?;
            chapters.push((name, text));
        }
        Ok(Self { chapters })
    }

    /// One chapter's text, by file name.
    pub fn chapter(&self, name: &'static str) -> &str {
        self.chapters
            .iter()
            .find(|(chapter, _)| *chapter == name)
            .map_or("", |(_, text)| text)
    }

    /// Replaces a chapter, for tests of the parser.
    #[must_use]
    pub fn with_chapter(mut self, name: &'static str, text: String) -> Self {
        self.chapters.retain(|(chapter, _)| *chapter != name);
        self.chapters.push((name, text));
        self
    }

    /// Lines of all chapters with file name and line number.
    pub(super) fn lines(&self) -> impl Iterator<Item = (&'static str, usize, &str)> {
        self.chapters.iter().flat_map(|(chapter, text)| {
            text.lines()
                .enumerate()
                .map(|(index, line)| (*chapter, index + 1, line))
        })
    }
}

/// Cells of a Markdown table row, trimmed; nothing for other lines and for the line under the head.
pub(super) fn table_cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    let cells: Vec<&str> = inner.split('|').map(str::trim).collect();
    let ruler = cells
        .iter()
        .all(|cell| !cell.is_empty() && cell.chars().all(|c| c == '-' || c == ':'));
    (!ruler).then_some(cells)
}

/// Words in backticks, in order.
pub(super) fn code_words(text: &str) -> Vec<&str> {
    text.split('`').skip(1).step_by(2).collect()
}

/// Part of a chapter between a heading and the next one of the same or a higher level.
pub(super) fn section<'a>(text: &'a str, heading: &str) -> Option<&'a str> {
    let level = heading.chars().take_while(|c| *c == '#').count();
    let mut start = None;
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let hashes = line.chars().take_while(|c| *c == '#').count();
        match start {
            None if line.starts_with(heading) => start = Some(offset + line.len()),
            Some(from) if (1..=level).contains(&hashes) => return Some(&text[from..offset]),
            _ => {}
        }
        offset += line.len();
    }
    start.map(|from| &text[from..])
}
