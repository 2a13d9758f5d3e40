//! The console's unknown products (contract §9): an id of the sender's gets a product, and the lines that wait for it are filled.

use aqua_orders::store::console::{Act, Change};
use serde_json::{Value, json};

use crate::support::{
    app::{TestApp, changed, order},
    console::{Browser, Seen, operators},
};

const BASE: &str = "/console/p/demodelivery";
const LIST: &str = "/console/p/demodelivery/unmatched";
const MATCH: &str = "/console/p/demodelivery/unmatched/match";
const FILL: &str = "/console/p/demodelivery/unmatched/fill";
const LEAVE: &str = "/console/p/demodelivery/unmatched/leave_empty";
const TAKE_BACK: &str = "/console/p/demodelivery/unmatched/take_back";

async fn with_catalogue() -> TestApp {
    let app = TestApp::with(operators).await;
    app.run(
        "INSERT INTO product (publication, number, name, active) VALUES
             ('demodelivery', 1, 'Вода питьевая 19 л', true),
             ('demodelivery', 2, 'Помпа механическая', true),
             ('demodelivery', 3, 'Кулер напольный', false);
         INSERT INTO product_sender_id VALUES ('demodelivery', 'known', 1)",
    )
    .await;
    app
}

/// An order with a line for each of these ids.
fn with_lines(id: &str, products: &[(&str, &str)]) -> Value {
    let lines = products.iter().map(
        |(product, name)| json!({ "product_id": product, "name": name, "price": 1, "quantity": 1 }),
    );
    changed(order(id), "/order_item_list", lines.collect::<Value>())
}

/// The rows of the list: ids with their numbers of lines.
fn rows(list: &Seen) -> Vec<String> {
    let Some((_, table)) = list.text.split_once("class=\"list unmatched\"") else {
        return Vec::new();
    };
    let table = table.split("</table>").next().unwrap();
    let rows = table.split("<th scope=\"row\">").skip(1);
    rows.map(|row| {
        let id = row.split('>').nth(1).unwrap().split('<').next().unwrap();
        let (_, lines) = row.split_once("class=\"number\">").unwrap();
        format!("{id} {}", lines.split('<').next().unwrap())
    })
    .collect()
}

async fn lines_of(app: &TestApp, id: &str) -> Vec<String> {
    app.values(format!(
        "SELECT concat_ws(' ', o.sender_id, coalesce(i.product_number::text, '-'), 'v' || o.version)
         FROM order_item i JOIN orders o ON o.publication = i.publication AND o.number = i.order_number
         WHERE i.product_id = '{id}' ORDER BY o.sender_id, i.position"
    ))
    .await
}

