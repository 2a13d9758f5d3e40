//! One caller: a kept connection that posts bodies and reads the answers.

use std::{collections::HashMap, net::SocketAddr};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request,
    client::conn::http1::{SendRequest, handshake},
    header,
};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;

use super::{Target, orders::Expected};

/// A connection to the service.
pub struct Caller {
    sender: SendRequest<Full<Bytes>>,
    target: Target,
}

/// What an answer said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// 200, and of each order what was expected.
    Right,
    /// 503: try again later.
    Busy,
    /// Anything else: a refusal of a good order, an acceptance of a bad one, an entry missing, another status.
    Wrong,
}

/// Just enough of an answer to check it.
#[derive(Deserialize)]
struct Answer<'a> {
    success: bool,
    #[serde(borrow)]
    data: HashMap<&'a str, Entry>,
}

#[derive(Deserialize)]
struct Entry {
    success: bool,
}

/// An answer as it came.
#[derive(Debug)]
pub struct Came {
    /// The status.
    pub status: u16,
    /// The body.
    pub body: Bytes,
}

impl Came {
    /// Whether the answer says of every order what it should.
    #[must_use]
    pub fn check(&self, expected: &[Expected]) -> Outcome {
        match self.status {
            200 => {}
            503 => return Outcome::Busy,
            _ => return Outcome::Wrong,
        }
        let Ok(answer) = serde_json::from_slice::<Answer<'_>>(&self.body) else {
            return Outcome::Wrong;
        };
        let each = expected.iter().all(|order| {
            answer
                .data
                .get(order.id.as_str())
                .is_some_and(|entry| entry.success == order.good)
        });
        if answer.success && each && answer.data.len() == expected.len() {
            Outcome::Right
        } else {
            Outcome::Wrong
        }
    }
}

impl Caller {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn connect(
        target: &Target,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self {
            sender: open(target.address).await?,
            target: target.clone(),
        })
    }

    /// Posts a body and reads the answer to its end.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn post(
        &mut self,
        body: Bytes,
    ) -> Result<Came, Box<dyn std::error::Error + Send + Sync>> {
        if self.sender.ready().await.is_err() {
            self.sender = open(self.target.address).await?;
        }
        let mut request = Request::post(&*self.target.path)
            .header(header::HOST, &*self.target.host)
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(authorization) = &self.target.authorization {
            request = request.header(header::AUTHORIZATION, authorization.expose());
        }
        let answer = self
            .sender
            .send_request(request.body(Full::new(body))?)
            .await?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await?.to_bytes();
        Ok(Came { status, body })
    }
}

async fn open(
    address: SocketAddr,
) -> Result<SendRequest<Full<Bytes>>, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        // A broken connection shows itself at the next request.
        let _ = connection.await;
    });
    Ok(sender)
}
