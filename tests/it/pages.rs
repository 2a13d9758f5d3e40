//! The pages that an integrator reads and tries, and who is shown them.

use std::{
    io::{Write, stderr},
    process::Stdio,
};

use aqua_orders::config::Config;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::support::app::{TestApp, changed, order};

#[tokio::test]
async fn the_pages_are_on_the_operators_listener_and_on_the_public_one_only_when_the_settings_say_so()
 {
    let pages = [
        "/docs",
        "//docs/%20",
        "/docs/docs.js",
        "/docs/page.css",
        "/docs/page.js",
        "/docs/icon.svg",
        "/try",
        "/docs/try.js",
    ];
    let files = pages.into_iter().chain(["/openapi.json"]);
    for public in [false, true] {
        let app = TestApp::with(|config: &mut Config| config.operator.public_docs = public).await;
        for path in files.clone() {
            let there = reqwest::get(format!("http://{}{path}", app.operators_address))
                .await
                .unwrap();
            assert_eq!(there.status(), 200, "{path}");
            let policy = there.headers()["content-security-policy"]
                .to_str()
                .unwrap()
                .to_owned();
            assert!(
                policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
                "{policy}"
            );
            assert_eq!(there.headers()["x-content-type-options"], "nosniff");
            let text = there.text().await.unwrap();
            let here = reqwest::get(format!("http://{}{path}", app.address))
                .await
                .unwrap();
            if public {
                assert_eq!(here.text().await.unwrap(), text, "{path}");
            } else {
                assert_eq!(here.status(), 404, "{path}");
            }
        }
        // They are no orders.
        let processed = app
            .metric(r#"aqua_requests_total{outcome="processed"}"#)
            .await;
        assert_eq!(processed, 0);
    }
}

#[tokio::test]
async fn a_page_loads_nothing_from_elsewhere_and_has_nothing_inline() {
    let app = TestApp::start().await;
    for page in ["/docs", "/try"] {
        let (_, text) = app.operator(page).await;
        let mut files = 0;
        for attribute in ["src=\"", "href=\""] {
            for (at, _) in text.match_indices(attribute) {
                let rest = &text[at + attribute.len()..];
                let to = &rest[..rest.find('"').unwrap()];
                if to.starts_with('#') {
                    continue;
                }
                files += 1;
                let (status, _) = app.operator(to).await;
                assert!(to.starts_with('/') && status == 200, "{page}: {to}");
            }
        }
        assert!(files >= 4, "{page}");
        for inline in ["<style", " style=", " onclick=", "<script>", "javascript:"] {
            assert!(!text.contains(inline), "{page}: {inline}");
        }
    }
    // What an order says never becomes a part of the page.
    for script in ["/docs/docs.js", "/docs/try.js", "/docs/page.js"] {
        let (_, text) = app.operator(script).await;
        for danger in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
        ] {
            assert!(!text.contains(danger), "{script}: {danger}");
        }
    }
}

/// What `/docs` shows in that language, or `/try` for these orders, run by node with a page that is only as much as the script
/// needs. `None` where there is no node.
async fn shown(app: &TestApp, language: &str, orders: Option<&Value>) -> Option<String> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/page.mjs");
    let ran = Command::new("node")
        .arg(script)
        .arg(format!("http://{}", app.address))
        .arg(language)
        .args(orders.map(Value::to_string))
        .stderr(Stdio::inherit())
        .output()
        .await;
    let Ok(ran) = ran else {
        // Past the test harness, which keeps to itself what a test prints that passes.
        let _ = writeln!(stderr(), "skipped: what pages show (node is not here)");
        return None;
    };
    assert!(ran.status.success());
    Some(String::from_utf8(ran.stdout).unwrap())
}

#[tokio::test]
async fn the_description_shows_every_call_with_what_it_takes_and_answers() {
    let app = TestApp::with(|config: &mut Config| config.operator.public_docs = true).await;
    for (language, parts) in [
        (
            "ru",
            [
                "[GET] [/{publication}/hs/AquaDeliveri/v1/orders]Лента заказов: каждый один раз, у последнего изменения",
                "[wait]Секунд ждать первый заказ",
                "[changed_by]sender, operator, back_officeКто изменил последним",
                "[receiver.number]строка или nullНомер",
                "[POST] [/{publication}/hs/AquaDeliveri/v1/orders/results]",
                "Тело: массив Result",
                "[results[].warnings]массив WarningПредупреждения",
                "[POST] [/{publication}/hs/AquaDeliveri/v1/products]Товары",
                "[problems[].reason]строкаПочему",
                "[POST] [/v1/order/import]",
            ],
        ),
        (
            "en",
            [
                "[GET] [/{publication}/hs/AquaDeliveri/v1/orders]The feed of orders: each once, at its last change",
                "[wait]Seconds to wait for the first order",
                "[changed_by]sender, operator, back_officeWho changed it last",
                "[receiver.number]string or nullNumber",
                "[POST] [/{publication}/hs/AquaDeliveri/v1/orders/results]",
                "Body: array of Result",
                "[results[].warnings]array of WarningWarnings",
                "[POST] [/{publication}/hs/AquaDeliveri/v1/products]Products",
                "[problems[].reason]stringWhy",
                "[POST] [/v1/order/import]",
            ],
        ),
    ] {
        let Some(shown) = shown(&app, language, None).await else {
            return;
        };
        for part in parts {
            assert!(shown.contains(part), "{part}\n{shown}");
        }
        assert!(!shown.contains("undefined"), "{shown}");
    }
}

#[tokio::test]
async fn a_tried_batch_shows_the_faults_and_the_warnings_of_each_order() {
    let app = TestApp::with(|config: &mut Config| config.operator.public_docs = true).await;
    let mut long = order("a-2");
    long["comment"] = json!("x".repeat(70_000));
    let batch = json!([changed(order("a-1"), "/total", json!(-1)), long]);
    for (language, parts) in [
        (
            "ru",
            [
                "Были бы приняты: 1, из них с предупреждениями: 1; отклонены: 1",
                "[a-1][был бы отклонён, ошибок: 1][total] — вне допустимых пределов: 0 … 9999999999.99 [out_of_range]",
                "[a-2][был бы принят][предупреждений: 2]",
                "[comment] — длиннее 65536 символов, конец отброшен [too_long]",
                "[order_item_list[0].product_id] — товар не найден, строка сохранена без товара [product_not_found]",
            ],
        ),
        (
            "en",
            [
                "Would be accepted: 1, 1 of them with warnings; rejected: 1",
                "[a-1][would be rejected, faults: 1][total] — out of range: 0 … 9999999999.99 [out_of_range]",
                "[a-2][would be accepted][warnings: 2]",
                "[comment] — longer than 65536 characters, the end is left out [too_long]",
                "[order_item_list[0].product_id] — product not found, the line is kept without one [product_not_found]",
            ],
        ),
    ] {
        let Some(shown) = shown(&app, language, Some(&batch)).await else {
            return;
        };
        for part in parts {
            assert!(shown.contains(part), "{part}\n{shown}");
        }
    }
    assert_eq!(app.count("orders").await, 0);
}
