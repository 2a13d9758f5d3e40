//! Contract §4 and §5 as a model: whatever is sent, in whatever order, through whichever instance, once or twice at
//! once, leaves what this little book-keeping says.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use proptest::{
    collection::vec,
    prelude::*,
    sample::select,
    test_runner::{Config, TestRunner},
};
use serde_json::{Value, json};

use crate::support::app::{Answer, TestApp, order};

/// A batch, and how it is sent.
#[derive(Debug, Clone)]
struct Step {
    orders: Vec<Sent>,
    /// Through which of the two instances.
    there: bool,
    /// Through both at once.
    twice: bool,
}

/// A row of the table of orders, with its house and the count of its lines.
type Row = (String, i32, String, i64, Option<String>, i32, String, i64);

#[derive(Debug, Clone)]
struct Sent {
    id: u8,
    external_id: Number,
    status: &'static str,
    total: u16,
    /// Absent, null or a text.
    #[expect(
        clippy::option_option,
        reason = "absent and null are two things here, as they are on the wire"
    )]
    comment: Option<Option<u8>>,
    house: u8,
    client: SentClient,
    username: Option<u8>,
    /// Wrong by itself.
    bad: bool,
}

#[derive(Debug, Clone)]
enum SentClient {
    Registered { id: Option<u8>, number: Number },
    Guest { phone: u8, spelling: &'static str },
}

/// A number of ours, as a sender may remember it.
#[derive(Debug, Clone)]
enum Number {
    None,
    /// Its own, when it has one.
    Own,
    /// That of the n-th record there is.
    Of(u8),
    /// This one, whosever.
    This(i32),
}

fn number() -> impl Strategy<Value = Number> {
    prop_oneof![
        4 => Just(Number::None),
        3 => Just(Number::Own),
        2 => any::<u8>().prop_map(Number::Of),
        // Soon to be given, in some reserve already, or far away.
        1 => (1..80).prop_map(Number::This),
        1 => (5000..5003).prop_map(Number::This),
    ]
}

fn sent() -> impl Strategy<Value = Sent> {
    let registered = (proptest::option::weighted(0.8, 0..4_u8), number())
        .prop_map(|(id, number)| SentClient::Registered { id, number });
    let guest = (0..3_u8, select(vec!["+7", "8", "7", "", "8 (", "+7-"]))
        .prop_map(|(phone, spelling)| SentClient::Guest { phone, spelling });
    (
        (
            0..6_u8,
            number(),
            select(vec!["new", "approved", "completed", "removed"]),
        ),
        (
            any::<u16>(),
            proptest::option::of(proptest::option::of(any::<u8>())),
            0..3_u8,
        ),
        prop_oneof![2 => registered, 1 => guest],
        proptest::option::weighted(0.8, any::<u8>()),
        proptest::bool::weighted(0.1),
    )
        .prop_map(
            |((id, external_id, status), (total, comment, house), client, username, bad)| Sent {
                id,
                external_id,
                status,
                total,
                comment,
                house,
                client,
                username,
                bad,
            },
        )
}

fn step() -> impl Strategy<Value = Step> {
    (
        vec(sent(), 1..7),
        any::<bool>(),
        proptest::bool::weighted(0.2),
    )
        .prop_map(|(mut orders, there, twice)| {
            // An order that comes twice in one batch is another test's matter.
            let mut seen = BTreeSet::new();
            orders.retain(|sent| seen.insert(sent.id));
            Step {
                orders,
                there,
                twice,
            }
        })
}

#[derive(Debug, Default)]
struct Model {
    orders: BTreeMap<String, Order>,
    clients: Vec<Client>,
}

#[derive(Debug)]
struct Order {
    /// Zero until the database tells which it was given.
    number: i32,
    status: &'static str,
    total: u16,
    comment: Option<String>,
    client: usize,
    house: String,
}

#[derive(Debug)]
struct Client {
    number: i32,
    id: Option<String>,
    guest: Option<String>,
    /// That of the guest it is or was.
    phone: Option<String>,
    username: String,
    houses: BTreeSet<String>,
}

/// An order as it goes out, with its numbers looked up.
struct Outgoing<'s> {
    sent: &'s Sent,
    id: String,
    number: Option<i32>,
    client_id: Option<String>,
    client_number: Option<i32>,
    phone: Option<String>,
}

