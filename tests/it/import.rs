//! The receiver's own data (contract §5): catalogue, districts and clients come by `import`, and answers show them.

use std::path::Path;

use aqua_orders::{
    config::Publication,
    import::{self, Demo, Report},
    store::Store,
};
use encoding_rs::WINDOWS_1251;
use serde_json::{Value, json};

use crate::support::{
    app::{TestApp, changed, example_request, order},
    command::Operator,
    config::anonymous_publication,
    postgres::{TestDatabase, database},
};

async fn load_demo_once(
    store: &Store,
    publication: &Publication,
) -> Result<Option<Report>, import::Error> {
    let demo = Demo::read(publication).await;
    import::load_demo_once(store, publication, demo).await
}

/// Rows of a query that gives one text each, sorted.
async fn texts(database: &TestDatabase, sql: &'static str) -> Vec<String> {
    let mut rows: Vec<String> = sqlx::query_scalar(sql)
        .fetch_all(&database.pool())
        .await
        .unwrap();
    rows.sort();
    rows
}

const PRODUCTS: &str = "SELECT concat_ws(' ', number, active, name) FROM product";

#[tokio::test]
async fn csv_in_either_encoding_with_either_separator_and_json_say_the_same() {
    let database = database().await;
    let operator = Operator::of(&database);
    let semicolons =
        "number;name;sender_ids\r\n28;\"Вода; 19 л. \"\"Ваш\"\" бренд\";a|b\r\n36;Помпа;\r\n";
    let commas =
        "Sender_IDs,Number,Name\n\"a | b\",28,\"Вода; 19 л. \"\"Ваш\"\" бренд\"\n,36,Помпа\n";
    let json = json!([
        { "number": 28, "name": "Вода; 19 л. \"Ваш\" бренд", "sender_ids": ["a", "b"] },
        { "number": "36", "name": "Помпа" },
    ]);
    let files = [
        semicolons.as_bytes().to_vec(),
        format!("\u{feff}{semicolons}").into_bytes(),
        WINDOWS_1251.encode(semicolons).0.into_owned(),
        commas.as_bytes().to_vec(),
        WINDOWS_1251.encode(commas).0.into_owned(),
        json.to_string().into_bytes(),
    ];
    for (place, bytes) in files.iter().enumerate() {
        let file = operator.file("products", bytes);
        let said = operator.import("products", &file, &[]).await.done();
        let counts = if place == 0 {
            "products: 2 new, 0 changed, 0 unchanged, 0 refused\n"
        } else {
            "products: 0 new, 0 changed, 2 unchanged, 0 refused\n"
        };
        assert_eq!(said, counts, "file {place}");
    }
    let products = texts(&database, PRODUCTS).await;
    assert_eq!(products, ["28 t Вода; 19 л. \"Ваш\" бренд", "36 t Помпа"]);
}

#[tokio::test]
async fn an_import_says_what_is_new_changed_and_unchanged() {
    let database = database().await;
    let operator = Operator::of(&database);
    operator
        .imported("districts", "number;name\n1;Орбита\n2;Центр\n")
        .await;
    let said = operator
        .imported(
            "districts",
            "number;name\n1;Орбита ближняя\n2;Центр\n3;Эжва\n",
        )
        .await;
    assert_eq!(
        said,
        "districts: 1 new, 1 changed, 1 unchanged, 0 refused\n"
    );
    let districts = texts(
        &database,
        "SELECT concat_ws(' ', number, name) FROM district",
    )
    .await;
    assert_eq!(districts, ["1 Орбита ближняя", "2 Центр", "3 Эжва"]);

    operator
        .imported(
            "clients",
            "number;username;email\n1;Анна;a@example.org\n2;Борис;\n",
        )
        .await;
    // A missing column leaves what is stored, an empty cell clears it; a name cannot be cleared.
    let said = operator
        .imported(
            "clients",
            "number;username;coins_amount\n1;;1 234,50\n2;Борис;0\n3;Вера;\n",
        )
        .await;
    assert_eq!(said, "clients: 1 new, 1 changed, 1 unchanged, 0 refused\n");
    operator
        .imported("clients", "number;comment\n2;звонить\n")
        .await;
    operator.imported("clients", "number;comment\n2;\n").await;
    let clients = "SELECT concat_ws(' ', number, username, email, comment, coins_amount, account_number) FROM client";
    assert_eq!(
        texts(&database, clients).await,
        [
            "1 Анна a@example.org 1234.50 1",
            "2 Борис 0.00 2",
            "3 Вера 0.00 3"
        ]
    );
}

