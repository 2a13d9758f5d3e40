//! Contract §4: who is who, and which number it has. No duplicates, whatever is sent again.

use std::{collections::HashSet, sync::Arc};

use aqua_orders::config::{Config, FirstNumbers};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::app::{
    Answer, ORDERS, TestApp, address, changed, guest_order, order, order_of,
};

/// The order's number, ours.
fn number(order: &Value) -> i64 {
    order["id"].as_str().unwrap().parse().unwrap()
}

/// The number of the order's client.
fn client(order: &Value) -> i64 {
    order["client"]["id"].as_i64().unwrap()
}

/// The number of the order's address.
fn shipped_to(order: &Value) -> i64 {
    order["shipping_address"]["id"].as_i64().unwrap()
}

/// The numbers of the client's addresses.
fn addresses(order: &Value) -> Vec<i64> {
    let addresses = order["client"]["addresses"].as_array().unwrap();
    addresses
        .iter()
        .map(|address| address["id"].as_i64().unwrap())
        .collect()
}

/// An order of client `c` that goes to Lenin street 1 and sends this list of addresses.
fn order_with_addresses(id: &str, list: Value) -> Value {
    let order = changed(order_of("c", id), "/shipping_address", address("1"));
    changed(order, "/client/addresses", list)
}

/// Posts to another publication, or by another name.
async fn post_to(app: &TestApp, publication: &str, batch: &Value) -> Answer {
    let path = ORDERS.replace("demodelivery", publication);
    app.post_to(&path, batch).await
}

fn first_numbers(first: FirstNumbers) -> impl FnOnce(&mut Config) {
    move |config| config.publications[0].first_numbers = first
}

// Orders

#[tokio::test]
async fn an_order_known_by_its_id_is_that_order() {
    let app = TestApp::start().await;
    let first = app.accept(&order("a")).await;
    let uuid: Uuid = app.value("SELECT uuid FROM orders").await;
    let again = app.accept(&changed(order("a"), "/total", 999)).await;
    assert_eq!(number(&again), number(&first));
    assert_eq!(again["external_id"], "a");
    assert_eq!(again["total"], 999);
    assert_eq!(app.count("orders").await, 1);
    assert_eq!(
        app.value::<Uuid>("SELECT uuid FROM orders").await,
        uuid,
        "for good"
    );
}

#[tokio::test]
async fn an_order_that_brings_its_own_number_back_is_that_order() {
    let app = TestApp::start().await;
    let first = app.accept(&order("a")).await;
    for own in [json!(number(&first)), first["id"].clone()] {
        let answer = app
            .post(&json!([changed(order("a"), "/external_id", own)]))
            .await;
        assert_eq!(answer.order("a"), &first);
        assert_eq!(answer.warnings_but_of_products("a"), [""; 0]);
    }
    assert_eq!(app.count("orders").await, 1);
}

#[tokio::test]
async fn an_order_with_another_orders_number_is_a_conflict_and_is_not_stored() {
    let app = TestApp::start().await;
    app.accept(&order("a")).await;
    let b = app.accept(&order("b")).await;
    // Known by its id, and new.
    for id in ["a", "c"] {
        let clash = changed(changed(order(id), "/external_id", number(&b)), "/total", 5);
        let answer = app.post(&json!([clash, order("good")])).await;
        assert_eq!(answer.faults(id), ["external_id: conflict"]);
        answer.order("good");
    }
    assert_eq!(
        app.value::<i64>("SELECT count(*) FROM orders WHERE total = 5")
            .await,
        0
    );
    assert_eq!(app.count("orders").await, 3);
}

#[tokio::test]
async fn a_number_that_came_with_a_new_order_and_is_free_is_adopted() {
    let app = TestApp::start().await;
    let adopted = app
        .accept(&changed(order("a"), "/external_id", 50894))
        .await;
    assert_eq!(adopted["id"], "50894");
    assert_eq!(app.accept(&order("a")).await, adopted);
}

#[tokio::test]
async fn nobodys_number_on_a_known_order_is_left_alone_and_said_so() {
    let app = TestApp::start().await;
    let first = app.accept(&order("a")).await;
    let answer = app
        .post(&json!([changed(order("a"), "/external_id", 777)]))
        .await;
    assert_eq!(answer.order("a"), &first);
    assert_eq!(
        answer.warnings_but_of_products("a"),
        ["external_id: external_id_ignored"]
    );
    // It stayed free.
    let other = app.accept(&changed(order("b"), "/external_id", 777)).await;
    assert_eq!(number(&other), 777);
}

