//! Slots for connections: so many in all, of a wide network and of a network. Where they are full, a newcomer gets the slot
//! of a connection that waits for its caller, so that nobody is kept out by those who only hold connections open.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::{Body, HttpBody};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use ipnet::IpNet;
use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use tokio::{sync::watch, time::sleep};

use super::address::is_in;
use crate::{
    http::bounds::LAST_WORDS,
    share::{network_of, wide_network_of},
};

#[derive(Debug)]
pub struct Slots {
    /// In all, of a wide network and of a network.
    most: [usize; 3],
    /// They speak for many, so only the number of all slots bounds them.
    proxies: Arc<[IpNet]>,
    taken: Mutex<Taken>,
    count: Gauge,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_wide_network: HashMap<IpAddr, usize>,
    by_network: HashMap<IpAddr, OfNetwork>,
    /// Counts the moments at which a connection begins to wait.
    clock: u64,
}

#[derive(Debug, Default)]
struct OfNetwork {
    count: usize,
    /// Connections that wait for their callers, the most expendable first.
    waiting: BTreeMap<Waiting, Arc<Connection>>,
}

/// For what a connection waits, and since when.
type Waiting = (WaitsFor, u64);

/// What a connection waits for its caller to send, the most expendable first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum WaitsFor {
    FirstHeaders,
    /// Another request, or nothing any more.
    NextHeaders,
    Body,
}

#[derive(Debug)]
struct Connection {
    network: IpAddr,
    wide_network: IpAddr,
    is_proxy: bool,
    /// `None` while it works on a request. Changed under the lock of [`Taken`].
    waiting: Mutex<Option<Waiting>>,
    /// It has lost its slot to another one.
    evicted: watch::Sender<bool>,
}

impl Connection {
    fn is_evicted(&self) -> bool {
        *self.evicted.borrow()
    }
}

/// Every connection that could make room works on a request.
struct AllBusy;

/// Free again when it is dropped.
#[derive(Debug)]
pub struct Slot {
    slots: Arc<Slots>,
    connection: Arc<Connection>,
}

/// A request on a connection, from its headers to the last piece of its response. Once its body is complete the connection
/// keeps its slot until this is dropped.
#[derive(Debug)]
pub struct ActiveRequest {
    slots: Arc<Slots>,
    connection: Arc<Connection>,
}

impl Slots {
    pub fn new(most: [usize; 3], proxies: Arc<[IpNet]>, count: Gauge) -> Arc<Self> {
        Arc::new(Self {
            most,
            proxies,
            taken: Mutex::default(),
            count,
        })
    }

    fn set_waiting(&self, connection: &Arc<Connection>, what: Option<WaitsFor>) {
        let mut taken = self.taken.lock();
        // An evicted connection is served in the time that it has left.
        if !connection.is_evicted() {
            taken.set_waiting(connection, what);
        }
    }

    /// A slot for a new connection; where all are taken, that of a connection that waits for its caller.
    pub fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Slot> {
        let connection = Arc::new(Connection {
            network: network_of(peer),
            wide_network: wide_network_of(peer),
            is_proxy: is_in(&self.proxies, peer),
            waiting: Mutex::new(None),
            evicted: watch::Sender::new(false),
        });
        let mut taken = self.taken.lock();
        if let Some(evicted) = taken.to_evict(&connection, self.most).ok()? {
            taken.remove(&evicted);
            self.count.dec();
            evicted.evicted.send_replace(true);
        }
        taken.add(&connection);
        self.count.inc();
        drop(taken);
        Some(Slot {
            slots: Arc::clone(self),
            connection,
        })
    }
}

impl Taken {
    /// Whose slot a newcomer gets; `None`: a free one.
    fn to_evict(
        &self,
        newcomer: &Connection,
        [most, most_of_wide_network, most_of_network]: [usize; 3],
    ) -> Result<Option<Arc<Connection>>, AllBusy> {
        let here = self.by_network.get(&newcomer.network);
        let nearby = self.by_wide_network.get(&newcomer.wide_network);
        let evicted = match here {
            Some(here) if !newcomer.is_proxy && here.count >= most_of_network => {
                here.waiting.values().next().map(Arc::clone)
            }
            _ if !newcomer.is_proxy && nearby >= Some(&most_of_wide_network) => {
                self.most_expendable(Some(newcomer.wide_network))
            }
            _ if self.all >= most => self.most_expendable(None),
            _ => return Ok(None),
        };
        evicted.map(Some).ok_or(AllBusy)
    }