#[tokio::test]
async fn an_unknown_product_is_matched_and_its_lines_of_open_orders_are_filled() {
    let app = with_catalogue().await;
    let (water, pump) = (("water 19л", "Вода питьевая, 19л"), ("pump", "Помпа"));
    app.post(&json!([
        with_lines("A", &[water, ("known", "Вода"), water]),
        with_lines("B", &[water, pump]),
        changed(with_lines("C", &[water]), "/status", "completed"),
        with_lines("D", &[pump]),
    ]))
    .await;
    // Who gets an order's changes sees what it was filled with.
    app.run("UPDATE feed SET position = order_number, placed_version = version")
        .await;
    let mut browser = Browser::of(&app, "Анна").await;
    let list = browser.get(LIST).await;
    assert_eq!(rows(&list), ["water 19л 3", "pump 2"]);
    assert!(list.shows("Вода питьевая, 19л"));
    let href = format!("{LIST}/product?id=water%2019%D0%BB");
    assert!(list.text.contains(&href), "{}", list.text);
    assert!(list.text.contains(&format!(
        "{LIST}\" aria-current=\"page\">Неизвестные товары <span class=\"count\">2</span>"
    )));

    let page = browser.get(&href).await;
    assert!(page.shows("3 строки в 2 открытых заказах"), "{}", page.text);
    let (_, suggested) = page.text.split_once("id=\"products\"").unwrap();
    let first = suggested.find("Вода питьевая 19 л").unwrap();
    assert!(suggested.find("Помпа").is_none_or(|other| first < other));
    let preview = browser.get(&format!("{href}&product=1")).await;
    assert!(preview.shows("3 строки в 2 открытых заказах"));
    assert!(preview.shows("Сопоставить и заполнить"));
    assert_eq!(app.count("product_sender_id").await, 1, "it is a preview");

    let form = [("id", "water 19л"), ("product", "1")];
    let done = browser.post_and_follow(MATCH, &form).await;
    assert!(done.shows("Готово. Заполнено строк: 3."), "{}", done.text);
    assert!(done.shows("Вода питьевая 19 л"));
    assert_eq!(
        lines_of(&app, "water 19л").await,
        ["A 1 v2", "A 1 v2", "B 1 v2", "C - v1"]
    );
    assert_eq!(rows(&browser.get(LIST).await), ["pump 2"]);
    let changes: Vec<Value> = app
        .values("SELECT changes FROM journal_change WHERE login = 'Анна' ORDER BY order_number")
        .await;
    assert_eq!(
        changes,
        [
            json!({ "order_item_list[0].product": [null, 1], "order_item_list[2].product": [null, 1] }),
            json!({ "order_item_list[0].product": [null, 1] }),
        ]
    );
    let feed: Vec<String> = app
        .values(
            "SELECT concat_ws(' ', o.sender_id, f.changed_by, f.by_operator, f.version, f.position IS NULL)
             FROM feed f JOIN orders o ON o.publication = f.publication AND o.number = f.order_number ORDER BY o.sender_id",
        )
        .await;
    assert_eq!(
        feed,
        [
            "A operator 2 2 t",
            "B operator 2 2 t",
            "C sender 0 1 f",
            "D sender 0 1 f"
        ]
    );
    let actions: Vec<String> = app
        .values("SELECT concat_ws(' ', login, kind, details) FROM operator_action ORDER BY made_at, kind DESC")
        .await;
    assert_eq!(
        actions,
        [
            r#"Анна match {"product": 1, "product_id": "water 19л"}"#,
            r#"Анна fill {"lines": 3, "orders": 2, "product": 1, "product_id": "water 19л"}"#,
        ]
    );
    let number: i32 = app
        .value("SELECT number FROM orders WHERE sender_id = 'B'")
        .await;
    let history = browser.get(&format!("{BASE}/orders/{number}")).await;
    assert!(history.shows("Строка 1, Товар: – → 1") && history.shows("Анна"));

    // The second click of two, and a new order.
    let done = browser.post_and_follow(MATCH, &form).await;
    assert!(done.shows("Готово. Заполнено строк: 0."));
    assert_eq!(app.count("operator_action").await, 2);
    app.accept(&with_lines("E", &[water])).await;
    assert_eq!(lines_of(&app, "water 19л").await[4], "E 1 v1");
    // What comes again as it was changes nothing.
    app.accept(&with_lines("B", &[water, pump])).await;
    assert_eq!(lines_of(&app, "water 19л").await[2], "B 1 v2");
}

