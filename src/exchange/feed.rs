//! The feed as a back office reads it: from a cursor on, at most so many orders, waiting for the first where there is none.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    config::Publication,
    fair_semaphore::FairSemaphore,
    memory::Reservation,
    order::{
        datetime,
        known::{Keys, Known},
        reply::{OrderAnswer, Shape},
    },
    store::{
        self, Store,
        feed::{Cursor, FeedRow, MOST_ROWS},
    },
    threads::block_if_many,
};

/// The most orders of an answer.
pub const MOST_ORDERS: usize = MOST_ROWS - 1;
/// An answer ends behind the order with which it gets so long.
pub const PAGE_BYTES: usize = 8 * 1024 * 1024;
/// Orders that are read at a time.
const CHUNK: usize = 100;
/// The most that is read of the database at a time, roughly; of a single order whatever it is.
const CHUNK_BYTES: usize = 4 * 1024 * 1024;
/// A piece of an answer is about so long: when it is sent its memory is free again.
const PIECE: usize = 256 * 1024;
/// Answers that are put together at the same time.
const AT_ONCE: usize = 2;
/// How many of one login may wait.
pub const WAITING: usize = 4;
/// Between two looks for what other instances stored. A little less than the second that is promised.
const LOOK_EVERY: Duration = Duration::from_millis(900);

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    Beginning,
    Cursor(Cursor),
    /// At what was changed from then on.
    Since(DateTime<Utc>),
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    pub after: After,
    pub limit: usize,
    /// How long to wait for the first order.
    pub wait: Duration,
}

/// An answer.
#[derive(Debug)]
pub struct Page {
    /// JSON, in pieces that belong one behind the other.
    pub body: Vec<Vec<u8>>,
    pub orders: usize,
    /// From behind the first of these positions up to the second.
    pub range: (i64, i64),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The cursor is of another publication, or of a history of the database that is gone.
    #[error("the cursor's history is gone")]
    CursorLost,
    /// As many of this login wait as may.
    #[error("too many wait")]
    TooManyWait,
    /// No memory is left, or too many are reading.
    #[error("overloaded")]
    Overloaded,
    /// The database is away.
    #[error("the feed cannot be read")]
    Store(#[from] store::Error),
}

/// Reads feeds. One for the process.
#[derive(Debug)]
pub struct Feeds {
    reading: FairSemaphore,
    /// By publication and login, how many wait.
    waiting: Mutex<HashMap<(String, String), usize>>,
    /// By publication that somebody waits for.
    lookouts: Mutex<HashMap<String, Weak<()>>>,
}

impl Default for Feeds {
    fn default() -> Self {
        Self {
            reading: FairSemaphore::new(AT_ONCE),
            waiting: Mutex::default(),
            lookouts: Mutex::default(),
        }
    }
}

impl Feeds {
    /// Reads on. Waits, where there is nothing, until there is, the time is up, or `stop` resolves. A caller that
    /// hangs up meanwhile is not noticed: he may have closed his side of the connection only.
    ///
    /// # Errors
    /// [`Error`]
    pub async fn read(
        self: &Arc<Self>,
        store: &Store,
        publication: &Publication,
        login: &str,
        question: Question,
        memory: &mut Reservation,
        stop: impl Future<Output = ()>,
    ) -> Result<Page, Error> {
        let deadline = Instant::now() + question.wait;
        // Before the reading, so that nothing is missed between the two.
        let mut news = store.news(&publication.name);
        let mut first = async || {
            let start = start(store, &publication.name, question.after).await?;
            let page = self.page(store, publication, start, question.limit, memory);
            Ok((start, page.await?))
        };
        let (start, mut page) = match first().await {
            // A connection that broke while nobody used it takes those of its age along: the next one is sound.
            Err(Error::Store(store::Error::Unsure(_))) => first().await?,
            read => read?,
        };
        if page.orders > 0 || question.wait.is_zero() {
            return Ok(page);
        }
        let _waiting = self.wait_in(&publication.name, login)?;
        let _lookout = self.lookout(store, &publication.name);
        tokio::pin!(stop);
        while page.orders == 0 {
            tokio::select! {
                biased;
                () = &mut stop => break,
                () = sleep_until(deadline) => break,
                _ = news.changed() => {}
            }
            page = self
                .page(store, publication, start, question.limit, memory)
                .await?;
        }
        Ok(page)
    }

