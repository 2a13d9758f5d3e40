//! The document's own example, end to end.

use serde_json::{Value, json};

use crate::support::app::{TestApp, example_request};

const ID: &str = "657f9553-ff97-11e9-80d3-001e4f377cd7";

#[tokio::test]
async fn the_documents_example_posted_again_changes_nothing_and_answers_with_the_same_numbers() {
    let app = TestApp::start().await;
    let first = app.post(&example_request()).await;
    let again = app.post(&example_request()).await;
    assert_eq!(first.order(ID)["external_id"], ID);
    assert_eq!(first.text, again.text);
    for (table, rows) in [
        ("orders", 1),
        ("order_item", 1),
        ("client", 1),
        ("address", 1),
        ("journal_batch", 2),
    ] {
        assert_eq!(app.count(table).await, rows, "{table}");
    }
}

#[tokio::test]
async fn the_answer_has_every_key_of_the_documents_answer() {
    let app = TestApp::start().await;
    let answer = app.post(&example_request()).await;
    let document: Value =
        serde_json::from_str(include_str!("../data/example-response.json")).unwrap();
    let missing = missing_keys(&document["data"][ID]["data"][0], answer.order(ID), "");
    // The price list of a client that has none is empty.
    assert_eq!(missing, ["/client/product_price_list/36"]);
    assert_eq!(answer.order(ID)["client"]["product_price_list"], json!({}));
}

/// Pointers to what `whole` has and `part` has not.
fn missing_keys(whole: &Value, part: &Value, at: &str) -> Vec<String> {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => whole
            .iter()
            .flat_map(|(key, value)| {
                let at = format!("{at}/{key}");
                part.get(key)
                    .map_or_else(|| vec![at.clone()], |part| missing_keys(value, part, &at))
            })
            .collect(),
        (Value::Array(whole), Value::Array(part)) => whole
            .iter()
            .zip(part)
            .flat_map(|(whole, part)| missing_keys(whole, part, at))
            .collect(),
        _ => Vec::new(),
    }
}