#[tokio::test]
async fn filling_is_stopped_and_goes_on_where_it_was() {
    let app = with_catalogue().await;
    for batch in 0..7 {
        let orders = (0..100).map(|n| with_lines(&format!("o{batch}-{n}"), &[("many", "Много")]));
        let posted = app.post(&orders.collect::<Value>()).await;
        assert_eq!(posted.status, 200);
    }
    app.run("INSERT INTO product_sender_id VALUES ('demodelivery', 'many', 2)")
        .await;
    let store = app.console_store();
    let fill = async |product, below| {
        let by = Act::of("Анна");
        store
            .fill_lines("demodelivery", "many", Change::Fill(product), below, by)
            .await
            .unwrap()
    };
    assert_eq!(fill(1, None).await, None, "it means another product");
    let step = fill(2, None).await.unwrap();
    assert_eq!((step.lines, step.orders), (500, 500));
    assert!(step.below.is_some());
    let empty = "SELECT count(*) FROM order_item WHERE product_number IS NULL";
    assert_eq!(app.value::<i64>(empty).await, 200);
    // Whoever comes later sees what is left.
    let mut browser = Browser::of(&app, "Анна").await;
    let list = browser.get(LIST).await;
    assert_eq!(rows(&list), ["many 100+"]);
    assert!(list.shows("Заполнить строки (2)"));
    let page = browser.get(&format!("{LIST}/product?id=many")).await;
    assert!(page.shows("200 строк в 200 открытых заказах"));
    // A page that was told to go on from there tells how far it is, and has both ways.
    let below = step.below.unwrap();
    let page = browser
        .get(&format!("{LIST}/product?id=many&filled=500&below={below}"))
        .await;
    assert!(page.shows("Заполнено строк:") && page.shows("500"));
    assert!(page.shows("Продолжить") && page.shows("Остановить"));
    let below = page.field("below");
    let form = [
        ("id", "many"),
        ("product", "2"),
        ("filled", "500"),
        ("below", &*below),
    ];
    let done = browser.post_and_follow(FILL, &form).await;
    assert!(done.shows("Готово. Заполнено строк: 700."), "{}", done.text);
    assert_eq!(app.value::<i64>(empty).await, 0);
    let versions: Vec<i32> = app.values("SELECT DISTINCT version FROM orders").await;
    assert_eq!(versions, [2]);
    assert_eq!(app.count("journal_change").await, 700);
    let lines =
        "SELECT sum((details->>'lines')::int)::bigint FROM operator_action WHERE kind = 'fill'";
    assert_eq!(app.value::<i64>(lines).await, 700);
    store.close().await;
}

#[tokio::test]
async fn orders_that_come_while_lines_are_filled_lose_nothing() {
    let app = with_catalogue().await;
    let sent = |total: u32| {
        let orders = (0..50).map(|n| {
            changed(
                with_lines(&format!("o{n}"), &[("many", "Много")]),
                "/total",
                total,
            )
        });
        orders.collect::<Value>()
    };
    app.post(&sent(1)).await;
    app.run("INSERT INTO product_sender_id VALUES ('demodelivery', 'many', 2)")
        .await;
    let store = app.console_store();
    let fill = async {
        let by = Act::of("Анна");
        // Whoever is overtaken comes again, as the page does.
        for _ in 0..20 {
            let filled = store.fill_lines("demodelivery", "many", Change::Fill(2), None, by);
            if filled.await.is_ok() {
                return;
            }
        }
        panic!("it was overtaken all the time");
    };
    let again = sent(2);
    let ((), posted) = tokio::join!(fill, app.post(&again));
    assert_eq!(posted.status, 200);
    for n in 0..50 {
        posted.order(&format!("o{n}"));
    }
    let left: Vec<String> = app
        .values(
            "SELECT DISTINCT concat_ws(' ', o.total, i.product_number) FROM orders o
             JOIN order_item i ON i.publication = o.publication AND i.order_number = o.number",
        )
        .await;
    assert_eq!(left, ["2.00 2"]);
    // Each version has its change.
    let lost = "SELECT count(*) FROM orders o
                WHERE o.version - 1 <> (
                    SELECT count(*) FROM journal_change c WHERE c.publication = o.publication AND c.order_number = o.number)";
    assert_eq!(app.value::<i64>(lost).await, 0);
    store.close().await;
}

#[tokio::test]
async fn a_product_is_found_by_words_and_by_number() {
    let app = with_catalogue().await;
    app.accept(&with_lines("A", &[("x-7", "Нечто")])).await;
    let mut browser = Browser::of(&app, "Анна").await;
    let page = format!("{LIST}/product?id=x%2D7");
    let seen = browser.get(&page).await;
    assert!(seen.shows("Похожих товаров нет"), "{}", seen.text);
    for (typed, found, other) in [
        (
            "%D0%BF%D0%BE%D0%BC%D0%BF%D1%83",
            "Помпа механическая",
            "Вода",
        ),
        ("3", "Кулер напольный", "Помпа"),
    ] {
        let seen = browser.get(&format!("{page}&q={typed}")).await;
        assert!(seen.shows(found) && !seen.shows(other), "{typed}");
    }
    let seen = browser.get(&format!("{page}&q=3")).await;
    assert!(seen.shows("не продаётся"));
    assert!(
        browser
            .get(&format!("{page}&product=99"))
            .await
            .shows("Какой это товар?")
    );
}

