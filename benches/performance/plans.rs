//! The plans of everything the service asks PostgreSQL for while it takes real batches, as PostgreSQL itself logs them.

use std::{
    collections::{BTreeMap, HashSet},
    fmt::Write as _,
    fs,
    path::Path,
};

use aqua_orders::load::{Error, Load, Plan, Workload};

use crate::{
    machine::{Cluster, Settings, USUAL, measured, plan},
    rows::{prepare_stored, stored_name},
};

/// Orders in the batches whose plans are kept.
const BATCH: usize = 100;
/// The database that was never analysed.
const FRESH: &str = "never_analysed";

/// One statement that was run.
#[derive(Debug)]
struct Ran {
    milliseconds: f64,
    statement: String,
    plan: String,
}

/// Writes the plans to `document`; an error where a stored table is walked through.
pub async fn collect(cluster: &Cluster, stored: u64, document: &Path) -> Result<(), Error> {
    prepare_stored(cluster, stored).await?;
    cluster.create_empty(FRESH).await?;
    let name = stored_name(stored);
    let mut text = format!(
        "EXPLAIN (ANALYZE, BUFFERS) of every statement that the service sent for real batches of 1 and of {BATCH} orders:\n\
         new, unchanged and changed ones. PostgreSQL {} logged them (auto_explain); of each statement the slowest run is\n\
         shown, PostgreSQL's own checks of foreign keys among them. Written by `./bench.sh plans`.\n",
        cluster.ask("postgres", "SHOW server_version").await?
    );
    let (mut walked, mut runs) = (Vec::new(), Vec::new());
    for (database, what) in [
        (name.as_str(), format!("{stored} orders stored")),
        (
            FRESH,
            "a new database, never analysed before its first batch".to_owned(),
        ),
    ] {
        let ran = run(cluster, database).await?;
        let tables = cluster
            .ask(
                database,
                "SELECT string_agg(tablename, ' ') FROM pg_tables WHERE schemaname = 'public'",
            )
            .await?;
        let tables: HashSet<&str> = tables.split_whitespace().collect();
        for ran in &ran {
            for table in walked_through(&ran.plan) {
                if tables.contains(table) {
                    walked.push(format!("{what}: {table} in {}", title(&ran.statement)));
                }
            }
        }
        runs.push((what, ran));
    }
    let all: Vec<&Ran> = runs.iter().flat_map(|(_, ran)| ran).collect();
    for (what, ran) in &runs {
        let _ = write!(text, "\n\n######## {what}\n");
        text.push_str(&shown(ran, &all));
    }
    walked.sort();
    walked.dedup();
    // Writing to a String cannot fail, here and above.
    let _ = if walked.is_empty() {
        writeln!(
            text,
            "\n\nNo stored table was walked through, as a whole or for all rows of a publication (of a table that is new and not \
             analysed yet, up to {A_WALK} rows)."
        )
    } else {
        writeln!(text, "\n\nWALKED THROUGH:\n{}", walked.join("\n"))
    };
    if let Some(folder) = document.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(document, text)?;
    eprintln!("written: {}", document.display());
    if walked.is_empty() {
        Ok(())
    } else {
        Err(format!("stored tables are walked through:\n{}", walked.join("\n")).into())
    }
}

async fn run(cluster: &Cluster, database: &str) -> Result<Vec<Ran>, Error> {
    for (setting, value) in [
        ("session_preload_libraries", "auto_explain"),
        ("auto_explain.log_min_duration", "0"),
        ("auto_explain.log_analyze", "on"),
        ("auto_explain.log_buffers", "on"),
        ("auto_explain.log_nested_statements", "on"),
    ] {
        cluster
            .sql(
                "postgres",
                &format!("ALTER DATABASE {database} SET {setting} = '{value}'"),
            )
            .await?;
    }
    let before = cluster.log()?.len();
    let service = cluster.serve(Settings {
        name: "plans",
        database: Some(database),
        coalesce: true,
    })?;
    let target = service.target(USUAL);
    // The large ones first: a database that is new is new only once.
    for batch in [BATCH, 1] {
        for workload in [Workload::New, Workload::Resend, Workload::ResendChanged] {
            let plan = Plan {
                workload,
                batch,
                orders: Some(batch as u64 * 3),
                ..plan()
            };
            measured(&mut Load::prepare(&target, &plan).await?).await?;
        }
    }
    drop(service);
    let log = cluster.log()?;
    let mut ran = read(log.get(before..).unwrap_or_default());
    ran.retain(|ran| is_hot(&ran.statement));
    if ran.is_empty() {
        return Err("PostgreSQL logged no plan: is its auto_explain installed?".into());
    }
    Ok(ran)
}