#[tokio::test]
async fn an_adopted_number_is_skipped_when_its_turn_comes_and_moves_no_counter() {
    let app = TestApp::start().await;
    assert_eq!(number(&app.accept(&order("a")).await), 1);
    for adopted in [3, 5, 6] {
        let id = format!("adopts {adopted}");
        app.accept(&changed(order(&id), "/external_id", adopted))
            .await;
    }
    for (id, expected) in [("b", 2), ("c", 4), ("d", 7), ("e", 8)] {
        assert_eq!(number(&app.accept(&order(id)).await), expected);
    }
}

#[tokio::test]
async fn somebodys_2147483647_costs_one_number_not_all_of_them() {
    let app = TestApp::start().await;
    let last = changed(order("last"), "/external_id", i32::MAX);
    let last = changed(last, "/client/external_id", i32::MAX);
    let last = changed(
        last,
        "/client/addresses",
        json!([changed(address("1"), "/external_id", i32::MAX)]),
    );
    let last = app.accept(&last).await;
    assert_eq!(
        (number(&last), client(&last)),
        (2_147_483_647, 2_147_483_647)
    );
    assert!(addresses(&last).contains(&2_147_483_647));
    for turn in 1..=3 {
        let next = app.accept(&order(&format!("next {turn}"))).await;
        assert_eq!((number(&next), client(&next)), (turn, turn));
    }
}

#[tokio::test]
async fn the_last_numbers_are_given_too_and_then_nothing_more_is_stored() {
    let app = TestApp::with(first_numbers(FirstNumbers {
        order: i32::MAX - 2,
        client: 1,
        address: 1,
        product: 1,
    }))
    .await;
    app.accept(&changed(order("adopts"), "/external_id", i32::MAX - 1))
        .await;
    for (id, expected) in [("a", i32::MAX - 2), ("b", i32::MAX)] {
        assert_eq!(number(&app.accept(&order(id)).await), i64::from(expected));
    }
    let answer = app.post(&json!([order("one too many")])).await;
    assert_eq!(answer.status, 503);
    assert_eq!(app.count("orders").await, 3);
    // What is known needs no number.
    app.accept(&order("a")).await;
}

#[tokio::test]
async fn what_exists_uses_up_no_number() {
    let app = TestApp::start().await;
    let batch = json!([order("a"), order("b"), guest_order("c", "+79191991919")]);
    for _ in 0..50 {
        app.post(&batch).await.order("c");
    }
    let next = app.accept(&order("next")).await;
    assert_eq!((number(&next), client(&next), shipped_to(&next)), (4, 4, 4));
}

#[tokio::test]
async fn rejected_orders_use_up_no_number() {
    let app = TestApp::start().await;
    for _ in 0..10 {
        let bad = changed(order("bad"), "/total", -1);
        app.post(&json!([bad])).await.faults("bad");
    }
    let next = app.accept(&order("next")).await;
    assert_eq!((number(&next), client(&next), shipped_to(&next)), (1, 1, 1));
}

#[tokio::test]
async fn a_number_once_given_is_never_given_to_another_record() {
    let app = TestApp::start().await;
    app.accept(&order("a")).await;
    app.accept(&order("b")).await;
    app.run("DELETE FROM order_item; DELETE FROM orders; DELETE FROM address; DELETE FROM client")
        .await;
    let database = Arc::clone(&app.database);
    let next = app.accept(&order("c")).await;
    assert_eq!((number(&next), client(&next), shipped_to(&next)), (3, 3, 3));
    app.stop().await;
    // Nor by an instance that starts later.
    let app = TestApp::beside(database, |_| ()).await;
    let next = app.accept(&order("d")).await;
    assert!(
        number(&next) > 3 && client(&next) > 3 && shipped_to(&next) > 3,
        "{next}"
    );
}

#[tokio::test]
async fn instances_on_one_database_never_give_a_number_twice() {
    let here = TestApp::start().await;
    let there = TestApp::beside(Arc::clone(&here.database), |_| ()).await;
    let mut given: HashSet<i64> = HashSet::new();
    for turn in 0..50 {
        let batches = [
            json!([order(&format!("here {turn}"))]),
            json!([order(&format!("there {turn}"))]),
        ];
        let (one, other) = tokio::join!(here.post(&batches[0]), there.post(&batches[1]));
        given.insert(number(one.order(&format!("here {turn}"))));
        given.insert(number(other.order(&format!("there {turn}"))));
    }
    assert_eq!(given.len(), 100);
}

