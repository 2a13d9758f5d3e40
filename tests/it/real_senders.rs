//! What real senders send (tests/data/real-senders.json, made from public bug reports): each case is the document's example
//! with one thing set, and what has to come of it (contract §2, §3).

use serde_json::{Value, json};

use crate::support::{
    app::{Answer, TestApp, example_request},
    raw::{self, ABSENT},
};

/// The document's example under an id of its own, from a client of its own.
fn example(case: usize) -> Value {
    let mut order = example_request()[0].clone();
    order["id"] = json!(format!("order {case}"));
    order["client"]["id"] = json!(format!("client {case}"));
    order["client"]["external_id"] = Value::Null;
    order
}

#[tokio::test]
async fn every_case_of_a_real_sender_becomes_what_it_says() {
    let cases = include_str!("../data/real-senders.json");
    let cases: Vec<Value> = serde_json::from_str(cases).unwrap();
    assert!(cases.len() >= 31);
    let app = TestApp::start().await;
    let mut wrong = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let mut wrongly = |what: String| wrong.push(format!("{}: {what}", case["name"]));
        let pointer = case["set"][0].as_str().unwrap();
        let value = case["set"][1].as_str().unwrap_or(ABSENT);
        let order = raw::set(example(number), pointer, value);
        let answer = Answer::of(app.request().body(raw::batch(&[order]))).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let data = answer.body["data"].as_object().unwrap();
        let (key, entry) = data.iter().next().unwrap();
        let is_accepted = entry["success"] == true;
        let due = case["expect"].as_str().unwrap();
        if is_accepted != (due == "accepted") {
            wrongly(format!("not {due}: {entry}"));
            continue;
        }
        if !is_accepted {
            continue;
        }
        let warnings = answer.warnings(key);
        let codes: Vec<&str> = warnings
            .iter()
            .filter_map(|warning| warning.rsplit(": ").next())
            .filter(|code| *code != "product_not_found")
            .collect();
        match case["warning"].as_str() {
            Some("none") if !codes.is_empty() => wrongly(format!("warned: {warnings:?}")),
            Some(code) if code != "none" && !codes.contains(&code) => {
                wrongly(format!("not warned of {code}: {warnings:?}"));
            }
            _ => {}
        }
        if let Some(at) = case["answer"][0].as_str() {
            let shown = entry["data"][0].pointer(at);
            if shown != Some(&case["answer"][1]) {
                wrongly(format!("{at} is {shown:?}"));
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[tokio::test]
async fn the_map_is_keyed_by_the_id_as_it_came_and_the_order_known_without_what_stands_around_it() {
    let app = TestApp::start().await;
    let order = |id: &str| {
        let order = raw::set(example(0), "/id", id);
        raw::set(serde_json::from_str(&order).unwrap(), "/comment", "\"c\"")
    };
    let spelled = [
        ("68", "68"),
        ("\" 68\\u00a0\"", " 68\u{a0}"),
        ("\"\\u200b68\\t\\r\\n\"", "\u{200b}68\t\r\n"),
        ("\"68\\u0000\"", "68\0"),
    ];
    let mut numbers = Vec::new();
    for (id, key) in spelled {
        let answer = Answer::of(app.request().body(raw::batch(&[order(id)]))).await;
        assert_eq!(answer.order(key)["external_id"], "68", "{id}");
        numbers.push(answer.order(key)["id"].clone());
    }
    let answer = Answer::of(app.request().body(raw::batch(&[order("68.0")]))).await;
    assert!(
        answer.text.contains("\"68.0\":{\"success\":true"),
        "{}",
        answer.text
    );
    numbers.dedup();
    assert_eq!(numbers.len(), 1);
    assert_eq!(app.count("orders").await, 1);

    // The number 68.0 is the order 68; somebody else's order is really called so.
    let both = raw::batch(&[order("68.0"), order("\"68.0\"")]);
    let answer = Answer::of(app.request().body(both)).await;
    let keys = raw::keys(raw::at(&answer.text, "/data").unwrap());
    assert_eq!(keys, ["68", "68.0"]);
    assert_eq!(app.count("orders").await, 2);

    // Two spellings in one batch are one order; the key is the first.
    let twice = raw::batch(&[order("\" 7\""), order("7")]);
    let answer = Answer::of(app.request().body(twice)).await;
    assert_eq!(raw::keys(raw::at(&answer.text, "/data").unwrap()), [" 7"]);
    assert_eq!(app.count("orders").await, 3);
}