/// What `auto_explain` wrote: `… LOG:  duration: 1.2 ms  plan:`, and after it, each line behind a tab, the text of the
/// statement and its plan.
fn read(log: &str) -> Vec<Ran> {
    let mut all = Vec::new();
    let mut lines = log.lines().peekable();
    while let Some(line) = lines.next() {
        let Some((_, rest)) = line.split_once("LOG:  duration: ") else {
            continue;
        };
        let Some((duration, "plan:")) = rest.split_once(" ms  ") else {
            continue;
        };
        let mut ran = Ran {
            milliseconds: duration.parse().unwrap_or_default(),
            statement: String::new(),
            plan: String::new(),
        };
        while let Some(line) = lines.next_if(|line| line.starts_with('\t')) {
            let line = &line[1..];
            let into = if ran.plan.is_empty() && !line.contains("  (cost=") {
                &mut ran.statement
            } else {
                &mut ran.plan
            };
            into.push_str(line);
            into.push('\n');
        }
        ran.statement = words(ran.statement.trim_start_matches("Query Text: "));
        all.push(ran);
    }
    all
}

fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The statement's file where it has one, else its beginning.
fn title(statement: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|kind| kind == "sql")
            && fs::read_to_string(&path).is_ok_and(|text| words(&text) == statement)
        {
            return format!("src/store/{}", entry.file_name().to_string_lossy());
        }
    }
    statement.chars().take(200).collect()
}

/// So many rows looked at and thrown away by an index that is used by the publication alone are a walk. Fewer are a new
/// table's: until it is analysed, at its first hundred rows, PostgreSQL takes one of its indexes to be as good as another.
const A_WALK: u64 = 1_000;

/// The tables that a plan walks through: by a sequential scan, or by an index of which it uses the publication alone.
fn walked_through(plan: &str) -> Vec<&str> {
    let mut walked = Vec::new();
    let (mut table, mut found, mut by_publication) = (None, 0, false);
    for line in plan.lines() {
        if let Some((node, costs)) = line.split_once("  (cost=") {
            table = node
                .split_once(" on ")
                .and_then(|(_, rest)| rest.split_whitespace().next());
            found = costs
                .split_once("actual time=")
                .and_then(|(_, actual)| number_behind(actual, "rows="))
                .unwrap_or(0);
            by_publication = false;
            if node.contains("Seq Scan on ") {
                walked.extend(table);
            }
        } else if let Some((_, condition)) = line.split_once("Index Cond: ") {
            by_publication = condition.contains("publication") && !condition.contains(" AND ");
            if by_publication && found > A_WALK {
                walked.extend(table);
            }
        } else if by_publication
            && number_behind(line, "Rows Removed by Filter: ").is_some_and(|rows| rows > A_WALK)
        {
            walked.extend(table);
        }
    }
    walked
}

fn number_behind(text: &str, name: &str) -> Option<u64> {
    let (_, rest) = text.split_once(name)?;
    let end = rest
        .find(|character: char| !character.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..end].parse().ok()
}

/// A plan without its numbers: what is done, by which index, on which condition.
fn shape(plan: &str) -> Vec<&str> {
    plan.lines()
        .filter_map(|line| match line.split_once("  (cost=") {
            Some((node, _)) => Some(node),
            None => line.contains("Index Cond:").then_some(line),
        })
        .collect()
}

/// Whether a statement is a batch's: not of the service's start, and not about PostgreSQL's own tables.
fn is_hot(statement: &str) -> bool {
    ![
        "_sqlx_migrations",
        "pg_advisory",
        "current_database()",
        "pg_class",
    ]
    .iter()
    .any(|word| statement.contains(word))
}

fn shown(ran: &[Ran], all: &[&Ran]) -> String {
    let mut text = String::new();
    let mut seen = HashSet::new();
    for one in ran {
        if !seen.insert(&one.statement) {
            continue;
        }
        let same = || ran.iter().filter(|other| other.statement == one.statement);
        let slowest = same()
            .max_by(|a, b| a.milliseconds.total_cmp(&b.milliseconds))
            .unwrap_or(one);
        let shown = shape(&slowest.plan);
        let mut others: BTreeMap<Vec<&str>, usize> = BTreeMap::new();
        for other in all.iter().filter(|other| other.statement == one.statement) {
            let other = shape(&other.plan);
            if other != shown {
                let lines = other
                    .into_iter()
                    .filter(|line| !shown.contains(line))
                    .collect();
                *others.entry(lines).or_default() += 1;
            }
        }
        // Writing to a String cannot fail, here and below.
        let _ = writeln!(
            text,
            "\n==== {}\n==== {}run {} times here, the slowest in {:.3} ms\n\n{}",
            title(&one.statement),
            if others.is_empty() {
                "one plan wherever it ran; "
            } else {
                "SEVERAL PLANS, see below; "
            },
            same().count(),
            slowest.milliseconds,
            slowest.plan.trim_end()
        );
        for (lines, runs) in others {
            let _ = writeln!(
                text,
                "\n---- {runs} runs in this document had instead:\n{}",
                lines.join("\n")
            );
        }
    }
    text
}
