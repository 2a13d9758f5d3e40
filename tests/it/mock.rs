//! `aqua-orders mock`: the real service, with faults at its sender's wish.

use std::{fs, path::PathBuf, process::Command, time::Duration};

use aqua_orders::http::mock::GRAMMAR;
use nix::sys::signal::Signal;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::support::{
    app::{Answer, ORDERS, TestApp, changed, guest_order, order},
    process::Scratch,
    serving::{Serving, command, mock_command},
    talk::{Caller, Service, post},
    target::until,
};

const FAULT: &str = "X-Mock-Fault";

async fn with(app: &TestApp, faults: &str, batch: &Value) -> Answer {
    Answer::of(app.request().header(FAULT, faults).body(batch.to_string())).await
}

/// The whole-request failure of that code.
#[track_caller]
fn is_refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{}", answer.text);
    assert_eq!(
        (
            &answer.body["success"],
            &answer.body["data"],
            &answer.body["errors"][0]["code"]
        ),
        (&json!(false), &json!({}), &json!(code))
    );
}

// --- Not in the service ---

#[tokio::test]
async fn the_service_has_no_faults_whatever_a_header_says() {
    let service = Service::demo().await;
    let batch = json!([order("A-1")]).to_string();
    for faults in [
        "unauthorized",
        "unavailable",
        "lost-answer",
        "reject-one",
        "slow=3600",
        "?",
    ] {
        let answer = service
            .post(&format!("{FAULT}: {faults}\r\n"), &batch)
            .await;
        answer.took(1);
        assert_eq!(answer.json()["data"]["A-1"]["success"], true, "{faults}");
    }
}

#[test]
fn the_service_cannot_be_started_with_faults() {
    let scratch = Scratch::new();
    let said = command(&scratch)
        .args(["serve", "--fault", "slow=1"])
        .output()
        .unwrap();
    assert_eq!(said.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&said.stderr).contains("--fault"));
}

// --- Each fault ---

#[tokio::test]
async fn an_unavailable_storage_stores_nothing_and_then_it_is_there_again() {
    let app = TestApp::mock("none").await;
    let batch = json!([order("A-1")]);
    for _ in 0..2 {
        let answer = with(&app, "unavailable=2", &batch).await;
        is_refused(&answer, 503, "storage_unavailable");
        assert!(
            answer.headers["retry-after"]
                .to_str()
                .unwrap()
                .parse::<u32>()
                .unwrap()
                > 0
        );
        assert!(answer.headers.contains_key("x-request-id"));
    }
    assert_eq!(
        (app.count("orders").await, app.count("journal_batch").await),
        (0, 0)
    );
    with(&app, "unavailable=2", &batch).await.order("A-1");
    assert_eq!(app.count("orders").await, 1);
}

#[tokio::test]
async fn a_lost_answer_is_that_of_a_stored_batch_and_not_a_byte_of_it_arrives() {
    let app = TestApp::mock("none").await;
    let batch = json!([order("A-1")]);
    for headers in ["", "Accept-Encoding: gzip\r\n"] {
        let headers = format!("{FAULT}: lost-answer\r\n{headers}");
        let mut caller = Caller::new(TcpStream::connect(app.address).await.unwrap());
        caller.send(post(ORDERS, &headers, batch.to_string())).await;
        assert!(caller.is_hung_up_on().await);
        assert_eq!(app.count("orders").await, 1);
    }
    let number: i64 = app.value("SELECT number::bigint FROM orders").await;
    assert_eq!(
        app.post(&batch).await.order("A-1")["id"],
        number.to_string()
    );

    // An answer that would be a refusal is lost, too.
    let mut caller = Caller::new(TcpStream::connect(app.address).await.unwrap());
    caller
        .send(post(ORDERS, &format!("{FAULT}: lost-answer\r\n"), "{"))
        .await;
    assert!(caller.is_hung_up_on().await);
}

#[tokio::test]
async fn an_unauthorized_caller_hears_what_a_stranger_hears() {
    let app = TestApp::mock("none").await;
    let answer = with(&app, "unauthorized", &json!([order("A-1")])).await;
    is_refused(&answer, 401, "unauthorized");
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = format!(
        "http://{}{}",
        app.address,
        ORDERS.replace("demodelivery", "unknown")
    );
    let stranger = Answer::of(client.post(url).body("[]")).await;
    assert_eq!(answer.text, stranger.text);
    assert_eq!(
        answer.headers["www-authenticate"],
        stranger.headers["www-authenticate"]
    );
    assert_eq!(app.count("orders").await, 0);
}

