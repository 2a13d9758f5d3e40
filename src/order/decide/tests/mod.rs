mod rules;

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Value, json};

use super::*;
use crate::order::world::{MANY, World, address, answer, order, read, read_where};
use crate::order::{
    diff,
    fault::{FaultCode, Hint},
    model::Status,
    wire::ClientKey,
};

fn nothing_known() -> Known {
    Known {
        now: DateTime::UNIX_EPOCH,
        orders: Vec::new(),
        order_numbers: BTreeSet::new(),
        clients: Vec::new(),
        address_numbers: BTreeSet::new(),
        products: HashMap::new(),
        imports: None,
        imported: HashMap::new(),
    }
}

fn missing(field: &str) -> Fault {
    Fault {
        field: field.to_owned(),
        code: FaultCode::Required,
        hint: Hint::None,
    }
}

fn decide_on<'k>(
    known: &'k Known,
    elements: &[Element],
    go_on: &dyn Fn() -> bool,
) -> Result<Decision<'k>, Undecided> {
    let none = HashSet::new();
    let batch = Batch {
        elements,
        received_at: DateTime::UNIX_EPOCH,
        refused: &none,
        skipped: &none,
    };
    let numbers = || (1..).take(2 * MANY).collect();
    let mut numbers = FreeNumbers {
        order: numbers(),
        client: numbers(),
        address: numbers(),
    };
    decide(known, &[batch], &mut numbers, MANY, Uuid::now_v7, go_on)
}

// The next ones end in a second or two. Work that grows with the square of what comes would take minutes.

#[test]
fn many_addresses_of_one_client_are_looked_at_once_each() {
    let known = nothing_known();
    let addresses: Vec<Value> = (0..MANY).map(address).collect();
    let half = MANY / 2;
    let elements = read(&[
        order("1", &addresses[..half], 1),
        order("2", &addresses[half..], 1),
        order("3", &addresses[half..], 1),
    ]);
    let decision = decide_on(&known, &elements, &|| true).expect("decided");
    assert_eq!(decision.clients[0].after.addresses.len(), MANY);
    let changes = diff::changes(&decision);
    assert_eq!(changes.addresses.len(), MANY);
}

#[test]
fn an_order_that_comes_again_and_again_is_warned_of_each_line_once() {
    let known = nothing_known();
    let elements = read(&vec![order("1", &[], 2_000); 200]);
    let decision = decide_on(&known, &elements, &|| true).expect("decided");
    let verdict = &decision.verdicts[0][0];
    assert!(verdict.is_accepted());
    assert_eq!(verdict.remarks().len(), 2_000);
}

#[test]
fn numbers_that_the_batch_brings_along_are_passed_over_once() {
    let known = nothing_known();
    let count = 30_000;
    // The last ones bring the very numbers that the first ones would be given.
    let orders: Vec<Value> = (0..2 * count)
        .map(|n| {
            let mut order = order(&format!("order {n}"), &[], 1);
            if n >= count {
                order["external_id"] = json!(n - count + 1);
            }
            order
        })
        .collect();
    let elements = read(&orders);
    let decision = decide_on(&known, &elements, &|| true).expect("decided");
    let numbers: HashSet<i32> = decision.orders.iter().map(|o| o.after.number).collect();
    assert_eq!(numbers.len(), 2 * count);
    assert_eq!(decision.orders[count].after.number, 1);
}

#[test]
fn it_stops_when_it_is_told_to() {
    let known = nothing_known();
    let elements = read(&vec![order("1", &[], 1); 1_000]);
    let asked = std::cell::Cell::new(0);
    let until_the_third = || {
        asked.set(asked.get() + 1);
        asked.get() < 3
    };
    let decided = decide_on(&known, &elements, &until_the_third);
    assert_eq!(decided.err(), Some(Undecided::Stopped));
    assert_eq!(asked.get(), 3);
}

/// A fault of its own for each line, say.
#[test]
fn many_faults_of_one_order_are_told_once_each() {
    let known = nothing_known();
    let mut elements = read(&vec![order("1", &[], 1); 2]);
    for element in &mut elements {
        element.missing = (0..MANY).map(|n| missing(&n.to_string())).collect();
    }
    let decision = decide_on(&known, &elements, &|| true).expect("decided");
    let verdict = &decision.verdicts[0][0];
    assert!(!verdict.is_accepted());
    assert!(verdict.faults().into_iter().eq(&elements[0].missing));
}