    async fn page(
        &self,
        store: &Store,
        publication: &Publication,
        start: Option<Cursor>,
        limit: usize,
        memory: &mut Reservation,
    ) -> Result<Page, Error> {
        let _permit = (self.reading.acquire(memory.share(), 1).await)
            .map_err(|_queue_full| Error::Overloaded)?;
        let name = &publication.name;
        let from = start.map_or(0, |cursor| cursor.position);
        let (mut rows, feed) = loop {
            // Asked before the reading: what another reader places in between is read then.
            let mut feed = store.feed_state(name).await?;
            // One more tells whether there are more.
            let mut rows = store.feed_rows(name, from, limit + 1).await?;
            if rows.len() <= limit && feed.has_unplaced {
                if store.place(name).await? > 0 {
                    continue;
                }
                // Another reader placed them, or they are being written.
                rows = store.feed_rows(name, from, limit + 1).await?;
                feed.has_unplaced = false;
            }
            break (rows, feed);
        };
        let has_more = rows.len() > limit;
        rows.truncate(limit);
        // For the next page, which need not wait for it then; where it fails, that page says so. A task of its own, for the writing
        // holds up this one.
        let placed_behind = feed.head - rows.last().map_or(from, |last| last.position);
        let next_is_short = placed_behind <= i64::try_from(limit).unwrap_or(i64::MAX);
        let placing_ahead = (feed.has_unplaced && next_is_short).then(|| {
            let (store, name) = (store.clone(), name.clone());
            tokio::spawn(async move { store.place(&name).await })
        });
        let (writer, read) = write(store, publication, &rows, memory).await?;
        if let Some(placing) = placing_ahead {
            placing.await.ok();
        }
        let cursor = match rows[..read].last() {
            Some(last) => store.cursor_at(name, last.position).await?,
            None => start,
        };
        let to = cursor.map_or(0, |cursor| cursor.position);
        Ok(Page {
            body: writer.finish(cursor, has_more || read < rows.len()),
            orders: read,
            range: (from, to),
        })
    }

    /// How many wait, of all logins together.
    pub fn waiting(&self) -> usize {
        self.waiting.lock().values().sum()
    }

    /// Takes one of the places that a login has for waiting.
    fn wait_in(self: &Arc<Self>, publication: &str, login: &str) -> Result<Waiting, Error> {
        let key = (publication.to_owned(), login.to_owned());
        let mut waiting = self.waiting.lock();
        let count = waiting.entry(key.clone()).or_default();
        if *count >= WAITING {
            return Err(Error::TooManyWait);
        }
        *count += 1;
        Ok(Waiting {
            feeds: Arc::clone(self),
            key,
        })
    }

    /// Has somebody look for what other instances store, as long as the result is held; one for all who wait.
    fn lookout(&self, store: &Store, publication: &str) -> Arc<()> {
        let mut lookouts = self.lookouts.lock();
        if let Some(there) = lookouts.get(publication).and_then(Weak::upgrade) {
            return there;
        }
        let wanted = Arc::new(());
        lookouts.insert(publication.to_owned(), Arc::downgrade(&wanted));
        let still_wanted = Arc::downgrade(&wanted);
        tokio::spawn(look_out(
            store.clone(),
            publication.to_owned(),
            still_wanted,
        ));
        wanted
    }
}

/// One who waits.
struct Waiting {
    feeds: Arc<Feeds>,
    key: (String, String),
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut waiting = self.feeds.waiting.lock();
        if let Some(count) = waiting.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                waiting.remove(&self.key);
            }
        }
    }
}

