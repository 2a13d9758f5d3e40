//! Sending (contract §8.3): what is committed reaches the target, in its newest state, whatever fails on the way.

use std::{
    collections::{HashMap, HashSet},
    fs,
    net::TcpListener,
    path::Path,
    sync::Arc,
    time::Duration,
};

use aqua_orders::{
    config::{Config, Journal, Target, Tls},
    retention,
    store::Store,
};
use axum::{
    http::{HeaderValue, StatusCode, header},
    response::IntoResponse,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use tokio::{runtime::Handle, task::block_in_place};

use crate::support::{
    app::{ORDERS, TestApp, changed, guest_order, order},
    command::Operator,
    config::target,
    postgres::database,
    process::Scratch,
    serving::{Serving, command},
    talk::gzip,
    target::{FakeTarget, Says, Seen, answer, number, takes, takes_as, takes_but, until},
};

/// A publication's 1C.
fn one_c(url: &str) -> Target {
    target(&format!(
        "name = \"1c\"\nprotocol = \"one_c\"\nurl = \"{url}\"\ntimeout = 20\n"
    ))
}

fn url(target: &FakeTarget) -> String {
    format!(
        "http://{}/base/hs/AquaDeliveri/getOrdersURL",
        target.address
    )
}

/// A service that sends to it.
async fn sending_to(target: &FakeTarget) -> TestApp {
    sending_to_url(&url(target)).await
}

async fn sending_to_url(url: &str) -> TestApp {
    TestApp::with(|config| config.publications[0].targets = vec![one_c(url)]).await
}

/// Lets no pause be waited for.
async fn hurry(app: &TestApp) {
    app.run("UPDATE target SET next_try_at = now()").await;
}

async fn position(app: &TestApp) -> i64 {
    app.values("SELECT position FROM target")
        .await
        .first()
        .copied()
        .unwrap_or(0)
}

/// Waits until the target is at the end of the feed.
async fn all_sent(app: &TestApp) {
    until("all is sent", async || {
        let left =
            "SELECT count(*) FROM feed f WHERE publication = 'demodelivery' AND position IS NULL
                    OR position > coalesce((SELECT max(t.position) FROM target t), 0)";
        app.value::<i64>(left).await == 0
    })
    .await;
}

fn commented(id: &str, comment: &str) -> Value {
    changed(order(id), "/comment", comment)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_reaches_a_second_instance_that_plays_1c() {
    let there = TestApp::start().await;
    let url = format!("http://{}{ORDERS}", there.address);
    let here = sending_to_url(&url).await;
    let registered = changed(order("a"), "/client/addresses", json!([here_address()]));
    here.accept(&registered).await;
    here.accept(&guest_order("b", "89191991919")).await;
    until("both are there", async || there.count("orders").await == 2).await;
    let ids = "SELECT sender_id FROM orders ORDER BY 1";
    assert_eq!(there.values::<String>(ids).await, ["a", "b"]);
    let guests = "SELECT guest_phone FROM client WHERE guest_phone IS NOT NULL";
    assert_eq!(there.values::<String>(guests).await, ["+79191991919"]);
    assert_eq!(there.rows().await, here.rows().await);
    // Again, changed: the same order there.
    here.accept(&changed(registered, "/comment", "у двери"))
        .await;
    let comment = "SELECT comment FROM orders WHERE sender_id = 'a'";
    until("the change is there", async || {
        there.value::<Option<String>>(comment).await.as_deref() == Some("у двери")
    })
    .await;
    assert_eq!(there.count("orders").await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_whom_1c_knows_by_its_own_number_alone_arrives_as_that_client() {
    let there = TestApp::start().await;
    let url = format!("http://{}{ORDERS}", there.address);
    let here = sending_to_url(&url).await;
    let clients = "number;username;phone;account_number\n68;Мария;+79191991919;68\n";
    for app in [&there, &here] {
        let operator = Operator::of(&app.database);
        operator.imported("clients", clients).await;
    }
    let client =
        json!({ "id": "site-5", "external_id": 68, "username": "Мария", "phone": "+79191991919" });
    here.accept(&changed(order("a"), "/client", client)).await;
    // One whom we numbered: that number would be somebody else's there.
    here.accept(&order("b")).await;
    until("both are there", async || there.count("orders").await == 2).await;
    let clients = "SELECT concat_ws(' ', number, sender_id, account_number) FROM client ORDER BY number = 68 DESC";
    let clients = there.values::<String>(clients).await;
    assert_eq!(clients.len(), 2, "{clients:?}");
    assert_eq!(clients[0], "68 site-5 68");
    // What a 1C that knows no site's ids goes by.
    let fake = FakeTarget::start(takes).await;
    let here = sending_to(&fake).await;
    let operator = Operator::of(&here.database);
    operator
        .imported("clients", "number;username\n68;Мария\n")
        .await;
    let client = json!({ "id": "site-5", "external_id": 68, "username": "Мария" });
    here.accept(&changed(order("a"), "/client", client)).await;
    here.accept(&order("b")).await;
    all_sent(&here).await;
    let sent = fake.newest();
    assert_eq!(sent["a"]["client"]["external_id"], 68);
    assert_eq!(sent["b"]["client"]["external_id"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_an_operator_hides_behind_a_senders_later_change() {
    let fake = FakeTarget::start(|_| StatusCode::SERVICE_UNAVAILABLE).await;
    let settings = format!(
        "name = \"1c\"\nprotocol = \"one_c\"\nurl = \"{}\"\ntakes = [\"operator\"]\n",
        url(&fake)
    );
    let app =
        TestApp::with(|config| config.publications[0].targets = vec![target(&settings)]).await;
    app.post(&json!([order("a"), order("b")])).await;
    let operator = Operator::of(&app.database);
    operator
        .run(["order", "set-status", "a", "approved"])
        .await
        .done();
    app.accept(&commented("a", "позже")).await;
    app.accept(&commented("b", "позже")).await;
    fake.now_says(takes);
    hurry(&app).await;
    all_sent(&app).await;
    let sent = fake.newest();
    assert_eq!(sent.keys().collect::<Vec<_>>(), ["a"]);
    assert_eq!(
        (&sent["a"]["status"], &sent["a"]["comment"]),
        (&json!("approved"), &json!("позже"))
    );
}

fn here_address() -> Value {
    json!({ "id": "door", "city": "Эжва", "street": "Мира", "house": "1", "str": "Мира 1" })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_committed_is_not_sent() {
    let target = FakeTarget::start(takes).await;
    let app = sending_to(&target).await;
    let refused = changed(order("refused"), "/total", "(absent)");
    app.post(&json!([refused, order("good")]))
        .await
        .entry("refused");
    app.check(&json!([order("tried out")])).await;
    app.run(
        "BEGIN; UPDATE feed SET position = NULL; INSERT INTO feed (publication, order_number, version, changed_at, changed_by)
         VALUES ('demodelivery', 999999, 1, now(), 'sender'); ROLLBACK",
    )
    .await;
    all_sent(&app).await;
    let orders = target.orders();
    assert_eq!(orders.len(), 1);
    assert_eq!(orders[0]["id"], "good");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_at_a_time_at_most_fifty_orders_each_once_from_two_instances() {
    let target = FakeTarget::start(|seen| Says {
        after: Duration::from_millis(30),
        response: takes(seen),
    })
    .await;
    let first = sending_to(&target).await;
    let config = |config: &mut Config| {
        config.publications[0].targets = vec![one_c(&url(&target))];
    };
    let second = TestApp::beside(Arc::clone(&first.database), config).await;
    for round in 0..4 {
        let orders: Vec<Value> = (0..120)
            .map(|n| commented(&format!("o{n}"), &format!("{round}")))
            .collect();
        let app = [&first, &second][round % 2];
        for part in orders.chunks(40) {
            app.post(&json!(part)).await;
        }
    }
    all_sent(&first).await;
    let mut newest: HashMap<String, u32> = HashMap::new();
    for seen in target.seen() {
        assert_eq!(seen.at_once, 1, "two requests at once");
        assert!(seen.orders.len() <= 50, "{} orders", seen.orders.len());
        let distinct: HashSet<&str> = seen.ids().into_iter().collect();
        assert_eq!(
            distinct.len(),
            seen.orders.len(),
            "an order twice in a request"
        );
        for order in &seen.orders {
            let version: u32 = order["comment"].as_str().unwrap().parse().unwrap();
            let last = newest.insert(order["id"].as_str().unwrap().to_owned(), version);
            assert!(
                last.is_none_or(|last| last <= version),
                "an older version after a newer one"
            );
        }
    }
    assert_eq!(newest.len(), 120);
    assert!(newest.values().all(|version| *version == 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_fails_costs_no_order_anything_and_is_tried_with_one_order_first() {
    let target = FakeTarget::start(|_| StatusCode::INTERNAL_SERVER_ERROR).await;
    let app = sending_to(&target).await;
    let orders: Vec<Value> = (0..5).map(|n| order(&format!("o{n}"))).collect();
    app.post(&json!(orders)).await;
    let redirect = |_: &_| {
        (
            StatusCode::FOUND,
            [(header::LOCATION, "http://127.0.0.1:1/")],
        )
    };
    let busy = |_: &_| {
        (
            StatusCode::SERVICE_UNAVAILABLE,
            [(header::RETRY_AFTER, "77")],
        )
    };
    let failures = "SELECT failures FROM target";
    let waits = "SELECT extract(epoch FROM next_try_at - now())::float8 FROM target";
    until("the first failure", async || {
        app.values::<i32>(failures).await == [1]
    })
    .await;
    target.now_says(redirect);
    hurry(&app).await;
    until("the second", async || app.value::<i32>(failures).await == 2).await;
    target.now_says(busy);
    hurry(&app).await;
    until("the third", async || app.value::<i32>(failures).await == 3).await;
    let wait: f64 = app.value(waits).await;
    assert!(wait > 60.0, "Retry-After is not heeded: {wait}");
    target.now_says(|_| "<html>Sign in</html>");
    hurry(&app).await;
    until("the fourth", async || app.value::<i32>(failures).await == 4).await;
    target.now_says(|_| Says {
        after: Duration::from_mins(1),
        response: StatusCode::OK.into_response(),
    });
    assert_eq!(app.count("target_delivery").await, 0);
    assert_eq!(position(&app).await, 0);
    let sizes: Vec<usize> = target.seen().iter().map(|seen| seen.orders.len()).collect();
    assert_eq!(sizes, [5, 1, 1, 1]);
    target.forget();
    target.now_says(takes);
    hurry(&app).await;
    all_sent(&app).await;
    let sizes: Vec<usize> = target.seen().iter().map(|seen| seen.orders.len()).collect();
    assert_eq!(sizes, [1, 4], "one first, then the others");
    assert_eq!(app.value::<i32>(failures).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_refuses_us_is_tried_every_five_minutes_and_told_of() {
    let target = FakeTarget::start(|_| StatusCode::UNAUTHORIZED).await;
    let app = sending_to(&target).await;
    app.accept(&order("a")).await;
    for (n, status) in [
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::NOT_FOUND,
    ]
    .into_iter()
    .enumerate()
    {
        target.now_fails(status);
        hurry(&app).await;
        until("it is refused", async || {
            let due = i32::try_from(n).unwrap() + 1;
            app.values::<i32>("SELECT failures FROM target WHERE refuses_us")
                .await
                == [due]
        })
        .await;
        let wait: f64 = app
            .value("SELECT extract(epoch FROM next_try_at - now())::float8 FROM target")
            .await;
        assert!((280.0..=361.0).contains(&wait), "{status}: {wait}");
    }
    let series = "aqua_target_refuses_us{publication=\"demodelivery\",target=\"1c\"}";
    until("the metric says so", async || app.metric(series).await == 1).await;
    target.now_says(takes);
    hurry(&app).await;
    all_sent(&app).await;
    until("the metric says so", async || app.metric(series).await == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_order_is_parked_tried_again_and_dead_in_the_end_and_the_others_go_on() {
    let target = FakeTarget::start(|seen| takes_but(seen, |order| order["id"] == "bad")).await;
    let app = sending_to(&target).await;
    app.post(&json!([order("a"), order("bad"), order("z")]))
        .await;
    all_sent(&app).await;
    assert_eq!(target.requests(), 1);
    let minutes =
        "SELECT round(extract(epoch FROM next_try_at - now()) / 60)::int FROM target_delivery";
    for due in [1, 5, 30, 120, 300, 600] {
        assert_eq!(app.value::<Option<i32>>(minutes).await, Some(due));
        let before = target.requests();
        app.run("UPDATE target_delivery SET next_try_at = now()")
            .await;
        until("it is tried again", async || {
            let refusals = "SELECT count(*) FROM target_attempt WHERE refused = 1";
            let before = i64::try_from(before).unwrap();
            app.value::<i64>(refusals).await == before + 1
        })
        .await;
    }
    assert_eq!(app.value::<Option<i32>>(minutes).await, None, "it is dead");
    let error: String = app.value("SELECT error FROM target_delivery").await;
    assert_eq!(error, "Не найден контрагент");
    let dead = "aqua_target_dead_orders{publication=\"demodelivery\",target=\"1c\"}";
    until("the metric says so", async || app.metric(dead).await == 1).await;
    // Each time stands in the order's history.
    assert_eq!(app.count("order_refusal").await, 7);
    // Somebody decided that it need not be sent: nobody has to look at it.
    app.run("UPDATE target_delivery SET withheld = true").await;
    app.accept(&order("c")).await;
    until("the metric says so", async || app.metric(dead).await == 0).await;
    // A newer state is sent at once.
    target.now_says(takes);
    app.accept(&commented("bad", "fixed")).await;
    until("it is taken", async || {
        app.count("target_delivery").await == 0
    })
    .await;
    assert_eq!(target.newest()["bad"]["comment"], "fixed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_400_for_the_whole_batch_is_halved_down_to_the_order_at_fault() {
    for status in [StatusCode::BAD_REQUEST, StatusCode::PAYLOAD_TOO_LARGE] {
        let target = FakeTarget::start(move |seen| {
            let poisoned = seen.ids().contains(&"o17");
            if poisoned {
                status.into_response()
            } else {
                takes(seen)
            }
        })
        .await;
        let app = sending_to(&target).await;
        let orders: Vec<Value> = (0..40).map(|n| order(&format!("o{n}"))).collect();
        app.post(&json!(orders)).await;
        all_sent(&app).await;
        let parked = "SELECT o.sender_id FROM target_delivery d JOIN orders o ON o.publication = d.publication AND o.number = d.order_number";
        assert_eq!(app.values::<String>(parked).await, ["o17"]);
        assert_eq!(app.value::<i32>("SELECT failures FROM target").await, 0);
        assert!(target.requests() < 20, "{} requests", target.requests());
        let taken: HashSet<String> = (target.seen().iter())
            .filter(|seen| !seen.ids().contains(&"o17"))
            .flat_map(|seen| {
                seen.ids()
                    .into_iter()
                    .map(ToOwned::to_owned)
                    .collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(taken.len(), 39);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_with_many_changes_to_few_orders_ends_in_one_sending_each() {
    let target = FakeTarget::start(|_| StatusCode::BAD_GATEWAY).await;
    let app = sending_to(&target).await;
    for change in 0..5 {
        let orders: Vec<Value> = (0..500)
            .map(|n| commented(&format!("o{n}"), &format!("{change}")))
            .collect();
        for part in orders.chunks(100) {
            app.post(&json!(part)).await;
        }
    }
    until("it failed", async || target.requests() > 0).await;
    target.forget();
    target.now_says(takes);
    hurry(&app).await;
    all_sent(&app).await;
    let orders = target.orders();
    assert_eq!(orders.len(), 500);
    assert_eq!(target.newest().len(), 500);
    assert!(orders.iter().all(|order| order["comment"] == "4"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_hangs_slows_down_neither_another_nor_the_intake() {
    let hung = FakeTarget::start(|_| Says {
        after: Duration::from_mins(10),
        response: StatusCode::OK.into_response(),
    })
    .await;
    let quick = FakeTarget::start(takes).await;
    let app = TestApp::with(|config| {
        let mut other = one_c(&url(&quick));
        other.name = "other".into();
        config.publications[0].targets = vec![one_c(&url(&hung)), other];
    })
    .await;
    for n in 0..20 {
        app.accept(&order(&format!("o{n}"))).await;
    }
    until("the other has all", async || quick.newest().len() == 20).await;
    assert!(hung.requests() <= 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_with_which_the_target_always_fails_neither_blocks_nor_loops() {
    let target = FakeTarget::start(|seen| {
        if seen.ids().contains(&"poison") {
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        } else {
            takes(seen)
        }
    })
    .await;
    let app = sending_to(&target).await;
    app.post(&json!([order("poison"), order("a"), order("b")]))
        .await;
    until("the others are there", async || {
        hurry(&app).await;
        target.newest().len() == 3 && position(&app).await > 0
    })
    .await;
    all_sent(&app).await;
    assert_eq!(app.count("target_delivery").await, 1);
    // By itself, where all else works, it counts.
    app.accept(&order("c")).await;
    until("the target works", async || {
        hurry(&app).await;
        app.value::<i32>("SELECT failures FROM target").await == 0
    })
    .await;
    app.run("UPDATE target_delivery SET next_try_at = now()")
        .await;
    until("it counts", async || {
        app.value::<i32>("SELECT refusals FROM target_delivery")
            .await
            == 1
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_go_along_and_nothing_else_that_is_secret() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "пароль\n").unwrap();
    let target_there = FakeTarget::start(takes).await;
    let settings = format!(
        "name = \"1c\"\nprotocol = \"one_c\"\nurl = \"{}\"\nuser = \"сайт\"\nsecret_file = {secret:?}\n",
        url(&target_there)
    );
    let app =
        TestApp::with(|config| config.publications[0].targets = vec![target(&settings)]).await;
    app.accept(&order("a")).await;
    all_sent(&app).await;
    let seen = &target_there.seen()[0];
    // base64 of "сайт:пароль"
    assert_eq!(
        seen.headers[header::AUTHORIZATION],
        HeaderValue::from_static("Basic 0YHQsNC50YI60L/QsNGA0L7Qu9GM")
    );
    assert_eq!(seen.path, "/base/hs/AquaDeliveri/getOrdersURL");
    assert!(seen.headers.contains_key("x-request-id"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_is_changed_is_read_at_the_next_try() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "old\n").unwrap();
    let knows = |password: &str| {
        let due = format!(
            "Basic {}",
            BASE64_STANDARD.encode(format!("site:{password}"))
        );
        move |seen: &Seen| {
            if seen.headers[header::AUTHORIZATION] == *due {
                takes(seen)
            } else {
                StatusCode::UNAUTHORIZED.into_response()
            }
        }
    };
    let there = FakeTarget::start(knows("old")).await;
    let settings = format!(
        "name = \"1c\"\nprotocol = \"one_c\"\nurl = \"{}\"\nuser = \"site\"\nsecret_file = {secret:?}\n",
        url(&there)
    );
    let app =
        TestApp::with(|config| config.publications[0].targets = vec![target(&settings)]).await;
    app.accept(&order("a")).await;
    all_sent(&app).await;

    there.now_says(knows("new"));
    app.accept(&order("b")).await;
    let refused = async || {
        let error = "SELECT coalesce(error, '') FROM target WHERE refuses_us";
        app.values::<String>(error).await.pop().unwrap_or_default()
    };
    until("the old one is refused", async || {
        refused().await == "it answered 401 Unauthorized"
    })
    .await;
    // The new one, half written; then the whole.
    fs::write(&secret, "").unwrap();
    hurry(&app).await;
    let says = "`secret_file` cannot be read any more (give it to the service's user): there is nothing on the first line of";
    until("it is said why the old one goes along", async || {
        refused().await.contains(says)
    })
    .await;
    fs::write(&secret, "new\n").unwrap();
    hurry(&app).await;
    all_sent(&app).await;

    // A file that is gone stops nothing as long as its secret is taken.
    fs::remove_file(&secret).unwrap();
    app.accept(&order("c")).await;
    all_sent(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_never_go_over_plain_http_to_a_network_that_is_not_named() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "s\n").unwrap();
    let there = FakeTarget::start(takes).await;
    let port = there.address.port();
    let settings = |networks: &str| {
        target(&format!(
            "name = \"1c\"\nprotocol = \"one_c\"\nurl = \"http://localhost:{port}/a\"\nuser = \"a\"\nsecret_file = {secret:?}\n\
             plain_http_to = [{networks}]\n"
        ))
    };
    let app = TestApp::with(|config| {
        config.publications[0].targets = vec![settings("\"10.0.0.0/8\"")];
    })
    .await;
    app.accept(&order("a")).await;
    until("it failed", async || {
        app.values::<i32>("SELECT failures FROM target").await == [1]
    })
    .await;
    let error: String = app.value("SELECT error FROM target").await;
    assert!(error.contains("plain HTTP"), "{error}");
    assert_eq!(there.requests(), 0);
    let named = |config: &mut Config| {
        config.publications[0].targets = vec![settings("\"127.0.0.0/8\", \"::1\"")];
    };
    let database = Arc::clone(&app.database);
    app.stop().await;
    let app = TestApp::beside(database, named).await;
    hurry(&app).await;
    all_sent(&app).await;
    assert_eq!(there.requests(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_end_is_cut_off() {
    let target = FakeTarget::start(|seen| {
        let mut entries = json!({ "much": "x".repeat(2 << 20) });
        if seen.orders.len() == 1 {
            entries = json!({});
        }
        let mut entries = entries.as_object().unwrap().clone();
        for id in seen.ids() {
            entries.insert(id.into(), json!({ "success": true, "data": [] }));
        }
        answer(&entries)
    })
    .await;
    let app = sending_to(&target).await;
    app.post(&json!([order("a"), order("b"), order("c")])).await;
    // Fewer orders have a shorter answer.
    all_sent(&app).await;
    assert_eq!(app.count("target_delivery").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compressed_answer_is_read_and_one_that_unpacks_without_end_is_cut_off() {
    let packed = |text: &str| {
        let packed = block_in_place(|| Handle::current().block_on(gzip(text.as_bytes())));
        ([(header::CONTENT_ENCODING, "gzip")], packed).into_response()
    };
    let entry = |id: &str| format!(r#""{id}":{{"success":true,"data":[{{"id":"1C-{id}"}}]}}"#);
    let target = FakeTarget::start(move |seen| {
        let entries: Vec<String> = seen.ids().into_iter().map(entry).collect();
        let entries = entries.join(",");
        // Two MiB of blanks are two KiB of gzip.
        let blanks = " ".repeat(if seen.ids().contains(&"bomb") {
            2 << 20
        } else {
            0
        });
        packed(&format!(
            r#"{{"success":true,{blanks}"data":{{{entries}}}}}"#
        ))
    })
    .await;
    let app = sending_to(&target).await;
    app.post(&json!([order("a"), order("bomb"), order("c")]))
        .await;
    all_sent(&app).await;
    let error = "SELECT error FROM target_delivery";
    assert_eq!(
        app.values::<String>(error).await,
        ["its answer is longer than 1048576 bytes"]
    );
    let called = "SELECT number FROM order_receiver ORDER BY number";
    assert_eq!(app.values::<String>(called).await, ["1C-a", "1C-c"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mock_plays_a_1c_with_the_faults_that_it_has() {
    let scratch = Scratch::new();
    let mock = Serving::mock(&scratch, &["--fault", "lost-answer=1,unavailable=1"]);
    let app = sending_to_url(&format!("http://{}{ORDERS}", mock.address)).await;
    app.accept(&order("a")).await;
    app.accept(&order("b")).await;
    all_sent(&app).await;
    let called = "SELECT number FROM order_receiver WHERE number IS NOT NULL";
    let mut numbers = app.values::<String>(called).await;
    numbers.dedup();
    assert_eq!(numbers.len(), 2, "{numbers:?}");
    assert_eq!(app.count("target_delivery").await, 0);
    let failed = "SELECT count(*) FROM target_attempt WHERE error IS NOT NULL";
    assert!(app.value::<i64>(failed).await >= 2, "it had no faults");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_asked_and_no_lease_is_held_where_nothing_is_to_be_sent() {
    let target = FakeTarget::start(takes).await;
    let app = sending_to(&target).await;
    app.accept(&order("a")).await;
    all_sent(&app).await;
    let leases = "SELECT count(*) FROM target WHERE lease IS NOT NULL";
    until("the lease is back", async || {
        app.value::<i64>(leases).await == 0
    })
    .await;
    // The same again changes nothing.
    app.accept(&order("a")).await;
    all_sent(&app).await;
    assert_eq!(target.requests(), 1);
}

const STANDING: &str = "SELECT status || ' ' || version FROM orders WHERE sender_id = 'a'";

#[tokio::test(flavor = "multi_thread")]
async fn what_the_target_answers_becomes_ours_and_is_not_sent_back_to_it() {
    let target = FakeTarget::start(|seen| takes_as(seen, "approved")).await;
    let app = sending_to(&target).await;
    app.accept(&order("a")).await;
    until("it is approved", async || {
        app.value::<String>(STANDING).await == "approved 2"
    })
    .await;
    all_sent(&app).await;
    let called = "SELECT number FROM order_receiver";
    assert_eq!(app.value::<String>(called).await, number("a"));
    assert_eq!(target.requests(), 1, "an echo");
    // What an operator does is sent, though the target changed the order before …
    let operator = Operator::of(&app.database);
    let said = operator
        .run(["order", "set-status", "a", "completed"])
        .await;
    assert_eq!(said.code, Some(0), "{said:?}");
    until("it is sent", async || target.requests() == 2).await;
    assert_eq!(target.newest()["a"]["status"], "completed");
    // … and so is what the sender does.
    target.now_says(takes);
    app.accept(&commented("a", "у двери")).await;
    until("it is sent", async || target.requests() == 3).await;
    all_sent(&app).await;
    assert_eq!(target.newest()["a"]["comment"], "у двери");
    assert_eq!(app.value::<String>(STANDING).await, "completed 4");
    assert_eq!(target.requests(), 3, "an echo");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_that_1c_gave_is_sent_along_where_1c_can_read_it() {
    let target = FakeTarget::start(|seen| {
        let entry =
            |id: &str| json!({ "success": true, "data": [{ "id": "50894", "external_id": id }] });
        answer(
            &seen
                .ids()
                .into_iter()
                .map(|id| (id.to_owned(), entry(id)))
                .collect(),
        )
    })
    .await;
    let app = sending_to(&target).await;
    app.accept(&order("a")).await;
    until("it is sent", async || target.requests() == 1).await;
    assert_eq!(target.newest()["a"]["external_id"], Value::Null);
    app.accept(&commented("a", "2")).await;
    until("it is sent", async || target.requests() == 2).await;
    assert_eq!(target.newest()["a"]["external_id"], 50894);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_in_an_answer_is_ignored() {
    let target = FakeTarget::start(|seen| {
        let mut entries = serde_json::Map::new();
        for id in seen.ids() {
            let said = json!({ "id": "one for all", "external_id": id, "status": "approved" });
            entries.insert(id.into(), json!({ "success": true, "data": [said] }));
        }
        let stranger = json!({ "id": "S", "external_id": "never sent", "status": "removed" });
        entries.insert(
            "never sent".into(),
            json!({ "success": true, "data": [stranger] }),
        );
        answer(&entries)
    })
    .await;
    let app = TestApp::start().await;
    app.accept(&order("never sent")).await;
    app.run("UPDATE feed SET by_sender = 0").await;
    let database = Arc::clone(&app.database);
    app.stop().await;
    let app = TestApp::beside(database, |config| {
        config.publications[0].targets = vec![one_c(&url(&target))];
    })
    .await;
    app.accept(&order("a")).await;
    all_sent(&app).await;
    app.post(&json!([order("b"), order("c")])).await;
    all_sent(&app).await;
    let called = "SELECT o.sender_id FROM order_receiver r JOIN orders o ON o.publication = r.publication AND o.number = r.order_number WHERE r.number IS NOT NULL";
    assert_eq!(app.values::<String>(called).await, ["a"]);
    let statuses = "SELECT status FROM orders ORDER BY sender_id";
    let approved = ["approved", "approved", "approved", "new"];
    assert_eq!(app.values::<String>(statuses).await, approved);
    // A status that would go back.
    target.now_says(|seen| takes_as(seen, "new"));
    app.accept(&commented("a", "again")).await;
    all_sent(&app).await;
    assert_eq!(app.values::<String>(statuses).await, approved);
    assert_eq!(app.count("target_delivery").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_app_is_told_what_1c_and_operators_changed_and_not_what_it_said_itself() {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    fs::write(&secret, "t-42\n").unwrap();
    let one_c_there = FakeTarget::start(|seen| takes_as(seen, "approved")).await;
    let app_there = FakeTarget::start(|_| json!({ "success": true }).to_string()).await;
    let settings = format!(
        "name = \"app\"\nprotocol = \"aqua\"\nurl = \"http://{}/v1/order/import/\"\nsecret_file = {secret:?}\n",
        app_there.address
    );
    let app = TestApp::with(|config| {
        config.publications[0].targets = vec![one_c(&url(&one_c_there)), target(&settings)];
    })
    .await;
    let sent = changed(order("a"), "/coins", 100);
    app.accept(&sent).await;
    until("the app is told", async || app_there.requests() == 1).await;
    let seen = &app_there.seen()[0];
    assert_eq!(seen.headers[header::AUTHORIZATION], "Bearer t-42");
    assert_eq!(seen.path, "/v1/order/import/");
    let told = &seen.orders[0];
    let our_number = app.value::<i32>("SELECT number FROM orders").await;
    assert_eq!(told["id"], json!(our_number.to_string()));
    assert_eq!(
        (&told["external_id"], &told["status"]),
        (&json!("a"), &json!("approved"))
    );
    assert_eq!(told.get("coins"), None);
    assert_eq!(told["order_item_list"][0]["product_id"], "water-19");
    // What it said itself is no news to it.
    app.accept(&changed(sent, "/comment", "у двери")).await;
    until("1C has it", async || one_c_there.requests() == 2).await;
    let read_on = "SELECT count(DISTINCT position) FROM target";
    until("both have read on", async || {
        app.value::<i64>(read_on).await == 1
    })
    .await;
    assert_eq!(app_there.requests(), 1);
}

/// Settings with a target, for the program itself.
fn settings_of(scratch: &Scratch, target: &FakeTarget) {
    let text = format!(
        "[database]\nmay_lose_orders = true\n[[publication]]\nname = \"demodelivery\"\nanonymous = true\n\
         [[publication.target]]\nname = \"1c\"\nprotocol = \"one_c\"\nurl = \"{}\"\nuser = \"сайт\"\nsecret_file = \"secret\"\n",
        url(target)
    );
    fs::write(scratch.join("aqua.toml"), text).unwrap();
    fs::write(scratch.join("secret"), "geheim-42\n").unwrap();
}

async fn post(serving: &Serving, orders: &Value) {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client.post(format!("http://{}{ORDERS}", serving.address));
    let answer = request.body(orders.to_string()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let answer: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    for (id, entry) in answer["data"].as_object().unwrap() {
        assert_eq!(entry["success"], true, "{id}: {entry}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_committed_change_is_sent_at_least_once_through_kill_9() {
    const ROUNDS: usize = 100;
    let (scratch, database) = (Scratch::new(), database().await);
    let target = FakeTarget::start(takes).await;
    settings_of(&scratch, &target);
    let start = || {
        let mut command = command(&scratch);
        command.env("DATABASE_URL", database.url());
        Serving::start(&mut command)
    };
    let pool = database.pool();
    let mut killed_before = 0;
    for round in 0..ROUNDS {
        let serving = start();
        // Every other time nobody gets at the target's lease, so that the kill comes between commit and sending; else it comes at
        // any moment of it.
        let mut holder = pool.begin().await.unwrap();
        if round % 2 == 1 {
            let held =
                sqlx::query("SELECT FROM target WHERE publication = 'demodelivery' FOR UPDATE")
                    .execute(&mut *holder);
            held.await.unwrap();
        }
        let ids = [0, 1, 2].map(|n| format!("o{round}-{n}"));
        let orders: Vec<Value> = ids.iter().map(|id| order(id)).collect();
        post(&serving, &json!(orders)).await;
        serving.signal(Signal::SIGKILL);
        serving.end();
        let newest = target.newest();
        killed_before += usize::from(!ids.iter().any(|id| newest.contains_key(id)));
        holder.rollback().await.unwrap();
        // What was killed holds the lease until it runs out; nobody has to wait for that here.
        sqlx::query("UPDATE target SET leased_until = now()")
            .execute(&pool)
            .await
            .unwrap();
    }
    let _serving = start();
    until("all are there", async || {
        target.newest().len() == 3 * ROUNDS
    })
    .await;
    assert!(killed_before > ROUNDS / 4, "{killed_before}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_waits_for_the_answer_that_is_under_way_and_nothing_secret_is_in_the_log() {
    let (scratch, database) = (Scratch::new(), database().await);
    let target = FakeTarget::start(|seen| Says {
        after: Duration::from_secs(2),
        response: takes(seen),
    })
    .await;
    settings_of(&scratch, &target);
    let mut command = command(&scratch);
    command
        .env("DATABASE_URL", database.url())
        .env("RUST_LOG", "debug");
    let serving = Serving::start(&mut command);
    post(&serving, &json!([guest_order("a", "+79191991919")])).await;
    until("it is under way", async || target.requests() == 1).await;
    serving.signal(Signal::SIGTERM);
    let (code, lines) = serving.end();
    assert_eq!(code, Some(0));
    let log = lines.join("\n");
    assert!(log.contains("sent"), "{log}");
    for secret in [
        "geheim-42",
        "9191991919",
        "Гость",
        "Кутузова",
        "0YHQsNC50YI6",
    ] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
    let pool = database.pool();
    let left: (i64, i64) = sqlx::query_as(
        "SELECT (SELECT count(*) FROM target WHERE lease IS NULL AND position > 0), (SELECT sum(taken) FROM target_attempt)",
    )
    .fetch_one(&pool)
    .await
    .unwrap();
    assert_eq!(
        left,
        (1, 1),
        "the answer was taken and the lease given back"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_pauses_and_resends() {
    let target = FakeTarget::start(|seen| takes_but(seen, |order| order["id"] == "bad")).await;
    let app = sending_to(&target).await;
    let operator = Operator::of(&app.database);
    operator.settings(&format!(
        "[[publication]]\nname = \"demodelivery\"\nanonymous = true\n[[publication.target]]\nname = \"1c\"\n\
         protocol = \"one_c\"\nurl = \"{}\"\n",
        url(&target)
    ));
    let say = async |args: &[&str]| {
        let said = operator.run(args.iter().copied()).await;
        assert_eq!(said.code, Some(0), "{said:?}");
        said.stdout
    };
    say(&["target", "pause", "1c"]).await;
    app.post(&json!([order("a"), order("bad")])).await;
    let status = say(&["target", "status"]).await;
    assert!(
        status.contains("paused") && status.contains("2 order(s)"),
        "{status}"
    );
    let series = "aqua_target_paused{publication=\"demodelivery\",target=\"1c\"}";
    until("the metric says so", async || app.metric(series).await == 1).await;
    assert_eq!(target.requests(), 0);
    say(&["target", "resume", "1c"]).await;
    all_sent(&app).await;
    let status = say(&["target", "status", "1c"]).await;
    assert!(status.contains("1 tried again, 0 dead"), "{status}");
    assert!(
        status.contains("Не найден контрагент") && status.contains("bad"),
        "{status}"
    );
    app.run("UPDATE target_delivery SET next_try_at = NULL, refusals = 7")
        .await;
    assert!(
        say(&["target", "status"])
            .await
            .contains("0 tried again, 1 dead")
    );
    target.now_says(takes);
    target.forget();
    assert!(
        say(&["target", "resend", "1c", "--dead"])
            .await
            .starts_with("1 order(s)")
    );
    until("it is taken", async || {
        app.count("target_delivery").await == 0
    })
    .await;
    assert_eq!(target.orders().len(), 1);
    assert!(
        say(&["target", "resend", "1c", "a"])
            .await
            .starts_with("1 order(s)")
    );
    until("it is sent again", async || target.orders().len() == 2).await;
    assert_eq!(target.seen()[1].ids(), ["a"]);
    let said = operator.run(["target", "resend", "1c", "nobody's"]).await;
    assert_eq!(said.code, Some(1), "{said:?}");
    let doctor = operator.run(["doctor"]).await;
    assert!(
        doctor.stdout.contains("ok     target 1c of demodelivery"),
        "{doctor:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_sends_to_a_publication_that_plays_1c() {
    for name in ["demo.toml", "compose.toml"] {
        let (scratch, database) = (Scratch::new(), database().await);
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("config");
        // Whoever calls itself must know its port beforehand.
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let settings = fs::read_to_string(folder.join(name)).unwrap();
        assert!(settings.contains("127.0.0.1:8888"), "{name}");
        let settings = settings
            .replace("127.0.0.1:8888", &port.to_string())
            .replace("\"demo\"", &format!("{:?}", folder.join("demo")));
        let settings = format!("{settings}\n[database]\nmay_lose_orders = true\n");
        fs::write(scratch.join("aqua.toml"), settings).unwrap();
        let mut command = command(&scratch);
        command
            .env("DATABASE_URL", database.url())
            .env("AQUA_LISTEN", port.to_string());
        let serving = Serving::start(&mut command);
        serving.post_example().await;
        let number = async |of: &'static str| {
            let found = sqlx::query_scalar::<_, String>(of);
            found.fetch_optional(&database.pool()).await.unwrap()
        };
        until("its number is back", async || {
            let there =
                number("SELECT number::text FROM orders WHERE publication = 'demo1c'").await;
            let back = "SELECT number FROM order_receiver WHERE publication = 'demodelivery'";
            there.as_deref() == Some("7001") && number(back).await == there
        })
        .await;
        drop(serving);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_checked() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (key, cert) = (
        folder.path().join("key.pem"),
        folder.path().join("cert.pem"),
    );
    fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    fs::write(&cert, made.cert.pem()).unwrap();
    let files = Tls {
        cert: cert.clone(),
        key,
    };
    let there = TestApp::with(|config| config.tls = Some(files)).await;
    let address = format!("https://localhost:{}{ORDERS}", there.address.port());
    let here = sending_to_url(&address).await;
    here.accept(&order("a")).await;
    until("it failed", async || {
        here.values::<i32>("SELECT failures FROM target").await == [1]
    })
    .await;
    let error: String = here.value("SELECT error FROM target").await;
    assert!(error.contains("no TLS with it"), "{error}");
    assert_eq!(there.count("journal_batch").await, 0);
    let database = Arc::clone(&here.database);
    here.stop().await;
    let known =
        format!("name = \"1c\"\nprotocol = \"one_c\"\nurl = \"{address}\"\nca_file = {cert:?}\n");
    let here = TestApp::beside(database, |config| {
        config.publications[0].targets = vec![target(&known)];
    })
    .await;
    hurry(&here).await;
    all_sent(&here).await;
    assert_eq!(there.count("orders").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_comes_too_late_counts_against_no_order_and_leaves_no_lease() {
    let there = FakeTarget::start(|seen| Says {
        after: Duration::from_secs(30),
        response: takes(seen),
    })
    .await;
    let impatient = format!(
        "name = \"1c\"\nprotocol = \"one_c\"\nurl = \"{}\"\ntimeout = 0.3\n",
        url(&there)
    );
    let app =
        TestApp::with(|config| config.publications[0].targets = vec![target(&impatient)]).await;
    app.accept(&order("a")).await;
    until("it failed", async || {
        app.values::<i32>("SELECT failures FROM target WHERE lease IS NULL")
            .await
            == [1]
    })
    .await;
    assert_eq!(
        app.value::<String>("SELECT error FROM target").await,
        "no answer in time"
    );
    assert_eq!(app.count("target_delivery").await, 0);
    there.now_says(takes);
    hurry(&app).await;
    all_sent(&app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_wrong_clock_stops_a_target() {
    let target = FakeTarget::start(takes).await;
    let app = sending_to(&target).await;
    app.accept(&order("a")).await;
    all_sent(&app).await;
    // As an instance, or a server, whose clock was a year ahead would have left it.
    app.run(
        "UPDATE target SET next_try_at = now() + interval '1 year', lease = '00000000-0000-0000-0000-000000000001',
             leased_until = now() + interval '1 year'",
    )
    .await;
    app.accept(&order("b")).await;
    until("it is sent", async || target.newest().len() == 2).await;
    // A lease that may be somebody's is left alone.
    app.run(
        "UPDATE target SET lease = '00000000-0000-0000-0000-000000000001', leased_until = now() + interval '10 seconds'",
    )
    .await;
    app.accept(&order("c")).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(target.newest().len(), 2, "two at once");
    app.run("UPDATE target SET leased_until = now()").await;
    until("it is sent", async || target.newest().len() == 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn old_requests_are_cleared_up_and_dead_orders_never() {
    let target = FakeTarget::start(|seen| takes_but(seen, |order| order["id"] == "bad")).await;
    let app = sending_to(&target).await;
    app.post(&json!([order("a"), order("bad")])).await;
    all_sent(&app).await;
    app.run(
        "UPDATE target_delivery SET next_try_at = NULL, since = now() - interval '9 years';
         UPDATE target_attempt SET began_at = now() - interval '91 days'",
    )
    .await;
    app.accept(&order("b")).await;
    all_sent(&app).await;
    until("it is written down", async || {
        app.count("target_attempt").await == 2
    })
    .await;
    let settings = Journal {
        keep_batches: 90,
        keep_rejected: 0,
        keep_changes: 0,
        rejected_bytes_per_day: 0,
    };
    let store = Store::new(app.database.options(), &app.database.settings());
    retention::round(&store, "demodelivery", &settings)
        .await
        .unwrap();
    let left = "SELECT count(*) FROM target_attempt WHERE began_at > now() - interval '1 hour'";
    assert_eq!(
        (
            app.count("target_attempt").await,
            app.value::<i64>(left).await
        ),
        (1, 1)
    );
    assert_eq!(app.count("target_delivery").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_target_begins_where_the_settings_say() {
    let there = FakeTarget::start(takes).await;
    let app = TestApp::start().await;
    app.accept(&order("before")).await;
    let store = Store::new(app.database.options(), &app.database.settings());
    assert_eq!(store.place("demodelivery").await.unwrap(), 1);
    let now =
        "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
    let since: String = app.value(now).await;
    let settings = format!(
        "name = \"1c\"\nprotocol = \"one_c\"\nurl = \"{}\"\nsince = \"{since}\"\n",
        url(&there)
    );
    let database = Arc::clone(&app.database);
    app.stop().await;
    let app = TestApp::beside(database, |config| {
        config.publications[0].targets = vec![target(&settings)];
    })
    .await;
    app.accept(&order("after")).await;
    all_sent(&app).await;
    assert_eq!(there.newest().into_keys().collect::<Vec<_>>(), ["after"]);
    // Changed again, the old one is news.
    app.accept(&commented("before", "again")).await;
    until("it is sent", async || there.newest().len() == 2).await;
}