    /// Of the wide network with the most connections, and there of the network with the most, the most expendable one.
    /// Proxies are spared as long as there is anybody else.
    fn most_expendable(&self, wide_network: Option<IpAddr>) -> Option<Arc<Connection>> {
        let candidates = self.by_network.values().filter_map(|here| {
            let (waiting, first) = here.waiting.first_key_value()?;
            let is_meant = wide_network.is_none_or(|wide| wide == first.wide_network);
            let nearby = self.by_wide_network.get(&first.wide_network).copied();
            let rank = (
                !first.is_proxy,
                nearby.unwrap_or_default(),
                here.count,
                Reverse(*waiting),
            );
            is_meant.then_some((rank, first))
        });
        let (_, first) = candidates.max_by_key(|(rank, _)| *rank)?;
        Some(Arc::clone(first))
    }

    /// `None`: it works on a request.
    fn set_waiting(&mut self, connection: &Arc<Connection>, what: Option<WaitsFor>) {
        let mut waiting = connection.waiting.lock();
        let Some(here) = self.by_network.get_mut(&connection.network) else {
            return;
        };
        if let Some(before) = waiting.take() {
            here.waiting.remove(&before);
        }
        if let Some(what) = what {
            self.clock += 1;
            let now = (what, self.clock);
            here.waiting.insert(now, Arc::clone(connection));
            *waiting = Some(now);
        }
    }

    fn add(&mut self, connection: &Arc<Connection>) {
        self.all += 1;
        let nearby = self.by_wide_network.entry(connection.wide_network);
        *nearby.or_default() += 1;
        let here = self.by_network.entry(connection.network);
        here.or_default().count += 1;
        self.set_waiting(connection, Some(WaitsFor::FirstHeaders));
    }

    fn remove(&mut self, connection: &Connection) {
        self.all -= 1;
        if let Some(count) = self.by_wide_network.get_mut(&connection.wide_network) {
            *count -= 1;
            if *count == 0 {
                self.by_wide_network.remove(&connection.wide_network);
            }
        }
        if let Some(here) = self.by_network.get_mut(&connection.network) {
            if let Some(waiting) = *connection.waiting.lock() {
                here.waiting.remove(&waiting);
            }
            here.count -= 1;
            if here.count == 0 {
                self.by_network.remove(&connection.network);
            }
        }
    }
}

impl Slot {
    /// The headers of a request have come.
    pub fn request(&self) -> ActiveRequest {
        self.slots
            .set_waiting(&self.connection, Some(WaitsFor::Body));
        ActiveRequest {
            slots: Arc::clone(&self.slots),
            connection: Arc::clone(&self.connection),
        }
    }

    /// Resolves when the connection has to make room for another one.
    pub async fn evicted(&self) {
        let mut evicted = self.connection.evicted.subscribe();
        // The sender lives as long as the connection.
        let _ = evicted.wait_for(|evicted| *evicted).await;
    }

    /// Resolves when an evicted connection's time is over: at once, if it never had a request.
    pub async fn cut_off(&self) {
        self.evicted().await;
        let waiting = *self.connection.waiting.lock();
        if !matches!(waiting, Some((WaitsFor::FirstHeaders, _))) {
            sleep(LAST_WORDS).await;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.taken.lock();
        if !self.connection.is_evicted() {
            taken.remove(&self.connection);
            self.slots.count.dec();
            // A response's last piece may outlive its connection, and must not count for it again.
            self.connection.evicted.send_replace(true);
        }
    }
}

impl ActiveRequest {
    /// The request's body, which marks the connection as no longer waiting for its caller once all of it has come.
    pub fn body<B: HttpBody>(&self, body: B) -> RequestBody<B> {
        let mut body = RequestBody {
            incomplete: Some((Arc::clone(&self.slots), Arc::clone(&self.connection))),
            body,
        };
        if body.body.is_end_stream() {
            body.complete();
        }
        body
    }

    /// The response's body, which keeps the connection's slot until all of it is handed over.
    pub fn response_body(self, body: Body) -> Body {
        Body::new(body.map_frame(move |frame| {
            let _until_the_last = &self;
            frame
        }))
    }
}

impl Drop for ActiveRequest {
    fn drop(&mut self) {
        self.slots
            .set_waiting(&self.connection, Some(WaitsFor::NextHeaders));
    }
}

/// A request's body, which tells the slots when all of it has come.
pub struct RequestBody<B> {
    body: B,
    incomplete: Option<(Arc<Slots>, Arc<Connection>)>,
}

impl<B> RequestBody<B> {
    fn complete(&mut self) {
        if let Some((slots, connection)) = self.incomplete.take() {
            slots.set_waiting(&connection, None);
        }
    }
}

impl<B: HttpBody + Unpin> HttpBody for RequestBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.complete();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Bytes;
    use http_body_util::{Empty, Full};

    use super::*;

    fn slots(most: [usize; 3]) -> Arc<Slots> {
        let proxy = "10.0.0.1/32".parse().expect("a network");
        Slots::new(most, [proxy].into(), Gauge::default())
    }