#[tokio::test]
async fn one_order_of_ten_is_rejected_by_the_service_itself_and_the_others_are_stored() {
    let app = TestApp::mock("none").await;
    let orders: Vec<Value> = (0..12).map(|n| order(&format!("A-{n}"))).collect();
    let answer = with(&app, "reject-one", &json!(orders)).await;
    let without_total = changed(order("B-1"), "/total", json!("(absent)"));
    let real = app.post(&json!([without_total])).await;
    for n in 0..12 {
        let id = format!("A-{n}");
        if n % 10 == 0 {
            assert_eq!(answer.entry(&id), real.entry("B-1"));
        } else {
            answer.order(&id);
        }
    }
    assert_eq!(app.count("orders").await, 10);
    assert_eq!(app.count("journal_rejected").await, 3);
    // Without the fault the rejected one is taken, and nothing is doubled.
    app.post(&json!(orders)).await.order("A-0");
    assert_eq!(app.count("orders").await, 12);
}

#[tokio::test]
async fn an_order_is_rejected_in_any_encoding_and_the_others_keep_their_texts() {
    let app = TestApp::mock("reject-one").await;
    let text = json!([order("A-0"), guest_order("A-1", "9191991919")]).to_string();
    let (windows_1251, ..) = encoding_rs::WINDOWS_1251.encode(&text);
    let request = app
        .request()
        .header("Content-Type", "application/json; charset=windows-1251")
        .body(windows_1251.into_owned());
    let answer = Answer::of(request).await;
    assert_eq!(answer.faults("A-0"), ["total: required"]);
    assert_eq!(answer.order("A-1")["client"]["username"], "Гость");
}

#[tokio::test]
async fn a_batch_that_is_only_checked_meets_its_faults_apart_from_the_same_sent() {
    let app = TestApp::mock("unavailable=1,reject-one").await;
    let batch = json!([order("A-1"), order("A-2")]);
    is_refused(&app.check(&batch).await, 503, "storage_unavailable");
    is_refused(&app.post(&batch).await, 503, "storage_unavailable");
    let answer = app.check(&batch).await;
    assert_eq!(answer.faults("A-1"), ["total: required"]);
    assert_eq!(answer.order("A-2")["id"], json!(null));
    assert_eq!(app.count("orders").await, 0);
    app.post(&batch).await.order("A-2");
}

#[tokio::test]
async fn a_slow_answer_is_that_of_a_stored_batch() {
    let app = TestApp::mock("none").await;
    let batch = json!([order("A-1")]);
    let mut caller = Caller::new(TcpStream::connect(app.address).await.unwrap());
    let headers = format!("{FAULT}: slow=600:1\r\n");
    caller.send(post(ORDERS, &headers, batch.to_string())).await;
    while app.count("orders").await == 0 {}
    assert!(caller.hears_nothing_for(Duration::from_millis(100)).await);
    // Its sender gives up, sends again, and hears what it would have heard.
    drop(caller);
    with(&app, "slow=600:1", &batch).await.order("A-1");
    with(&app, "slow=0.01", &batch).await.order("A-1");
    assert_eq!(app.count("orders").await, 1);
}

#[tokio::test]
async fn what_the_mock_was_started_with_counts_unless_the_request_says_otherwise() {
    let app = TestApp::mock("unavailable=1,reject-one").await;
    let batch = json!([order("A-1"), order("A-2")]);
    is_refused(&app.post(&batch).await, 503, "storage_unavailable");
    let answer = app.post(&batch).await;
    assert_eq!(answer.faults("A-1"), ["total: required"]);
    answer.order("A-2");
    with(&app, "none", &batch).await.order("A-1");
    is_refused(
        &with(&app, "unauthorized", &batch).await,
        401,
        "unauthorized",
    );
    let request = app
        .request()
        .header(FAULT, "none")
        .header(FAULT, "unavailable");
    let answer = Answer::of(request.body(batch.to_string())).await;
    is_refused(&answer, 503, "storage_unavailable");
}

#[tokio::test]
async fn a_fault_that_there_is_not_is_told_with_those_there_are() {
    let app = TestApp::mock("none").await;
    let request = app
        .request()
        .header(FAULT, "unavialable")
        .body(json!([order("A-1")]).to_string());
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let text = response.text().await.unwrap();
    assert!(
        text.contains("\"unavialable\"") && text.contains(GRAMMAR),
        "{text}"
    );
    assert_eq!(app.count("orders").await, 0);
}

#[tokio::test]
async fn all_else_is_answered_as_without_faults() {
    let app = TestApp::mock("reject-one,slow=0.01").await;
    for (body, status, code) in [
        ("[1", 400, "malformed_json"),
        ("", 400, "malformed_json"),
        ("{}", 400, "not_an_array"),
    ] {
        is_refused(&Answer::of(app.request().body(body)).await, status, code);
    }
    let request = app.request().header("Content-Encoding", "gzip").body("[]");
    is_refused(&Answer::of(request).await, 400, "bad_encoding");
    let large = " ".repeat(17 * 1024 * 1024);
    is_refused(
        &Answer::of(app.request().body(large)).await,
        413,
        "body_too_large",
    );
    let address = app.address;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let get = client
        .get(format!("http://{address}{ORDERS}"))
        .header(FAULT, "unavailable");
    is_refused(&Answer::of(get).await, 405, "method_not_allowed");
    let elsewhere = client
        .post(format!("http://{address}/elsewhere"))
        .header(FAULT, "?");
    is_refused(&Answer::of(elsewhere).await, 404, "not_found");
    assert_eq!(
        Answer::of(app.request().body("[]")).await.body,
        json!({ "success": true, "data": {} })
    );
}

