//! Callers who mean no good, or know no better (contract §1): each has a bound in time or room, and those beside them do
//! not notice.

use std::{fs, net::IpAddr, path::Path, sync::Arc, time::Duration};

use aqua_orders::config::{Access, Config, Role, Secret, Tls, User};
use argon2::{Argon2, Params, PasswordHasher};
use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore, crypto,
        pki_types::{CertificateDer, ServerName},
    },
};

use crate::support::{
    app::{ORDERS, order},
    talk::{Caller, PATIENCE, Service, post},
};

const SECOND: Duration = Duration::from_secs(1);

/// The first part of a request with a body of this length.
fn head(length: usize) -> String {
    format!("POST {ORDERS} HTTP/1.1\r\nHost: test\r\nContent-Length: {length}\r\n\r\n")
}

/// A batch whose answer is about so many times 300 bytes.
fn batch(orders: usize) -> String {
    let orders: Vec<Value> = (0..orders)
        .map(|n| json!({ "id": n.to_string() }))
        .collect();
    json!(orders).to_string()
}

// --- Time ---

#[tokio::test]
async fn a_caller_that_never_reads_its_answer_is_hung_up_on_and_its_room_is_free_again() {
    let body = batch(1500);
    let service = Service::with(|config| {
        config.times.write = SECOND;
        // For such a batch, and not for two at a time.
        config.limits.bytes_in_flight = 9_000_000;
    })
    .await;
    let mut deaf = service.connect().await;
    let request = post(ORDERS, "", &body);
    // It goes on asking until nobody listens any more: the answers fill every buffer on their way, and then wait.
    let asking = async { while deaf.0.write_all(&request).await.is_ok() {} };
    timeout(PATIENCE, asking).await.expect("hung up on");
    let answer = service.post("", &body).await;
    answer.took(1500);
}

