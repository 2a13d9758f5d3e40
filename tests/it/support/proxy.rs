//! A line that a test can cut: before the service, or before PostgreSQL, whose messages it reads.

use std::{
    collections::HashSet,
    io,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::{Notify, watch},
    task::JoinHandle,
};

/// What happens on the line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// Everything passes.
    Pass,
    /// Whoever is there, or comes, is hung up on.
    Down,
    /// Nothing passes on the connections there are, and nobody is told, ever; nor on those that come meanwhile.
    Silent,
    /// What is sent arrives. The next answer does not: the line is cut instead, once.
    LoseAnswer,
    /// What a client asks for its session when it connects does not arrive, as by way of a pooler.
    DropOptions,
    /// Writing statements do not arrive until the rule is another one.
    HoldWrites,
    /// The line is cut at this moment of the next writing statement, once; then `then`.
    CutWrite { moment: Moment, then: Then },
}

/// When, seen from PostgreSQL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The statement never arrives.
    Before,
    /// It has arrived, and nobody waits for what becomes of it.
    During,
    /// It is committed, and PostgreSQL's word of it is lost.
    After,
    /// The same, and the client hears of it what `PgBouncer` says.
    AfterPooled,
}

/// What follows a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    Pass,
    Down,
}

/// The line.
#[derive(Debug)]
pub struct Proxy {
    line: Arc<Line>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Line {
    rule: watch::Sender<Rule>,
    cuts: AtomicUsize,
    held: AtomicUsize,
    let_go: Notify,
}

impl Proxy {
    /// In front of a service; callers connect to the address.
    pub async fn before_service(service: SocketAddr) -> (Self, SocketAddr) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let proxy = Self::accepting(|line| async move {
            while let Ok((near, _)) = listener.accept().await {
                let line = Arc::clone(&line);
                tokio::spawn(async move {
                    if let Ok(far) = TcpStream::connect(service).await {
                        line.carry(near.into_split(), far.into_split(), None).await;
                    }
                });
            }
        });
        (proxy, address)
    }

    /// In front of the PostgreSQL that has its socket in `server`; clients take the folder for the server's.
    pub fn before_postgres(server: &Path) -> (Self, TempDir) {
        const SOCKET: &str = ".s.PGSQL.5432";
        // Always /tmp: a socket's path must be short.
        let folder = tempfile::Builder::new()
            .prefix("aqua-test-")
            .tempdir_in("/tmp")
            .unwrap();
        let listener = UnixListener::bind(folder.path().join(SOCKET)).unwrap();
        let server = server.join(SOCKET);
        let proxy = Self::accepting(|line| async move {
            while let Ok((near, _)) = listener.accept().await {
                let (line, server) = (Arc::clone(&line), server.clone());
                tokio::spawn(async move {
                    if let Ok(far) = UnixStream::connect(&server).await {
                        let messages = Some(Messages::default());
                        line.carry(near.into_split(), far.into_split(), messages)
                            .await;
                    }
                });
            }
        });
        (proxy, folder)
    }

    fn accepting<F: Future<Output = ()> + Send + 'static>(
        accept: impl FnOnce(Arc<Line>) -> F,
    ) -> Self {
        let line = Arc::new(Line {
            rule: watch::Sender::new(Rule::Pass),
            cuts: AtomicUsize::new(0),
            held: AtomicUsize::new(0),
            let_go: Notify::new(),
        });
        let accepting = tokio::spawn(accept(Arc::clone(&line)));
        Self { line, accepting }
    }

    /// From now on.
    pub fn set(&self, rule: Rule) {
        self.line.rule.send_replace(rule);
    }

    /// How many statements [`Rule::HoldWrites`] holds.
    pub fn held(&self) -> usize {
        self.line.held.load(Ordering::Relaxed)
    }

    /// Lets go of those, and holds what comes.
    pub fn let_held_go(&self) {
        self.line.let_go.notify_waiters();
    }

    /// How often it was cut as [`Rule::LoseAnswer`] or [`Rule::CutWrite`] say.
    pub fn cuts(&self) -> usize {
        self.line.cuts.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.set(Rule::Down);
    }
}

impl Line {
    /// One connection, until one of its ends, or a rule, ends it.
    async fn carry(
        &self,
        near: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
        far: (impl AsyncRead + Unpin, impl AsyncWrite + Unpin),
        messages: Option<Messages>,
    ) {
        let mut rule = self.rule.subscribe();
        let committing: OnceLock<(Moment, Then)> = OnceLock::new();
        // Whichever is over first, both ends are dropped: hung up on.
        tokio::select! {
            biased;
            _ = rule.wait_for(|rule| *rule == Rule::Down) => {}
            _ = self.up(near.0, far.1, messages, &committing) => {}
            _ = self.down(far.0, near.1, &committing) => {}
        }
    }