const BAD: &str = "\
number;sender_id;username;type;phone;account_number;coins_amount;loyalty_system_is_active;prices.product;prices.price
1;;Анна;fiz;9083280832;;;;;
2;;Борис;ooo;908;x;-1;maybe;;
3;;;fiz;;;;;;
;;Нина;;;;;;;
4;;Галина;fiz;;;;;99;1
5;Дина
6;;Егор;fiz;;;;;;
6;;Егорка;fiz;;;;;;
";

const REASONS: [&str; 11] = [
    "refused line 3: type: not allowed, use one of: fiz, jur",
    "refused line 3: phone: invalid format, use one of: ",
    "refused line 3: account_number: wrong type, an integer expected",
    "refused line 3: coins_amount: out of range: 0 … 9999999999.99",
    "refused line 3: loyalty_system_is_active: not allowed, use one of: true, false, 1, 0, да, нет",
    "refused line 4: username: is required",
    "refused line 5: number or sender_id must tell which record is meant",
    "refused line 6: prices.product: there is no product 99: import products first",
    "refused line 7: 2 cells where the header has 10 columns",
    "refused line 9: username: differs from line 8, which tells of the same record",
    "clients: 1 new, 0 changed, 0 unchanged, 6 refused",
];

#[tokio::test]
async fn one_bad_line_refuses_the_file_and_all_are_told_with_line_and_reason() {
    let database = database().await;
    let operator = Operator::of(&database);
    let file = operator.file("clients.csv", BAD.as_bytes());
    let said = operator.import("clients", &file, &[]).await.refused();
    for reason in REASONS {
        assert!(said.contains(reason), "{reason}\n{said}");
    }
    assert_eq!(
        said.matches("refused line").count(),
        REASONS.len() - 1,
        "{said}"
    );
    assert!(said.contains("--skip-bad"), "{said}");
    assert!(
        texts(&database, "SELECT username FROM client")
            .await
            .is_empty()
    );

    let said = operator
        .import("clients", &file, &["--skip-bad"])
        .await
        .done();
    for reason in REASONS {
        assert!(said.contains(reason), "{reason}\n{said}");
    }
    assert_eq!(
        texts(&database, "SELECT username FROM client").await,
        ["Анна"]
    );
}

#[tokio::test]
async fn a_dry_run_says_the_same_and_stores_nothing() {
    let database = database().await;
    let operator = Operator::of(&database);
    operator
        .imported("products", "number;name\n28;Вода\n")
        .await;
    let before = everything(&database).await;
    let file = operator.file(
        "products.csv",
        "number;name;sender_ids\n28;Вода 19 л.;\n;Новый;x\n".as_bytes(),
    );
    let dry = operator
        .import("products", &file, &["--dry-run"])
        .await
        .done();
    assert_eq!(
        dry,
        "products: 1 new, 1 changed, 0 unchanged, 0 refused\ndry run: nothing is stored\n"
    );
    assert_eq!(everything(&database).await, before);
    let said = operator.import("products", &file, &[]).await.done();
    assert_eq!(dry.lines().next(), said.lines().next());

    let file = operator.file("products.csv", "number;name\nx;Вода\n".as_bytes());
    let said = operator
        .import("products", &file, &["--dry-run"])
        .await
        .refused();
    assert!(
        said.contains("refused line 2: number: wrong type"),
        "{said}"
    );
}

/// Every row of the receiver's tables with the transaction that wrote it, and the counters.
async fn everything(database: &TestDatabase) -> Vec<String> {
    texts(
        database,
        "SELECT concat(xmin, t::text) FROM district t
         UNION ALL SELECT concat(xmin, t::text) FROM product t
         UNION ALL SELECT concat(xmin, t::text) FROM product_sender_id t
         UNION ALL SELECT concat(xmin, t::text) FROM client t
         UNION ALL SELECT concat(xmin, t::text) FROM client_price t
         UNION ALL SELECT concat(xmin, t::text) FROM address t
         UNION ALL SELECT concat(xmin, t::text) FROM number_counter t",
    )
    .await
}

