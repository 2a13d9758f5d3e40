//! A batch's response on its way out, piece by piece.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
    vec,
};

use axum::body::{Bytes, HttpBody};
use hyper::body::{Frame, SizeHint};

use crate::memory::Reservation;

/// The pieces that are still to be written. Each gives back its memory when it is written, so that a caller who reads slowly
/// takes up less and less.
pub struct ReplyBody {
    pieces: vec::IntoIter<Vec<u8>>,
    bytes_left: usize,
    memory: Reservation,
}

struct Piece {
    text: Vec<u8>,
    _memory: Reservation,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

impl ReplyBody {
    /// With the memory of its batch.
    pub fn new(pieces: Vec<Vec<u8>>, mut memory: Reservation) -> Self {
        let bytes_left = pieces.iter().map(Vec::len).sum();
        // The batch is stored, so it is answered also where no memory is left; but the next one finds less.
        let _ = memory.grow(bytes_left);
        memory.shrink_to(bytes_left);
        Self {
            pieces: pieces.into_iter(),
            bytes_left,
            memory,
        }
    }
}

impl HttpBody for ReplyBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Some(text) = self.pieces.next() else {
            return Poll::Ready(None);
        };
        self.bytes_left -= text.len();
        let part = self.memory.split(text.len());
        let piece = Bytes::from_owner(Piece {
            text,
            _memory: part,
        });
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.pieces.as_slice().is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes_left as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use http_body_util::BodyExt;

    use super::*;
    use crate::{memory::MemoryBudget, share::Share};

    #[tokio::test]
    async fn each_piece_gives_back_its_memory_once_it_is_written() {
        let budget = MemoryBudget::new(1000);
        let mut memory = budget.reserve(&Share::new("shop", Ipv4Addr::LOCALHOST.into()));
        memory.grow(200).expect("room");
        let mut answer =
            ReplyBody::new(vec![vec![b'a'; 50], vec![b'b'; 30], vec![b'c'; 10]], memory);
        assert_eq!(budget.used().0, 90, "the body's is given back");
        assert_eq!(answer.size_hint().exact(), Some(90));
        for (length, left) in [(50, 40), (30, 10), (10, 0)] {
            let frame = answer.frame().await.expect("a piece").expect("a piece");
            let piece = frame.into_data().expect("data");
            assert_eq!(piece.len(), length);
            assert_eq!(answer.size_hint().exact(), Some(left as u64));
            let part = piece.slice(1..);
            drop(piece);
            assert_eq!(budget.used().0, left + length, "a part is still held");
            drop(part);
            assert_eq!(budget.used().0, left);
        }
        assert!(answer.is_end_stream() && answer.frame().await.is_none());
    }
}
