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
use memchr::memmem;
use serde::Deserialize;
use tokio::net::TcpStream;

use super::{Error, Target, orders::Body};

pub struct Caller {
    sender: SendRequest<Full<Bytes>>,
    target: Target,
    /// The last response's body. Kept, because fresh memory for megabytes is not free.
    answer: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// 200, and of each order what was expected.
    Right,
    /// 503: try again later.
    Busy,
    /// Anything else: a refusal of a good order, an acceptance of a bad one, an entry missing, another status.
    Wrong,
}

/// Just enough of a response to check it.
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

#[derive(Debug, Clone, Copy)]
pub struct Came<'a> {
    pub status: u16,
    pub body: &'a [u8],
}

/// How a response with orders in it begins.
const OPENING: &[u8] = b"{\"success\":true,\"data\":{";
/// What stands between an order's id and what became of it. No text holds this: its quotes would be escaped.
const VERDICT: &[u8] = b"\":{\"success\":";

impl Came<'_> {
    /// Whether the response says of every order what it should.
    pub fn check(self, sent: &Body) -> Outcome {
        match self.status {
            200 if self.says_in_order(sent) || self.says(sent) => Outcome::Right,
            503 => Outcome::Busy,
            _ => Outcome::Wrong,
        }
    }

    /// Looks at each entry's key and verdict, in passing: a response of megabytes costs a millisecond and not a dozen.
    /// What does not look as this service writes it is left to [`Came::says`].
    fn says_in_order(self, sent: &Body) -> bool {
        let mut expected = sent.expected();
        self.body.starts_with(OPENING)
            && memmem::find_iter(self.body, VERDICT).all(|at| {
                let (before, after) = (&self.body[..at], &self.body[at + VERDICT.len()..]);
                expected.next().is_some_and(|(id, good)| {
                    before
                        .strip_suffix(id)
                        .is_some_and(|rest| rest.ends_with(b"\""))
                        && after.starts_with(if good { b"true," } else { b"false," })
                })
            })
            && expected.next().is_none()
            && self.body.ends_with(b"}}")
    }

    /// The same of any JSON.
    fn says(self, sent: &Body) -> bool {
        let Ok(answer) = serde_json::from_slice::<Answer<'_>>(self.body) else {
            return false;
        };
        answer.success
            && answer.data.len() == sent.orders()
            && sent.expected().all(|(id, good)| {
                std::str::from_utf8(id)
                    .ok()
                    .and_then(|id| answer.data.get(id))
                    .is_some_and(|entry| entry.success == good)
            })
    }
}

impl Caller {
    pub async fn connect(target: &Target) -> Result<Self, Error> {
        Ok(Self {
            sender: open(target.address).await?,
            target: target.clone(),
            answer: Vec::new(),
        })
    }

    /// Posts a body and reads the response to its end.
    pub async fn post(&mut self, body: Bytes) -> Result<Came<'_>, Error> {
        if self.sender.ready().await.is_err() {
            self.sender = open(self.target.address).await?;
        }
        let mut request = Request::post(&*self.target.path)
            .header(header::HOST, &*self.target.host)
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(authorization) = &self.target.authorization {
            request = request.header(header::AUTHORIZATION, authorization.expose());
        }
        let mut answer = self
            .sender
            .send_request(request.body(Full::new(body))?)
            .await?;
        self.answer.clear();
        while let Some(frame) = answer.frame().await {
            if let Some(data) = frame?.data_ref() {
                self.answer.extend_from_slice(data);
            }
        }
        Ok(Came {
            status: answer.status().as_u16(),
            body: &self.answer,
        })
    }
}

async fn open(address: SocketAddr) -> Result<SendRequest<Full<Bytes>>, Error> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(async move {
        // A broken connection shows itself at the next request.
        let _ = connection.await;
    });
    Ok(sender)
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;
    use crate::load::orders::{Orders, Stock};

    #[test]
    fn an_answer_is_right_only_where_it_says_of_each_order_what_it_should() {
        let stock = Stock::of(Orders::new("test".into(), 1, 50), 6).expect("a stock");
        let sent = stock.batch(&mut 0, 6, BytesMut::new());
        let answer = |entries: &[(String, bool)]| {
            let entries: Vec<String> = entries
                .iter()
                .map(|(id, good)| {
                    format!(r#""{id}":{{"success":{good},"data":[{{"external_id":"{id}","comment":"\":{{\"success\":"}}]}}"#)
                })
                .collect();
            format!(r#"{{"success":true,"data":{{{}}}}}"#, entries.join(","))
        };
        let right: Vec<(String, bool)> = sent
            .expected()
            .map(|(id, good)| (String::from_utf8_lossy(id).into_owned(), good))
            .collect();
        let check = |status: u16, text: &str| {
            let body = text.as_bytes();
            Came { status, body }.check(&sent)
        };
        let quick = |text: &str| {
            let body = text.as_bytes();
            Came { status: 200, body }.says_in_order(&sent)
        };
        assert!(quick(&answer(&right)));
        assert_eq!(check(200, &answer(&right)), Outcome::Right);
        assert_eq!(check(503, ""), Outcome::Busy);
        assert_eq!(check(500, &answer(&right)), Outcome::Wrong);

        // Another order of entries, and other blanks, say the same.
        let mut turned = right.clone();
        turned.reverse();
        let spaced = answer(&turned).replace(":{", ": {");
        assert!(!quick(&spaced));
        assert_eq!(check(200, &spaced), Outcome::Right);

        let mut other_verdict = right.clone();
        other_verdict[3].1 = !other_verdict[3].1;
        let mut other_id = right.clone();
        other_id[2].0.push('x');
        let mut doubled = right.clone();
        doubled[1] = right[0].clone();
        let mut one_more = right.clone();
        one_more.push(("more".into(), true));
        for wrong in [
            &other_verdict,
            &other_id,
            &doubled,
            &one_more,
            &right[1..].to_vec(),
        ] {
            assert_eq!(check(200, &answer(wrong)), Outcome::Wrong, "{wrong:?}");
        }
        let refused = answer(&right).replacen("true", "false", 1);
        assert_eq!(check(200, &refused), Outcome::Wrong);
        assert_eq!(check(200, "{}"), Outcome::Wrong);
        assert_eq!(check(200, &answer(&right)[..99]), Outcome::Wrong);
    }
}