#[tokio::test]
async fn wrong_use_ends_with_2_and_what_cannot_be_read_with_1() {
    let database = database().await;
    let operator = Operator::of(&database);
    let file = operator.file("goods.csv", "number;nam\n1;Вода\n".as_bytes());
    let path = file.to_str().unwrap();
    for args in [
        &["import", "goods", path, "--publication", "demodelivery"][..],
        &["import", "products", path],
        &["import", "products", "--publication", "demodelivery"],
        &[
            "import",
            "products",
            path,
            "--publication",
            "demodelivery",
            "--skip",
        ],
    ] {
        assert_eq!(operator.run(args).await.code, Some(2), "{args:?}");
    }
    let said = operator
        .import("products", &file, &["--skip-bad"])
        .await
        .refused();
    assert!(
        said.contains("unknown column \"nam\": did you mean name?"),
        "{said}"
    );
    let said = operator
        .import("products", Path::new("nowhere.csv"), &[])
        .await
        .refused();
    assert!(said.contains("cannot read nowhere.csv"), "{said}");
    let said = operator
        .run(["import", "products", path, "--publication", "other"])
        .await
        .refused();
    assert!(
        said.contains("there is no publication other: there is demodelivery"),
        "{said}"
    );
    let help = operator.run(["import", "--help"]).await.done();
    for column in [
        "sender_ids",
        "prices.active",
        "bank_account.correspondent_account",
        "addresses.district",
    ] {
        assert!(help.contains(column), "{column}\n{help}");
    }
}

#[tokio::test]
async fn a_product_may_answer_to_several_sender_ids() {
    let app = TestApp::start().await;
    let operator = Operator::of(&app.database);
    operator
        .imported(
            "products",
            "number;name;sender_ids\n28;Вода 19 л.;water-19|bottle\n36;Помпа;\n",
        )
        .await;
    let product_of = async |id: &str, product: &str| {
        let order = changed(order(id), "/order_item_list/0/product_id", product);
        app.accept(&order).await["order_item_list"][0]["product_id"].clone()
    };
    assert_eq!(product_of("1", "water-19").await, 28);
    assert_eq!(product_of("2", "bottle").await, 28);
    assert_eq!(product_of("3", "pump").await, Value::Null);

    // More ids are added, and one that meant another product moves, which is said.
    let said = operator
        .imported("products", "number;sender_ids\n36;pump\n36;bottle\n")
        .await;
    assert_eq!(
        said,
        "line 2: sender id bottle meant product 28 and now means product 36\n\
         products: 0 new, 1 changed, 0 unchanged, 0 refused\n"
    );
    assert_eq!(product_of("4", "water-19").await, 28);
    assert_eq!(product_of("5", "bottle").await, 36);
    assert_eq!(product_of("3", "pump").await, 36);

    // By a sender's id alone; ids of two products mean neither.
    operator
        .imported(
            "products",
            "sender_ids;name;active\npump;Помпа ручная;нет\n",
        )
        .await;
    assert_eq!(
        texts(&app.database, PRODUCTS).await,
        ["28 t Вода 19 л.", "36 f Помпа ручная"]
    );
    let file = operator.file("p.csv", b"sender_ids\npump|water-19\n");
    let said = operator.import("products", &file, &[]).await.refused();
    assert!(
        said.contains(
            "refused line 2: sender_ids: means product 28 and product 36: give the number"
        ),
        "{said}"
    );
}

