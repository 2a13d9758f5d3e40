//! The rules of contract §4 and §5, a row each.

use serde_json::{Value, json};

use crate::order::world::{MOST_ADDRESSES, World, address, order};

/// What is stored, what comes then, and what becomes of the last order of that.
struct Rule {
    says: &'static str,
    stored: Vec<Value>,
    sent: Vec<Value>,
    becomes: Becomes,
}

enum Becomes {
    /// With these warnings, each `field: code`; and its answer shows these values.
    Accepted(Vec<&'static str>, Vec<(&'static str, Value)>),
    /// With these faults.
    Rejected(Vec<&'static str>),
}

use Becomes::{Accepted, Rejected};

fn hold(rules: Vec<Rule>) {
    hold_where(false, rules);
}

fn hold_where(anybody_may_post: bool, rules: Vec<Rule>) {
    for rule in rules {
        let says = rule.says;
        let mut world = World {
            anybody_may_post,
            ..World::default()
        };
        for order in rule.stored {
            let answer = world.send(&[order]);
            let entry = answer["data"]
                .as_object()
                .and_then(|data| data.values().next());
            assert_eq!(
                entry.expect("an entry")["success"],
                true,
                "{says}: {answer}"
            );
        }
        let key = rule.sent.last().expect("an order")["id"].clone();
        let answer = world.send(&rule.sent);
        let entry = &answer["data"][key.as_str().expect("a text")];
        let told = |list: &str| -> Vec<String> {
            let list = entry[list].as_array().into_iter().flatten();
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            list.map(|one| format!("{}: {}", text(&one["field"]), text(&one["code"])))
                .collect()
        };
        match rule.becomes {
            Accepted(warnings, shows) => {
                assert_eq!(entry["success"], true, "{says}: {entry}");
                assert_eq!(told("warnings"), warnings, "{says}");
                for (pointer, value) in shows {
                    assert_eq!(
                        entry["data"][0].pointer(pointer),
                        Some(&value),
                        "{says}: {pointer}"
                    );
                }
            }
            Rejected(faults) => {
                assert_eq!(entry["success"], false, "{says}: {entry}");
                assert_eq!(told("errors"), faults, "{says}");
            }
        }
    }
}

/// An order of the client `one`, with these fields set.
fn of(id: &str, fields: Value) -> Value {
    let mut order = order(id, &[], 1);
    let Value::Object(fields) = fields else {
        panic!("{fields}");
    };
    for (field, value) in fields {
        order[field] = value;
    }
    order
}

fn plain(id: &str) -> Value {
    of(id, json!({}))
}

fn of_client(id: &str, client: Value) -> Value {
    let mut order = plain(id);
    order["client"] = client;
    order
}

fn guest(phone: &str) -> Value {
    json!({ "username": "Гость", "phone": phone })
}

fn registered(id: &str, phone: &str) -> Value {
    json!({ "id": id, "username": "Клиент", "phone": phone })
}

fn plain_of_phone(id: &str, phone: &str) -> Value {
    of_client(id, registered("one", phone))
}

fn finished(id: &str, client: Value) -> Value {
    let mut order = of_client(id, client);
    order["status"] = json!("completed");
    order
}

fn cancelled(id: &str) -> Value {
    json!({ "id": id, "status": "removed" })
}

/// An order whose client lists these addresses.
fn listing(id: &str, addresses: Vec<Value>) -> Value {
    let mut order = plain(id);
    order["client"]["addresses"] = addresses.into();
    order
}

fn named(house: usize, id: &str) -> Value {
    let mut address = address(house);
    address["id"] = json!(id);
    address
}

fn to(id: &str, shipping_address: Value) -> Value {
    let mut order = plain(id);
    order["shipping_address"] = shipping_address;
    order
}

fn numbered(house: usize, number: i32) -> Value {
    let mut address = address(house);
    address["user_address_id"] = json!(number);
    address
}

