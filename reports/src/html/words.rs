//! Durations, times and pointers as people read them.
use chrono::{DateTime, Utc};

/// `85 ms`, `3.2 s`, `4 min 10 s`, `2 h 5 min`, `3 d 4 h`.
pub(super) fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match seconds {
        0 => format!("{milliseconds} ms"),
        1..60 => format!("{}.{} s", seconds, milliseconds % 1000 / 100),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        _ => format!("{} d {} h", seconds / 86400, seconds % 86400 / 3600),
    }
}

/// `21 Nov 2026, 12:00:03 UTC`.
pub(super) fn time(at: DateTime<Utc>) -> String {
    at.format("%-d %b %Y, %H:%M:%S UTC").to_string()
}

/// `12.3 MB`.
pub(super) fn bytes(number: u64) -> String {
    const KILO: u64 = 1000;
    match number {
        0..KILO => format!("{number} B"),
        KILO..1_000_000 => format!("{}.{} kB", number / KILO, number % KILO / 100),
        _ => format!("{}.{} MB", number / 1_000_000, number % 1_000_000 / 100_000),
    }
}

/// HTML of a text whose backticks mark code.
pub(super) fn rich(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + 16);
    let pieces: Vec<&str> = text.split('`').collect();
    let paired = pieces.len() % 2 == 1;
    for (index, piece) in pieces.iter().enumerate() {
        let code = paired && index % 2 == 1;
        if code {
            html.push_str("<code>");
        } else if !paired && index > 0 {
            html.push('`');
        }
        for character in piece.chars() {
            match character {
                '&' => html.push_str("&amp;"),
                '<' => html.push_str("&lt;"),
                '>' => html.push_str("&gt;"),
                '"' => html.push_str("&quot;"),
                '\'' => html.push_str("&#39;"),
                other => html.push(other),
            }
        }
        if code {
            html.push_str("</code>");
        }
    }
    html
}

/// File of a `file:line` pointer, for a link.
pub(super) fn file(pointer: &str) -> &str {
    pointer
        .rsplit_once(':')
        .filter(|(_, line)| line.bytes().all(|byte| byte.is_ascii_digit()))
        .map_or(pointer, |(file, _)| file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_marked_and_everything_is_escaped() {
        assert_eq!(rich("a `<b>` & c"), "a <code>&lt;b&gt;</code> &amp; c");
        assert_eq!(rich("odd ` <script>"), "odd ` &lt;script&gt;");
    }

    #[test]
    fn durations_keep_two_units_at_most() {
        let texts = [85, 3_240, 250_000, 7_500_000, 273_600_000].map(duration);
        assert_eq!(
            texts,
            ["85 ms", "3.2 s", "4 min 10 s", "2 h 5 min", "3 d 4 h"]
        );
        assert_eq!(bytes(12_345_678), "12.3 MB");
        assert_eq!(file("journals/github.ndjson:12"), "journals/github.ndjson");
        assert_eq!(file("scenarios/SL-07/"), "scenarios/SL-07/");
    }
}
