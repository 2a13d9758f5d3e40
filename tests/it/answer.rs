//! The order as answered: every key, always (contract §6).

use serde_json::{Value, json};

use crate::support::{
    app::{Answer, TestApp, changed, example_request, guest_order, order},
    raw,
};
use aqua_orders::order::phone::Region;

const EXAMPLE: &str = "657f9553-ff97-11e9-80d3-001e4f377cd7";

/// What the receiver owns, as an import would have brought it: product 28, client 68 with its address 2647.
const OWNED: &str = r#"
    INSERT INTO product (publication, number, name) VALUES ('demodelivery', 28, 'Вода'), ('demodelivery', 36, 'Помпа'),
        ('demodelivery', 4, 'Стакан');
    INSERT INTO product_sender_id VALUES
        ('demodelivery', '78e66cef-ae2c-11e6-9bf1-f8a9634f667f', 28), ('demodelivery', 'water-19', 28),
        ('demodelivery', 'cup', 4);
    INSERT INTO district VALUES ('demodelivery', 1, 'Орбита ближняя (Париж)');
    INSERT INTO client (publication, number, username, phone, phones, email, account_number, bank_account,
                        legal_address, coins_amount, loyalty_system_is_active)
    VALUES ('demodelivery', 68, 'Имя из 1С', '+79083280832', '{+79083280832,+442079460958}', 'client@example.org', 680,
            '{"inn":"1","kpp":"2","account_number":"3","correspondent_account":"4","bik":"5","bank_name":"Банк"}',
            '{"г. Сыктывкар,ул. Кутузова,д. 21","вторая строка"}', 90.50, false);
    INSERT INTO address (publication, number, client_number, city, street, house, str, entrance, floor, room,
                         district_number)
    VALUES ('demodelivery', 2647, 68, 'Сыктывкар', 'Кутузова', '21', 'одной строкой', '2', '1', '1', 1);
    INSERT INTO client_price VALUES ('demodelivery', 68, 36, 101, false), ('demodelivery', 68, 4, 0.5, true);
"#;

/// JSON laid out as people read it; numbers and the order of keys stay as they came.
fn laid_out(text: &str) -> String {
    let mut out = String::new();
    let (mut depth, mut in_text, mut escaped) = (0, false, false);
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let is_empty_list = matches!((c, chars.peek()), ('{', Some('}')) | ('[', Some(']')));
        if in_text || is_empty_list {
            out.push(c);
            out.extend(chars.next_if(|_| is_empty_list && !in_text));
            in_text &= c != '"' || escaped;
            escaped = c == '\\' && !escaped;
            continue;
        }
        if matches!(c, '}' | ']') {
            depth -= 1;
            out.push('\n');
            out.push_str(&"  ".repeat(depth));
        }
        out.push(c);
        match c {
            '{' | '[' => depth += 1,
            ':' => out.push(' '),
            '"' => in_text = true,
            _ => {}
        }
        if matches!(c, '{' | '[' | ',') {
            out.push('\n');
            out.push_str(&"  ".repeat(depth));
        }
    }
    out
}

/// The text of an answer without the moment at which it came about.
fn without_created_at(answer: &Answer, id: &str) -> String {
    let created_at = answer.order(id)["created_at"].as_str().unwrap();
    laid_out(&answer.text.replace(created_at, "(now)"))
}

#[tokio::test]
async fn the_documents_example_on_an_empty_database_is_answered_key_by_key() {
    let app = TestApp::start().await;
    let answer = app.post(&example_request()).await;
    insta::assert_snapshot!(without_created_at(&answer, EXAMPLE));
}

#[tokio::test]
async fn an_order_with_nothing_but_what_is_required_is_answered_with_every_key() {
    let app = TestApp::start().await;
    let answer = app.post(&json!([order("1")])).await;
    insta::assert_snapshot!(without_created_at(&answer, "1"));
}

#[tokio::test]
async fn what_the_receiver_owns_is_in_the_answer() {
    let app = TestApp::start().await;
    app.run(OWNED).await;
    let mut example = example_request();
    example[0]["shipping_address"]["user_address_id"] = json!(2647);
    example[0]["client"]["addresses"] = json!([]);
    let answer = app.post(&example).await;
    insta::assert_snapshot!(without_created_at(&answer, EXAMPLE));
}

