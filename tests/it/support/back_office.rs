//! A back office that talks to the service (contract §8).

use aqua_orders::config::{Config, Role, Secret, User};
use argon2::{Argon2, Params, PasswordHasher};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

use super::{app::TestApp, described::faults};

/// Where the feed of `demodelivery` is.
pub const FEED: &str = "/demodelivery/hs/AquaDeliveri/v1/orders";
pub const RESULTS: &str = "/demodelivery/hs/AquaDeliveri/v1/orders/results";

/// A user with a hash that is cheap, for the tests' sake.
pub fn user(login: &str, password: &str, role: Role) -> User {
    let cheap = Argon2::from(Params::new(8, 1, 1, None).unwrap());
    let hash = cheap.hash_password(password.as_bytes()).unwrap();
    User {
        login: login.into(),
        role,
        allow_from: Vec::new(),
        password_hash: Secret::new(hash.to_string()),
    }
}

/// Gives every publication the back office `1c` with the password `secret`.
pub fn with_back_office(config: &mut Config) {
    for publication in &mut config.publications {
        publication.back_office = vec![user("1c", "secret", Role::BackOffice)];
    }
}

/// The service with a back office.
pub async fn start() -> TestApp {
    TestApp::with(with_back_office).await
}

/// What the back office was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub body: Value,
    pub text: String,
}

impl Answer {
    pub async fn of(request: RequestBuilder) -> Self {
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        let body: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{status} {error}: {text}"));
        // As described, where it is no failure of the whole request.
        for (key, schema) in [("results", "Results"), ("problems", "ImportReport")] {
            if body.get(key).is_some() {
                assert_eq!(faults(schema, &body), [""; 0], "{text}");
            }
        }
        Self { status, body, text }
    }

    /// The feed's answer as it must be.
    pub fn page(self) -> Page {
        assert_eq!(self.status, 200, "{}", self.text);
        assert_eq!(faults("Feed", &self.body), [""; 0], "{}", self.text);
        Page {
            cursor: self.body["cursor"].as_str().unwrap().to_owned(),
            more: self.body["more"].as_bool().unwrap(),
            orders: self.body["orders"].as_array().unwrap().clone(),
            bytes: self.text.len(),
        }
    }

    /// A failure of the whole request: its status and code.
    pub fn failure(&self) -> (u16, &str) {
        assert_eq!(self.body["success"], false, "{}", self.text);
        if self.body.get("problems").is_none() {
            assert_eq!(faults("Failure", &self.body), [""; 0], "{}", self.text);
        }
        let code = self.body["errors"][0]["code"].as_str().unwrap();
        (self.status.as_u16(), code)
    }
}

/// What the feed answered.
#[derive(Debug, Clone)]
pub struct Page {
    pub cursor: String,
    pub more: bool,
    pub orders: Vec<Value>,
    pub bytes: usize,
}

impl Page {
    /// The sender's ids and the versions.
    pub fn versions(&self) -> Vec<(&str, i64)> {
        self.orders
            .iter()
            .map(|order| {
                (
                    order["id"].as_str().unwrap(),
                    order["version"].as_i64().unwrap(),
                )
            })
            .collect()
    }
}

impl TestApp {
    /// A request of the back office's.
    pub fn as_back_office(&self, method: Method, path: &str) -> RequestBuilder {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        client
            .request(method, format!("http://{}{path}", self.address))
            .basic_auth("1c", Some("secret"))
    }

    /// Asks the feed of `demodelivery`.
    pub async fn ask_feed(&self, query: &str) -> Answer {
        Answer::of(self.as_back_office(Method::GET, &format!("{FEED}{query}"))).await
    }

    /// What comes behind the cursor.
    pub async fn feed(&self, cursor: &str) -> Page {
        self.ask_feed(&format!("?after={cursor}&limit=500"))
            .await
            .page()
    }

    /// Everything from the cursor on.
    pub async fn whole_feed(&self, cursor: &str) -> Page {
        let mut whole = self.feed(cursor).await;
        while whole.more {
            let next = self.feed(&whole.cursor).await;
            whole.orders.extend(next.orders);
            (whole.cursor, whole.more) = (next.cursor, next.more);
        }
        whole
    }

    /// Says what became of orders.
    pub async fn report(&self, results: &Value) -> Answer {
        let request = self.as_back_office(Method::POST, RESULTS);
        Answer::of(request.body(results.to_string())).await
    }

    /// What became of one; the entry of the answer.
    pub async fn report_one(&self, result: &Value) -> Value {
        let answer = self.report(&json!([result])).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.body["results"][0].clone()
    }
}