#[tokio::test]
async fn a_number_adopted_elsewhere_is_skipped_out_of_the_reserve_of_every_instance() {
    let here = TestApp::start().await;
    let there = TestApp::beside(Arc::clone(&here.database), |_| ()).await;
    here.accept(&order("a")).await;
    for taken in 2..=4 {
        let adopts = changed(order(&format!("adopts {taken}")), "/external_id", taken);
        let adopts = changed(adopts, "/client/external_id", taken);
        let mine = changed(address("1"), "/external_id", taken);
        there
            .accept(&changed(adopts, "/client/addresses", json!([mine])))
            .await;
    }
    // Not one number more is lost over it. (The shipping addresses of those three took numbers of the other's.)
    for expected in [5, 6] {
        let next = here.accept(&order(&format!("next {expected}"))).await;
        assert_eq!(
            (number(&next), client(&next), shipped_to(&next)),
            (expected, expected, expected)
        );
    }
}

#[tokio::test]
async fn a_number_that_is_free_is_adopted_though_its_turn_comes_in_the_same_batch() {
    let app = TestApp::start().await;
    let mine = changed(address("1"), "/external_id", 1);
    let brings = changed(order("brings"), "/external_id", 1);
    let brings = changed(brings, "/client/external_id", 1);
    let brings = changed(brings, "/client/addresses", json!([mine]));
    let answer = app.post(&json!([order("before"), brings])).await;
    let (before, brings) = (answer.order("before"), answer.order("brings"));
    assert_eq!(
        (number(brings), client(brings), addresses(brings)[0]),
        (1, 1, 1)
    );
    assert_eq!(answer.warnings_but_of_products("brings"), [""; 0]);
    assert_eq!(
        (number(before), client(before), shipped_to(before)),
        (2, 2, 2)
    );
}

#[tokio::test]
async fn two_new_orders_that_bring_one_number_clash_and_the_first_has_it() {
    let app = TestApp::start().await;
    let brings = |id| changed(order(id), "/external_id", 7);
    let answer = app.post(&json!([brings("first"), brings("second")])).await;
    assert_eq!(number(answer.order("first")), 7);
    assert_eq!(answer.faults("second"), ["external_id: conflict"]);
    // A rejected one has nothing.
    let bad = changed(changed(order("bad"), "/external_id", 8), "/total", -1);
    let good = changed(order("good"), "/external_id", 8);
    let answer = app.post(&json!([bad, good])).await;
    assert_eq!(number(answer.order("good")), 8);
}

#[tokio::test]
async fn a_number_that_a_known_order_brings_in_vain_is_free_for_the_next() {
    let app = TestApp::start().await;
    app.accept(&order("known")).await;
    let brings = |id| changed(order(id), "/external_id", 7);
    let answer = app.post(&json!([brings("known"), brings("new")])).await;
    assert_eq!(number(answer.order("known")), 1);
    assert_eq!(
        answer.warnings_but_of_products("known"),
        ["external_id: external_id_ignored"]
    );
    assert_eq!(number(answer.order("new")), 7);
}

#[tokio::test]
async fn every_order_has_a_uuid_of_its_own() {
    let app = TestApp::start().await;
    let batch: Vec<Value> = (1..=20).map(|n| order(&n.to_string())).collect();
    app.post(&json!(batch)).await;
    post_to(&app, "доставка", &json!(batch)).await;
    let distinct: i64 = app.value("SELECT count(DISTINCT uuid) FROM orders").await;
    assert_eq!(distinct, 40);
}

// Clients

#[tokio::test]
async fn a_client_known_by_its_id_is_that_client() {
    let app = TestApp::start().await;
    let first = app.accept(&order_of("c", "a")).await;
    let renamed = changed(order_of("c", "b"), "/client/username", "Другой");
    let second = app.accept(&renamed).await;
    assert_eq!(client(&second), client(&first));
    assert_eq!(second["client"]["external_id"], "c");
    assert_eq!(second["client"]["username"], "Другой");
    assert_eq!(app.count("client").await, 1);
}

