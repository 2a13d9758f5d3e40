//! Sends orders to the targets of the publications (contract §8.3): states, not events. A target that fails is left alone for a
//! while, an order that is refused is parked, and neither holds up anything else.
//!
//! One task looks after all targets; one that has something to do gets a task until it is done.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::{Id, JoinError, JoinHandle, JoinSet},
    time::{Instant, sleep_until, timeout},
};

pub use self::call::SetupError;
use self::send::{Next, Sender};
use crate::{
    config::{Config, Target},
    store::{self, Store, feed::AllNews},
    telemetry::metrics::Metrics,
};

pub mod answer;
mod call;
mod pause;
mod send;
mod take_over;

/// Sendings that are at the database at a time: intake comes first.
const DATABASE_TURNS: usize = 2;
/// What other instances and commands stored is found by looking, so often …
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// … but at no more than so many targets a second.
const LOOKS_A_SECOND: u32 = 20;
/// Between two looks at a target that news come of: what is stored meanwhile goes together.
const GAP: Duration = Duration::from_millis(200);
/// When to try again where the database is away.
const DATABASE_AWAY: Duration = Duration::from_secs(5);

/// The senders of a process.
#[derive(Debug)]
pub struct Targets {
    store: Store,
    /// Sendings that are at the database.
    turns: Arc<Semaphore>,
    /// Takes other senders over into the task.
    senders: mpsc::UnboundedSender<Vec<Arc<Sender>>>,
    stop: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

/// Whether a target can be reached with its settings, as far as can be known without calling it.
pub fn check(target: &Target) -> Result<(), SetupError> {
    call::Caller::new(target).map(drop)
}

impl Targets {
    /// Begins to send. A target whose settings do not do is told of, and left out.
    #[must_use]
    pub fn start(store: &Store, config: &Config, metrics: &Metrics) -> Self {
        let (stop, stopping) = watch::channel(false);
        let (senders, replaced) = mpsc::unbounded_channel();
        let dispatcher = Dispatcher::new(store.clone());
        let targets = Self {
            store: store.clone(),
            turns: Arc::new(Semaphore::new(DATABASE_TURNS)),
            senders,
            stop,
            task: Mutex::new(Some(tokio::spawn(dispatcher.run(replaced, stopping)))),
        };
        targets.reload(config, metrics);
        targets
    }

    /// Sends to the targets of these settings from now on. What is under way to a target ends under its lease, which the same target
    /// waits for with its new settings.
    pub fn reload(&self, config: &Config, metrics: &Metrics) {
        let mut senders = Vec::new();
        for publication in &config.publications {
            for target in &publication.targets {
                let metrics = metrics.target(&publication.name, &target.name);
                match Sender::new(&publication.name, target, &self.store, metrics, &self.turns) {
                    Ok(sender) => senders.push(Arc::new(sender)),
                    Err(error) => tracing::error!(
                        publication = publication.name,
                        target = target.name,
                        error = %call::in_full(&error),
                        "nothing can be sent to this target"
                    ),
                }
            }
        }
        // Nobody takes them any more where the service stops.
        let _ = self.senders.send(senders);
    }

    /// Begins nothing any more.
    pub fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits, once it was told to stop, for the requests that are under way, but no longer than that.
    pub async fn stopped(&self, patience: Duration) {
        let task = self.task.lock().take();
        let Some(mut task) = task else {
            return;
        };
        if timeout(patience, &mut task).await.is_err() {
            // Sent again, under the same ids, by whoever takes the lease next.
            task.abort();
            tracing::warn!("stopped, not waiting for the targets' last answers any longer");
        }
    }
}

/// Knows when each target is to be looked at.
struct Dispatcher {
    store: Store,
    /// `None` as long as there is nobody to send to.
    news: Option<AllNews>,
    senders: Vec<Arc<Sender>>,
    /// Of each target.
    states: Vec<State>,
    by_publication: HashMap<String, Vec<usize>>,
    /// Moments that may have been overtaken: [`State::due`] is the one that counts.
    queue: BinaryHeap<Reverse<(Instant, usize)>>,
    running: JoinSet<Result<Next, store::Error>>,
    targets: HashMap<Id, usize>,
    look_every: Duration,
}

#[derive(Clone, Copy)]
struct State {
    /// `None` while it is looked at.
    due: Option<Instant>,
    /// News do not make it due before.
    quiet_until: Instant,
    /// News came while it was looked at.
    has_news: bool,
}

impl Dispatcher {
    fn new(store: Store) -> Self {
        Self {
            store,
            news: None,
            senders: Vec::new(),
            states: Vec::new(),
            by_publication: HashMap::new(),
            queue: BinaryHeap::new(),
            running: JoinSet::new(),
            targets: HashMap::new(),
            look_every: LOOK_EVERY,
        }
    }