impl Model {
    /// What a sender who remembers our answers would send.
    fn outgoing<'s>(&self, sent: &'s Sent) -> Outgoing<'s> {
        let id = format!("order {}", sent.id);
        let look_up = |number: &Number, own: Option<i32>, all: Vec<i32>| match number {
            Number::None => None,
            Number::Own => own,
            Number::Of(_) if all.is_empty() => None,
            Number::Of(n) => Some(all[usize::from(*n) % all.len()]),
            Number::This(number) => Some(*number),
        };
        let own = self.orders.get(&id).map(|order| order.number);
        let all = self.orders.values().map(|order| order.number).collect();
        let number = look_up(&sent.external_id, own, all);
        let (mut client_id, mut client_number, mut phone) = (None, None, None);
        match &sent.client {
            SentClient::Registered { id, number } => {
                client_id = id.map(|id| format!("client {id}"));
                let own = self
                    .clients
                    .iter()
                    .find(|client| client.id.is_some() && client.id == client_id);
                let all = self.clients.iter().map(|client| client.number).collect();
                client_number = look_up(number, own.map(|client| client.number), all);
                if client_id.is_none() && client_number.is_none() {
                    // Neither: it would be a guest without a phone.
                    client_id = Some("client 0".into());
                }
            }
            SentClient::Guest { phone: n, .. } => phone = Some(format!("919199191{n}")),
        }
        Outgoing {
            sent,
            id,
            number,
            client_id,
            client_number,
            phone,
        }
    }

    /// Whether what becomes of it hangs together with other orders of the batch, whose client it needs or takes. Sent again such
    /// a batch must change nothing; that is another test's matter (order/decide/tests.rs).
    fn is_entangled(&self, out: &Outgoing<'_>, batch: &[Outgoing<'_>]) -> bool {
        let by_id = |client: &&Client| client.id.is_some() && client.id == out.client_id;
        let by_number = |client: &&Client| Some(client.number) == out.client_number;
        if out.phone.is_some() || self.clients.iter().any(|client| by_id(&client)) {
            return false;
        }
        let record = self.clients.iter().find(by_number);
        batch.iter().any(|other| {
            other.id != out.id
                && (other.client_id.is_some() && other.client_id == out.client_id
                    || other.client_number.is_some() && other.client_number == out.client_number
                    || other.phone.is_some() && record.is_some_and(|r| r.guest == other.phone))
        })
    }

    /// Takes one order in; what must be said of it: its faults, or its warnings.
    fn take(&mut self, out: &Outgoing<'_>) -> Result<Vec<&'static str>, Vec<&'static str>> {
        let mut faults = Vec::new();
        let mut warnings = Vec::new();
        if out.sent.bad {
            faults.push("order_item_list[0].id: too_long");
        }
        let own = self.orders.get(&out.id).map(|order| order.number);
        match out.number {
            Some(number) if own == Some(number) => {}
            Some(number) if self.orders.values().any(|order| order.number == number) => {
                faults.push("external_id: conflict");
            }
            Some(_) if own.is_some() => warnings.push("external_id: external_id_ignored"),
            _ => {}
        }

        let find = |matches: &dyn Fn(&Client) -> bool| self.clients.iter().position(matches);
        let by_id = out
            .client_id
            .as_ref()
            .and_then(|id| find(&|client| client.id.as_ref() == Some(id)));
        let by_number = out
            .client_number
            .and_then(|number| find(&|client| client.number == number));
        let mut adopts = None;
        let found = if out.phone.is_some() {
            find(&|client| client.guest == out.phone)
        } else if by_id.is_some() {
            if out.client_number.is_some() && by_number != by_id {
                warnings.push("client.external_id: external_id_ignored");
            }
            by_id
        } else {
            match by_number {
                Some(known) if out.client_id.is_none() || self.clients[known].id.is_none() => {
                    Some(known)
                }
                Some(_) => {
                    warnings.push("client.external_id: external_id_ignored");
                    None
                }
                None => {
                    adopts = out.client_number;
                    None
                }
            }
        };
        let username = out.sent.username.map(|name| format!("name {name}"));
        let mut found = found;
        if found.is_none() && username.is_none() && out.phone.is_none() {
            // A cancelled order keeps its client where we do not know the one it came with.
            match self.orders.get(&out.id) {
                Some(order) if out.sent.status == "removed" && !out.sent.bad => {
                    found = Some(order.client);
                    warnings.retain(|warning| !warning.starts_with("client."));
                    warnings.push(": kept_as_stored");
                    warnings.push("client.username: required");
                }
                _ => faults.push("client.username: required"),
            }
        }
        let is_a_strangers = self.orders.get(&out.id).is_some_and(|order| {
            let theirs = &self.clients[order.client].phone;
            let named = found.and_then(|client| self.clients[client].phone.as_ref());
            let mut phones = [out.phone.as_ref(), named].into_iter().flatten();
            found != Some(order.client) && !phones.any(|phone| Some(phone) == theirs.as_ref())
        });
        // A finished order is not overwritten by a stranger's; of a stranger's cancellation the status is all that counts.
        if let Some(order) = self.orders.get(&out.id)
            && ["completed", "removed"].contains(&order.status)
            && is_a_strangers
            && (out.sent.status != "removed" || !out.sent.bad)
        {
            if out.sent.status == "removed" {
                found = Some(order.client);
                warnings.retain(|warning| !warning.starts_with("client."));
                warnings.extend([": kept_as_stored", "client: not_allowed"]);
            } else {
                faults.push("id: conflict");
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }

        let house = out.sent.house.to_string();
        let client = found.unwrap_or_else(|| {
            self.clients.push(Client {
                number: adopts.unwrap_or(0),
                id: None,
                guest: out.phone.clone(),
                phone: out.phone.clone(),
                username: String::new(),
                houses: BTreeSet::new(),
            });
            self.clients.len() - 1
        });
        let keeps_client = warnings.contains(&": kept_as_stored");
        let record = &mut self.clients[client];
        if !keeps_client {
            if record.id.is_none() && out.client_id.is_some() {
                record.id.clone_from(&out.client_id);
                record.guest = None;
            }
            record.username = username
                .or(out.phone.as_ref().map(|_| "guest".into()))
                .unwrap_or(record.username.clone());
            record.houses.insert(house.clone());
        }

        let order = self.orders.entry(out.id.clone()).or_insert_with(|| Order {
            number: out.number.unwrap_or(0),
            status: out.sent.status,
            total: 0,
            comment: None,
            client,
            house: house.clone(),
        });
        let forward = match order.status {
            "new" => true,
            "approved" => out.sent.status != "new",
            last => out.sent.status == last,
        };
        if forward {
            order.status = out.sent.status;
        } else {
            warnings.push("status: status_not_changed");
        }
        if keeps_client {
            // Nothing else of it is taken: it may be a stranger's.
            return Ok(warnings);
        }
        if order.client != client && is_a_strangers {
            order.comment = None;
        }
        order.total = out.sent.total;
        if let Some(comment) = out.sent.comment {
            order.comment = comment.map(|n| format!("comment {n}"));
        }
        if order.client != client {
            warnings.push("client: client_changed");
        }
        order.client = client;
        order.house = house;
        Ok(warnings)
    }

    /// Holds it against the database; learns the numbers that were given.
    async fn compare(&mut self, app: &TestApp, given: &mut Given) {
        let pool = app.pool();
        let clients: Vec<(i32, Option<String>, Option<String>, String)> =
            sqlx::query_as("SELECT number, sender_id, guest_phone, username FROM client")
                .fetch_all(&pool)
                .await
                .unwrap();
        assert_eq!(clients.len(), self.clients.len(), "{clients:?}");
        for (at, client) in self.clients.iter_mut().enumerate() {
            let guest = client.guest.as_ref().map(|phone| format!("+7{phone}"));
            let same = |(number, id, phone, _): &&(i32, Option<String>, Option<String>, String)| {
                if client.number == 0 {
                    (client.id.is_some() && *id == client.id)
                        || (guest.is_some() && *phone == guest)
                } else {
                    *number == client.number
                }
            };
            let (number, id, phone, username) = clients
                .iter()
                .find(same)
                .unwrap_or_else(|| panic!("{client:?}"));
            client.number = *number;
            assert_eq!(
                (id, phone, username),
                (&client.id, &guest, &client.username)
            );
            assert_eq!(
                *given.clients.entry(*number).or_insert(at),
                at,
                "a number given twice"
            );
        }

        let mut houses: Vec<(i32, String)> =
            sqlx::query_as("SELECT client_number, house FROM address")
                .fetch_all(&pool)
                .await
                .unwrap();
        houses.sort();
        let mut expected: Vec<(i32, String)> = self
            .clients
            .iter()
            .flat_map(|client| {
                client
                    .houses
                    .iter()
                    .map(|house| (client.number, house.clone()))
            })
            .collect();
        expected.sort();
        assert_eq!(houses, expected);

        let orders: Vec<Row> = sqlx::query_as(
            "SELECT o.sender_id, o.number, o.status, o.total::bigint, o.comment, o.client_number,
                    o.shipping_address ->> 'house',
                    (SELECT count(*) FROM order_item i WHERE i.order_number = o.number)
             FROM orders o JOIN address a ON a.number = o.address_number AND a.client_number = o.client_number
             ORDER BY o.sender_id",
        )
        .fetch_all(&pool)
        .await
        .unwrap();
        assert_eq!(orders.len(), self.orders.len(), "{orders:?}");
        for (row, (id, order)) in orders.into_iter().zip(&mut self.orders) {
            if order.number == 0 {
                order.number = row.1;
            }
            let client = self.clients[order.client].number;
            let expected: Row = (
                id.clone(),
                order.number,
                order.status.into(),
                order.total.into(),
                order.comment.clone(),
                client,
                order.house.clone(),
                1,
            );
            assert_eq!(row, expected);
            assert_eq!(
                given.orders.entry(row.1).or_insert_with(|| id.clone()),
                id,
                "a number given twice"
            );
        }
    }
}