#[test]
fn it_stops_amid_the_faults_too() {
    let known = nothing_known();
    let mut elements = read(&vec![order("1", &[], 1); 10 * ASK_EVERY]);
    for element in &mut elements {
        element.missing = vec![missing("total")];
    }
    let asked = std::cell::Cell::new(0);
    let until = |last: usize| {
        asked.set(0);
        let go_on = || {
            asked.set(asked.get() + 1);
            asked.get() < last
        };
        decide_on(&known, &elements, &go_on).err()
    };
    // All are gone through twice: the second time shows that nothing more is taken.
    assert_eq!(until(20), Some(Undecided::Stopped));
    assert_eq!(until(21), None);
}

/// Each of these cancellations says the id of a client that the next order needs, and stands after it: each round takes one
/// more of them.
#[test]
fn what_waits_for_longer_than_a_batch_is_applied_is_rejected_with_an_error() {
    let known = nothing_known();
    let count = MOST_ROUNDS + 2;
    let with_client = |id: String, client: Value| {
        let mut order = order(&id, &[], 1);
        order["client"] = client;
        order
    };
    let mut orders: Vec<Value> = (0..=count)
        .map(|n| {
            let client = json!({ "external_id": 1000 + n, "username": "Один" });
            with_client(format!("first {n}"), client)
        })
        .collect();
    for n in (0..count).rev() {
        let client = json!({ "id": format!("client {n}") });
        orders.push(with_client(format!("order {n}"), client));
        let next = json!({ "id": format!("client {}", n + 1), "external_id": 1001 + n });
        let mut cancelled = with_client(format!("order {n}"), next);
        cancelled["status"] = json!("removed");
        orders.push(cancelled);
    }
    let start = json!({ "id": "client 0", "external_id": 1000 });
    orders.push(with_client("start".into(), start));
    let mut elements = read(&orders);
    for element in elements.iter_mut().filter(|element| element.cancels()) {
        element.missing = vec![missing("total")];
    }
    let decision = decide_on(&known, &elements, &|| true).expect("decided");
    let rejected = decision.verdicts[0].iter().filter(|v| !v.is_accepted());
    let rejected: Vec<_> = rejected.map(Verdict::faults).collect();
    assert!(!rejected.is_empty(), "all were taken");
    for faults in rejected {
        assert_eq!(faults, [&missing("client.username"), &missing("total")]);
    }
}

/// It is known by a number only, that nobody has.
#[test]
fn where_anybody_may_post_a_client_that_a_cancellation_does_not_change_is_not_shown() {
    let mut world = World::default();
    world.take(&[&read(&[order("1", &[address(1), address(2)], 1)])]);
    let mut unknown = order("1", &[], 1);
    unknown["status"] = json!("removed");
    unknown["client"] = json!({
        "external_id": 77, "email": "who@example.org", "addresses": [address(3), address(2)],
    });
    let mut known = order("1", &[address(2)], 1);
    known["status"] = json!("removed");
    let elements = read(&[unknown, known]);
    let known = world.known(&[&elements]);
    let decision = decide_on(&known, &elements, &|| true).expect("decided");
    let answer = answer(&elements, &decision, false);
    let client = &answer["data"]["1"]["data"][0]["client"];
    assert_eq!(client["email"], Value::Null);
    let addresses = client["addresses"].as_array().expect("a list");
    let shown: Vec<_> = addresses.iter().map(|a| (&a["id"], &a["house"])).collect();
    let stored = &world.clients[0].addresses;
    let (first, second) = (json!(stored[0].number), json!(stored[1].number));
    // The order's own, and the one that the known client came with.
    assert_eq!(
        shown,
        [(&first, &json!("1")), (&second, &json!("2"))],
        "{client}"
    );
}

#[test]
fn where_anybody_may_post_a_cancellation_is_answered_with_nothing_that_it_did_not_send() {
    let mut world = World::default();
    world.take(&[&read(&[order("1", &[], 1)])]);
    let mut sent = order("1", &[], 1);
    sent["status"] = json!("removed");
    let mut elements = read(&[sent]);
    let element = &mut elements[0];
    element.missing = vec![missing("total")];
    element.client = ClientKey::default();
    element.has_username = false;
    let sent = element.order.as_mut().expect("an order");
    (sent.total, sent.items, sent.client) = (None, None, None);
    (sent.shipping_dates, sent.shipping_address) = (None, None);
    let known = world.known(&[&elements]);
    let decision = decide_on(&known, &elements, &|| true).expect("decided");
    for answers_stored in [true, false] {
        let answer = answer(&elements, &decision, answers_stored);
        let shown = &answer["data"]["1"]["data"][0];
        assert_eq!(shown["status"], "removed");
        assert_eq!(shown["order_item_list"] == json!([]), !answers_stored);
        for pointer in [
            "/total",
            "/shipping_date_from",
            "/shipping_date_to",
            "/shipping_address",
            "/client/username",
            "/client/external_id",
        ] {
            let shown = shown.pointer(pointer).expect("every key");
            assert_eq!(shown.is_null(), !answers_stored, "{pointer}");
        }
    }
}