#[tokio::test]
async fn a_number_in_the_file_is_taken_as_it_is_and_a_row_without_one_gets_the_next_free_number() {
    let app = TestApp::start().await;
    let operator = Operator::of(&app.database);
    operator
        .imported(
            "products",
            "number;sender_ids;name\n;a;A\n2;;B\n;c;C\n1;;D\n2147483647;;E\n",
        )
        .await;
    assert_eq!(
        texts(&app.database, PRODUCTS).await,
        ["1 t D", "2 t B", "2147483647 t E", "3 t A", "4 t C"]
    );
    operator
        .imported(
            "clients",
            "number;sender_id;username;addresses.number;addresses.city;addresses.street;addresses.house;addresses.str\n\
             2;;Анна;1;Сыктывкар;Кутузова;1;К 1\n;b;Борис;;Сыктывкар;Кутузова;2;К 2\n",
        )
        .await;
    let clients =
        "SELECT concat_ws(' ', c.number, c.username, a.number) FROM client c JOIN address a
                   ON a.publication = c.publication AND a.client_number = c.number";
    assert_eq!(
        texts(&app.database, clients).await,
        ["1 Борис 2", "2 Анна 1"]
    );
    // The counters go on behind what import took, and skip what it brought along.
    assert_eq!(app.accept(&order("1")).await["client"]["id"], 3);
    assert_eq!(app.accept(&order("1")).await["shipping_address"]["id"], 3);
}

/// A client over three lines: two addresses, two prices, its own columns once repeated and once left out.
const CLIENT: &str = "\
number;sender_id;username;phone;phones;account_number;bank_account.inn;bank_account.bank_name;legal_address;coins_amount;\
loyalty_system_is_active;addresses.number;addresses.sender_id;addresses.city;addresses.street;addresses.house;\
addresses.str;addresses.district;prices.product;prices.price;prices.active
7;uid-7;ООО \"Ромашка\";8 (908) 328-08-32;89083280832|+79191991919;777;1101000000;Банк;Адрес 1|Адрес 2;12,5;нет;\
11;;Сыктывкар;Кутузова;21;Кутузова 21;1;28;300;
7;uid-7;ООО \"Ромашка\";89083280832;;777;1101000000;Банк;Адрес 1|Адрес 2;12,5;нет;\
12;office;Сыктывкар;Ленина;5;Ленина 5;;36;101;0
7;;;;;;;;;;;11;;Сыктывкар;Кутузова;21;Кутузова 21;1;36;101;0
";

#[tokio::test]
async fn what_was_imported_of_a_client_stands_in_its_orders_answers() {
    let app = TestApp::start().await;
    let operator = Operator::of(&app.database);
    operator
        .imported("districts", "number;name\n1;Орбита\n")
        .await;
    operator
        .imported(
            "products",
            "number;name;sender_ids\n28;Вода;water-19\n36;Помпа;\n",
        )
        .await;
    let said = operator.imported("clients", CLIENT).await;
    assert_eq!(said, "clients: 1 new, 0 changed, 0 unchanged, 0 refused\n");
    let said = operator.imported("clients", CLIENT).await;
    assert_eq!(said, "clients: 0 new, 0 changed, 1 unchanged, 0 refused\n");

    let sent = changed(order("1"), "/client", json!({ "id": "uid-7" }));
    let sent = changed(sent, "/shipping_address/user_address_id", json!(12));
    let sent = changed(sent, "/shipping_address/street", "Ленина");
    let sent = changed(sent, "/shipping_address/house", "5");
    let sent = changed(sent, "/shipping_address/str", "Ленина 5");
    let answer = app.accept(&sent).await;
    assert_eq!(answer["shipping_address"]["external_id"], "office");
    assert_eq!(answer["account_number"], 777);
    let client = &answer["client"];
    assert_eq!(
        [
            &client["id"],
            &client["username"],
            &client["phones"],
            &client["coins_amount"]
        ],
        [
            &json!(7),
            &json!("ООО \"Ромашка\""),
            &json!(["9083280832", "9191991919"]),
            &json!(12.5)
        ]
    );
    assert_eq!(client["requisites"]["bank_account"]["bank_name"], "Банк");
    assert_eq!(client["requisites"]["bank_account"]["kpp"], Value::Null);
    assert_eq!(client["legal_address"], json!(["Адрес 1", "Адрес 2"]));
    assert_eq!(client["loyalty_system_is_active"], false);
    assert_eq!(
        client["product_price_list"],
        json!({
            "28": { "product_id": 28, "external_product_id": "water-19", "price": "300.00", "active": true },
            "36": { "product_id": 36, "external_product_id": null, "price": "101.00", "active": false },
        })
    );
    let addresses: Vec<_> = client["addresses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|address| {
            (
                address["id"].clone(),
                address["name"].clone(),
                address["district_id"].clone(),
            )
        })
        .collect();
    assert_eq!(
        addresses,
        [
            (
                json!(11),
                json!("Кутузова, д. 21, г. Сыктывкар – Орбита"),
                json!(1)
            ),
            (json!(12), json!("Ленина, д. 5, г. Сыктывкар"), Value::Null),
        ]
    );
}