/// Who was ever given a number.
#[derive(Debug, Default)]
struct Given {
    orders: BTreeMap<i32, String>,
    clients: BTreeMap<i32, usize>,
}

impl Outgoing<'_> {
    fn json(&self) -> Value {
        let mut whole = order(&self.id);
        whole["status"] = json!(self.sent.status);
        whole["total"] = json!(self.sent.total);
        // What costs a cancellation, too.
        if self.sent.bad {
            whole["order_item_list"][0]["id"] = json!("9".repeat(256));
        }
        whole["external_id"] = json!(self.number);
        whole["shipping_address"]["house"] = json!(self.sent.house.to_string());
        if let Some(comment) = self.sent.comment {
            whole["comment"] = json!(comment.map(|n| format!("comment {n}")));
        }
        whole["client"] = json!({ "id": self.client_id, "external_id": self.client_number });
        if let Some(name) = self.sent.username {
            whole["client"]["username"] = json!(format!("name {name}"));
        }
        if let (Some(phone), SentClient::Guest { spelling, .. }) = (&self.phone, &self.sent.client)
        {
            whole["client"]["phone"] = json!(format!("{spelling}{phone}"));
            if self.sent.username.is_none() {
                whole["client"]["username"] = json!("guest");
            }
        }
        whole
    }
}

