//! The forms in which a secret may have leaked.
use base64::Engine;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// A byte pattern and the name of its form.
pub(super) struct Form {
    pub name: &'static str,
    pub pattern: Vec<u8>,
}

/// All patterns of a secret. Gzip is no pattern: compressed parts are unpacked and searched.
pub(super) fn of(secret: &str) -> Vec<Form> {
    let mut forms = vec![
        form("plain", secret.as_bytes().to_vec()),
        form("hex", hex::encode(secret).into_bytes()),
        form("hex", hex::encode_upper(secret).into_bytes()),
        form("url", url_encoded(secret).into_bytes()),
    ];
    let quoted = serde_json::Value::from(secret).to_string();
    forms.push(form(
        "json",
        quoted.as_bytes()[1..quoted.len() - 1].to_vec(),
    ));
    for (offset, name) in ["base64", "base64+1", "base64+2"].into_iter().enumerate() {
        forms.push(form(name, base64_core(&STANDARD_NO_PAD, secret, offset)));
        forms.push(form(name, base64_core(&URL_SAFE_NO_PAD, secret, offset)));
    }
    forms.sort_by(|a, b| a.pattern.cmp(&b.pattern));
    forms.dedup_by(|a, b| a.pattern == b.pattern);
    forms
}

fn form(name: &'static str, pattern: Vec<u8>) -> Form {
    Form { name, pattern }
}

/// The characters of the encoding that do not depend on what stands before and after the secret.
fn base64_core(engine: &impl Engine, secret: &str, offset: usize) -> Vec<u8> {
    let mut padded = vec![0u8; offset];
    padded.extend_from_slice(secret.as_bytes());
    let encoded = engine.encode(&padded);
    let first = (offset * 8).div_ceil(6);
    let last = padded.len() * 8 / 6;
    encoded.as_bytes()[first..last].to_vec()
}

fn url_encoded(secret: &str) -> String {
    secret
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}
