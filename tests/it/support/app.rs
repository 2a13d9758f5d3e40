//! The service in this process, on a database of its own, and a sender who talks to it.

use std::{
    future::pending,
    net::SocketAddr,
    sync::{Arc, OnceLock},
};

use aqua_orders::{
    config::{Config, Secret},
    database::{Servers, console_servers},
    exchange::feed::Feeds,
    exchange::targets::Targets,
    http::{App, listener::tls::Tls, mock::Faults, operator::Operator, serve, serve_operator},
    intake::Intake,
    store::Store,
    telemetry::metrics::Metrics,
};
use reqwest::{RequestBuilder, StatusCode, header::HeaderMap};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Decode, PgPool, Postgres, Type};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use super::{
    config::demo_config,
    described::check_answer,
    postgres::{TestDatabase, database},
    raw,
    serving::PATIENCE,
};

/// Where the orders of `demodelivery` go.
pub const ORDERS: &str = "/demodelivery/hs/AquaDeliveri/getOrdersURL";

/// The service in this process.
pub struct Running {
    pub address: SocketAddr,
    /// Of the operator's listener, which lives as long as the test's runtime.
    pub operators_address: SocketAddr,
    /// Stops it as SIGTERM would; dropped, too.
    pub stop: oneshot::Sender<()>,
    /// How many connections were cut off then.
    pub served: JoinHandle<usize>,
    pub targets: Targets,
    pub feeds: Arc<Feeds>,
}

impl Running {
    /// Starts it on the database that the settings name.
    pub async fn start(config: Config) -> Self {
        Self::start_as(config, None).await
    }

    /// The same; with faults it is what `aqua-orders mock` runs.
    pub async fn start_as(config: Config, faults: Option<Faults>) -> Self {
        let url = config.database.url.as_ref().unwrap().expose();
        let console = console_servers(&config.operator).unwrap();
        let store = Store::new(url.parse::<Servers>().unwrap(), &config.database)
            .with_console(console, &config.database);
        let listener = TcpListener::bind(config.listen).await.unwrap();
        let address = listener.local_addr().unwrap();
        let tls = config.tls.as_ref().map(|files| Tls::open(files).unwrap());
        let metrics = Arc::new(Metrics::new(&config));
        let targets = Targets::start(&store, &config, &metrics);
        let intake = Intake::new(store, &config, Arc::clone(&metrics));
        let intake = Arc::new(OnceLock::from(intake));
        let app = Arc::new(App::new(Arc::new(config), intake, metrics));
        let feeds = Arc::clone(&app.feeds);
        let operator = Operator::new(Arc::clone(&app));
        let operators_listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let operators_address = operators_listener.local_addr().unwrap();
        tokio::spawn(serve_operator(operators_listener, operator, pending()));
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            // A dropped sender means the test is over.
            let _ = stopped.await;
        };
        Self {
            address,
            operators_address,
            stop,
            served: tokio::spawn(serve(listener, app, faults, tls, stopped)),
            targets,
            feeds,
        }
    }
}

/// A running service, its database, and a sender.
pub struct TestApp {
    pub address: SocketAddr,
    pub operators_address: SocketAddr,
    pub database: Arc<TestDatabase>,
    client: reqwest::Client,
    stop: oneshot::Sender<()>,
    served: JoinHandle<usize>,
    targets: Targets,
    feeds: Arc<Feeds>,
}

impl TestApp {
    /// The demo publications on a new database.
    pub async fn start() -> Self {
        Self::with(|_| ()).await
    }

