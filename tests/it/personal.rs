//! A client's data on request (docs/decisions.md): shown, handed out, erased wherever it stands, and what comes of that client later.

use aqua_orders::store::{
    Store,
    targets::{Takes, Target, Which},
};
use serde_json::{Value, json};

use crate::support::{
    app::{ORDERS as INTAKE, TestApp, changed, guest_order, order, order_of},
    back_office::with_back_office,
    command::Operator,
    config::target as target_of,
    console::{Browser, operators},
};

const CLIENTS: &str = "/console/p/demodelivery/clients";

/// Whatever is of the client has one of these.
const MARKS: [&str; 4] = ["юзя", "zyuzya", "9161112233", "9164445566"];

/// Every place of the database where a mark stands: `table.column`.
async fn marked(app: &TestApp) -> Vec<String> {
    let columns: Vec<String> = app
        .values(
            "SELECT table_name || ' ' || quote_ident(column_name) FROM information_schema.columns
             WHERE table_schema = 'public' ORDER BY 1",
        )
        .await;
    assert!(columns.len() > 100, "{columns:?}");
    let mut found = Vec::new();
    for column in columns {
        let (table, column) = column.split_once(' ').unwrap();
        for mark in MARKS {
            let count: i64 = app
                .value(format!(
                    "SELECT count(*) FROM {table} WHERE {column}::text LIKE '%{mark}%'"
                ))
                .await;
            if count > 0 {
                found.push(format!("{table}.{column}"));
            }
        }
    }
    found.dedup();
    found
}

/// An order of the client `c-1` with marks wherever a person's data may stand.
fn marked_order(id: &str) -> Value {
    let address = |n: u32| {
        json!({
            "id": format!("zyuzya-{n}"), "city": "Зюзя-город", "street": format!("Зюзя-улица {n}"), "house": "Зюзя",
            "str": format!("Зюзя строкой {n}"), "entrance": "зюзя", "floor": "зюзя", "room": "зюзя",
        })
    };
    let mut order = order_of("c-1", id);
    for (pointer, value) in [
        ("/client/username", json!("Зюзя Имя")),
        ("/client/phone", json!("8 (916) 111-22-33")),
        ("/client/phones", json!(["+79164445566"])),
        ("/client/email", json!("zyuzya@example.com")),
        ("/client/comment", json!("зюзя о клиенте")),
        ("/client/addresses", json!([address(1), address(2)])),
        ("/shipping_address", address(3)),
        ("/comment", json!("зюзя: позвонить")),
    ] {
        order = changed(order, pointer, value);
    }
    order
}

/// A service with orders of `c-1` in every state, and what a target said of them; and an order of `c-2`, which is somebody else.
async fn filled() -> TestApp {
    let app = TestApp::with(operators).await;
    // Accepted with a remark: kept as it came. Then changed, so that its history has both.
    let first = changed(marked_order("A-1"), "/coins", "many");
    app.accept(&first).await;
    let moved = changed(
        marked_order("A-1"),
        "/shipping_address/street",
        "Зюзя другая",
    );
    app.accept(&changed(moved, "/comment", "зюзя: не звонить"))
        .await;
    // Rejected: an attempt of that order, one of an order that never came to be, one of which nobody can read whose it is.
    app.post(&json!([
        changed(marked_order("A-1"), "/total", -1),
        changed(
            changed(marked_order("B-1"), "/total", "much"),
            "/client/username",
            "Зюзя Прежняя"
        ),
        changed(order("B-2"), "/client", "Зюзя, 8 (916) 111-22-33"),
    ]))
    .await;
    // One that goes to somebody else, and is his from then on.
    app.accept(&marked_order("M-1")).await;
    let others = order_of("c-2", "M-1");
    app.accept(&changed(others, "/client/username", "Чужое имя"))
        .await;
    app.post(&json!([changed(order_of("c-2", "B-3"), "/total", -1)]))
        .await;
    app.accept(&changed(
        marked_order("O-1"),
        "/comment",
        "зюзя: седьмой этаж",
    ))
    .await;
    app.accept(&marked_order("O-1")).await;
    app.run(
        "UPDATE orders SET status = 'completed' WHERE sender_id = 'A-1';
         UPDATE client SET bank_account = '{\"inn\": \"зюзя\"}', legal_address = ARRAY['Зюзя юр.'] WHERE sender_id = 'c-1';
         INSERT INTO order_receiver (publication, order_number, version, number, error, said_at)
         SELECT publication, number, 1, 'АВ-1', 'нет контрагента Зюзя', now() FROM orders WHERE sender_id = 'A-1';
         INSERT INTO target_delivery (publication, target, order_number, version, refusals, next_try_at, error)
         SELECT publication, '1c', number, 1, 1, now() + interval '1 hour', 'Зюзя!' FROM orders WHERE sender_id = 'A-1';
         INSERT INTO order_refusal (publication, order_number, refused_at, target, version, error)
         SELECT publication, number, now(), '1c', 1, 'нет договора с Зюзя' FROM orders WHERE sender_id = 'A-1';
         INSERT INTO target_attempt (publication, target, attempt, began_at, milliseconds, orders, taken, refused, error)
         SELECT 'demodelivery', '1c', gen_random_uuid(), now(), 1, 1, 0, 1, e
         FROM unnest(ARRAY['контрагент зюзя имя не найден', 'тел. 8-916-111-22-33', 'нет света',
                           'нет договора: Зюзя Прежняя', 'непонятно «зюзя: седьмой этаж»']) e;
         INSERT INTO target (publication, name, error) VALUES ('demodelivery', '1c', 'у Зюзя Имя нет договора')",
    )
    .await;
    app
}

