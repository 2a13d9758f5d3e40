//! The library embeds `migrations/` and checks its SQL against `.sqlx/`; cargo cannot see either by itself. And it says which
//! commit it was built from.

use std::{env, path::Path, process::Command};

fn main() {
    // A path that does not exist would make cargo build anew every time.
    for folder in ["migrations", ".sqlx"]
        .into_iter()
        .filter(|folder| Path::new(folder).exists())
    {
        println!("cargo::rerun-if-changed={folder}");
    }
    println!("cargo::rustc-env=AQUA_REVISION={}", revision());
}

/// From the environment, where sources come without git (the image), or from git.
fn revision() -> String {
    println!("cargo::rerun-if-env-changed=AQUA_REVISION");
    if let Ok(named) = env::var("AQUA_REVISION") {
        return named;
    }
    // What developers build is not built anew for each commit.
    let head = Path::new(".git/logs/HEAD");
    if env::var("PROFILE").is_ok_and(|profile| profile == "release") && head.exists() {
        println!("cargo::rerun-if-changed={}", head.display());
        let git = Command::new("git")
            .args(["rev-parse", "--short=12", "HEAD"])
            .output();
        if let Some(said) = git.ok().filter(|said| said.status.success()) {
            return String::from_utf8_lossy(&said.stdout).trim().to_owned();
        }
    }
    "unknown".to_owned()
}
