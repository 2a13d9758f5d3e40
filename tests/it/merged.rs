//! What was merged under an id that is no identity, before the reader took such an id for none, is found afterwards.

use aqua_orders::store::Store;
use serde_json::{Value, json};

use crate::support::{
    app::{TestApp, changed, order},
    command::Operator,
};

const NIL: &str = "00000000-0000-0000-0000-000000000000";

/// An order of that client, to be delivered in a far future.
fn of(id: &str, client: &str, username: &str) -> Value {
    let mut order = changed(order(id), "/client/id", json!(client));
    order["client"]["username"] = json!(username);
    order["shipping_date_to"] = json!("2100-01-01 12:00");
    order
}

#[tokio::test]
async fn clients_addresses_and_orders_that_were_merged_under_a_placeholder_id_are_listed_with_their_open_orders()
 {
    let app = TestApp::start().await;
    let operator = Operator::of(&app.database);
    let numbers = async |table: &str, sender_id: &str| -> i32 {
        app.value(format!(
            "SELECT number FROM {table} WHERE sender_id = '{sender_id}'"
        ))
        .await
    };
    // As the release before stored them.
    app.post(&json!([
        of("1", "zero", "Иван"),
        of("2", "zero", "Мария"),
        changed(of("3", "zero", "Олег"), "/status", json!("completed")),
        changed(
            of("4", "zero", "Олег"),
            "/shipping_date_to",
            json!("2026-11-06 22:00")
        ),
        of("5", "nil", "Пётр"),
        of("6", "blank", "Анна"),
        of("7", "somebody", "Вера"),
        of("8", "somebody", "Вера"),
        of("9", "10", "Нил"),
        of("zero", "x", "Зоя"),
    ]))
    .await
    .order("zero");
    let client = numbers("client", "zero").await;
    app.run(&format!(
            "UPDATE client SET sender_id = '0' WHERE sender_id = 'zero';
             UPDATE client SET sender_id = '{NIL}' WHERE sender_id = 'nil';
             UPDATE client SET sender_id = E' \\u00a00\\u200b ' WHERE sender_id = 'blank';
             UPDATE orders SET sender_id = '-0' WHERE sender_id = 'zero';
             UPDATE address SET sender_id = '0'
             WHERE client_number = (SELECT number FROM client WHERE sender_id = 'somebody');
             UPDATE address SET sender_id = '0' WHERE client_number = (SELECT number FROM client WHERE sender_id = '10')"
        ),
    )
    .await;
    let (one, two) = (numbers("orders", "1").await, numbers("orders", "2").await);
    let (seven, eight) = (numbers("orders", "7").await, numbers("orders", "8").await);
    let said = operator.run(["doctor"]).await;
    assert_eq!(said.code, Some(1), "{}", said.stdout);
    let doctor = said.stdout;
    for part in [
        "FAULT  merged records: publication demodelivery has 3 client record(s)",
        &format!("client {client} (id \"0\"): now Олег; 4 order(s), 2 open: {two}, {one}\n"),
        &format!("(id \"{NIL}\"): now Пётр; 1 order(s), 1 open: "),
        ": now Анна; 1 order(s), 1 open: ",
        "4 order(s) are open: compare them with the site",
        // The only order to an address is nobody else's.
        "FAULT  merged records: publication demodelivery has 1 address record(s)",
        &format!("город Сыктывкар улица Кутузова дом 19; 2 order(s), 2 open: {eight}, {seven}\n"),
        "FAULT  merged records: publication demodelivery has 1 order record(s)",
        "(id \"-0\") of client ",
        "ask the site which orders these were",
    ] {
        assert!(doctor.contains(part), "{part}\n{doctor}");
    }

    // Once nothing is open, it is no fault any more.
    app.run("UPDATE orders SET status = 'completed'").await;
    let said = operator.run(["doctor"]).await;
    let doctor = said.stdout;
    assert!(!doctor.contains("FAULT  merged"), "{doctor}");
    assert!(
        doctor.contains("note   merged records: publication demodelivery has 3 client record(s)"),
        "{doctor}"
    );
}