#[tokio::test]
async fn the_keys_stand_in_the_documents_order_with_payment_status_after_payment_type() {
    let app = TestApp::start().await;
    app.run(OWNED).await;
    let answer = app.post(&example_request()).await;
    let document = include_str!("../data/example-response.json");
    let at = |text, pointer: &str| {
        raw::keys(raw::at(text, &format!("/data/{EXAMPLE}/data/0{pointer}")).unwrap())
    };
    let mut keys = at(document, "");
    let place = keys.iter().position(|key| key == "payment_type").unwrap();
    keys.insert(place + 1, "payment_status".into());
    assert_eq!(at(&answer.text, ""), keys);
    for pointer in [
        "/client",
        "/client/addresses/0",
        "/client/requisites",
        "/client/requisites/bank_account",
        "/client/product_price_list/36",
        "/order_item_list/0",
    ] {
        assert_eq!(
            at(&answer.text, pointer),
            at(document, pointer),
            "{pointer}"
        );
    }
    let mut keys = at(document, "/client/addresses/0");
    keys.insert(1, "user_address_id".into());
    assert_eq!(at(&answer.text, "/shipping_address"), keys);
}

#[tokio::test]
async fn the_orders_number_is_a_text_and_a_clients_and_an_addresses_are_integers() {
    let app = TestApp::start().await;
    let sent = changed(
        order("1"),
        "/client/addresses",
        json!([{ "id": 7, "city": "Эжва", "street": "Мира", "house": "1", "str": "Мира, 1" }]),
    );
    let answer = app.accept(&sent).await;
    assert!(answer["id"].as_str().unwrap().parse::<i32>().unwrap() > 0);
    assert_eq!(answer["external_id"], "1");
    assert!(answer["client"]["id"].is_i64());
    assert_eq!(answer["client"]["external_id"], "client of 1");
    assert!(answer["client"]["addresses"][0]["id"].is_i64());
    assert_eq!(answer["client"]["addresses"][0]["external_id"], "7");
    assert!(answer["shipping_address"]["id"].is_i64());
    assert!(answer["shipping_address"]["user_address_id"].is_i64());
}

#[tokio::test]
async fn a_new_client_without_an_account_number_gets_its_own_number_as_account_number() {
    let app = TestApp::start().await;
    let with = |id: &str, client: Value| changed(order(id), "/client", client);
    let answer = app
        .post(&json!([
            with("none", json!({ "id": "a", "username": "А" })),
            with(
                "null",
                json!({ "id": "b", "username": "Б", "account_number": null })
            ),
            guest_order("guest", "9191991919"),
            with("number", json!({ "external_id": 500, "username": "В" })),
            with(
                "own",
                json!({ "id": "c", "username": "Г", "account_number": "77" })
            ),
        ]))
        .await;
    for id in ["none", "null", "guest", "number"] {
        let order = answer.order(id);
        assert_eq!(
            order["client"]["account_number"], order["client"]["id"],
            "{id}"
        );
        assert_eq!(order["account_number"], order["client"]["id"], "{id}");
    }
    assert_eq!(answer.order("number")["account_number"], 500);
    assert_eq!(answer.order("own")["account_number"], 77);
    assert_eq!(answer.order("own")["client"]["account_number"], 77);
}

#[tokio::test]
async fn an_order_without_created_at_has_the_moment_of_its_first_intake_and_keeps_it() {
    let app = TestApp::start().await;
    let first = app.accept(&order("1")).await["created_at"].clone();
    let (stored, received): (chrono::DateTime<chrono::Utc>, chrono::DateTime<chrono::Utc>) =
        sqlx::query_as("SELECT o.created_at, j.received_at FROM orders o, journal_batch j")
            .fetch_one(&app.pool())
            .await
            .unwrap();
    assert_eq!(stored, received);
    let moscow = chrono::FixedOffset::east_opt(3 * 3600).unwrap();
    let local = stored.with_timezone(&moscow).format("%Y-%m-%d %H:%M:%S");
    assert_eq!(first, local.to_string());

    app.run("UPDATE orders SET created_at = '2020-02-29T20:59:59.5Z'")
        .await;
    for again in [
        order("1"),
        changed(order("1"), "/created_at", Value::Null),
        changed(order("1"), "/total", json!(5)),
    ] {
        assert_eq!(
            app.accept(&again).await["created_at"],
            "2020-02-29 23:59:59"
        );
    }
    let sent = changed(order("1"), "/created_at", json!("2021-01-01T00:00:00Z"));
    assert_eq!(app.accept(&sent).await["created_at"], "2021-01-01 03:00:00");
    assert_eq!(
        app.accept(&order("1")).await["created_at"],
        "2021-01-01 03:00:00"
    );
}