#[tokio::test]
async fn an_id_that_was_matched_meanwhile_and_a_product_that_is_none_change_nothing() {
    let app = with_catalogue().await;
    app.accept(&with_lines("A", &[("x-7", "Нечто")])).await;
    let mut browser = Browser::of(&app, "Анна").await;
    let unknown = [("id", "x-7"), ("product", "99")];
    let seen = browser.post(MATCH, &unknown).await;
    assert_eq!(seen.status, 409);
    assert!(seen.shows("Такого товара нет в справочнике."));
    app.run("INSERT INTO product_sender_id VALUES ('demodelivery', 'x-7', 2)")
        .await;
    let seen = browser
        .post(MATCH, &[("id", "x-7"), ("product", "1")])
        .await;
    assert_eq!(seen.status, 409);
    assert!(seen.shows("этому номеру дали другой товар") && seen.shows("Помпа"));
    let seen = browser.post(FILL, &[("id", "x-7"), ("product", "1")]).await;
    assert_eq!(seen.status, 409);
    assert_eq!(lines_of(&app, "x-7").await, ["A - v1"]);
    assert_eq!(app.count("operator_action").await, 0);
    // It means a product, and its line is filled with that.
    let seen = browser.get(&format!("{LIST}/product?id=x%2D7")).await;
    assert!(seen.shows("Заполнить строки открытых заказов"));
    let form = [("id", "x-7"), ("product", "2")];
    browser.post_and_follow(FILL, &form).await;
    assert_eq!(lines_of(&app, "x-7").await, ["A 2 v2"]);
}

#[tokio::test]
async fn the_number_beside_the_list_counts_what_waits_however_many_old_ids_there_are() {
    let app = with_catalogue().await;
    let old = (0..250).map(|n| {
        let line = [(&*format!("old {n:03}"), "Снят с продажи")];
        changed(with_lines(&format!("o{n}"), &line), "/status", "completed")
    });
    app.post(&old.collect::<Value>()).await;
    app.post(&json!([
        with_lines("A", &[("pump", "Помпа"), ("pump", "Помпа")]),
        with_lines("B", &[("pump", "Помпа"), ("pipe", "Шланг")]),
    ]))
    .await;
    let mut browser = Browser::of(&app, "Анна").await;
    let seen = browser.get(&format!("{BASE}/orders")).await;
    let number = "Неизвестные товары <span class=\"count\">2</span>";
    assert!(seen.text.contains(number), "{}", seen.text);
}

#[tokio::test]
async fn an_id_that_is_empty_on_purpose_is_not_asked_about() {
    let app = with_catalogue().await;
    let delivery = ("delivery", "Доставка");
    app.post(&json!([
        with_lines("A", &[delivery]),
        with_lines("B", &[("x", "Х")])
    ]))
    .await;
    let mut browser = Browser::of(&app, "Анна").await;
    let form = [("id", "delivery"), ("leave", "1")];
    let done = browser.post_and_follow(LEAVE, &form).await;
    assert!(done.shows("Этот номер больше не спрашивается."));
    assert_eq!(rows(&done), ["x 1"]);
    assert!(done.shows("Пустые намеренно") && done.shows("delivery"));
    assert_eq!(browser.post(LEAVE, &form).await.status, 303);
    let back = [("id", "delivery"), ("leave", "")];
    let done = browser.post_and_follow(LEAVE, &back).await;
    assert_eq!(rows(&done).len(), 2);
    let actions: Vec<String> = app
        .values("SELECT kind FROM operator_action ORDER BY made_at")
        .await;
    assert_eq!(actions, ["leave_empty", "ask_again"]);
    assert_eq!(lines_of(&app, "delivery").await, ["A - v1"]);
}