#[test]
fn where_anybody_may_post_two_people_under_one_id_are_not_answered_as_one() {
    let of = |client: &str, comment: Value| {
        let mut order = order("1", &[], 1);
        order["comment"] = comment;
        order["client"] = json!({
            "id": client, "username": client, "email": format!("{client}@example.org"), "addresses": [address(client.len())],
        });
        order
    };
    let mut stranger = of("two", Value::Null);
    stranger["client"]["email"].take();
    for batch in [
        vec![of("first", json!("код 12")), stranger.clone()],
        vec![
            of("two", json!("код 12")),
            of("first", json!("код 12")),
            stranger,
        ],
    ] {
        let mut world = World::default();
        let shown = world.send_and(&batch, |elements, decision| {
            answer(elements, decision, false)
        });
        let shown = &shown["data"]["1"]["data"][0];
        let (text, client) = (shown.to_string(), &shown["client"]);
        assert!(
            !text.contains("first") && !text.contains("код 12"),
            "{text}"
        );
        assert_eq!(client["username"], "two");
        let houses = client["addresses"].as_array().expect("a list").iter();
        let houses: Vec<_> = houses.map(|address| &address["house"]).collect();
        assert_eq!(houses, ["3", "1"], "the client's and the order's");
    }
}

/// Whatever it does to an order that it then finds finished.
#[test]
fn a_cancellation_whose_client_a_later_order_makes_is_answered_alike_each_time() {
    for status in ["new", "completed"] {
        let mut stored = order("1", &[], 1);
        stored["status"] = json!(status);
        let mut cancelled = order("1", &[], 1);
        cancelled["status"] = json!("removed");
        cancelled["client"] = json!({ "id": "two" });
        let mut makes = order("2", &[], 1);
        makes["client"] = json!({ "id": "two", "username": "Два" });
        let mut world = World::default();
        world.send(&[stored]);
        let batch = [cancelled, makes];
        let first = world.send(&batch);
        assert_eq!(first["data"]["1"]["success"], true, "{first}");
        assert_eq!(world.send(&batch), first);
    }
}

/// Its own first element says it again, as long as the order is that client's.
#[test]
fn where_anybody_may_post_a_comment_that_was_taken_back_is_answered_alike_each_time() {
    let of = |client: &str, status: &str, comment: Option<&str>| {
        let mut order = order("1", &[], 1);
        order["status"] = json!(status);
        order["client"] = json!({ "id": client, "username": client });
        if let Some(comment) = comment {
            order["comment"] = json!(comment);
        }
        order
    };
    let batch = [
        of("two", "new", Some("код 12")),
        of("one", "new", None),
        of("two", "completed", None),
    ];
    let mut world = World::default();
    let [first, again] = [(), ()].map(|()| {
        world.send_and(&batch, |elements, decision| {
            answer(elements, decision, false)
        })
    });
    assert_eq!(first["data"]["1"]["data"], again["data"]["1"]["data"]);
    let stored = world.orders[0].content.comment.as_deref();
    assert_eq!(first["data"]["1"]["data"][0]["comment"].as_str(), stored);
}