    /// Requests.
    async fn up(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        mut messages: Option<Messages>,
        committing: &OnceLock<(Moment, Then)>,
    ) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut cut_at_sync = None;
        while from.read_buf(&mut bytes).await? > 0 {
            self.silence().await;
            let Some(messages) = &mut messages else {
                to.write_all(&bytes).await?;
                bytes.clear();
                continue;
            };
            while let Some(mut message) = messages.next(&mut bytes) {
                if *self.rule.borrow() == Rule::DropOptions {
                    message = without_options(message);
                }
                let is_write = messages.begins_write(&message);
                if is_write {
                    self.hold().await;
                }
                if is_write && let Some((moment, then)) = self.take_cut() {
                    match moment {
                        Moment::Before => {
                            self.cut(then);
                            return Ok(());
                        }
                        Moment::During => cut_at_sync = Some(then),
                        Moment::After | Moment::AfterPooled => {
                            committing.set((moment, then)).unwrap();
                        }
                    }
                }
                to.write_all(&message).await?;
                if let (b'S', Some(then)) = (message[0], cut_at_sync) {
                    self.cut(then);
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Answers.
    async fn down(
        &self,
        mut from: impl AsyncRead + Unpin,
        mut to: impl AsyncWrite + Unpin,
        committing: &OnceLock<(Moment, Then)>,
    ) -> io::Result<()> {
        /// Its severity, its code and its text.
        const POOLERS_WORD: &[u8] = b"SFATAL\0VFATAL\0C08P01\0Mserver conn crashed?\0\0";
        /// `ReadyForQuery`, outside of a transaction: what was to be committed is.
        const READY: [u8; 6] = [b'Z', 0, 0, 0, 5, b'I'];

        let mut bytes = Vec::new();
        while from.read_buf(&mut bytes).await? > 0 {
            self.silence().await;
            if let Some((moment, then)) = committing.get() {
                if bytes.ends_with(&READY) {
                    if *moment == Moment::AfterPooled {
                        let length = u32::try_from(POOLERS_WORD.len() + 4).unwrap();
                        let word = [b"E", &length.to_be_bytes()[..], POOLERS_WORD].concat();
                        to.write_all(&word).await?;
                    }
                    self.cut(*then);
                    return Ok(());
                }
                continue;
            }
            let lost = self.rule.send_if_modified(|rule| {
                let lost = *rule == Rule::LoseAnswer;
                if lost {
                    *rule = Rule::Pass;
                }
                lost
            });
            if lost {
                self.cut(Then::Pass);
                return Ok(());
            }
            to.write_all(&bytes).await?;
            bytes.clear();
        }
        Ok(())
    }

    async fn silence(&self) {
        if *self.rule.borrow() == Rule::Silent {
            std::future::pending::<()>().await;
        }
    }

    /// Waits where writing statements are held.
    async fn hold(&self) {
        if *self.rule.borrow() == Rule::HoldWrites {
            self.held.fetch_add(1, Ordering::Relaxed);
            let mut rule = self.rule.subscribe();
            tokio::select! {
                // It ends with the line at the latest.
                _ = rule.wait_for(|rule| *rule != Rule::HoldWrites) => {}
                () = self.let_go.notified() => {}
            }
            self.held.fetch_sub(1, Ordering::Relaxed);
        }
    }

    fn take_cut(&self) -> Option<(Moment, Then)> {
        let mut cut = None;
        self.rule.send_if_modified(|rule| {
            if let Rule::CutWrite { moment, then } = *rule {
                cut = Some((moment, then));
                *rule = Rule::Pass;
            }
            cut.is_some()
        });
        cut
    }

    /// To be followed by the end of the connection.
    fn cut(&self, then: Then) {
        self.cuts.fetch_add(1, Ordering::Relaxed);
        if then == Then::Down {
            self.rule.send_replace(Rule::Down);
        }
    }
}

/// A question for TLS may come before the first message; no version of the protocol has so high a number.
const QUESTIONS: usize = 1234 << 16;

/// The first message without its parameter `options`; any other as it is.
fn without_options(message: Vec<u8>) -> Vec<u8> {
    /// Version 3.0 of the protocol, in whose place no later message has this.
    const STARTUP: [u8; 4] = [0, 3, 0, 0];
    if message.get(4..8) != Some(&STARTUP) {
        return message;
    }
    let texts: Vec<&[u8]> = message[8..].split(|byte| *byte == 0).collect();
    let mut body = STARTUP.to_vec();
    for pair in texts.chunks(2).filter(|pair| pair[0] != b"options") {
        if let [name, value] = pair
            && !name.is_empty()
        {
            body.extend([*name, &[0], *value, &[0]].concat());
        }
    }
    body.push(0);
    let length = u32::try_from(body.len() + 4).unwrap();
    [&length.to_be_bytes()[..], &body].concat()
}

/// What a client says to PostgreSQL, message by message.
#[derive(Debug, Default)]
struct Messages {
    /// Past the first message, which alone has no letter in front.
    begun: bool,
    /// Names of prepared statements that write a batch.
    writing: HashSet<Vec<u8>>,
}

impl Messages {
    /// Takes the first whole message out of `bytes`.
    fn next(&mut self, bytes: &mut Vec<u8>) -> Option<Vec<u8>> {
        let number = |at: usize| {
            let four = bytes.get(at..at + 4)?.try_into().unwrap();
            usize::try_from(u32::from_be_bytes(four)).ok()
        };
        let length = if self.begun {
            number(1)? + 1
        } else {
            number(0)?
        };
        if bytes.len() < length {
            return None;
        }
        self.begun = self.begun || number(4)? < QUESTIONS;
        let rest = bytes.split_off(length);
        Some(std::mem::replace(bytes, rest))
    }

    /// Whether the message binds the statement that writes orders (src/store/write.sql).
    fn begins_write(&mut self, message: &[u8]) -> bool {
        let mut texts = message
            .get(5..)
            .unwrap_or_default()
            .split(|byte| *byte == 0);
        let (first, second) = (
            texts.next().unwrap_or_default(),
            texts.next().unwrap_or_default(),
        );
        match message[0] {
            // Parse: the statement's name and its text.
            b'P' if String::from_utf8_lossy(second).contains("INSERT INTO orders") => {
                self.writing.insert(first.to_vec());
                false
            }
            // Bind: the portal's name and the statement's.
            b'B' => self.writing.contains(second),
            _ => false,
        }
    }
}