/// Looks once a second whether another instance stored something, or placed what we did not see, until nobody waits.
async fn look_out(store: Store, publication: String, wanted: Weak<()>) {
    let mut last_head = None;
    while wanted.strong_count() > 0 {
        // Where the database is away, whoever waits finds out when the time is up.
        if let Ok(state) = store.feed_state(&publication).await {
            let is_new = last_head.is_some_and(|last| last != state.head);
            last_head = Some(state.head);
            if is_new || state.has_unplaced {
                store.tell_news(&publication);
            }
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Where the reading starts; `None`: at the beginning.
async fn start(store: &Store, publication: &str, after: After) -> Result<Option<Cursor>, Error> {
    match after {
        After::Beginning => Ok(None),
        After::Since(moment) => Ok(store.cursor_since(publication, moment).await?),
        After::Cursor(cursor) if store.knows_cursor(publication, cursor).await? => Ok(Some(cursor)),
        After::Cursor(_) => Err(Error::CursorLost),
    }
}

/// Writes the first of these rows, as many as there is room for; says how many.
async fn write<'p>(
    store: &Store,
    publication: &'p Publication,
    rows: &[FeedRow],
    memory: &mut Reservation,
) -> Result<(Writer<'p>, usize), Error> {
    let name = &publication.name;
    let mut writer = Writer::new(publication);
    let mut read = 0;
    let room = |memory: &mut Reservation, written| {
        // What is read for these orders, what becomes of it, and what is read for the next ones meanwhile.
        (memory.grow(written + 3 * CHUNK_BYTES)).map_err(|_exhausted| Error::Overloaded)
    };
    room(memory, 0)?;
    let mut next = read_chunk(store, name, rows).await?;
    while let Some(chunk) = next.take() {
        let (these, rest) = rows[read..].split_at(chunk.rows);
        let (behind, written) = tokio::join!(
            // Asked first: PostgreSQL works on it while this thread writes.
            read_chunk(store, name, rest),
            async { block_if_many(these.len(), || writer.orders(these, &chunk.known)) },
        );
        read += written?;
        if writer.bytes >= PAGE_BYTES || room(memory, writer.bytes).is_err() {
            break;
        }
        next = behind?;
    }
    memory.shrink_to(writer.bytes);
    Ok((writer, read))
}

/// Orders of the feed, as they are read at a time.
struct Chunk {
    /// Of so many rows.
    rows: usize,
    known: Known,
}

/// Reads the orders of the first of these rows; `None`: there are none.
async fn read_chunk(
    store: &Store,
    publication: &str,
    rows: &[FeedRow],
) -> Result<Option<Chunk>, Error> {
    let mut some = &rows[..rows.len().min(CHUNK)];
    while !some.is_empty() {
        let mut keys = Keys::default();
        for row in some {
            keys.order_ids.insert(&row.sender_id);
            // Many are cached.
            keys.client_numbers.insert(row.client_number);
        }
        let most_bytes = if some.len() > 1 {
            CHUNK_BYTES
        } else {
            usize::MAX
        };
        match store.read(publication, &keys, false, most_bytes).await {
            Ok(known) => {
                return Ok(Some(Chunk {
                    rows: some.len(),
                    known,
                }));
            }
            // Clients with thousands of addresses and prices: fewer at a time.
            Err(store::Error::TooMuch) => some = &some[..some.len().div_ceil(2)],
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}

/// Writes an answer.
struct Writer<'p> {
    publication: &'p Publication,
    pieces: Vec<Vec<u8>>,
    bytes: usize,
    orders: usize,
}

/// One order of the feed.
#[derive(Serialize)]
struct Entry<'a> {
    number: i32,
    id: &'a str,
    version: i32,
    changed_at: String,
    changed_by: &'a str,
    receiver: Receiver<'a>,
    order: OrderAnswer<'a>,
}

#[derive(Serialize)]
struct Receiver<'a> {
    number: Option<&'a str>,
    uid: Option<&'a str>,
}

impl<'p> Writer<'p> {
    fn new(publication: &'p Publication) -> Self {
        Self {
            publication,
            // The first piece is written at the end, when it is known what stands in it.
            pieces: vec![Vec::new(), Vec::new()],
            bytes: 0,
            orders: 0,
        }
    }

    /// Writes the orders of these rows until the answer is long enough; says of how many. Of one that was erased nothing is told: 1C
    /// would take its blanks for news.
    fn orders(&mut self, rows: &[FeedRow], known: &Known) -> Result<usize, Error> {
        let orders: HashMap<i32, _> = known.orders.iter().map(|o| (o.number, o)).collect();
        let clients: HashMap<i32, _> = known.clients.iter().map(|c| (c.number, c)).collect();
        let rules = &self.publication.rules;
        for (written, row) in rows.iter().enumerate() {
            if self.bytes >= PAGE_BYTES {
                return Ok(written);
            }
            let order = orders.get(&row.number);
            let found = order.and_then(|order| Some((order, clients.get(&order.client_number)?)));
            let (order, client) =
                found.ok_or_else(|| store::Error::corrupt("an order of the feed"))?;
            if order.shipping_address.is_erased() {
                continue;
            }
            self.entry(&Entry {
                number: row.number,
                id: &order.sender_id,
                // Of what is shown, which may be newer than the row.
                version: order.version,
                changed_at: datetime::print_iso(row.changed_at, rules.timezone),
                changed_by: &row.changed_by,
                receiver: Receiver {
                    number: row.receiver_number.as_deref(),
                    uid: row.receiver_uid.as_deref(),
                },
                order: OrderAnswer::whole(order, client, rules, Shape::Feed),
            })?;
        }
        Ok(rows.len())
    }

    fn entry(&mut self, entry: &Entry<'_>) -> Result<(), Error> {
        if self.pieces.last().is_none_or(|piece| piece.len() >= PIECE) {
            self.pieces.push(Vec::new());
        }
        let Some(piece) = self.pieces.last_mut() else {
            return Ok(());
        };
        let before = piece.len();
        if self.orders > 0 {
            piece.push(b',');
        }
        // Nothing of a record can make this fail; the library cannot know.
        serde_json::to_writer(&mut *piece, entry)
            .map_err(|_never| store::Error::corrupt("an order of the feed"))?;
        self.bytes += piece.len() - before;
        self.orders += 1;
        Ok(())
    }

    fn finish(mut self, cursor: Option<Cursor>, more: bool) -> Vec<Vec<u8>> {
        let cursor = cursor.map(|cursor| cursor.to_string()).unwrap_or_default();
        self.pieces[0] =
            format!(r#"{{"success":true,"cursor":"{cursor}","more":{more},"orders":["#)
                .into_bytes();
        self.pieces.push(b"]}".to_vec());
        self.pieces
    }
}
