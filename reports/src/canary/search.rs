//! Searches sinks for canaries and says how much was searched.
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read};
use std::path::Path;

use aho_corasick::AhoCorasick;
use flate2::read::GzDecoder;
use serde::{Deserialize, Serialize};

use super::forms;
use crate::evidence::SecretValue;

/// Compressed parts are unpacked this deep, so that a crafted input cannot nest for ever.
const MOST_GZIP_LEVELS: usize = 2;
/// One compressed part gives at most this many bytes, so that a crafted input cannot fill the memory.
const MOST_UNPACKED_BYTES: u64 = 64 * 1024 * 1024;
/// Begin of a gzip member with the deflate method.
const GZIP_MAGIC: [u8; 3] = [0x1f, 0x8b, 0x08];
/// Begin of the same in base64, as logs and JSON carry it.
const GZIP_MAGIC_BASE64: &[u8] = b"H4sI";

/// A place where a secret could have leaked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sink<'a> {
    /// Kind of the sink: `logs`, `events`, `comments`, `pull requests`, `api answers`, `database`, `job specs`, `bundle`.
    pub kind: &'a str,
    /// Name within the kind, such as a file.
    pub name: &'a str,
    /// Content as it is, before any redaction.
    pub bytes: &'a [u8],
}

/// One canary that was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CanaryHit {
    /// Kind of the sink.
    pub sink: String,
    /// Name within the kind.
    pub name: String,
    /// Name of the secret; its value is never written.
    pub canary: String,
    /// Form that it was found in.
    pub form: String,
    /// Byte offset, within the unpacked part for gzip.
    pub offset: usize,
}

/// Amount that was searched of one kind of sink.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SinkResult {
    /// Sinks of the kind.
    pub sinks: usize,
    /// Bytes searched, unpacked parts included.
    pub bytes: u64,
}

/// Result of the search, `canaries.json` of the bundle.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanarySearch {
    /// Names of the canaries searched for.
    pub canaries: Vec<String>,
    /// What was searched, by kind of sink.
    pub searched: BTreeMap<String, SinkResult>,
    /// Leaks.
    pub hits: Vec<CanaryHit>,
    /// Name of the canary that was leaked on purpose.
    pub planted: String,
    /// Whether the search found it; without this it is void.
    pub planted_found: bool,
}

/// Searches sink after sink, for all forms of all canaries in one pass.
pub struct CanarySearcher {
    forms: AhoCorasick,
    /// Canary and form of each pattern.
    meanings: Vec<(String, &'static str)>,
    planted: String,
    result: CanarySearch,
}

impl CanarySearcher {
    /// Prepares the patterns. The planted canary is one more secret, leaked on purpose by the gate.
    pub fn new(secrets: &[SecretValue], planted: &SecretValue) -> Self {
        let mut names = Vec::new();
        let mut patterns = Vec::new();
        let mut meanings = Vec::new();
        for secret in secrets
            .iter()
            .filter(|secret| secret.name != planted.name)
            .chain([planted])
        {
            names.push(secret.name.clone());
            for form in forms::of(secret.expose()) {
                patterns.push(form.pattern);
                meanings.push((secret.name.clone(), form.name));
            }
        }
        names.sort();
        Self {
            forms: AhoCorasick::new(patterns)
                .expect("the forms of a run's secrets fit an automaton"),
            meanings,
            planted: planted.name.clone(),
            result: CanarySearch {
                canaries: names,
                planted: planted.name.clone(),
                ..CanarySearch::default()
            },
        }
    }

    /// Searches one sink.
    pub fn search(&mut self, sink: Sink<'_>) {
        self.result
            .searched
            .entry(sink.kind.to_owned())
            .or_default()
            .sinks += 1;
        self.search_bytes(sink, sink.bytes, 0);
    }

    /// Searches every file below a folder as sinks of one kind.
    pub fn search_folder(&mut self, kind: &str, folder: &Path) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                self.search_folder(kind, &path)?;
            } else {
                let bytes = fs::read(&path)?;
                self.search(Sink {
                    kind,
                    name: &path.to_string_lossy(),
                    bytes: &bytes,
                });
            }
        }
        Ok(())
    }

    /// The result, hits in stable order.
    pub fn finish(mut self) -> CanarySearch {
        self.result.hits.sort();
        self.result.hits.dedup();
        self.result
    }

    fn search_bytes(&mut self, sink: Sink<'_>, bytes: &[u8], level: usize) {
        if let Some(result) = self.result.searched.get_mut(sink.kind) {
            result.bytes += bytes.len() as u64;
        }
        for found in self.forms.find_overlapping_iter(bytes) {
            let (canary, form) = &self.meanings[found.pattern().as_usize()];
            if *canary == self.planted {
                self.result.planted_found = true;
                continue;
            }
            self.result.hits.push(CanaryHit {
                sink: sink.kind.to_owned(),
                name: sink.name.to_owned(),
                canary: canary.clone(),
                form: match level {
                    0 => (*form).to_owned(),
                    _ => format!("gzip, {form}"),
                },
                offset: found.start(),
            });
        }
        if level < MOST_GZIP_LEVELS {
            for part in gzip_parts(bytes) {
                self.search_bytes(sink, &part, level + 1);
            }
        }
    }
}

