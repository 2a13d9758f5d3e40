//! Who may post (contract §1): users, anonymous publications, networks; and how little a stranger learns.
//!
//! That a stranger's credentials also cost the same is tested where the checks are counted: in `src/http/login/`.

use std::{
    io::Write,
    net::{IpAddr, Ipv4Addr},
    process::{Command, Stdio},
};

use aqua_orders::config::{Access, Publication, Role, Secret, User};
use argon2::{Argon2, Params, PasswordHasher};
use reqwest::{Client, RequestBuilder, header};
use serde_json::json;
use tokio::task::JoinSet;

use crate::support::{
    app::{Answer, TestApp, order},
    config::anonymous_publication,
};

/// A publication with these users. Their hashes are cheap, for the tests' sake.
fn publication(name: &str, users: &[(&str, &str)]) -> Publication {
    let cheap = Argon2::from(Params::new(8, 1, 1, None).unwrap());
    let users = users.iter().map(|(login, password)| User {
        login: (*login).into(),
        role: Role::Sender,
        allow_from: Vec::new(),
        password_hash: Secret::new(
            cheap
                .hash_password(password.as_bytes())
                .unwrap()
                .to_string(),
        ),
    });
    Publication {
        access: Access::Users(users.collect()),
        ..anonymous_publication(name, &[])
    }
}

async fn serving(publications: Vec<Publication>) -> TestApp {
    TestApp::with(|config| config.publications = publications).await
}

/// `site` with `secret` on `closed`, `app` with `other secret` on `another`, and everybody on `open`.
async fn three() -> TestApp {
    serving(vec![
        publication("closed", &[("site", "secret")]),
        publication("another", &[("app", "other secret")]),
        anonymous_publication("open", &[]),
    ])
    .await
}

fn client() -> Client {
    Client::builder().no_proxy().build().unwrap()
}

/// A sender that calls from this address.
fn from(address: Ipv4Addr) -> Client {
    Client::builder()
        .no_proxy()
        .local_address(IpAddr::V4(address))
        .build()
        .unwrap()
}

/// An empty batch to that publication.
fn call(client: &Client, app: &TestApp, publication: &str) -> RequestBuilder {
    let address = app.address;
    client
        .post(format!(
            "http://{address}/{publication}/hs/AquaDeliveri/getOrdersURL"
        ))
        .body("[]")
}

async fn status(request: RequestBuilder) -> u16 {
    Answer::of(request).await.status.as_u16()
}

/// What a caller sees of an answer, but for what differs in any two: its id and the time.
async fn looks(request: RequestBuilder) -> (u16, Vec<(String, String)>, String) {
    let answer = Answer::of(request).await;
    let headers = answer
        .headers
        .iter()
        .filter(|(name, _)| *name != "x-request-id" && *name != header::DATE)
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    (answer.status.as_u16(), headers, answer.text)
}

#[tokio::test]
async fn a_user_is_let_in_with_utf_8_in_login_and_password() {
    let users = [
        ("сайт", "пароль: с двоеточием и 🚰"),
        ("site", "p@ss w\u{00F6}rd"),
        ("without a password", ""),
    ];
    let app = serving(vec![publication("closed", &users)]).await;
    let client = client();
    for (login, password) in users {
        // The second time it is known by its keyed hash.
        for _ in 0..2 {
            let call = call(&client, &app, "closed").basic_auth(login, Some(password));
            assert_eq!(status(call).await, 200, "{login}");
        }
        for wrong in ["пароль", &format!("{password} "), &password.to_uppercase()] {
            if wrong != password {
                let call = call(&client, &app, "closed").basic_auth(login, Some(wrong));
                assert_eq!(status(call).await, 401, "{login}: {wrong}");
            }
        }
    }
    let logins: Vec<String> = app
        .values("SELECT DISTINCT login FROM journal_batch ORDER BY login")
        .await;
    assert_eq!(logins, ["site", "without a password", "сайт"]);
}

#[tokio::test]
async fn a_publication_with_users_is_compared_without_case_and_may_have_aliases() {
    let mut delivery = publication("доставка", &[("site", "secret")]);
    delivery.aliases = vec!["доставка_web".into(), "delivery".into()];
    let app = serving(vec![delivery]).await;
    let client = client();
    for name in [
        "доставка",
        "ДОСТАВКА",
        "Доставка_Web",
        "DELIVERY",
        "%64elivery",
    ] {
        let with = call(&client, &app, name).basic_auth("site", Some("secret"));
        assert_eq!(status(with).await, 200, "{name}");
        let without = call(&client, &app, name);
        assert_eq!(status(without).await, 401, "{name}");
    }
    let tenants: Vec<String> = app
        .values("SELECT DISTINCT publication FROM journal_batch")
        .await;
    assert_eq!(tenants, ["доставка"], "one tenant, whatever it was called");
}