#[tokio::test]
async fn a_client_known_by_its_number_takes_the_id_that_comes() {
    let app = TestApp::start().await;
    let by_number = changed(
        order("a"),
        "/client",
        json!({ "external_id": 68, "username": "Имя" }),
    );
    let adopted = app.accept(&by_number).await;
    assert_eq!(client(&adopted), 68);
    assert_eq!(adopted["client"]["external_id"], Value::Null);
    // We know the client: the name need not come again.
    let with_id = changed(
        order("b"),
        "/client",
        json!({ "external_id": "68", "id": "c" }),
    );
    let answer = app.post(&json!([with_id])).await;
    assert_eq!(answer.warnings_but_of_products("b"), [""; 0]);
    assert_eq!(answer.order("b")["client"]["external_id"], "c");
    for client_by in [
        json!({ "id": "c" }),
        json!({ "external_id": 68 }),
        json!({ "id": "c", "external_id": 68 }),
    ] {
        let answer = app
            .post(&json!([changed(order("d"), "/client", client_by)]))
            .await;
        assert_eq!(answer.warnings_but_of_products("d"), [""; 0]);
        assert_eq!(client(answer.order("d")), 68);
        assert_eq!(answer.order("d")["client"]["username"], "Имя");
    }
    assert_eq!(app.count("client").await, 1);
}

#[tokio::test]
async fn a_client_with_an_id_of_its_own_and_anothers_number_is_a_new_record() {
    let app = TestApp::start().await;
    let theirs = app.accept(&order_of("theirs", "a")).await;
    let mine = changed(
        order_of("mine", "b"),
        "/client/external_id",
        client(&theirs),
    );
    let nameless = changed(mine.clone(), "/client/username", "(absent)");
    let answer = app.post(&json!([nameless])).await;
    assert_eq!(
        answer.faults("b"),
        ["client.username: required"],
        "we do not know this one"
    );
    let mine = changed(mine, "/client/username", "Мой");
    let answer = app.post(&json!([mine])).await;
    assert_eq!(
        answer.warnings_but_of_products("b"),
        ["client.external_id: external_id_ignored"]
    );
    assert_eq!(client(answer.order("b")), client(&theirs) + 1);
    assert_eq!(answer.order("b")["client"]["external_id"], "mine");
    assert_eq!(
        app.accept(&order_of("theirs", "a")).await,
        theirs,
        "untouched"
    );
    // Sent again it is known by its id, and nothing more comes into being.
    let again = app.post(&json!([mine])).await;
    assert_eq!(again.text, answer.text);
    assert_eq!(app.count("client").await, 2);
}

#[tokio::test]
async fn a_client_known_by_its_id_that_brings_anothers_number_stays_itself() {
    let app = TestApp::start().await;
    let one = app.accept(&order_of("one", "a")).await;
    let other = app.accept(&order_of("other", "b")).await;
    for stranger in [client(&other), 4711] {
        let mixed = changed(order_of("one", "a"), "/client/external_id", stranger);
        let mixed = changed(mixed, "/client/email", "one@example.org");
        let answer = app.post(&json!([mixed])).await;
        assert_eq!(
            answer.warnings_but_of_products("a"),
            ["client.external_id: external_id_ignored"]
        );
        assert_eq!(client(answer.order("a")), client(&one));
        assert_eq!(answer.order("a")["client"]["email"], "one@example.org");
    }
    assert_eq!(
        app.accept(&order_of("other", "b")).await,
        other,
        "untouched"
    );
    assert_eq!(app.count("client").await, 2);
}

#[tokio::test]
async fn a_clients_adopted_number_is_skipped_when_its_turn_comes() {
    let app = TestApp::start().await;
    assert_eq!(client(&app.accept(&order("a")).await), 1);
    app.accept(&changed(order("adopts"), "/client/external_id", 2))
        .await;
    assert_eq!(client(&app.accept(&order("b")).await), 3);
}

#[tokio::test]
async fn a_client_made_in_a_batch_is_known_to_the_orders_behind() {
    let app = TestApp::start().await;
    let batch = json!([
        order_of("c", "a"),
        changed(order("b"), "/client", json!({ "id": "c" })),
        changed(
            order("d"),
            "/client",
            json!({ "external_id": 68, "username": "По номеру" })
        ),
        changed(
            order("e"),
            "/client",
            json!({ "external_id": 68, "id": "takes" })
        ),
        changed(
            order("f"),
            "/client",
            json!({ "external_id": 68, "id": "too late" })
        ),
    ]);
    let answer = app.post(&batch).await;
    assert_eq!(client(answer.order("b")), client(answer.order("a")));
    assert_eq!(client(answer.order("e")), 68);
    assert_eq!(
        answer.order("d")["client"]["external_id"],
        "takes",
        "the end state"
    );
    assert_eq!(answer.faults("f"), ["client.username: required"]);
}

#[tokio::test]
async fn a_client_is_not_known_by_a_number_that_another_brought_in_vain() {
    let app = TestApp::start().await;
    app.accept(&order_of("known", "a")).await;
    let batch = json!([
        changed(order_of("known", "a"), "/client/external_id", 77),
        changed(order("b"), "/client", json!({ "external_id": 77 })),
    ]);
    let answer = app.post(&batch).await;
    assert_eq!(
        answer.warnings_but_of_products("a"),
        ["client.external_id: external_id_ignored"]
    );
    assert_eq!(answer.faults("b"), ["client.username: required"]);
}