    fn take(slots: &Arc<Slots>, from: &str) -> Option<Slot> {
        slots.take(from.parse().expect("an address"))
    }

    fn is_evicted(slot: &Slot) -> bool {
        slot.connection.is_evicted()
    }

    /// A request whose body is complete.
    fn complete(slot: &Slot) -> ActiveRequest {
        let request = slot.request();
        let _ = request.body(Empty::<Bytes>::new());
        request
    }

    #[test]
    fn a_network_has_its_share_of_the_slots_and_a_proxy_all_of_them() {
        let slots = slots([4, 4, 2]);
        let busy = |from| {
            let slot = take(&slots, from)?;
            let request = complete(&slot);
            Some((request, slot))
        };
        let first = busy("192.0.2.1").expect("a slot");
        let second = busy("192.0.2.1").expect("a slot");
        assert!(busy("192.0.2.1").is_none());
        drop(first);
        let third = busy("192.0.2.1").expect("free again");
        drop((second, third));
        assert!(
            slots.taken.lock().by_network.is_empty()
                && slots.taken.lock().by_wide_network.is_empty()
        );

        let all: Vec<_> = (0..4).map(|_| busy("10.0.0.1").expect("a slot")).collect();
        assert!(busy("10.0.0.1").is_none());
        assert!(busy("192.0.2.1").is_none());
        drop(all);
        assert_eq!((slots.taken.lock().all, slots.count.get()), (0, 0));
    }

    #[test]
    fn many_networks_of_a_wide_one_have_its_share_together() {
        let slots = slots([10, 3, 2]);
        let mut busy = Vec::new();
        for n in 1..=3 {
            let slot = take(&slots, &format!("192.0.2.{n}")).expect("a slot");
            busy.push((complete(&slot), slot));
        }
        assert!(take(&slots, "192.0.2.4").is_none());
        assert!(take(&slots, "192.0.3.4").is_some());
    }

    #[test]
    fn where_all_are_taken_whoever_never_asked_goes_first_and_whoever_sends_a_body_last() {
        let slots = slots([4, 4, 4]);
        let sends = take(&slots, "192.0.2.1").expect("a slot");
        let request = sends.request();
        let asked = take(&slots, "192.0.2.1").expect("a slot");
        drop(complete(&asked));
        let first = take(&slots, "192.0.2.1").expect("a slot");
        let second = take(&slots, "192.0.2.1").expect("a slot");
        let mut newcomers = Vec::new();
        for expendable in [&first, &second, &asked, &sends] {
            assert!(!is_evicted(expendable));
            let newcomer = take(&slots, "198.51.100.1").expect("somebody's slot");
            assert!(is_evicted(expendable));
            newcomers.push((complete(&newcomer), newcomer));
        }
        assert!(take(&slots, "198.51.100.1").is_none(), "all of them work");
        drop((first, second, asked, request, sends));
        assert_eq!((slots.taken.lock().all, slots.count.get()), (4, 4));
        drop(newcomers);
        assert_eq!((slots.taken.lock().all, slots.count.get()), (0, 0));
    }

    #[tokio::test]
    async fn a_connection_keeps_its_slot_once_its_body_is_complete() {
        let slots = slots([1, 1, 1]);
        let slot = take(&slots, "192.0.2.1").expect("a slot");
        let request = slot.request();
        let mut body = request.body(Full::new(Bytes::from_static(b"[]")));
        let frame = body.frame().await.expect("a frame").expect("a frame");
        assert_eq!(frame.into_data().expect("data"), "[]");
        assert!(take(&slots, "198.51.100.1").is_none());
        drop((request, body));
        assert!(take(&slots, "198.51.100.1").is_some());
    }

    #[test]
    fn whoever_has_most_makes_room_and_a_proxy_last() {
        let slots = slots([6, 6, 6]);
        let _proxy: Vec<_> = (0..3).map(|_| take(&slots, "10.0.0.1")).collect();
        let honest = take(&slots, "198.51.100.1").expect("a slot");
        let crowd = ["192.0.2.1", "192.0.2.2"].map(|from| take(&slots, from).expect("a slot"));
        let newcomer = take(&slots, "203.0.113.1").expect("somebody's slot");
        assert!(is_evicted(&crowd[0]) && !is_evicted(&crowd[1]));
        assert!(!is_evicted(&honest) && !is_evicted(&newcomer));
    }

    #[test]
    fn an_answer_that_outlives_its_connection_leaves_nothing_behind() {
        let slots = slots([2, 2, 2]);
        let slot = take(&slots, "192.0.2.1").expect("a slot");
        let request = complete(&slot);
        drop(slot);
        drop(request);
        assert_eq!(slots.taken.lock().all, 0);
        assert!(slots.taken.lock().by_network.is_empty());
    }
}
