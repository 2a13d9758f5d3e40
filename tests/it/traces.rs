//! A request's way is found again: by its `X-Request-Id` in the log and in the journal, by its `traceparent` in the
//! caller's own trace.

use std::time::Duration;

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    sync::mpsc,
    time::timeout,
};

use crate::support::{
    app::{ORDERS, order},
    postgres::{TestDatabase, database},
    process::Scratch,
    serving::{PATIENCE, Serving, command},
};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn serving(scratch: &Scratch, database: &TestDatabase, settings: &str) -> Serving {
    let text = format!(
        "{settings}\n[database]\nmay_lose_orders = true\n\
         [[publication]]\nname = \"demodelivery\"\nanonymous = true\nallow_from = [\"127.0.0.1\"]\n\
         [[publication]]\nname = \"open\"\nanonymous = true\n"
    );
    std::fs::write(scratch.join("aqua.toml"), text).unwrap();
    Serving::start(command(scratch).env("DATABASE_URL", database.url()))
}

async fn post(serving: &Serving, headers: &[(&str, &str)], body: String) -> reqwest::Response {
    post_to(serving, ORDERS, headers, body).await
}

async fn post_to(
    serving: &Serving,
    path: &str,
    headers: &[(&str, &str)],
    body: String,
) -> reqwest::Response {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut request = client.post(format!("http://{}{path}", serving.address));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).send().await.unwrap()
}

#[tokio::test]
async fn the_answers_request_id_finds_the_log_line_and_the_journals_entry() {
    let (scratch, database) = (Scratch::new(), database().await);
    let mut serving = serving(&scratch, &database, "");
    let batch = json!([order("A-1")]).to_string();
    for sent in [None, Some("site-42/7")] {
        let headers: Vec<_> = sent.map(|id| ("X-Request-Id", id)).into_iter().collect();
        let answer = post(&serving, &headers, batch.clone()).await;
        let id = answer.headers()["x-request-id"]
            .to_str()
            .unwrap()
            .to_owned();
        if let Some(sent) = sent {
            assert_eq!(id, sent);
        }
        let line = serving.hear(&id);
        assert!(line.contains("answered"), "{line}");
        let entries: i64 =
            sqlx::query_scalar("SELECT count(*) FROM journal_batch WHERE request_id = $1")
                .bind(&id)
                .fetch_one(&database.pool())
                .await
                .unwrap();
        assert_eq!(entries, 1, "{id}");
    }
}

#[tokio::test]
async fn a_traceparent_is_in_the_log_line_also_where_no_traces_are_sent() {
    let (scratch, database) = (Scratch::new(), database().await);
    let mut serving = serving(&scratch, &database, "");
    post(&serving, &[("traceparent", CALLER)], "[]".into()).await;
    let line = serving.hear("answered");
    assert!(line.contains(TRACE), "{line}");
    post(&serving, &[("traceparent", "nonsense")], "[]".into()).await;
    let line = serving.hear("answered");
    assert!(!line.contains("trace_id"), "{line}");
}

/// Takes OTLP, and gives the spans that come.
async fn collector() -> (String, mpsc::UnboundedReceiver<Span>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    let (sender, receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let sender = sender.clone();
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                while stream.read_buf(&mut bytes).await.unwrap() > 0 {
                    let Some(head) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
                        continue;
                    };
                    let text = String::from_utf8_lossy(&bytes[..head]).to_lowercase();
                    assert!(text.starts_with("post /v1/traces http/1.1"), "{text}");
                    let length = text.split("content-length: ").nth(1).unwrap();
                    let length: usize = length.lines().next().unwrap().trim().parse().unwrap();
                    if bytes.len() < head + 4 + length {
                        continue;
                    }
                    let body = &bytes[head + 4..head + 4 + length];
                    let request = ExportTraceServiceRequest::decode(body).unwrap();
                    bytes.drain(..head + 4 + length);
                    for resource in request.resource_spans {
                        for span in resource
                            .scope_spans
                            .into_iter()
                            .flat_map(|scope| scope.spans)
                        {
                            // Nobody listens any more when the test is over.
                            let _ = sender.send(span);
                        }
                    }
                    let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                    stream.write_all(answer).await.unwrap();
                }
            });
        }
    });
    (endpoint, receiver)
}