/// What was said of that order: faults, or warnings but those about products.
fn said(answer: &Answer, id: &str) -> Result<Vec<String>, Vec<String>> {
    if answer.entry(id)["success"] == false {
        return Err(answer.faults(id));
    }
    let mut warnings = answer.warnings(id);
    warnings.retain(|warning| !warning.ends_with("product_not_found"));
    Ok(warnings)
}

async fn follow(steps: Vec<Step>) {
    let here = TestApp::start().await;
    let there = TestApp::beside(Arc::clone(&here.database), |_| ()).await;
    let (mut model, mut given) = (Model::default(), Given::default());
    for step in &steps {
        let batch: Vec<Outgoing> = step
            .orders
            .iter()
            .map(|sent| model.outgoing(sent))
            .collect();
        let entangled: Vec<bool> = batch
            .iter()
            .map(|out| model.is_entangled(out, &batch))
            .collect();
        let batch: Vec<Outgoing> = batch
            .into_iter()
            .zip(entangled)
            .filter_map(|(out, is_entangled)| (!is_entangled).then_some(out))
            .collect();
        let body = json!(batch.iter().map(Outgoing::json).collect::<Vec<_>>());
        if step.twice {
            let (one, other) = tokio::join!(here.post(&body), there.post(&body));
            assert_eq!((one.status.as_u16(), other.status.as_u16()), (200, 200));
            // Which of them came first is nobody's business: the end is the same.
            for _ in 0..2 {
                for out in &batch {
                    let _ = model.take(out);
                }
            }
            model.compare(&here, &mut given).await;
        } else {
            let app = if step.there { &there } else { &here };
            let answer = app.post(&body).await;
            for out in &batch {
                let sorted = |mut said: Vec<&str>| {
                    said.sort_unstable();
                    said.into_iter().map(ToOwned::to_owned).collect::<Vec<_>>()
                };
                let expected = model.take(out).map(sorted).map_err(sorted);
                assert_eq!(said(&answer, &out.id), expected, "{}", out.json());
            }
            model.compare(&here, &mut given).await;
            for out in &batch {
                let entry = answer.entry(&out.id);
                if entry["success"] == true {
                    let order = &model.orders[&out.id];
                    let answered = &entry["data"][0];
                    assert_eq!(answered["id"], order.number.to_string());
                    assert_eq!(answered["status"], order.status);
                    assert_eq!(answered["client"]["id"], model.clients[order.client].number);
                }
            }
        }
    }
}

#[test]
fn any_sequence_of_batches_leaves_what_the_model_says() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let config = Config {
        cases: 40,
        max_shrink_iters: 200,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&vec(step(), 1..15), |steps| {
            runtime.block_on(follow(steps));
            Ok(())
        })
        .unwrap_or_else(|failure| panic!("{failure}"));
}
