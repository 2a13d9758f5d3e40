//! A rejected order is corrected in a field for each value that is wrong; its text in JSON stays what is sent (contract §9).

use serde_json::{Value, json};

use crate::{
    console_kept::{REJECTED, listed, text_of, unescaped},
    support::{
        app::{TestApp, changed, order},
        console::{Browser, Seen, operators},
    },
};

type Form = Vec<(String, String)>;

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, value) = tag.split_once(&format!(" {name}=\""))?;
    value.split('"').next().map(unescaped)
}

/// What a browser would send of the page as it stands.
fn form_of(page: &Seen) -> Form {
    let mut form = vec![("order".to_owned(), text_of(page))];
    let mut select = None;
    for tag in page.text.split('<').filter_map(|tag| tag.split_once('>')) {
        let tag = tag.0;
        let value = attribute(tag, "value");
        match tag.split(' ').next() {
            Some("input") if attribute(tag, "form").is_some() => {
                form.push((attribute(tag, "name").unwrap(), value.unwrap()));
            }
            Some("select") => select = attribute(tag, "name"),
            Some("option") if tag.ends_with(" selected") => {
                form.push((select.take().unwrap(), value.unwrap()));
            }
            _ => {}
        }
    }
    form
}

/// What stands in the field for that path; `None`: there is none.
fn field(page: &Seen, path: &str) -> Option<String> {
    let name = format!("set:{path}");
    let fields = form_of(page).into_iter();
    let mut found = fields.filter(|(field, _)| *field == name);
    let value = found.next().map(|(_, value)| value);
    assert!(found.next().is_none(), "{path} has two fields");
    value
}

/// The attributes of the field.
fn tag(page: &Seen, path: &str) -> String {
    let (before, behind) = page
        .text
        .split_once(&format!("name=\"set:{path}\""))
        .unwrap();
    let before = before.rsplit('<').next().unwrap();
    format!("{before}{}", behind.split('>').next().unwrap())
}

fn fill(form: &mut Form, path: &str, value: &str) {
    let name = if path == "order" {
        path.to_owned()
    } else {
        format!("set:{path}")
    };
    let found = form.iter_mut().find(|(field, _)| *field == name);
    let (_, old) = found.unwrap_or_else(|| panic!("no {name}"));
    value.clone_into(old);
}

async fn submit(browser: &mut Browser, page: &str, form: &Form, action: &str) -> Seen {
    let pairs = form.iter();
    let mut pairs: Vec<(&str, &str)> = pairs.map(|(name, value)| (&**name, &**value)).collect();
    pairs.push(("action", action));
    browser.post(&format!("{page}/send"), &pairs).await
}

/// The one rejected order: its page's address, and the page.
async fn rejected(app: &TestApp, sent: &str) -> (Browser, String, Seen) {
    let response = app.request().body(sent.to_owned()).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let mut browser = Browser::of(app, "Анна").await;
    let page = listed(&browser.get(REJECTED).await).remove(0);
    let seen = browser.get(&page).await;
    (browser, page, seen)
}

/// Wrong in many ways, and written as no serializer of ours writes.
const WRONG: &str = r#"[{"comment":"\u0416\"}", "zzz" : [1.50, {"b":1e2,"a":0.10}], "shipping_date_to":"2026-11-28T20:00:00+03:00",
"id":"A-1","total":"дорого","status":"lost","shipping_date_from":"31.02.2026 10:00",
"client":{"username":"Анна","about":{"x":null}},
"order_item_list":[{"quantity":2,"price":"355.00","product_id":"water-19"},{"quantity":"две","price":1e400,"product_id":"cups"}],
"shipping_address":{"city":"Сыктывкар","street":"Кутузова","house":"19"}}]"#;

