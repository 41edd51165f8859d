//! Strict JSON bodies: bounded, typed, unknown fields refused (DA-5).
use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use serde::de::DeserializeOwned;

use crate::http_api::{ApiError, ErrorCode};

/// No staff or runner request needs more but session snapshots, which have their own bound.
const MAX_BODY_BYTES: usize = 1024 * 1024;

/// A parsed body; an absent one counts as an empty object, so that optional fields may all be left out.
#[derive(Debug)]
pub struct JsonBody<T>(pub T);

impl<T, S> FromRequest<S> for JsonBody<T>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Self::Rejection> {
        let bytes = read(request, MAX_BODY_BYTES).await?;
        parse(&bytes).map(Self)
    }
}

/// Reads a body of at most `limit` bytes.
pub async fn read(request: Request, limit: usize) -> Result<Bytes, ApiError> {
    axum::body::to_bytes(request.into_body(), limit)
        .await
        .map_err(|_| {
            ApiError::new(
                ErrorCode::PayloadTooLarge,
                format!("the body is longer than {limit} bytes, or was cut off"),
            )
        })
}

/// Parses a body; U+0000 is replaced, since no text or jsonb column can hold it (D-32).
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    let value: serde_json::Value = serde_json::from_slice(bytes)
        .map_err(|error| ApiError::invalid("body", format!("not valid JSON: {error}")))?;
    T::deserialize(without_nul(value)).map_err(|error| ApiError::invalid("body", error.to_string()))
}

fn without_nul(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::String(text) if text.contains('\0') => Value::String(text.replace('\0', "\u{fffd}")),
        Value::Array(items) => Value::Array(items.into_iter().map(without_nul).collect()),
        Value::Object(entries) => Value::Object(
            entries
                .into_iter()
                .map(|(key, value)| (key.replace('\0', "\u{fffd}"), without_nul(value)))
                .collect(),
        ),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        name: Option<String>,
    }

    #[test]
    fn refuses_unknown_fields_and_replaces_nul() {
        assert!(parse::<Example>(br#"{"nmae":"x"}"#).is_err());
        assert!(parse::<Example>(b"{").is_err());
        let parsed: Example = parse(br#"{"name":"a\u0000b"}"#).expect("a valid body");
        assert_eq!(parsed.name.as_deref(), Some("a\u{fffd}b"));
        let absent: Example = parse(b"").expect("an absent body is an empty object");
        assert!(absent.name.is_none());
    }
}