    async fn run(
        mut self,
        mut replaced: mpsc::UnboundedReceiver<Vec<Arc<Sender>>>,
        mut stopping: watch::Receiver<bool>,
    ) {
        loop {
            let next = self.next_due();
            tokio::select! {
                biased;
                // An error: nobody holds the other end, and nobody will stop us otherwise.
                _ = stopping.wait_for(|stop| *stop) => break,
                Some(senders) = replaced.recv() => self.replace(senders),
                Some(ended) = self.running.join_next_with_id() => self.ended(ended),
                publications = next_news(&mut self.news) => self.heard(&publications),
                () = sleep_until(next) => self.begin(Instant::now()),
            }
        }
        while self.running.join_next().await.is_some() {}
    }

    /// Looks after these from now on. What is under way with those before comes to its end, and is not heard of any more.
    fn replace(&mut self, senders: Vec<Arc<Sender>>) {
        let now = Instant::now();
        let count = u32::try_from(senders.len()).unwrap_or(u32::MAX);
        let state = State {
            due: None,
            quiet_until: now,
            has_news: false,
        };
        self.look_every = LOOK_EVERY.max(Duration::from_secs(1) * count / LOOKS_A_SECOND);
        self.states = vec![state; senders.len()];
        self.senders = senders;
        self.by_publication.clear();
        self.queue.clear();
        self.targets.clear();
        if self.news.is_none() && !self.senders.is_empty() {
            self.news = Some(self.store.all_news());
        }
        for index in 0..self.senders.len() {
            let publication = self.senders[index].publication().to_owned();
            let of_publication = self.by_publication.entry(publication);
            of_publication.or_default().push(index);
            // What was left when the last process ended is not looked for all at once.
            let place = u32::try_from(index).unwrap_or(u32::MAX);
            self.schedule(index, now + Duration::from_secs(1) * place / LOOKS_A_SECOND);
        }
    }

    fn schedule(&mut self, index: usize, at: Instant) {
        self.states[index].due = Some(at);
        self.queue.push(Reverse((at, index)));
    }

    fn next_due(&mut self) -> Instant {
        while let Some(Reverse((at, index))) = self.queue.peek().copied() {
            if self.states[index].due == Some(at) {
                return at;
            }
            self.queue.pop();
        }
        Instant::now() + self.look_every
    }

    /// Begins what is due.
    fn begin(&mut self, now: Instant) {
        while let Some(Reverse((at, index))) = self.queue.peek().copied() {
            if at > now {
                return;
            }
            self.queue.pop();
            if self.states[index].due != Some(at) {
                continue;
            }
            self.states[index].due = None;
            self.states[index].has_news = false;
            let sender = Arc::clone(&self.senders[index]);
            let task = self.running.spawn(async move { sender.send_once().await });
            self.targets.insert(task.id(), index);
        }
    }

    fn heard(&mut self, publications: &[String]) {
        let now = Instant::now();
        for publication in publications {
            for index in self
                .by_publication
                .get(publication)
                .cloned()
                .unwrap_or_default()
            {
                let state = &mut self.states[index];
                state.has_news = true;
                let at = now.max(state.quiet_until);
                if state.due.is_some_and(|due| due > at) {
                    self.schedule(index, at);
                }
            }
        }
    }

    fn ended(&mut self, ended: Result<(Id, Result<Next, store::Error>), JoinError>) {
        let (id, next) = match ended {
            Ok((id, next)) => (id, next),
            Err(error) => (error.id(), Ok(Next::Pause(DATABASE_AWAY))),
        };
        let Some(index) = self.targets.remove(&id) else {
            return;
        };
        let now = Instant::now();
        let next = next.unwrap_or_else(|error| {
            tracing::warn!(
                publication = self.senders[index].publication(),
                target = self.senders[index].name(),
                error = %error.in_full(),
                "the target has to wait for the database"
            );
            Next::Pause(DATABASE_AWAY)
        });
        let (wait, quiet) = match next {
            Next::Now => (Duration::ZERO, Duration::ZERO),
            Next::Later(wait) => (wait.unwrap_or(self.look_every), GAP),
            Next::Pause(wait) => (wait, wait),
        };
        // However long it may wait: somebody may change its mind by hand, or in another instance.
        let (wait, quiet) = (wait.min(self.look_every), quiet.min(self.look_every));
        let state = &mut self.states[index];
        state.quiet_until = now + quiet;
        let wait = if state.has_news {
            wait.min(quiet)
        } else {
            wait
        };
        self.schedule(index, now + wait);
    }
}

async fn next_news(news: &mut Option<AllNews>) -> Vec<String> {
    match news {
        Some(news) => news.next().await,
        None => std::future::pending().await,
    }
}
