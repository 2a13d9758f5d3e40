//! Writes the manual pages and the completions of shells into a folder, for packages: `cargo run --example manual -- FOLDER`. An
//! example, so that the service's own program has none of it.

use std::{env, error::Error, fs, path::PathBuf};

use clap::Command;
use clap_complete::{Shell, generate_to};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::args_os().nth(1).ok_or("name the folder to write to")?;
    let folder = PathBuf::from(folder);
    let (pages, completions) = (folder.join("man"), folder.join("completions"));
    fs::create_dir_all(&pages)?;
    fs::create_dir_all(&completions)?;
    let mut command = aqua_orders::cli::command();
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        generate_to(shell, &mut command, "aqua-orders", &completions)?;
    }
    clap_mangen::generate_to(without_help(aqua_orders::cli::command()), pages)?;
    Ok(())
}

/// Else `help` has a page for each command, which says what the command's own says.
fn without_help(command: Command) -> Command {
    command
        .disable_help_subcommand(true)
        .mut_subcommands(without_help)
}
