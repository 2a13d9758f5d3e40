//! A browser without JavaScript at the operator's console.

use std::{net::SocketAddr, sync::LazyLock};

use aqua_orders::config::{Config, OperatorRole, OperatorUser, Role};
use reqwest::{
    Method, RequestBuilder, StatusCode,
    header::{HeaderMap, SET_COOKIE},
    redirect::Policy,
};

use super::{app::TestApp, back_office::user};

pub const PASSWORD: &str = "пароль-42";

/// Anna, a dispatcher of `demodelivery` alone, and `boss`, an admin of both publications; at every instance with the same hashes.
pub fn operators(config: &mut Config) {
    static USERS: LazyLock<Vec<OperatorUser>> = LazyLock::new(|| {
        vec![
            operator("Анна", OperatorRole::Dispatcher, &["demodelivery"]),
            operator("boss", OperatorRole::Admin, &["demodelivery", "доставка"]),
        ]
    });
    config.operator.users.clone_from(&USERS);
}

pub fn operator(login: &str, role: OperatorRole, publications: &[&str]) -> OperatorUser {
    OperatorUser {
        login: login.to_owned(),
        role,
        password_hash: user(login, PASSWORD, Role::Sender).password_hash,
        publications: publications.iter().map(ToString::to_string).collect(),
    }
}

pub struct Browser {
    client: reqwest::Client,
    address: SocketAddr,
    /// Names and values.
    pub cookies: Vec<(String, String)>,
}

/// A response.
#[derive(Debug)]
pub struct Seen {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl Seen {
    /// Where it leads.
    pub fn location(&self) -> &str {
        self.headers
            .get("location")
            .map_or("", |location| location.to_str().unwrap())
    }

    /// Whether the page has that text, as a person reads it.
    pub fn shows(&self, text: &str) -> bool {
        let escaped = text
            .replace('&', "&#38;")
            .replace('<', "&#60;")
            .replace('>', "&#62;")
            .replace('"', "&#34;")
            .replace('\'', "&#39;");
        self.text.contains(&escaped)
    }

    /// The value of the first field of that name.
    pub fn field(&self, name: &str) -> String {
        let field = format!("name=\"{name}\" value=\"");
        let from = self.text.split_once(&field).map(|(_, rest)| rest);
        let value = from.unwrap_or_else(|| panic!("no {name} in {}", self.text));
        value.split('"').next().unwrap().to_owned()
    }
}

impl Browser {
    /// At a service with [`operators`], logged in.
    pub async fn of(app: &TestApp, login: &str) -> Self {
        let mut browser = Self::at(app.operators_address);
        let seen = browser.log_in(login, PASSWORD).await;
        assert_eq!(seen.status, 303, "{}", seen.text);
        browser
    }

    pub fn at(address: SocketAddr) -> Self {
        let client = reqwest::Client::builder().no_proxy();
        Self {
            client: client.redirect(Policy::none()).build().unwrap(),
            address,
            cookies: Vec::new(),
        }
    }

    /// The same person at another instance.
    pub fn moved_to(&self, address: SocketAddr) -> Self {
        Self {
            client: self.client.clone(),
            address,
            cookies: self.cookies.clone(),
        }
    }

    pub async fn log_in(&mut self, login: &str, password: &str) -> Seen {
        let form = [("login", login), ("password", password)];
        self.post("/console/login", &form).await
    }

    pub async fn get(&mut self, path: &str) -> Seen {
        let request = self.request(Method::GET, path);
        self.see(request).await
    }

    /// Submits a form of a page of the console.
    pub async fn post(&mut self, path: &str, form: &[(&str, &str)]) -> Seen {
        let request = self.form(path, form);
        self.see(request.header("Sec-Fetch-Site", "same-origin"))
            .await
    }

    /// Submits it, and goes where that leads.
    pub async fn post_and_follow(&mut self, path: &str, form: &[(&str, &str)]) -> Seen {
        let seen = self.post(path, form).await;
        assert_eq!(seen.status, 303, "{}", seen.text);
        self.get(seen.location()).await
    }

    /// A form, from wherever.
    pub fn form(&self, path: &str, form: &[(&str, &str)]) -> RequestBuilder {
        let encoded = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
        };
        let pairs = form
            .iter()
            .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
        self.request(Method::POST, path)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(pairs.collect::<Vec<_>>().join("&"))
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = (self.client).request(method, format!("http://{}{path}", self.address));
        let cookies = self.cookies.iter();
        let cookies = cookies.map(|(name, value)| format!("{name}={value}"));
        request.header("Cookie", cookies.collect::<Vec<_>>().join("; "))
    }

    pub async fn see(&mut self, request: RequestBuilder) -> Seen {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        for cookie in headers.get_all(SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            if !value.is_empty() {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        Seen {
            status,
            headers,
            text: response.text().await.unwrap(),
        }
    }
}