#[tokio::test]
async fn an_addresss_name_is_composed_of_the_parts_that_are_there() {
    let app = TestApp::start().await;
    app.run("INSERT INTO district VALUES ('demodelivery', 7, 'Орбита')")
        .await;
    let parts = [
        ("floor", "эт. 1"),
        ("room", "кв./оф. 2"),
        ("entrance", "под. 3"),
    ];
    let mut orders = Vec::new();
    let mut names = Vec::new();
    for set in 0..8 {
        let mut order = order(&format!("order {set}"));
        let mut name = "Кутузова, д. 21".to_owned();
        order["shipping_address"]["house"] = json!("21");
        for (bit, (field, text)) in parts.iter().enumerate() {
            if set & (1 << bit) != 0 {
                order["shipping_address"][*field] = json!(text.rsplit_once(' ').unwrap().1);
                name = format!("{name}, {text}");
            }
        }
        orders.push(order);
        names.push(format!("{name}, г. Сыктывкар"));
    }
    let batch = Value::Array(orders);
    for district in ["", " – Орбита"] {
        let answer = app.post(&batch).await;
        for (id, name) in names.iter().enumerate() {
            let order = answer.order(&format!("order {id}"));
            let name = format!("{name}{district}");
            assert_eq!(order["shipping_address"]["name"], name);
            assert_eq!(order["client"]["addresses"][0]["name"], name);
            let number = if district.is_empty() {
                Value::Null
            } else {
                json!(7)
            };
            assert_eq!(order["shipping_address"]["district_id"], number);
        }
        // An operator puts them all into a district.
        app.run("UPDATE address SET district_number = 7").await;
    }
    assert_eq!(
        names[7],
        "Кутузова, д. 21, эт. 1, кв./оф. 2, под. 3, г. Сыктывкар"
    );
}

#[tokio::test]
async fn phones_leave_as_ten_national_digits_where_they_are_russian_else_in_e164_the_main_one_first()
 {
    let app = TestApp::start().await;
    let mut sent = order("1");
    sent["client"]["phone"] = json!("+44 20 7946-0958");
    sent["client"]["phones"] = json!([
        "+7 (908) 328-08-32",
        "+77011234567",
        "+442079460958",
        "88005553535",
        "+375291234567"
    ]);
    let left = json!([
        "+442079460958",
        "9083280832",
        "+77011234567",
        "8005553535",
        "+375291234567"
    ]);
    let answer = app.accept(&sent).await;
    assert_eq!(answer["client"]["phones"], left);
    // What we answer comes in again.
    sent["client"]["phones"] = left.clone();
    sent["client"].as_object_mut().unwrap().remove("phone");
    assert_eq!(app.accept(&sent).await["client"]["phones"], left);
    let stored: Vec<String> = app.value("SELECT phones FROM client").await;
    assert_eq!(stored[1], "+79083280832");

    let app =
        TestApp::with(|config| config.publications[0].rules.phone_region = Region::International)
            .await;
    sent["client"]["phones"] = json!(["+79083280832"]);
    assert_eq!(
        app.accept(&sent).await["client"]["phones"],
        json!(["+79083280832"])
    );
    let bare = changed(sent, "/client/phones", json!(["9083280832"]));
    assert_eq!(
        app.post(&json!([bare])).await.warnings("1"),
        [
            "client.phones[0]: invalid_format",
            "order_item_list[0].product_id: product_not_found"
        ]
    );
}

#[tokio::test]
async fn the_shipping_address_is_an_address_of_the_client_with_its_number_as_user_address_id_too() {
    let app = TestApp::start().await;
    let mut sent = order("1");
    sent["client"]["addresses"] = json!([
        { "id": "dacha", "city": "Эжва", "street": "Мира", "house": "1", "str": "Мира, 1" },
        { "id": "home", "city": "Сыктывкар", "street": "Кутузова", "house": "19",
          "str": "город Сыктывкар улица Кутузова дом 19" }
    ]);
    let answer = app.accept(&sent).await;
    let addresses = answer["client"]["addresses"].as_array().unwrap();
    assert_eq!(addresses.len(), 2);
    // The same content: the same address.
    let mut shipping = answer["shipping_address"].clone();
    let number = shipping
        .as_object_mut()
        .unwrap()
        .remove("user_address_id")
        .unwrap();
    assert_eq!(shipping, addresses[1]);
    assert_eq!(number, addresses[1]["id"]);
    assert!(
        addresses
            .iter()
            .all(|address| address.get("user_address_id").is_none())
    );

    // By its number alone the other one, whatever content comes with it.
    sent["shipping_address"]["user_address_id"] = addresses[0]["id"].clone();
    let answer = app.accept(&sent).await;
    assert_eq!(
        answer["shipping_address"]["user_address_id"],
        addresses[0]["id"]
    );
    assert_eq!(answer["shipping_address"]["external_id"], "dacha");
}

