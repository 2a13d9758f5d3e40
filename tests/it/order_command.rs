//! `order show` and `order set-status`: what an operator does by hand (contract §5: the receiver owns the status).

use serde_json::json;

use crate::support::{
    app::{TestApp, changed, guest_order, order},
    command::Operator,
};

#[tokio::test]
async fn an_operator_moves_a_status_forward_and_never_back() {
    let app = TestApp::start().await;
    let operator = Operator::of(&app.database);
    operator
        .imported("products", "number;name;sender_ids\n28;Вода;water-19\n")
        .await;
    app.accept(&order("a-1")).await;
    let set =
        async |id: &str, status: &str| operator.run(["order", "set-status", id, status]).await;

    assert_eq!(
        set("a-1", "approved").await.done(),
        "order 1 (a-1): new → approved\n"
    );
    assert_eq!(
        set("1", "approved").await.done(),
        "order 1 (a-1) is approved already\n"
    );
    let said = set("a-1", "new").await.refused();
    assert!(
        said.contains("order 1 (a-1) stays approved: a status only moves forward"),
        "{said}"
    );

    // The site sends its old state again: the content is taken, the status stays.
    let again = changed(order("a-1"), "/comment", "домофон 5");
    let answer = app.post(&json!([again])).await;
    assert_eq!(answer.warnings("a-1"), ["status: status_not_changed"]);
    assert_eq!(answer.order("a-1")["status"], "approved");

    assert_eq!(
        set("1", "completed").await.done(),
        "order 1 (a-1): approved → completed\n"
    );
    for status in ["new", "approved", "removed"] {
        let said = set("a-1", status).await.refused();
        assert!(
            said.contains("order 1 (a-1) stays completed: that is final"),
            "{said}"
        );
    }
    app.accept(&order("a-2")).await;
    assert_eq!(
        set("a-2", "removed").await.done(),
        "order 2 (a-2): new → removed\n"
    );
    assert!(set("a-2", "new").await.refused().contains("that is final"));

    let said = set("a-3", "approved").await.refused();
    assert!(said.contains("demodelivery has no order a-3"), "{said}");
    assert_eq!(set("a-2", "lost").await.code, Some(2));
}

#[tokio::test]
async fn a_status_that_was_set_is_not_lost_among_orders_that_come_in() {
    let app = TestApp::start().await;
    let operator = Operator::of(&app.database);
    app.accept(&order("1-a")).await;
    let sending = async {
        for round in 0..60 {
            let sent = changed(order("1-a"), "/comment", format!("{round}"));
            app.accept(&sent).await;
        }
    };
    let setting = async {
        operator
            .run(["order", "set-status", "1-a", "approved"])
            .await
            .done();
        operator
            .run(["order", "set-status", "1-a", "completed"])
            .await
            .done();
    };
    tokio::join!(sending, setting);
    let answer = app.accept(&order("1-a")).await;
    assert_eq!(answer["status"], "completed");
    assert_eq!(answer["comment"], "59");
}

#[tokio::test]
async fn an_id_that_is_one_orders_id_and_anothers_number_is_asked_back() {
    let app = TestApp::start().await;
    let operator = Operator::of(&app.database);
    app.accept(&order("first")).await;
    app.accept(&order("1")).await;
    let run = async |args: &[&str]| operator.run([&["order"], args].concat()).await;
    let said = run(&["set-status", "1", "approved"]).await.refused();
    assert!(
        said.contains("1 is the sender's id of order number 2 and the number of the order with the sender's id first"),
        "{said}"
    );
    assert!(said.contains("--by sender-id"), "{said}");
    let said = run(&["set-status", "1", "approved", "--by", "sender-id"])
        .await
        .done();
    assert_eq!(said, "order 2 (1): new → approved\n");
    let said = run(&["set-status", "1", "removed", "--by", "number"])
        .await
        .done();
    assert_eq!(said, "order 1 (first): new → removed\n");
    assert!(
        run(&["show", "2", "--by", "sender-id"])
            .await
            .refused()
            .contains("no order 2")
    );

    // An order whose id is its own number is not two.
    app.accept(&order("3")).await;
    assert!(
        run(&["show", "3"])
            .await
            .done()
            .starts_with("order 3 of demodelivery\n")
    );
}

