//! Handles of buttons and texts (G-137): opaque, and made from the interaction, so that a repeated delivery offers the
//! same ones while only their hashes are stored.
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::notifications::{HandleKind, InteractionKind};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::Sha256;
use uuid::Uuid;

use crate::config::Config;

/// What a person may press.
#[derive(Debug)]
pub struct Button {
    pub handle: SecretString,
    pub kind: HandleKind,
    pub option_id: Option<String>,
    pub label: String,
}

/// The option of an approval that agrees.
pub const APPROVE: &str = "approved";
/// The option of a request that refuses.
pub const DENY: &str = "denied";

/// The buttons of an interaction with this content.
pub fn buttons(config: &Config, id: Uuid, kind: InteractionKind, content: &Value) -> Vec<Button> {
    let button = |kind: HandleKind, option_id: Option<&str>, label: &str| Button {
        handle: handle(config, id, kind, option_id),
        kind,
        option_id: option_id.map(str::to_owned),
        label: label.to_owned(),
    };
    let mut buttons: Vec<Button> = content["options"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|option| {
            let id = option["option_id"].as_str()?;
            Some(button(
                HandleKind::Option,
                Some(id),
                option["label"].as_str()?,
            ))
        })
        .collect();
    if content["allow_free_text"] == true || content["allow_custom"] == true {
        buttons.push(button(HandleKind::FreeText, None, "Write"));
    }
    match kind {
        InteractionKind::ApprovalRequest => {
            buttons.push(button(HandleKind::Option, Some(APPROVE), "Approve"));
            buttons.push(button(HandleKind::Option, Some(DENY), "Deny"));
        }
        InteractionKind::OwnerFeedback => {
            buttons.push(button(HandleKind::Option, Some(DENY), "Decline"));
        }
        InteractionKind::Notify | InteractionKind::DecisionRequest => {}
    }
    buttons
}

fn handle(config: &Config, id: Uuid, kind: HandleKind, option_id: Option<&str>) -> SecretString {
    let key = config
        .keys
        .secret_derivation
        .as_ref()
        .or(config.keys.token_encryption.as_ref())
        .expect("the configuration of a control plane requires the encryption key");
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose_secret().as_bytes())
        .expect("HMAC takes a key of any length");
    mac.update(b"interaction handle v1\0");
    mac.update(id.as_bytes());
    mac.update(kind.as_str().as_bytes());
    mac.update(&[0]);
    mac.update(option_id.unwrap_or_default().as_bytes());
    SecretString::from(URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}
