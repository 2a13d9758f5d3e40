//! Instructions an order, stage by stage, counted by valgrind: `cargo bench --bench instructions`.
//!
//! The clock says what a busy or a hot machine allowed; the count of instructions is the same on all of them, to a
//! few parts in ten thousand (hash maps are seeded by chance), so a change of one per cent shows. It is compared with
//! `benches/instructions.json`, which `-- --save` writes anew; other compilers and C libraries count a little
//! differently, so nothing fails over it.
//!
//! Valgrind is all it needs. `gungraun` (`iai-callgrind` until 2025) does the same and more, but wants a runner program
//! of exactly its own version installed beside it, and brings macros and a build script; what we need of it is this
//! file: the program starts itself under callgrind, once for each line of the table, and has only the calls of
//! [`counted_stage`] counted.

mod stages;

use std::{
    collections::BTreeMap,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
};

use clap::Parser;
use serde::Serialize;
use stages::{Batch, Case, STAGES, Stage};

/// What was counted when somebody last thought it worth remembering.
const BASELINE: &str = "benches/instructions.json";
/// Orders gone through, in batches of each of the sizes.
const ORDERS: usize = 100;
const SIZES: [usize; 2] = [1, 100];

/// Counts instructions an order, stage by stage, under valgrind.
#[derive(Parser)]
#[command(name = "instructions")]
struct Arguments {
    /// Of the lines (decide/new/100), only those with this in their name.
    filter: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Make what was counted the new baseline.
    #[arg(long)]
    save: bool,
    /// Keep callgrind's profiles in this folder, for `callgrind_annotate`.
    #[arg(long, value_name = "FOLDER")]
    profiles: Option<PathBuf>,
    /// Only run every stage once, uncounted.
    #[arg(long)]
    test: bool,
    /// What cargo says when it benchmarks, and not when it tests.
    #[arg(long, hide = true)]
    bench: bool,
    /// Run this one line: the program's word to itself.
    #[arg(long, hide = true)]
    under_valgrind: Option<String>,
}

/// A line of the table.
struct Line {
    stage: Stage,
    case: Case,
    size: usize,
}

impl Line {
    fn all() -> impl Iterator<Item = Self> {
        STAGES.into_iter().flat_map(|stage| {
            let cases = stage.cases.iter();
            cases.flat_map(move |case| {
                SIZES.map(|size| Self {
                    stage: Stage { ..stage },
                    case: *case,
                    size,
                })
            })
        })
    }

    fn name(&self) -> String {
        format!("{}/{}/{}", self.stage.name, self.case.name(), self.size)
    }

    fn run(&self) {
        let batches = stages::batches(self.case, self.size, ORDERS / self.size);
        // Once uncounted, so that the allocator has tidied up behind the preparations, and as in a service that runs.
        batches.iter().for_each(self.stage.run);
        counted_stage(self.stage.run, &batches);
    }
}

/// Callgrind counts from its first instruction to its last.
#[inline(never)]
fn counted_stage(run: fn(&Batch), batches: &[Batch]) {
    batches.iter().for_each(run);
}

/// What was counted of a line.
#[derive(Serialize)]
struct Counted {
    name: String,
    instructions_an_order: u64,
    baseline: Option<u64>,
    change_percent: Option<f64>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let wanted = |line: &Line| match (&arguments.under_valgrind, &arguments.filter) {
        (Some(name), _) => line.name() == *name,
        (None, Some(part)) => line.name().contains(part.as_str()),
        (None, None) => true,
    };
    let lines = Line::all().filter(wanted);
    if arguments.under_valgrind.is_some() || arguments.test || !arguments.bench {
        lines.for_each(|line| line.run());
        return Ok(());
    }

    let mut baseline: BTreeMap<String, u64> = match fs::read(BASELINE) {
        Ok(json) => serde_json::from_slice(&json)?,
        Err(_) => BTreeMap::new(),
    };
    let scratch = tempfile::tempdir()?;
    let folder = arguments.profiles.as_deref().unwrap_or(scratch.path());
    fs::create_dir_all(folder)?;
    let mut all = Vec::new();
    for line in lines {
        let name = line.name();
        let instructions = count(&name, folder)? / ORDERS as u64;
        let before = baseline.get(&name).copied();
        all.push(Counted {
            change_percent: before.map(|before| change(before, instructions)),
            instructions_an_order: instructions,
            baseline: before,
            name,
        });
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&all)?);
    } else {
        print(&all);
    }
    if arguments.save {
        let counted = all.into_iter();
        baseline.extend(counted.map(|line| (line.name, line.instructions_an_order)));
        fs::write(BASELINE, serde_json::to_string_pretty(&baseline)? + "\n")?;
    }
    Ok(())
}

/// Has callgrind run one line, and reads what it counted.
fn count(name: &str, folder: &Path) -> Result<u64, Box<dyn Error>> {
    let profile = folder.join(format!("{}.out", name.replace('/', "-")));
    let mut valgrind = Command::new("valgrind");
    valgrind
        .args([
            "--tool=callgrind",
            "--collect-atstart=no",
            "--toggle-collect=*counted_stage*",
        ])
        .arg(format!("--callgrind-out-file={}", profile.display()))
        .arg(std::env::current_exe()?)
        .args(["--under-valgrind", name])
        .stdin(Stdio::null());
    let output = valgrind.output().map_err(|error| {
        format!(
            "valgrind cannot be run ({error}); this benchmark needs it: apt-get install valgrind"
        )
    })?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{name}: {}\n{said}", output.status).into());
    }
    let profile = fs::read_to_string(profile)?;
    let total = profile
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("totals: "));
    let total: u64 = total.ok_or("callgrind wrote no total")?.trim().parse()?;
    if total == 0 {
        return Err("callgrind did not find counted_stage: was the program stripped?".into());
    }
    Ok(total)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "for people, who read one decimal"
)]
fn change(before: u64, after: u64) -> f64 {
    (after as f64 / before as f64 - 1.0) * 100.0
}

fn print(all: &[Counted]) {
    println!(
        "{:<24} {:>18} {:>12} {:>8}",
        "stage/case/batch", "instructions/order", "baseline", "change"
    );
    for line in all {
        let baseline = line
            .baseline
            .map_or("-".into(), |before| before.to_string());
        let change = line
            .change_percent
            // Plus zero makes a rounded -0 a 0.
            .map_or("-".into(), |percent| {
                format!("{:+.1} %", (percent * 10.0).round() / 10.0 + 0.0)
            });
        let (name, counted) = (&line.name, line.instructions_an_order);
        println!("{name:<24} {counted:>18} {baseline:>12} {change:>8}");
    }
}