#[tokio::test]
async fn who_is_who_is_never_guessed() {
    let database = database().await;
    let operator = Operator::of(&database);
    operator
        .imported(
            "clients",
            "number;sender_id;username;addresses.number;addresses.sender_id;addresses.city;addresses.street;addresses.house;addresses.str\n\
             1;a;Анна;10;home;С;К;1;К 1\n2;b;Борис;20;;С;К;2;К 2\n3;;Вера;;;;;;\n",
        )
        .await;
    for (text, reason) in [
        (
            "number;sender_id\n2;a\n",
            "line 2: sender_id: belongs to client 1",
        ),
        (
            "number;sender_id\n3;a\n",
            "line 2: sender_id: belongs to client 1",
        ),
        (
            "number;sender_id\n2;c\n",
            "line 2: sender_id: client 2 has another sender id",
        ),
        (
            "number;sender_id\n1;\n;a\n",
            "line 3: sets client 1, as line 2 does",
        ),
        (
            "number;addresses.number\n2;10\n",
            "line 2: addresses.number: address 10 belongs to client 1",
        ),
        (
            "number;addresses.number;addresses.sender_id\n1;10;work\n",
            "line 2: addresses.sender_id: address 10 has another sender id",
        ),
        (
            "number;addresses.sender_id\n1;work\n",
            "line 2: addresses.city: is required",
        ),
        (
            "number;addresses.number;addresses.district\n1;10;5\n",
            "there is no district 5",
        ),
        (
            "number;addresses.number;addresses.room\n1;10;1\n1;10;2\n",
            "line 3: sets address 10, as line 2 does",
        ),
    ] {
        let file = operator.file("clients.csv", text.as_bytes());
        let said = operator.import("clients", &file, &[]).await.refused();
        assert!(said.contains(reason), "{text}{said}");
    }
    // What is told rightly is taken: an id by one who has none, an address by its own id, by its content.
    let said = operator
        .imported(
            "clients",
            "number;sender_id;addresses.sender_id;addresses.city;addresses.street;addresses.house;addresses.str;addresses.room\n\
             3;c;;;;;;\n1;;home;;;;;4\n;b;;С;К;2;К 2;\n",
        )
        .await;
    assert_eq!(said, "clients: 0 new, 2 changed, 1 unchanged, 0 refused\n");
    let addresses = "SELECT concat_ws(' ', number, client_number, sender_id, room) FROM address";
    assert_eq!(texts(&database, addresses).await, ["10 1 home 4", "20 2"]);
}

#[tokio::test]
async fn a_changed_client_raises_its_version_and_an_unchanged_file_writes_nothing() {
    let database = database().await;
    let operator = Operator::of(&database);
    operator
        .imported("products", "number;name\n28;Вода\n")
        .await;
    let versions = "SELECT concat_ws(' ', number, version) FROM client";
    let steps = [
        ("number;username\n1;Анна\n2;Борис\n", ["1 1", "2 1"]),
        ("number;username\n1;Анна Б.\n2;Борис\n", ["1 2", "2 1"]),
        (
            "number;prices.product;prices.price\n1;28;100\n",
            ["1 3", "2 1"],
        ),
        (
            "number;prices.product;prices.price;prices.active\n1;28;100;0\n",
            ["1 4", "2 1"],
        ),
        (
            "number;addresses.city;addresses.street;addresses.house;addresses.str\n1;С;К;1;К 1\n",
            ["1 5", "2 1"],
        ),
        ("number;bank_account.inn\n1;1101000000\n", ["1 6", "2 1"]),
        ("number;legal_address\n1;А|Б\n", ["1 7", "2 1"]),
    ];
    for (text, after) in steps {
        operator.imported("clients", text).await;
        assert_eq!(texts(&database, versions).await, after, "{text}");
        let before = everything(&database).await;
        operator.imported("clients", text).await;
        assert_eq!(everything(&database).await, before, "{text}");
    }
}

