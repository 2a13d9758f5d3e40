//! Reading a refused body to its end.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::body::{Body, Bytes, HttpBody};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};
use parking_lot::Mutex;

use crate::http::bounds::{DRAINED_BYTES, LAST_WORDS};

/// A request's body that can be read to its end after the handler has dropped it.
#[derive(Clone)]
pub struct DrainableBody(Arc<Mutex<Reading>>);

struct Reading {
    body: Body,
    begun: bool,
    ended: bool,
}

impl DrainableBody {
    pub fn new(body: Body) -> Self {
        let ended = body.is_end_stream();
        Self(Arc::new(Mutex::new(Reading {
            body,
            begun: false,
            ended,
        })))
    }

    /// Reads what is left, within bounds, so that a caller who sends everything before it reads gets the response and can use
    /// the connection again. `false`: there is more, and the connection must close.
    pub async fn drain(mut self, expects_continue: bool) -> bool {
        {
            let reading = self.0.lock();
            if reading.ended {
                return true;
            }
            // Reading would ask for a body that nobody wants, and one past the bound ends in closing anyway.
            if (expects_continue && !reading.begun)
                || reading.body.size_hint().lower() > DRAINED_BYTES
            {
                return false;
            }
        }
        let to_the_end = async {
            let mut left = DRAINED_BYTES;
            while let Some(frame) = self.frame().await {
                let length = frame.ok()?.data_ref().map_or(0, Bytes::len);
                left = left.checked_sub(length as u64)?;
            }
            Some(())
        };
        matches!(
            tokio::time::timeout(LAST_WORDS, to_the_end).await,
            Ok(Some(()))
        )
    }
}

impl HttpBody for DrainableBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut reading = self.0.lock();
        reading.begun = true;
        let frame = Pin::new(&mut reading.body).poll_frame(cx);
        reading.ended |= matches!(frame, Poll::Ready(None));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().ended
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().body.size_hint()
    }
}
