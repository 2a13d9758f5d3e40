//! The description of the call against the call itself. Every answer of the other tests is held against it, too
//! (support/described.rs).

use std::{fs, time::Duration};

use aqua_orders::{
    http::description::{self, EXAMPLE_REQUEST},
    order::fault::{FaultCode, WarningCode},
};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::support::{
    app::{Answer, ORDERS, TestApp, changed, example_request, guest_order, order},
    config::demo_config,
    described::{DOCUMENT, check_answer, faults},
    postgres::{DURABLE, Server, database},
    process::Scratch,
    serving::{Serving, command},
    talk::{Service, post},
};

const ROUTE: &str = "/{publication}/hs/AquaDeliveri/getOrdersURL";
const ID: &str = "657f9553-ff97-11e9-80d3-001e4f377cd7";

fn operation() -> &'static Value {
    &DOCUMENT["paths"][ROUTE]["post"]
}

/// The reasons why a value is not as the schema of that name wants it; none are expected.
fn is_a(name: &str, value: &Value) {
    assert_eq!(faults(name, value), [""; 0], "{name}");
}

fn is_no(name: &str, value: &Value) {
    assert!(!faults(name, value).is_empty(), "a {name}: {value}");
}

#[test]
fn the_documents_example_and_every_example_of_an_answer_are_as_described() {
    let request = &operation()["requestBody"]["content"]["application/json"]["examples"];
    let request = &request["document"]["value"];
    assert_eq!(*request, example_request());
    is_a("Batch", request);
    let mut codes = Vec::new();
    for (status, response) in operation()["responses"].as_object().unwrap() {
        let examples = &response["content"]["application/json"]["examples"];
        for example in examples.as_object().unwrap().values() {
            check_answer(status.parse().unwrap(), false, &example["value"]);
            codes.extend(example["value"]["errors"][0]["code"].as_str());
        }
    }
    let operations = DOCUMENT["paths"].as_object().unwrap().values();
    let operations = operations.flat_map(|path| path.as_object().unwrap().values());
    for operation in operations {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let examples = &response["content"]["application/json"]["examples"];
            for example in examples.as_object().unwrap().values() {
                if status != "200" {
                    is_a("Failure", &example["value"]);
                    codes.extend(example["value"]["errors"][0]["code"].as_str());
                }
            }
        }
    }
    let known = &DOCUMENT["components"]["schemas"]["FailureCode"]["enum"];
    for code in known.as_array().unwrap() {
        assert!(codes.contains(&code.as_str().unwrap()), "{code}");
    }
    // As it was written, keys in their order.
    let text = description::document(&demo_config().limits).unwrap();
    assert!(text.contains(EXAMPLE_REQUEST.trim()));
}

#[test]
fn every_code_is_described_in_both_languages() {
    let texts = |name: &str| {
        let list = &DOCUMENT["components"]["schemas"][name]["x-codes"];
        let list = list.as_array().unwrap();
        for entry in list {
            for language in ["ru", "en"] {
                assert!(!entry[language].as_str().unwrap().is_empty(), "{entry}");
            }
        }
        let codes = list.iter().map(|entry| entry["code"].as_str().unwrap());
        codes.collect::<Vec<_>>()
    };
    assert_eq!(texts("FaultCode"), FaultCode::ALL.map(FaultCode::as_str));
    assert_eq!(
        texts("WarningCode"),
        WarningCode::ALL.map(WarningCode::as_str)
    );
}

#[test]
fn the_limits_are_those_of_the_settings() {
    let limits = aqua_orders::config::Limits {
        batch_orders: 12_345,
        order_items: 678,
        client_addresses: 90,
        ..demo_config().limits
    };
    let document: Value = serde_json::from_str(&description::document(&limits).unwrap()).unwrap();
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["Batch"]["maxItems"], 12_345);
    let lists = |object: &str, list: &str| &schemas[object]["properties"][list]["maxItems"];
    assert_eq!(lists("Order", "order_item_list"), 678);
    assert_eq!(lists("Client", "addresses"), 90);
    let too_large = &document["paths"][ROUTE]["post"]["responses"]["413"];
    assert!(too_large.to_string().contains("12345"), "{too_large}");
}