#[tokio::test]
async fn unknown_products_are_their_publications_alone_and_shown_as_text() {
    let app = with_catalogue().await;
    let theirs = "/%D0%B4%D0%BE%D1%81%D1%82%D0%B0%D0%B2%D0%BA%D0%B0/hs/AquaDeliveri/getOrdersURL";
    app.post_to(theirs, &json!([with_lines("A", &[("theirs", "Чужое")])]))
        .await;
    let nasty = "<script>alert(1)</script>\u{202e}x";
    app.accept(&with_lines("A", &[(nasty, nasty)])).await;
    app.run("UPDATE product SET name = '<script>alert(2)</script>' WHERE number = 2")
        .await;
    let their_base = "/console/p/%D0%B4%D0%BE%D1%81%D1%82%D0%B0%D0%B2%D0%BA%D0%B0/unmatched";
    let mut anna = Browser::of(&app, "Анна").await;
    for path in ["", "/product?id=theirs"] {
        assert_eq!(anna.get(&format!("{their_base}{path}")).await.status, 404);
    }
    assert_eq!(
        anna.get(&format!("{LIST}/product?id=theirs")).await.status,
        404
    );
    let form = [("id", "theirs"), ("product", "1"), ("leave", "1")];
    for action in ["match", "leave_empty"] {
        for base in [their_base, LIST] {
            let seen = anna.post(&format!("{base}/{action}"), &form).await;
            assert_eq!(seen.status, 404, "{base}/{action}");
        }
        let request = anna.form(&format!("{LIST}/{action}"), &form);
        assert_eq!(anna.see(request).await.status, 403);
    }
    let seen = anna.post(&format!("{their_base}/fill"), &form).await;
    assert_eq!(seen.status, 404);
    assert_eq!(app.count("operator_action").await, 0);

    let list = anna.get(LIST).await;
    let (_, href) = list
        .text
        .split_once("<th scope=\"row\"><a href=\"")
        .unwrap();
    let page = href.split('"').next().unwrap().to_owned();
    let seen = anna.get(&page).await;
    let preview = anna.get(&format!("{page}&product=2")).await;
    let searched = anna
        .get(&format!("{page}&q=%3Cscript%3Ealert%281%29"))
        .await;
    for seen in [&list, &seen, &preview, &searched] {
        assert_eq!(seen.status, 200);
        for harm in ["<script>alert", "\u{202e}"] {
            assert!(!seen.text.contains(harm), "{harm} in {}", seen.text);
        }
    }
    assert!(list.shows("<script>alert(1)</script>[U+202E]x"));
    assert!(preview.shows("<script>alert(2)</script>"));
    // Its form names the very id.
    let done = anna
        .post_and_follow(MATCH, &[("id", nasty), ("product", "2")])
        .await;
    assert!(done.shows("Готово. Заполнено строк: 1."));
}