#[tokio::test]
async fn an_import_while_orders_of_its_clients_are_posted_loses_neither() {
    const ROUNDS: usize = 8;
    let app = TestApp::start().await;
    let operator = Operator::of(&app.database);
    operator
        .imported("products", "number;name\n28;Вода\n")
        .await;
    let clients = |price: usize| {
        let mut lines = vec!["sender_id;username;prices.product;prices.price".to_owned()];
        lines.extend((0..40).map(|client| format!("c{client};Клиент {client};28;{price}")));
        lines.join("\n")
    };
    operator.imported("clients", &clients(0)).await;

    let posting = async {
        let sender = async |sender: usize| {
            for round in 0..ROUNDS * 4 {
                // Every batch changes all clients: a new comment and a new address for each.
                let batch: Vec<Value> = (0..40)
                    .map(|client| {
                        let client = if usize::is_multiple_of(sender, 2) { client } else { 39 - client };
                        let sent = order(&format!("{sender} {round} {client}"));
                        let client = json!({ "id": format!("c{client}"), "comment": format!("{sender} {round}") });
                        let sent = changed(sent, "/client", client);
                        changed(sent, "/shipping_address/room", format!("{sender} {round}"))
                    })
                    .collect();
                let answer = app.post(&json!(batch)).await;
                for order in &batch {
                    answer.order(order["id"].as_str().unwrap());
                }
            }
        };
        tokio::join!(sender(0), sender(1), sender(2))
    };
    let importing = async {
        for price in 1..=ROUNDS {
            operator.imported("clients", &clients(price)).await;
        }
    };
    tokio::join!(posting, importing);

    assert_eq!(
        app.count("orders").await,
        i64::try_from(3 * 4 * ROUNDS * 40).unwrap()
    );
    assert_eq!(app.count("client").await, 40);
    assert_eq!(
        app.count("address").await,
        i64::try_from(3 * 4 * ROUNDS * 40).unwrap()
    );
    let prices = texts(
        &app.database,
        "SELECT DISTINCT price::text FROM client_price",
    )
    .await;
    assert_eq!(prices, [format!("{ROUNDS}.00")]);
    let sent = changed(order("last"), "/client", json!({ "id": "c7" }));
    let answer = app.accept(&sent).await;
    assert_eq!(answer["client"]["username"], "Клиент 7");
    assert_eq!(
        answer["client"]["product_price_list"]["28"]["price"],
        format!("{ROUNDS}.00")
    );
}

#[tokio::test]
async fn two_imports_of_one_publication_take_turns() {
    let database = database().await;
    let operator = Operator::of(&database);
    let text = |name: &str| {
        let mut lines = vec!["sender_ids;name".to_owned()];
        lines.extend((0..500).map(|product| format!("p{product};{name}")));
        lines.join("\n")
    };
    let (one, other) = (
        operator.file("one.csv", text("Один").as_bytes()),
        operator.file("other.csv", text("Другой").as_bytes()),
    );
    let (one, other) = tokio::join!(
        operator.import("products", &one, &[]),
        operator.import("products", &other, &[])
    );
    let mut said = [one.done(), other.done()];
    said.sort();
    assert_eq!(
        said,
        [
            "products: 0 new, 500 changed, 0 unchanged, 0 refused\n",
            "products: 500 new, 0 changed, 0 unchanged, 0 refused\n"
        ]
    );
    let names = texts(&database, "SELECT DISTINCT name FROM product").await;
    assert_eq!(names.len(), 1, "{names:?}");
}

fn demo() -> Publication {
    Publication {
        demo_data: Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("config/demo")),
        ..anonymous_publication("demodelivery", &[])
    }
}

fn store(database: &TestDatabase) -> Store {
    Store::new(database.options(), &database.settings())
}

