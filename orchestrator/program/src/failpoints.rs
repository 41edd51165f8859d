//! The one program of the platform with failpoints (E-44): a name of its own, so that it never takes the product's place.
#[path = "main.rs"]
mod program;

fn main() -> std::process::ExitCode {
    program::main()
}
