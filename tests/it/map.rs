//! The map of entries: one for each order, whatever became of it and of its neighbours (contract §2).

use aqua_orders::order::fault::{Language, usual_message};
use reqwest::header::ACCEPT_LANGUAGE;
use serde_json::{Value, json};

use crate::support::{
    app::{Answer, TestApp, changed, guest_order, order},
    raw,
};

async fn send<T: AsRef<str>>(app: &TestApp, elements: &[T]) -> Answer {
    let answer = Answer::of(app.request().body(raw::batch(elements))).await;
    assert_eq!(
        answer.status,
        200,
        "{} for {}",
        answer.text,
        raw::batch(elements)
    );
    answer
}

/// The stored sender's ids of orders, sorted.
async fn stored(app: &TestApp) -> Vec<String> {
    app.values("SELECT sender_id FROM orders ORDER BY sender_id")
        .await
}

/// An order that brings nothing but its id.
const BARE: &str = r#"{"id":"bare"}"#;
/// All that is wrong with it.
const BARE_FAULTS: [&str; 7] = [
    "client: required",
    "order_item_list: required",
    "shipping_address: required",
    "shipping_date_from: required",
    "shipping_date_to: required",
    "status: required",
    "total: required",
];

#[tokio::test]
async fn an_empty_array_has_an_empty_object_of_entries() {
    let app = TestApp::start().await;
    let answer = send::<&str>(&app, &[]).await;
    assert_eq!(answer.text, r#"{"success":true,"data":{}}"#);
}

#[tokio::test]
async fn there_is_one_entry_for_each_distinct_id_in_the_order_of_first_appearance() {
    let app = TestApp::start().await;
    let numbered = changed(order("7"), "/id", json!(7));
    let elements = [
        order("zebra").to_string(),
        order("Антилопа").to_string(),
        BARE.into(),
        order("zebra").to_string(),
        "null".into(),
        numbered.to_string(),
        order("7").to_string(),
        "null".into(),
        order("antelope").to_string(),
        BARE.into(),
    ];
    let answer = send(&app, &elements).await;
    assert_eq!(
        answer.keys(),
        ["zebra", "Антилопа", "bare", "#4", "7", "#7", "antelope"]
    );
    assert_eq!(stored(&app).await, ["7", "antelope", "zebra", "Антилопа"]);
    // Twice the same fault of the same order is one fault.
    assert_eq!(answer.faults("bare"), BARE_FAULTS);
}

#[tokio::test]
async fn ids_are_distinct_byte_by_byte() {
    let app = TestApp::start().await;
    let ids = ["a", "A", "a b", "ё", "е\u{308}", "7", "07", "#0", "##0"];
    let mut elements: Vec<String> = ids.iter().map(|id| order(id).to_string()).collect();
    // Its place is 0, and "#0" and "##0" are somebody's orders.
    elements.insert(0, "5".into());
    let answer = send(&app, &elements).await;
    let mut keys = vec!["###0"];
    keys.extend(ids);
    assert_eq!(answer.keys(), keys);
    assert_eq!(answer.faults("###0"), [": wrong_type"]);
    assert_eq!(stored(&app).await.len(), ids.len());
}

#[tokio::test]
async fn an_accepted_entry_has_success_and_the_order_and_warnings_only_when_there_is_something_to_say()
 {
    let app = TestApp::start().await;
    let insert =
        "INSERT INTO product (publication, number, name) VALUES ('demodelivery', 28, 'Вода 19 л');
                  INSERT INTO product_sender_id VALUES ('demodelivery', 'water-19', 28)";
    app.run(insert).await;
    let unknown = changed(
        order("unknown product"),
        "/order_item_list/0/product_id",
        json!("x"),
    );
    let answer = send(&app, &[order("plain").to_string(), unknown.to_string()]).await;
    let entry = |key| raw::at(&answer.text, &format!("/data/{key}")).unwrap();
    assert_eq!(raw::keys(entry("plain")), ["success", "data"]);
    assert_eq!(
        raw::keys(entry("unknown product")),
        ["success", "data", "warnings"]
    );
    let plain = answer.entry("plain");
    assert_eq!(
        (&plain["success"], plain["data"].as_array().unwrap().len()),
        (&json!(true), 1)
    );
    assert_eq!(
        raw::at(entry("unknown product"), "/warnings").unwrap(),
        "[{\"field\":\"order_item_list[0].product_id\",\"code\":\"product_not_found\",\
         \"message\":\"товар не найден, строка сохранена без товара\"}]"
    );
}

#[tokio::test]
async fn a_rejected_entry_has_success_no_data_a_message_and_errors() {
    let app = TestApp::start().await;
    let bad = changed(order("bad"), "/order_item_list/0/price", json!(-1));
    let answer = send(&app, &[bad.to_string()]).await;
    assert_eq!(
        answer.text,
        "{\"success\":true,\"data\":{\"bad\":{\"success\":false,\"data\":[],\
         \"message\":\"Заказ не принят: order_item_list[0].price — вне допустимых пределов: 0 … 99999999.99\",\
         \"errors\":[{\"field\":\"order_item_list[0].price\",\"code\":\"out_of_range\",\
         \"message\":\"вне допустимых пределов: 0 … 99999999.99\"}]}}}"
    );
}

#[tokio::test]
async fn all_faults_of_an_order_are_listed() {
    let app = TestApp::start().await;
    let elements = [
        "{}".to_owned(),
        BARE.into(),
        // All that can cost an order, to the last.
        r#"{
            "id": "all",
            "external_id": true,
            "status": "lost",
            "created_at": "\udc00",
            "total": -1,
            "delivery_cost": 1e400,
            "shipping_date_from": 5,
            "shipping_date_to": "2026-11-06",
            "comment": "\ud800",
            "order_item_list": [
                {"product_id": null, "price": 1e400, "quantity": 0, "id": "\ud800", "name": false},
                7,
                {}
            ],
            "client": {
                "username": true, "phone": "no", "phones": ["9191991919", "\ud800"],
                "addresses": [{"id": "\ud800"}, null]
            },
            "shipping_address": {
                "user_address_id": "x", "city": true, "street": [], "house": null, "entrance": "\udc00"
            },
            "unknown": "\udc00"
        }"#
        .into(),
    ];
    let answer = send(&app, &elements).await;
    let mut bare: Vec<&str> = BARE_FAULTS.into();
    assert_eq!(answer.faults("bare"), bare);
    bare.insert(1, "id: required");
    assert_eq!(answer.faults("#0"), bare);
    let mut all = vec![
        ": invalid_format",
        "status: not_allowed",
        "created_at: invalid_format",
        "total: out_of_range",
        "delivery_cost: out_of_range",
        "shipping_date_from: wrong_type",
        "shipping_date_to: invalid_format",
        "comment: invalid_format",
        "order_item_list[0].product_id: required",
        "order_item_list[0].price: out_of_range",
        "order_item_list[0].quantity: out_of_range",
        "order_item_list[0].id: invalid_format",
        "order_item_list[1]: wrong_type",
        "order_item_list[2].product_id: required",
        "order_item_list[2].price: required",
        "order_item_list[2].quantity: required",
        "client.username: wrong_type",
        "client.phone: invalid_format",
        "client.phones[1]: invalid_format",
        "client.addresses[0].id: invalid_format",
        "shipping_address.city: wrong_type",
        "shipping_address.street: wrong_type",
        "shipping_address.house: required",
        "shipping_address.str: required",
        "shipping_address.entrance: invalid_format",
    ];
    all.sort_unstable();
    assert_eq!(answer.faults("all"), all);
}