/// What a cancellation lacks that says nothing else.
const LACKS_ALL: [&str; 6] = [
    "total: required",
    "shipping_date_from: required",
    "shipping_date_to: required",
    "order_item_list: required",
    "client: required",
    "shipping_address: required",
];
const NAME_REQUIRED: &str = "client.username: required";
const NUMBER_IGNORED: &str = "client.external_id: external_id_ignored";

#[test]
fn identity() {
    let one = |fields: Value| {
        let mut client = json!({ "id": "one", "username": "Один" });
        for (field, value) in fields.as_object().expect("an object") {
            client[field] = value.clone();
        }
        client
    };
    let strangers = json!({
        "id": "a", "status": "removed", "comment": "чужой",
        "client": { "id": "unknown", "email": "who@example.org" }, "shipping_address": address(9),
    });
    hold(vec![
        Rule {
            says: "An order that is known by its id keeps its number.",
            stored: vec![plain("a")],
            sent: vec![plain("a")],
            becomes: Accepted(vec![], vec![("/id", json!("100"))]),
        },
        Rule {
            says: "An order whose number is free adopts it.",
            stored: vec![],
            sent: vec![of("a", json!({ "external_id": 77 }))],
            becomes: Accepted(vec![], vec![("/id", json!("77"))]),
        },
        Rule {
            says: "An order with another order's number is a clash.",
            stored: vec![plain("a")],
            sent: vec![of("b", json!({ "external_id": 100 }))],
            becomes: Rejected(vec!["external_id: conflict"]),
        },
        Rule {
            says: "A number that is nobody's is not taken by an order that has one.",
            stored: vec![plain("a")],
            sent: vec![of("a", json!({ "external_id": 77 }))],
            becomes: Accepted(
                vec!["external_id: external_id_ignored"],
                vec![("/id", json!("100"))],
            ),
        },
        Rule {
            says: "A number that comes along in a batch is not given to another order on the way.",
            stored: vec![],
            sent: vec![of("b", json!({ "external_id": 100 })), plain("a")],
            becomes: Accepted(vec![], vec![("/id", json!("101"))]),
        },
        Rule {
            says: "A client that is known by its number takes the id that comes with it.",
            stored: vec![of_client(
                "a",
                json!({ "external_id": 7, "username": "Седьмой" }),
            )],
            sent: vec![of_client("b", json!({ "id": "seven", "external_id": 7 }))],
            becomes: Accepted(
                vec![],
                vec![
                    ("/client/id", json!(7)),
                    ("/client/external_id", json!("seven")),
                ],
            ),
        },
        Rule {
            says: "A clash of a client loses no order: the sender's id decides, a new one gets another number.",
            stored: vec![plain("a")],
            sent: vec![of_client(
                "b",
                json!({ "id": "two", "username": "Два", "external_id": 100 }),
            )],
            becomes: Accepted(vec![NUMBER_IGNORED], vec![("/client/id", json!(101))]),
        },
        Rule {
            says: "A known client is known by its id, whatever number comes along.",
            stored: vec![plain("a")],
            sent: vec![of_client("b", one(json!({ "external_id": 7 })))],
            becomes: Accepted(vec![NUMBER_IGNORED], vec![("/client/id", json!(100))]),
        },
        Rule {
            says: "A registered client whom we do not know has to say its name.",
            stored: vec![],
            sent: vec![of_client("a", json!({ "id": "two" }))],
            becomes: Rejected(vec![NAME_REQUIRED]),
        },
        Rule {
            says: "One that came and cannot be read is told for what it is.",
            stored: vec![],
            sent: vec![of_client("a", json!({ "id": "two", "username": true }))],
            becomes: Rejected(vec!["client.username: wrong_type"]),
        },
        Rule {
            says: "A registered client whom a later order of the batch makes is known.",
            stored: vec![],
            sent: vec![plain("b"), of_client("a", json!({ "id": "one" }))],
            becomes: Accepted(vec![], vec![("/client/username", json!("Один"))]),
        },
        Rule {
            says: "A guest is known by the phone among earlier guests.",
            stored: vec![of_client("a", guest("9191991911"))],
            sent: vec![of_client("b", guest("+7 919 199-19-11"))],
            becomes: Accepted(vec![], vec![("/client/id", json!(100))]),
        },
        Rule {
            says: "A guest is never matched with a registered client.",
            stored: vec![of_client("a", registered("one", "9191991911"))],
            sent: vec![of_client("b", guest("9191991911"))],
            becomes: Accepted(
                vec![],
                vec![
                    ("/client/id", json!(101)),
                    ("/client/external_id", Value::Null),
                ],
            ),
        },
        Rule {
            says: "A registered client is never matched with a guest.",
            stored: vec![of_client("a", guest("9191991911"))],
            sent: vec![of_client("b", registered("one", "9191991911"))],
            becomes: Accepted(vec![], vec![("/client/id", json!(101))]),
        },
        Rule {
            says: "An address of the client's list is known by its id.",
            stored: vec![listing("a", vec![named(2, "home")])],
            sent: vec![listing("b", vec![named(3, "home")])],
            becomes: Accepted(
                vec![],
                vec![
                    ("/client/addresses/0/id", json!(100)),
                    ("/client/addresses/0/house", json!("3")),
                ],
            ),
        },
        Rule {
            says: "An address without id and number is known by its content.",
            stored: vec![listing("a", vec![address(2)])],
            sent: vec![listing("b", vec![address(2)])],
            becomes: Accepted(
                vec![],
                vec![
                    ("/client/addresses/0/house", json!("2")),
                    ("/client/addresses/1/house", json!("1")),
                ],
            ),
        },
        Rule {
            says: "A number of the client's own addresses leads to that one.",
            stored: vec![to("a", address(2))],
            sent: vec![to("b", numbered(2, 100))],
            becomes: Accepted(vec![], vec![("/shipping_address/id", json!(100))]),
        },
        Rule {
            says: "A number of another client's address leads to an address of the order's client, by content.",
            stored: vec![plain("a")],
            sent: vec![of(
                "b",
                json!({ "client": registered("two", "9191991912"), "shipping_address": numbered(1, 100) }),
            )],
            becomes: Accepted(
                vec!["shipping_address.user_address_id: address_not_found"],
                vec![
                    ("/shipping_address/id", json!(101)),
                    ("/client/addresses/0/id", json!(101)),
                ],
            ),
        },
        Rule {
            says: "A finished order that comes as new with another client is somebody else's.",
            stored: vec![finished("a", registered("one", "9191991911"))],
            sent: vec![of_client("a", registered("two", "9191991912"))],
            becomes: Rejected(vec!["id: conflict"]),
        },
        Rule {
            says: "It is not, where they have a phone in common: a guest may have registered since.",
            stored: vec![finished("a", guest("9191991911"))],
            sent: vec![of_client("a", registered("one", "9191991911"))],
            becomes: Accepted(
                vec!["status: status_not_changed", "client: client_changed"],
                vec![
                    ("/client/external_id", json!("one")),
                    ("/status", json!("completed")),
                ],
            ),
        },
        Rule {
            says: "An order that the batch itself finishes is another client's likewise.",
            stored: vec![],
            sent: vec![
                finished("a", registered("one", "9191991911")),
                of_client("a", registered("two", "9191991912")),
            ],
            becomes: Accepted(
                vec!["id: kept_as_stored"],
                vec![("/client/external_id", json!("one"))],
            ),
        },
        Rule {
            says: "That is told beside what else is wrong.",
            stored: vec![finished("a", registered("one", "9191991911"))],
            sent: vec![{
                let mut order = of_client("a", registered("two", "9191991912"));
                order["total"] = json!("");
                order
            }],
            becomes: Rejected(vec!["total: required", "id: conflict"]),
        },
        Rule {
            says: "It is not of an order that has a phone in common, nor of one whose client cannot be read.",
            stored: vec![finished("a", registered("one", "9191991911"))],
            sent: vec![
                of_client("a", registered(&"9".repeat(256), "9191991912")),
                of("a", json!({ "total": "", "client": "Кто-то" })),
                of(
                    "a",
                    json!({
                        "total": "",
                        "client": { "id": "two", "username": "Два", "phones": ["89191991911"] },
                    }),
                ),
            ],
            becomes: Rejected(vec![
                "client.id: too_long",
                "total: required",
                "client: wrong_type",
            ]),
        },
        Rule {
            says: "Whatever its status says.",
            stored: vec![finished("a", registered("one", "9191991911"))],
            sent: vec![finished("a", registered("two", "9191991912"))],
            becomes: Rejected(vec!["id: conflict"]),
        },
        Rule {
            says: "An order that moves to a stranger has nothing of what the first client said.",
            stored: vec![of(
                "a",
                json!({ "comment": "код 12", "coins": 5, "payment_status": true }),
            )],
            sent: vec![of_client("a", registered("two", "9191991912"))],
            becomes: Accepted(
                vec!["client: client_changed"],
                vec![
                    ("/comment", Value::Null),
                    ("/coins", Value::Null),
                    ("/payment_status", json!(false)),
                ],
            ),
        },
        Rule {
            says: "Nor when the first client made it: it was made when it first came in as the other's.",
            stored: vec![of("a", json!({ "created_at": "2026-11-01 10:00:00" }))],
            sent: vec![of_client("a", registered("two", "9191991912"))],
            becomes: Accepted(
                vec!["client: client_changed"],
                vec![("/created_at", json!("1970-01-01 03:02:00"))],
            ),
        },
        Rule {
            says: "A batch in which it goes there and back leaves that moment as it is.",
            stored: vec![of_client("a", registered("two", "9191991912"))],
            sent: vec![plain("a"), of_client("a", registered("two", "9191991912"))],
            becomes: Accepted(
                vec!["client: client_changed"],
                vec![("/created_at", json!("1970-01-01 03:01:00"))],
            ),
        },
        Rule {
            says: "An order that moves to the same person, registered since, keeps it.",
            stored: vec![{
                let mut order = of_client("a", guest("9191991911"));
                order["created_at"] = json!("2026-11-01 10:00:00");
                order["comment"] = json!("код 12");
                order
            }],
            sent: vec![of_client("a", registered("one", "9191991911"))],
            becomes: Accepted(
                vec!["client: client_changed"],
                vec![
                    ("/comment", json!("код 12")),
                    ("/created_at", json!("2026-11-01 10:00:00")),
                ],
            ),
        },
        Rule {
            says: "A cancellation that does not say well whose it is takes nothing but the status.",
            stored: vec![of("a", json!({ "comment": "код 12" }))],
            sent: vec![strangers.clone()],
            becomes: Accepted(
                vec![": kept_as_stored", "client.username: required"],
                vec![
                    ("/status", json!("removed")),
                    ("/id", json!("100")),
                    ("/comment", Value::Null),
                    ("/total", Value::Null),
                    ("/created_at", Value::Null),
                    ("/order_item_list", json!([])),
                    ("/shipping_address", Value::Null),
                    ("/client/external_id", Value::Null),
                    ("/client/username", Value::Null),
                    ("/client/addresses", json!([])),
                    ("/client/coins_amount", Value::Null),
                ],
            ),
        },
        Rule {
            says: "What is stored stays, and a cancellation without any client is answered with it.",
            stored: vec![of("a", json!({ "comment": "код 12" })), strangers],
            sent: vec![cancelled("a")],
            becomes: Accepted(
                vec![": kept_as_stored"],
                vec![
                    ("/status", json!("removed")),
                    ("/comment", json!("код 12")),
                    ("/client/external_id", json!("one")),
                    ("/client/email", Value::Null),
                    ("/shipping_address/house", json!("1")),
                    ("/client/addresses/0/house", json!("1")),
                ],
            ),
        },
        Rule {
            says: "Nor does one that names somebody else and lacks the rest.",
            stored: vec![plain("a")],
            sent: vec![
                json!({ "id": "a", "status": "removed", "client": registered("two", "9191991912") }),
            ],
            becomes: Accepted(
                vec![": kept_as_stored", "client: not_allowed"],
                vec![
                    ("/status", json!("removed")),
                    ("/client/username", Value::Null),
                ],
            ),
        },
        Rule {
            says: "Nor one of a finished order, however whole.",
            stored: vec![finished("a", registered("one", "9191991911"))],
            sent: vec![of(
                "a",
                json!({ "status": "removed", "client": registered("two", "9191991912") }),
            )],
            becomes: Accepted(
                vec![
                    ": kept_as_stored",
                    "client: not_allowed",
                    "status: status_not_changed",
                ],
                vec![
                    ("/status", json!("completed")),
                    ("/client/username", Value::Null),
                ],
            ),
        },
        Rule {
            says: "Nor one whose client is no object, and of a value that is not taken it is not said how.",
            stored: vec![plain("a")],
            sent: vec![
                json!({ "id": "a", "status": "removed", "client": "Кто-то", "coins": 1.005 }),
            ],
            becomes: Accepted(
                vec!["client: wrong_type", ": kept_as_stored"],
                vec![("/client/username", Value::Null)],
            ),
        },
        Rule {
            says: "Nor one whose client cannot be read.",
            stored: vec![plain("a")],
            sent: vec![json!({
                "id": "a", "status": "removed", "client": { "username": "Кто-то" }, "shipping_address": address(9),
            })],
            becomes: Accepted(
                vec!["client.phone: required", ": kept_as_stored"],
                vec![
                    ("/status", json!("removed")),
                    ("/shipping_address", Value::Null),
                ],
            ),
        },
        Rule {
            says: "A guest's own number, sent back with a placeholder id, is no number of somebody else's.",
            stored: vec![of_client("a", guest("9191991911"))],
            sent: vec![of_client(
                "b",
                json!({
                    "id": 0, "external_id": 100, "username": "Гость", "phone": "9191991911",
                }),
            )],
            becomes: Accepted(vec![], vec![("/client/id", json!(100))]),
        },
        Rule {
            says: "Any other number that comes so is ignored.",
            stored: vec![of_client("a", guest("9191991911"))],
            sent: vec![of_client(
                "b",
                json!({
                    "id": 0, "external_id": 100, "username": "Другой", "phone": "9191991912",
                }),
            )],
            becomes: Accepted(vec![NUMBER_IGNORED], vec![("/client/id", json!(101))]),
        },
        Rule {
            says: "An open order that comes with another client moves.",
            stored: vec![plain("a")],
            sent: vec![of_client("a", registered("two", "9191991912"))],
            becomes: Accepted(
                vec!["client: client_changed"],
                vec![("/client/external_id", json!("two"))],
            ),
        },
    ]);
}