#[tokio::test]
async fn each_value_that_is_wrong_is_corrected_in_a_field_and_the_rest_stays_as_it_came() {
    let app = TestApp::with(operators).await;
    let (mut browser, page, seen) = rejected(&app, WRONG).await;
    for (path, value, kind) in [
        ("total", "дорого", "inputmode=\"decimal\""),
        ("status", "", "<select"),
        ("shipping_date_from", "", "type=\"datetime-local\""),
        ("client.phone", "", "type=\"tel\""),
        (
            "order_item_list[1].quantity",
            "две",
            "inputmode=\"numeric\"",
        ),
        ("order_item_list[1].price", "1e400", "inputmode=\"decimal\""),
        ("shipping_address.str", "", "type=\"text\""),
    ] {
        assert_eq!(field(&seen, path).as_deref(), Some(value), "{path}");
        let tag = format!("<{}", tag(&seen, path));
        assert!(tag.contains(kind), "{path}: {tag}");
        // It has a name in words, with what is wrong.
        let id = attribute(&tag, "id").unwrap();
        assert!(
            seen.text.contains(&format!("<label for=\"{id}\">")),
            "{path}"
        );
    }
    for right in ["comment", "order_item_list[0].quantity", "client.username"] {
        assert_eq!(field(&seen, right), None, "{right}");
    }
    assert!(seen.shows("Строка 2, Количество: ") && seen.shows("Телефон: обязательное поле"));
    assert!(seen.shows("— выберите —") && seen.shows("Отменён"));
    let original = text_of(&seen);

    let mut form = form_of(&seen);
    for (path, value) in [
        ("total", "711.50"),
        ("status", "new"),
        ("shipping_date_from", "2026-11-28T10:00"),
        ("client.phone", "8 908 328-08-32"),
        ("order_item_list[1].quantity", "3"),
        ("order_item_list[1].price", "0.5"),
        ("shipping_address.str", "Кутузова, 19"),
    ] {
        fill(&mut form, path, value);
    }
    let checked = submit(&mut browser, &page, &form, "check").await;
    assert_eq!(checked.status, 200, "{}", checked.text);
    assert!(checked.shows("Будет принят"), "{}", checked.text);
    let due = original
        .replace("\"total\": \"дорого\"", "\"total\": 711.50")
        .replace("\"lost\"", "\"new\"")
        .replace("\"31.02.2026 10:00\"", "\"2026-11-28T10:00\"")
        .replace("\"quantity\": \"две\"", "\"quantity\": 3")
        .replace("1e400", "0.5")
        .replace(
            "\"x\": null\r\n    }",
            "\"x\": null\r\n    },\r\n    \"phone\": \"8 908 328-08-32\"",
        )
        .replace(
            "\"house\": \"19\"",
            "\"house\": \"19\",\r\n    \"str\": \"Кутузова, 19\"",
        );
    assert_eq!(text_of(&checked), due);
    assert!(due.contains("\"b\": 1e2") && due.contains("0.10"), "{due}");
    // They are still there, with what was written into them.
    assert_eq!(field(&checked, "total").as_deref(), Some("711.50"));
    assert_eq!(field(&checked, "status").as_deref(), Some("new"));
    assert_eq!(app.count("orders").await, 0);

    let sent = submit(&mut browser, &page, &form_of(&checked), "send").await;
    assert_eq!(sent.status, 303, "{}", sent.text);
    let stored: String = app
        .value(
            "SELECT concat_ws(' ', total, status, shipping_date_from AT TIME ZONE 'UTC', shipping_address->>'str', comment)
             FROM orders",
        )
        .await;
    assert_eq!(stored, "711.50 new 2026-11-28 07:00:00 Кутузова, 19 Ж\"}");
    let phone: String = app.value("SELECT phone FROM client").await;
    assert_eq!(phone, "+79083280832");
}