/// The spans of one request, its own first.
async fn spans(receiver: &mut mpsc::UnboundedReceiver<Span>) -> Vec<Span> {
    let mut spans = Vec::new();
    loop {
        let span = timeout(PATIENCE, receiver.recv()).await.unwrap().unwrap();
        let is_the_request = span.kind == SpanKind::Server as i32;
        spans.push(span);
        // It ends last.
        if is_the_request {
            spans.rotate_right(1);
            return spans;
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

#[tokio::test]
async fn spans_of_a_request_and_of_what_it_waited_for_are_sent_to_the_collector() {
    let (scratch, database) = (Scratch::new(), database().await);
    let (endpoint, mut receiver) = collector().await;
    let traces = format!("[traces]\nendpoint = \"{endpoint}\"");
    let mut serving = serving(&scratch, &database, &traces);

    let batch = json!([order("A-1")]).to_string();
    post(&serving, &[("traceparent", CALLER)], batch).await;
    let spans_of_order = spans(&mut receiver).await;
    let (request, stages) = spans_of_order.split_first().unwrap();
    assert_eq!(hex(&request.trace_id), TRACE);
    assert_eq!(hex(&request.parent_span_id), "00f067aa0ba902b7");
    let names: Vec<_> = stages.iter().map(|stage| stage.name.as_str()).collect();
    assert_eq!(names, ["login", "body", "queue", "read", "decide", "write"]);
    let mut before = request.start_time_unix_nano;
    for stage in stages {
        assert_eq!(hex(&stage.trace_id), TRACE);
        assert_eq!(stage.parent_span_id, request.span_id);
        assert!(stage.start_time_unix_nano >= before, "{}", stage.name);
        assert!(stage.end_time_unix_nano >= stage.start_time_unix_nano);
        before = stage.start_time_unix_nano;
    }
    assert!(before <= request.end_time_unix_nano);
    let attributes = format!("{:?}", request.attributes);
    assert!(attributes.contains("demodelivery"), "{attributes}");
    assert!(!attributes.contains("Василий"), "{attributes}");

    // One without a trace of its own gets one of ours, which the log line names.
    post(&serving, &[], "[".into()).await;
    let spans_of_nonsense = spans(&mut receiver).await;
    let request = &spans_of_nonsense[0];
    assert!(request.parent_span_id.is_empty());
    let trace = hex(&request.trace_id);
    assert_ne!(trace, TRACE);
    serving.hear(&trace);
    let status = request.status.clone().unwrap_or_default();
    assert_ne!(status.code, StatusCode::Error as i32, "the caller's fault");
    // A caller that says it does not trace is not traced.
    let untraced = CALLER.replace("-01", "-00");
    post(&serving, &[("traceparent", &untraced)], "[]".into()).await;
    post(&serving, &[], "[]".into()).await;
    assert_ne!(hex(&spans(&mut receiver).await[0].trace_id), TRACE);
}

#[tokio::test]
async fn a_strangers_traceparent_does_not_override_how_many_are_traced() {
    let (scratch, database) = (Scratch::new(), database().await);
    let (endpoint, mut receiver) = collector().await;
    let traces = format!("[traces]\nendpoint = \"{endpoint}\"\none_of = 1000000");
    let serving = serving(&scratch, &database, &traces);
    // Sampled, and of a number that every share of all numbers takes.
    let stranger = "00-00000000000000010000000000000001-00f067aa0ba902b7-01";
    for (path, status) in [
        ("/open/hs/AquaDeliveri/getOrdersURL", 200),
        ("/nobody/hs/AquaDeliveri/getOrdersURL", 401),
        ("/", 404),
    ] {
        for _ in 0..5 {
            let answer = post_to(&serving, path, &[("traceparent", stranger)], "[]".into()).await;
            assert_eq!(answer.status(), status, "{path}");
        }
    }
    // Spans are sent in their order: nothing came before that of somebody whose network is known.
    post(&serving, &[("traceparent", CALLER)], "[]".into()).await;
    assert_eq!(hex(&spans(&mut receiver).await[0].trace_id), TRACE);
}

#[tokio::test]
async fn a_collector_that_is_away_costs_no_order_and_no_time_at_the_stop() {
    let (scratch, database) = (Scratch::new(), database().await);
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}/v1/traces", gone.local_addr().unwrap());
    drop(gone);
    let traces = format!("[traces]\nendpoint = \"{endpoint}\"");
    let serving = serving(&scratch, &database, &traces);
    for n in 0..10 {
        let batch = json!([order(&n.to_string())]).to_string();
        assert_eq!(post(&serving, &[], batch).await.status(), 200);
    }
    serving.signal(nix::sys::signal::Signal::SIGTERM);
    let ended = tokio::task::spawn_blocking(move || serving.end());
    let (code, _) = timeout(Duration::from_mins(1), ended)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(code, Some(0));
}
