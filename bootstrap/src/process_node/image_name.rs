//! Names of images. The node starts no image, but a kubelet refuses a name that is none, and so does it.

/// Whether a registry could have an image of this name: `[host[:port]/]path[:tag][@digest]`.
pub(super) fn is_image_name(text: &str) -> bool {
    let (text, digest) = match text.split_once('@') {
        Some((text, digest)) => (text, Some(digest)),
        None => (text, None),
    };
    let path_begins = text.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match text.get(path_begins..).and_then(|last| last.find(':')) {
        Some(colon) => (
            text.get(..path_begins + colon).unwrap_or_default(),
            text.get(path_begins + colon + 1..),
        ),
        None => (text, None),
    };
    let mut parts = name.split('/').peekable();
    let first = parts.next().unwrap_or_default();
    let is_host = parts.peek().is_some() && (first.contains(['.', ':']) || first == "localhost");
    let host_holds = !is_host || is_host_name(first);
    let path_holds = (is_host || is_component(first)) && parts.all(is_component);
    host_holds && path_holds && tag.is_none_or(is_tag) && digest.is_none_or(is_digest)
}

fn is_host_name(text: &str) -> bool {
    let (host, port) = text.split_once(':').unwrap_or((text, "0"));
    let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    is_port && !host.is_empty() && host.bytes().all(known)
}

fn is_component(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = text.bytes().next().is_some_and(plain) && text.bytes().last().is_some_and(plain);
    ends && text
        .bytes()
        .all(|byte| plain(byte) || matches!(byte, b'.' | b'_' | b'-'))
}

fn is_tag(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(plain)
        && text
            .bytes()
            .all(|byte| plain(byte) || matches!(byte, b'.' | b'-'))
}

fn is_digest(text: &str) -> bool {
    text.split_once(':').is_some_and(|(kind, hash)| {
        let is_hash = hash.len() >= 32 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        !kind.is_empty() && is_hash
    })
}

#[cfg(test)]
mod tests {
    use super::is_image_name;

    #[test]
    fn a_name_is_taken_as_a_kubelet_takes_it() {
        let digest = format!("shop@sha256:{}", "a1".repeat(32));
        for name in [
            "x",
            "codex-k8s/agent-runner:dev",
            "registry.example.com:5000/team/shop:1.2_3",
            "localhost/shop",
            &digest,
        ] {
            assert!(is_image_name(name), "{name}");
        }
        for name in [
            "",
            "No-Such/Image",
            "shop:",
            "shop:a b",
            "shop//x",
            "-shop",
            "shop@sha256:12",
            "registry.example.com:port/shop",
        ] {
            assert!(!is_image_name(name), "{name}");
        }
    }
}
