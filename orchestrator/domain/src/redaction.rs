//! Replacing secrets by `[REDACTED]` before anything is stored or sent (G-123, G-124).
//!
//! A scanner of its own: patterns are few, must be linear in the input, and must never be configured away.

/// What stands in for a secret.
pub const REDACTED: &str = "[REDACTED]";

/// Shortest known value that is searched for: shorter ones occur in ordinary text.
const MINIMUM_KNOWN_VALUE_CHARACTERS: usize = 6;

/// Shortest base64 core that is searched for, for the same reason.
const MINIMUM_BASE64_CORE_CHARACTERS: usize = 6;

/// Shortest token body after a well-known prefix.
const MINIMUM_TOKEN_CHARACTERS: usize = 10;

/// Shortest body after `sk-`, which begins ordinary words too.
const MINIMUM_SK_CHARACTERS: usize = 16;

/// Replaces known values and well-known forms of secrets.
#[derive(Clone, Default)]
pub struct Redactor {
    needles: Vec<String>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Redactor({} forms)", self.needles.len())
    }
}

impl Redactor {
    /// A redactor that knows these values, also base64 and URL-encoded.
    pub fn new<'a>(known_values: impl IntoIterator<Item = &'a str>) -> Self {
        let mut needles: Vec<String> = Vec::new();
        for value in known_values {
            if value.chars().count() < MINIMUM_KNOWN_VALUE_CHARACTERS {
                continue;
            }
            needles.push(value.to_owned());
            needles.push(json_escaped(value));
            needles.extend([url_encoded(value, true), url_encoded(value, false)]);
            for url_safe in [false, true] {
                needles.extend(
                    (0..3).filter_map(|offset| base64_core(value.as_bytes(), offset, url_safe)),
                );
            }
        }
        needles.sort_by_key(|needle| std::cmp::Reverse(needle.len()));
        needles.dedup();
        Self { needles }
    }

    /// The text without secrets. Applying it twice changes nothing.
    pub fn redact(&self, text: &str) -> String {
        let mut clean = text.to_owned();
        for needle in &self.needles {
            if clean.contains(needle.as_str()) {
                clean = clean.replace(needle.as_str(), REDACTED);
            }
        }
        redact_forms(&clean)
    }

    /// Redacts every text inside a JSON value, keys included.
    pub fn redact_json(&self, value: &mut serde_json::Value) {
        match value {
            serde_json::Value::String(text) => *text = self.redact(text),
            serde_json::Value::Array(items) => {
                items.iter_mut().for_each(|item| self.redact_json(item))
            }
            serde_json::Value::Object(map) => {
                let old = std::mem::take(map);
                for (name, mut item) in old {
                    self.redact_json(&mut item);
                    map.insert(self.redact(&name), item);
                }
            }
            _ => {}
        }
    }
}