#[test]
fn where_anybody_may_post_our_number_may_be_guessed() {
    let numbered = |fields: Value| {
        let mut client = json!({ "external_id": 100, "username": "Другой" });
        for (field, value) in fields.as_object().expect("an object") {
            client[field] = value.clone();
        }
        client
    };
    let owner = || plain_of_phone("a", "9191991911");
    hold_where(
        true,
        vec![
            Rule {
                says: "It names a client with a phone of theirs.",
                stored: vec![owner()],
                sent: vec![of_client(
                    "b",
                    numbered(json!({ "phone": "89191991911", "email": "a@example.org" })),
                )],
                becomes: Accepted(
                    vec![],
                    vec![
                        ("/client/id", json!(100)),
                        ("/client/username", json!("Другой")),
                    ],
                ),
            },
            Rule {
                says: "With another phone it is a guest's order.",
                stored: vec![owner(), of_client("g", guest("9191991912"))],
                sent: vec![of_client("b", numbered(json!({ "phone": "9191991912" })))],
                becomes: Accepted(
                    vec![NUMBER_IGNORED],
                    vec![
                        ("/client/id", json!(101)),
                        ("/client/external_id", Value::Null),
                    ],
                ),
            },
            Rule {
                says: "The client whose number that is stays as it was.",
                stored: vec![
                    owner(),
                    of_client(
                        "b",
                        numbered(json!({ "phone": "9191991912", "email": "x@example.org" })),
                    ),
                    of_client("c", numbered(json!({ "id": "new", "phone": "9191991912" }))),
                ],
                sent: vec![of_client("a", json!({ "id": "one" }))],
                becomes: Accepted(
                    vec![],
                    vec![
                        ("/client/id", json!(100)),
                        ("/client/username", json!("Клиент")),
                        ("/client/email", Value::Null),
                        ("/client/phones", json!(["9191991911"])),
                    ],
                ),
            },
            Rule {
                says: "A guest's record takes no id of somebody who only knows its number.",
                stored: vec![of_client("a", guest("9191991911"))],
                sent: vec![of_client(
                    "b",
                    numbered(json!({ "id": "mine", "phone": "9191991912" })),
                )],
                becomes: Accepted(
                    vec![NUMBER_IGNORED],
                    vec![
                        ("/client/id", json!(101)),
                        ("/client/external_id", json!("mine")),
                    ],
                ),
            },
            Rule {
                says: "It takes the id of the same person.",
                stored: vec![of_client("a", guest("9191991911"))],
                sent: vec![of_client(
                    "b",
                    numbered(json!({ "id": "mine", "phone": "9191991911" })),
                )],
                becomes: Accepted(
                    vec![],
                    vec![
                        ("/client/id", json!(100)),
                        ("/client/external_id", json!("mine")),
                    ],
                ),
            },
            Rule {
                says: "It opens no finished order.",
                stored: vec![finished("a", registered("one", "9191991911"))],
                sent: vec![of_client("a", numbered(json!({ "phone": "9191991912" })))],
                becomes: Rejected(vec!["id: conflict"]),
            },
            Rule {
                says: "A number that is nobody's is adopted.",
                stored: vec![],
                sent: vec![of_client(
                    "a",
                    numbered(json!({ "phone": "9191991912", "external_id": 77 })),
                )],
                becomes: Accepted(vec![], vec![("/client/id", json!(77))]),
            },
            Rule {
                says: "Without a phone it names nobody, and a guest needs one.",
                stored: vec![],
                sent: vec![of_client("a", numbered(json!({})))],
                becomes: Rejected(vec!["client.phone: required"]),
            },
            Rule {
                says: "A cancellation with nothing but a number takes nothing but the status.",
                stored: vec![owner()],
                sent: vec![of(
                    "a",
                    json!({ "status": "removed", "client": numbered(json!({})) }),
                )],
                becomes: Accepted(
                    vec!["client.phone: required", ": kept_as_stored"],
                    vec![
                        ("/status", json!("removed")),
                        ("/client/username", Value::Null),
                    ],
                ),
            },
        ],
    );
}