#[tokio::test]
async fn a_match_is_taken_back_and_its_lines_of_open_orders_are_empty_again() {
    let app = with_catalogue().await;
    let water = ("water 19л", "Вода питьевая, 19л");
    app.post(&json!([
        with_lines("A", &[water, ("known", "Вода"), water]),
        with_lines("B", &[water]),
        with_lines("C", &[water]),
        with_lines("D", &[water]),
    ]))
    .await;
    let mut browser = Browser::of(&app, "Анна").await;
    let wrong = [("id", "water 19л"), ("product", "2")];
    browser.post_and_follow(MATCH, &wrong).await;
    // One came since; one is finished; and of one somebody gave the line another product.
    app.accept(&with_lines("E", &[water])).await;
    app.run(
        "UPDATE orders SET status = 'completed' WHERE sender_id = 'C';
         UPDATE order_item SET product_number = 3
         WHERE order_number = (SELECT number FROM orders WHERE sender_id = 'D');
         UPDATE feed SET position = order_number, placed_version = version",
    )
    .await;
    let list = browser.get(LIST).await;
    assert!(list.shows("Сопоставленные") && list.shows("2 Помпа механическая"));
    let href = format!("{LIST}/product?id=water%2019%D0%BB");
    assert!(
        list.text.contains(&format!("{href}&#38;back=2\"")),
        "{}",
        list.text
    );
    let page = browser.get(&href).await;
    assert!(
        page.shows("Отменить сопоставление") && page.shows("Анна, "),
        "{}",
        page.text
    );
    let preview = browser.get(&format!("{href}&back=2")).await;
    assert!(
        preview.shows("4 строки в 3 открытых заказах"),
        "{}",
        preview.text
    );
    assert!(preview.shows("Отменить и очистить строки"));
    assert_eq!(app.count("product_sender_id").await, 2, "it is a preview");

    let done = browser.post_and_follow(TAKE_BACK, &wrong).await;
    assert!(
        done.shows("Сопоставление отменено. Очищено строк: 4."),
        "{}",
        done.text
    );
    assert_eq!(
        lines_of(&app, "water 19л").await,
        ["A - v3", "A - v3", "B - v3", "C 2 v2", "D 3 v2", "E - v2"]
    );
    assert_eq!(rows(&done), ["water 19л 4"]);
    assert!(!done.shows("Сопоставленные"));
    assert_eq!(app.count("product_match").await, 0);
    let ids: Vec<String> = app.values("SELECT sender_id FROM product_sender_id").await;
    assert_eq!(ids, ["known"]);
    let changes: Vec<Value> = app
        .values(
            "SELECT changes FROM journal_change c JOIN orders o ON o.publication = c.publication AND o.number = c.order_number
             WHERE o.sender_id = 'A' AND c.login = 'Анна' ORDER BY c.version DESC LIMIT 1",
        )
        .await;
    assert_eq!(
        changes,
        [
            json!({ "order_item_list[0].product": [2, null], "order_item_list[2].product": [2, null] })
        ]
    );
    let feed: Vec<String> = app
        .values(
            "SELECT concat_ws(' ', o.sender_id, f.changed_by, f.version, f.position IS NULL)
             FROM feed f JOIN orders o ON o.publication = f.publication AND o.number = f.order_number
             WHERE f.position IS NULL ORDER BY o.sender_id",
        )
        .await;
    assert_eq!(feed, ["A operator 3 t", "B operator 3 t", "E operator 2 t"]);
    let actions: Vec<String> = app
        .values("SELECT concat_ws(' ', login, kind, details) FROM operator_action ORDER BY action DESC LIMIT 2")
        .await;
    assert_eq!(
        actions,
        [
            r#"Анна empty {"lines": 4, "orders": 3, "product": 2, "product_id": "water 19л"}"#,
            r#"Анна take_back {"product": 2, "product_id": "water 19л"}"#,
        ]
    );
    let number: i32 = app
        .value("SELECT number FROM orders WHERE sender_id = 'B'")
        .await;
    let history = browser.get(&format!("{BASE}/orders/{number}")).await;
    assert!(
        history.shows("Строка 1, Товар: 2 Помпа механическая → –"),
        "{}",
        history.text
    );
    let mut boss = Browser::of(&app, "boss").await;
    let journal = boss.get(&format!("{BASE}/actions")).await;
    assert!(
        journal.shows("строки очищены")
            && journal.shows("water 19л → 2 Помпа механическая, строк: 4")
    );

    // The second click of two, and the right product.
    let again = browser.post_and_follow(TAKE_BACK, &wrong).await;
    assert!(again.shows("Отменять нечего"), "{}", again.text);
    let right = [("id", "water 19л"), ("product", "1")];
    let done = browser.post_and_follow(MATCH, &right).await;
    assert!(done.shows("Готово. Заполнено строк: 4."), "{}", done.text);
    assert_eq!(lines_of(&app, "water 19л").await[0], "A 1 v4");
}

