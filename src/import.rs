//! The use case beside the intake: a file of the receiver's own data in, stored whole or not at all, a report out.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use encoding_rs::Encoding;
use uuid::Uuid;

use crate::{
    catalogue::{
        Problem, Subject, Text, Totals,
        decide::{FreeNumbers, Keys, Shortage, decide},
        entry::{self, Entries},
        table::{self, Unreadable},
    },
    config::Publication,
    order::{Rules, sent::Sent},
    store::{self, Store, console::Act},
    threads::block_if_many,
};

/// How often orders may write the same clients first before we give up. From the second time on they are locked out.
const ATTEMPTS: u32 = 20;
/// From so many written records on, the tables are analysed.
const MANY: usize = 1000;
/// Set when the demo data was loaded.
const DEMO: &str = "demo_data";

/// How a file is to be taken.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    pub dry_run: bool,
    /// Leave bad lines out instead of refusing the file for them.
    pub skip_bad: bool,
}

#[derive(Debug)]
pub struct Report {
    /// What is new, changed, unchanged and refused.
    pub totals: Totals,
    pub problems: Vec<Problem>,
    /// What was taken, and should be known all the same.
    pub notes: Vec<Text>,
    /// Whether it was taken; `false` after a dry run and where bad lines refuse the file.
    pub stored: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read {}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    /// The file makes no sense.
    #[error("{}: {source}", path.display())]
    Unreadable { path: PathBuf, source: Unreadable },
    #[error("{}/{}.csv, {problem}", folder.display(), problem.subject.as_str())]
    BadDemo { folder: PathBuf, problem: Problem },
    /// The demo data's folder has none of its files.
    #[error("{}: neither districts.csv nor products.csv nor clients.csv is there", .0.display())]
    NoDemo(PathBuf),
    #[error("orders write the same clients all the time: nothing is stored, try again later")]
    Busy,
    /// The connection broke in the commit.
    #[error(
        "the connection to the database broke at the very end: importing the file once more is safe, and tells"
    )]
    Unsure(#[source] store::Error),
    /// The database does not take it now, or never.
    #[error("the database did not take it, nothing is stored")]
    Store(#[source] store::Error),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Read,
    Write,
}

/// Is told how far an import has come: what it does, how many rows of how many.
pub type Watch<'w> = &'w (dyn Fn(Step, usize, usize) + Send + Sync);

/// Reads a file's lines, in the encoding that somebody names or else in the one that it seems to have. Bad ones are no error, but stand in the entries.
pub async fn read(
    path: &Path,
    subject: Subject,
    encoding: Option<&'static Encoding>,
    publication: &Publication,
    entries: &mut Entries,
) -> Result<(), Error> {
    let bytes = tokio::fs::read(path).await.map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })?;
    let table = match encoding {
        None => table::read(subject, &bytes),
        Some(encoding) => table::read_as(encoding, subject, &bytes),
    };
    let table = table.map_err(|source| Error::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    entries.add(subject, table, &publication.rules);
    Ok(())
}

/// What a file of that kind says; bad lines stand in the entries.
///
/// # Errors
/// When the file as a whole makes no sense.
pub fn entries_of(subject: Subject, bytes: &[u8], rules: &Rules) -> Result<Entries, Unreadable> {
    let mut entries = Entries::default();
    entries.add(subject, table::read(subject, bytes)?, rules);
    Ok(entries)
}

/// Imports what was read, in one transaction. Bad lines are no error, but in the report.
pub async fn import(
    store: &Store,
    publication: &Publication,
    entries: &Entries,
    options: Options,
    watch: Watch<'_>,
) -> Result<Report, Error> {
    let how = How {
        options,
        mark: None,
        by: None,
        watch,
    };
    // Without a mark there is always a report.
    run(store, publication, entries, &how)
        .await?
        .ok_or(Error::Busy)
}

/// A publication's demo data, if it has any, as its files had it.
#[derive(Debug)]
pub struct Demo(Option<Result<Entries, Error>>);

