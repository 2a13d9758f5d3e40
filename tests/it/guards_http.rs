//! Contract §1, "cost follows size": no caller takes what others need of memory, turns and connections.

use std::net::SocketAddr;

use aqua_orders::config::Config;
use serde_json::json;
use tokio::net::{TcpSocket, TcpStream};

use crate::support::{
    app::{ORDERS, TestApp, order},
    config::anonymous_publication,
    talk::{Caller, post},
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
