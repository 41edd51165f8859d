//! What is sent: GitHub's published example of `issues.labeled`, at 10 KB, signed as GitHub signs it.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use uuid::Uuid;

/// Bytes of a payload.
pub const PAYLOAD_BYTES: usize = 10_240;
/// From `@octokit/webhooks-examples` 7.6.1 (MIT), without milestone, assignees and reactions.
const EXAMPLE: &str = include_str!("labeled.json");
/// Fills up the Issue's description: words, because PostgreSQL compresses what repeats.
const WORDS: [&str; 8] = [
    "label",
    "namespace",
    "review",
    "cluster",
    "image",
    "secret",
    "volume",
    "branch",
];
/// Stands where the delivery's id goes.
const NO_ID: Uuid = Uuid::nil();

/// Requests that lack only their delivery id, one for each of some Issues.
pub struct Deliveries {
    requests: Vec<Vec<u8>>,
    id_at: Vec<usize>,
}

impl Deliveries {
    /// So many Issues are labelled in turn.
    const ISSUES: u64 = 64;

    /// Signs beforehand: who sends shall take little from who receives.
    pub fn sign(secret: &str) -> Self {
        let requests: Vec<Vec<u8>> = (1..=Self::ISSUES)
            .map(|issue| request(secret, &payload(issue)))
            .collect();
        let id = NO_ID.to_string();
        let id_at = requests
            .iter()
            .map(|request| {
                request
                    .windows(id.len())
                    .position(|window| window == id.as_bytes())
                    .expect("the request has a place for the id")
            })
            .collect();
        Self { requests, id_at }
    }

    /// The request of one delivery, written over what `buffer` held.
    pub fn write(&self, issue: usize, id: Uuid, buffer: &mut Vec<u8>) {
        let issue = issue % self.requests.len();
        buffer.clear();
        buffer.extend_from_slice(&self.requests[issue]);
        let at = self.id_at[issue];
        id.hyphenated()
            .encode_lower(&mut buffer[at..at + uuid::fmt::Hyphenated::LENGTH]);
    }
}

/// A payload of exactly [`PAYLOAD_BYTES`].
pub fn payload(issue: u64) -> String {
    let mut payload: Value = serde_json::from_str(EXAMPLE).expect("the example is JSON");
    payload["issue"]["number"] = issue.into();
    payload["issue"]["body"] = "".into();
    let room = PAYLOAD_BYTES - payload.to_string().len();
    let mut text: String = (0..)
        .flat_map(|number: usize| {
            [
                WORDS[number * 7 % WORDS.len()].to_owned(),
                number.to_string(),
            ]
        })
        .take(room)
        .collect::<Vec<_>>()
        .join(" ");
    text.truncate(room);
    payload["issue"]["body"] = text.into();
    payload.to_string()
}

fn request(secret: &str, body: &str) -> Vec<u8> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body.as_bytes());
    let signature = hex::encode(mac.finalize().into_bytes());
    format!(
        "POST /api/v1/webhooks/github HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\n\
         User-Agent: GitHub-Hookshot/bench\r\nX-GitHub-Event: issues\r\nX-GitHub-Delivery: {NO_ID}\r\n\
         X-Hub-Signature-256: sha256={signature}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}
