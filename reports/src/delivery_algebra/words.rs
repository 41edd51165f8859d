//! What a comment says, without what differs from play to play: ids, digests, times, addresses.
use std::collections::BTreeMap;

use chrono::DateTime;

/// Stands for what differs.
const DIFFERS: &str = "…";
/// Shortest run of hexadecimal digits that is taken for an id or a digest.
const SHORTEST_DIGEST: usize = 7;
/// Shortest number that is taken for an id or a port.
const SHORTEST_NUMBER: usize = 5;
/// Lengths of the parts of a UUID.
const UUID_PARTS: [usize; 5] = [8, 4, 4, 4, 12];

/// The text with the play's own names replaced, the longest first, and every id, digest, time and address made alike.
#[must_use]
pub fn plain(text: &str, names: &BTreeMap<String, String>) -> String {
    let mut text = text.to_owned();
    let mut names: Vec<_> = names.iter().filter(|(name, _)| !name.is_empty()).collect();
    names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    for (name, placeholder) in names {
        text = text.replace(name.as_str(), placeholder);
    }
    pieces(&text, |character| {
        character.is_ascii_alphanumeric() || "-_.:".contains(character)
    })
    .into_iter()
    .map(|(piece, is_word)| {
        if is_word {
            word(piece)
        } else {
            piece.to_owned()
        }
    })
    .collect()
}

/// A chain of letters, digits and the signs that ids, times and addresses hold.
fn word(word: &str) -> String {
    let parts: Vec<usize> = word.split('-').map(str::len).collect();
    let hexadecimal = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_uuid = parts == UUID_PARTS && word.split('-').all(hexadecimal);
    let address = word.rsplit_once(':').map_or(word, |(host, _)| host);
    if is_uuid
        || DateTime::parse_from_rfc3339(word).is_ok()
        || address.parse::<std::net::Ipv4Addr>().is_ok()
    {
        return DIFFERS.to_owned();
    }
    pieces(word, |character| character.is_ascii_alphanumeric())
        .into_iter()
        .map(|(piece, is_token)| {
            let digits = piece.bytes().filter(u8::is_ascii_digit).count();
            let digest = hexadecimal(piece) && digits > 0 && piece.len() >= SHORTEST_DIGEST;
            let number = digits == piece.len() && piece.len() >= SHORTEST_NUMBER;
            if is_token && (digest || number) {
                DIFFERS
            } else {
                piece
            }
        })
        .collect()
}

/// The text cut where `inside` begins or ends to hold; each piece with whether it holds there.
fn pieces(text: &str, inside: impl Fn(char) -> bool) -> Vec<(&str, bool)> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut last = None;
    for (position, character) in text.char_indices() {
        let now = inside(character);
        if let Some(before) = last
            && before != now
        {
            pieces.push((&text[start..position], before));
            start = position;
        }
        last = Some(now);
    }
    if let Some(last) = last {
        pieces.push((&text[start..], last));
    }
    pieces
}