#[tokio::test]
async fn taking_a_match_back_is_stopped_and_goes_on_where_it_was() {
    let app = with_catalogue().await;
    for batch in 0..7 {
        let orders = (0..100).map(|n| with_lines(&format!("o{batch}-{n}"), &[("many", "Много")]));
        assert_eq!(app.post(&orders.collect::<Value>()).await.status, 200);
    }
    let mut browser = Browser::of(&app, "Анна").await;
    let form = [("id", "many"), ("product", "2")];
    browser.post_and_follow(MATCH, &form).await;
    // As if the first click had ended behind the match itself.
    app.run(
        "UPDATE product_match SET taken_back = true; DELETE FROM product_sender_id WHERE sender_id = 'many'",
    )
    .await;
    let store = app.console_store();
    let empty = async |below| {
        let by = Act::of("Анна");
        store
            .fill_lines("demodelivery", "many", Change::Empty(2), below, by)
            .await
            .unwrap()
    };
    let step = empty(None).await.unwrap();
    assert_eq!((step.lines, step.orders), (500, 500));
    let below = step.below.unwrap().to_string();
    // Whoever comes later sees that there is something left, also on the list.
    let list = browser.get(LIST).await;
    assert!(
        list.shows("Сопоставленные") && list.shows("Продолжить"),
        "{}",
        list.text
    );
    let href = format!("{LIST}/product?id=many");
    let page = browser.get(&href).await;
    assert!(page.shows("строки очищены не все. Товар:"), "{}", page.text);
    let page = browser
        .get(&format!("{href}&filled=500&below={below}&back=2"))
        .await;
    assert!(
        page.shows("Очищено строк:") && page.shows("500"),
        "{}",
        page.text
    );
    assert!(page.shows("Продолжить") && page.shows("Остановить"));
    let on = [
        ("id", "many"),
        ("product", "2"),
        ("filled", "500"),
        ("below", &*below),
        ("back", "1"),
    ];
    let done = browser.post_and_follow(FILL, &on).await;
    assert!(done.shows("Очищено строк: 700."), "{}", done.text);
    let filled = "SELECT count(*) FROM order_item WHERE product_number IS NOT NULL";
    assert_eq!(app.value::<i64>(filled).await, 0);
    assert_eq!(app.count("product_match").await, 0);
    // Where the id means the product, no line of it is emptied.
    app.run("INSERT INTO product_sender_id VALUES ('demodelivery', 'many', 2)")
        .await;
    assert_eq!(empty(None).await, None);
    store.close().await;
}

#[tokio::test]
async fn only_what_an_operator_chose_is_taken_back() {
    let app = with_catalogue().await;
    app.accept(&with_lines("A", &[("known", "Вода"), ("x-7", "Нечто")]))
        .await;
    let mut browser = Browser::of(&app, "Анна").await;
    // What a file said, another product than was chosen, and an id that nobody knows.
    browser
        .post_and_follow(MATCH, &[("id", "x-7"), ("product", "2")])
        .await;
    let before = (lines_of(&app, "known").await, lines_of(&app, "x-7").await);
    for (id, product) in [("known", "1"), ("x-7", "1"), ("other", "2")] {
        let form = [("id", id), ("product", product)];
        let seen = browser.post_and_follow(TAKE_BACK, &form).await;
        assert!(seen.shows("Отменять нечего"), "{id}: {}", seen.text);
        // Nor are lines emptied that way.
        let form = [("id", id), ("product", product), ("back", "1")];
        let seen = browser.post_and_follow(FILL, &form).await;
        assert!(seen.shows("Отменять нечего"), "{id}: {}", seen.text);
    }
    let after = (lines_of(&app, "known").await, lines_of(&app, "x-7").await);
    assert_eq!(before, after);
    assert_eq!(app.count("product_sender_id").await, 2);
    // A file has it mean another product since: the choice is none any more.
    app.run("UPDATE product_sender_id SET product_number = 3 WHERE sender_id = 'x-7'")
        .await;
    assert!(!browser.get(LIST).await.shows("Сопоставленные"));
    let form = [("id", "x-7"), ("product", "2")];
    let seen = browser.post_and_follow(TAKE_BACK, &form).await;
    assert!(seen.shows("Отменять нечего"), "{}", seen.text);
    let theirs = "/console/p/%D0%B4%D0%BE%D1%81%D1%82%D0%B0%D0%B2%D0%BA%D0%B0/unmatched/take_back";
    assert_eq!(browser.post(theirs, &form).await.status, 404);
    let request = browser.form(TAKE_BACK, &form);
    assert_eq!(browser.see(request).await.status, 403);
}
