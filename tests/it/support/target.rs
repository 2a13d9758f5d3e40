//! A 1C or a site that orders are sent to: it remembers what it was sent, and answers as the test wants it to.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
};
use serde_json::{Map, Value, json};
use tokio::{
    net::TcpListener,
    time::{Instant, sleep},
};

use super::serving::PATIENCE;

/// A request that came.
#[derive(Debug, Clone)]
pub struct Seen {
    pub path: String,
    pub headers: HeaderMap,
    pub orders: Vec<Value>,
    /// How many requests were under way then, this one included.
    pub at_once: usize,
}

impl Seen {
    /// The ids of its orders.
    pub fn ids(&self) -> Vec<&str> {
        let ids = self
            .orders
            .iter()
            .map(|order| order["id"].as_str().unwrap());
        ids.collect()
    }
}

/// What it answers, and how long that takes.
pub struct Says {
    pub after: Duration,
    pub response: Response,
}

impl<R: IntoResponse> From<R> for Says {
    fn from(response: R) -> Self {
        Self {
            after: Duration::ZERO,
            response: response.into_response(),
        }
    }
}

type Script = dyn Fn(&Seen) -> Says + Send + Sync;

struct Shared {
    seen: Mutex<Vec<Seen>>,
    under_way: AtomicUsize,
    script: Mutex<Arc<Script>>,
}

/// The target.
pub struct FakeTarget {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

/// An answer that takes every order, under a number made of its id, with that status.
pub fn takes_as(seen: &Seen, status: &str) -> Response {
    let entries = seen.orders.iter().map(|order| {
        let id = order["id"].as_str().unwrap();
        let answered = json!({ "id": number(id), "external_id": id, "status": status });
        (
            id.to_owned(),
            json!({ "success": true, "data": [answered] }),
        )
    });
    answer(&entries.collect())
}

/// The same, as each order came.
pub fn takes(seen: &Seen) -> Response {
    let entries = seen.orders.iter().map(|order| {
        let id = order["id"].as_str().unwrap();
        let answered = json!({ "id": number(id), "external_id": id, "status": order["status"] });
        (
            id.to_owned(),
            json!({ "success": true, "data": [answered] }),
        )
    });
    answer(&entries.collect())
}

/// What it calls an order of that id.
pub fn number(id: &str) -> String {
    format!("1C-{id}")
}

/// An answer that refuses the orders for which `refuses` says so, and takes the others.
pub fn takes_but(seen: &Seen, refuses: impl Fn(&Value) -> bool) -> Response {
    let entries = seen.orders.iter().map(|order| {
        let id = order["id"].as_str().unwrap().to_owned();
        let entry = if refuses(order) {
            json!({ "success": false, "data": [], "message": "Не найден контрагент" })
        } else {
            json!({ "success": true, "data": [{ "id": number(&id), "status": order["status"] }] })
        };
        (id, entry)
    });
    answer(&entries.collect())
}

/// An answer with these entries.
pub fn answer(entries: &Map<String, Value>) -> Response {
    json!({ "success": true, "data": entries })
        .to_string()
        .into_response()
}

async fn receive(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    let at_once = shared.under_way.fetch_add(1, Ordering::SeqCst) + 1;
    let (head, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let orders: Vec<Value> = serde_json::from_slice(&body).unwrap();
    let seen = Seen {
        path: head.uri.to_string(),
        headers: head.headers,
        orders,
        at_once,
    };
    let script = Arc::clone(&shared.script.lock().unwrap());
    let says = script(&seen);
    shared.seen.lock().unwrap().push(seen);
    sleep(says.after).await;
    shared.under_way.fetch_sub(1, Ordering::SeqCst);
    says.response
}

impl FakeTarget {
    /// Starts one that answers so.
    pub async fn start<S: Into<Says>>(script: impl Fn(&Seen) -> S + Send + Sync + 'static) -> Self {
        let shared = Arc::new(Shared {
            seen: Mutex::default(),
            under_way: AtomicUsize::new(0),
            script: Mutex::new(Arc::new(move |seen: &Seen| script(seen).into())),
        });
        let router = Router::new()
            .fallback(receive)
            .with_state(Arc::clone(&shared));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, shared }
    }

    /// From now on it answers so.
    pub fn now_says<S: Into<Says>>(&self, script: impl Fn(&Seen) -> S + Send + Sync + 'static) {
        *self.shared.script.lock().unwrap() = Arc::new(move |seen: &Seen| script(seen).into());
    }

    /// From now on it fails with that status.
    pub fn now_fails(&self, status: StatusCode) {
        self.now_says(move |_| status);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.shared.seen.lock().unwrap()
    }

    /// What came so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.lock().clone()
    }

    /// How many requests came.
    pub fn requests(&self) -> usize {
        self.lock().len()
    }

    /// Forgets what came.
    pub fn forget(&self) {
        self.lock().clear();
    }

    /// All orders that came, in the order in which they came.
    pub fn orders(&self) -> Vec<Value> {
        let seen = self.lock();
        seen.iter().flat_map(|seen| seen.orders.clone()).collect()
    }

    /// Each order as it came last, by its id.
    pub fn newest(&self) -> HashMap<String, Value> {
        let orders = self.orders().into_iter();
        orders
            .map(|order| (order["id"].as_str().unwrap().to_owned(), order))
            .collect()
    }
}

/// Waits until it is so.
pub async fn until<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let end = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < end, "it never came to this: {what}");
        sleep(Duration::from_millis(20)).await;
    }
}
