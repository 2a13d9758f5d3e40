//! HTTP as a sender writes it, byte by byte, to a service in this process.

use std::{io, net::SocketAddr, time::Duration};

use aqua_orders::config::{self, Config};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpSocket, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

use super::{
    app::{ORDERS, Running},
    config::demo_config,
    described::check_answer,
    postgres::{TestDatabase, database},
};

/// Nothing here takes as long: a test that would hang fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The service, in this process, on a port of its own.
pub struct Service {
    pub address: SocketAddr,
    pub stop: oneshot::Sender<()>,
    pub served: JoinHandle<usize>,
    pub database: Option<TestDatabase>,
}

impl Service {
    pub async fn demo() -> Self {
        Self::with(|_| ()).await
    }

    pub async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let database = database().await;
        let mut service = Self::on(database.settings(), change).await;
        service.database = Some(database);
        service
    }

    /// On a database that somebody else keeps.
    pub async fn on(database: config::Database, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = demo_config();
        config.database = database;
        change(&mut config);
        let Running {
            address,
            stop,
            served,
            ..
        } = Running::start(config).await;
        Self {
            address,
            stop,
            served,
            database: None,
        }
    }

    pub async fn connect(&self) -> Caller {
        Caller(BufReader::new(
            TcpStream::connect(self.address).await.unwrap(),
        ))
    }

    /// From another address of this machine than everybody else.
    pub async fn connect_from(&self, address: [u8; 4]) -> Caller {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((address, 0).into()).unwrap();
        Caller(BufReader::new(socket.connect(self.address).await.unwrap()))
    }

    /// One request on a connection of its own.
    pub async fn ask(&self, request: impl AsRef<[u8]>) -> Answer {
        let mut caller = self.connect().await;
        caller.send(request).await;
        caller.answer().await
    }

    /// A POST to the demo publication.
    pub async fn post(&self, headers: &str, body: impl AsRef<[u8]>) -> Answer {
        self.ask(post(ORDERS, headers, body)).await
    }
}

pub fn post(path: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let length = body.len();
    let mut request =
        format!("POST {path} HTTP/1.1\r\nHost: test\r\n{headers}Content-Length: {length}\r\n\r\n")
            .into_bytes();
    request.extend_from_slice(body);
    request
}

/// A sender that says exactly what the test wants said.
pub struct Caller<S = TcpStream>(pub BufReader<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Caller<S> {
    pub fn new(stream: S) -> Self {
        Self(BufReader::new(stream))
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.0.write_all(bytes.as_ref()).await.unwrap();
    }

    pub async fn answer(&mut self) -> Answer {
        timeout(PATIENCE, self.read(true)).await.unwrap().unwrap()
    }

    /// The answer to a HEAD, whose announced body never comes.
    pub async fn answer_without_body(&mut self) -> Answer {
        timeout(PATIENCE, self.read(false)).await.unwrap().unwrap()
    }

    pub async fn read(&mut self, has_body: bool) -> io::Result<Answer> {
        let status_line = self.line().await?;
        let mut headers = Vec::new();
        loop {
            let line = self.line().await?;
            let Some((name, value)) = line.split_once(':') else {
                assert_eq!(line, "", "a header");
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let status = status_line
            .split(' ')
            .nth(1)
            .and_then(|s| s.parse().ok())
            .expect("a status");
        let mut answer = Answer {
            status_line,
            status,
            headers,
            body: Vec::new(),
        };
        if !has_body || status < 200 {
            return Ok(answer);
        }
        if let Some(length) = answer.header("content-length") {
            answer.body = vec![0; length.parse().expect("a length")];
            self.0.read_exact(&mut answer.body).await?;
        } else if answer.header("transfer-encoding") == Some("chunked") {
            loop {
                let length = usize::from_str_radix(&self.line().await?, 16).expect("a chunk");
                let mut chunk = vec![0; length];
                self.0.read_exact(&mut chunk).await?;
                answer.body.extend_from_slice(&chunk);
                assert_eq!(self.line().await?, "");
                if length == 0 {
                    break;
                }
            }
        } else {
            self.0.read_to_end(&mut answer.body).await?;
        }
        Ok(answer)
    }

    pub async fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.0.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// Whether the service hung up, cleanly and without another word.
    pub async fn is_hung_up_on(&mut self) -> bool {
        let mut rest = Vec::new();
        matches!(
            timeout(PATIENCE, self.0.read_to_end(&mut rest)).await,
            Ok(Ok(0))
        )
    }

    pub async fn hears_nothing_for(&mut self, time: Duration) -> bool {
        timeout(time, self.0.fill_buf()).await.is_err()
    }
}

#[derive(Debug)]
pub struct Answer {
    pub status_line: String,
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} stands twice");
        value
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub fn message(&self) -> String {
        self.json()["message"]
            .as_str()
            .expect("a message")
            .to_owned()
    }

    /// A 200 with one entry for each of so many elements.
    #[track_caller]
    pub fn took(&self, elements: usize) {
        assert_eq!(self.status, 200, "{}", self.text());
        let body = self.json();
        check_answer(200, false, &body);
        assert_eq!(body["success"], json!(true));
        assert_eq!(
            body["data"].as_object().map(serde_json::Map::len),
            Some(elements)
        );
    }

    /// A whole-request failure: this status, this code, and the envelope to the letter.
    #[track_caller]
    pub fn refused(&self, status: u16, code: &str) -> &Self {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(
            self.header("content-type"),
            Some("application/json; charset=utf-8")
        );
        check_answer(status, false, &self.json());
        let message = self.message();
        assert!(!message.is_empty());
        let quoted = serde_json::to_string(&message).expect("a text");
        assert_eq!(
            self.text(),
            format!(
                r#"{{"success":false,"data":{{}},"message":{quoted},"errors":[{{"field":"","code":"{code}","message":{quoted}}}]}}"#
            )
        );
        self
    }
}

/// Packed.
pub async fn gzip(bytes: &[u8]) -> Vec<u8> {
    use async_compression::tokio::write::GzipEncoder;
    use tokio::io::AsyncWriteExt;
    let mut encoder = GzipEncoder::new(Vec::new());
    encoder.write_all(bytes).await.unwrap();
    encoder.shutdown().await.unwrap();
    encoder.into_inner()
}