#[tokio::test]
async fn answers_are_as_described_and_made_up_ones_are_not() {
    let app = TestApp::start().await;
    let answer = app.post(&example_request()).await.body;
    is_a("Answer", &answer);
    is_no("Failure", &answer);
    let order = format!("/data/{ID}/data/0");
    for (pointer, value) in [
        ("/more".to_owned(), json!(1)),
        ("/success".to_owned(), json!(false)),
        (format!("{order}/more"), json!(1)),
        (format!("{order}/payment_status"), json!("(absent)")),
        (format!("{order}/id"), json!(50_894)),
        (format!("{order}/id"), Value::Null),
        (format!("{order}/status"), json!("lost")),
        (format!("{order}/created_at"), json!("2026-11-06T11:00:00Z")),
        (format!("{order}/client/id"), json!("68")),
        (format!("{order}/client/phones"), json!([79])),
        (
            format!("{order}/client/requisites/bank_account/inn"),
            json!("(absent)"),
        ),
        (format!("{order}/order_item_list/0/price"), json!("355")),
        (format!("/data/{ID}/warnings"), json!([])),
        (
            format!("/data/{ID}/warnings"),
            json!([{ "field": "", "code": "conflict", "message": "" }]),
        ),
    ] {
        is_no("Answer", &changed(answer.clone(), &pointer, value));
    }
    // What a cancellation on an open publication did not send is not shown.
    for field in [
        "total",
        "shipping_address",
        "shipping_date_from",
        "shipping_date_to",
    ] {
        is_a(
            "Answer",
            &changed(answer.clone(), &format!("{order}/{field}"), Value::Null),
        );
    }
    // A number may only be missing where nothing was stored.
    let without = changed(answer, &format!("{order}/id"), Value::Null);
    is_a("DryRunAnswer", &without);

    let bad = changed(
        order_with_everything(),
        "/shipping_address/city",
        json!(true),
    );
    let bad = changed(bad, "/total", json!("(absent)"));
    let bad = changed(bad, "/order_item_list/0/price", json!(-1));
    let batch = json!([bad, "no order", {}]);
    for language in ["ru", "en"] {
        let request = app.request().header("Accept-Language", language);
        let rejected = Answer::of(request.body(batch.to_string())).await.body;
        is_a("Answer", &rejected);
        let errors = rejected["data"]["A"]["errors"].as_array().unwrap();
        assert_eq!(errors.len(), 3);
        for (pointer, value) in [
            ("/data/A/errors", json!([])),
            ("/data/A/errors/0/code", json!("wrong")),
            ("/data/A/errors/0/more", json!(1)),
            ("/data/A/data", json!([1])),
            ("/data/A/message", json!("(absent)")),
        ] {
            is_no("Answer", &changed(rejected.clone(), pointer, value));
        }
    }
}

#[tokio::test]
async fn warnings_and_dry_runs_are_as_described() {
    let app = TestApp::start().await;
    let warned = changed(order_with_everything(), "/external_id", json!("000-123"));
    let warned = changed(warned, "/shipping_address/user_address_id", json!(7));
    let batch = json!([warned, guest_order("guest", "89191234567"), order("B"), {}]);
    let checked = app.check(&batch).await;
    assert_eq!(checked.order("B")["id"], Value::Null);
    is_a("DryRunAnswer", &checked.body);
    is_no("Answer", &checked.body);
    let stored = app.post(&batch).await;
    assert_eq!(stored.warnings("A").len(), 3);
    is_a("Answer", &stored.body);
    is_a("DryRunAnswer", &stored.body);
}

