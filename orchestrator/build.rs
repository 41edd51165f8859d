//! Embeds the migrations (DM-1) and the prompt seeds.
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

/// Digits of a migration version, `YYYYMMDDNNNNNN`.
const VERSION_DIGITS: usize = 14;

fn main() {
    embed_migrations();
    embed_texts("seeds", "seeds.rs");
    embed_texts("seeds/blocks", "prompt_blocks.rs");
}

/// Writes the Markdown files of a folder as pairs of name and text, in the order of their names.
fn embed_texts(folder: &str, generated: &str) {
    let directory = Path::new(&variable("CARGO_MANIFEST_DIR")).join(folder);
    println!("cargo:rerun-if-changed={}", directory.display());
    let mut texts = BTreeMap::new();
    for entry in fs::read_dir(&directory).expect("the folder is part of the crate") {
        let path = entry.expect("a folder entry is readable").path();
        if path.is_dir() {
            continue;
        }
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_suffix(".md"))
            .filter(|name| name.ends_with("_en") || name.ends_with("_ru"));
        match name {
            Some(name) => texts.insert(name.to_owned(), path.clone()),
            None => panic!(
                "{}: the name must end in _en.md or _ru.md (R-79)",
                path.display()
            ),
        };
    }
    let mut source = String::from("&[\n");
    for (name, path) in texts {
        writeln!(
            source,
            "    ({name:?}, include_str!({:?})),",
            path.display().to_string()
        )
        .expect("writing to a string cannot fail");
    }
    source.push(']');
    fs::write(Path::new(&variable("OUT_DIR")).join(generated), source)
        .expect("OUT_DIR is writable");
}

fn embed_migrations() {
    let directory = Path::new(&variable("CARGO_MANIFEST_DIR")).join("migrations");
    println!("cargo:rerun-if-changed={}", directory.display());
    let mut migrations = BTreeMap::new();
    for entry in fs::read_dir(&directory).expect("the migrations folder is part of the crate") {
        let path = entry.expect("a folder entry is readable").path();
        println!("cargo:rerun-if-changed={}", path.display());
        let (version, name) = parse_name(&path);
        let text = fs::read_to_string(&path).expect("a migration is UTF-8 text");
        assert!(
            !has_down_section(&text),
            "{}: migrations are forward-only (DM-1)",
            path.display()
        );
        if let Some((_, previous)) = migrations.insert(version, (name, path.clone())) {
            panic!(
                "{} and {}: one version twice (DM-1)",
                previous.display(),
                path.display()
            );
        }
    }
    let mut source = String::from("&[\n");
    for (version, (name, path)) in migrations {
        writeln!(
            source,
            "    Migration {{ version: {version}, name: {name:?}, sql: include_str!({:?}) }},",
            path.display().to_string()
        )
        .expect("writing to a string cannot fail");
    }
    source.push(']');
    fs::write(
        Path::new(&variable("OUT_DIR")).join("migrations.rs"),
        source,
    )
    .expect("OUT_DIR is writable");
}

fn parse_name(path: &Path) -> (i64, String) {
    let stem = path
        .file_name()
        .and_then(|name| name.to_str())
        .and_then(|name| name.strip_suffix(".sql"));
    let parsed = stem
        .and_then(|stem| stem.split_once('_'))
        .filter(|(version, _)| version.len() == VERSION_DIGITS);
    match parsed.and_then(|(version, name)| Some((version.parse().ok()?, name.to_owned()))) {
        Some(parsed) => parsed,
        None => panic!(
            "{}: the name must be <14 digits>_<name>.sql (DM-1)",
            path.display()
        ),
    }
}

fn has_down_section(text: &str) -> bool {
    text.lines()
        .map(|line| line.trim().to_ascii_lowercase())
        .any(|line| {
            line.strip_prefix("--").is_some_and(|comment| {
                let comment = comment.trim_start().trim_start_matches(['+', ' ']);
                comment == "down"
                    || comment.starts_with("goose down")
                    || comment.starts_with("migrate down")
                    || comment.starts_with("migrate:down")
            })
        })
}

fn variable(name: &str) -> String {
    env::var(name).expect("cargo sets the variables of build scripts")
}
