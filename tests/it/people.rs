//! Contract, first rule: what one person sent is never written over another, and an order goes where it was sent (§4, §5).

use aqua_orders::config::Config;
use proptest::{collection::vec, prelude::*, sample::select, test_runner::TestRunner};
use serde_json::{Value, json};

use crate::support::{
    app::{Answer, TestApp, address, changed, order},
    command::Operator,
};

/// An order of client `c` to that house.
fn order_to(id: &str, house: &str) -> Value {
    let order = changed(order(id), "/client/id", "c");
    changed(order, "/shipping_address", address(house))
}

/// The same, to the client's address of that number.
fn order_to_number(id: &str, number: &Value, house: &str) -> Value {
    let order = order_to(id, house);
    changed(order, "/shipping_address/user_address_id", number.clone())
}

async fn version(app: &TestApp, id: &str) -> i32 {
    sqlx::query_scalar("SELECT version FROM orders WHERE sender_id = $1")
        .bind(id)
        .fetch_one(&app.pool())
        .await
        .unwrap()
}

/// House and number of the client's addresses in an answer.
fn houses(order: &Value) -> Vec<(i64, &str)> {
    let addresses = order["client"]["addresses"].as_array().unwrap();
    let addresses = addresses.iter();
    addresses
        .map(|a| (a["id"].as_i64().unwrap(), a["house"].as_str().unwrap()))
        .collect()
}

// An order keeps the delivery address that was sent for it (§5).

#[tokio::test]
async fn a_later_edit_of_the_clients_address_moves_no_order() {
    let app = TestApp::start().await;
    let home = |house: &str| changed(address(house), "/id", "home");
    let list = |order, house| changed(order, "/client/addresses", json!([home(house)]));
    let first = app.accept(&list(order_to("a", "5"), "5")).await;
    let number = &first["shipping_address"]["id"];
    let again = json!([order_to("a", "5")]);

    // By the client's list, by another order, and by an import.
    app.accept(&list(order_to("b", "7"), "7")).await;
    let shown = app.post(&again).await;
    assert_eq!(
        shown.order("a")["shipping_address"],
        first["shipping_address"]
    );
    assert_eq!(shown.order("a")["client"]["addresses"][0]["house"], "7");

    app.accept(&order_to_number("c", number, "8")).await;
    let shown = app.post(&again).await;
    assert_eq!(
        shown.order("a")["shipping_address"],
        first["shipping_address"]
    );
    assert_eq!(shown.order("a")["client"]["addresses"][0]["house"], "8");

    let file = format!("number;addresses.number;addresses.house\n1;{number};9\n");
    Operator::of(&app.database).imported("clients", &file).await;
    let shown = app.post(&again).await;
    assert_eq!(
        shown.order("a")["shipping_address"],
        first["shipping_address"]
    );
    assert_eq!(houses(shown.order("a")), [(number.as_i64().unwrap(), "9")]);
    assert_eq!(version(&app, "a").await, 1);
    assert_eq!(shown.warnings_but_of_products("a"), [""; 0]);
}

#[tokio::test]
async fn a_known_order_that_goes_where_it_went_leaves_the_clients_address_alone() {
    let app = TestApp::start().await;
    let first = app.accept(&order_to("a", "5")).await;
    let number = &first["shipping_address"]["id"];
    app.accept(&order_to_number("b", number, "7")).await;
    // Neither does it change that address, nor is another one made.
    let shown = app.accept(&order_to("a", "5")).await;
    assert_eq!(houses(&shown), [(number.as_i64().unwrap(), "7")]);
    assert_eq!(&shown["shipping_address"]["user_address_id"], number);
    assert_eq!(shown["shipping_address"]["house"], "5");
    // A new order to that house is another matter.
    let new = app.accept(&order_to("c", "5")).await;
    assert_eq!(houses(&new).len(), 2);
    assert_ne!(&new["shipping_address"]["id"], number);
}