#[tokio::test]
async fn an_order_is_shown_with_every_field_in_the_publications_time() {
    let app = TestApp::start().await;
    let operator = Operator::of(&app.database);
    operator
        .imported(
            "products",
            "number;name;sender_ids\n28;Вода 19 л.;water-19\n",
        )
        .await;
    let mut sent = order("a-1");
    for (pointer, value) in [
        ("/created_at", json!("2026-11-05T20:00:00Z")),
        ("/delivery_cost", json!("30.50")),
        ("/payment_type", json!("cash")),
        ("/comment", json!("позвонить")),
        ("/count_of_returned_bottles", json!(2)),
        ("/ask_for_checkout", json!("bill")),
        ("/client/phone", json!("89083280832")),
        ("/client/email", json!("client@example.org")),
        ("/order_item_list/0/name", json!("Вода")),
        ("/order_item_list/0/order_product_id", json!(1435)),
        ("/shipping_address/room", json!("1")),
    ] {
        sent = changed(sent, pointer, value);
    }
    app.accept(&sent).await;
    let by_id = operator.run(["order", "show", "a-1"]).await.done();
    let by_number = operator
        .run(["order", "show", "1", "--publication", "DemoDelivery_WEB"])
        .await
        .done();
    assert_eq!(by_id, by_number);
    let uuid = by_id
        .lines()
        .find(|line| line.starts_with("  uuid "))
        .unwrap();
    let expected = "\
order 1 of demodelivery
  id                        a-1
{uuid}
  status                    new
  created_at                2026-11-05 23:00:00 (Europe/Moscow)
  total                     710
  delivery_cost             30.5
  coins                     –
  payment_type              cash
  payment_status            false
  shipping_date_from        2026-11-06 14:00:00 (Europe/Moscow)
  shipping_date_to          2026-11-06 21:00:00 (Europe/Moscow)
  comment                   позвонить
  count_of_returned_bottles 2
  ask_for_checkout          bill

order_item_list
  1   2 × 355             Вода; product 28; product_id water-19; order_product_id 1435

shipping_address
  1           Кутузова, д. 19, кв./оф. 1, г. Сыктывкар
              город Сыктывкар улица Кутузова дом 19

client 1
  id                        client of a-1
  username                  Василий Тестовый
  type                      fiz
  phones                    9083280832
  email                     client@example.org
  comment                   –
  account_number            1
  coins_amount              0
  loyalty_system_is_active  true

addresses
  1           Кутузова, д. 19, кв./оф. 1, г. Сыктывкар
              город Сыктывкар улица Кутузова дом 19
";
    assert_eq!(by_id, expected.replace("{uuid}", uuid));

    app.accept(&guest_order("a-2", "+79191991919")).await;
    let shown = operator.run(["order", "show", "a-2"]).await.done();
    assert!(shown.contains("\nclient 2, a guest\n"), "{shown}");
    assert!(
        shown.contains("; product 28; product_id water-19"),
        "{shown}"
    );
}

#[tokio::test]
async fn the_publication_may_be_left_out_where_there_is_only_one() {
    let app = TestApp::start().await;
    let operator = Operator::of(&app.database);
    app.accept(&order("a-1")).await;
    operator.run(["order", "show", "a-1"]).await.done();
    operator.settings(
        "[[publication]]\nname = \"demodelivery\"\nanonymous = true\n[[publication]]\nname = \"доставка\"\nanonymous = true\n",
    );
    let said = operator.run(["order", "show", "a-1"]).await.refused();
    assert!(
        said.contains("Give --publication with one of demodelivery, доставка"),
        "{said}"
    );
    operator
        .run(["order", "show", "a-1", "--publication", "DEMODELIVERY"])
        .await
        .done();
    let said = operator
        .run(["order", "show", "a-1", "--publication", "доставка"])
        .await
        .refused();
    assert!(said.contains("доставка has no order a-1"), "{said}");
}

/// What steers a terminal: a sequence begun by ESC and one begun by a C1 control, a bell, and the writing turned round.
const STEERING: &str = "\u{1b}]0;gone\u{7}\u{9b}2J\u{85}\u{202e}.";

fn steers(symbol: char) -> bool {
    (symbol.is_control() && symbol != '\n') || symbol == '\u{202e}'
}

#[tokio::test]
async fn what_a_sender_wrote_steers_no_terminal_whichever_command_shows_it() {
    let app = TestApp::start().await;
    let operator = Operator::of(&app.database);
    let id = format!("1{STEERING}");
    let mut sent = order(&id);
    for pointer in [
        "/comment",
        "/payment_type",
        "/client/username",
        "/client/email",
        "/client/comment",
        "/shipping_address/street",
        "/shipping_address/str",
        "/shipping_address/id",
        "/order_item_list/0/name",
        "/order_item_list/0/product_id",
        "/order_item_list/0/id",
    ] {
        sent = changed(sent, pointer, json!(format!("a{STEERING}")));
    }
    app.accept(&sent).await;
    app.accept(&changed(sent.clone(), "/comment", json!(STEERING)))
        .await;
    app.post(&json!([changed(sent, "/total", json!(STEERING))]))
        .await;
    for args in [
        &["order", "show", &id][..],
        &["order", "set-status", &id, "new"],
        &["order", "set-status", &id, "approved"],
        &["order", "set-status", &id, "new"],
        &["order", "show", &format!("{id}?")],
        &["journal", "order", &id],
        &["journal", "order", &id, "--json"],
        &["journal", "batches"],
        &["journal", "rejected"],
        &["journal", "rejected", "--json"],
    ] {
        let said = operator.run(args).await;
        let text = format!("{}{}", said.stdout, said.stderr);
        assert!(!text.trim().is_empty(), "{args:?}");
        assert!(!text.contains(steers), "{args:?} said {text:?}");
    }

    // As JSON it is still what the sender wrote.
    let said = operator.run(["journal", "order", &id, "--json"]).await;
    for line in said.done().lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["order"], id);
    }
}
