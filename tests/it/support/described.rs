//! The description of the call, which every answer of every test is held against.

use std::{collections::HashMap, sync::LazyLock};

use aqua_orders::http::description;
use jsonschema::Validator;
use serde_json::{Value, json};

use super::config::demo_config;

/// The document with the limits of the tests' settings.
pub static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let text = description::document(&demo_config().limits).unwrap();
    serde_json::from_str(&text).unwrap()
});

static VALIDATORS: LazyLock<HashMap<&str, Validator>> = LazyLock::new(|| {
    let schemas = DOCUMENT["components"]["schemas"].as_object().unwrap();
    let names = schemas.keys().map(|name| (name.as_str(), validator(name)));
    names.collect()
});

fn validator(name: &str) -> Validator {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$ref": format!("#/components/schemas/{name}"),
        "components": DOCUMENT["components"],
    });
    jsonschema::draft202012::new(&schema).unwrap()
}

/// What of a value is not as the schema of that name wants it: paths with reasons.
pub fn faults(name: &str, value: &Value) -> Vec<String> {
    let errors = VALIDATORS[name].iter_errors(value);
    errors
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect()
}

/// Holds an answer against what is described for its status.
pub fn check_answer(status: u16, dry_run: bool, body: &Value) {
    let name = match (status, dry_run) {
        (200, false) => "Answer",
        (200, true) => "DryRunAnswer",
        _ => "Failure",
    };
    assert_eq!(faults(name, body), [""; 0], "{name}: {status} {body}");
    let responses =
        &DOCUMENT["paths"]["/{publication}/hs/AquaDeliveri/getOrdersURL"]["post"]["responses"];
    let response = &responses[status.to_string()];
    assert!(response.is_object(), "{status} is not described");
    if status != 200 {
        let code = body["errors"][0]["code"].as_str().unwrap();
        let codes = response["description"].as_str().unwrap();
        assert!(
            codes.split(", ").any(|known| known == code),
            "{status} {code}"
        );
    }
}