async fn number(app: &TestApp, sender_id: &str) -> i32 {
    app.value(format!(
        "SELECT number FROM client WHERE sender_id = '{sender_id}'"
    ))
    .await
}

#[tokio::test]
async fn erased_is_what_any_column_of_any_table_says_of_a_client_and_nothing_of_another() {
    let app = filled().await;
    let before = marked(&app).await;
    for place in [
        "address.city",
        "client.username",
        "client.phone",
        "client.phones",
        "client.email",
        "client.comment",
        "client.bank_account",
        "client.legal_address",
        "journal_change.changes",
        "journal_rejected.body",
        "order_receiver.error",
        "order_refusal.error",
        "orders.comment",
        "orders.shipping_address",
        "target.error",
        "target_attempt.error",
        "target_delivery.error",
    ] {
        assert!(
            before.iter().any(|marked| marked == place),
            "no mark in {place}: {before:?}"
        );
    }
    let not_taken = "SELECT count(*) FROM order_receiver WHERE error IS NOT NULL AND NOT put_aside";
    assert_eq!(app.value::<i64>(not_taken).await, 1);
    let amounts = "SELECT concat_ws(' ', o.number, o.sender_id, o.status, o.total, o.created_at, i.product_id, i.price, i.quantity)
                   FROM orders o JOIN order_item i ON i.publication = o.publication AND i.order_number = o.number ORDER BY 1";
    let kept: Vec<String> = app.values(amounts).await;
    let client = number(&app, "c-1").await;
    let page = format!("{CLIENTS}/{client}");
    let erase = format!("{page}/erase");
    let mut boss = Browser::of(&app, "boss").await;
    assert!(boss.get(&page).await.shows("Зюзя Имя"));

    // Somebody waits for O-1.
    let refused = boss.post(&erase, &[]).await;
    assert_eq!(refused.status, 409);
    let open: i32 = app
        .value("SELECT number FROM orders WHERE sender_id = 'O-1'")
        .await;
    assert!(refused.shows(&format!("Ничего не стёрто: заказы {open} не завершены")));
    assert_eq!(marked(&app).await, before);

    let sure = [("with_open_orders", "1")];
    let done = boss.post_and_follow(&erase, &sure).await;
    assert!(done.shows("Данные клиента стёрты.") && !done.text.contains("юзя"));
    assert_eq!(marked(&app).await, [""; 0]);
    assert_eq!(app.value::<i64>(not_taken).await, 0, "it waits for nobody");
    // The second click of two.
    assert_eq!(boss.post(&erase, &sure).await.status, 303);

    assert_eq!(
        app.values::<String>(amounts).await,
        kept,
        "amounts, numbers, lines"
    );
    let names: Vec<String> = app
        .values("SELECT username FROM client WHERE sender_id = 'c-2'")
        .await;
    assert_eq!(names, ["Чужое имя"]);
    let bodies: Vec<String> = app
        .values("SELECT order_key FROM journal_rejected WHERE body <> ''")
        .await;
    assert_eq!(bodies, ["B-3"]);
    let errors: Vec<String> = app
        .values("SELECT error FROM target_attempt WHERE error <> ''")
        .await;
    assert_eq!(errors, ["нет света"]);
    let acts: Vec<String> = app
        .values("SELECT concat_ws(' ', login, kind, details) FROM operator_action")
        .await;
    assert_eq!(
        acts,
        [format!(
            r#"boss erase_client {{"bodies": 4, "client": {client}, "orders": 2}}"#
        )]
    );
    // What happened to the order stays: that something changed, and what became of it in 1C.
    let changes: Vec<String> = app
        .values(
            "SELECT changes::text FROM journal_change c JOIN orders o ON o.publication = c.publication AND o.number = c.order_number
             WHERE o.sender_id = 'A-1' ORDER BY c.version LIMIT 1",
        )
        .await;
    assert!(
        changes[0].contains(r#""comment": [null, null]"#),
        "{changes:?}"
    );
    for path in [
        page.clone(),
        format!("/console/p/demodelivery/orders/{open}"),
        "/console/p/demodelivery/orders".into(),
        "/console/p/demodelivery/actions".into(),
    ] {
        let seen = boss.get(&path).await;
        assert_eq!(seen.status, 200, "{path}");
        for mark in MARKS {
            assert!(!seen.text.contains(mark), "{mark} in {path}");
        }
    }
    assert!(
        boss.get("/console/p/demodelivery/actions")
            .await
            .text
            .contains(&format!(
                "стёрты данные клиента: <a href=\"{page}\">{client}</a>"
            ))
    );
}

#[tokio::test]
async fn an_erased_order_that_comes_again_stays_erased_and_the_clients_next_one_is_taken() {
    let app = filled().await;
    let mut boss = Browser::of(&app, "boss").await;
    let client = number(&app, "c-1").await;
    let erase = format!("{CLIENTS}/{client}/erase");
    boss.post(&erase, &[("with_open_orders", "1")]).await;
    // As sites send what they sent before, with what could not be read of it then.
    let again = changed(marked_order("A-1"), "/coins", "many");
    for _ in 0..2 {
        let answer = app.post(&json!([again])).await;
        assert_eq!(
            answer.warnings("A-1"),
            [": kept_as_stored", "status: status_not_changed"]
        );
        let stored = answer.order("A-1");
        assert_eq!(
            (&stored["client"]["username"], &stored["total"]),
            (&json!(null), &json!(710))
        );
        assert_eq!(marked(&app).await, [""; 0]);
    }
    // An open one has somebody who waits for it: what comes is taken.
    app.accept(&changed(
        marked_order("O-1"),
        "/client/username",
        "Новое имя",
    ))
    .await;
    let names: Vec<String> = app
        .values("SELECT username FROM client WHERE sender_id = 'c-1'")
        .await;
    assert_eq!(names, ["Новое имя"]);
    let next = app
        .accept(&changed(
            order_of("c-1", "N-1"),
            "/client/username",
            "Ещё новее",
        ))
        .await;
    assert_eq!(next["client"]["id"], client, "it is the same client");
    // What was erased of the finished one is not brought back by that.
    let comments: Vec<Option<String>> = app
        .values("SELECT comment FROM orders WHERE sender_id = 'A-1'")
        .await;
    assert_eq!(comments, [None]);
}

#[tokio::test]
async fn an_erased_guest_is_known_again_by_nothing_but_the_order_itself() {
    let app = TestApp::start().await;
    let operator = Operator::of(&app.database);
    let sent = changed(
        guest_order("G-1", "8 916 111 22 33"),
        "/client/username",
        "Зюзя",
    );
    app.accept(&sent).await;
    app.run("UPDATE orders SET status = 'completed'").await;
    let asked = operator
        .run(["client", "erase", "+7 916 111-22-33"])
        .await
        .refused();
    assert!(
        asked.contains("nothing is erased yet") && asked.contains("Зюзя"),
        "{asked}"
    );
    let done = operator
        .run(["client", "erase", "+7 916 111-22-33", "--yes"])
        .await
        .done();
    assert_eq!(
        done,
        "client 1 of demodelivery is erased, with what 1 order(s) said of it and 0 order(s) that were kept as they came\n"
    );
    assert_eq!(marked(&app).await, [""; 0]);
    let login: String = app.value("SELECT login FROM operator_action").await;
    assert!(login.starts_with("aqua-orders ("), "{login}");
    let gone = operator
        .run(["client", "show", "+79161112233"])
        .await
        .refused();
    assert!(gone.contains("demodelivery has no client"), "{gone}");
    let nothing = operator.run(["client", "erase", "1", "--yes"]).await.done();
    assert_eq!(
        nothing,
        "client 1 of demodelivery has nothing left to erase\n"
    );

    // The same order again is no stranger's, and brings nothing back.
    let answer = app.post(&json!([sent])).await;
    assert_eq!(
        answer.warnings("G-1"),
        [": kept_as_stored", "status: status_not_changed"]
    );
    assert_eq!(marked(&app).await, [""; 0]);
    assert_eq!(app.count("client").await, 1);
    // Another one under its id is a stranger's, as ever.
    let strangers = changed(sent.clone(), "/total", 999);
    let answer = app.post(&json!([strangers])).await;
    assert_eq!(answer.faults("G-1"), ["id: conflict"]);
    // The guest's next order is a new guest's.
    let next = app.accept(&guest_order("G-2", "8 916 111 22 33")).await;
    assert_eq!(next["client"]["id"], 2);
}

#[tokio::test]
async fn what_is_handed_out_is_all_of_one_client_and_nothing_of_another() {
    let app = filled().await;
    let operator = Operator::of(&app.database);
    let data: Value =
        serde_json::from_str(&operator.run(["client", "export", "c-1"]).await.done()).unwrap();
    assert_eq!(data["client"]["username"], "Зюзя Имя");
    assert_eq!(data["client"]["bank_account"]["inn"], "зюзя");
    assert_eq!(data["client"]["addresses"].as_array().unwrap().len(), 4);
    let orders = data["orders"].as_array().unwrap();
    let ids: Vec<&str> = orders
        .iter()
        .map(|order| order["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids, ["A-1", "O-1"]);
    assert_eq!(orders[0]["in_1c"]["error"], "нет контрагента Зюзя");
    assert_eq!(
        orders[0]["history"][0]["changes"]["comment"][1],
        "зюзя: не звонить"
    );
    let kept: Vec<&str> = data["kept"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kept| kept["order"].as_str().unwrap())
        .collect();
    assert_eq!(kept, ["A-1", "A-1", "B-1", "B-2"]);
    assert!(!data.to_string().contains("Чужое"));
    // The same over the console, as a file.
    let mut boss = Browser::of(&app, "boss").await;
    let client = number(&app, "c-1").await;
    let file = boss.post(&format!("{CLIENTS}/{client}/export"), &[]).await;
    assert_eq!(serde_json::from_str::<Value>(&file.text).unwrap(), data);
    let name = file.headers["content-disposition"].to_str().unwrap();
    assert_eq!(
        name,
        format!("attachment; filename=\"client-{client}.json\"")
    );
    let kinds: Vec<String> = app
        .values("SELECT kind || ' ' || (details->>'client') FROM operator_action")
        .await;
    assert_eq!(
        kinds,
        [
            format!("export_client {client}"),
            format!("export_client {client}")
        ]
    );
    // Into a file of its own, and over none that is there.
    let to = ["client", "export", "c-1", "--output", "c-1.json"];
    operator.run(to).await.done();
    assert!(
        operator
            .run(to)
            .await
            .refused()
            .contains("cannot write c-1.json")
    );
}

#[tokio::test]
async fn a_client_is_found_by_id_number_and_phone() {
    let app = filled().await;
    app.accept(&guest_order("G-1", "8 916 111 22 33")).await;
    let operator = Operator::of(&app.database);
    let client = number(&app, "c-1").await;
    for id in ["c-1", &client.to_string(), " c-1 "] {
        let said = operator.run(["client", "show", id]).await.done();
        assert!(
            said.starts_with(&format!("client {client} of demodelivery\n")),
            "{said}"
        );
    }
    for part in [
        "Зюзя Имя",
        "zyuzya@example.com",
        "9161112233, 9164445566",
        "A-1",
        "completed",
    ] {
        let said = operator.run(["client", "show", "c-1"]).await.done();
        assert!(said.contains(part), "no {part} in {said}");
    }
    // Two have that phone.
    let said = operator
        .run(["client", "show", "89161112233"])
        .await
        .refused();
    assert!(
        said.contains("--by number") && said.contains("guest") && said.contains("c-1"),
        "{said}"
    );
    assert_eq!(operator.run(["client", "show"]).await.code, Some(2));
    // In the console, too.
    let mut boss = Browser::of(&app, "boss").await;
    let one = boss.post(CLIENTS, &[("q", "8 (916) 444-55-66")]).await;
    assert_eq!(one.location(), format!("{CLIENTS}/{client}"));
    let two = boss.post(CLIENTS, &[("q", "+79161112233")]).await;
    assert!(two.shows("Подходят:") && two.shows("Зюзя Имя") && two.shows("гость"));
    assert!(
        boss.post(CLIENTS, &[("q", "nobody")])
            .await
            .shows("По этому запросу клиентов не нашлось.")
    );
    // As orders are found: by the last digits, and by a name's beginning.
    for typed in ["5566", "зюзя", "Зюзя Им"] {
        let one = boss.post(CLIENTS, &[("q", typed)]).await;
        assert_eq!(one.location(), format!("{CLIENTS}/{client}"), "{typed}");
    }
    app.accept(&changed(
        order_of("c-3", "C-1"),
        "/client/username",
        "Зюзин",
    ))
    .await;
    let several = boss.post(CLIENTS, &[("q", "зюз")]).await;
    assert!(several.shows("Зюзя Имя") && several.shows("Зюзин") && several.shows("Подходят:"));
    // A stranger's publication is not looked through.
    let theirs = "/console/p/%D0%B4%D0%BE%D1%81%D1%82%D0%B0%D0%B2%D0%BA%D0%B0/clients";
    assert!(
        boss.post(theirs, &[("q", "5566")])
            .await
            .shows("не нашлось")
    );
}

#[tokio::test]
async fn before_a_client_is_erased_it_is_said_who_it_is_and_what_is_open_and_afterwards_who_erased_it()
 {
    let app = filled().await;
    let mut boss = Browser::of(&app, "boss").await;
    let client = number(&app, "c-1").await;
    let page = format!("{CLIENTS}/{client}");
    let seen = boss.get(&page).await;
    // Its orders with what they say of it, and what is kept as it came.
    for part in ["Зюзя другая", "зюзя: не звонить", "B-1", "B-2"] {
        assert!(seen.shows(part), "no {part} in {}", seen.text);
    }
    assert!(!seen.shows(">B-3<"), "that is somebody else's");
    let open: i32 = app
        .value("SELECT number FROM orders WHERE sender_id = 'O-1'")
        .await;
    let finished: i32 = app
        .value("SELECT number FROM orders WHERE sender_id = 'A-1'")
        .await;
    let asked = boss.get(&format!("{page}/erase")).await;
    assert!(asked.shows("Зюзя Имя") && asked.shows("Не завершены"));
    assert!(asked.text.contains(&format!("/orders/{open}\"")));
    assert!(!asked.text.contains(&format!("/orders/{finished}\"")));
    assert!(asked.text.contains("name=\"with_open_orders\""));
    let rejected = "/console/p/demodelivery/rejected";
    assert!(boss.get(rejected).await.shows("B-1"));
    boss.post(&format!("{page}/erase"), &[("with_open_orders", "1")])
        .await;
    let erased = boss.get(&page).await;
    assert!(erased.shows("Данные клиента стёрты ") && erased.shows(", boss."));
    assert_eq!(boss.get(&format!("{page}/erase")).await.status, 303);
    // Nobody need look at what is gone.
    let left = boss.get(rejected).await;
    assert!(
        !left.shows("B-1") && !left.shows("B-2") && left.shows("B-3"),
        "{}",
        left.text
    );
    let settled: Vec<String> = app
        .values("SELECT order_key || ' ' || settled_by FROM journal_rejected WHERE settled_at IS NOT NULL ORDER BY 1")
        .await;
    assert_eq!(settled, ["A-1 boss", "A-1 boss", "B-1 boss", "B-2 boss"]);
}

#[tokio::test]
async fn a_rejected_order_that_was_erased_is_neither_sent_nor_listed_again() {
    let app = filled().await;
    let mut anna = Browser::of(&app, "Анна").await;
    let mut boss = Browser::of(&app, "boss").await;
    let client = number(&app, "c-1").await;
    let which: String = app
        .value("SELECT batch || '/' || position FROM journal_rejected WHERE order_key = 'B-1'")
        .await;
    let base = "/console/p/demodelivery";
    let page = format!("{base}/kept/{which}");
    // Somebody has it before him, corrected, while it is erased.
    let text = changed(marked_order("B-1"), "/client/username", "Зюзя").to_string();
    boss.post(
        &format!("{CLIENTS}/{client}/erase"),
        &[("with_open_orders", "1")],
    )
    .await;
    let batches = app.count("journal_batch").await;
    for action in ["check", "send", "keep"] {
        let form = [("order", &*text), ("action", action)];
        let seen = anna.post(&format!("{page}/send"), &form).await;
        assert_eq!(seen.status, 409, "{action}");
        assert!(
            seen.shows("Данные стёрты по запросу клиента") && !seen.shows("Зюзя"),
            "{}",
            seen.text
        );
    }
    // It stays settled, whoever wants it back.
    assert!(!anna.get(&page).await.shows("Вернуть в список"));
    anna.post(&format!("{page}/reopen"), &[]).await;
    let acts = "SELECT count(*) FROM operator_action WHERE kind = 'reopen'";
    assert_eq!(app.value::<i64>(acts).await, 0);
    let rejected = anna.get(&format!("{base}/rejected")).await;
    assert!(!rejected.shows("B-1") && rejected.shows("B-3"));
    anna.post(&format!("{base}/rejected/send"), &[]).await;
    // B-3 is another's.
    assert_eq!(app.count("journal_batch").await, batches + 1);
    let orders: i64 = app
        .value("SELECT count(*) FROM orders WHERE sender_id = 'B-1'")
        .await;
    assert_eq!((orders, marked(&app).await), (0, Vec::new()));
}

#[tokio::test]
async fn of_an_erased_order_nothing_is_sent_to_a_target() {
    let app = filled().await;
    let mut boss = Browser::of(&app, "boss").await;
    let client = number(&app, "c-1").await;
    let open: i32 = app
        .value("SELECT number FROM orders WHERE sender_id = 'O-1'")
        .await;
    let erase = format!("{CLIENTS}/{client}/erase");
    boss.post(&erase, &[("with_open_orders", "1")]).await;
    assert_eq!(
        app.count("target_delivery").await,
        0,
        "what was refused of them"
    );
    // Its status goes on, and is no news for a target: it would take the blanks for news, too.
    let order = format!("/console/p/demodelivery/orders/{open}");
    let version = boss.get(&order).await.field("version");
    let form = [("version", &*version), ("status", "removed")];
    let done = boss.post(&format!("{order}/status"), &form).await;
    assert_eq!(done.status, 303, "{}", done.text);
    let store = Store::new(app.database.options(), &app.database.settings());
    while store.place("demodelivery").await.unwrap() > 0 {}
    let takes = Takes {
        sender: true,
        operator: true,
        back_office: true,
    };
    let rows = store.target_rows("demodelivery", 0, takes).await.unwrap();
    let wanted: Vec<i32> = rows
        .iter()
        .filter(|row| row.is_wanted)
        .map(|row| row.order_number)
        .collect();
    let others: Vec<i32> = app
        .values("SELECT number FROM orders WHERE shipping_address->>'str' <> '' ORDER BY number")
        .await;
    assert!(rows.iter().any(|row| row.order_number == open));
    assert_eq!(wanted, others);
    let key = Target {
        publication: "demodelivery",
        name: "1c",
        since: None,
    };
    let all = [open, others[0]];
    let resent = store.resend(key, Which::Numbers(&all), None).await.unwrap();
    assert_eq!(resent, 1, "the other one");
}

#[tokio::test]
async fn whoever_wants_an_erased_order_sent_is_told_that_nothing_is_left() {
    let app = TestApp::with(|config| {
        operators(config);
        let target = "name = \"1c\"\nprotocol = \"one_c\"\nurl = \"http://127.0.0.1:1/a\"\n";
        config.publications[0].targets = vec![target_of(target)];
    })
    .await;
    app.accept(&order_of("c-1", "A-1")).await;
    let open: i32 = app.value("SELECT number FROM orders").await;
    let order = format!("/console/p/demodelivery/orders/{open}");
    let mut boss = Browser::of(&app, "boss").await;
    assert!(boss.get(&order).await.shows("Отправить ещё раз"));
    let erase = format!("{CLIENTS}/{}/erase", number(&app, "c-1").await);
    boss.post(&erase, &[("with_open_orders", "1")]).await;
    // A page that was open before has the button still.
    let seen = boss
        .post(&format!("{order}/resend"), &[("target", "1c")])
        .await;
    assert_eq!(seen.status, 409);
    let why = "Данные этого заказа стёрты по запросу клиента: отправлять нечего.";
    assert!(seen.shows(why), "{}", seen.text);
    assert!(!seen.text.contains("name=\"target\""), "{}", seen.text);
    assert_eq!(app.count("target_delivery").await, 0);
    let resent = "SELECT count(*) FROM operator_action WHERE kind = 'resend'";
    assert_eq!(app.value::<i64>(resent).await, 0);
}

#[tokio::test]
async fn the_feed_tells_nothing_of_an_erased_order_whoever_changes_it_and_goes_on_behind_it() {
    let app = TestApp::with(|config| {
        operators(config);
        with_back_office(config);
    })
    .await;
    app.accept(&order_of("c-1", "A-1")).await;
    app.accept(&order_of("c-2", "B-1")).await;
    let before = app.whole_feed("").await;
    assert_eq!(before.versions().len(), 2);
    let mut boss = Browser::of(&app, "boss").await;
    let erase = format!("{CLIENTS}/{}/erase", number(&app, "c-1").await);
    boss.post(&erase, &[("with_open_orders", "1")]).await;
    let number: i32 = app
        .value("SELECT number FROM orders WHERE sender_id = 'A-1'")
        .await;
    let order = format!("/console/p/demodelivery/orders/{number}");
    // Its status goes on, and 1C says what became of it.
    let form = [("version", "2"), ("status", "approved")];
    assert_eq!(
        boss.post(&format!("{order}/status"), &form).await.status,
        303
    );
    let result = json!({ "number": number, "receiver_number": "АВ-1", "status": "completed" });
    assert_eq!(app.report_one(&result).await["success"], true);
    let after = app.whole_feed(&before.cursor).await;
    assert!(after.orders.is_empty(), "blanks are no news");
    assert_ne!(after.cursor, before.cursor, "it is passed");
    let all = app.whole_feed("").await;
    assert_eq!(all.versions(), [("B-1", 1)]);
    // What comes behind it is told.
    app.accept(&order_of("c-3", "C-1")).await;
    let next = app.feed(&after.cursor).await;
    assert_eq!(next.versions(), [("C-1", 1)]);
    // If an open one comes in again, it is told of as ever.
    app.run("UPDATE orders SET status = 'new' WHERE sender_id = 'A-1'")
        .await;
    app.accept(&order_of("c-1", "A-1")).await;
    let again = app.whole_feed(&next.cursor).await;
    assert_eq!(again.orders.len(), 1, "{:?}", again.versions());
    assert_eq!(again.orders[0]["id"], "A-1");
}

#[tokio::test]
async fn a_client_that_is_in_another_publication_too_is_told_of_there() {
    let app = filled().await;
    let mut boss = Browser::of(&app, "boss").await;
    let client = number(&app, "c-1").await;
    let page = format!("{CLIENTS}/{client}");
    assert!(!boss.get(&page).await.shows("Есть и в других публикациях"));
    app.run(
        "INSERT INTO client (publication, number, sender_id, username, phone)
         VALUES ('доставка', 77, 'x', 'Он же', '+79161112233'), ('чужая', 78, 'x', 'Он же', '+79161112233')",
    )
    .await;
    let theirs = "/console/p/%D0%B4%D0%BE%D1%81%D1%82%D0%B0%D0%B2%D0%BA%D0%B0/clients/77";
    for path in [page.clone(), format!("{page}/erase")] {
        let seen = boss.get(&path).await;
        assert!(
            seen.text
                .contains(&format!("<a href=\"{theirs}\">доставка, 77</a>")),
            "{}",
            seen.text
        );
        assert!(!seen.shows("чужая"));
    }
}

#[tokio::test]
async fn a_clients_page_is_an_admins_of_that_publication_and_of_our_own_pages() {
    let app = filled().await;
    let client = number(&app, "c-1").await;
    let mut anna = Browser::of(&app, "Анна").await;
    let mut boss = Browser::of(&app, "boss").await;
    let page = format!("{CLIENTS}/{client}");
    let theirs =
        format!("/console/p/%D0%B4%D0%BE%D1%81%D1%82%D0%B0%D0%B2%D0%BA%D0%B0/clients/{client}");
    assert_eq!(anna.get(CLIENTS).await.status, 403);
    assert_eq!(anna.get(&page).await.status, 403);
    assert_eq!(boss.get(CLIENTS).await.status, 200);
    assert_eq!(boss.get(&theirs).await.status, 404);
    for action in ["export", "erase"] {
        assert_eq!(
            anna.post(&format!("{page}/{action}"), &[]).await.status,
            403,
            "{action}"
        );
        assert_eq!(
            boss.post(&format!("{theirs}/{action}"), &[]).await.status,
            404,
            "{action}"
        );
        let foreign = boss.form(&format!("{page}/{action}"), &[("with_open_orders", "1")]);
        let foreign = foreign.header("Origin", "https://evil.example");
        assert_eq!(boss.see(foreign).await.status, 403, "{action}");
    }
    // The link to it is an admin's.
    let order: i32 = app
        .value("SELECT number FROM orders WHERE sender_id = 'A-1'")
        .await;
    let order = format!("/console/p/demodelivery/orders/{order}");
    assert!(boss.get(&order).await.text.contains(&page));
    assert!(!anna.get(&order).await.text.contains(&page));
    assert!(!marked(&app).await.is_empty() && app.count("operator_action").await == 0);
}

#[tokio::test]
async fn a_batch_that_read_before_does_not_write_back_what_was_erased() {
    let app = filled().await;
    let client = number(&app, "c-1").await;
    let mut boss = Browser::of(&app, "boss").await;
    // What targets said names the client as it was called then.
    app.run("DELETE FROM target_attempt; DELETE FROM target")
        .await;
    // Changes of the open order, one after another, while its client is erased.
    let sending = async {
        for round in 0..20 {
            let plain = changed(order_of("c-1", "O-1"), "/total", 1000 + round);
            let response = app
                .request()
                .body(json!([plain]).to_string())
                .send()
                .await
                .unwrap();
            assert_eq!(response.status(), 200, "{INTAKE}");
        }
    };
    let erase = format!("{CLIENTS}/{client}/erase");
    let erasing = boss.post(&erase, &[("with_open_orders", "1")]);
    let ((), erased) = tokio::join!(sending, erasing);
    assert_eq!(erased.status, 303, "{}", erased.text);
    let left = marked(&app).await;
    assert_eq!(left, [""; 0], "{left:?}");
}

#[tokio::test]
async fn what_was_erased_is_not_sent_again_by_hand() {
    let app = filled().await;
    let operator = Operator::of(&app.database);
    operator
        .run(["client", "erase", "c-1", "--yes", "--with-open-orders"])
        .await
        .done();
    let batch: String = app
        .value("SELECT batch::text FROM journal_rejected WHERE order_key = 'B-1'")
        .await;
    let place: i32 = app
        .value("SELECT position FROM journal_rejected WHERE order_key = 'B-1'")
        .await;
    let said = operator
        .run(["journal", "resubmit", &format!("{batch}/{place}")])
        .await
        .refused();
    assert!(
        said.contains("was erased at its client's request"),
        "{said}"
    );
}
