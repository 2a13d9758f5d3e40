//! An order's whole story on its page (contract §9): who corrected it before it was taken, and each time that 1C did not take it.

use serde_json::{Value, json};

use crate::support::{
    app::{TestApp, changed, order},
    back_office::with_back_office,
    command::Operator,
    config::target as target_of,
    console::{Browser, Seen, operators},
    target::{FakeTarget, takes, takes_but, until},
};

const BASE: &str = "/console/p/demodelivery";

/// What the order's page tells, the newest first.
async fn history(browser: &mut Browser, app: &TestApp, id: &str) -> String {
    let number = number(app, id).await;
    let page = browser.get(&format!("{BASE}/orders/{number}")).await;
    let (_, history) = page.text.split_once("class=\"history\"").unwrap();
    history.replace('\u{a0}', " ")
}

async fn number(app: &TestApp, id: &str) -> i32 {
    let number = format!("SELECT number FROM orders WHERE sender_id = '{id}'");
    app.value(number).await
}

/// Asserts that these stand there, in that order.
fn assert_tells(history: &str, parts: &[&str]) {
    let mut from = 0;
    for part in parts {
        let at = history[from..].find(part);
        from += at.unwrap_or_else(|| panic!("no {part} (any more) in {history}"));
    }
}

/// Sends the newest rejected order with that text.
async fn send(browser: &mut Browser, text: &Value) -> Seen {
    let list = browser.get(&format!("{BASE}/rejected")).await;
    let (_, page) = list
        .text
        .split_once("<th scope=\"row\"><a href=\"")
        .unwrap();
    let page = page.split('"').next().unwrap().to_owned();
    let text = text.to_string();
    let form = [("order", &*text), ("action", "send")];
    let sent = browser.post(&format!("{page}/send"), &form).await;
    assert_eq!(sent.status, 303, "{}", sent.text);
    sent
}

#[tokio::test]
async fn an_order_that_an_operator_corrected_tells_who_did_so_when_and_from_what_to_what() {
    let app = TestApp::with(operators).await;
    let came = changed(order("A-1"), "/client/phone", "8 908 328-08-32");
    let came = changed(came, "/comment", "<b>звонить");
    app.post(&json!([changed(came.clone(), "/total", "дорого")]))
        .await;
    let mut browser = Browser::of(&app, "Анна").await;
    // The first correction is not good enough.
    send(&mut browser, &changed(came.clone(), "/total", -1)).await;
    let better = changed(came, "/total", 720);
    let better = changed(better, "/client/phone", "8 908 328-08-33");
    send(&mut browser, &changed(better, "/comment", "<i>не звонить")).await;
    let told = history(&mut browser, &app, "A-1").await;
    assert_tells(
        &told,
        &[
            "Исправлен и отправлен",
            "Анна",
            "Телефон: 8 908 328-08-32 → 8 908 328-08-33",
            "Комментарий: &#60;b&#62;звонить → &#60;i&#62;не звонить",
            "Сумма: -1 → 720",
            "Открыть",
            "Получен",
            "Анна, из консоли",
            "Отклонён",
            "Анна, из консоли",
            "Сумма: дорого → -1",
            "Отклонён",
            "сайт",
        ],
    );
    assert!(!told.contains("<b>") && !told.contains("<i>"), "{told}");
    // It leads to the attempt that was corrected, which is as it came.
    let (_, link) = told.split_once(&format!("{BASE}/kept/")).unwrap();
    let kept = format!("{BASE}/kept/{}", link.split('"').next().unwrap());
    assert!(browser.get(&kept).await.shows("Разобран"));
    // An order that came in by itself says nothing of the kind.
    app.accept(&order("B-1")).await;
    let told = history(&mut browser, &app, "B-1").await;
    assert!(told.contains("сайт") && !told.contains("консол"), "{told}");
}

#[tokio::test]
async fn an_order_that_was_sent_again_as_it_came_says_so() {
    let app = TestApp::with(operators).await;
    app.accept(&changed(order("A-1"), "/coins", "many")).await;
    let mut browser = Browser::of(&app, "Анна").await;
    let all = format!("{BASE}/remarks/send");
    assert_eq!(browser.post(&all, &[]).await.status, 303);
    let told = history(&mut browser, &app, "A-1").await;
    assert_tells(&told, &["Отправлен из консоли", "Анна"]);
    assert!(!told.contains("Исправлен"), "{told}");
}

#[tokio::test]
async fn what_was_corrected_of_a_clients_order_is_erased_with_the_client() {
    let app = TestApp::with(operators).await;
    let came = changed(order("A-1"), "/client/phone", "8 908 328-08-32");
    app.post(&json!([changed(came.clone(), "/total", -1)]))
        .await;
    let mut boss = Browser::of(&app, "boss").await;
    send(
        &mut boss,
        &changed(came, "/client/phone", "8 908 328-08-33"),
    )
    .await;
    let told = "SELECT count(*) FROM journal_change WHERE changes::text LIKE '%328-08-3%'";
    assert_eq!(app.value::<i64>(told).await, 1);
    app.run("UPDATE orders SET status = 'completed'").await;
    let client: i32 = app.value("SELECT number FROM client").await;
    let erase = format!("{BASE}/clients/{client}/erase");
    assert_eq!(boss.post(&erase, &[]).await.status, 303);
    assert_eq!(app.value::<i64>(told).await, 0);
    let told = history(&mut boss, &app, "A-1").await;
    assert_tells(&told, &["Исправлен и отправлен", "boss"]);
    assert!(!told.contains("328-08"), "{told}");
}

