//! The library embeds `migrations/` and checks its SQL against `.sqlx/`; cargo cannot see either by itself.

use std::path::Path;

fn main() {
    // A path that does not exist would make cargo build anew every time.
    for folder in ["migrations", ".sqlx"]
        .into_iter()
        .filter(|folder| Path::new(folder).exists())
    {
        println!("cargo::rerun-if-changed={folder}");
    }
}