#[tokio::test]
async fn a_caller_that_reads_its_answer_slowly_gets_it_whole() {
    let body = batch(5000);
    let service = Service::with(|config| config.times.write = SECOND).await;
    let mut slow = service.connect().await;
    slow.send(post(ORDERS, "Connection: close\r\n", &body))
        .await;
    let mut answer = Vec::new();
    let mut part = vec![0; 64 * 1024];
    loop {
        let read = timeout(PATIENCE, slow.0.read(&mut part))
            .await
            .unwrap()
            .unwrap();
        if read == 0 {
            break;
        }
        answer.extend_from_slice(&part[..read]);
        sleep(Duration::from_millis(10)).await;
    }
    assert!(answer.ends_with(b"}}"), "{} bytes", answer.len());
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_a_while() {
    let service = Service::with(|config| config.times.headers = SECOND).await;
    let mut silent = service.connect().await;
    let mut kept = service.connect().await;
    kept.send(post(ORDERS, "", "[]")).await;
    kept.answer().await.took(0);
    assert!(silent.is_hung_up_on().await);
    assert!(kept.is_hung_up_on().await);
}

#[tokio::test]
async fn a_body_that_never_ends_is_413_and_one_that_stalls_is_408() {
    let service = Service::with(|config| {
        config.times.body = SECOND;
        config.limits.body_bytes = 100_000;
    })
    .await;
    let chunked =
        format!("POST {ORDERS} HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut endless = service.connect().await;
    endless.send(&chunked).await;
    let chunk = format!("1000\r\n{}\r\n", " ".repeat(0x1000));
    while endless.0.write_all(chunk.as_bytes()).await.is_ok() {
        if !endless.hears_nothing_for(Duration::from_millis(1)).await {
            break;
        }
    }
    endless.answer().await.refused(413, "body_too_large");

    let mut stalls = service.connect().await;
    stalls.send(&chunked).await;
    stalls.send(&chunk).await;
    stalls.answer().await.refused(408, "request_timeout");
    assert!(stalls.is_hung_up_on().await);
}

// --- Room ---

/// So many callers from an address who were answered and stay.
async fn settled(service: &Service, from: [u8; 4], count: usize) -> Vec<Caller> {
    let mut callers = Vec::new();
    for _ in 0..count {
        let mut caller = service.connect_from(from).await;
        caller.send(post(ORDERS, "", "[]")).await;
        caller.answer().await.took(0);
        callers.push(caller);
    }
    callers
}

#[tokio::test]
async fn a_thousand_idle_connections_take_nothing_from_those_who_work() {
    let service = Service::demo().await;
    let mut idle = Vec::new();
    for _ in 0..1000 {
        idle.push(service.connect().await);
    }
    for n in 0..20 {
        let batch = json!([order(&n.to_string())]).to_string();
        service.post("", batch).await.took(1);
    }
    // They are still there.
    for caller in &mut idle {
        caller.send("GET / HTTP/1.1\r\nHost: test\r\n\r\n").await;
    }
    for mut caller in idle {
        caller.answer().await.refused(404, "not_found");
    }
}

#[tokio::test]
async fn a_trusted_proxy_may_take_every_slot() {
    let service = Service::with(|config| {
        config.limits.connections_per_address = 5;
        config.limits.connections_per_network = 5;
        config.trusted_proxies = vec![IpAddr::from([127, 0, 0, 2]).into()];
    })
    .await;
    settled(&service, [127, 0, 0, 2], 20).await;
}

#[tokio::test]
async fn bodies_beyond_the_room_there_is_are_503_and_those_that_are_in_are_taken() {
    let whole = format!("{}[1,2]", " ".repeat(80_000));
    let service = Service::with(|config| {
        config.limits.body_bytes = 100_000;
        config.limits.bytes_in_flight = 300_000;
    })
    .await;
    let mut first = service.connect().await;
    first.send(head(whole.len())).await;
    first.send(&whole[..60_000]).await;
    assert!(first.hears_nothing_for(Duration::from_millis(200)).await);
    let answer = service.post("", &whole).await;
    answer.refused(503, "overloaded");
    assert!(answer.header("retry-after").is_some());
    // A small one has its room beside it.
    service.post("", "[1]").await.took(1);
    first.send(&whole[60_000..]).await;
    first.answer().await.took(2);
    service.post("", &whole).await.took(2);
}

#[tokio::test]
async fn a_compressed_body_takes_up_the_room_of_what_is_in_it() {
    let mut encoder = async_compression::tokio::write::GzipEncoder::new(Vec::new());
    encoder.write_all(&vec![b' '; 90_000]).await.unwrap();
    encoder.write_all(b"[]").await.unwrap();
    encoder.shutdown().await.unwrap();
    let packed = encoder.into_inner();
    let service = Service::with(|config| {
        config.limits.body_bytes = 100_000;
        config.limits.bytes_in_flight = 300_000;
    })
    .await;
    let mut first = service.connect().await;
    first.send(head(50_000)).await;
    first.send(" ".repeat(40_000)).await;
    assert!(first.hears_nothing_for(Duration::from_millis(200)).await);
    let zip = "Content-Encoding: gzip\r\n";
    service.post(zip, &packed).await.refused(503, "overloaded");
    drop(first);
    while service.post(zip, &packed).await.status != 200 {}
}

// --- Guessers ---

fn basic(credentials: &str) -> String {
    format!(
        "Authorization: Basic {}\r\n",
        BASE64_STANDARD.encode(credentials)
    )
}

/// `demodelivery` for the user `site` with the password `secret`.
fn for_the_site(config: &mut Config) {
    let params = Params::new(8, 1, 1, None).unwrap();
    let hash = Argon2::from(params).hash_password(b"secret").unwrap();
    config.publications[0].access = Access::Users(vec![User {
        login: "site".into(),
        role: Role::Sender,
        allow_from: Vec::new(),
        password_hash: Secret::new(hash.to_string()),
    }]);
}

#[tokio::test]
async fn wrong_passwords_are_slowed_per_address_and_per_login_and_the_honest_site_is_not() {
    let service = Service::with(|config| {
        for_the_site(config);
        config.logins.free_failures = 3;
        config.logins.longest_pause = Duration::from_hours(1);
    })
    .await;
    let guess = async |from: [u8; 4], credentials: String| {
        let mut caller = service.connect_from(from).await;
        caller.send(post(ORDERS, &basic(&credentials), "[]")).await;
        caller
    };
    // The pauses after them: none, none, none, then a quarter, a half, … of a second. The ninth waits for longer than
    // anybody listens here.
    for n in 0..4 {
        let mut caller = guess([127, 0, 0, 2], format!("site:{n}")).await;
        caller.answer().await.refused(401, "unauthorized");
    }
    let mut waiting = Vec::new();
    let mut turned_away = 0;
    for n in 4..30 {
        let mut caller = guess([127, 0, 0, 2], format!("login {n}:wrong")).await;
        if caller.hears_nothing_for(Duration::from_millis(100)).await {
            waiting.push(caller);
        } else {
            let answer = caller.answer().await;
            assert!([401, 503].contains(&answer.status), "{}", answer.text());
            turned_away += usize::from(answer.status == 503);
        }
    }
    assert!(!waiting.is_empty(), "nobody has to wait");
    assert!(turned_away > 0, "everybody may wait");
    // The site itself comes from elsewhere, for the first time, and then again and again.
    for _ in 0..5 {
        let mut site = service.connect_from([127, 0, 0, 3]).await;
        site.send(post(ORDERS, &basic("site:secret"), "[]")).await;
        site.answer().await.took(0);
    }
    // And from where it is guessed at: it is known now.
    let mut site = guess([127, 0, 0, 2], "site:secret".into()).await;
    site.answer().await.took(0);
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_address_is_the_forwarded_one() {
    let service = Service::with(|config| {
        for_the_site(config);
        config.logins.free_failures = 0;
        config.logins.longest_pause = Duration::from_hours(1);
        config.trusted_proxies = vec![IpAddr::from([127, 0, 0, 2]).into()];
    })
    .await;
    let from = async |peer: [u8; 4], forwarded: &str, credentials: &str| {
        let mut caller = service.connect_from(peer).await;
        let headers = format!("X-Forwarded-For: {forwarded}\r\n{}", basic(credentials));
        caller.send(post(ORDERS, &headers, "[]")).await;
        caller
    };
    let mut turned_away = 0;
    let mut waiting = Vec::new();
    for n in 0..20 {
        let mut caller = from([127, 0, 0, 2], "203.0.113.9, 192.0.2.1", &format!("a:{n}")).await;
        if caller.hears_nothing_for(Duration::from_millis(50)).await {
            waiting.push(caller);
        } else {
            turned_away += usize::from(caller.answer().await.status == 503);
        }
    }
    assert!(turned_away > 0);
    // The same proxy, somebody else behind it.
    let mut other = from([127, 0, 0, 2], "203.0.113.9, 192.0.2.2", "b:wrong").await;
    other.answer().await.refused(401, "unauthorized");
    // A peer that is no proxy is itself, whatever it writes.
    for n in 0..3 {
        let mut liar = from(
            [127, 0, 0, 3],
            &format!("192.0.2.{n}"),
            &format!("c{n}:wrong"),
        )
        .await;
        if n == 0 {
            liar.answer().await.refused(401, "unauthorized");
        } else {
            waiting.push(liar);
        }
    }
    let mut last = waiting.pop().unwrap();
    assert!(last.hears_nothing_for(Duration::from_millis(50)).await);
}

#[tokio::test]
async fn allow_from_is_asked_about_the_address_that_a_trusted_proxy_forwards() {
    let service = Service::with(|config| {
        config.publications[0].allow_from = vec!["198.51.100.0/24".parse().unwrap()];
        config.trusted_proxies = vec!["127.0.0.2/32".parse().unwrap()];
    })
    .await;
    for (peer, forwarded, status) in [
        ([127, 0, 0, 2], "198.51.100.7", 200),
        ([127, 0, 0, 2], "192.0.2.1", 401),
        ([127, 0, 0, 2], "198.51.100.7, 192.0.2.1", 401),
        ([127, 0, 0, 3], "198.51.100.7", 401),
    ] {
        let mut caller = service.connect_from(peer).await;
        let headers = format!("X-Forwarded-For: {forwarded}\r\n");
        caller.send(post(ORDERS, &headers, "[]")).await;
        assert_eq!(caller.answer().await.status, status, "{peer:?} {forwarded}");
    }
}

// --- TLS ---

/// A certificate for `localhost` in the folder's files.
fn certify(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    made.cert.der().clone()
}

async fn with_tls(folder: &Path) -> Service {
    let files = Tls {
        cert: folder.join("cert.pem"),
        key: folder.join("key.pem"),
    };
    Service::with(|config| {
        config.tls = Some(files);
        config.times.headers = SECOND;
    })
    .await
}

/// Somebody who trusts that certificate alone.
async fn shake_hands(
    service: &Service,
    trusted: &CertificateDer<'static>,
) -> Result<Caller<TlsStream<TcpStream>>, std::io::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(service.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    Ok(Caller(BufReader::new(
        connector.connect(name, stream).await?,
    )))
}

#[tokio::test]
async fn tls_is_spoken_where_the_settings_say_so_and_plain_text_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = certify(folder.path());
    let service = with_tls(folder.path()).await;
    let mut caller = shake_hands(&service, &certificate).await.unwrap();
    for n in 0..3 {
        let batch = json!([order(&n.to_string())]).to_string();
        caller.send(post(ORDERS, "", batch)).await;
        caller.answer().await.took(1);
    }
    let mut plain = service.connect().await;
    plain.send(post(ORDERS, "", "[]")).await;
    let mut heard = Vec::new();
    let _reset_or_not = plain.0.read_to_end(&mut heard).await;
    assert!(!heard.starts_with(b"HTTP"), "{heard:?}");
    // Nor does it wait for ever for a handshake.
    let mut silent = service.connect().await;
    assert!(silent.is_hung_up_on().await);
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_up_and_a_broken_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let first = certify(folder.path());
    let service = with_tls(folder.path()).await;
    let mut old = shake_hands(&service, &first).await.unwrap();

    let second = certify(folder.path());
    let renewed = async {
        while shake_hands(&service, &second).await.is_err() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, renewed).await.expect("renewed");
    assert!(shake_hands(&service, &first).await.is_err());
    // Who is in is not thrown out.
    old.send(post(ORDERS, "", "[]")).await;
    let _answered_or_timed_out = old.0.read_u8().await;

    fs::write(folder.path().join("cert.pem"), "no certificate").unwrap();
    sleep(3 * SECOND).await;
    shake_hands(&service, &second)
        .await
        .expect("the last good one");
    let third = certify(folder.path());
    let renewed = async {
        while shake_hands(&service, &third).await.is_err() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, renewed).await.expect("renewed again");
}