#[tokio::test]
async fn the_price_list_is_by_product_number_with_prices_as_texts() {
    let app = TestApp::start().await;
    app.run(OWNED).await;
    let sent = changed(order("1"), "/client", json!({ "external_id": 68 }));
    let answer = app.post(&json!([sent])).await;
    let list = raw::at(&answer.text, "/data/1/data/0/client/product_price_list").unwrap();
    assert_eq!(
        list,
        "{\"4\":{\"product_id\":4,\"external_product_id\":\"cup\",\"price\":\"0.50\",\"active\":true},\
         \"36\":{\"product_id\":36,\"external_product_id\":null,\"price\":\"101.00\",\"active\":false}}"
    );
}

#[tokio::test]
async fn whole_amounts_leave_as_whole_numbers_and_others_with_the_digits_they_have() {
    let app = TestApp::start().await;
    app.run(OWNED).await;
    let sent = raw::set(order("1"), "/client", r#"{"external_id":68}"#)
        .replacen('{', r#"{"delivery_cost":"30.00","coins":1e2,"#, 1)
        .replace(r#""total":710"#, r#""total":9999999999.99"#)
        .replace(r#""355.00""#, "0.10");
    let texts = |answer: &Answer| {
        [
            "/total",
            "/delivery_cost",
            "/coins",
            "/order_item_list/0/price",
            "/client/coins_amount",
        ]
        .map(|pointer| {
            raw::at(&answer.text, &format!("/data/1/data/0{pointer}"))
                .unwrap()
                .to_owned()
        })
    };
    // From memory the first time, from the database the second.
    for _ in 0..2 {
        let answer = Answer::of(app.request().body(raw::batch(&[&sent]))).await;
        assert_eq!(
            texts(&answer),
            ["9999999999.99", "30", "100", "0.1", "90.5"]
        );
    }
}

#[tokio::test]
async fn loyalty_is_the_clients_own_setting_else_the_publications() {
    for active in [true, false] {
        let app =
            TestApp::with(|config| config.publications[0].rules.loyalty_system_is_active = active)
                .await;
        app.run(OWNED).await;
        let of_1c = changed(order("of 1C"), "/client", json!({ "external_id": 68 }));
        let answer = app.post(&json!([order("new"), of_1c])).await;
        assert_eq!(
            answer.order("new")["client"]["loyalty_system_is_active"],
            active
        );
        assert_eq!(
            answer.order("of 1C")["client"]["loyalty_system_is_active"],
            false
        );
    }
}

#[tokio::test]
async fn a_lines_product_is_our_number_or_null_and_its_name_is_as_sent() {
    let app = TestApp::start().await;
    app.run(OWNED).await;
    let mut sent = order("1");
    sent["order_item_list"] = json!([
        { "product_id": "cup", "name": "Стаканчик", "price": 1, "quantity": 3, "order_product_id": 9 },
        { "product_id": "nothing", "name": "Ничто", "price": 2.5, "quantity": 1 },
        { "product_id": "cup", "price": 0, "quantity": 2 },
    ]);
    let answer = app.accept(&sent).await;
    assert_eq!(
        answer["order_item_list"],
        json!([
            { "name": "Стаканчик", "quantity": 3, "price": 1, "product_id": 4, "order_product_id": 9 },
            { "name": "Ничто", "quantity": 1, "price": 2.5, "product_id": null, "order_product_id": null },
            { "name": null, "quantity": 2, "price": 0, "product_id": 4, "order_product_id": null },
        ])
    );
}

#[tokio::test]
async fn the_answer_to_an_order_sent_again_is_the_same_text() {
    let app = TestApp::start().await;
    app.run(OWNED).await;
    let mut rich = example_request()[0].clone();
    rich["ask_for_checkout"] = json!("bill");
    rich["payment_status"] = json!("1");
    rich["client"]["phone"] = json!("89083280832");
    let batch = json!([rich, order("2"), guest_order("3", "+44 20 7946-0958")]);
    let first = app.post(&batch).await;
    let again = app.post(&batch).await;
    assert_eq!(first.text, again.text);
    // Another instance has nothing in its memory.
    let other = TestApp::beside(app.database.clone(), |_| ()).await;
    assert_eq!(other.post(&batch).await.text, first.text);
}