/// Replaces the forms of secrets that are recognisable without knowing the value.
pub fn redact_forms(text: &str) -> String {
    let mut output = String::with_capacity(text.len());
    let mut rest = text;
    let mut previous: Option<char> = None;
    while let Some(first) = rest.chars().next() {
        if let Some((kept, consumed)) = secret_at(rest, previous) {
            output.push_str(&rest[..kept]);
            output.push_str(REDACTED);
            previous = Some(']');
            rest = &rest[consumed..];
        } else {
            output.push(first);
            previous = Some(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    output
}

/// Bytes to keep before the secret and bytes up to its end, if a secret form begins here.
fn secret_at(rest: &str, previous: Option<char>) -> Option<(usize, usize)> {
    let at_word_start =
        !previous.is_some_and(|character| character.is_ascii_alphanumeric() || character == '_');
    private_key(rest)
        .or_else(|| at_word_start.then(|| prefixed_token(rest)).flatten())
        .or_else(|| at_word_start.then(|| json_web_token(rest)).flatten())
        .or_else(|| at_word_start.then(|| authorization_header(rest)).flatten())
        .or_else(|| at_word_start.then(|| url_credentials(rest)).flatten())
}

fn private_key(rest: &str) -> Option<(usize, usize)> {
    let body = rest.strip_prefix("-----BEGIN ")?;
    let header_end = body.find("-----")?;
    let name = &body[..header_end];
    if !name.ends_with("PRIVATE KEY") || name.contains('\n') {
        return None;
    }
    let end = format!("-----END {name}-----");
    let consumed = rest
        .find(&end)
        .map_or(rest.len(), |position| position + end.len());
    Some((0, consumed))
}

fn token_length(text: &str) -> usize {
    text.bytes()
        .take_while(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'))
        .count()
}

fn prefixed_token(rest: &str) -> Option<(usize, usize)> {
    const PREFIXES: [(&str, usize); 7] = [
        ("github_pat_", MINIMUM_TOKEN_CHARACTERS),
        ("ghp_", MINIMUM_TOKEN_CHARACTERS),
        ("gho_", MINIMUM_TOKEN_CHARACTERS),
        ("ghu_", MINIMUM_TOKEN_CHARACTERS),
        ("ghs_", MINIMUM_TOKEN_CHARACTERS),
        ("ghr_", MINIMUM_TOKEN_CHARACTERS),
        ("sk-", MINIMUM_SK_CHARACTERS),
    ];
    PREFIXES.iter().find_map(|(prefix, minimum)| {
        let length = token_length(rest.strip_prefix(prefix)?);
        (length >= *minimum).then_some((0, prefix.len() + length))
    })
}

fn json_web_token(rest: &str) -> Option<(usize, usize)> {
    if !rest.starts_with("eyJ") {
        return None;
    }
    let header = token_length(rest);
    let claims = token_length(rest[header..].strip_prefix('.')?);
    let signature = token_length(rest[header + 1 + claims..].strip_prefix('.')?);
    (header >= MINIMUM_TOKEN_CHARACTERS && claims >= 4 && signature >= 4)
        .then_some((0, header + claims + signature + 2))
}

fn authorization_header(rest: &str) -> Option<(usize, usize)> {
    let mut position = skip_word(rest, 0, "authorization")?;
    position = skip_while(rest, position, |byte| {
        matches!(byte, b' ' | b'\t' | b':' | b'=' | b'"' | b'\'' | b'\\')
    });
    position = ["bearer", "basic", "token"]
        .iter()
        .find_map(|scheme| skip_word(rest, position, scheme))?;
    let value = skip_while(rest, position, |byte| matches!(byte, b' ' | b'\t'));
    if value == position {
        return None;
    }
    let end = skip_while(rest, value, |byte| {
        !byte.is_ascii_whitespace() && !matches!(byte, b'"' | b'\'' | b',' | b'\\')
    });
    (end > value).then_some((value, end))
}

fn skip_word(text: &str, from: usize, word: &str) -> Option<usize> {
    let candidate = text.get(from..from + word.len())?;
    candidate
        .eq_ignore_ascii_case(word)
        .then_some(from + word.len())
}

fn skip_while(text: &str, from: usize, accept: impl Fn(u8) -> bool) -> usize {
    from + text.as_bytes()[from..]
        .iter()
        .take_while(|byte| accept(**byte))
        .count()
}

fn url_credentials(rest: &str) -> Option<(usize, usize)> {
    let start = ["https://", "http://"]
        .iter()
        .find_map(|scheme| skip_word(rest, 0, scheme))?;
    let end = skip_while(rest, start, |byte| {
        !byte.is_ascii_whitespace()
            && !matches!(byte, b'/' | b'?' | b'#' | b'@' | b'"' | b'\'' | b'<' | b'>')
    });
    let has_credentials = rest.as_bytes().get(end) == Some(&b'@') && end > start;
    has_credentials.then_some((start, end))
}

fn json_escaped(value: &str) -> String {
    let quoted = serde_json::Value::from(value).to_string();
    quoted[1..quoted.len() - 1].to_owned()
}

fn url_encoded(value: &str, upper_case: bool) -> String {
    value
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ if upper_case => format!("%{byte:02X}"),
            _ => format!("%{byte:02x}"),
        })
        .collect()
}

/// The characters of base64 text that depend on the value alone when it begins `offset` bytes into a group.
fn base64_core(value: &[u8], offset: usize, url_safe: bool) -> Option<String> {
    let mut padded = vec![0; offset];
    padded.extend_from_slice(value);
    let encoded = base64(&padded, url_safe);
    let skipped = [0, 2, 3][offset];
    let whole = padded.len() * 8 / 6;
    let core = encoded.get(skipped..whole)?;
    (core.len() >= MINIMUM_BASE64_CORE_CHARACTERS).then(|| core.to_owned())
}

fn base64(bytes: &[u8], url_safe: bool) -> String {
    const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let alphabet = if url_safe { URL_SAFE } else { STANDARD };
    bytes
        .chunks(3)
        .flat_map(|group| {
            let word = (u32::from(group[0]) << 16)
                | (u32::from(*group.get(1).unwrap_or(&0)) << 8)
                | u32::from(*group.get(2).unwrap_or(&0));
            (0..=group.len())
                .map(move |index| char::from(alphabet[(word >> (18 - 6 * index)) as usize & 63]))
        })
        .collect()
}
