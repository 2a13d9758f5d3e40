//! The log: what a stranger can bring into it, and how much.

use std::time::Duration;

use crate::support::{
    postgres::{TestDatabase, database},
    process::Scratch,
    serving::{Serving, command},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

fn serving(scratch: &Scratch, database: &TestDatabase, settings: &str) -> Serving {
    let text = format!(
        "{settings}\n[database]\nmay_lose_orders = true\n\
         [[publication]]\nname = \"demodelivery\"\nanonymous = true\n"
    );
    std::fs::write(scratch.join("aqua.toml"), text).unwrap();
    Serving::start(command(scratch).env("DATABASE_URL", database.url()))
}

/// Sends that to a listener, and reads what comes until the other side hangs up.
async fn talk(serving: &Serving, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(serving.address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut said = Vec::new();
    let read = stream.read_to_end(&mut said);
    timeout(Duration::from_mins(1), read)
        .await
        .unwrap()
        .unwrap();
    String::from_utf8(said).unwrap()
}

#[tokio::test]
async fn a_long_path_and_a_long_method_are_cut_and_steer_no_terminal() {
    let (scratch, database) = (Scratch::new(), database().await);
    for settings in ["", "[log]\nformat = \"json\""] {
        let mut serving = serving(&scratch, &database, settings);
        let path = format!("/\u{9b}2J{}", "x".repeat(50_000));
        let method = "M".repeat(5_000);
        for request in [
            format!("POST {path} HTTP/1.1\r\nHost: a\r\n\r\n"),
            format!(
                "{method} /demodelivery/hs/AquaDeliveri/getOrdersURL HTTP/1.1\r\nHost: a\r\n\r\n"
            ),
        ] {
            talk(&serving, request.as_bytes()).await;
            let line = serving.hear("answered");
            assert!(line.len() < 1_000, "{} bytes: {line}", line.len());
            assert!(!line.contains('\u{9b}'), "{line}");
            assert!(line.contains('…'), "{line}");
        }
    }
}

#[tokio::test]
async fn a_flood_of_strangers_is_counted_and_not_written_line_by_line() {
    const CALLS: usize = 300;
    let (scratch, database) = (Scratch::new(), database().await);
    let mut serving = serving(&scratch, &database, "");
    for (request, code) in [
        ("GET /nothing/here HTTP/1.1\r\nHost: a\r\n\r\n", "not_found"),
        (
            "POST /nobody/hs/AquaDeliveri/getOrdersURL HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
            "unauthorized",
        ),
        (
            "GET /demodelivery/hs/AquaDeliveri/getOrdersURL HTTP/1.1\r\nHost: a\r\n\r\n",
            "method_not_allowed",
        ),
    ] {
        let said = talk(&serving, request.repeat(CALLS).as_bytes()).await;
        let answers = said.matches(&format!("\"code\":\"{code}\"")).count();
        assert_eq!(answers, CALLS, "{code}");
        let (mut written, mut told) = (0, 0);
        while written + told < CALLS {
            let line = serving.hear(code);
            match line.split("more=").nth(1) {
                None => written += 1,
                Some(more) => told += more.trim().parse::<usize>().unwrap(),
            }
        }
        assert_eq!(written + told, CALLS);
        assert!(told > 0, "all {written} lines were written");
        let metrics = format!("http://{}/metrics", serving.operators_address());
        let metrics = reqwest::get(metrics).await.unwrap().text().await.unwrap();
        let series = format!("aqua_requests_total{{outcome=\"{code}\"}} {CALLS}\n");
        assert!(metrics.contains(&series), "{metrics}");
    }
}

#[tokio::test]
async fn a_failed_login_has_its_address_in_the_log_and_nobody_else_has() {
    const CLOSED: &str = "/closed/hs/AquaDeliveri/getOrdersURL";
    const SETTINGS: &str = "[[publication]]\nname = \"closed\"\nusers = [{ login = \"site\", \
         password_hash = \"$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$DEiBmYZ8Rq5tUFBqQVCEEvFIhOLGTKKjjkPY5JXoVcE\" }]\n";
    let (scratch, database) = (Scratch::new(), database().await);
    let mut serving = serving(&scratch, &database, SETTINGS);
    let mut post = async |path: &str, authorization: &str| {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n{authorization}\r\n[]"
        );
        talk(&serving, request.as_bytes()).await;
        serving.hear("answered")
    };
    // site:wrong
    let line = post(CLOSED, "Authorization: Basic c2l0ZTp3cm9uZw==\r\n").await;
    assert!(line.contains("address=127.0.0.1"), "{line}");
    let line = post("/v1/order/import/", "Authorization: Bearer guessed\r\n").await;
    assert!(line.contains("address=127.0.0.1"), "{line}");
    let line = post(CLOSED, "").await;
    assert!(
        line.contains("unauthorized") && !line.contains("address="),
        "{line}"
    );
    let line = post("/demodelivery/hs/AquaDeliveri/getOrdersURL", "").await;
    assert!(
        line.contains("status=200") && !line.contains("address="),
        "{line}"
    );
}

#[tokio::test]
async fn a_body_that_cannot_be_read_has_its_size_and_its_code_in_the_log() {
    let (scratch, database) = (Scratch::new(), database().await);
    let mut serving = serving(&scratch, &database, "");
    for (body, code) in [("{not json", "malformed_json"), ("{}", "not_an_array")] {
        let request = format!(
            "POST /demodelivery/hs/AquaDeliveri/getOrdersURL HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        talk(&serving, request.as_bytes()).await;
        let line = serving.hear(code);
        assert!(line.contains(&format!("bytes={} ", body.len())), "{line}");
    }
}