#[tokio::test]
async fn letters_where_a_number_is_due_are_told_in_words_and_not_lost() {
    let app = TestApp::with(operators).await;
    let sent = json!([changed(order("A-1"), "/total", -1)]).to_string();
    let (mut browser, page, seen) = rejected(&app, &sent).await;
    assert_eq!(field(&seen, "total").as_deref(), Some("-1"));
    let mut form = form_of(&seen);
    fill(&mut form, "total", "семьсот \"руб\"");
    let checked = submit(&mut browser, &page, &form, "check").await;
    assert!(checked.shows("Будет отклонён"), "{}", checked.text);
    assert!(checked.shows("Сумма: неверный тип"), "{}", checked.text);
    // What is still so is told once, with what came.
    assert_eq!(checked.text.matches("Сумма: неверный тип").count(), 1);
    assert!(checked.text.contains("<code>-1</code>") && checked.shows("Что было не так"));
    let typed = Some("семьсот \"руб\"");
    assert_eq!(field(&checked, "total").as_deref(), typed);
    assert!(text_of(&checked).contains(r#""total": "семьсот \"руб\"""#));
    // Sent all the same it is another attempt, with the same field.
    let sent = submit(&mut browser, &page, &form, "send").await;
    assert!(sent.location().ends_with("?done=rejected"), "{}", sent.text);
    let page = sent.location().split('?').next().unwrap().to_owned();
    let seen = browser.get(&page).await;
    assert_eq!(field(&seen, "total").as_deref(), typed);
    let mut form = form_of(&seen);
    // As people write amounts.
    fill(&mut form, "total", " 1 234,50 ");
    let sent = submit(&mut browser, &page, &form, "send").await;
    assert!(sent.location().contains("/orders/"), "{}", sent.text);
    let total: String = app.value("SELECT total::text FROM orders").await;
    assert_eq!(total, "1234.50");
}

#[tokio::test]
async fn what_is_no_single_value_is_corrected_in_the_text_alone() {
    let app = TestApp::with(operators).await;
    let wrong = [
        ("/order_item_list", json!([])),
        ("/shipping_address", json!("(absent)")),
        ("/client", json!({ "phone": ["8 908 328-08-32"] })),
        ("/total", json!({ "sum": 1 })),
    ];
    let sent = wrong.into_iter().fold(order("A-1"), |sent, (path, value)| {
        changed(sent, path, value)
    });
    let (mut browser, page, seen) = rejected(&app, &json!([sent]).to_string()).await;
    for path in ["order_item_list", "shipping_address", "client", "total"] {
        assert_eq!(field(&seen, path), None, "{path}");
    }
    assert_eq!(field(&seen, "client.username").as_deref(), Some(""));
    // What a check finds besides has a field, too.
    let mut form = form_of(&seen);
    let text = json!([]).to_string();
    let text = text_of(&seen).replace(
        &text,
        r#"[{"product_id": "a", "price": -7, "quantity": 1}]"#,
    );
    fill(&mut form, "order", &text);
    let checked = submit(&mut browser, &page, &form, "check").await;
    let price = field(&checked, "order_item_list[0].price");
    assert_eq!(price.as_deref(), Some("-7"), "{}", checked.text);
    assert_eq!(field(&checked, "client.username").as_deref(), Some(""));
    // Seven is no order, and has no field.
    app.post(&json!([7])).await;
    let pages = listed(&browser.get(REJECTED).await);
    let seen = browser.get(&pages[0]).await;
    assert!(!seen.text.contains("set:"), "{}", seen.text);
}

#[tokio::test]
async fn a_field_goes_into_the_text_as_it_is_now_and_is_stronger_than_it() {
    let app = TestApp::with(operators).await;
    let sent = changed(order("A-1"), "/total", "дорого");
    let sent = changed(sent, "/client", json!({ "username": "Анна" }));
    let (mut browser, page, seen) = rejected(&app, &json!([sent]).to_string()).await;
    let text = text_of(&seen);
    let mut form = form_of(&seen);
    fill(&mut form, "total", "720");

    // Neither is lost while the text is no JSON, or has no place for it.
    fill(&mut form, "order", &text.replace("\"дорого\"", ""));
    let refused = submit(&mut browser, &page, &form, "send").await;
    assert_eq!(refused.status, 422);
    assert!(refused.shows("Это не JSON"), "{}", refused.text);
    assert_eq!(form_of(&refused), form);
    let (begin, rest) = text.split_once("\"client\": {").unwrap();
    let (_, end) = rest.split_once('}').unwrap();
    fill(&mut form, "client.phone", "8 908 328-08-32");
    fill(&mut form, "order", &format!("{begin}\"client\": 1{end}"));
    let refused = submit(&mut browser, &page, &form, "check").await;
    assert_eq!(refused.status, 422);
    assert!(
        refused.shows("некуда вписать «Телефон»"),
        "{}",
        refused.text
    );
    assert_eq!(form_of(&refused), form);

    // Both were changed: elsewhere the text counts, there the field does.
    let edited = text
        .replace("\"дорого\"", "9")
        .replace("Кутузова", "Морозова");
    fill(&mut form, "order", &edited);
    let checked = submit(&mut browser, &page, &form, "check").await;
    let merged = text_of(&checked);
    assert!(
        merged.contains("\"total\": 720") && merged.contains("Морозова"),
        "{merged}"
    );
    // A field that is left alone leaves the text alone.
    let mut form = form_of(&checked);
    fill(&mut form, "order", &merged.replace("720", "730"));
    let checked = submit(&mut browser, &page, &form, "check").await;
    assert_eq!(field(&checked, "total").as_deref(), Some("730"));
    assert_eq!(text_of(&checked), merged.replace("720", "730"));
    let sent = submit(&mut browser, &page, &form_of(&checked), "send").await;
    assert_eq!(sent.status, 303, "{}", sent.text);
    let total: String = app.value("SELECT total::text FROM orders").await;
    assert_eq!(total, "730.00");
}

#[tokio::test]
async fn a_period_that_ends_before_it_begins_has_a_field_for_either_end() {
    let app = TestApp::with(operators).await;
    let sent = changed(order("A-1"), "/shipping_date_from", "2026-11-07T11:00:00Z");
    let (mut browser, page, seen) = rejected(&app, &json!([sent]).to_string()).await;
    // In the publication's time.
    let ends = ["shipping_date_from", "shipping_date_to"].map(|end| field(&seen, end));
    let due = ["2026-11-07T14:00", "2026-11-06T21:00"].map(|end| Some(end.to_owned()));
    assert_eq!(ends, due);
    let mut form = form_of(&seen);
    fill(&mut form, "shipping_date_from", "2026-11-06T14:30");
    let sent = submit(&mut browser, &page, &form, "send").await;
    assert_eq!(sent.status, 303, "{}", sent.text);
    let period: String = app
        .value("SELECT concat_ws(' ', shipping_date_from AT TIME ZONE 'UTC', shipping_date_to AT TIME ZONE 'UTC') FROM orders")
        .await;
    assert_eq!(period, "2026-11-06 11:30:00 2026-11-06 18:00:00");
}

#[tokio::test]
async fn a_remark_has_a_field_and_a_way_to_pay_the_list_of_those_that_are_taken() {
    let app = TestApp::with(|config| {
        operators(config);
        config.publications[0].rules.payment_types = Some(vec!["cash".into(), "<b>".into()]);
    })
    .await;
    let sent = changed(order("A-1"), "/coins", "many");
    app.accept(&changed(sent, "/payment_type", "barter")).await;
    let mut browser = Browser::of(&app, "Анна").await;
    let list = browser.get("/console/p/demodelivery/remarks").await;
    let page = listed(&list).remove(0);
    let seen = browser.get(&page).await;
    assert_eq!(field(&seen, "coins").as_deref(), Some("many"));
    assert_eq!(field(&seen, "payment_type").as_deref(), Some(""));
    assert!(seen.text.contains(">наличные</option>") && !seen.text.contains("<b>"));
    // Nothing is corrected yet, and the fields stay.
    let checked = submit(&mut browser, &page, &form_of(&seen), "check").await;
    assert_eq!(form_of(&checked), form_of(&seen));
    let mut form = form_of(&seen);
    fill(&mut form, "coins", "5");
    fill(&mut form, "payment_type", "<b>");
    let sent = submit(&mut browser, &page, &form, "send").await;
    assert_eq!(sent.status, 303, "{}", sent.text);
    let stored: String = app
        .value("SELECT concat_ws(' ', coins, payment_type) FROM orders")
        .await;
    assert_eq!(stored, "5.00 <b>");
}

#[tokio::test]
async fn an_order_of_which_everything_is_wrong_has_forty_fields_and_the_text() {
    let app = TestApp::with(operators).await;
    let line = json!({ "product_id": "a", "price": -1, "quantity": 0 });
    let lines: Vec<Value> = vec![line; 60];
    let sent = changed(order("A-1"), "/order_item_list", lines);
    let (mut browser, page, seen) = rejected(&app, &json!([sent]).to_string()).await;
    assert_eq!(seen.text.matches("name=\"set:").count(), 40);
    // What nobody was shown, and what is no field, is not taken from a form either.
    let mut form = form_of(&seen);
    form.push(("set:client".to_owned(), "x".to_owned()));
    form.push(("set:__proto__".to_owned(), "x".to_owned()));
    let checked = submit(&mut browser, &page, &form, "check").await;
    assert_eq!(text_of(&checked), text_of(&seen));
}