#[tokio::test]
async fn a_client_that_a_rejected_order_would_have_made_is_not_known() {
    let app = TestApp::start().await;
    let batch = json!([
        changed(order_of("c", "bad"), "/total", -1),
        changed(order("b"), "/client", json!({ "id": "c" })),
    ]);
    let answer = app.post(&batch).await;
    assert_eq!(answer.faults("b"), ["client.username: required"]);
    assert_eq!(app.count("client").await, 0);
}

// Guests

#[tokio::test]
async fn a_guest_is_known_again_by_the_phone_in_any_spelling() {
    let app = TestApp::start().await;
    let first = app.accept(&guest_order("first", "+79191991919")).await;
    assert_eq!(first["client"]["external_id"], Value::Null);
    assert_eq!(first["client"]["phones"], json!(["9191991919"]));
    for (n, phone) in [
        "89191991919",
        "79191991919",
        "9191991919",
        "8 (919) 199-19-19",
        "+7 919 199 19 19",
    ]
    .into_iter()
    .enumerate()
    {
        let again = app.accept(&guest_order(&format!("order {n}"), phone)).await;
        assert_eq!(client(&again), client(&first), "{phone}");
        assert_eq!(shipped_to(&again), shipped_to(&first), "{phone}");
    }
    // Nor within one batch, in which the first of them makes the guest.
    let answer = app
        .post(&json!([
            guest_order("x", "+49301234567"),
            guest_order("y", "+49 (30) 123-45-67")
        ]))
        .await;
    assert_eq!(client(answer.order("x")), client(answer.order("y")));
    let stranger = app.accept(&guest_order("z", "9191991910")).await;
    assert_ne!(client(&stranger), client(&first));
    assert_eq!(app.count("client").await, 3);
}

#[tokio::test]
async fn a_guest_is_never_matched_with_a_registered_client() {
    let app = TestApp::start().await;
    let registered = changed(order_of("c", "a"), "/client/phone", "+79191991919");
    let registered = changed(registered, "/client/phones", json!(["+79191991919"]));
    let by_number = json!({ "external_id": 68, "username": "По номеру", "phone": "+79191991919" });
    let registered = app
        .post(&json!([
            registered,
            changed(order("b"), "/client", by_number)
        ]))
        .await;
    let guest = app.accept(&guest_order("g", "9191991919")).await;
    for id in ["a", "b"] {
        assert_ne!(client(&guest), client(registered.order(id)));
    }
    assert_eq!(guest["client"]["external_id"], Value::Null);
    assert_eq!(app.count("client").await, 3);
}

#[tokio::test]
async fn a_registered_client_is_never_matched_with_a_guest() {
    let app = TestApp::start().await;
    let guest = app.accept(&guest_order("g", "+79191991919")).await;
    let registered = changed(order_of("c", "a"), "/client/phone", "+79191991919");
    let registered = app.accept(&registered).await;
    assert_ne!(client(&registered), client(&guest));
    assert_eq!(app.accept(&guest_order("g", "+79191991919")).await, guest);
}

#[tokio::test]
async fn a_guest_that_registers_with_its_number_is_a_guest_no_more() {
    let app = TestApp::start().await;
    let guest = app.accept(&guest_order("g", "+79191991919")).await;
    let registers = json!({ "id": "c", "external_id": client(&guest), "phone": "+79191991919" });
    let registered = app.accept(&changed(order("a"), "/client", registers)).await;
    assert_eq!(
        client(&registered),
        client(&guest),
        "known by number, it takes the id"
    );
    let new_guest = app.accept(&guest_order("h", "+79191991919")).await;
    assert_ne!(client(&new_guest), client(&guest));
}

#[tokio::test]
async fn a_guest_whose_number_comes_back_is_the_same_guest() {
    let app = TestApp::start().await;
    let guest = app.accept(&guest_order("g", "+79191991919")).await;
    let remembered =
        json!({ "external_id": client(&guest), "username": "Гость", "phone": "+79191991919" });
    app.accept(&changed(order("g"), "/client", remembered))
        .await;
    let again = app.accept(&guest_order("h", "89191991919")).await;
    assert_eq!(client(&again), client(&guest));
    assert_eq!(app.count("client").await, 1);
}

// Addresses