#[tokio::test]
async fn an_order_sent_again_changes_its_own_copy_field_by_field() {
    let app = TestApp::start().await;
    let full = changed(
        changed(order_to("a", "5"), "/shipping_address/entrance", "2"),
        "/shipping_address/floor",
        "3",
    );
    let first = app.accept(&full).await;
    let number = &first["shipping_address"]["id"];
    // Absent keeps what the order has, null clears it; with our number and without.
    let sent = changed(
        order_to_number("a", number, "5"),
        "/shipping_address/floor",
        Value::Null,
    );
    let second = app.accept(&sent).await;
    let copy = &second["shipping_address"];
    assert_eq!(
        (&copy["entrance"], &copy["floor"], &copy["id"]),
        (&json!("2"), &Value::Null, number)
    );
    let third = app.accept(&order_to("a", "5")).await;
    assert_eq!(third, second);
    assert_eq!(version(&app, "a").await, 2);

    // The client's address has another entrance by now: the order keeps its own.
    let other = changed(
        order_to_number("b", number, "5"),
        "/shipping_address/entrance",
        "9",
    );
    app.accept(&other).await;
    let fourth = app.accept(&order_to_number("a", number, "6")).await;
    let copy = &fourth["shipping_address"];
    assert_eq!(
        (&copy["house"], &copy["entrance"]),
        (&json!("6"), &json!("2"))
    );
    let list = &fourth["client"]["addresses"][0];
    assert_eq!(
        (&list["house"], &list["entrance"]),
        (&json!("6"), &json!("9"))
    );
}

#[tokio::test]
async fn an_order_that_moves_to_another_address_is_sent_there_as_a_new_one_is() {
    let app = TestApp::start().await;
    let first = app
        .accept(&changed(
            order_to("a", "5"),
            "/shipping_address/entrance",
            "2",
        ))
        .await;
    let there = app
        .accept(&changed(
            order_to("b", "6"),
            "/shipping_address/entrance",
            "4",
        ))
        .await;
    let other = &there["shipping_address"]["id"];
    // By number: the content that this makes of the client's address.
    let moved = app.accept(&order_to_number("a", other, "6")).await;
    assert_eq!(moved["shipping_address"], there["shipping_address"]);
    // By content: just what was sent.
    let back = app.accept(&order_to("a", "5")).await;
    assert_eq!(back["shipping_address"]["entrance"], Value::Null);
    assert_ne!(
        back["shipping_address"]["id"], first["shipping_address"]["id"],
        "exactly this content"
    );
    assert_eq!(houses(&back).len(), 3);
}

#[tokio::test]
async fn the_history_tells_how_an_orders_own_address_changed() {
    let app = TestApp::start().await;
    let first = app.accept(&order_to("a", "5")).await;
    let number = &first["shipping_address"]["id"];
    app.accept(&order_to_number("a", number, "6")).await;
    let third = app.accept(&order_to("a", "7")).await;
    let other = &third["shipping_address"]["id"];
    let changes: Vec<Value> = app
        .values("SELECT changes FROM journal_change ORDER BY version")
        .await;
    let from_to = |from, to| {
        json!({
            "shipping_address.house": [from, to],
            "shipping_address.str": [format!("Ленина {from}"), format!("Ленина {to}")],
        })
    };
    assert_eq!(changes[0], from_to("5", "6"));
    assert_eq!(
        changes[1],
        changed(
            from_to("6", "7"),
            "/shipping_address",
            json!([number, other])
        )
    );
}

#[tokio::test]
async fn an_operator_sees_the_orders_own_address_and_what_became_of_the_clients() {
    let app = TestApp::start().await;
    let first = app.accept(&order_to("a", "5")).await;
    app.accept(&order_to_number("b", &first["shipping_address"]["id"], "7"))
        .await;
    let shown = Operator::of(&app.database)
        .run(["order", "show", "a"])
        .await
        .done();
    let at = shown.find("\nshipping_address\n").unwrap();
    let lines: Vec<&str> = shown[at..].lines().skip(2).take(3).collect();
    assert_eq!(
        lines,
        [
            "  1           Ленина, д. 5, г. Сыктывкар",
            "              Ленина 5",
            "              the client's address is now: Ленина, д. 7, г. Сыктывкар",
        ]
    );
}

