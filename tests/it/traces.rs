//! A request's way is found again: by its `X-Request-Id` in the log and in the journal, by its `traceparent` in the
//! caller's own trace.

use std::time::Duration;

use aqua_orders::{config, http::listener::tls::Tls};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message;
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
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

const ROUTE: &str = "/{publication}/hs/AquaDeliveri/getOrdersURL";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn settings(more: &str) -> String {
    format!(
        "{more}\n[database]\nmay_lose_orders = true\n\
         [[publication]]\nname = \"demodelivery\"\nanonymous = true\nallow_from = [\"127.0.0.1\"]\n\
         [[publication]]\nname = \"open\"\nanonymous = true\n"
    )
}

fn serving(scratch: &Scratch, database: &TestDatabase, more: &str) -> Serving {
    std::fs::write(scratch.join("aqua.toml"), settings(more)).unwrap();
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
            let (stream, _) = listener.accept().await.unwrap();
            let sender = sender.clone();
            tokio::spawn(take(stream, move |_, request| {
                for resource in request.resource_spans {
                    let scopes = resource.scope_spans.into_iter();
                    for span in scopes.flat_map(|scope| scope.spans) {
                        // Nobody listens any more when the test is over.
                        let _ = sender.send(span);
                    }
                }
            }));
        }
    });
    (endpoint, receiver)
}

/// Takes what comes over one connection; gives the head of each request, in small letters, and what it has.
async fn take(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    tell: impl Fn(&str, ExportTraceServiceRequest),
) {
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
        tell(&text, ExportTraceServiceRequest::decode(body).unwrap());
        bytes.drain(..head + 4 + length);
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        stream.write_all(answer).await.unwrap();
    }
}

/// An attribute that is a text.
fn text_of(attributes: &[KeyValue], name: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == name)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        _ => None,
    }
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
    assert_eq!(request.name, format!("POST {ROUTE}"));
    let own = request.attributes.as_slice();
    for (name, value) in [
        ("http.request.method", "POST"),
        ("http.route", ROUTE),
        ("url.scheme", "http"),
        ("url.path", ORDERS),
        ("server.address", "127.0.0.1"),
    ] {
        assert_eq!(text_of(own, name).as_deref(), Some(value), "{name}");
    }
    assert_eq!(text_of(own, "error.type"), None);
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
        let asks_database = ["read", "write"].contains(&stage.name.as_str());
        assert_eq!(stage.kind == SpanKind::Client as i32, asks_database);
        let system = text_of(&stage.attributes, "db.system.name");
        assert_eq!(system.as_deref() == Some("postgresql"), asks_database);
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
    let error = text_of(&request.attributes, "error.type");
    assert_eq!(error.as_deref(), Some("malformed_json"));
    let status = request.status.clone().unwrap_or_default();
    assert_ne!(status.code, StatusCode::Error as i32, "the caller's fault");
    // A caller that says it does not trace is not traced.
    let untraced = CALLER.replace("-01", "-00");
    post(&serving, &[("traceparent", &untraced)], "[]".into()).await;
    post(&serving, &[], "[]".into()).await;
    assert_ne!(hex(&spans(&mut receiver).await[0].trace_id), TRACE);
}

#[tokio::test]
async fn the_environment_names_the_collector_whom_it_is_vouched_for_by_headers_and_us() {
    let (scratch, database) = (Scratch::new(), database().await);
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (scratch.join("cert.pem"), scratch.join("key.pem"));
    std::fs::write(&cert, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let tls = Tls::open(&config::Tls {
        cert: cert.clone(),
        key,
    });
    let tls = tls.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, mut receiver) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let sender = sender.clone();
            let stream = tls.accept(stream).await.unwrap();
            tokio::spawn(take(stream, move |head, request| {
                let resource = request.resource_spans[0].resource.clone().unwrap();
                let service = text_of(&resource.attributes, "service.name").unwrap();
                let _ = sender.send((head.to_owned(), service));
            }));
        }
    });
    std::fs::write(scratch.join("aqua.toml"), settings("")).unwrap();
    let mut serve = command(&scratch);
    serve
        .env("DATABASE_URL", database.url())
        .env(
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            format!("https://localhost:{port}"),
        )
        .env("OTEL_EXPORTER_OTLP_CERTIFICATE", &cert)
        .env("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=vodavoz")
        .env("OTEL_SERVICE_NAME", "intake-1");
    let serving = Serving::start(&mut serve);
    post(&serving, &[], "[]".into()).await;
    let (head, service) = timeout(PATIENCE, receiver.recv()).await.unwrap().unwrap();
    assert!(head.contains("x-tenant: vodavoz"), "{head}");
    assert_eq!(service, "intake-1");

    // The trace is an exemplar of the request's time, in the format that has exemplars.
    let address = format!("http://{}/metrics", serving.operators_address());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let metrics = async |accept| {
        let request = client.get(&address).header("Accept", accept);
        request.send().await.unwrap().text().await.unwrap()
    };
    let open = metrics("application/openmetrics-text;version=1.0.0,*/*").await;
    assert!(open.contains(" # {trace_id="), "{open}");
    let plain = metrics("text/plain;version=0.0.4").await;
    assert!(!plain.contains("trace_id"), "{plain}");
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