#[test]
fn a_number_that_a_later_order_takes_undoes_nothing_when_the_batch_is_sent_again() {
    let of = |id: &str, number: Value, client: &str, comment: &str| {
        let mut order = order(id, &[], 1);
        (order["external_id"], order["comment"]) = (number, json!(comment));
        order["client"] = json!({ "id": client, "username": comment });
        order
    };
    // The order's own later element brings it.
    let batch = [
        of("x", Value::Null, "first", "раз"),
        of("x", json!(77), "second", "два"),
        of("y", json!(77), "third", "три"),
    ];
    let mut world = World::default();
    let first = world.send(&batch);
    let shown = &first["data"]["x"]["data"][0];
    assert_eq!(shown["comment"], "два");
    assert_eq!(shown["client"]["external_id"], "second");
    assert_eq!(first["data"]["y"]["data"][0]["id"], "77");
    let stored = world.clone();
    assert_eq!(
        world.send(&batch)["data"]["x"]["data"],
        first["data"]["x"]["data"]
    );
    assert_eq!(world.orders, stored.orders);

    // It is refused the second time: what an earlier order says of its client counts then.
    let batch = [
        of("z", Value::Null, "first", "раз"),
        of("x", json!(78), "first", "два"),
        of("y2", json!(78), "third", "три"),
    ];
    assert_eq!(world.send(&batch)["data"]["x"]["success"], true);
    let stored = world.clone();
    let again = world.send(&batch);
    assert_eq!(again["data"]["x"]["errors"][0]["code"], "conflict");
    assert_eq!(world.orders, stored.orders);
    let names = |world: &World| {
        let clients = world.clients.iter();
        let names = clients.map(|client| (client.number, client.username.clone()));
        names.collect::<HashMap<_, _>>()
    };
    assert_eq!(names(&world), names(&stored));
}

fn some_address() -> impl Strategy<Value = Value> {
    let entrance = select(vec![
        None,
        None,
        Some(Value::Null),
        Some(json!("1")),
        Some(json!("2")),
    ]);
    (1..4_usize, entrance).prop_map(|(house, entrance)| {
        let mut address = address(house);
        if let Some(entrance) = entrance {
            address["entrance"] = entrance;
        }
        address
    })
}

/// A number that some record may have, or soon gets.
fn some_number() -> impl Strategy<Value = Value> {
    let numbers = (1..4).chain(100..104).map(Value::from);
    select(
        vec![Value::Null; 8]
            .into_iter()
            .chain(numbers)
            .collect::<Vec<_>>(),
    )
}

fn some_client() -> impl Strategy<Value = Value> {
    let id = select(vec![json!("a"), json!("a"), json!("b"), Value::Null]);
    let phone = select(vec![Value::Null, json!("9191991911"), json!("9191991912")]);
    let username = select(vec![Value::Null, json!("Один"), json!("Два")]);
    let listed = (
        some_address(),
        select(vec!["", "", "home", "work"]),
        some_number(),
    )
        .prop_map(|(mut address, id, number)| {
            address["id"] = json!(id);
            address["external_id"] = number;
            address
        });
    (id, some_number(), phone, username, vec(listed, 0..3)).prop_map(
        |(id, number, phone, username, addresses)| {
            let mut client =
                json!({ "phone": phone, "username": username, "addresses": addresses });
            if !id.is_null() || !number.is_null() {
                (client["id"], client["external_id"]) = (id, number);
            } else if client["phone"].is_null() || client["username"].is_null() {
                client["phone"] = json!("9191991911");
                client["username"] = json!("Гость");
            }
            client
        },
    )
}

/// An order, and whether it leaves out what a cancellation may. One of ten has a fault of its own.
fn some_order() -> impl Strategy<Value = (Value, bool)> {
    let status = select(vec!["new", "new", "approved", "completed", "removed"]);
    let shipping = (some_address(), some_number());
    let comment = select(vec![None, None, Some(Value::Null), Some(json!("код 12"))]);
    let how = (
        proptest::bool::weighted(0.3),
        proptest::bool::weighted(0.1),
        comment,
    );
    (1..5_u8, status, some_number(), some_client(), shipping, how).prop_map(
        |(id, status, number, client, (mut shipping, address), (bare, faulty, comment))| {
            let mut order = order(&id.to_string(), &[], 1);
            if let Some(comment) = comment {
                order["comment"] = comment;
            }
            if faulty {
                order["total"] = json!("");
            }
            order["status"] = json!(status);
            order["external_id"] = number;
            order["client"] = client;
            shipping["user_address_id"] = address;
            order["shipping_address"] = shipping;
            (order, bare)
        },
    )
}

/// `is_open`: anybody may post.
fn read_all(orders: &[(Value, bool)], is_open: bool) -> Vec<Element> {
    let (whole, bare): (Vec<_>, Vec<_>) = orders.iter().cloned().unzip();
    let mut elements = read_where(is_open, &whole);
    for (element, bare) in elements.iter_mut().zip(bare) {
        if let Some(sent) = element.order.as_mut()
            && bare
            && sent.status == Status::Removed
        {
            element.missing = vec![missing("total")];
            (sent.total, sent.items) = (None, Some(Vec::new()));
            // Some name whose they are and not where they go, some neither, some both.
            if element.external_id.is_none() {
                sent.client = None;
            }
            if element.external_id.is_none_or(|number| number % 2 == 0) {
                sent.shipping_address = None;
            }
        }
    }
    elements
}