#[tokio::test]
async fn each_failure_of_a_whole_request_is_as_described() {
    let service = Service::with(|config| {
        config.limits.batch_orders = 2;
        config.limits.body_bytes = 1_000;
        config.times.body = Duration::from_millis(300);
    })
    .await;
    let ask = async |headers: &str, body: &[u8], status: u16, code: &str| {
        let answer = service.post(headers, body).await;
        answer.refused(status, code);
    };
    ask("", b"[{]", 400, "malformed_json").await;
    ask("", b"", 400, "malformed_json").await;
    ask("", b"{}", 400, "not_an_array").await;
    ask("", b"[1,2,3]", 413, "batch_too_large").await;
    ask("", &[b' '; 1_001], 413, "body_too_large").await;
    ask("", b"[\"\xff\"]", 400, "bad_encoding").await;
    for header in [
        "Content-Encoding: rot13",
        "Content-Encoding: gzip",
        "Content-Type: application/json; charset=klingon",
    ] {
        let header = format!("{header}\r\n");
        ask(&header, b"[\"\xff\"]", 400, "bad_encoding").await;
    }
    let asked = async |request: Vec<u8>, status: u16, code: &str| {
        service.ask(request).await.refused(status, code);
    };
    let elsewhere = post(&format!("{ORDERS}?dry_run=maybe"), "", "[]");
    asked(elsewhere, 400, "invalid_parameter").await;
    asked(post("/elsewhere", "", "[]"), 404, "not_found").await;
    let stranger = post("/nobody/hs/AquaDeliveri/getOrdersURL", "", "[]");
    asked(stranger, 401, "unauthorized").await;
    let get = format!("GET {ORDERS} HTTP/1.1\r\nHost: test\r\n\r\n");
    asked(get.into_bytes(), 405, "method_not_allowed").await;

    let mut slow = service.connect().await;
    let whole = post(ORDERS, "", "[1,2,3]");
    slow.send(&whole[..whole.len() - 2]).await;
    slow.answer().await.refused(408, "request_timeout");
    let mut broken = service.connect().await;
    let chunked =
        format!("POST {ORDERS} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n");
    broken.send(chunked + "2\r\n[1\r\n").await;
    broken.0.shutdown().await.unwrap();
    broken.answer().await.refused(400, "malformed_json");

    let crowded = Service::with(|config| config.limits.connections = 0).await;
    crowded.post("", "[]").await.refused(503, "overloaded");

    let app = TestApp::start().await;
    let operators = format!("http://{}{ORDERS}", app.operators_address);
    let refused = Answer::of(reqwest::Client::new().post(operators).body("[]")).await;
    assert_eq!(refused.body["errors"][0]["code"], "dry_run_only");

    let server = Server::start(&DURABLE).await;
    let app = TestApp::beside(std::sync::Arc::new(server.database().await), |_| ()).await;
    drop(server);
    let away = app.post(&json!([order("A")])).await;
    assert_eq!(away.body["errors"][0]["code"], "storage_unavailable");
}

/// An order with a value in every field that there is.
fn order_with_everything() -> Value {
    let mut order = example_request()[0].clone();
    let more = json!({
        "id": "A", "external_id": null, "created_at": "2026-11-06 11:00", "payment_status": true, "ask_for_checkout": "bill",
        "count_of_returned_bottles": 2,
    });
    order
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    let more = json!({
        "phone": "+79191991919", "phones": ["89191991918"], "email": "a@example.org", "emai": "b@example.org", "comment": "c",
    });
    let client = order["client"].as_object_mut().unwrap();
    client.extend(more.as_object().unwrap().clone());
    for pointer in ["/shipping_address", "/client/addresses/0"] {
        for part in ["entrance", "floor", "room"] {
            order = changed(order, &format!("{pointer}/{part}"), json!("1"));
        }
    }
    let order = changed(order, "/shipping_address/user_address_id", json!(1));
    changed(order, "/client/addresses/0/external_id", json!(1))
}

/// Where in an order the objects of each schema stand.
const OBJECTS: [(&str, &str); 5] = [
    ("Order", ""),
    ("OrderItem", "/order_item_list/0"),
    ("Client", "/client"),
    ("Address", "/client/addresses/0"),
    ("ShippingAddress", "/shipping_address"),
];

/// An order with one value in one place, and whether it must be taken, where that is known beforehand.
struct Case {
    what: String,
    order: Value,
    fits: Option<bool>,
}

/// What is to be tried with one field: with nothing, with values of every type, at its bounds and beyond.
fn cases(whole: &Value, pointer: &str, schema: &Value, required: bool) -> Vec<Case> {
    assert!(whole.pointer(pointer).is_some(), "{pointer}");
    let mut cases = Vec::new();
    let mut with = |value: Value, fits: Option<bool>| {
        let what: String = format!("{pointer}: {value}").chars().take(80).collect();
        let order = changed(whole.clone(), pointer, value);
        cases.push(Case { what, order, fits });
    };
    with(json!("(absent)"), Some(!required));
    with(Value::Null, Some(!required));
    // A list may be an empty text, too: that is taken, but nothing to ask of anybody.
    with(json!(""), required.then_some(false));
    let field = pointer.rsplit('/').next().unwrap();
    // What a phone is, what is kept as it came, and when a client must have a name: no schema of ours says that.
    if !["phone", "ask_for_checkout", "client"].contains(&field) {
        for value in [
            json!(true),
            json!("true"),
            json!(12),
            json!("12"),
            json!("12.5"),
            json!("1e2"),
            json!(-1),
            json!("-1"),
            json!([]),
            json!({}),
            json!(false),
        ] {
            with(value, None);
        }
    }
    if let Some(most) = schema["maxLength"].as_u64() {
        let most = usize::try_from(most).unwrap();
        with(json!("w".repeat(most)), Some(true));
        with(json!("ж".repeat(most)), Some(true));
        with(json!("w".repeat(most + 1)), None);
    }
    if let Some(most) = schema["maximum"].as_f64() {
        let least = schema["minimum"].as_f64().unwrap();
        with(json!(least), Some(true));
        with(json!(least - 1.0), required.then_some(false));
        with(schema["maximum"].clone(), Some(true));
        with(json!(most + 1.0), required.then_some(false));
    }
    if let Some(words) = schema["enum"].as_array() {
        for word in words {
            with(word.clone(), Some(true));
        }
        with(json!("other"), required.then_some(false));
    }
    cases
}

