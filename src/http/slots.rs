//! Slots for connections: so many in all, of a wide network and of an address. Where they are full, a newcomer gets the slot
//! of a connection that works on nothing, so that nobody is kept out by those who only sit there.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use axum::body::HttpBody;
use hyper::body::{Frame, SizeHint};
use ipnet::IpNet;
use prometheus_client::metrics::gauge::Gauge;
use tokio::{sync::watch, time::sleep};

use super::forwarded::is_in;
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
    /// Counts the moments at which a connection had nothing more to do.
    clock: u64,
}

#[derive(Debug, Default)]
struct OfAddress {
    count: usize,
    /// Its connections that work on nothing: those that never had a whole request first, then by age.
    idle: BTreeMap<(bool, u64), Arc<Connection>>,
}

/// What a slot is known by.
#[derive(Debug)]
struct Connection {
    address: IpAddr,
    network: IpAddr,
    is_exempt: bool,
    /// Whether it had a whole request.
    has_asked: AtomicBool,
    /// Since when it is idle; 0: it is not. As `has_asked`, changed under the lock of [`Taken`].
    idle_since: AtomicU64,
    /// Whether it has to go. It has no slot any more then.
    must_go: watch::Sender<bool>,
}

impl Connection {
    fn idle_as(&self) -> Option<(bool, u64)> {
        let since = self.idle_since.load(Ordering::Relaxed);
        (since > 0).then(|| (self.has_asked.load(Ordering::Relaxed), since))
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

/// A request on a connection, from its headers to the last piece of its answer. As long as there is one the connection keeps
/// its slot.
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

    /// A slot for somebody who connects; somebody else's, who works on nothing, where all are taken.
    pub fn take(self: &Arc<Self>, peer: IpAddr) -> Option<Slot> {
        let connection = Arc::new(Connection {
            address: network_of(peer),
            network: wide_network_of(peer),
            is_exempt: is_in(&self.exempt, peer),
            has_asked: AtomicBool::new(false),
            idle_since: AtomicU64::new(0),
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
        taken.is_idle(&connection);
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
                here.idle.values().next().map(Arc::clone)
            }
            _ if !newcomer.is_exempt && nearby >= Some(&most.of_a_network) => {
                self.idle_of_whoever_has_most(Some(newcomer.network))
            }
            _ if self.all >= most.all => self.idle_of_whoever_has_most(None),
            _ => return Ok(None),
        };
        goes.map(Some).ok_or(AllBusy)
    }

    /// Of the network that has most connections, and there of the address that has most, the one that is idle longest.
    /// Proxies are spared as long as there is anybody else.
    fn idle_of_whoever_has_most(&self, network: Option<IpAddr>) -> Option<Arc<Connection>> {
        let candidates = self.by_address.values().filter_map(|here| {
            let (idle_as, oldest) = here.idle.first_key_value()?;
            let is_meant = network.is_none_or(|network| network == oldest.network);
            let nearby = self.by_network.get(&oldest.network).copied();
            let rank = (
                !oldest.is_exempt,
                nearby.unwrap_or_default(),
                here.count,
                std::cmp::Reverse(*idle_as),
            );
            is_meant.then_some((rank, oldest))
        });
        let (_, oldest) = candidates.max_by_key(|(rank, _)| *rank)?;
        Some(Arc::clone(oldest))
    }

    fn is_idle(&mut self, connection: &Arc<Connection>) {
        self.clock += 1;
        connection.idle_since.store(self.clock, Ordering::Relaxed);
        if let (Some(idle_as), Some(here)) = (
            connection.idle_as(),
            self.by_address.get_mut(&connection.address),
        ) {
            here.idle.insert(idle_as, Arc::clone(connection));
        }
    }

    fn is_busy(&mut self, connection: &Connection) {
        if let (Some(idle_as), Some(here)) = (
            connection.idle_as(),
            self.by_address.get_mut(&connection.address),
        ) {
            here.idle.remove(&idle_as);
        }
        connection.idle_since.store(0, Ordering::Relaxed);
        connection.has_asked.store(true, Ordering::Relaxed);
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
            if let Some(idle_as) = connection.idle_as() {
                here.idle.remove(&idle_as);
            }
            here.count -= 1;
            if here.count == 0 {
                self.by_address.remove(&connection.address);
            }
        }
    }
}

impl Slot {
    /// A whole request has come.
    pub fn request(&self) -> Request {
        // Whoever had to go already is served in the time that it has left.
        if !*self.connection.must_go.borrow() {
            self.slots.lock().is_busy(&self.connection);
        }
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
        if self.connection.has_asked.load(Ordering::Relaxed) {
            sleep(LAST_WORDS).await;
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut taken = self.slots.lock();
        if !*self.connection.must_go.borrow() {
            taken.remove(&self.connection);
            self.slots.count.dec();
            // An answer's last piece may outlive its connection.
            self.connection.must_go.send_replace(true);
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        let mut taken = self.slots.lock();
        if !*self.connection.must_go.borrow() {
            taken.is_idle(&self.connection);
        }
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
        *slot.connection.must_go.borrow()
    }

    #[test]
    fn an_address_has_its_share_of_the_slots_and_a_proxy_all_of_them() {
        let slots = slots(4, 4, 2);
        let busy = |from| {
            let slot = take(&slots, from)?;
            let request = slot.request();
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
            busy.push((slot.request(), slot));
        }
        assert!(take(&slots, "192.0.2.4").is_none());
        assert!(take(&slots, "192.0.3.4").is_some());
    }

    #[test]
    fn where_all_are_taken_whoever_never_asked_goes_before_whoever_did_and_the_oldest_first() {
        let slots = slots(3, 3, 3);
        let asked = take(&slots, "192.0.2.1").expect("a slot");
        drop(asked.request());
        let first = take(&slots, "192.0.2.1").expect("a slot");
        let second = take(&slots, "192.0.2.1").expect("a slot");
        let mut newcomers = Vec::new();
        for goes in [&first, &second, &asked] {
            assert!(!must_go(goes));
            let newcomer = take(&slots, "198.51.100.1").expect("somebody's slot");
            assert!(must_go(goes));
            newcomers.push((newcomer.request(), newcomer));
        }
        assert!(take(&slots, "198.51.100.1").is_none(), "all of them work");
        drop((first, second, asked));
        assert_eq!((slots.lock().all, slots.count.get()), (3, 3));
        drop(newcomers);
        assert_eq!((slots.lock().all, slots.count.get()), (0, 0));
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
        let request = slot.request();
        drop(slot);
        drop(request);
        assert_eq!(slots.lock().all, 0);
        assert!(slots.lock().by_address.is_empty());
    }
}