#[tokio::test]
async fn an_address_known_by_its_id_is_that_address() {
    let app = TestApp::start().await;
    let list = |house| json!([changed(address(house), "/id", "home")]);
    let first = app.accept(&order_with_addresses("a", list("1"))).await;
    assert_eq!(first["client"]["addresses"][0]["external_id"], "home");
    let moved = app.accept(&order_with_addresses("b", list("2"))).await;
    assert_eq!(
        moved["client"]["addresses"][0]["id"],
        first["client"]["addresses"][0]["id"]
    );
    assert_eq!(moved["client"]["addresses"][0]["house"], "2");
}

#[tokio::test]
async fn an_address_known_by_its_number_takes_the_id_that_comes() {
    let app = TestApp::start().await;
    let first = app.accept(&order_with_addresses("a", json!([]))).await;
    let home = changed(
        changed(address("1"), "/external_id", shipped_to(&first)),
        "/id",
        "home",
    );
    let answer = app
        .post(&json!([order_with_addresses("a", json!([home]))]))
        .await;
    assert_eq!(answer.warnings_but_of_products("a"), [""; 0]);
    assert_eq!(addresses(answer.order("a")), [shipped_to(&first)]);
    assert_eq!(
        answer.order("a")["client"]["addresses"][0]["external_id"],
        "home"
    );
    let by_id = changed(address("1"), "/id", "home");
    assert_eq!(
        &app.accept(&order_with_addresses("a", json!([by_id]))).await,
        answer.order("a")
    );
}

#[tokio::test]
async fn a_clash_of_addresses_loses_nothing_and_the_senders_id_decides() {
    let app = TestApp::start().await;
    let home = changed(address("1"), "/id", "home");
    let work = changed(address("2"), "/id", "work");
    let first = app
        .accept(&order_with_addresses("a", json!([home, work])))
        .await;
    let [home, work] = addresses(&first)[..] else {
        panic!("{first}")
    };

    // Known by its id, with another's number: that record, and the number is left alone.
    let mixed = changed(changed(address("11"), "/id", "home"), "/external_id", work);
    // An id of its own, with another's number: a new record.
    let new = changed(changed(address("3"), "/id", "new"), "/external_id", home);
    let batch = json!([order_with_addresses("a", json!([mixed, new]))]);
    let answer = app.post(&batch).await;
    assert_eq!(
        answer.warnings_but_of_products("a"),
        [
            "client.addresses[0].external_id: external_id_ignored",
            "client.addresses[1].external_id: external_id_ignored",
        ]
    );
    let list = answer.order("a")["client"]["addresses"].as_array().unwrap();
    let read = |list: &[Value]| -> Vec<(Value, Value)> {
        list.iter()
            .map(|a| (a["external_id"].clone(), a["house"].clone()))
            .collect()
    };
    assert_eq!(
        read(list),
        [
            (json!("home"), json!("11")),
            (json!("work"), json!("2")),
            (json!("new"), json!("3")),
        ]
    );
    // The order goes to Lenin street 1 still, whatever has become of that address (§5).
    assert_eq!(shipped_to(answer.order("a")), home);
    assert_eq!(answer.order("a")["shipping_address"]["house"], "1");
    assert_eq!(addresses(answer.order("a"))[..2], [home, work]);
    assert_eq!(
        app.post(&batch).await.text,
        answer.text,
        "and sending it again changes nothing"
    );
}

#[tokio::test]
async fn an_address_never_becomes_another_clients() {
    let app = TestApp::start().await;
    let theirs = app.accept(&order_of("theirs", "t")).await;
    for (id, sent) in [
        (
            "with an id",
            changed(
                changed(address("5"), "/id", "x"),
                "/external_id",
                shipped_to(&theirs),
            ),
        ),
        (
            "without",
            changed(address("6"), "/external_id", shipped_to(&theirs)),
        ),
    ] {
        let answer = app
            .post(&json!([order_with_addresses(id, json!([sent]))]))
            .await;
        assert_eq!(
            answer.warnings_but_of_products(id),
            ["client.addresses[0].external_id: external_id_ignored"]
        );
        assert!(!addresses(answer.order(id)).contains(&shipped_to(&theirs)));
    }
    assert_eq!(
        app.accept(&order_of("theirs", "t")).await,
        theirs,
        "untouched"
    );
}

#[tokio::test]
async fn an_addresss_number_that_is_free_is_adopted() {
    let app = TestApp::start().await;
    let home = changed(address("1"), "/external_id", 2647);
    let first = app.accept(&order_with_addresses("a", json!([home]))).await;
    assert_eq!(shipped_to(&first), 2647);
    assert_eq!(
        app.accept(&order_with_addresses("a", json!([home]))).await,
        first
    );
    let next = app.accept(&order("b")).await;
    assert_eq!(shipped_to(&next), 1);
}