// --- The program ---

/// What the mock, or its PostgreSQL, left in the folder.
fn left(scratch: &Scratch) -> Vec<PathBuf> {
    let entries = fs::read_dir(scratch.path()).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Whether a process works in that folder.
fn somebody_works_in(scratch: &Scratch) -> bool {
    let processes = fs::read_dir("/proc").unwrap();
    processes.flatten().any(|process| {
        fs::read_link(process.path().join("cwd"))
            .is_ok_and(|cwd| cwd.starts_with(scratch.path()) && cwd != scratch.path())
    })
}

#[tokio::test]
async fn the_mock_needs_nothing_and_leaves_nothing_behind() {
    let scratch = Scratch::new();
    let mock = Serving::mock(&scratch, &["--fault", "reject-one=1"]);
    assert!(somebody_works_in(&scratch));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let url = |publication| {
        format!(
            "http://{}/{publication}/hs/AquaDeliveri/getOrdersURL",
            mock.address
        )
    };
    let batch = json!([changed(
        order("A-1"),
        "/order_item_list/0/product_id",
        json!("78e66cef-ae2c-11e6-9bf1-f8a9634f667f")
    )])
    .to_string();
    for (publication, password) in [("demodelivery", None), ("demologin", Some("test"))] {
        let send = || {
            let request = client.post(url(publication)).body(batch.clone());
            match password {
                None => request,
                Some(password) => request.basic_auth("site", Some(password)),
            }
        };
        assert_eq!(Answer::of(send()).await.faults("A-1"), ["total: required"]);
        let answer = Answer::of(send()).await;
        let order = answer.order("A-1");
        // The demo catalogue and the numbers are there, for each publication its own.
        assert_eq!(
            (&order["id"], &order["order_item_list"][0]["product_id"]),
            (&json!("50894"), &json!(28))
        );
        assert_eq!(answer.entry("A-1").get("warnings"), None);
    }
    let wrong = client
        .post(url("demologin"))
        .basic_auth("site", Some("guess"))
        .body(batch.clone());
    is_refused(&Answer::of(wrong).await, 401, "unauthorized");

    for page in ["/try", "/docs"] {
        let page = client.get(format!("http://{}{page}", mock.address)).send();
        assert_eq!(page.await.unwrap().status(), 200);
    }

    leaves_nothing_behind(mock, &scratch);
}

/// It is interrupted, ends well, and what it made is gone.
fn leaves_nothing_behind(mock: Serving, scratch: &Scratch) {
    mock.signal(Signal::SIGINT);
    let (code, said) = mock.end();
    assert_eq!(code, Some(0), "{}", said.join("\n"));
    assert!(left(scratch).is_empty());
    assert!(!somebody_works_in(scratch));
}

#[tokio::test]
async fn a_mock_that_is_killed_leaves_nothing_behind_either() {
    let scratch = Scratch::new();
    let mock = Serving::mock(&scratch, &[]);
    assert!(somebody_works_in(&scratch));
    mock.signal(Signal::SIGKILL);
    assert_eq!(mock.end().0, None);
    until("nothing is left", async || {
        left(&scratch).is_empty() && !somebody_works_in(&scratch)
    })
    .await;
}

#[test]
fn a_mock_that_is_stopped_while_it_starts_leaves_nothing_behind_either() {
    let scratch = Scratch::new();
    let mut mock = Serving::run(&mut mock_command(&scratch, &[]));
    mock.hear("making the private cluster");
    leaves_nothing_behind(mock, &scratch);
}

#[test]
fn a_mock_whose_port_is_taken_says_so_and_leaves_nothing_behind() {
    let scratch = Scratch::new();
    scratch.open_to_everybody();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let run = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aqua-orders"));
        let said = command
            .arg("mock")
            .args(args)
            .env("TMPDIR", scratch.path())
            .output()
            .unwrap();
        (said.status.code(), String::from_utf8(said.stderr).unwrap())
    };
    let (code, said) = run(&["--listen", &address]);
    assert_eq!(code, Some(1));
    assert!(
        said.contains(&format!("cannot listen on {address} (--listen)")),
        "{said}"
    );
    let (code, said) = run(&["--fault", "slow"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("slow=SECONDS"), "{said}");
    assert!(left(&scratch).is_empty());
}
