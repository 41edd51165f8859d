//! The checksum of a session snapshot: SHA-256 over canonical JSON (R-89).
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Equal content gives the equal checksum, whatever the order of members.
pub fn checksum(session_json: &Value, agent_session_json: Option<&Value>) -> String {
    let mut canonical = String::new();
    canonical.push('[');
    write(session_json, &mut canonical);
    canonical.push(',');
    write(agent_session_json.unwrap_or(&Value::Null), &mut canonical);
    canonical.push(']');
    hex::encode(Sha256::digest(canonical.as_bytes()))
}

fn write(value: &Value, out: &mut String) {
    match value {
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write(item, out);
            }
            out.push(']');
        }
        Value::Object(entries) => {
            let mut keys: Vec<&String> = entries.keys().collect();
            keys.sort();
            out.push('{');
            for (index, key) in keys.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                out.push_str(&Value::String(key.clone()).to_string());
                out.push(':');
                write(&entries[key], out);
            }
            out.push('}');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_order_of_members_does_not_matter_but_content_does() {
        let one: Value = serde_json::from_str(r#"{"a":1,"b":[{"x":null,"y":"z"}]}"#).unwrap();
        let same: Value = serde_json::from_str(r#"{"b":[{"y":"z","x":null}],"a":1}"#).unwrap();
        let other: Value = serde_json::from_str(r#"{"a":1,"b":[{"y":"z"}]}"#).unwrap();
        assert_eq!(checksum(&one, None), checksum(&same, None));
        assert_ne!(checksum(&one, None), checksum(&other, None));
        assert_ne!(checksum(&one, None), checksum(&one, Some(&one)));
    }
}