#[tokio::test]
async fn the_demo_data_is_loaded_once_by_whoever_comes_first() {
    let database = database().await;
    let (stores, demo) = (
        [store(&database), store(&database), store(&database)],
        demo(),
    );
    let [a, b, c] = &stores;
    let (a, b, c) = tokio::join!(
        load_demo_once(a, &demo),
        load_demo_once(b, &demo),
        load_demo_once(c, &demo)
    );
    let loaded: Vec<_> = [a, b, c].into_iter().filter_map(Result::unwrap).collect();
    assert_eq!(loaded.len(), 1);
    let totals = loaded[0].totals;
    assert_eq!(
        [
            totals.districts.new,
            totals.products.new,
            totals.clients.new
        ],
        [1, 2, 1]
    );
    let before = everything(&database).await;

    // Never again, also not where an operator took everything away.
    assert!(load_demo_once(&stores[0], &demo).await.unwrap().is_none());
    assert_eq!(everything(&database).await, before);
    for table in [
        "client_price",
        "address",
        "client",
        "product_sender_id",
        "product",
        "district",
    ] {
        sqlx::query(sqlx::AssertSqlSafe(format!("DELETE FROM {table}")))
            .execute(&database.pool())
            .await
            .unwrap();
    }
    assert!(load_demo_once(&stores[0], &demo).await.unwrap().is_none());
    assert!(texts(&database, PRODUCTS).await.is_empty());
}

#[tokio::test]
async fn the_demo_data_is_not_loaded_beside_data_of_ones_own() {
    let database = database().await;
    Operator::of(&database)
        .imported("products", "number;name\n1;Вода\n")
        .await;
    let loaded = load_demo_once(&store(&database), &demo()).await.unwrap();
    assert!(loaded.is_none());
    assert_eq!(texts(&database, PRODUCTS).await, ["1 t Вода"]);
}

#[tokio::test]
async fn demo_data_with_a_bad_line_is_not_loaded_at_all() {
    let database = database().await;
    let folder = tempfile::tempdir().unwrap();
    let demo = Publication {
        demo_data: Some(folder.path().to_owned()),
        ..demo()
    };
    let error = load_demo_once(&store(&database), &demo).await.unwrap_err();
    assert!(matches!(error, import::Error::NoDemo(_)), "{error}");
    std::fs::write(
        folder.path().join("districts.csv"),
        "number;name\n1;Орбита\n",
    )
    .unwrap();
    std::fs::write(
        folder.path().join("products.csv"),
        "number;name\n1;Вода\n2;\n",
    )
    .unwrap();
    let error = load_demo_once(&store(&database), &demo).await.unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("products.csv, line 3: name: is required"),
        "{error}"
    );
    assert!(
        texts(&database, "SELECT name FROM district")
            .await
            .is_empty()
    );
}

const ID: &str = "657f9553-ff97-11e9-80d3-001e4f377cd7";

#[tokio::test]
async fn with_the_demo_data_the_example_is_answered_as_in_the_document() {
    let app = TestApp::with(|config| {
        config.publications[0].first_numbers.order = 50894;
        config.publications[0].first_numbers.address = 3000;
    })
    .await;
    load_demo_once(&store(&app.database), &demo())
        .await
        .unwrap();
    let first = app.post(&example_request()).await;
    assert_eq!(first.order(ID)["status"], "new");
    assert_eq!(first.warnings(ID), Vec::<String>::new());
    // The document's operator has approved the order by the time of its answer.
    let operator = Operator::of(&app.database);
    operator
        .run(["order", "set-status", ID, "approved"])
        .await
        .done();

    let answer = app.post(&example_request()).await;
    let order = answer.order(ID);
    let document: Value =
        serde_json::from_str(include_str!("../data/example-response.json")).unwrap();
    let mut expected = document["data"][ID]["data"][0].clone();
    // What the contract has otherwise: the moment of the first intake, a later revision's field, the stored address,
    // and the address that the request itself brings.
    expected["created_at"] = order["created_at"].clone();
    expected["payment_status"] = json!(false);
    let sent = json!({
        "id": 3000,
        "external_id": "78e66cef-ae2c-11e6-9bf1-f8a9634f667f",
        "name": "Кутузова, д. 19, г. Сыктывкар",
        "city": "Сыктывкар",
        "street": "Кутузова",
        "house": "19",
        "room": null,
        "entrance": null,
        "floor": null,
        "district_id": null,
        "str": "город Сыктывкар улица Кутузова дом 19",
    });
    expected["shipping_address"] = changed(sent.clone(), "/user_address_id", json!(3000));
    expected["client"]["addresses"]
        .as_array_mut()
        .unwrap()
        .push(sent);
    assert_eq!(*order, expected);
}
