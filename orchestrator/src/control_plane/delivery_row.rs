//! The row of a delivery: what it tells of the payload, read without building all of it.
//!
//! Intake does this for each delivery before it commits, so it is kept from what decisions need.
use std::fmt;
use std::marker::PhantomData;

use chrono::Utc;
use domain::events::{Event, parse};
use domain::ids::DeliveryId;
use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::intake::IntakeRequest;
use crate::store::deliveries::NewDelivery;

/// What the row says about the delivery without deciding anything. The gateway has refused invalid JSON (L-21).
pub fn describe(request: IntakeRequest) -> NewDelivery {
    let event = read(
        &request.delivery_id,
        &request.event_type,
        told_of(&request.body),
    );
    let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    NewDelivery {
        action: some(&event.action),
        repository_full_name: some(event.repository_full_name()),
        sender_login: some(event.sender_login()),
        body_sha256: Sha256::digest(&request.body).to_vec(),
        raw_body: request.body,
        delivery_id: request.delivery_id,
        event_type: request.event_type,
    }
}

/// The members of a payload that its row tells of; building all of it takes longer than storing it.
fn told_of(body: &[u8]) -> Value {
    #[derive(Deserialize)]
    struct Told {
        #[serde(default)]
        action: Value,
        #[serde(default, deserialize_with = "object")]
        repository: Repository,
        #[serde(default, deserialize_with = "object")]
        sender: Sender,
    }
    #[derive(Deserialize, Default)]
    struct Repository {
        #[serde(default)]
        full_name: Value,
    }
    #[derive(Deserialize, Default)]
    struct Sender {
        #[serde(default)]
        login: Value,
    }
    // What names a member twice, or holds another kind of value than GitHub sends, is read whole.
    match object::<Told, _>(&mut serde_json::Deserializer::from_slice(body)) {
        Ok(told) => json!({
            "action": told.action,
            "repository": {"full_name": told.repository.full_name},
            "sender": {"login": told.sender.login},
        }),
        _ => whole(body),
    }
}

/// An object, where the derived reader would also take an array for a list of members.
fn object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    struct Members<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
        type Value = T;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            formatter.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(members))
        }
    }
    deserializer.deserialize_map(Members(PhantomData))
}

/// All that a delivery says.
pub fn event_of(delivery: &NewDelivery) -> Event {
    read(
        &delivery.delivery_id,
        &delivery.event_type,
        whole(&delivery.raw_body),
    )
}

fn whole(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or(Value::Null)
}

fn read(delivery_id: &str, event_type: &str, payload: Value) -> Event {
    parse(
        DeliveryId::new(delivery_id),
        event_type,
        payload,
        Utc::now(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_tells_the_same_as_the_whole_payload() {
        for body in [
            r#"{"action": "labeled", "issue": {"number": 1}, "repository": {"id": 1, "full_name": "o/r"}, "sender": {"id": 2, "login": "ann"}}"#,
            r#"{"action": "a\u0000b", "repository": "no object", "sender": null}"#,
            r#"{"action": 1, "action": "twice", "sender": {"login": "ann"}}"#,
            r#"{"action": "a", "repository": {"full_name": "o/r", "full_name": "twice"}, "sender": {"login": 7}}"#,
            r#"{"action": "a", "repository": ["o/r"], "sender": ["ann"]}"#,
            r#"{"action": "a", "repository": {"full\u005fname": "o/r\u0000"}, "sender": {"id": 7}}"#,
            r#"["labeled", {"full_name": "o/r"}, {"login": "ann"}]"#,
            " {} ",
            "7",
            "no JSON",
        ] {
            let told = |payload| {
                let event = read("id", "issues", payload);
                (
                    event.action.clone(),
                    event.repository_full_name().to_owned(),
                    event.sender_login().to_owned(),
                )
            };
            assert_eq!(
                told(told_of(body.as_bytes())),
                told(whole(body.as_bytes())),
                "{body}"
            );
        }
    }
}