/// What the first element of a known order brings in vain may be the number of a later one; sent again that is a clash, and said.
/// So may what one brings that is refused at first.
fn without_vain_numbers(batch: &mut [Element]) {
    let mut brought = HashMap::new();
    for element in batch {
        let Some(number) = element.external_id else {
            continue;
        };
        if brought.get(&number).is_some_and(|id| *id != element.id) {
            element.external_id = None;
        } else if element.nth == 0 || !element.has_username && element.client.is_registered() {
            brought.insert(number, element.id.clone());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 2_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// Whatever it holds, and whatever shared its transaction.
    #[test]
    fn a_batch_sent_again_changes_nothing(
        before in vec(vec(some_order(), 1..4), 0..3),
        with in vec(some_order(), 0..3),
        batch in vec(some_order(), 1..7),
        is_open in proptest::bool::ANY,
    ) {
        let mut world = World::default();
        for batch in &before {
            world.take(&[&read_all(batch, is_open)]);
        }
        let batch = read_all(&batch, is_open);
        let (_, first) = world.take(&[&read_all(&with, is_open), &batch]);
        let (changed, again) = world.take(&[&batch]);
        prop_assert_eq!(changed, "", "sent again it changes something");
        for (first, again) in first[first.len() - again.len()..].iter().zip(&again) {
            if let (Some(first), Some(again)) = (first, again) {
                prop_assert_eq!(first, again);
            }
        }
    }

    /// Nothing of a batch that is refused alone cancels what stands behind it.
    #[test]
    fn no_order_is_cancelled_that_would_live_if_its_elements_came_one_by_one(
        before in vec(vec(some_order(), 1..4), 0..3),
        batch in vec(some_order(), 1..7),
        is_open in proptest::bool::ANY,
    ) {
        let mut world = World::default();
        for batch in &before {
            world.take(&[&read_all(batch, is_open)]);
        }
        // Not the numbers that the world gives: in a batch they are nobody else's before they come.
        let mut batch = batch;
        for (order, _) in &mut batch {
            for pointer in ["/external_id", "/client/external_id"] {
                let number = order.pointer_mut(pointer);
                if let Some(number) = number.filter(|number| number.as_i64() >= Some(100)) {
                    number.take();
                }
            }
        }
        let mut one_by_one = world.clone();
        for order in &batch {
            one_by_one.take(&[&read_all(std::slice::from_ref(order), is_open)]);
        }
        let mut at_once = world.clone();
        at_once.take(&[&read_all(&batch, is_open)]);
        for order in &one_by_one.orders {
            let same = |other: &&Arc<Order>| other.sender_id == order.sender_id;
            let in_batch = at_once.orders.iter().find(same);
            if order.status != Status::Removed && let Some(in_batch) = in_batch {
                prop_assert_ne!(in_batch.status, Status::Removed, "{}", order.sender_id);
            }
        }
    }

    /// But for what is said of it: that an order moved is told once.
    #[test]
    fn a_batch_sent_again_is_answered_alike(
        before in vec(vec(some_order(), 1..4), 0..3),
        batch in vec(some_order(), 1..7),
        is_open in proptest::bool::ANY,
        answers_stored in proptest::bool::ANY,
    ) {
        let mut world = World::default();
        for batch in &before {
            world.take(&[&read_all(batch, is_open)]);
        }
        let mut batch = read_all(&batch, is_open);
        without_vain_numbers(&mut batch);
        for element in &mut batch {
            // A guest who takes an id may lose the phone by which it came before.
            if element.client.id.is_some() {
                element.client.external_id = None;
            }
        }
        // So may one that a number names where anybody may post.
        let is_guess = |element: &&Element| {
            let client = &element.client;
            client.may_be_guessed && client.external_id.is_some()
        };
        let guesses: HashSet<_> = (batch.iter().filter(is_guess))
            .filter_map(|element| element.id.clone())
            .collect();
        let answers = [(), ()].map(|()| {
            let known = world.known(&[&batch]);
            let decision = world.decide(&known, &[&batch]);
            world.store(&decision);
            answer(&batch, &decision, answers_stored)
        });
        let [first, again] = answers;
        for (id, entry) in again["data"].as_object().expect("entries") {
            if guesses.contains(id) {
                continue;
            }
            let first = &first["data"][id];
            prop_assert_eq!(&first["success"], &entry["success"]);
            prop_assert_eq!(&first["data"], &entry["data"]);
        }
    }
}