#[tokio::test]
async fn a_batch_of_tens_of_thousands_of_faults_is_not_answered_with_many_times_its_size() {
    let app = TestApp::start().await;
    let lines = format!("[{}{{}}]", "{},".repeat(499));
    let elements: Vec<String> = (0..80)
        .map(|n| raw::set(order(&format!("order {n}")), "/order_item_list", &lines))
        .collect();
    let answer = send(&app, &elements).await;
    assert_eq!(answer.keys().len(), 80);
    // Three required fields a line.
    assert_eq!(answer.faults("order 0").len(), 1500);
    assert_eq!(answer.faults("order 12").len(), 1500);
    assert_eq!(answer.faults("order 79").len(), 10);
    assert_eq!(app.count("journal_rejected").await, 80);
}

#[tokio::test]
async fn faults_that_show_only_against_the_stored_are_listed_with_the_others() {
    let app = TestApp::start().await;
    let number = app.accept(&order("first")).await["id"].clone();
    let mut bad = changed(order("second"), "/external_id", number);
    bad["total"] = json!(-1);
    bad["client"] = json!({ "id": "nobody" });
    let answer = app.post(&json!([bad])).await;
    assert_eq!(
        answer.faults("second"),
        [
            "client.username: required",
            "external_id: conflict",
            "total: out_of_range"
        ]
    );
}