// A finished order is not overwritten by a stranger's (§4).

/// An order of that client, with that status.
fn order_of(client: Value, id: &str, status: &str) -> Value {
    changed(changed(order(id), "/client", client), "/status", status)
}

fn registered(id: &str, phone: &str) -> Value {
    json!({ "id": id, "username": format!("Клиент {id}"), "phone": phone })
}

/// All that is stored, but for the journal.
async fn rows(app: &TestApp) -> Vec<String> {
    app.values("SELECT 'c' || c::text FROM client c UNION ALL SELECT 'a' || a::text FROM address a
         UNION ALL SELECT 'o' || o::text FROM orders o UNION ALL SELECT 'i' || i::text FROM order_item i
         ORDER BY 1").await
}

#[tokio::test]
async fn a_finished_order_under_a_reused_id_is_a_conflict_and_nothing_is_taken() {
    for status in ["completed", "removed"] {
        let app = TestApp::start().await;
        let one = registered("one", "9191991911");
        app.accept(&order_of(one, "a", status)).await;
        // A client of its own, one who is stored already, and a guest.
        let two = registered("two", "9191991912");
        app.accept(&order_of(two.clone(), "b", "new")).await;
        let three = registered("three", "9191991913");
        let guest = json!({ "username": "Гость", "phone": "9191991914" });
        let before = rows(&app).await;
        for stranger in [two, three, guest] {
            let renamed = changed(stranger.clone(), "/username", "Другой");
            let sent = json!([order_of(renamed, "a", "new")]);
            let answer = app.post(&sent).await;
            assert_eq!(answer.faults("a"), ["id: conflict"], "{status}, {stranger}");
            let english = app.request().header("Accept-Language", "en");
            let answer = Answer::of(english.body(sent.to_string())).await;
            assert_eq!(
                answer.entry("a")["errors"][0]["message"],
                "this id belongs to another client's order, which is finished"
            );
            assert_eq!(rows(&app).await, before);
        }
    }
}

#[tokio::test]
async fn a_finished_order_that_comes_from_its_client_again_is_taken() {
    let app = TestApp::start().await;
    let one = registered("one", "9191991911");
    app.accept(&order_of(one.clone(), "a", "completed")).await;
    let answer = app.post(&json!([order_of(one, "a", "new")])).await;
    assert_eq!(
        answer.warnings_but_of_products("a"),
        ["status: status_not_changed"]
    );
    assert_eq!(answer.order("a")["status"], "completed");
}

#[tokio::test]
async fn a_guest_who_registered_since_is_no_stranger() {
    let app = TestApp::start().await;
    let guest = json!({ "username": "Гость", "phone": "9191991911" });
    app.accept(&order_of(guest, "a", "completed")).await;
    // One phone in common, wherever it stands: sent as the first, sent beside it, or stored of the record that is named.
    let moved = [
        registered("one", "+7 919 199-19-11"),
        json!({ "id": "two", "username": "Два", "phones": ["9191991919", "89191991911"] }),
    ];
    for (at, client) in moved.into_iter().enumerate() {
        let id = if at == 0 { "a" } else { "b" };
        if at == 1 {
            let guest = json!({ "username": "Гость", "phone": "9191991911" });
            app.accept(&order_of(guest, "b", "removed")).await;
        }
        let answer = app.post(&json!([order_of(client, id, "new")])).await;
        assert_eq!(
            answer.warnings_but_of_products(id),
            ["client: client_changed", "status: status_not_changed"]
        );
    }
    let guest = json!({ "username": "Гость", "phone": "9191991911" });
    app.accept(&order_of(guest, "c", "removed")).await;
    let answer = app
        .post(&json!([order_of(json!({ "id": "one" }), "c", "new")]))
        .await;
    assert_eq!(answer.order("c")["client"]["external_id"], "one");
}

#[tokio::test]
async fn an_open_order_that_comes_with_another_client_moves_and_says_so() {
    let app = TestApp::start().await;
    app.accept(&order_of(registered("one", "9191991911"), "a", "approved"))
        .await;
    let two = registered("two", "9191991912");
    let answer = app
        .post(&json!([order_of(two.clone(), "a", "approved")]))
        .await;
    assert_eq!(
        answer.warnings_but_of_products("a"),
        ["client: client_changed"]
    );
    assert_eq!(answer.order("a")["client"]["external_id"], "two");
    let answer = app.post(&json!([order_of(two, "a", "approved")])).await;
    assert_eq!(answer.warnings_but_of_products("a"), [""; 0]);
}

#[tokio::test]
async fn one_batch_under_an_id_that_two_people_use_is_answered_alike_each_time() {
    let app = TestApp::start().await;
    // The second one is done when the first one comes again; the batch names both.
    let batch = json!([
        order_of(registered("two", "9191991912"), "a", "new"),
        order_of(registered("one", "9191991911"), "a", "completed"),
    ]);
    let first = app.post(&batch).await;
    assert_eq!(first.order("a")["client"]["external_id"], "one");
    let stored = rows(&app).await;
    let again = app.post(&batch).await;
    assert_eq!(again.order("a"), first.order("a"));
    assert_eq!(rows(&app).await, stored);
}

#[tokio::test]
async fn a_strangers_element_is_a_conflict_though_the_orders_client_is_in_the_same_batch() {
    let of = |client: &str, status| {
        order_of(
            registered(client, &format!("919199191{}", client.len())),
            "a",
            status,
        )
    };
    // What is stored before, what comes, and which elements of that are refused.
    let cases = [
        (
            vec![of("one", "completed")],
            vec![of("one", "new"), of("other", "new")],
        ),
        (
            vec![of("one", "completed")],
            vec![of("other", "new"), of("one", "new")],
        ),
        (vec![], vec![of("one", "completed"), of("other", "new")]),
        (
            vec![of("one", "approved")],
            vec![of("one", "removed"), of("other", "new")],
        ),
    ];
    for (before, batch) in cases {
        let app = TestApp::start().await;
        for order in &before {
            app.accept(order).await;
        }
        let renamed: Vec<Value> = batch
            .iter()
            .map(|order| {
                let is_other = order["client"]["id"] == "other";
                let comment = if is_other { "чужой" } else { "свой" };
                changed(order.clone(), "/comment", comment)
            })
            .collect();
        let answer = app.post(&json!(renamed)).await;
        let order = answer.order("a");
        assert_eq!(order["client"]["external_id"], "one");
        assert_eq!(order["comment"], "свой");
        assert!(
            answer
                .warnings("a")
                .contains(&"id: kept_as_stored".to_owned()),
            "{renamed:?}"
        );
        let others: i64 =
            sqlx::query_scalar("SELECT count(*) FROM client WHERE sender_id = 'other'")
                .fetch_one(&app.pool())
                .await
                .unwrap();
        assert_eq!(others, 0, "nothing of it is taken");
        let stored = rows(&app).await;
        assert_eq!(app.post(&json!(renamed)).await.order("a"), order);
        assert_eq!(rows(&app).await, stored);
    }
}

// A batch sent again makes nothing new (§4).

#[tokio::test]
async fn an_address_that_is_found_by_content_and_changed_by_its_number_is_settled_the_first_time() {
    let app = TestApp::start().await;
    let list = |id: &str, list: Value| changed(order_to(id, "1"), "/client/addresses", list);
    let without = changed(address("2"), "/id", "home");
    let entrance = changed(without.clone(), "/entrance", "4");
    app.accept(&list("a", json!([without]))).await;
    let batch = json!([
        list("b", json!([address("2")])),
        list("c", json!([entrance])),
    ]);
    let first = app.post(&batch).await;
    let stored = rows(&app).await;
    assert_eq!(app.post(&batch).await.text, first.text);
    assert_eq!(rows(&app).await, stored);
    assert_eq!(houses(first.order("c")).len(), 3);
}

#[tokio::test]
async fn a_guest_who_takes_an_id_in_a_batch_is_settled_the_first_time() {
    let app = TestApp::start().await;
    let guest = json!({ "username": "Гость", "phone": "9191991911" });
    let known = app.accept(&order_of(guest.clone(), "a", "new")).await;
    let number = known["client"]["id"].clone();
    let batch = json!([
        order_of(guest, "b", "new"),
        order_of(
            json!({ "id": "one", "external_id": number, "username": "Один" }),
            "c",
            "new"
        ),
    ]);
    let first = app.post(&batch).await;
    let stored = rows(&app).await;
    let again = app.post(&batch).await;
    for id in ["b", "c"] {
        assert_eq!(again.order(id), first.order(id));
    }
    assert_eq!(rows(&app).await, stored);
    assert_eq!(first.order("c")["client"]["id"], number);
    assert_ne!(first.order("b")["client"]["id"], number);
}

#[tokio::test]
async fn a_client_that_a_later_order_of_the_batch_makes_is_known() {
    let app = TestApp::start().await;
    let batch = json!([
        order_of(json!({ "id": "one" }), "a", "new"),
        order_of(registered("one", "9191991911"), "b", "new"),
        order_of(json!({ "id": "two" }), "c", "new"),
    ]);
    let first = app.post(&batch).await;
    assert_eq!(first.order("a")["client"]["username"], "Клиент one");
    assert_eq!(first.faults("c"), ["client.username: required"]);
    let stored = rows(&app).await;
    assert_eq!(app.post(&batch).await.text, first.text);
    assert_eq!(rows(&app).await, stored);
}

// The stories that the contract came with.

#[tokio::test]
async fn a_later_order_edits_the_address_with_id_home_the_completed_order_still_shows_the_old_one()
{
    let app = TestApp::start().await;
    let sent = |id: &str, house: &str, status: &str| {
        let list = json!([changed(address(house), "/id", "home")]);
        let order = changed(order_to(id, house), "/status", status);
        changed(order, "/client/addresses", list)
    };
    let first = app.accept(&sent("a", "5", "completed")).await;
    app.accept(&sent("b", "7", "new")).await;
    let again = app.accept(&sent("a", "5", "completed")).await;
    assert_eq!(again["shipping_address"]["house"], "5");
    assert_eq!(again["shipping_address"], first["shipping_address"]);
}

#[tokio::test]
async fn the_id_of_a_completed_order_comes_again_as_new_of_another_client_conflict_on_id_the_first_is_untouched()
 {
    let app = TestApp::start().await;
    let one = order_of(registered("one", "9191991911"), "a", "completed");
    let first = app.accept(&one).await;
    let before = rows(&app).await;
    let two = order_of(registered("two", "9191991912"), "a", "new");
    assert_eq!(app.post(&json!([two])).await.faults("a"), ["id: conflict"]);
    assert_eq!(rows(&app).await, before);
    assert_eq!(app.accept(&one).await, first);
}

#[tokio::test]
async fn a_cancellation_that_names_somebody_unknown_keeps_the_orders_client() {
    let app = TestApp::start().await;
    let full = order_of(registered("one", "9191991911"), "a", "approved");
    let first = app.accept(&full).await;
    let sent = changed(
        changed(full, "/client", json!({ "id": "two" })),
        "/status",
        "removed",
    );
    let answer = app.post(&json!([sent])).await;
    assert_eq!(
        answer.warnings_but_of_products("a"),
        [": kept_as_stored", "client.username: required"]
    );
    // Whoever names nobody is taken for the order's own client.
    let bare = json!([{ "id": "a", "status": "removed" }]);
    assert_eq!(
        app.post(&bare).await.order("a"),
        &changed(first, "/status", "removed")
    );
}

#[tokio::test]
async fn a_strangers_cancellation_under_a_reused_id_neither_writes_nor_sees_anything_of_its_client()
{
    let app = TestApp::start().await;
    let full = changed(
        order_of(registered("one", "9191991911"), "a", "new"),
        "/client/email",
        "one@example.org",
    );
    let first = app.accept(&changed(full, "/comment", "код 12")).await;
    let clients = [
        json!({ "id": "unknown" }),
        json!({ "username": "Чужой" }),
        json!([{ "username": "Чужой" }]),
        json!("Чужой"),
        registered("two", "9191991912"),
    ];
    for client in &clients {
        let sent = json!({
            "id": "a", "status": "removed", "comment": "чужой", "client": client,
            "shipping_address": address("9"),
        });
        let answer = app.post(&json!([sent])).await;
        let order = answer.order("a");
        assert_eq!(
            (&order["id"], &order["status"]),
            (&first["id"], &json!("removed"))
        );
        for theirs in [
            "Клиент one",
            "9191991911",
            "one@example.org",
            "код 12",
            "Кутузова",
        ] {
            assert!(!answer.text.contains(theirs), "{client}: {}", answer.text);
        }
        let english = app.request().header("Accept-Language", "en");
        let english = Answer::of(english.body(json!([sent]).to_string())).await;
        for (answer, says) in [
            (&answer, "учтён только статус"),
            (&english, "nothing of it counts but the status"),
        ] {
            assert!(answer.text.contains(says), "{}", answer.text);
        }
    }
    let bare = json!([{ "id": "a", "status": "removed" }]);
    assert_eq!(
        app.post(&bare).await.order("a"),
        &changed(first, "/status", "removed")
    );
    let kept: i64 = app
        .value("SELECT count(*) FROM journal_rejected WHERE warnings IS NOT NULL")
        .await;
    assert_eq!(kept, 5, "what was not taken is in the journal");
}

#[tokio::test]
async fn a_cancellation_whose_client_a_later_order_makes_is_answered_alike_each_time() {
    let app = TestApp::start().await;
    app.accept(&order_of(registered("one", "9191991911"), "a", "new"))
        .await;
    let batch = json!([
        order_of(json!({ "id": "two" }), "a", "removed"),
        order_of(registered("two", "9191991912"), "b", "new"),
    ]);
    let first = app.post(&batch).await;
    assert_eq!(first.order("a")["status"], "removed");
    assert_eq!(first.order("a")["client"]["username"], Value::Null);
    let stored = rows(&app).await;
    assert_eq!(app.post(&batch).await.text, first.text);
    assert_eq!(rows(&app).await, stored);
}

// The stories that the contract came with.

#[test]
fn every_story_has_a_test_of_its_name() {
    let stories: Vec<Value> = serde_json::from_str(include_str!("../data/stories.json")).unwrap();
    let tests = include_str!("people.rs");
    for story in stories {
        let name = story["name"].as_str().unwrap();
        let plain = name.replace(|c: char| !c.is_ascii_alphanumeric(), " ");
        let words: Vec<&str> = plain.split_whitespace().collect();
        let test = format!("async fn {}()", words.join("_").to_lowercase());
        assert!(tests.contains(&test), "no {test}");
    }
}

/// Two orders of two people who both come with that client's id.
async fn stay_two_people(placeholder: Value) {
    let app = TestApp::start().await;
    let person = |name: &str, phone: &str| {
        json!({
            "id": placeholder, "username": name, "phone": phone, "email": format!("{phone}@example.org"),
        })
    };
    let there = |id: &str, house: &str, client: Value| {
        changed(
            order_of(client, id, "new"),
            "/shipping_address",
            address(house),
        )
    };
    let one = there("a", "1", person("Один", "9191991911"));
    let two = there("b", "2", person("Два", "9191991912"));
    let first = app.accept(&one).await;
    let before = rows(&app).await;
    let second = app.accept(&two).await;
    let after = rows(&app).await;
    assert!(before.iter().all(|row| after.contains(row)), "untouched");
    assert_ne!(first["client"]["id"], second["client"]["id"]);
    for (shown, theirs) in [
        (&first, ["Один", "9191991911"]),
        (&second, ["Два", "9191991912"]),
    ] {
        let client = &shown["client"];
        assert_eq!([&client["username"], &client["phones"][0]], theirs);
        assert_eq!(client["external_id"], Value::Null);
        assert_eq!(houses(shown).len(), 1);
    }
    assert_eq!(app.accept(&one).await, first);
}

#[tokio::test]
async fn two_strangers_with_the_client_id_0_stay_two_people_and_neither_sees_anything_of_the_other()
{
    stay_two_people(json!(0)).await;
    stay_two_people(json!("0")).await;
}

#[tokio::test]
async fn the_same_with_the_nil_guid() {
    stay_two_people(json!("00000000-0000-0000-0000-000000000000")).await;
}

#[tokio::test]
async fn two_orders_of_one_client_each_address_with_id_0_different_doors_each_order_stays_at_its_own()
 {
    let app = TestApp::start().await;
    let sent = |id: &str, house: &str| {
        let list = json!([changed(address(house), "/id", 0)]);
        changed(order_to(id, house), "/client/addresses", list)
    };
    let first = app.accept(&sent("a", "5")).await;
    let second = app.accept(&sent("b", "7")).await;
    assert_ne!(
        first["shipping_address"]["id"],
        second["shipping_address"]["id"]
    );
    let houses: Vec<&str> = houses(&second)
        .into_iter()
        .map(|(_, house)| house)
        .collect();
    assert_eq!(houses, ["5", "7"]);
    let again = app.accept(&sent("a", "5")).await;
    assert_eq!(again["shipping_address"], first["shipping_address"]);
}

/// A known order is removed by what the call says of it, and keeps the rest.
async fn is_cancelled(leave_out: impl Fn(Value) -> Value) {
    let app = TestApp::start().await;
    let full = changed(
        order_of(registered("one", "9191991911"), "a", "approved"),
        "/comment",
        "позвонить",
    );
    let first = app.accept(&full).await;
    let sent = json!([leave_out(changed(full, "/status", "removed"))]);
    let answer = app.post(&sent).await;
    assert_eq!(answer.warnings_but_of_products("a"), [": kept_as_stored"]);
    assert_eq!(answer.order("a"), &changed(first, "/status", "removed"));
    let again = app.post(&sent).await;
    assert_eq!(again.text, answer.text);
}

#[tokio::test]
async fn a_known_order_comes_as_removed_with_an_empty_list_of_lines_it_is_removed_its_lines_stay() {
    is_cancelled(|order| changed(order, "/order_item_list", json!([]))).await;
}

#[tokio::test]
async fn a_known_order_comes_as_removed_with_nothing_but_id_and_status_likewise() {
    is_cancelled(|order| json!({ "id": order["id"], "status": order["status"] })).await;
}

#[tokio::test]
async fn a_cancellation_of_an_order_that_is_not_known_tells_what_it_misses() {
    let app = TestApp::start().await;
    let sent = json!({ "id": "a", "status": "removed" });
    let answer = app.post(&json!([sent])).await;
    let faults = answer.faults("a");
    for field in ["total", "client", "shipping_address", "order_item_list"] {
        assert!(faults.contains(&format!("{field}: required")), "{faults:?}");
    }
    assert_eq!(app.count("orders").await, 0);
}

#[tokio::test]
async fn a_cancellation_reaches_an_order_that_the_same_batch_makes() {
    let app = TestApp::start().await;
    let one = order_of(registered("one", "9191991911"), "a", "new");
    let batch = json!([one, { "id": "a", "status": "removed" }]);
    let answer = app.post(&batch).await;
    assert_eq!(answer.order("a")["status"], "removed");
    assert!(
        answer
            .warnings("a")
            .contains(&": kept_as_stored".to_owned())
    );
}

#[tokio::test]
async fn a_cancellation_of_a_finished_order_is_told_that_it_stays() {
    let app = TestApp::start().await;
    app.accept(&order_of(registered("one", "9191991911"), "a", "completed"))
        .await;
    let answer = app.post(&json!([{ "id": "a", "status": "removed" }])).await;
    assert_eq!(
        answer.warnings_but_of_products("a"),
        [": kept_as_stored", "status: status_not_changed"]
    );
    assert_eq!(answer.order("a")["status"], "completed");
}

#[tokio::test]
async fn the_flat_of_one_house_is_not_that_of_another_and_at_the_same_door_it_stays() {
    let app = TestApp::start().await;
    let at_home = changed(order_to("a", "2"), "/shipping_address/room", "77");
    let first = app.accept(&at_home).await;
    // Another house under the number of that address: nobody sent a flat for it.
    let number = &first["shipping_address"]["id"];
    let moved = app.accept(&order_to_number("b", number, "5")).await;
    assert_eq!(moved["shipping_address"]["room"], Value::Null);
    let same = app.accept(&order_to_number("c", number, "5")).await;
    assert_eq!(same["shipping_address"]["room"], "77");
    // The same door, spelled otherwise and without its flat.
    let respelled = changed(order_to("a", "2"), "/shipping_address/str", "К, 2");
    let again = app.accept(&respelled).await;
    assert_eq!(again["shipping_address"]["room"], "77");
    assert_eq!(again["shipping_address"]["str"], "К, 2");
    assert_eq!(app.accept(&respelled).await, again);
}

fn some_number() -> impl Strategy<Value = Value> {
    prop_oneof![Just(Value::Null), (1..8_i32).prop_map(Value::from)]
}

fn placeholder() -> impl Strategy<Value = Value> {
    select(vec![
        json!(0),
        json!("0"),
        json!("00000000-0000-0000-0000-000000000000"),
    ])
}

/// Orders of one person, known by this id or, as a guest, by this phone. Whatever numbers come along: a guest's with an id
/// that names nobody, and a registered client's where `may_bring` one. Where `guesses`, a number may come alone.
fn orders_of(
    person: &'static str,
    phone: &'static str,
    is_registered: bool,
    may_bring: bool,
    guesses: bool,
) -> impl Strategy<Value = Vec<Value>> {
    let address_id = prop_oneof![placeholder(), Just(Value::Null), Just(json!("home"))];
    let listed = (address_id, some_number(), 1..4_u8).prop_map(|(id, number, house)| {
        let address = changed(address(&house.to_string()), "/id", id);
        changed(address, "/external_id", number)
    });
    let alone = proptest::bool::weighted(if guesses { 0.5 } else { 0.0 });
    let client = (placeholder(), alone, some_number(), vec(listed, 0..3)).prop_map(
        move |(placeholder, alone, number, addresses)| {
            let id = if is_registered { json!(person) } else { placeholder };
            json!({
                "id": if alone { Value::Null } else { id },
                "external_id": if is_registered && !may_bring { Value::Null } else { number },
                "username": person, "phone": phone, "email": format!("{person}@example.org"), "addresses": addresses,
            })
        },
    );
    let order = (1..5_u8, client, 1..4_u8, some_number());
    let order = order.prop_map(move |(id, client, house, number)| {
        let order = order_of(client, &format!("{person} {id}"), "new");
        let order = changed(order, "/shipping_address", address(&house.to_string()));
        changed(order, "/shipping_address/user_address_id", number)
    });
    vec(order, 1..4)
}

#[test]
fn no_field_of_one_clients_records_changes_by_anothers_batch() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = ProptestConfig {
        cases: 40,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    let any = proptest::bool::ANY;
    let batches = (any, any, any).prop_flat_map(|(one, two, is_open)| {
        (
            orders_of("one", "9191991911", one, true, false),
            // Our number of a guest is a key to its record (§4.2). Where anybody may post, it is guessed; else nobody does here.
            orders_of("two", "9191991912", two, one || is_open, is_open),
            Just(is_open),
        )
    });
    TestRunner::new(config)
        .run(&batches, |(one, two, is_open)| {
            runtime.block_on(async {
                let open = |config: &mut Config| {
                    config.publications[0].rules.anybody_may_post = is_open;
                };
                let app = TestApp::with(open).await;
                app.post(&json!(one)).await;
                let before = rows(&app).await;
                let answer = app.post(&json!(two)).await;
                let after = rows(&app).await;
                for row in before {
                    assert!(after.contains(&row), "{row}");
                }
                for sent in &two {
                    let shown = answer.order(sent["id"].as_str().unwrap());
                    assert!(!shown.to_string().contains("9191991911"), "{shown}");
                    assert!(!shown.to_string().contains("one@example.org"), "{shown}");
                }
            });
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}
