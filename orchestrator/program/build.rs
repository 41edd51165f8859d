//! Embeds the revision of the checkout.
//! The program is a package of its own so that a commit relinks it and does not recompile the library.
use std::env;
use std::process::Command;

fn main() {
    let branch = git(&["symbolic-ref", "--quiet", "HEAD"]);
    // Git tells where each lies: a worktree has its own HEAD and index, and shares the branches.
    for file in ["HEAD", "index"].into_iter().chain(branch.as_deref()) {
        if let Some(path) = git(&["rev-parse", "--path-format=absolute", "--git-path", file]) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    println!("cargo:rerun-if-env-changed=CODEXK8S_BUILD_REVISION");
    println!("cargo:rerun-if-env-changed=CODEXK8S_BUILD_DIRTY");
    let revision = env::var("CODEXK8S_BUILD_REVISION")
        .ok()
        .or_else(|| git(&["rev-parse", "HEAD"]));
    let dirty = match env::var("CODEXK8S_BUILD_DIRTY") {
        Ok(given) => given == "true",
        Err(_) => git(&["status", "--porcelain", "--untracked-files=no"])
            .is_none_or(|changes| !changes.is_empty()),
    };
    println!(
        "cargo:rustc-env=CODEXK8S_BUILD_REVISION={}",
        revision.as_deref().unwrap_or("unknown")
    );
    println!("cargo:rustc-env=CODEXK8S_BUILD_DIRTY={dirty}");
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .args(arguments)
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