#[tokio::test]
async fn an_element_that_is_no_object_or_has_no_usable_id_is_keyed_by_its_place() {
    let app = TestApp::start().await;
    let with_id = |id: &str| raw::set(order("x"), "/id", id);
    let too_long = format!("\"{}\"", "Ж".repeat(256));
    let elements = [
        ("null".to_owned(), ": wrong_type"),
        ("true".into(), ": wrong_type"),
        ("-1.5e3".into(), ": wrong_type"),
        (r#""text""#.into(), ": wrong_type"),
        (r#""\ud800""#.into(), ": wrong_type"),
        ("1e400".into(), ": wrong_type"),
        ("[]".into(), ": wrong_type"),
        (format!("[{}]", order("inside")), ": wrong_type"),
        (with_id(raw::ABSENT), "id: required"),
        (with_id("null"), "id: required"),
        (with_id(r#""""#), "id: required"),
        (with_id("true"), "id: wrong_type"),
        (with_id("{}"), "id: wrong_type"),
        (with_id(r#"" ""#), "id: required"),
        (with_id("0"), "id: required"),
        (
            with_id(r#""00000000-0000-0000-0000-000000000000""#),
            "id: required",
        ),
        (with_id(&too_long), "id: too_long"),
        (with_id(r#""\u0000""#), "id: required"),
        (with_id(r#""\ud800""#), "id: invalid_format"),
    ];
    let texts: Vec<&str> = elements.iter().map(|(text, _)| text.as_str()).collect();
    let answer = send(&app, &texts).await;
    let places: Vec<String> = (0..elements.len())
        .map(|place| format!("#{place}"))
        .collect();
    assert_eq!(answer.keys(), places);
    for (place, (text, fault)) in places.iter().zip(&elements) {
        assert_eq!(answer.faults(place), [*fault], "{text}");
    }
    assert_eq!(app.count("orders").await, 0);
}

#[tokio::test]
async fn an_element_that_we_cannot_hold_spoils_itself_alone_wherever_it_is_in_it() {
    let app = TestApp::start().await;
    let deep = |n: usize| format!("{}{}", "[".repeat(n), "]".repeat(n));
    let deep_object = |n: usize| format!("{}1{}", r#"{"a":"#.repeat(n), "}".repeat(n));
    let digits = "9".repeat(309);
    let unknown = |value: &str| raw::set(order("bad"), "/unknown", value);
    let spoilt = [
        (unknown(r#""\ud800""#), ": invalid_format"),
        (unknown(r#""\udc00 \ud800""#), ": invalid_format"),
        (unknown(r#"{"\ud800":1}"#), ": invalid_format"),
        (unknown("1e400"), ": invalid_format"),
        (unknown("[-1e400]"), ": invalid_format"),
        (unknown(&digits), ": invalid_format"),
        // The order itself is the first level.
        (unknown(&deep(127)), ": invalid_format"),
        (unknown(&deep_object(127)), ": invalid_format"),
        (unknown(&deep(100_000)), ": invalid_format"),
        (
            raw::set(order("bad"), "/client/unknown", "1e400"),
            ": invalid_format",
        ),
        (
            raw::set(order("bad"), "/comment", r#""\ud800""#),
            "comment: invalid_format",
        ),
        (
            raw::set(order("bad"), "/comment", &deep(200)),
            "comment: wrong_type",
        ),
        (
            raw::set(order("bad"), "/total", "1e400"),
            "total: out_of_range",
        ),
        (
            raw::set(order("bad"), "/external_id", "1e400"),
            ": invalid_format",
        ),
        (
            order("bad").to_string().replacen('{', r#"{"\ud800":1,"#, 1),
            ": invalid_format",
        ),
    ];
    for (number, (bad, fault)) in spoilt.iter().enumerate() {
        let (before, after) = (format!("{number} before"), format!("{number} after"));
        let answer = send(
            &app,
            &[
                order(&before).to_string(),
                bad.clone(),
                order(&after).to_string(),
            ],
        )
        .await;
        assert_eq!(answer.keys(), [before.as_str(), "bad", after.as_str()]);
        assert_eq!(answer.faults("bad"), [*fault], "{number}");
        assert_eq!(answer.order(&before)["external_id"], before);
        assert_eq!(answer.order(&after)["external_id"], after);
    }
    assert_eq!(
        app.count("orders").await,
        2 * i64::try_from(spoilt.len()).unwrap()
    );

    for held in [
        deep(126),
        deep_object(126),
        "1e300".into(),
        "1e-400".into(),
        r#""\ud83d\ude00""#.into(),
    ] {
        let answer = send(&app, &[raw::set(order("held"), "/unknown", &held)]).await;
        assert_eq!(answer.order("held")["external_id"], "held");
    }
}

#[tokio::test]
async fn of_a_doubled_key_the_last_counts() {
    let app = TestApp::start().await;
    let doubled = order("1")
        .to_string()
        .replacen(
            '{',
            r#"{"total":-5,"id":true,"comment":"first","client":5,"#,
            1,
        )
        .replace("}]", r#","price":"12.50"}],"\u0063omment":"last""#);
    let answer = send(&app, &[doubled]).await;
    assert_eq!(answer.order("1")["total"], 710);
    assert_eq!(answer.order("1")["comment"], "last");
    assert_eq!(answer.order("1")["order_item_list"][0]["price"], 12.5);
}

#[tokio::test]
async fn the_same_id_twice_is_applied_in_order_and_the_later_wins_field_by_field() {
    let app = TestApp::start().await;
    let mut first = order("1");
    first["comment"] = json!("first");
    first["coins"] = json!(5);
    first["delivery_cost"] = json!(30);
    first["client"]["email"] = json!("first@example.org");
    first["client"]["comment"] = json!("kept");
    let mut second = order("1");
    second["status"] = json!("approved");
    second["comment"] = json!("second");
    second["delivery_cost"] = Value::Null;
    second["total"] = json!(100);
    second["client"]["email"] = json!("second@example.org");
    second["order_item_list"] = json!([{ "product_id": "x", "price": 1, "quantity": 1 }]);
    let answer = app.post(&json!([first, order("2"), second])).await;

    assert_eq!(answer.keys(), ["1", "2"]);
    let end = answer.order("1");
    for (pointer, value) in [
        ("/status", json!("approved")),
        ("/comment", json!("second")),
        ("/coins", json!(5)),
        ("/delivery_cost", Value::Null),
        ("/total", json!(100)),
        ("/client/email", json!("second@example.org")),
        ("/client/comment", json!("kept")),
        ("/order_item_list/0/price", json!(1)),
    ] {
        assert_eq!(end.pointer(pointer), Some(&value), "{pointer}");
    }
    assert_eq!(end["order_item_list"].as_array().unwrap().len(), 1);
    assert_eq!(stored(&app).await, ["1", "2"]);
    // What is stored is what was shown.
    assert_eq!(
        &app.accept(&changed(second, "/comment", json!("second")))
            .await,
        end
    );
}

/// A spoiled element of the order `1`, and its fault.
fn spoiled() -> [(String, &'static str); 5] {
    let with = |pointer, value| changed(order("1"), pointer, value);
    let dates = with("/shipping_date_to", json!("2020-01-01 00:00"));
    let taken = changed(order("taken"), "/external_id", json!(7000));
    [
        (with("/total", json!("")).to_string(), "total: required"),
        (
            raw::set(order("1"), "/comment", r#""\ud800""#),
            "comment: invalid_format",
        ),
        (
            raw::set(order("1"), "/total", "1e400"),
            "total: out_of_range",
        ),
        (dates.to_string(), "shipping_date_to: kept_as_stored"),
        // The number is the one of another order of the batch.
        (
            changed(taken, "/id", json!("1")).to_string(),
            "external_id: kept_as_stored",
        ),
    ]
}

#[tokio::test]
async fn a_bad_element_spoils_itself_alone_whatever_else_comes_under_its_id() {
    for (bad, fault) in spoiled() {
        for bad_first in [true, false] {
            let app = TestApp::start().await;
            app.accept(&changed(order("taken"), "/external_id", json!(7000)))
                .await;
            let good = changed(order("1"), "/comment", json!("taken")).to_string();
            let batch = if bad_first {
                [&bad, &good]
            } else {
                [&good, &bad]
            };
            let answer = send(&app, &batch).await;
            assert_eq!(answer.keys(), ["1"]);
            assert_eq!(answer.order("1")["comment"], "taken", "{bad}");
            let mut said = answer.warnings("1");
            said.retain(|warning| !warning.ends_with("product_not_found"));
            assert_eq!(said, [fault], "{bad}");
            // It is in the journal as it came, and the good one is not.
            let kept: Vec<(i32, String)> =
                sqlx::query_as("SELECT position, body FROM journal_rejected WHERE order_key = '1'")
                    .fetch_all(&app.pool())
                    .await
                    .unwrap();
            assert_eq!(kept, [(i32::from(!bad_first), bad.clone())]);
            // Sent again it changes nothing, and is answered alike.
            let again = send(&app, &batch).await;
            assert_eq!(again.order("1"), answer.order("1"));
        }
    }
}

#[tokio::test]
async fn where_no_element_of_an_id_can_be_taken_all_their_faults_are_told_once() {
    let app = TestApp::start().await;
    let total = changed(order("1"), "/total", json!(""));
    let both = changed(total.clone(), "/status", json!("gone"));
    let answer = app.post(&json!([total, both, total])).await;
    assert_eq!(
        answer.faults("1"),
        ["status: not_allowed", "total: required"]
    );
    assert_eq!(stored(&app).await, [""; 0]);
}

#[tokio::test]
async fn an_order_is_cancelled_whatever_is_wrong_with_what_came_before_in_its_batch() {
    let app = TestApp::start().await;
    app.accept(&order("1")).await;
    let bad = changed(order("1"), "/total", json!(""));
    let approved = changed(bad, "/status", json!("approved"));
    let batch = json!([approved, { "id": "1", "status": "removed" }]);
    let answer = app.post(&batch).await;
    assert_eq!(answer.order("1")["status"], "removed");
    assert_eq!(
        answer.warnings("1"),
        [": kept_as_stored", "total: required"]
    );
    let english = app.request().header(ACCEPT_LANGUAGE, "en");
    let english = Answer::of(english.body(batch.to_string())).await;
    let messages = english.entry("1")["warnings"].as_array().unwrap().iter();
    assert!(
        messages
            .map(|warning| &warning["message"])
            .any(|message| { message == "is required; this element of the order was left out" })
    );
}

#[tokio::test]
async fn messages_are_russian_by_default_and_english_on_demand_and_codes_never_change() {
    let app = TestApp::start().await;
    let first = changed(order("first"), "/external_id", json!(7000));
    app.accept(&first).await;
    let mut elements: Vec<String> = numbered_bad_orders().map(|(bad, _)| bad).collect();
    // With a warning.
    elements.push(first.to_string());
    let ask = async |language: Option<&str>| {
        let request = app.request().body(raw::batch(&elements));
        Answer::of(match language {
            Some(language) => request.header(ACCEPT_LANGUAGE, language),
            None => request,
        })
        .await
    };
    let russian = ask(None).await;
    for language in ["ru", "de", "*", "ru, en;q=0.5"] {
        assert_eq!(ask(Some(language)).await.text, russian.text, "{language}");
    }
    let english = ask(Some("en")).await;
    for language in ["en-US,en;q=0.9", "de, en;q=0.5"] {
        assert_eq!(ask(Some(language)).await.text, english.text, "{language}");
    }
    assert_eq!(russian.keys(), english.keys());
    let mut messages = 0;
    for key in russian.keys() {
        let (russian, english) = (russian.entry(&key), english.entry(&key));
        let mut both = vec![(&russian["message"], &english["message"])];
        for list in ["errors", "warnings"] {
            let (Some(russian), Some(english)) =
                (russian[list].as_array(), english[list].as_array())
            else {
                assert_eq!(russian[list], english[list]);
                continue;
            };
            for (russian, english) in russian.iter().zip(english) {
                assert_eq!(
                    (&russian["field"], &russian["code"]),
                    (&english["field"], &english["code"])
                );
                both.push((&russian["message"], &english["message"]));
            }
            assert_eq!(russian.len(), english.len());
        }
        let is_cyrillic = |text: &Value| {
            text.as_str()
                .unwrap()
                .contains(|c| ('а'..='я').contains(&c))
        };
        for (russian, english) in both.into_iter().filter(|(russian, _)| !russian.is_null()) {
            assert!(is_cyrillic(russian), "{russian}");
            assert!(!is_cyrillic(english), "{english}");
            messages += 1;
        }
    }
    // The sentence over its fault, and the fault itself; and the warning.
    assert_eq!(messages, 2 * numbered_bad_orders().count() + 1);
}

/// One order of every kind that the wire refuses, all of the id `bad`, and its fault.
fn bad_orders() -> Vec<(String, &'static str)> {
    let bad = |pointer: &str, text: &str| raw::set(order("bad"), pointer, text);
    let guest =
        |pointer: &str, text: &str| raw::set(guest_order("bad", "9191991919"), pointer, text);
    vec![
        (bad("/status", raw::ABSENT), "status: required"),
        (bad("/total", "null"), "total: required"),
        (bad("/client", r#""""#), "client: required"),
        (
            guest("/client/phone", raw::ABSENT),
            "client.phone: required",
        ),
        (
            bad("/client", r#"{"id":"nobody"}"#),
            "client.username: required",
        ),
        (
            bad("/order_item_list/0/product_id", "null"),
            "order_item_list[0].product_id: required",
        ),
        (
            bad("/shipping_address/str", r#""""#),
            "shipping_address.str: required",
        ),
        (bad("/client", "[]"), "client: wrong_type"),
        (bad("/order_item_list", "{}"), "order_item_list: wrong_type"),
        (
            bad("/order_item_list/0", "null"),
            "order_item_list[0]: wrong_type",
        ),
        (bad("/total", r#""12,5,0""#), "total: wrong_type"),
        (
            bad("/shipping_address/house", "true"),
            "shipping_address.house: wrong_type",
        ),
        (
            bad("/order_item_list/0/id", &"9".repeat(256)),
            "order_item_list[0].id: too_long",
        ),
        (bad("/total", "-0.01"), "total: out_of_range"),
        (bad("/total", "1e400"), "total: out_of_range"),
        (
            bad("/order_item_list/0/quantity", "0"),
            "order_item_list[0].quantity: out_of_range",
        ),
        (
            bad("/count_of_returned_bottles", "1e400"),
            "count_of_returned_bottles: out_of_range",
        ),
        (bad("/status", r#""lost""#), "status: not_allowed"),
        (bad("/comment", r#""\ud800""#), "comment: invalid_format"),
        (bad("/unknown", r#""\ud800""#), ": invalid_format"),
        (
            guest("/client/phone", r#""02""#),
            "client.phone: invalid_format",
        ),
        (
            bad("/shipping_date_from", r#""завтра""#),
            "shipping_date_from: invalid_format",
        ),
        (
            bad("/shipping_date_to", r#""2020-01-01 00:00""#),
            "shipping_date_to: invalid_range",
        ),
        (bad("/order_item_list", "[]"), "order_item_list: empty"),
        (
            bad(
                "/client/addresses",
                &format!("[{}null]", "null,".repeat(100)),
            ),
            "client.addresses: too_many",
        ),
        (bad("/external_id", "7000"), "external_id: conflict"),
    ]
}

/// The same with ids of their own: `bad 0`, `bad 1`, …
fn numbered_bad_orders() -> impl Iterator<Item = (String, &'static str)> {
    bad_orders()
        .into_iter()
        .enumerate()
        .map(|(number, (text, fault))| {
            (
                text.replacen(r#""id":"bad""#, &format!(r#""id":"bad {number}""#), 1),
                fault,
            )
        })
}

#[tokio::test]
async fn one_bad_order_of_any_kind_changes_neither_neighbour_and_is_in_the_journal_as_it_came() {
    let app = TestApp::start().await;
    // Takes number 7000, which a bad order lays claim to.
    app.accept(&changed(order("first"), "/external_id", json!(7000)))
        .await;
    let mut elements: Vec<(String, String, &str)> = bad_orders()
        .into_iter()
        .map(|(text, fault)| (text, "bad".to_owned(), fault))
        .collect();
    for text in ["5", r#"{ "id" : null }"#, r#""\ud800""#] {
        elements.push((text.to_owned(), "#1".to_owned(), ""));
    }
    // The neighbours share a client with the bad order, which must learn nothing from it.
    let good = |id: String| {
        let mut order = order(&id);
        order["client"] =
            json!({ "id": "client of bad", "username": "Добрый", "email": "good@example.org" });
        order["comment"] = json!(format!("comment of {id}"));
        order["total"] = json!(12.5);
        order
    };
    for (number, (text, key, fault)) in elements.iter().enumerate() {
        let (before, after) = (format!("{number} before"), format!("{number} after"));
        let texts = [
            good(before.clone()).to_string(),
            text.clone(),
            good(after.clone()).to_string(),
        ];
        let answer = send(&app, &texts).await;
        assert_eq!(answer.keys(), [before.as_str(), key, &after]);
        if !fault.is_empty() {
            assert_eq!(answer.faults(key), [*fault], "{text}");
        }
        for id in [before, after] {
            let is = answer.order(&id);
            assert_eq!(is["external_id"], id);
            assert_eq!(is["comment"], format!("comment of {id}"));
            assert_eq!(is["total"], 12.5);
            assert_eq!(is["client"]["username"], "Добрый");
            assert_eq!(is["client"]["email"], "good@example.org");
            assert_eq!(is["client"]["phones"], json!([]));
            assert_eq!(
                is["client"]["addresses"].as_array().unwrap().len(),
                1,
                "{text}"
            );
        }
        let journal: Vec<(i32, String, String, Value)> = sqlx::query_as(
            "SELECT r.position, r.order_key, r.body, r.faults FROM journal_rejected r
             WHERE r.batch = (SELECT batch FROM journal_batch ORDER BY received_at DESC LIMIT 1)",
        )
        .fetch_all(&app.pool())
        .await
        .unwrap();
        let errors = answer.entry(key)["errors"].clone();
        let journal: Vec<_> = journal.into_iter().map(with_usual_messages).collect();
        assert_eq!(journal, [(1, key.clone(), text.clone(), errors)]);
    }
    let good = i64::try_from(2 * elements.len()).unwrap();
    assert_eq!(app.count("orders").await, 1 + good);
    assert_eq!(app.count("client").await, 2);
    let counted: Vec<(i32, i32, i32)> = sqlx::query_as(
        "SELECT DISTINCT orders, accepted, rejected FROM journal_batch WHERE orders > 1",
    )
    .fetch_all(&app.pool())
    .await
    .unwrap();
    assert_eq!(counted, [(3, 2, 1)]);
}

#[tokio::test]
async fn every_bad_order_of_a_batch_is_told_and_every_good_one_is_stored() {
    let app = TestApp::start().await;
    app.accept(&changed(order("first"), "/external_id", json!(7000)))
        .await;
    let bad: Vec<_> = numbered_bad_orders().collect();
    let mut elements = Vec::new();
    for (number, (text, _)) in bad.iter().enumerate() {
        elements.push(order(&format!("good {number}")).to_string());
        elements.push(text.clone());
    }
    let answer = send(&app, &elements).await;
    for (number, (_, fault)) in bad.iter().enumerate() {
        let good = format!("good {number}");
        assert_eq!(answer.order(&good)["external_id"], good);
        assert_eq!(answer.faults(&format!("bad {number}")), [*fault]);
    }
    assert_eq!(
        app.count("journal_rejected").await,
        i64::try_from(bad.len()).unwrap()
    );
    assert_eq!(
        app.count("orders").await,
        1 + i64::try_from(bad.len()).unwrap()
    );
}

/// A row of the journal with the messages that go with a code, which it does not keep.
fn with_usual_messages(mut row: (i32, String, String, Value)) -> (i32, String, String, Value) {
    for fault in row.3.as_array_mut().unwrap() {
        let part = |name: &str| fault[name].as_str().unwrap();
        let usual = usual_message(part("field"), part("code"), Language::Ru).unwrap();
        let fault = fault.as_object_mut().unwrap();
        fault.entry("message").or_insert(json!(usual));
    }
    row
}