#[tokio::test]
async fn what_a_back_office_refused_stays_in_the_history_after_it_has_taken_the_order() {
    let app = TestApp::with(|config| {
        operators(config);
        with_back_office(config);
    })
    .await;
    app.accept(&order("A-1")).await;
    let number = number(&app, "A-1").await;
    let said = |error: Option<&str>, receiver: Option<&str>| json!({ "number": number, "version": 1, "error": error, "receiver_number": receiver });
    for result in [
        said(Some("нет <контрагента>"), None),
        // The same again is no news.
        said(Some("нет <контрагента>"), None),
        said(Some("нет цены"), None),
    ] {
        app.report_one(&result).await;
    }
    let mut browser = Browser::of(&app, "Анна").await;
    let told = history(&mut browser, &app, "A-1").await;
    assert_tells(
        &told,
        &[
            "Не взят",
            "нет цены",
            "Не взят",
            "нет &#60;контрагента&#62;",
            "Получен",
        ],
    );
    assert_eq!(told.matches("Не взят").count(), 2, "{told}");
    assert!(!told.contains("Ответ 1С"), "it says no more: {told}");
    app.report_one(&said(None, Some("АВ-1"))).await;
    let told = history(&mut browser, &app, "A-1").await;
    assert_tells(
        &told,
        &[
            "Ответ 1С",
            "АВ-1",
            "Не взят",
            "нет цены",
            "Не взят",
            "нет &#60;контрагента&#62;",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_target_refused_stays_in_the_history_after_it_has_taken_the_order() {
    let one_c = FakeTarget::start(|seen| takes_but(seen, |order| order["id"] == "bad")).await;
    let url = format!("http://{}/a", one_c.address);
    let app = TestApp::with(move |config| {
        operators(config);
        let settings = format!("name = \"1c\"\nprotocol = \"one_c\"\nurl = \"{url}\"\n");
        config.publications[0].targets = vec![target_of(&settings)];
    })
    .await;
    app.post(&json!([order("bad"), order("good")])).await;
    until("it is refused", async || {
        app.count("target_delivery").await == 1
    })
    .await;
    app.run("UPDATE target_delivery SET next_try_at = now()")
        .await;
    let refusals = "SELECT count(*) FROM order_refusal";
    until("it is refused again", async || {
        app.value::<i64>(refusals).await == 2
    })
    .await;
    one_c.now_says(takes);
    app.run("UPDATE target_delivery SET next_try_at = now()")
        .await;
    until("it is taken", async || {
        app.count("target_delivery").await == 0
    })
    .await;
    let mut browser = Browser::of(&app, "Анна").await;
    let told = history(&mut browser, &app, "bad").await;
    assert_tells(
        &told,
        &[
            "Ответ 1С",
            "1C-bad",
            "Не взят",
            "1c",
            "Не найден контрагент",
            "Не взят",
            "1c",
        ],
    );
    let told = history(&mut browser, &app, "good").await;
    assert!(!told.contains("Не взят"), "{told}");
    let said = Operator::of(&app.database)
        .run(["journal", "order", "bad"])
        .await;
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(
        said.stdout.matches("1c: Не найден контрагент").count(),
        2,
        "{said:?}"
    );
}

#[tokio::test]
async fn a_change_is_told_by_what_addresses_and_products_are_called() {
    let app = TestApp::with(operators).await;
    app.run("INSERT INTO product (publication, number, name) VALUES ('demodelivery', 7001, 'Вода 19 л')")
        .await;
    app.run("INSERT INTO product_sender_id (publication, sender_id, product_number) VALUES ('demodelivery', 'own-19', 7001)")
        .await;
    app.accept(&order("A-1")).await;
    let mut moved = changed(order("A-1"), "/order_item_list/0/product_id", "own-19");
    moved["shipping_address"] =
        json!({ "city": "Сыктывкар", "street": "Ленина", "house": "5", "str": "Ленина 5" });
    app.accept(&moved).await;
    let mut browser = Browser::of(&app, "Анна").await;
    let told = history(&mut browser, &app, "A-1").await;
    assert_tells(&told, &["Изменён"]);
    for part in [
        "Строка 1, Товар: – → 7001 Вода 19 л",
        "Адрес доставки: Кутузова, д. 19, г. Сыктывкар → Ленина, д. 5, г. Сыктывкар",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[tokio::test]
async fn an_order_whose_lines_do_not_make_its_total_is_marked_on_its_page() {
    let app = TestApp::with(operators).await;
    // Two at 355: 710.
    let with = |id: &str, total: u32, delivery: u32, points: u32| {
        let sent = changed(order(id), "/total", total);
        changed(changed(sent, "/delivery_cost", delivery), "/coins", points)
    };
    let mut browser = Browser::of(&app, "Анна").await;
    for (id, total, delivery, points, is_marked) in [
        ("exact", 710, 0, 0, false),
        ("delivered", 810, 100, 0, false),
        ("beside", 710, 100, 50, false),
        ("paid", 760, 100, 50, false),
        ("less", 660, 0, 50, false),
        ("off", 711, 0, 0, true),
        ("far", 100, 100, 50, true),
    ] {
        app.accept(&with(id, total, delivery, points)).await;
        let number = number(&app, id).await;
        let page = browser.get(&format!("{BASE}/orders/{number}")).await;
        assert_eq!(
            page.shows("с итогом не сходится"),
            is_marked,
            "{id}: {}",
            page.text
        );
    }
}
