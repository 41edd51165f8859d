//! Strict query parameters: what is not known is refused, never ignored (DA-4, DA-5).
use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::http_api::ApiError;

const DEFAULT_PAGE_SIZE: i64 = 20;
const MAX_PAGE_SIZE: i64 = 1000;

/// The parameters of one request; a handler takes what it knows and then finishes.
#[derive(Debug, Default)]
pub struct Query {
    values: BTreeMap<String, Vec<String>>,
}

/// One page of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    pub page: i64,
    pub page_size: i64,
}

impl Page {
    /// Rows before this page.
    pub fn offset(self) -> i64 {
        (self.page - 1).saturating_mul(self.page_size)
    }

    /// The `pagination` object of an answer.
    pub fn describe(self, total_count: i64) -> serde_json::Value {
        serde_json::json!({ "page": self.page, "page_size": self.page_size, "total_count": total_count })
    }
}

impl Query {
    /// Parses a query string.
    pub fn parse(query: &str) -> Self {
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
            values
                .entry(key.trim_end_matches("[]").to_owned())
                .or_default()
                .push(value.into_owned());
        }
        Self { values }
    }

    /// A text parameter given at most once; empty counts as absent.
    pub fn text(&mut self, name: &str) -> Result<Option<String>, ApiError> {
        let mut given = self.values.remove(name).unwrap_or_default();
        if given.len() > 1 {
            return Err(ApiError::invalid(name, "give this parameter once"));
        }
        Ok(given.pop().filter(|value| !value.is_empty()))
    }

    /// A parameter given any number of times.
    pub fn many(&mut self, name: &str) -> Vec<String> {
        self.values.remove(name).unwrap_or_default()
    }

    /// A parameter of any type that parses from text.
    pub fn parsed<T>(&mut self, name: &str) -> Result<Option<T>, ApiError>
    where
        T: FromStr,
        T::Err: Display,
    {
        self.text(name)?
            .map(|value| {
                value
                    .parse()
                    .map_err(|error: T::Err| ApiError::invalid(name, error.to_string()))
            })
            .transpose()
    }

    /// A parameter out of a closed set; the refusal names the set (DA-5).
    pub fn one_of(&mut self, name: &str, allowed: &[&str]) -> Result<Option<String>, ApiError> {
        match self.text(name)? {
            Some(value) if !allowed.contains(&value.as_str()) => Err(ApiError::invalid(
                name,
                format!("expected one of {}", allowed.join(", ")),
            )),
            value => Ok(value),
        }
    }

    /// A number within bounds; out of range is refused, not clamped (DA-4).
    pub fn number(
        &mut self,
        name: &str,
        default: i64,
        least: i64,
        most: i64,
    ) -> Result<i64, ApiError> {
        let value = self.parsed(name)?.unwrap_or(default);
        if (least..=most).contains(&value) {
            Ok(value)
        } else {
            Err(ApiError::invalid(
                name,
                format!("expected a number from {least} to {most}"),
            ))
        }
    }

    /// `page` and `page_size`.
    pub fn page(&mut self) -> Result<Page, ApiError> {
        Ok(Page {
            page: self.number("page", 1, 1, i64::MAX)?,
            page_size: self.number("page_size", DEFAULT_PAGE_SIZE, 1, MAX_PAGE_SIZE)?,
        })
    }

    /// Refuses whatever nobody has taken.
    pub fn finish(self) -> Result<(), ApiError> {
        match self.values.into_keys().next() {
            Some(name) => Err(ApiError::invalid(name, "unknown query parameter")),
            None => Ok(()),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn refuses_what_nobody_took() {
        let mut query = Query::parse("page=2&paeg=1");
        assert_eq!(query.page().unwrap().page, 2);
        assert!(query.finish().is_err());
    }

    #[test]
    fn refuses_numbers_out_of_range_and_repeated_parameters() {
        assert!(Query::parse("page_size=1001").page().is_err());
        assert!(Query::parse("page=0").page().is_err());
        assert!(Query::parse("status=a&status=b").text("status").is_err());
        assert_eq!(
            Query::parse("event_type[]=a&event_type[]=b").many("event_type"),
            ["a", "b"]
        );
    }

    #[test]
    fn refuses_a_value_outside_a_closed_set() {
        assert!(
            Query::parse("order=up")
                .one_of("order", &["asc", "desc"])
                .is_err()
        );
        let value = Query::parse("order=asc").one_of("order", &["asc", "desc"]);
        assert_eq!(value.unwrap().as_deref(), Some("asc"));
    }
}
