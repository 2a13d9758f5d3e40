//! Contract §1, "cost follows size": no caller takes what others need of memory, turns and connections.

use std::net::SocketAddr;

use aqua_orders::config::{Config, Limits};
use serde_json::json;
use sqlx::{Postgres, Transaction};
use tokio::{
    io::AsyncReadExt,
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::support::{
    app::{ORDERS, TestApp, order},
    config::anonymous_publication,
    talk::{Answer, Caller, PATIENCE, post},
};

/// The orders' address of a second publication.
const OTHERS: &str = "/other/hs/AquaDeliveri/getOrdersURL";

/// A service with two publications.
async fn two(change: impl FnOnce(&mut Config)) -> TestApp {
    TestApp::with(|config| {
        config
            .publications
            .push(anonymous_publication("other", &[]));
        change(config);
    })
    .await
}

async fn from(address: [u8; 4], service: SocketAddr) -> Caller {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((address, 0).into()).unwrap();
    Caller::new(socket.connect(service).await.unwrap())
}

/// Waits until the service says that so many bytes of room are taken at least.
async fn until_taken(app: &TestApp, bytes: u64) {
    while app.metric("aqua_bytes_in_flight").await < bytes {}
}

// --- Room ---

#[tokio::test]
async fn a_crowd_at_one_publication_leaves_room_for_the_others_and_for_small_orders_of_its_own() {
    let app = two(|config| {
        config.limits.body_bytes = 100_000;
        config.limits.bytes_in_flight = 320_000;
    })
    .await;
    // They send most of a body and then nothing: what came of it is held, as it is while an answer is not read.
    let begin = |length: usize| {
        let head =
            format!("POST {ORDERS} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n");
        head + "[" + &" ".repeat(49_999)
    };
    let mut crowd = Vec::new();
    for member in 0..20 {
        let mut caller = from([127, 0, 10, 1 + member], app.address).await;
        caller.send(begin(60_000)).await;
        crowd.push(caller);
    }
    // Half of the room at most; where it is full, the others hear so.
    until_taken(&app, 150_000).await;
    let whole = format!("{}[]", " ".repeat(50_000));
    let mut fits = from([127, 0, 20, 1], app.address).await;
    fits.send(post(OTHERS, "", &whole)).await;
    fits.answer().await.took(0);
    let mut too_large = from([127, 0, 20, 1], app.address).await;
    too_large.send(post(ORDERS, "", &whole)).await;
    too_large.answer().await.refused(503, "overloaded");
    let mut small = from([127, 0, 20, 1], app.address).await;
    let batch = json!([order("small")]).to_string();
    small.send(post(ORDERS, "", batch)).await;
    small.answer().await.took(1);
    // Those of the crowd who are in are taken.
    let mut taken = 0;
    for mut caller in crowd {
        let rest = format!("{}]", " ".repeat(9_999));
        // Those who were refused may be gone already.
        if tokio::io::AsyncWriteExt::write_all(&mut caller.0, rest.as_bytes())
            .await
            .is_ok()
            && let Ok(answer) = caller.read(true).await
        {
            match answer.status {
                200 => taken += 1,
                _ => drop(answer.refused(503, "overloaded")),
            }
        }
    }
    assert!((3..=4).contains(&taken), "{taken}");
}

#[tokio::test]
async fn the_whole_room_is_free_again_when_every_answer_is_read() {
    let app = two(|_| ()).await;
    let mut caller = Caller::new(TcpStream::connect(app.address).await.unwrap());
    let batch: Vec<_> = (0..500).map(|n| order(&n.to_string())).collect();
    for _ in 0..3 {
        caller
            .send(post(ORDERS, "", json!(batch).to_string()))
            .await;
        caller.answer().await.took(500);
    }
    while app.metric("aqua_bytes_in_flight").await > 0 {}
}

// --- Slots for connections ---

/// Holds up whatever is to be stored, until it is dropped.
async fn held_up(app: &TestApp) -> Transaction<'static, Postgres> {
    let mut transaction = app.pool().begin().await.unwrap();
    sqlx::query("LOCK TABLE client IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *transaction)
        .await
        .unwrap();
    transaction
}

/// Callers from these addresses with an order each that is held up.
async fn working(app: &TestApp, addresses: &[[u8; 4]]) -> Vec<Caller> {
    let mut callers = Vec::new();
    for (n, address) in addresses.iter().enumerate() {
        let mut caller = from(*address, app.address).await;
        let batch = json!([order(&format!("held up {n}"))]).to_string();
        caller.send(post(ORDERS, "", batch)).await;
        callers.push(caller);
    }
    // Each order counts so much at least, once its body is there.
    until_taken(app, (addresses.len() * Limits::ROOM_OF_AN_ORDER) as u64).await;
    callers
}

/// A request for which the database is not asked: 404.
const SIMPLE: &str = "GET / HTTP/1.1\r\nHost: test\r\n\r\n";

/// What it is answered on a connection of its own.
async fn answer_from(app: &TestApp, address: [u8; 4]) -> Answer {
    let mut caller = from(address, app.address).await;
    caller.send(SIMPLE).await;
    caller.answer().await
}

#[tokio::test]
async fn where_every_connection_works_one_more_is_503_at_once_until_one_is_done() {
    let app = two(|config| config.limits.connections = 10).await;
    let lock = held_up(&app).await;
    let mut working = working(&app, &[[127, 0, 0, 1]; 10]).await;
    let answer = answer_from(&app, [127, 0, 20, 1]).await;
    answer.refused(503, "overloaded");
    assert!(answer.header("retry-after").is_some());
    assert!(answer.header("x-request-id").is_some());
    assert_eq!(answer.header("connection"), Some("close"));
    lock.rollback().await.unwrap();
    // Stored, or held up for too long: their connections are theirs.
    for caller in &mut working {
        caller.answer().await;
    }
    // And now they only sit there.
    answer_from(&app, [127, 0, 20, 1])
        .await
        .refused(404, "not_found");
    assert!(working[0].is_hung_up_on().await);
    drop(working);
    while answer_from(&app, [127, 0, 20, 1]).await.status != 404 {}
}

#[tokio::test]
async fn one_address_or_one_network_cannot_take_every_slot() {
    let app = two(|config| {
        config.limits.connections_per_address = 3;
        config.limits.connections_per_network = 5;
    })
    .await;
    let lock = held_up(&app).await;
    let [one, two, three] = [1, 2, 3].map(|n| [127, 0, 10, n]);
    let _working = working(&app, &[one, one, one, two, two]).await;
    for full in [one, two, three] {
        answer_from(&app, full).await.refused(503, "overloaded");
    }
    answer_from(&app, [127, 0, 20, 1])
        .await
        .refused(404, "not_found");
    lock.rollback().await.unwrap();
}

#[tokio::test]
async fn where_all_slots_are_taken_a_newcomer_gets_that_of_whoever_sits_there_longest() {
    let app = two(|config| {
        config.limits.connections = 12;
        // Only a newcomer has them hung up on.
        config.times.headers = 2 * PATIENCE;
        config.times.body = 2 * PATIENCE;
    })
    .await;
    let lock = held_up(&app).await;
    let mut working = working(&app, &[[127, 0, 10, 1]]).await;
    // One was answered before, one does not send the rest of its body, the others sent a byte.
    let mut sitting = vec![from([127, 0, 10, 1], app.address).await];
    sitting[0].send(SIMPLE).await;
    sitting[0].answer().await.refused(404, "not_found");
    for n in 0..10 {
        let mut caller = from([127, 0, 10, 1 + n % 7], app.address).await;
        let begin = format!("POST {ORDERS} HTTP/1.1\r\nHost: test\r\nContent-Length: 9\r\n\r\n[");
        caller.send(if n == 0 { &begin } else { "P" }).await;
        sitting.push(caller);
    }
    let mut newcomers = Vec::new();
    for n in 0..11 {
        let mut caller = from([127, 0, 20 + n, 1], app.address).await;
        caller.send(SIMPLE).await;
        caller.answer().await.refused(404, "not_found");
        newcomers.push(caller);
    }
    for mut caller in sitting {
        let mut rest = Vec::new();
        // Cut off, perhaps in the middle of what it said.
        let hung_up = timeout(PATIENCE, caller.0.read_to_end(&mut rest)).await;
        let _ = hung_up.expect("hung up on");
        assert_eq!(rest, b"");
    }
    for caller in &mut newcomers {
        caller.send(SIMPLE).await;
        caller.answer().await.refused(404, "not_found");
    }
    lock.rollback().await.unwrap();
    // Stored, or held up for too long: its connection is its own.
    working[0].answer().await;
}