    /// The same with other settings.
    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::beside(Arc::new(database().await), change).await
    }

    /// What `aqua-orders mock --fault` runs, with the demo publications.
    pub async fn mock(faults: &str) -> Self {
        let faults = faults.parse().unwrap();
        Self::start_as(Arc::new(database().await), |_| (), Some(faults)).await
    }

    /// One more instance on a database that there is already.
    pub async fn beside(database: Arc<TestDatabase>, change: impl FnOnce(&mut Config)) -> Self {
        Self::start_as(database, change, None).await
    }

    async fn start_as(
        database: Arc<TestDatabase>,
        change: impl FnOnce(&mut Config),
        faults: Option<Faults>,
    ) -> Self {
        let mut config = demo_config();
        config.database = database.settings();
        config.operator.database_url = Some(Secret::new(database.console_url()));
        change(&mut config);
        let Running {
            address,
            operators_address,
            stop,
            served,
            targets,
            feeds,
        } = Running::start_as(config, faults).await;
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self {
            address,
            operators_address,
            database,
            client,
            stop,
            served,
            targets,
            feeds,
        }
    }

    /// Stops it as SIGTERM would.
    pub async fn stop(self) {
        let _ = self.stop.send(());
        self.targets.stop();
        self.targets.stopped(PATIENCE).await;
        self.served.await.unwrap();
    }

    /// The database as the console asks it.
    pub fn console_store(&self) -> Store {
        let settings = self.database.settings();
        let console = self.database.console_url().parse().unwrap();
        Store::new(self.database.options(), &settings)
            .with_console(Some(console), &settings)
            .for_console()
    }

    /// How many wait for a feed.
    pub fn feeds_waiting(&self) -> usize {
        self.feeds.waiting()
    }

    /// To look behind the service's back.
    pub fn pool(&self) -> PgPool {
        self.database.pool()
    }

    /// A request to the orders' address of `demodelivery`.
    pub fn request(&self) -> RequestBuilder {
        self.client.post(format!("http://{}{ORDERS}", self.address))
    }

    /// Posts a batch.
    pub async fn post(&self, batch: &Value) -> Answer {
        Answer::of(self.request().body(batch.to_string())).await
    }

    /// What the operator's listener has there: the status, and the text.
    pub async fn operator(&self, path: &str) -> (StatusCode, String) {
        let address = format!("http://{}{path}", self.operators_address);
        let answer = self.client.get(address).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    /// What `/metrics` says of that series, written as there; 0 where it is not there.
    pub async fn metric(&self, series: &str) -> u64 {
        let (_, text) = self.operator("/metrics").await;
        let values = text.lines().filter_map(|line| line.strip_prefix(series));
        let mut values = values.filter_map(|value| value.strip_prefix(' '));
        values.next().map_or(0, |value| value.parse().unwrap())
    }

    /// Posts a batch to another path.
    pub async fn post_to(&self, path: &str, batch: &Value) -> Answer {
        let request = self.client.post(format!("http://{}{path}", self.address));
        Answer::of(request.body(batch.to_string())).await
    }

    /// Has a batch checked, and not stored.
    pub async fn check(&self, batch: &Value) -> Answer {
        self.post_to(&format!("{ORDERS}?dry_run=true"), batch).await
    }

    /// Posts one order and expects it to be accepted.
    pub async fn accept(&self, order: &Value) -> Value {
        let id = order["id"].as_str().unwrap();
        self.post(&json!([order])).await.order(id).clone()
    }

    /// How many rows a table has.
    pub async fn count(&self, table: &str) -> i64 {
        self.value(format!("SELECT count(*) FROM {table}")).await
    }

    /// How many orders, items, clients and addresses are stored.
    pub async fn rows(&self) -> [i64; 4] {
        [
            self.count("orders").await,
            self.count("order_item").await,
            self.count("client").await,
            self.count("address").await,
        ]
    }

    /// The one value that the query has.
    pub async fn value<T: Scalar>(&self, sql: impl Into<String>) -> T {
        let [value] = <[T; 1]>::try_from(self.values(sql).await)
            .unwrap_or_else(|values| panic!("{} rows", values.len()));
        value
    }

    /// The query's one column.
    pub async fn values<T: Scalar>(&self, sql: impl Into<String>) -> Vec<T> {
        let sql = sql.into();
        let found = sqlx::query_scalar(AssertSqlSafe(sql.clone()))
            .fetch_all(&self.pool())
            .await;
        found.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// Runs statements behind the service's back.
    pub async fn run(&self, sql: impl Into<String>) {
        let sql = sql.into();
        let ran = sqlx::raw_sql(AssertSqlSafe(sql.clone()))
            .execute(&self.pool())
            .await;
        ran.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
}

/// What a column is read as.
pub trait Scalar: for<'r> Decode<'r, Postgres> + Type<Postgres> + Send + Unpin {}

impl<T: for<'r> Decode<'r, Postgres> + Type<Postgres> + Send + Unpin> Scalar for T {}

/// An answer, read.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
    /// As it came: key order matters in `data`.
    pub text: String,
}

impl Answer {
    /// Sends the request and reads the answer.
    pub async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap();
        let body =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{status} {error}: {text}"));
        check_answer(status.as_u16(), headers.contains_key("x-dry-run"), &body);
        Self {
            status,
            headers,
            body,
            text,
        }
    }

    /// The entry of that key.
    pub fn entry(&self, key: &str) -> &Value {
        assert_eq!(self.status, 200, "{}", self.text);
        let entry = &self.body["data"][key];
        assert!(entry.is_object(), "no entry {key} in {}", self.text);
        entry
    }

    /// The order of that id, which must have been accepted.
    pub fn order(&self, id: &str) -> &Value {
        let entry = self.entry(id);
        assert_eq!(entry["success"], true, "{entry}");
        &entry["data"][0]
    }

    /// The faults of the order of that key, which must have been rejected: `field: code`, sorted.
    pub fn faults(&self, key: &str) -> Vec<String> {
        let entry = self.entry(key);
        assert_eq!(
            (&entry["success"], &entry["data"]),
            (&json!(false), &json!([])),
            "{entry}"
        );
        codes(&entry["errors"])
    }

    /// The warnings of the order of that key, which must have been accepted: `field: code`, sorted.
    pub fn warnings(&self, key: &str) -> Vec<String> {
        let entry = self.entry(key);
        assert_eq!(entry["success"], true, "{entry}");
        codes(&entry["warnings"])
    }

    /// The same without those of products: the tests' products are mostly unknown ones.
    pub fn warnings_but_of_products(&self, id: &str) -> Vec<String> {
        let mut warnings = self.warnings(id);
        warnings.retain(|warning| !warning.ends_with(": product_not_found"));
        warnings
    }

    /// The keys of `data` in the order in which they came.
    pub fn keys(&self) -> Vec<String> {
        raw::keys(raw::at(&self.text, "/data").unwrap())
    }
}