fn starts_of(pattern: &[u8], bytes: &[u8]) -> impl Iterator<Item = usize> {
    let found: Vec<usize> = AhoCorasick::new([pattern])
        .expect("one short pattern fits an automaton")
        .find_iter(bytes)
        .map(|found| found.start())
        .collect();
    found.into_iter()
}

fn gzip_parts(bytes: &[u8]) -> Vec<Vec<u8>> {
    use base64::Engine;
    let raw = starts_of(&GZIP_MAGIC, bytes).filter_map(|offset| unpack(&bytes[offset..]));
    let encoded = starts_of(GZIP_MAGIC_BASE64, bytes).filter_map(|offset| {
        let text = &bytes[offset..];
        let end = text
            .iter()
            .position(|byte| !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/')))
            .unwrap_or(text.len());
        let whole = end - end % 4;
        let mut packed = base64::engine::general_purpose::STANDARD
            .decode(&text[..whole])
            .ok()?;
        // The last group may lack characters, when padding was left out.
        let rest = base64::engine::general_purpose::STANDARD_NO_PAD
            .decode(&text[whole..end])
            .unwrap_or_default();
        packed.extend(rest);
        unpack(&packed)
    });
    raw.chain(encoded).collect()
}

fn unpack(packed: &[u8]) -> Option<Vec<u8>> {
    let mut unpacked = Vec::new();
    // A cut or damaged member still gives what precedes the damage.
    let _ = GzDecoder::new(packed)
        .take(MOST_UNPACKED_BYTES)
        .read_to_end(&mut unpacked);
    (!unpacked.is_empty()).then_some(unpacked)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    const SECRET: &str = "canary/\"q\"+9f8e7d6c5b4a";

    fn forms_found(bytes: &[u8]) -> Vec<String> {
        let secrets = [SecretValue::new("pat", SECRET)];
        let mut searcher =
            CanarySearcher::new(&secrets, &SecretValue::new("planted", "planted-0123456789"));
        searcher.search(Sink {
            kind: "logs",
            name: "worker.log",
            bytes,
        });
        searcher
            .finish()
            .hits
            .into_iter()
            .map(|hit| hit.form)
            .collect()
    }

    fn gzip(text: &str) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(text.as_bytes()).expect("memory");
        encoder.finish().expect("memory")
    }

    #[test]
    fn every_form_is_found() {
        let around = |text: String| format!("before {text} after").into_bytes();
        let url = "canary%2F%22q%22%2B9f8e7d6c5b4a".to_owned();
        let json = "canary/\\\"q\\\"+9f8e7d6c5b4a".to_owned();
        assert_eq!(forms_found(&around(SECRET.to_owned())), ["plain"]);
        assert_eq!(forms_found(&around(hex::encode(SECRET))), ["hex"]);
        assert_eq!(forms_found(&around(hex::encode_upper(SECRET))), ["hex"]);
        assert_eq!(forms_found(&around(url)), ["url"]);
        assert_eq!(forms_found(&around(json)), ["json"]);
        for (offset, form) in ["base64", "base64+1", "base64+2"].into_iter().enumerate() {
            let text = format!("{}{SECRET}-tail", "x".repeat(offset));
            assert_eq!(forms_found(&around(STANDARD.encode(text))), [form]);
        }
        assert_eq!(forms_found(&gzip(SECRET)), ["gzip, plain"]);
        assert_eq!(
            forms_found(&around(STANDARD.encode(gzip(&format!("x {SECRET} x"))))),
            ["gzip, plain"]
        );
        assert!(forms_found(b"nothing to see").is_empty());
    }

    #[test]
    fn the_planted_leak_counts_as_found_and_not_as_a_leak() {
        let planted = SecretValue::new("planted", "planted-0123456789");
        let mut searcher = CanarySearcher::new(&[SecretValue::new("pat", SECRET)], &planted);
        searcher.search(Sink {
            kind: "logs",
            name: "gate.log",
            bytes: b"leak: planted-0123456789",
        });
        let result = searcher.finish();
        assert!(result.planted_found);
        assert!(result.hits.is_empty());
        assert_eq!(
            result.searched["logs"],
            SinkResult {
                sinks: 1,
                bytes: 24
            }
        );
    }
}