#[tokio::test]
async fn an_addresss_id_means_something_only_among_its_clients_addresses() {
    let app = TestApp::start().await;
    let home = json!([changed(address("1"), "/id", "home")]);
    let batch = json!([
        changed(order_of("one", "a"), "/client/addresses", home.clone()),
        changed(order_of("other", "b"), "/client/addresses", home),
    ]);
    let answer = app.post(&batch).await;
    let number = |id| answer.order(id)["client"]["addresses"][0]["id"].clone();
    assert_ne!(number("a"), number("b"));
}

#[tokio::test]
async fn an_address_without_id_and_number_is_matched_by_its_content() {
    let app = TestApp::start().await;
    let flat = changed(changed(address("1"), "/room", "12"), "/floor", "");
    let first = app
        .accept(&order_with_addresses(
            "a",
            json!([address("1"), flat, address("2")]),
        ))
        .await;
    assert_eq!(addresses(&first), [1, 2, 3]);
    assert_eq!(shipped_to(&first), 1);
    let again = app
        .accept(&order_with_addresses(
            "b",
            json!([
                address("2"),
                changed(flat.clone(), "/entrance", Value::Null)
            ]),
        ))
        .await;
    assert_eq!(addresses(&again), [1, 2, 3]);
    let third = app
        .accept(&changed(
            order_with_addresses("b", json!([])),
            "/shipping_address",
            flat,
        ))
        .await;
    assert_eq!(shipped_to(&third), 2);
    // Content that another client has makes no match.
    let other = changed(order_of("other", "o"), "/shipping_address", address("1"));
    assert_eq!(shipped_to(&app.accept(&other).await), 4);
}

#[tokio::test]
async fn an_address_is_found_by_content_among_those_with_an_id_too() {
    let app = TestApp::start().await;
    let home = changed(address("1"), "/id", "home");
    let first = app.accept(&order_with_addresses("a", json!([home]))).await;
    assert_eq!(addresses(&first), [shipped_to(&first)]);
    assert_eq!(first["shipping_address"]["external_id"], "home");
}

#[tokio::test]
async fn addresses_are_answered_in_one_order_however_they_came() {
    let app = TestApp::start().await;
    let list = json!([
        address("3"),
        changed(address("1"), "/external_id", 70),
        changed(address("2"), "/external_id", 60)
    ]);
    let batch = json!([order_with_addresses("a", list)]);
    let first = app.post(&batch).await;
    assert_eq!(app.post(&batch).await.text, first.text);
}

#[tokio::test]
async fn an_order_stays_with_its_address_when_an_equal_one_brings_a_lower_number() {
    let app = TestApp::start().await;
    let batch = json!([
        order_with_addresses("a", json!([])),
        order_with_addresses("b", json!([changed(address("1"), "/external_id", 1)])),
    ]);
    let first = app.post(&batch).await;
    assert_eq!(shipped_to(first.order("a")), 2);
    assert_eq!(shipped_to(first.order("b")), 1);
    assert_eq!(app.post(&batch).await.text, first.text);
}

#[tokio::test]
async fn user_address_id_names_an_address_of_this_client() {
    let app = TestApp::start().await;
    let first = app
        .accept(&order_with_addresses(
            "a",
            json!([address("1"), address("2")]),
        ))
        .await;
    let second = addresses(&first)[1];
    for own in [json!(second), json!(second.to_string())] {
        let there = changed(address("2"), "/user_address_id", own);
        let batch = json!([changed(order_of("c", "b"), "/shipping_address", there)]);
        let answer = app.post(&batch).await;
        assert_eq!(answer.warnings_but_of_products("b"), [""; 0]);
        assert_eq!(shipped_to(answer.order("b")), second);
        assert_eq!(
            answer.order("b")["shipping_address"]["user_address_id"],
            second
        );
    }
    assert_eq!(app.count("address").await, 2);
}