#[test]
fn ownership() {
    let line = |product: &str| json!({ "product_id": product, "price": 1, "quantity": 1 });
    let lines = |id: &str, lines: Value| of(id, json!({ "order_item_list": lines }));
    hold(vec![
        Rule {
            says: "A field that is absent keeps its stored value.",
            stored: vec![of("a", json!({ "comment": "позвонить", "coins": 5 }))],
            sent: vec![plain("a")],
            becomes: Accepted(
                vec![],
                vec![("/comment", json!("позвонить")), ("/coins", json!(5))],
            ),
        },
        Rule {
            says: "A field that says nothing clears it.",
            stored: vec![of("a", json!({ "comment": "позвонить", "coins": 5 }))],
            sent: vec![of("a", json!({ "comment": "", "coins": false }))],
            becomes: Accepted(
                vec![],
                vec![("/comment", Value::Null), ("/coins", Value::Null)],
            ),
        },
        Rule {
            says: "A required field cannot be cleared.",
            stored: vec![plain("a")],
            sent: vec![of("a", json!({ "total": null }))],
            becomes: Rejected(vec!["total: required"]),
        },
        Rule {
            says: "Of an order that comes twice in a batch the later element wins field by field.",
            stored: vec![],
            sent: vec![
                of("a", json!({ "comment": "раз", "coins": 5 })),
                of("a", json!({ "comment": "два" })),
            ],
            becomes: Accepted(
                vec![],
                vec![("/comment", json!("два")), ("/coins", json!(5))],
            ),
        },
        Rule {
            says: "An element that cannot be taken spoils no other of its order.",
            stored: vec![],
            sent: vec![plain("a"), of("a", json!({ "total": "" }))],
            becomes: Accepted(vec!["total: required"], vec![("/total", json!(1))]),
        },
        Rule {
            says: "The list of lines is replaced.",
            stored: vec![lines("a", json!([line("w"), line("v")]))],
            sent: vec![lines("a", json!([line("v")]))],
            becomes: Accepted(
                vec![],
                vec![
                    ("/order_item_list/0/product_id", json!(2)),
                    (
                        "/order_item_list",
                        json!([{
                            "name": null, "quantity": 1, "price": 1, "product_id": 2, "order_product_id": null,
                        }]),
                    ),
                ],
            ),
        },
        Rule {
            says: "The client's list of addresses adds and updates; it removes nothing.",
            stored: vec![listing("a", vec![address(2)])],
            sent: vec![listing("b", vec![address(3)])],
            becomes: Accepted(
                vec![],
                vec![
                    ("/client/addresses/0/house", json!("2")),
                    ("/client/addresses/1/house", json!("1")),
                    ("/client/addresses/2/house", json!("3")),
                ],
            ),
        },
        Rule {
            says: "A client has so many addresses at most; an order keeps its own all the same.",
            stored: vec![listing("a", (2..=MOST_ADDRESSES).map(address).collect())],
            sent: vec![to("b", address(99))],
            becomes: Accepted(
                vec!["shipping_address: too_many"],
                vec![
                    ("/shipping_address/house", json!("99")),
                    ("/shipping_address/id", Value::Null),
                ],
            ),
        },
        Rule {
            says: "An order keeps the address that was sent for it, whatever becomes of the client's.",
            stored: vec![
                of(
                    "a",
                    json!({ "shipping_address": address(2), "client": { "id": "one", "username": "Один", "addresses": [named(2, "home")] } }),
                ),
                listing("b", vec![named(5, "home")]),
            ],
            sent: vec![to("a", address(2))],
            becomes: Accepted(
                vec![],
                vec![
                    ("/shipping_address/house", json!("2")),
                    ("/client/addresses/0/house", json!("5")),
                ],
            ),
        },
        Rule {
            says: "A status moves forward.",
            stored: vec![plain("a")],
            sent: vec![of("a", json!({ "status": "approved" }))],
            becomes: Accepted(vec![], vec![("/status", json!("approved"))]),
        },
        Rule {
            says: "A status does not move back; the content is taken.",
            stored: vec![of("a", json!({ "status": "approved" }))],
            sent: vec![of("a", json!({ "status": "new", "comment": "позже" }))],
            becomes: Accepted(
                vec!["status: status_not_changed"],
                vec![("/status", json!("approved")), ("/comment", json!("позже"))],
            ),
        },
        Rule {
            says: "A completed order is not removed.",
            stored: vec![of("a", json!({ "status": "completed" }))],
            sent: vec![cancelled("a")],
            becomes: Accepted(
                vec![": kept_as_stored", "status: status_not_changed"],
                vec![("/status", json!("completed"))],
            ),
        },
        Rule {
            says: "A cancellation needs nothing but id and status.",
            stored: vec![of("a", json!({ "comment": "позвонить" }))],
            sent: vec![cancelled("a")],
            becomes: Accepted(
                vec![": kept_as_stored"],
                vec![
                    ("/status", json!("removed")),
                    ("/comment", json!("позвонить")),
                    ("/order_item_list/0/quantity", json!(1)),
                ],
            ),
        },
        Rule {
            says: "Of a cancellation an empty list keeps what is stored.",
            stored: vec![plain("a")],
            sent: vec![of(
                "a",
                json!({ "status": "removed", "order_item_list": [] }),
            )],
            becomes: Accepted(
                vec![": kept_as_stored"],
                vec![("/order_item_list/0/quantity", json!(1))],
            ),
        },
        Rule {
            says: "A cancellation of an order that we do not know is an order, and lacks the rest.",
            stored: vec![],
            sent: vec![cancelled("a")],
            becomes: Rejected(LACKS_ALL.to_vec()),
        },
        Rule {
            says: "A cancellation that comes before its order does not cancel what the batch makes behind it.",
            stored: vec![],
            sent: vec![cancelled("a"), plain("a")],
            becomes: Accepted(LACKS_ALL.to_vec(), vec![("/status", json!("new"))]),
        },
        Rule {
            says: "Nor when the batch is sent again.",
            stored: vec![plain("a")],
            sent: vec![cancelled("a"), plain("a")],
            becomes: Accepted(LACKS_ALL.to_vec(), vec![("/status", json!("new"))]),
        },
        Rule {
            says: "Nor does one that cannot be read, or lacks the name of a client that is made behind it.",
            stored: vec![],
            sent: vec![
                of("a", json!({ "status": "removed", "total": "много" })),
                of(
                    "a",
                    json!({ "status": "removed", "client": { "id": "one" } }),
                ),
                of("a", json!({ "status": "approved" })),
            ],
            becomes: Accepted(
                vec!["total: wrong_type", "client.username: required"],
                vec![("/status", json!("approved"))],
            ),
        },
        Rule {
            says: "A cancellation that comes behind its order cancels it.",
            stored: vec![],
            sent: vec![cancelled("a"), plain("a"), cancelled("a"), plain("a")],
            becomes: Accepted(
                [
                    &LACKS_ALL[..],
                    &[": kept_as_stored", "status: status_not_changed"],
                ]
                .concat(),
                vec![("/status", json!("removed"))],
            ),
        },
        Rule {
            says: "So does one before an element that is no order.",
            stored: vec![plain("a")],
            sent: vec![cancelled("a"), of("a", json!({ "total": "" }))],
            becomes: Accepted(
                vec![": kept_as_stored", "total: required"],
                vec![("/status", json!("removed"))],
            ),
        },
        Rule {
            says: "An order that comes removed and whole is removed, whatever comes behind it.",
            stored: vec![],
            sent: vec![of("a", json!({ "status": "removed" })), plain("a")],
            becomes: Accepted(
                vec!["status: status_not_changed"],
                vec![("/status", json!("removed"))],
            ),
        },
        Rule {
            says: "Amounts are stored as sent, whatever they add up to.",
            stored: vec![],
            sent: vec![of("a", json!({ "total": "710.50", "delivery_cost": 0.1 }))],
            becomes: Accepted(
                vec![],
                vec![
                    ("/total", json!(710.5)),
                    ("/delivery_cost", json!(0.1)),
                    ("/client/coins_amount", json!(0)),
                ],
            ),
        },
        Rule {
            says: "A line's product is found by its product_id.",
            stored: vec![],
            sent: vec![plain("a")],
            becomes: Accepted(vec![], vec![("/order_item_list/0/product_id", json!(1))]),
        },
        Rule {
            says: "Where that finds none, by its id.",
            stored: vec![],
            sent: vec![lines(
                "a",
                json!([{ "product_id": "?", "id": "v", "price": 1, "quantity": 1 }]),
            )],
            becomes: Accepted(vec![], vec![("/order_item_list/0/product_id", json!(2))]),
        },
        Rule {
            says: "Where both are found and differ, product_id counts.",
            stored: vec![],
            sent: vec![lines(
                "a",
                json!([{ "product_id": "w", "id": "v", "price": 1, "quantity": 1 }]),
            )],
            becomes: Accepted(
                vec!["order_item_list[0].product_id: product_ambiguous"],
                vec![("/order_item_list/0/product_id", json!(1))],
            ),
        },
        Rule {
            says: "A line whose product is found by neither is kept without one.",
            stored: vec![],
            sent: vec![lines(
                "a",
                json!([{ "product_id": "?", "name": "Помпа", "price": 9, "quantity": 2 }]),
            )],
            becomes: Accepted(
                vec!["order_item_list[0].product_id: product_not_found"],
                vec![
                    ("/order_item_list/0/product_id", Value::Null),
                    ("/order_item_list/0/name", json!("Помпа")),
                    ("/order_item_list/0/price", json!(9)),
                ],
            ),
        },
    ]);
}
