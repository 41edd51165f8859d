//! Printing that survives a reader who has seen enough, as `gonogo run | head -1`: the run goes on and its bundle counts.

use std::io::Write;

/// A line on standard output, which carries data only.
pub fn print_line(text: &str) {
    // Nobody reads any more: there is nobody to tell that.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// A line on standard error, for people.
pub fn tell_line(text: &str) {
    // As above.
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Bytes on standard output, as they are.
pub fn write_all(bytes: &[u8]) {
    // As above.
    let _ = std::io::stdout().write_all(bytes);
}
