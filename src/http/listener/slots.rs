//! Slots for connections: so many in all, of a wide network and of an address. Where they are full, a newcomer gets the slot
//! of a connection whose request is not whole, so that nobody is kept out by those who only sit there.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::body::HttpBody;
use hyper::body::{Frame, SizeHint};
use ipnet::IpNet;
use prometheus_client::metrics::gauge::Gauge;
use tokio::{sync::watch, time::sleep};

use super::address::is_in;
use crate::share::{network_of, wide_network_of};

/// How long a connection that has to go may still write what is left of an answer.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// How many connections there may be at the same time.
#[derive(Debug, Clone, Copy)]
pub struct Most {
    pub all: usize,
    /// Of a /24, under IPv6 a /48.
    pub of_a_network: usize,
    /// Of an address, under IPv6 a /64.
    pub of_an_address: usize,
}

/// The slots of a listener.
#[derive(Debug)]
pub struct Slots {
    most: Most,
    /// Proxies speak for many, and are bound by the number of all alone.
    exempt: Arc<[IpNet]>,
    taken: Mutex<Taken>,
    /// How many are taken, for `/metrics`.
    count: Gauge,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_network: HashMap<IpAddr, usize>,
    by_address: HashMap<IpAddr, OfAddress>,
    /// Counts the moments from which on a connection only waits for its caller.
    clock: u64,
}

#[derive(Debug, Default)]
struct OfAddress {
    count: usize,
    /// Its connections that wait for their callers, those first that can be spared best.
    waiting: BTreeMap<(Wait, u64), Arc<Connection>>,
}

/// What a connection waits for its caller to send. The order is that in which connections have to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wait {
    /// The headers of its first request.
    First,
    /// Another request, or nothing any more.
    Next,
    /// The rest of a body.
    Body,
}

/// What a slot is known by.
#[derive(Debug)]
struct Connection {
    address: IpAddr,
    network: IpAddr,
    is_exempt: bool,
    /// What it waits for, and since when; `None`: it works on a request. Changed under the lock of [`Taken`].
    waits: Mutex<Option<(Wait, u64)>>,
    /// Whether it has to go. It has no slot any more then.
    must_go: watch::Sender<bool>,
}

impl Connection {
    fn waits(&self) -> MutexGuard<'_, Option<(Wait, u64)>> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn must_go(&self) -> bool {
        *self.must_go.borrow()
    }
}

/// Nobody can make room.
struct AllBusy;

/// A slot, free again when it is dropped.
#[derive(Debug)]
pub struct Slot {
    slots: Arc<Slots>,
    connection: Arc<Connection>,
}

/// A request on a connection, from its headers to the last piece of its answer. Once its body is there the connection keeps
/// its slot for as long as there is one.
#[derive(Debug)]
pub struct Request {
    slots: Arc<Slots>,
    connection: Arc<Connection>,
}