fn codes(list: &Value) -> Vec<String> {
    let mut codes: Vec<String> = list
        .as_array()
        .into_iter()
        .flatten()
        .map(|entry| {
            assert!(
                entry["message"]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{entry}"
            );
            format!(
                "{}: {}",
                entry["field"].as_str().unwrap(),
                entry["code"].as_str().unwrap()
            )
        })
        .collect();
    codes.sort();
    codes
}

/// The document's example request.
pub fn example_request() -> Value {
    serde_json::from_str(include_str!("../../data/example-request.json")).unwrap()
}

/// An order with all that is required and nothing else, of a registered client of the order's own.
pub fn order(id: &str) -> Value {
    json!({
        "id": id,
        "status": "new",
        "total": 710,
        "shipping_date_from": "2026-11-06T11:00:00Z",
        "shipping_date_to": "2026-11-06T18:00:00Z",
        "order_item_list": [{ "product_id": "water-19", "price": "355.00", "quantity": 2 }],
        "client": { "id": format!("client of {id}"), "username": "Василий Тестовый" },
        "shipping_address": {
            "city": "Сыктывкар", "street": "Кутузова", "house": "19", "str": "город Сыктывкар улица Кутузова дом 19"
        }
    })
}

/// The same of a guest with that phone.
pub fn guest_order(id: &str, phone: &str) -> Value {
    changed(
        order(id),
        "/client",
        json!({ "username": "Гость", "phone": phone }),
    )
}

/// The same of the registered client of that id.
pub fn order_of(client: &str, id: &str) -> Value {
    changed(order(id), "/client/id", client)
}

/// An address in one street.
pub fn address(house: &str) -> Value {
    json!({ "city": "Сыктывкар", "street": "Ленина", "house": house, "str": format!("Ленина {house}") })
}

/// A copy with the value at that JSON pointer set (a new key is made), or taken out when `value` is the text
/// `"(absent)"`.
pub fn changed(mut whole: Value, pointer: &str, value: impl Into<Value>) -> Value {
    let value = value.into();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    match whole.pointer_mut(parent).unwrap() {
        Value::Object(object) if value == json!("(absent)") => {
            object.remove(key);
        }
        Value::Object(object) => {
            object.insert(key.to_owned(), value);
        }
        Value::Array(array) => array[key.parse::<usize>().unwrap()] = value,
        other => panic!("{pointer} leads into {other}"),
    }
    whole
}