impl Demo {
    /// Reads the files. What is wrong with them counts when they are to be loaded.
    pub async fn read(publication: &Publication) -> Self {
        match &publication.demo_data {
            None => Self(None),
            Some(folder) => Self(Some(read_demo(folder, publication).await)),
        }
    }
}

async fn read_demo(folder: &Path, publication: &Publication) -> Result<Entries, Error> {
    let mut entries = Entries::default();
    let mut found = false;
    for subject in [Subject::Districts, Subject::Products, Subject::Clients] {
        let path = folder.join(format!("{}.csv", subject.as_str()));
        match read(&path, subject, None, publication, &mut entries).await {
            Ok(()) => found = true,
            Err(Error::File { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    if found {
        Ok(entries)
    } else {
        Err(Error::NoDemo(folder.to_owned()))
    }
}

/// Loads the publication's demo data once: while it has no district, product and client. Any number of instances may try
/// at the same time. `None` when there was nothing to do.
pub async fn load_demo_once(
    store: &Store,
    publication: &Publication,
    demo: Demo,
) -> Result<Option<Report>, Error> {
    let (Some(folder), Demo(Some(entries))) = (&publication.demo_data, demo) else {
        return Ok(None);
    };
    let untouched = store.is_untouched(&publication.name, DEMO).await;
    if !untouched.map_err(Error::Store)? {
        return Ok(None);
    }
    let entries = entries?;
    let how = How {
        options: Options::default(),
        mark: Some(DEMO),
        by: None,
        watch: &|_, _, _| (),
    };
    let report = run(store, publication, &entries, &how).await?;
    let first_bad = report.as_ref().and_then(|report| report.problems.first());
    match first_bad {
        Some(problem) => Err(Error::BadDemo {
            folder: folder.clone(),
            problem: problem.clone(),
        }),
        None => Ok(report),
    }
}

/// Has a sender's id mean a product, as a line of a file of products would, in an operator's name. `None`: it means another
/// product, and nothing is changed.
pub async fn match_product(
    store: &Store,
    publication: &Publication,
    product_id: &str,
    product: i32,
    by: Act<'_>,
) -> Result<Option<Report>, Error> {
    let entries = Entries {
        products: vec![entry::Product {
            line: 1,
            number: Some(product),
            sender_ids: vec![product_id.to_owned()],
            name: None,
            active: Sent::Absent,
        }],
        ..Entries::default()
    };
    let how = How {
        options: Options::default(),
        mark: None,
        by: Some(Match {
            product_id,
            product,
            by,
        }),
        watch: &|_, _, _| (),
    };
    run(store, publication, &entries, &how).await
}

/// Has a sender's id not mean a product any more that an operator chose for it, in an operator's name. `false`: it does not mean that
/// product by an operator's choice, and nothing is changed.
pub async fn take_match_back(
    store: &Store,
    publication: &Publication,
    product_id: &str,
    product: i32,
    by: Act<'_>,
) -> Result<bool, Error> {
    let of_store = |error| match error {
        // A file is being imported.
        store::Error::Overtaken(_) => Error::Busy,
        error @ store::Error::Unsure(_) => Error::Unsure(error),
        error => Error::Store(error),
    };
    let import = store.begin_import(&publication.name).await;
    let mut import = import.map_err(of_store)?;
    let is_taken = import.take_match_back(product_id, product, by).await;
    let is_taken = is_taken.map_err(of_store)?;
    let ended = if is_taken {
        import.commit().await
    } else {
        import.roll_back().await
    };
    ended.map_err(of_store)?;
    Ok(is_taken)
}

/// An operator of the console has an id mean a product.
struct Match<'m> {
    product_id: &'m str,
    product: i32,
    by: Act<'m>,
}

struct How<'h> {
    options: Options,
    /// It is not a file's, and moves no id from another product.
    by: Option<Match<'h>>,
    /// Only while the publication is empty and does not have this mark, which it then gets.
    mark: Option<&'static str>,
    watch: Watch<'h>,
}

/// What the next try needs to know of the last one.
#[derive(Default)]
struct Memory {
    free: FreeNumbers,
    /// Stored clients that change.
    clients: Vec<i32>,
    lock: bool,
}

enum Tried {
    Done(Report),
    /// Get so many numbers more and try again.
    Short(Shortage),
    /// The publication is not empty any more, or has the mark; or the id means another product.
    Touched,
}

async fn run(
    store: &Store,
    publication: &Publication,
    entries: &Entries,
    how: &How<'_>,
) -> Result<Option<Report>, Error> {
    let keys = Keys::of(entries);
    let mut memory = Memory::default();
    let mut attempt = 0;
    while attempt < ATTEMPTS {
        match try_once(store, publication, entries, &keys, how, &mut memory).await {
            Ok(Tried::Done(report)) => return Ok(Some(report)),
            Ok(Tried::Touched) => return Ok(None),
            Ok(Tried::Short(shortage)) => store
                .take_numbers(publication, shortage, &mut memory.free)
                .await
                .map_err(Error::Store)?,
            Err(error) => {
                match error {
                    // Whoever holds on to the version wins once; then the clients are locked while we read.
                    store::Error::Overtaken(_) => memory.lock = true,
                    // An order brought one of our numbers along.
                    store::Error::NumberTaken(_) => memory.free = FreeNumbers::default(),
                    error @ store::Error::Unsure(_) => return Err(Error::Unsure(error)),
                    error => return Err(Error::Store(error)),
                }
                attempt += 1;
                let chance = u64::try_from(Uuid::new_v4().as_u128() % 50).unwrap_or(0);
                tokio::time::sleep(Duration::from_millis(u64::from(attempt) * 10 + chance)).await;
            }
        }
    }
    Err(Error::Busy)
}

async fn try_once(
    store: &Store,
    publication: &Publication,
    entries: &Entries,
    keys: &Keys,
    how: &How<'_>,
    memory: &mut Memory,
) -> Result<Tried, store::Error> {
    let Options { dry_run, skip_bad } = how.options;
    let mut import = store.begin_import(&publication.name).await?;
    if let Some(mark) = how.mark
        && !import.is_untouched(mark).await?
    {
        import.roll_back().await?;
        return Ok(Tried::Touched);
    }
    if memory.lock {
        import.lock_clients(&memory.clients).await?;
    }
    let watch = |step| move |done, all| (how.watch)(step, done, all);
    let stored = import.read(keys, &watch(Step::Read)).await?;
    if let Some(wanted) = &how.by
        && let Some(meant) = stored.product_ids.get(wanted.product_id)
        && *meant != wanted.product
    {
        import.roll_back().await?;
        return Ok(Tried::Touched);
    }
    let records = entries.districts.len() + entries.products.len() + entries.clients.len();
    let decision = block_if_many(records + entries.orders.len(), || {
        decide(&stored, entries, &mut memory.free.clone())
    });
    let report = |stored| Report {
        totals: decision.totals,
        problems: decision.problems.clone(),
        notes: decision.notes.clone(),
        stored,
    };
    let refused = !skip_bad && !decision.problems.is_empty();
    if dry_run || refused {
        import.roll_back().await?;
        return Ok(Tried::Done(report(false)));
    }
    if decision.shortage != Shortage::default() {
        import.roll_back().await?;
        return Ok(Tried::Short(decision.shortage));
    }
    let changed = decision.changes.clients.iter().filter(|put| !put.is_new);
    memory.clients = changed.map(|put| put.row.number).collect();
    import.write(&decision.changes, &watch(Step::Write)).await?;
    if let Some(mark) = how.mark {
        import.mark(mark).await?;
    }
    if let Some(wanted) = &how.by
        && !decision.changes.product_ids.is_empty()
    {
        import
            .note_match(wanted.product_id, wanted.product, wanted.by)
            .await?;
    }
    import.commit().await?;
    let written = decision.changes.clients.len()
        + decision.changes.products.len()
        + decision.changes.orders.len();
    if written >= MANY
        && let Err(error) = store.note_import().await
    {
        tracing::debug!(%error, "statistics could not be gathered");
    }
    Ok(Tried::Done(report(true)))
}