#[tokio::test]
async fn the_list_of_merged_records_is_bounded_and_none_are_none() {
    let app = TestApp::start().await;
    let operator = Operator::of(&app.database);
    let orders: Vec<Value> = (1..=25)
        .map(|n| of(&n.to_string(), "somebody", "Вера"))
        .collect();
    app.post(&json!(orders)).await.order("25");
    let none = operator.run(["doctor"]).await.stdout;
    assert!(
        none.contains("merged records: publication demodelivery has none"),
        "{none}"
    );
    app.run("UPDATE client SET sender_id = '0';
         INSERT INTO client (publication, number, sender_id, username)
         SELECT publication, 1000 + n, repeat(' ', n) || '0', 'Гость' FROM client, generate_series(1, 20) n",
    )
    .await;
    let doctor = operator.run(["doctor"]).await.stdout;
    assert!(doctor.contains("has 21 client record(s)"), "{doctor}");
    let listed = doctor
        .lines()
        .filter(|line| line.trim().starts_with("client "));
    assert_eq!(listed.count(), 10, "{doctor}");
    assert!(doctor.contains("and 11 more\n"), "{doctor}");
    assert!(
        doctor.contains("25 open: ") && doctor.contains(" and 15 more\n"),
        "{doctor}"
    );
}

#[tokio::test]
async fn whatever_the_reader_drops_around_a_placeholder_id_is_found_and_a_text_that_is_an_id_is_not()
 {
    let app = TestApp::start().await;
    let store = Store::new(app.database.options(), &app.database.settings());
    let blanks = "\t\n\r \u{85}\u{a0}\u{ad}\u{1680}\u{2000}\u{200a}\u{200b}\u{200e}\u{200f}\u{2028}\u{202f}\u{205f}\
                  \u{2060}\u{2061}\u{2062}\u{2063}\u{2064}\u{202a}\u{202e}\u{2066}\u{2069}\u{fe0f}\u{3000}\u{feff}";
    let around = |id: &str| {
        let alone = blanks.chars().map(|blank| format!("{blank}{id}{blank}"));
        alone.chain([id.to_owned()]).collect::<Vec<_>>()
    };
    // What is no identity is not stored: of each of these the client is known by the phone.
    let placeholders = ["0", NIL, "-0", "00", "0.0", "0.", "0-0", "+0", "{0}"].map(String::from);
    let nil = [format!("{{{NIL}}}"), NIL.replace('-', "")];
    let placeholders = placeholders.iter().chain(&nil);
    let mut ids: Vec<String> = placeholders.flat_map(|id| around(id)).collect();
    for id in &ids {
        let mut guests = of("1", id, "Вера");
        guests["client"]["phone"] = json!("+79191991919");
        app.accept(&guests).await;
    }
    assert_eq!(app.count("client").await, 1);
    // Each of these is one.
    let identities = [
        "0 0",
        "_0",
        "0\u{2065}",
        "0a",
        "10",
        "{1}",
        "-",
        "{}",
        ".",
        "000017845",
    ];
    for id in identities {
        app.accept(&of(id, id, "Вера")).await;
    }
    assert_eq!(app.count("client").await, 11);
    for (number, id) in (1000..).zip(&ids) {
        sqlx::query("INSERT INTO client (publication, number, sender_id, username) VALUES ('demodelivery', $1, $2, '')")
            .bind(number)
            .bind(id)
            .execute(&app.pool())
            .await
            .unwrap();
    }
    let found = store.merged("demodelivery", 1000).await.unwrap();
    let mut found: Vec<String> = found.into_iter().map(|merged| merged.sender_id).collect();
    found.sort_unstable();
    ids.sort_unstable();
    assert_eq!(found, ids);
}