impl Slots {
    /// Slots that are all free.
    pub fn new(most: Most, exempt: Arc<[IpNet]>, count: Gauge) -> Arc<Self> {
        Arc::new(Self {
            most,
            exempt,
            taken: Mutex::default(),
            count,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // Nothing under this lock can leave the counts wrong.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waits_for(&self, connection: &Arc<Connection>, wait: Option<Wait>) {
        let mut taken = self.lock();
        // Whoever has to go is served in the time that it has left.
        if !connection.must_go() {
            taken.waits_for(connection, wait);
        }
    }

    /// A slot for somebody who connects; where all are taken, that of a connection that waits for its caller.
    pub fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Slot> {
        let connection = Arc::new(Connection {
            address: network_of(peer),
            network: wide_network_of(peer),
            is_exempt: is_in(&self.exempt, peer),
            waits: Mutex::new(None),
            must_go: watch::Sender::new(false),
        });
        let mut taken = self.lock();
        let goes = taken.who_goes(&connection, self.most).ok()?;
        if let Some(goes) = goes {
            taken.remove(&goes);
            self.count.dec();
            goes.must_go.send_replace(true);
        }
        taken.all += 1;
        *taken.by_network.entry(connection.network).or_default() += 1;
        taken
            .by_address
            .entry(connection.address)
            .or_default()
            .count += 1;
        taken.waits_for(&connection, Some(Wait::First));
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
    fn who_goes(
        &self,
        newcomer: &Connection,
        most: Most,
    ) -> Result<Option<Arc<Connection>>, AllBusy> {
        let here = self.by_address.get(&newcomer.address);
        let nearby = self.by_network.get(&newcomer.network);
        let goes = match here {
            Some(here) if !newcomer.is_exempt && here.count >= most.of_an_address => {
                here.waiting.values().next().map(Arc::clone)
            }
            _ if !newcomer.is_exempt && nearby >= Some(&most.of_a_network) => {
                self.waiting_of_whoever_has_most(Some(newcomer.network))
            }
            _ if self.all >= most.all => self.waiting_of_whoever_has_most(None),
            _ => return Ok(None),
        };
        goes.map(Some).ok_or(AllBusy)
    }

    /// Of the network that has most connections, and there of the address that has most, the one that can be spared best.
    /// Proxies are spared as long as there is anybody else.
    fn waiting_of_whoever_has_most(&self, network: Option<IpAddr>) -> Option<Arc<Connection>> {
        let candidates = self.by_address.values().filter_map(|here| {
            let (waits, oldest) = here.waiting.first_key_value()?;
            let is_meant = network.is_none_or(|network| network == oldest.network);
            let nearby = self.by_network.get(&oldest.network).copied();
            let rank = (
                !oldest.is_exempt,
                nearby.unwrap_or_default(),
                here.count,
                Reverse(*waits),
            );
            is_meant.then_some((rank, oldest))
        });
        let (_, oldest) = candidates.max_by_key(|(rank, _)| *rank)?;
        Some(Arc::clone(oldest))
    }

    /// What a connection waits for from now on; `None`: it works.
    fn waits_for(&mut self, connection: &Arc<Connection>, wait: Option<Wait>) {
        let mut waits = connection.waits();
        let Some(here) = self.by_address.get_mut(&connection.address) else {
            return;
        };
        if let Some(waited) = waits.take() {
            here.waiting.remove(&waited);
        }
        if let Some(wait) = wait {
            self.clock += 1;
            here.waiting
                .insert((wait, self.clock), Arc::clone(connection));
            *waits = Some((wait, self.clock));
        }
    }

    fn remove(&mut self, connection: &Connection) {
        self.all -= 1;
        if let Some(count) = self.by_network.get_mut(&connection.network) {
            *count -= 1;
            if *count == 0 {
                self.by_network.remove(&connection.network);
            }
        }
        if let Some(here) = self.by_address.get_mut(&connection.address) {
            if let Some(waited) = *connection.waits() {
                here.waiting.remove(&waited);
            }
            here.count -= 1;
            if here.count == 0 {
                self.by_address.remove(&connection.address);
            }
        }
    }
}

impl Slot {
    /// The headers of a request have come.
    pub fn request(&self) -> Request {
        self.slots.waits_for(&self.connection, Some(Wait::Body));
        Request {
            slots: Arc::clone(&self.slots),
            connection: Arc::clone(&self.connection),
        }
    }

    /// Resolves when the connection has to make room for somebody else.
    pub async fn must_go(&self) {
        let mut must_go = self.connection.must_go.subscribe();
        // The sender lives as long as the connection.
        let _ = must_go.wait_for(|must_go| *must_go).await;
    }

    /// Resolves when its time is over: at once, if it never had a request.
    pub async fn is_cut_off(&self) {
        self.must_go().await;
        let waits = *self.connection.waits();
        if !matches!(waits, Some((Wait::First, _))) {
            sleep(LAST_WORDS).await;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.lock();
        if !self.connection.must_go() {
            taken.remove(&self.connection);
            self.slots.count.dec();
            // An answer's last piece may outlive its connection.
            self.connection.must_go.send_replace(true);
        }
    }
}

impl Request {
    /// Its body, which tells when all of it has come.
    pub fn body<B: HttpBody>(&self, body: B) -> Arriving<B> {
        let mut arriving = Arriving {
            request: Some((Arc::clone(&self.slots), Arc::clone(&self.connection))),
            body,
        };
        if arriving.body.is_end_stream() {
            arriving.is_whole();
        }
        arriving
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.slots.waits_for(&self.connection, Some(Wait::Next));
    }
}

/// A request's body on its way in.
pub struct Arriving<B> {
    body: B,
    /// Until all of it has come.
    request: Option<(Arc<Slots>, Arc<Connection>)>,
}

impl<B> Arriving<B> {
    fn is_whole(&mut self) {
        if let Some((slots, connection)) = self.request.take() {
            slots.waits_for(&connection, None);
        }
    }
}

impl<B: HttpBody + Unpin> HttpBody for Arriving<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None)) || self.body.is_end_stream() {
            self.is_whole();
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

/// An answer's body, which keeps its connection's slot until all of it is handed over.
pub struct Answer<B> {
    body: B,
    _request: Request,
}

impl<B> Answer<B> {
    pub fn new(body: B, request: Request) -> Self {
        Self {
            body,
            _request: request,
        }
    }
}

impl<B: HttpBody + Unpin> HttpBody for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
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
    use http_body_util::{BodyExt, Empty, Full};

    use super::*;

    fn slots(all: usize, of_a_network: usize, of_an_address: usize) -> Arc<Slots> {
        let most = Most {
            all,
            of_a_network,
            of_an_address,
        };
        let proxy = "10.0.0.1/32".parse().expect("a network");
        Slots::new(most, [proxy].into(), Gauge::default())
    }

    fn take(slots: &Arc<Slots>, from: &str) -> Option<Slot> {
        slots.take(from.parse().expect("an address"))
    }

    fn must_go(slot: &Slot) -> bool {
        slot.connection.must_go()
    }

    /// A request whose body is there.
    fn whole(slot: &Slot) -> Request {
        let request = slot.request();
        let _ = request.body(Empty::<Bytes>::new());
        request
    }

    #[test]
    fn an_address_has_its_share_of_the_slots_and_a_proxy_all_of_them() {
        let slots = slots(4, 4, 2);
        let busy = |from| {
            let slot = take(&slots, from)?;
            let request = whole(&slot);
            Some((request, slot))
        };
        let first = busy("192.0.2.1").expect("a slot");
        let second = busy("192.0.2.1").expect("a slot");
        assert!(busy("192.0.2.1").is_none());
        drop(first);
        let third = busy("192.0.2.1").expect("free again");
        drop((second, third));
        assert!(slots.lock().by_address.is_empty() && slots.lock().by_network.is_empty());

        let all: Vec<_> = (0..4).map(|_| busy("10.0.0.1").expect("a slot")).collect();
        assert!(busy("10.0.0.1").is_none());
        assert!(busy("192.0.2.1").is_none());
        drop(all);
        assert_eq!((slots.lock().all, slots.count.get()), (0, 0));
    }

    #[test]
    fn many_addresses_of_one_network_have_its_share_together() {
        let slots = slots(10, 3, 2);
        let mut busy = Vec::new();
        for n in 1..=3 {
            let slot = take(&slots, &format!("192.0.2.{n}")).expect("a slot");
            busy.push((whole(&slot), slot));
        }
        assert!(take(&slots, "192.0.2.4").is_none());
        assert!(take(&slots, "192.0.3.4").is_some());
    }

    #[test]
    fn where_all_are_taken_whoever_never_asked_goes_first_and_whoever_sends_a_body_last() {
        let slots = slots(4, 4, 4);
        let sends = take(&slots, "192.0.2.1").expect("a slot");
        let request = sends.request();
        let asked = take(&slots, "192.0.2.1").expect("a slot");
        drop(whole(&asked));
        let first = take(&slots, "192.0.2.1").expect("a slot");
        let second = take(&slots, "192.0.2.1").expect("a slot");
        let mut newcomers = Vec::new();
        for goes in [&first, &second, &asked, &sends] {
            assert!(!must_go(goes));
            let newcomer = take(&slots, "198.51.100.1").expect("somebody's slot");
            assert!(must_go(goes));
            newcomers.push((whole(&newcomer), newcomer));
        }
        assert!(take(&slots, "198.51.100.1").is_none(), "all of them work");
        drop((first, second, asked, request, sends));
        assert_eq!((slots.lock().all, slots.count.get()), (4, 4));
        drop(newcomers);
        assert_eq!((slots.lock().all, slots.count.get()), (0, 0));
    }

    #[tokio::test]
    async fn a_connection_keeps_its_slot_once_the_whole_body_is_there() {
        let slots = slots(1, 1, 1);
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
        let slots = slots(6, 6, 6);
        let _proxy: Vec<_> = (0..3).map(|_| take(&slots, "10.0.0.1")).collect();
        let honest = take(&slots, "198.51.100.1").expect("a slot");
        let crowd = ["192.0.2.1", "192.0.2.2"].map(|from| take(&slots, from).expect("a slot"));
        let newcomer = take(&slots, "203.0.113.1").expect("somebody's slot");
        assert!(must_go(&crowd[0]) && !must_go(&crowd[1]));
        assert!(!must_go(&honest) && !must_go(&newcomer));
    }

    #[test]
    fn an_answer_that_outlives_its_connection_leaves_nothing_behind() {
        let slots = slots(2, 2, 2);
        let slot = take(&slots, "192.0.2.1").expect("a slot");
        let request = whole(&slot);
        drop(slot);
        drop(request);
        assert_eq!(slots.lock().all, 0);
        assert!(slots.lock().by_address.is_empty());
    }
}