/// Whether something was left out, rounded or shortened.
fn has_a_loss(verdict: &Value) -> bool {
    let warnings = verdict["warnings"].as_array().into_iter().flatten();
    let mut codes = warnings.filter_map(|warning| warning["code"].as_str());
    codes.any(|code| FaultCode::ALL.map(FaultCode::as_str).contains(&code) || code == "rounded")
}

#[tokio::test]
async fn what_is_described_of_each_field_is_taken_as_it_is() {
    let app = TestApp::start().await;
    let whole = order_with_everything();
    app.accept(&whole).await;
    is_a("Batch", &json!([whole]));
    let mut wrong = Vec::new();
    for (name, at) in OBJECTS {
        let schema = &DOCUMENT["components"]["schemas"][name];
        // Without a required field an address of the client's is left out, and costs no order.
        let required = |field: &str| {
            let names = schema["required"].as_array();
            name != "Address" && names.is_some_and(|names| names.contains(&json!(field)))
        };
        for (field, schema) in schema["properties"].as_object().unwrap() {
            let pointer = format!("{at}/{field}");
            // The misspelled one is looked at only where the other has nothing.
            let whole = if field == "emai" {
                &changed(whole.clone(), "/client/email", Value::Null)
            } else {
                &whole
            };
            for Case { what, order, fits } in cases(whole, &pointer, schema, required(field)) {
                let answer = app.post(&json!([order])).await;
                let data = answer.body["data"].as_object().unwrap();
                let verdict = data.values().next().unwrap();
                let taken = verdict["success"] == true;
                let described = faults("Batch", &json!([order]));
                // More is read than is described. What is described is taken, and just as it is.
                let is_as_sent = taken && !has_a_loss(verdict);
                let is_wrong = described.is_empty() && !is_as_sent;
                if is_wrong || fits.is_some_and(|fits| fits != taken) {
                    wrong.push(format!("{what}: {described:?} {verdict}"));
                }
            }
        }
    }
    assert_eq!(wrong, [""; 0]);
}

#[tokio::test]
async fn the_example_of_an_answer_is_what_the_demo_answers() {
    let scratch = Scratch::new();
    let database = database().await;
    let root = env!("CARGO_MANIFEST_DIR");
    let settings = fs::read_to_string(format!("{root}/config/default.toml")).unwrap();
    let settings = settings
        .replace(
            "demo_data = \"demo\"",
            &format!("demo_data = \"{root}/config/demo\""),
        )
        .replace("may_lose_orders = false", "may_lose_orders = true");
    fs::write(scratch.join("aqua.toml"), settings).unwrap();
    let serving = Serving::start(command(&scratch).env("DATABASE_URL", database.url()));
    let moment = format!("/data/{ID}/data/0/created_at");
    let answer = changed(serving.post_example().await, &moment, json!(""));
    let examples = &operation()["responses"]["200"]["content"]["application/json"]["examples"];
    let example = changed(examples["demo"]["value"].clone(), &moment, json!(""));
    assert_eq!(answer, example);

    // The command says what is served, and what is kept for whoever has no service to ask.
    let served = reqwest::get(format!(
        "http://{}/openapi.json",
        serving.operators_address()
    ));
    let served = served.await.unwrap().text().await.unwrap();
    let printed = command(&scratch).arg("openapi").output().unwrap();
    assert!(printed.status.success());
    assert_eq!(
        String::from_utf8(printed.stdout).unwrap().trim(),
        served.trim()
    );
    let kept = fs::read_to_string(format!("{root}/docs/openapi.json")).unwrap();
    assert!(
        kept.trim() == served.trim(),
        "make it anew: aqua-orders --config config/default.toml openapi > docs/openapi.json"
    );
}