#[tokio::test]
async fn an_anonymous_publication_ignores_an_authorization_header() {
    let app = three().await;
    let client = client();
    assert_eq!(status(call(&client, &app, "open")).await, 200);
    for header in [
        b"Basic c2l0ZTpzZWNyZXQ=".as_slice(),
        b"Basic !",
        b"Bearer token",
        b"",
        b"\xFF\xFE",
    ] {
        let call = call(&client, &app, "open").header(header::AUTHORIZATION, header);
        assert_eq!(status(call).await, 200, "{header:?}");
    }
}

#[tokio::test]
async fn bad_or_missing_credentials_and_an_unknown_publication_look_the_same_to_a_stranger() {
    let app = three().await;
    let client = client();
    let to = |publication| call(&client, &app, publication);
    let with = |publication, header: &[u8]| to(publication).header(header::AUTHORIZATION, header);
    let expected = looks(to("nowhere")).await;
    assert_eq!(expected.0, 401);
    assert!(
        expected.2.contains(r#""code":"unauthorized""#),
        "{}",
        expected.2
    );
    let challenge = (
        "www-authenticate".to_owned(),
        r#"Basic realm="AquaDeliveri", charset="UTF-8""#.to_owned(),
    );
    assert!(expected.1.contains(&challenge), "{:?}", expected.1);

    for (what, request) in [
        ("no credentials", to("closed")),
        (
            "a wrong password",
            to("closed").basic_auth("site", Some("wrong")),
        ),
        (
            "no password",
            to("closed").basic_auth("site", None::<String>),
        ),
        (
            "an unknown login",
            to("closed").basic_auth("nobody", Some("secret")),
        ),
        (
            "a login in another case",
            to("closed").basic_auth("Site", Some("secret")),
        ),
        (
            "a known user on a publication that is not theirs",
            to("another").basic_auth("site", Some("secret")),
        ),
        (
            "a known user on an unknown publication",
            to("nowhere").basic_auth("site", Some("secret")),
        ),
        ("another scheme", to("closed").bearer_auth("secret")),
        ("no base64", with("closed", b"Basic site:secret")),
        ("no UTF-8", with("closed", b"Basic 8fLo8To\xFF")),
        ("no colon", with("closed", b"Basic c2l0ZQ==")),
        ("nothing at all", with("closed", b"")),
    ] {
        assert_eq!(looks(request).await, expected, "{what}");
    }
}

#[tokio::test]
async fn a_known_user_on_a_publication_that_is_not_theirs_is_401() {
    let app = three().await;
    let client = client();
    for (publication, login, password, expected) in [
        ("closed", "site", "secret", 200),
        ("another", "site", "secret", 401),
        ("another", "app", "other secret", 200),
        ("closed", "app", "other secret", 401),
    ] {
        let call = call(&client, &app, publication).basic_auth(login, Some(password));
        assert_eq!(status(call).await, expected, "{login} on {publication}");
    }
}

#[tokio::test]
async fn the_same_login_on_two_publications_is_two_users() {
    let app = serving(vec![
        publication("one", &[("site", "first")]),
        publication("two", &[("site", "second")]),
    ])
    .await;
    let client = client();
    for (publication, password, expected) in [
        ("one", "first", 200),
        ("two", "first", 401),
        ("two", "second", 200),
        ("one", "second", 401),
    ] {
        let call = call(&client, &app, publication).basic_auth("site", Some(password));
        assert_eq!(status(call).await, expected, "{password} on {publication}");
    }
}

#[tokio::test]
async fn others_than_allow_froms_networks_get_the_strangers_401() {
    const INSIDE: Ipv4Addr = Ipv4Addr::new(127, 0, 7, 1);
    const OUTSIDE: Ipv4Addr = Ipv4Addr::new(127, 0, 8, 1);
    let networks = vec![
        "10.0.0.0/8".parse().unwrap(),
        "127.0.7.0/24".parse().unwrap(),
    ];
    let app = serving(vec![
        Publication {
            allow_from: networks.clone(),
            ..publication("closed", &[("site", "secret")])
        },
        Publication {
            allow_from: networks,
            ..anonymous_publication("open", &[])
        },
    ])
    .await;
    let (inside, outside) = (from(INSIDE), from(OUTSIDE));
    let signed =
        |client, publication| call(client, &app, publication).basic_auth("site", Some("secret"));
    assert_eq!(status(call(&inside, &app, "open")).await, 200);
    assert_eq!(status(signed(&inside, "closed")).await, 200);

    let stranger = looks(call(&outside, &app, "nowhere")).await;
    assert_eq!(stranger.0, 401);
    for request in [
        call(&outside, &app, "open"),
        signed(&outside, "open"),
        call(&outside, &app, "closed"),
        signed(&outside, "closed"),
        call(&inside, &app, "closed"),
    ] {
        assert_eq!(looks(request).await, stranger);
    }
}

#[tokio::test]
async fn credentials_only_after_a_401_work() {
    let app = three().await;
    let client = client();
    for _ in 0..2 {
        let challenge = Answer::of(call(&client, &app, "closed")).await;
        assert_eq!(challenge.status, 401);
        assert!(
            challenge.headers[header::WWW_AUTHENTICATE]
                .to_str()
                .unwrap()
                .starts_with("Basic ")
        );
        // The connection serves on, as the senders expect.
        assert!(!challenge.headers.contains_key(header::CONNECTION));
        let again = call(&client, &app, "closed").basic_auth("site", Some("secret"));
        assert_eq!(status(again).await, 200);
    }
}

#[tokio::test]
async fn a_strangers_body_is_neither_looked_at_nor_kept() {
    let app = three().await;
    let client = client();
    let empty = looks(call(&client, &app, "closed")).await;
    let bodies = [
        "{".to_owned(),
        json!([order("1")]).to_string(),
        format!("[{}1]", "1,".repeat(6_000)),
    ];
    for body in bodies {
        let request = call(&client, &app, "closed").body(body);
        assert_eq!(looks(request).await, empty);
    }
    for table in ["journal_batch", "journal_rejected", "orders", "client"] {
        assert_eq!(app.count(table).await, 0, "{table}");
    }
}

#[tokio::test]
async fn passwords_and_authorization_headers_are_never_in_the_journal() {
    let app = serving(vec![publication("closed", &[("site", "secret-42")])]).await;
    let mut wrong = order("2");
    wrong["status"] = json!("?");
    let batch = json!([order("1"), wrong]).to_string();
    let answer = Answer::of(
        call(&client(), &app, "closed")
            .basic_auth("site", Some("secret-42"))
            .body(batch),
    )
    .await;
    assert_eq!(answer.faults("2"), ["status: not_allowed"]);
    let mut journal = String::new();
    for table in ["journal_batch", "journal_rejected"] {
        let rows = format!("SELECT to_json(j)::text FROM {table} j");
        let rows: Vec<String> = app.values(rows).await;
        assert_eq!(rows.len(), 1, "{table}");
        journal.extend(rows);
    }
    assert!(journal.contains(r#""login":"site""#), "{journal}");
    for secret in ["secret-42", "c2l0ZTpzZWNyZXQtNDI", "Basic", "argon2"] {
        assert!(!journal.contains(secret), "{secret}: {journal}");
    }
}

#[tokio::test]
async fn a_crowd_that_guesses_keeps_nobody_out_who_is_known_already() {
    let mut closed = publication("closed", &[("site", "secret")]);
    // A second user with a hash as dear as `hash-password` makes it: so every guess costs as much.
    if let Access::Users(users) = &mut closed.access {
        let hash = Argon2::default().hash_password(b"other").unwrap();
        users.push(User {
            login: "other".into(),
            role: Role::Sender,
            allow_from: Vec::new(),
            password_hash: Secret::new(hash.to_string()),
        });
    }
    let app = serving(vec![closed]).await;
    let known = client();
    let signed = || call(&known, &app, "closed").basic_auth("site", Some("secret"));
    assert_eq!(status(signed()).await, 200);

    let mut crowd = JoinSet::new();
    for guess in 0..200 {
        let publication = if guess % 2 == 0 { "closed" } else { "nowhere" };
        let guess = call(&client(), &app, publication).basic_auth("site", Some(guess.to_string()));
        crowd.spawn(Answer::of(guess));
    }
    // As soon as one is sent away, no place is free.
    let mut sent_away = 0;
    while let Some(answer) = crowd.join_next().await {
        let answer = answer.unwrap();
        if answer.status == 503 {
            assert_eq!(answer.body["errors"][0]["code"], "overloaded");
            assert!(answer.headers.contains_key(header::RETRY_AFTER));
            sent_away += 1;
            assert_eq!(status(signed()).await, 200);
        } else {
            assert_eq!(answer.status, 401);
        }
    }
    assert!(sent_away > 0, "the queue is bounded");
    assert_eq!(
        status(call(&known, &app, "closed").basic_auth("other", Some("other"))).await,
        200,
        "and free again"
    );
}

#[tokio::test]
async fn what_hash_password_prints_lets_its_user_in() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aqua-orders"))
        .arg("hash-password")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let typed = "пароль с пробелом \n";
    let mut stdin = command.stdin.take().unwrap();
    stdin.write_all(typed.as_bytes()).unwrap();
    drop(stdin);
    let said = command.wait_with_output().unwrap();
    assert!(said.status.success());
    let hash = String::from_utf8(said.stdout).unwrap();
    assert_eq!(hash.lines().count(), 1, "{hash}");

    let mut closed = publication("closed", &[]);
    closed.access = Access::Users(vec![User {
        login: "site".into(),
        role: Role::Sender,
        allow_from: Vec::new(),
        password_hash: Secret::new(hash.trim_end()),
    }]);
    let app = serving(vec![closed]).await;
    let client = client();
    let with = |password| call(&client, &app, "closed").basic_auth("site", Some(password));
    assert_eq!(status(with("пароль с пробелом ")).await, 200);
    assert_eq!(status(with("пароль с пробелом")).await, 401);
}

// --- Who may call what (contract §8) ---

/// Each path, with the method and the body that it takes.
const PATHS: [(&str, &str, &str); 7] = [
    ("POST", "getOrdersURL", "[]"),
    ("GET", "v1/orders", ""),
    ("POST", "v1/orders/results", "[]"),
    ("POST", "v1/products?dry_run=true", "number,name\n1,a\n"),
    ("POST", "v1/districts?dry_run=true", "number,name\n1,a\n"),
    ("POST", "v1/clients?dry_run=true", "number,username\n1,a\n"),
    (
        "POST",
        "v1/orders?dry_run=true",
        "sender_id,number,status\na,1,new\n",
    ),
];

#[tokio::test]
async fn every_path_is_open_to_its_own_kind_of_caller_and_to_nobody_else() {
    use crate::support::back_office::user;
    let mut closed = publication("closed", &[("site", "secret")]);
    closed.back_office = vec![user("1c", "secret", Role::BackOffice)];
    let mut open = anonymous_publication("open", &[]);
    open.back_office = vec![user("1c", "secret", Role::BackOffice)];
    let another = publication("another", &[("app", "other secret")]);
    let mut elsewhere = publication("elsewhere", &[("site", "secret")]);
    let mut far = user("1c", "secret", Role::BackOffice);
    far.allow_from = vec!["192.0.2.0/24".parse().unwrap()];
    elsewhere.back_office = vec![far];
    // The publication's networks are the senders'; a back office with networks of its own is bound to those alone.
    let mut near = publication("near", &[("site", "secret")]);
    near.allow_from = vec!["192.0.2.0/24".parse().unwrap()];
    let mut office = user("1c", "secret", Role::BackOffice);
    office.allow_from = vec!["127.0.0.0/8".parse().unwrap()];
    let mut bound = user("branch", "secret", Role::BackOffice);
    bound.allow_from = Vec::new();
    near.back_office = vec![office, bound];
    let app = serving(vec![closed, open, another, elsewhere, near]).await;
    let client = client();
    let (none, site, office) = (None, Some(("site", "secret")), Some(("1c", "secret")));
    let mut refusals = std::collections::BTreeSet::new();
    for (method, path, body) in PATHS {
        let is_senders = path == "getOrdersURL";
        for (publication, credentials, due) in [
            ("closed", none, false),
            ("closed", site, is_senders),
            ("closed", office, !is_senders),
            ("CLOSED", office, !is_senders),
            ("closed", Some(("1c", "wrong")), false),
            ("closed", Some(("app", "other secret")), false),
            ("open", none, is_senders),
            ("open", office, true),
            // A header is ignored where senders are anonymous, and only there.
            ("open", site, is_senders),
            ("another", office, false),
            ("unknown", office, false),
            ("unknown", none, false),
            ("elsewhere", office, false),
            ("elsewhere", site, is_senders),
            ("near", site, false),
            ("near", office, !is_senders),
            ("near", Some(("branch", "secret")), false),
        ] {
            let address = format!(
                "http://{}/{publication}/hs/AquaDeliveri/{path}",
                app.address
            );
            let mut request = client.request(method.parse().unwrap(), address).body(body);
            if let Some((login, password)) = credentials {
                request = request.basic_auth(login, Some(password));
            }
            let response = request.send().await.unwrap();
            let status = response.status();
            let what = format!("{method} {publication}/{path} as {credentials:?}");
            assert_eq!(status, if due { 200 } else { 401 }, "{what}");
            if !due {
                assert!(
                    response.headers().contains_key("www-authenticate"),
                    "{what}"
                );
                refusals.insert(response.text().await.unwrap());
            }
        }
    }
    assert_eq!(
        refusals.len(),
        1,
        "a stranger sees no difference: {refusals:?}"
    );
}
