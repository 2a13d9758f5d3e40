//! Memory that callers may take up (`limits.bytes_in_flight`), shared so that none takes what others need.
//!
//! A share grows only while what is left afterwards is at least what it then has: its publication as much, its network
//! twice as much. So one publication alone has half of the room, one network alone a third; the more of them there are the
//! smaller each one's part is, and whoever comes anew always finds some. A network may always have a little
//! ([`A_LITTLE`]), also where its publication has had its part: an order from elsewhere must not wait for a crowd.

use crate::{
    share::Share,
    turns::{Holdings, Turn, Turns},
};

/// A network alone may take one part of the room out of so many: the most that a batch, or its answer, can have.
pub const PARTS: usize = 3;
/// A network may always take one part out of so many, as long as its wide network leaves as much free as it has.
const A_LITTLE: usize = 64;

/// The room. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Room {
    bytes: Turns,
}

/// There is no room for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no room is left for this caller")]
pub struct Full;

/// The room that a request takes up, from its body to the last byte of its answer. Dropped, it gives it back.
#[derive(Debug)]
pub struct Place {
    bytes: Turn,
}

fn may(held: &Holdings) -> bool {
    let a_little = held.network <= held.most / A_LITTLE && held.wide <= held.free;
    a_little || (held.publication <= held.free && held.network.saturating_mul(2) <= held.free)
}

impl Room {
    /// So many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        Self {
            bytes: Turns::with_rule(bytes, may),
        }
    }

    /// A place for somebody of that share, with nothing in it yet.
    #[must_use]
    pub fn place(&self, share: &Share) -> Place {
        Place {
            bytes: self.bytes.turn(share, 0),
        }
    }

    /// Bytes that are taken, and how many there are.
    #[must_use]
    pub fn taken(&self) -> (usize, usize) {
        let (most, free) = self.bytes.most_and_free();
        (most - free, most)
    }
}

impl Place {
    /// How large it is.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.permits()
    }

    /// Whose it is.
    #[must_use]
    pub fn share(&self) -> &Share {
        self.bytes.share()
    }

    /// Grows to so many bytes in all, where there is room for that; it never shrinks.
    ///
    /// # Errors
    /// [`Full`], and the place is as it was.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Full> {
        match bytes.saturating_sub(self.bytes()) {
            0 => Ok(()),
            more => self.bytes.try_add(more).then_some(()).ok_or(Full),
        }
    }

    /// The same, and waits for room as long as the caller does, in turn with others.
    ///
    /// # Errors
    /// [`Full`]: so much is there for nobody.
    pub async fn grow_when_free(&mut self, bytes: usize) -> Result<(), Full> {
        match bytes.saturating_sub(self.bytes()) {
            0 => Ok(()),
            _ if bytes > self.bytes.most() / PARTS => Err(Full),
            more => self.bytes.add(more).await.map_err(|_too_many| Full),
        }
    }

    /// Gives back what goes beyond so many bytes.
    pub fn shrink_to(&mut self, bytes: usize) {
        self.bytes.give_back(self.bytes().saturating_sub(bytes));
    }

    /// Takes so many bytes, or all there are, out of it into a place of their own.
    #[must_use]
    pub fn split(&mut self, bytes: usize) -> Self {
        Self {
            bytes: self.bytes.split(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    const LITTLE: usize = 10;
    const MOST: usize = 64 * LITTLE;

    fn share(publication: &str, address: &str) -> Share {
        Share::new(publication, address.parse::<IpAddr>().expect("an address"))
    }

    /// Fills up what a share can have, in small steps.
    fn fill(room: &Room, share: &Share) -> Place {
        let mut place = room.place(share);
        while place.grow(place.bytes() + 1).is_ok() {}
        place
    }

    #[test]
    fn a_network_alone_has_a_third_of_the_room_and_a_publication_alone_half() {
        let room = Room::new(MOST);
        let first = fill(&room, &share("shop", "192.0.2.1"));
        assert_eq!(first.bytes(), MOST / PARTS);
        let mut places = vec![first];
        for n in 2..200 {
            places.push(fill(&room, &share("shop", &format!("192.0.2.{n}"))));
        }
        let (taken, most) = room.taken();
        assert_eq!((taken, most), (MOST / 2, MOST));
        drop(places);
        assert_eq!(room.taken(), (0, MOST));
    }

    #[test]
    fn beside_a_full_publication_another_one_has_room_and_a_third_too() {
        let room = Room::new(MOST);
        let mut places = Vec::new();
        for n in 1..100 {
            places.push(fill(&room, &share("crowd", &format!("192.0.2.{n}"))));
        }
        for (publication, part) in [("other", 9), ("third", 14)] {
            let place = fill(&room, &share(publication, "192.0.2.1"));
            assert!(place.bytes() >= MOST / part, "{place:?}");
            places.push(place);
        }
    }

    #[test]
    fn a_network_has_a_little_also_where_its_publication_has_had_its_part() {
        let room = Room::new(MOST);
        let mut crowd = Vec::new();
        for n in 1..100 {
            crowd.push(fill(&room, &share("shop", &format!("192.0.2.{n}"))));
        }
        let mut place = room.place(&share("shop", "198.51.100.1"));
        assert_eq!(place.grow(LITTLE), Ok(()));
        assert_eq!(place.grow(LITTLE + 1), Err(Full));
        assert_eq!(place.bytes(), LITTLE);
    }

    #[test]
    fn a_place_gives_back_what_it_is_split_or_shrunk_by() {
        let room = Room::new(MOST);
        let mut place = room.place(&share("shop", "192.0.2.1"));
        place.grow(100).expect("room");
        place.grow(50).expect("room already");
        assert_eq!(place.bytes(), 100);
        let part = place.split(30);
        assert_eq!((place.bytes(), part.bytes(), room.taken().0), (70, 30, 100));
        place.shrink_to(60);
        assert_eq!(room.taken().0, 90);
        drop(part);
        drop(place);
        assert_eq!(room.taken().0, 0);
    }

    #[tokio::test]
    async fn who_waits_for_room_gets_it_before_those_of_his_publication_who_do_not() {
        let room = Room::new(MOST);
        let shop = share("shop", "192.0.2.1");
        let full = fill(&room, &shop);
        let mut waits = room.place(&shop);
        assert_eq!(waits.grow_when_free(MOST).await, Err(Full));
        let waits =
            tokio::spawn(async move { waits.grow_when_free(MOST / PARTS).await.map(|()| waits) });
        while room.bytes.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        let mut passing = room.place(&share("shop", "198.51.100.1"));
        assert_eq!(passing.grow(LITTLE + 1), Err(Full), "somebody waits for it");
        assert_eq!(passing.grow(LITTLE), Ok(()));
        drop((full, passing));
        let place = waits.await.expect("no panic").expect("room");
        assert_eq!(place.bytes(), MOST / PARTS);
    }
}
