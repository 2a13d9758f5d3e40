//! Cost follows size (contract §1): what a stranger sends takes no more of us than it brought, and the journal no more of
//! the disk than a day may take.

use aqua_orders::config::{Config, Environment};
use serde_json::{Value, json};

use crate::support::{
    app::{TestApp, changed, order},
    command::Operator,
};

/// An order of the client `one`, which brings these addresses along.
fn of_one(id: &str, addresses: &[Value]) -> Value {
    changed(
        order(id),
        "/client",
        json!({ "id": "one", "username": "Один", "addresses": addresses }),
    )
}

fn address(house: usize) -> Value {
    json!({ "city": "Эжва", "street": "Мира", "house": house.to_string(), "str": format!("Эжва, Мира, {house}") })
}

/// An order of the client `one` to that house.
fn to_house(id: &str, house: usize) -> Value {
    changed(of_one(id, &[]), "/shipping_address", address(house))
}

#[tokio::test]
async fn a_client_keeps_so_many_addresses_and_an_order_to_one_more_keeps_it_itself() {
    let app = TestApp::with(|config| config.publications[0].rules.max_client_addresses = 3).await;
    let batch = json!([
        of_one("1", &[address(1), address(2)]),
        to_house("2", 3),
        of_one("3", &[address(3), address(4), address(2)]),
    ]);
    let answer = app.post(&batch).await;
    assert_eq!(
        answer.warnings("1"),
        ["order_item_list[0].product_id: product_not_found"]
    );
    // The shipping address of order 1 is the third; house 3 finds no room, and neither does house 4.
    assert_eq!(
        answer.warnings("2"),
        [
            "order_item_list[0].product_id: product_not_found",
            "shipping_address: too_many"
        ]
    );
    assert_eq!(
        answer.warnings("3"),
        [
            "client.addresses[0]: too_many",
            "client.addresses[1]: too_many",
            "order_item_list[0].product_id: product_not_found"
        ]
    );
    let addresses = answer.order("3")["client"]["addresses"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!((addresses, app.count("address").await), (3, 3));
    let own = &answer.order("2")["shipping_address"];
    assert_eq!(
        own,
        &json!({
            "id": null, "user_address_id": null, "external_id": null, "name": "Мира, д. 3, г. Эжва", "city": "Эжва",
            "street": "Мира", "house": "3", "room": null, "entrance": null, "floor": null, "district_id": null,
            "str": "Эжва, Мира, 3"
        })
    );

    // What an order keeps itself is read back as it was stored, and the same again changes nothing.
    let again = app.post(&batch).await;
    assert_eq!(again.text, answer.text);
    let versions: Vec<i32> = app
        .values("SELECT version FROM orders UNION SELECT version FROM client")
        .await;
    assert_eq!(versions, [1]);

    // The journal has what was not added, as it came.
    let operator = Operator::of(&app.database);
    let remarks = ["journal", "remarks", "--json", "--code", "too_many"];
    let kept = operator.run(remarks).await.done();
    let kept: Vec<Value> = kept
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let mut orders: Vec<(&Value, &Value)> = kept
        .iter()
        .map(|kept| (&kept["order"], &kept["body"]))
        .collect();
    orders.sort_by_key(|(order, _)| order.as_str());
    let [second, third] = [&batch[1], &batch[2]].map(|order| json!(order.to_string()));
    assert_eq!(orders, [(&json!("2"), &second), (&json!("3"), &third)]);

    // Sent to another house it moves, and back to one that the client has.
    let moved = app.accept(&to_house("2", 5)).await;
    assert_eq!(moved["shipping_address"]["house"], "5");
    let back = app.accept(&to_house("2", 1)).await;
    assert_eq!(back["shipping_address"]["house"], "1");
    assert!(back["shipping_address"]["id"].is_i64());
    let history = operator.run(["journal", "order", "2"]).await.done();
    assert!(history.contains("Эжва, Мира, 5"), "{history}");
    let shown = operator.run(["order", "show", "2"]).await.done();
    assert!(shown.contains("Мира, д. 1"), "{shown}");
}

#[tokio::test]
async fn addresses_of_a_long_list_are_found_by_id_number_and_content_as_in_a_short_one() {
    let app = TestApp::with(|config| config.publications[0].rules.max_client_addresses = 60).await;
    let many: Vec<Value> = (1..=50)
        .map(|house| {
            let mut address = address(house);
            if house % 2 == 0 {
                address["id"] = json!(format!("house {house}"));
            }
            address
        })
        .collect();
    let first = app.accept(&of_one("1", &many)).await;
    let number = |answer: &Value, house: &str| {
        let addresses = answer["client"]["addresses"].as_array().unwrap();
        let mut numbers = addresses.iter().filter(|a| a["house"] == house);
        let number = numbers.next().unwrap()["id"].clone();
        assert!(numbers.next().is_none(), "house {house} is there once");
        number
    };
    // By id with other content, by number with other content, by content alone.
    let mut by_id = address(200);
    by_id["id"] = json!("house 40");
    let mut by_number = address(300);
    by_number["external_id"] = number(&first, "41");
    let second = app
        .accept(&of_one("2", &[by_id, by_number, address(43)]))
        .await;
    assert_eq!(number(&second, "200"), number(&first, "40"));
    assert_eq!(number(&second, "300"), number(&first, "41"));
    assert_eq!(number(&second, "43"), number(&first, "43"));
    // What an address was before is not found any more, what it became is.
    let third = app.accept(&to_house("3", 41)).await;
    assert_eq!(app.count("address").await, 52);
    let fourth = app.accept(&to_house("4", 300)).await;
    assert_eq!(fourth["shipping_address"]["id"], number(&first, "41"));
    assert_ne!(third["shipping_address"]["id"], number(&first, "41"));
    assert_eq!(app.count("address").await, 52);
}

async fn journal_bytes(app: &TestApp) -> i64 {
    app.value("SELECT pg_total_relation_size('journal_rejected') + pg_total_relation_size('journal_batch')").await
}

#[tokio::test]
async fn elements_without_an_id_that_are_the_same_are_kept_once() {
    let app = TestApp::start().await;
    let before = journal_bytes(&app).await;
    let batch = format!("[{}1]", "{},".repeat(4_998));
    let answer = app.request().body(batch.clone()).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(app.count("journal_rejected").await, 2);
    let repeated: Vec<(i32, i32)> =
        sqlx::query_as("SELECT position, repeated FROM journal_rejected ORDER BY position")
            .fetch_all(&app.pool())
            .await
            .unwrap();
    assert_eq!(repeated, [(0, 4_997), (4_998, 0)]);
    let took = journal_bytes(&app).await - before;
    assert!(took <= 4 * 65_536, "{took} bytes for {}", batch.len());

    let operator = Operator::of(&app.database);
    let rejected = operator.run(["journal", "rejected", "--json"]).await.done();
    assert!(rejected.contains(r#""repeated":4997"#), "{rejected}");
    let id = app.batch_id().await;
    let shown = operator.run(["journal", "show", &id]).await.done();
    assert!(shown.contains("4997 more like it came along"), "{shown}");
    assert!(shown.contains("обязательное поле (required)"), "{shown}");
    assert!(!shown.contains("are not kept"), "{shown}");
}

impl TestApp {
    async fn batch_id(&self) -> String {
        self.value("SELECT batch::text FROM journal_batch ORDER BY received_at DESC LIMIT 1")
            .await
    }
}

/// Rejected for its total, and of that many bytes at least.
fn rejected(id: &str, bytes: usize) -> Value {
    let mut order = changed(order(id), "/total", json!(-1));
    order["comment"] = json!("x".repeat(bytes));
    order
}

#[tokio::test]
async fn past_the_days_budget_rejected_orders_are_counted_and_not_kept_and_good_ones_are_stored() {
    let app = TestApp::with(|config| config.journal.rejected_bytes_per_day = 100_000).await;
    let not_kept = r#"aqua_journal_not_kept_total{publication="demodelivery"}"#;
    app.post(&json!([order("good 1"), rejected("bad 1", 60_000)]))
        .await;
    assert_eq!(app.count("journal_rejected").await, 1);
    // What has room is kept, what has none is counted; its neighbours do not notice.
    let answer = app
        .post(&json!([
            order("good 2"),
            rejected("bad 2", 60_000),
            rejected("bad 3", 10_000)
        ]))
        .await;
    answer.order("good 2");
    assert_eq!(answer.faults("bad 2"), ["total: out_of_range"]);
    assert_eq!(app.count("journal_rejected").await, 2);
    assert_eq!(app.metric(not_kept).await, 1);
    let batch = app.batch_id().await;
    let operator = Operator::of(&app.database);
    let shown = operator.run(["journal", "show", &batch]).await.done();
    assert!(shown.contains("1 rejected orders are not kept"), "{shown}");

    // An instance that is started anew asks the database what the day has taken.
    let beside = TestApp::beside(std::sync::Arc::clone(&app.database), |config| {
        config.journal.rejected_bytes_per_day = 100_000;
    })
    .await;
    beside.post(&json!([rejected("bad 4", 60_000)])).await;
    assert_eq!(app.count("journal_rejected").await, 2);
    assert_eq!(beside.metric(not_kept).await, 1);
    // Another publication has a day of its own.
    let other = "/%D0%B4%D0%BE%D1%81%D1%82%D0%B0%D0%B2%D0%BA%D0%B0/hs/AquaDeliveri/getOrdersURL";
    let answer = beside
        .post_to(other, &json!([rejected("bad 5", 60_000)]))
        .await;
    assert_eq!(answer.status, 200);
    assert_eq!(app.count("journal_rejected").await, 3);
}

#[tokio::test]
async fn where_the_budget_is_used_up_a_batch_of_which_nothing_is_accepted_leaves_nothing_behind() {
    let app = TestApp::with(|config| config.journal.rejected_bytes_per_day = 1_000).await;
    for n in 1..=20 {
        let answer = app.post(&json!([rejected(&n.to_string(), 10)])).await;
        assert_eq!(answer.faults(&n.to_string()), ["total: out_of_range"]);
    }
    let lines = app.count("journal_batch").await;
    assert!((1..=4).contains(&lines), "{lines}");
    let operator = Operator::of(&app.database);
    operator.settings(
        "[journal]\nrejected_bytes_per_day = 1000\n[[publication]]\nname = 'demodelivery'\nanonymous = true\n",
    );
    let doctor = operator.run(["doctor"]).await.stdout;
    assert!(doctor.contains("has used up its 1000 bytes"), "{doctor}");
    // What is stored has its receipt in any case.
    app.accept(&order("good")).await;
    assert_eq!(app.count("journal_batch").await, lines + 1);
    assert_eq!(app.post(&json!([])).await.body["data"], json!({}));
    assert_eq!(app.count("journal_batch").await, lines + 1);
}

/// A client with much about it, and an order of its.
async fn with_a_client_of_many_words(app: &TestApp) {
    let mut first = order("first");
    first["client"] = json!({
        "id": "c-1", "username": "Анна Секретная", "phone": "+79191991919", "phones": ["+79191991918"],
        "email": "secret@example.org", "comment": "код 1234", "type": "jur", "account_number": 777,
        "addresses": [{ "id": "home", "city": "Эжва", "street": "Тайная", "house": "7", "room": "12", "str": "Эжва, Тайная, 7" }]
    });
    first["comment"] = json!("позвонить дочери");
    first["payment_type"] = json!("cash");
    first["coins"] = json!(5);
    first["ask_for_checkout"] = json!("bill");
    first["count_of_returned_bottles"] = json!(3);
    app.accept(&first).await;
    for sql in [
        "UPDATE client SET coins_amount = 90, legal_address = '{Тайная}', bank_account = '{\"inn\": \"1234512345\"}'",
        "INSERT INTO district VALUES ('demodelivery', 1, 'Тайный район')",
        "UPDATE address SET district_number = 1",
        "UPDATE client SET version = version + 1",
    ] {
        app.run(sql).await;
    }
}

/// Everybody may post to it, and its owner did not say that it may tell what is stored.
async fn open_to_all() -> TestApp {
    TestApp::with(|config| config.publications[0].rules.answers_stored = false).await
}

#[tokio::test]
async fn whoever_guesses_an_id_or_a_phone_is_answered_what_he_sent() {
    let app = open_to_all().await;
    with_a_client_of_many_words(&app).await;
    let secrets = [
        "Секретная",
        "9191991919",
        "9191991918",
        "secret",
        "1234",
        "777",
        "Тайн",
        "дочери",
        "cash",
        "bill",
        "90",
        "jur",
    ];
    let mut by_id = order("guess 1");
    by_id["client"] = json!({ "id": "c-1" });
    let mut by_number = order("guess 2");
    by_number["client"] = json!({ "external_id": 1 });
    let mut by_order = order("first");
    by_order["client"] = json!({ "id": "c-1" });
    let batch = json!([by_id, by_number, by_order]);
    let tried = app.check(&batch).await;
    let stored = app.post(&batch).await;
    for answer in [&tried, &stored] {
        for secret in secrets {
            assert!(!answer.text.contains(secret), "{secret} in {}", answer.text);
        }
        for id in ["guess 1", "guess 2", "first"] {
            let client = &answer.order(id)["client"];
            assert_eq!(client["id"], 1);
            for absent in ["username", "comment", "email", "coins_amount"] {
                assert_eq!(client[absent], Value::Null, "{absent}");
            }
            for empty in ["phones", "legal_address"] {
                assert_eq!(client[empty], json!([]), "{empty}");
            }
            assert_eq!(client["product_price_list"], json!({}));
            assert_eq!(client["requisites"]["bank_account"]["inn"], Value::Null);
        }
    }
    // Numbers and statuses are told, and what is stored is what it would be anyway.
    assert_eq!(stored.order("first")["id"], "1");
    let kept: (String, String) = sqlx::query_as(
        "SELECT c.username, o.comment FROM client c, orders o WHERE o.sender_id = 'first' AND o.client_number = c.number",
    )
    .fetch_one(&app.pool())
    .await
    .unwrap();
    assert_eq!(kept, ("Анна Секретная".into(), "позвонить дочери".into()));
}

#[tokio::test]
async fn on_loopback_too_a_publication_said_to_be_open_shows_a_stranger_nothing_stored() {
    for (said, shows) in [
        ("anonymous_from_anywhere = true", false),
        ("allow_from = ['0.0.0.0/0', '::/0']", false),
        (
            "anonymous_from_anywhere = true\nanswers_stored = true",
            true,
        ),
        ("", true),
    ] {
        let text = format!("[[publication]]\nname = 'demodelivery'\nanonymous = true\n{said}\n");
        let parsed = Config::parse("aqua.toml".as_ref(), &text, &Environment::default()).unwrap();
        let app = TestApp::with(|config| config.publications = parsed.publications).await;
        with_a_client_of_many_words(&app).await;
        let removed = app
            .post(&json!([{ "id": "first", "status": "removed" }]))
            .await;
        removed.order("first");
        for secret in ["Секретная", "9191991919", "secret", "Тайный"] {
            assert_eq!(removed.text.contains(secret), shows, "{said}: {secret}");
        }
    }
}

#[tokio::test]
async fn where_anybody_may_post_a_guessed_number_opens_no_client() {
    let said = "anonymous = true\nanonymous_from_anywhere = true\nanswers_stored = true\n";
    let text = format!("[[publication]]\nname = 'demodelivery'\n{said}");
    let parsed = Config::parse("aqua.toml".as_ref(), &text, &Environment::default()).unwrap();
    let app = TestApp::with(|config| config.publications = parsed.publications).await;
    with_a_client_of_many_words(&app).await;
    let mut same = order("first");
    same["client"] = json!({ "id": "c-1" });
    let theirs = app.accept(&same).await;
    let guessed = |id: &str, client: Value| {
        let mut order = order(id);
        order["client"] = client;
        order["client"]["external_id"] = theirs["client"]["id"].clone();
        order
    };
    let stranger = json!({ "username": "Чужой", "phone": "9191991910" });
    let mut with_id = stranger.clone();
    with_id["id"] = json!("mine");
    for sent in [guessed("a", stranger.clone()), guessed("b", with_id)] {
        let answer = app.post(&json!([sent])).await;
        let id = sent["id"].as_str().unwrap();
        assert_ne!(answer.order(id)["client"]["id"], theirs["client"]["id"]);
        assert!(
            answer
                .warnings(id)
                .contains(&"client.external_id: external_id_ignored".to_owned())
        );
    }
    let alone = app
        .post(&json!([guessed("c", json!({ "username": "Чужой" }))]))
        .await;
    assert_eq!(alone.faults("c"), ["client.phone: required"]);
    assert_eq!(app.accept(&same).await["client"], theirs["client"]);
}

#[tokio::test]
async fn what_the_call_itself_sent_is_answered_with_our_numbers() {
    let app = open_to_all().await;
    let mut sent = order("1");
    sent["client"] = json!({
        "id": "c-2", "username": "Борис", "phone": "89191991917", "email": "b@example.org", "comment": "этаж 2",
        "addresses": [{ "id": "home", "city": "Эжва", "street": "Мира", "house": "7", "room": "12", "str": "Эжва, Мира, 7" }]
    });
    sent["comment"] = json!("после обеда");
    sent["coins"] = json!(5);
    let answer = app.accept(&sent).await;
    let again = app.accept(&sent).await;
    assert_eq!(answer, again);
    assert_eq!(
        (&answer["comment"], &answer["coins"]),
        (&json!("после обеда"), &json!(5))
    );
    let client = &answer["client"];
    assert_eq!(client["username"], "Борис");
    assert_eq!(client["phones"], json!(["9191991917"]));
    assert_eq!(client["external_id"], "c-2");
    let addresses = client["addresses"].as_array().unwrap();
    assert_eq!(addresses.len(), 2);
    assert_eq!(addresses[0]["external_id"], "home");
    assert_eq!(
        (&addresses[0]["id"], &addresses[0]["room"]),
        (&json!(1), &json!("12"))
    );
    assert_eq!(answer["shipping_address"]["id"], 2);
    assert_eq!(
        answer["shipping_address"]["name"],
        "Кутузова, д. 19, г. Сыктывкар"
    );
    // The same id twice: the later element wins, field by field.
    let mut first = order("2");
    first["comment"] = json!("раз");
    first["client"] = json!({ "id": "c-3", "username": "Вера", "email": "v@example.org" });
    let mut second = order("2");
    second["client"] = json!({ "id": "c-3", "username": "Вера Павловна" });
    let twice = app.post(&json!([first, second])).await;
    let twice = twice.order("2");
    assert_eq!(
        (&twice["comment"], &twice["client"]["username"]),
        (&json!("раз"), &json!("Вера Павловна"))
    );
    assert_eq!(twice["client"]["email"], "v@example.org");
}

#[tokio::test]
async fn of_two_people_under_one_id_the_answer_shows_one_and_the_same_each_time() {
    let app = open_to_all().await;
    let of = |id: &str, client: Value, comment: Value| {
        let order = changed(order(id), "/comment", comment);
        changed(order, "/client", client)
    };
    let one = json!({ "id": "one", "username": "Один", "email": "one@example.org", "addresses": [address(5)] });
    let two = json!({ "id": "two", "username": "Два" });
    let batch = json!([
        of("1", one, json!("код 12")),
        of("1", two.clone(), Value::Null),
        of("2", two, json!("после обеда"))
    ]);
    let first = app.post(&batch).await;
    let shown = first.order("1");
    assert_eq!(shown["client"]["username"], "Два");
    assert_eq!(shown["client"]["addresses"].as_array().unwrap().len(), 1);
    for theirs in ["one@example.org", "код 12", "\"one\""] {
        assert!(!first.text.contains(theirs), "{}", first.text);
    }
    let again = app.post(&batch).await;
    assert_eq!(again.order("1"), shown);
    assert_eq!(again.order("2"), first.order("2"));
}

/// Orders of one client with 100 addresses.
async fn large_answer(app: &TestApp, count: usize) -> Value {
    let addresses: Vec<Value> = (0..99).map(address).collect();
    app.accept(&of_one("first", &addresses)).await;
    let orders: Vec<Value> = (0..count)
        .map(|n| changed(order(&n.to_string()), "/client", json!({ "id": "one" })))
        .collect();
    json!(orders)
}

#[tokio::test]
async fn a_batch_whose_answer_would_be_too_large_is_413_and_nothing_of_it_is_stored() {
    let app = TestApp::with(|config| config.limits.answer_bytes = 1_000_000).await;
    let batch = large_answer(&app, 60).await;
    let before = (app.count("orders").await, app.count("journal_batch").await);
    let answer = app.post(&batch).await;
    assert_eq!(answer.status, 413, "{}", answer.text);
    assert_eq!(answer.body["errors"][0]["code"], "batch_too_large");
    assert!(
        answer.body["message"].as_str().unwrap().contains("1000000"),
        "{}",
        answer.text
    );
    assert_eq!(
        (app.count("orders").await, app.count("journal_batch").await),
        before
    );
    assert_eq!(app.check(&batch).await.status, 413);
    // In parts it is taken, and a text that JSON makes longer is counted as it is written.
    let few = json!(batch.as_array().unwrap()[..10]);
    let answer = app.post(&few).await;
    answer.order("9");
    assert!(answer.text.len() < 1_000_000);
    let long = |comment: String| -> Vec<Value> {
        let comment = json!(comment);
        let ids = (0..5).map(|n| format!("long {n}"));
        ids.map(|id| changed(order(&id), "/comment", comment.clone()))
            .collect()
    };
    let longer = json!(long("\u{1}".repeat(40_000)));
    assert_eq!(app.post(&longer).await.status, 413);
    let same = json!(long("x".repeat(40_000)));
    app.post(&same).await.order("long 4");
}

#[tokio::test]
async fn a_comment_longer_than_anybody_writes_is_cut_and_that_is_said() {
    let app = TestApp::start().await;
    let mut long = order("1");
    long["comment"] = json!("ы".repeat(70_000));
    long["client"]["comment"] = json!("ы".repeat(65_536));
    let answer = app.post(&json!([long])).await;
    assert_eq!(
        answer.warnings("1"),
        [
            "comment: too_long",
            "order_item_list[0].product_id: product_not_found"
        ]
    );
    let comment = |answer: &Value| answer["comment"].as_str().unwrap().chars().count();
    assert_eq!(comment(answer.order("1")), 65_536);
    let again = app.post(&json!([long])).await;
    assert_eq!(again.text, answer.text);
    let version: i32 = app.value("SELECT version FROM orders").await;
    assert_eq!(version, 1);
}

#[tokio::test]
async fn no_batch_has_more_read_than_it_may_be_answered() {
    let app = TestApp::with(|config| config.limits.answer_bytes = 3_000_000).await;
    for id in ["1", "2"] {
        app.accept(&order(id)).await;
    }
    // As it was stored before comments were cut.
    app.run("UPDATE orders SET comment = repeat('x', 2000000)")
        .await;
    let both = json!([{ "id": "1" }, { "id": "2" }]);
    let answer = app.post(&both).await;
    assert_eq!(answer.status, 413, "{}", answer.text);
    assert_eq!(app.check(&both).await.status, 413);
    // One at a time is fine, and beside one another, too.
    let one = json!([order("1")]);
    let two = json!([order("2")]);
    for _ in 0..5 {
        let batches = [&one, &two, &one, &two];
        assert_eq!(futures_of(&app, batches.into_iter()).await, [200; 4]);
    }
    assert_eq!(app.count("orders").await, 2);
}

#[tokio::test]
async fn every_long_text_that_is_read_counts_among_what_a_batch_may_have_read() {
    let app = TestApp::with(|config| {
        config.limits.answer_bytes = 300_000;
        config.database.client_cache_bytes = 0;
    })
    .await;
    let mut sent = order("1");
    sent["client"]["addresses"] = json!([address(1)]);
    app.accept(&sent).await;
    // It is faulty, so nothing of it is answered; all that it names is read all the same.
    let named = json!([{ "id": "1", "client": { "id": "client of 1" } }]);
    for column in [
        "orders.payment_type",
        "order_item.name",
        "client.username",
        "client.email",
        "address.city",
        "address.street",
        "address.house",
        "address.str",
        "address.entrance",
        "address.floor",
        "address.room",
    ] {
        let (table, column) = column.split_once('.').unwrap();
        let is_too_much = async |long: bool| {
            let text = if long { "repeat('x', 400000)" } else { "'x'" };
            let sql = format!("UPDATE {table} SET {column} = {text}");
            sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
                .execute(&app.pool())
                .await
                .unwrap();
            app.post(&named).await.status == 413
        };
        assert!(is_too_much(true).await, "{table}.{column}");
        assert!(!is_too_much(false).await, "{table}.{column}");
    }
    app.run("UPDATE orders SET shipping_address = jsonb_set(shipping_address, '{street}', to_jsonb(repeat('x', 400000)))").await;
    assert_eq!(app.post(&named).await.status, 413);
}

#[tokio::test]
async fn beside_a_batch_whose_answer_would_be_too_large_the_others_of_its_transaction_are_stored() {
    let app = TestApp::with(|config| config.limits.answer_bytes = 1_000_000).await;
    let batch = large_answer(&app, 60).await;
    let orders: Vec<Value> = (0..20)
        .map(|n| json!([order(&format!("small {n}"))]))
        .collect();
    let (large, small) = tokio::join!(
        futures_of(&app, std::iter::repeat_n(&batch, 4)),
        futures_of(&app, orders.iter()),
    );
    assert_eq!(large, [413; 4]);
    assert_eq!(small, [200; 20]);
    assert_eq!(app.count("orders").await, 21);
}

async fn futures_of<'b>(app: &TestApp, batches: impl Iterator<Item = &'b Value>) -> Vec<u16> {
    let mut calls = tokio::task::JoinSet::new();
    for batch in batches {
        let request = app.request().body(batch.to_string());
        calls.spawn(async move { request.send().await.unwrap().status().as_u16() });
    }
    calls.join_all().await
}

#[tokio::test]
async fn where_there_is_no_room_for_an_answer_the_batch_is_503_and_nothing_of_it_is_stored() {
    let app = TestApp::with(|config| {
        config.limits.bytes_in_flight = 3_000_000;
        config.limits.body_bytes = 500_000;
    })
    .await;
    let batch = large_answer(&app, 60).await;
    let answer = app.post(&batch).await;
    assert_eq!(answer.status, 503, "{}", answer.text);
    assert_eq!(answer.body["errors"][0]["code"], "overloaded");
    assert_eq!(app.count("orders").await, 1);
    let few = json!(batch.as_array().unwrap()[..5]);
    app.post(&few).await.order("4");
}

#[tokio::test]
async fn a_dry_run_has_its_line_in_the_journal_and_an_address_so_many_in_a_minute() {
    let app = TestApp::with(|config| config.limits.dry_runs_per_minute = 3).await;
    let mut statuses = Vec::new();
    for n in 0..5 {
        let answer = app.check(&json!([order(&n.to_string())])).await;
        statuses.push(answer.status.as_u16());
    }
    assert_eq!(statuses, [200, 200, 200, 503, 503]);
    assert_eq!(app.count("journal_batch").await, 3);
    let operator = Operator::of(&app.database);
    let batches = operator.run(["journal", "batches", "--json"]).await.done();
    assert_eq!(batches.matches(r#""dry_run":true"#).count(), 3, "{batches}");
    let shown = operator
        .run(["journal", "show", &app.batch_id().await])
        .await
        .done();
    assert!(shown.contains("nothing was stored"), "{shown}");
    // Orders are not concerned.
    app.accept(&order("real")).await;
    let batches = operator.run(["journal", "batches", "--json"]).await.done();
    assert!(batches.contains(r#""dry_run":false"#), "{batches}");
}