#[tokio::test]
async fn a_user_address_id_that_this_client_does_not_have_is_never_anothers_address() {
    let app = TestApp::start().await;
    let theirs = app.accept(&order_of("theirs", "t")).await;
    let mine = app.accept(&order_with_addresses("a", json!([]))).await;
    for foreign in [
        json!(shipped_to(&theirs)),
        json!(4711),
        json!("99999999999"),
        json!(-5),
    ] {
        // Matched by content …
        let known = changed(address("1"), "/user_address_id", foreign.clone());
        let answer = app
            .post(&json!([changed(
                order_of("c", "a"),
                "/shipping_address",
                known
            )]))
            .await;
        assert_eq!(
            answer.warnings_but_of_products("a"),
            ["shipping_address.user_address_id: address_not_found"],
            "{foreign}"
        );
        assert_eq!(shipped_to(answer.order("a")), shipped_to(&mine));
        // … or created by it.
        let house = format!("9{}", app.count("address").await);
        let new = changed(address(&house), "/user_address_id", foreign.clone());
        let answer = app
            .post(&json!([changed(
                order_of("c", "b"),
                "/shipping_address",
                new
            )]))
            .await;
        assert_eq!(
            answer.warnings_but_of_products("b"),
            ["shipping_address.user_address_id: address_not_found"],
            "{foreign}"
        );
        assert!(
            ![shipped_to(&theirs), shipped_to(&mine), 4711]
                .contains(&shipped_to(answer.order("b")))
        );
        assert_eq!(answer.order("b")["shipping_address"]["house"], json!(house));
    }
    let zero = changed(address("1"), "/user_address_id", 0);
    let answer = app
        .post(&json!([changed(
            order_of("c", "a"),
            "/shipping_address",
            zero
        )]))
        .await;
    assert_eq!(
        answer.warnings_but_of_products("a"),
        [""; 0],
        "0 counts as absent"
    );
    assert_eq!(
        app.accept(&order_of("theirs", "t")).await,
        theirs,
        "untouched"
    );
}

// Publications

#[tokio::test]
async fn publications_share_nothing() {
    let app = TestApp::start().await;
    let batch = json!([
        changed(order("a"), "/external_id", 50894),
        order_with_addresses("b", json!([changed(address("1"), "/id", "home")])),
        guest_order("g", "+79191991919"),
    ]);
    // Without a moment of their own they would get each its own, and the second may change in between.
    let batch = changed(batch, "/1/created_at", "2026-11-05 10:00:00");
    let batch = changed(batch, "/2/created_at", "2026-11-05 10:00:00");
    let here = app.post(&batch).await;
    let there = post_to(&app, "доставка", &changed(batch.clone(), "/0/total", 1)).await;
    assert_eq!(there.order("a")["total"], 1);
    assert_eq!(
        app.post(&batch).await.text,
        here.text,
        "nothing of it changed"
    );
    for id in ["b", "g"] {
        assert_eq!(here.order(id), there.order(id), "each counts for itself");
    }
    assert_eq!(app.count("orders").await, 6);

    // What only one of them has is unknown to the other.
    app.accept(&changed(
        order_of("only here", "only here"),
        "/client/external_id",
        500,
    ))
    .await;
    for client in [json!({ "id": "only here" }), json!({ "external_id": 500 })] {
        let answer = post_to(
            &app,
            "доставка",
            &json!([changed(order("x"), "/client", client)]),
        )
        .await;
        assert_eq!(answer.faults("x"), ["client.username: required"]);
    }
    let addresses = app
        .count("address WHERE publication = 'demodelivery'")
        .await;
    let ours = changed(order("x"), "/shipping_address/user_address_id", addresses);
    let answer = post_to(&app, "доставка", &json!([ours])).await;
    assert_eq!(
        answer.warnings_but_of_products("x")[0],
        "shipping_address.user_address_id: address_not_found"
    );
}

#[tokio::test]
async fn a_publication_is_one_tenant_under_all_its_names_in_any_case() {
    let app = TestApp::start().await;
    let batch = json!([order("a")]);
    let first = app.post(&batch).await;
    for name in ["demodelivery_web", "DemoDelivery", "DEMODELIVERY_WEB"] {
        assert_eq!(post_to(&app, name, &batch).await.text, first.text, "{name}");
    }
    assert_eq!(app.count("orders").await, 1);
}

#[tokio::test]
async fn counting_starts_where_the_publication_says() {
    let app = TestApp::with(first_numbers(FirstNumbers {
        order: 50894,
        client: 68,
        address: 2647,
        product: 28,
    }))
    .await;
    let first = app.accept(&order("a")).await;
    assert_eq!(first["id"], "50894");
    assert_eq!((client(&first), shipped_to(&first)), (68, 2647));
    assert_eq!(first["client"]["account_number"], 68);
    let second = app.accept(&order("b")).await;
    assert_eq!(
        (number(&second), client(&second), shipped_to(&second)),
        (50895, 69, 2648)
    );
    let there = post_to(&app, "доставка", &json!([order("a")])).await;
    assert_eq!(number(there.order("a")), 1);
}
