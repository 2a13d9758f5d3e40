//! Who is who (contract §4): how a sent client is found among those that are known, and what becomes of the number it brought.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    model::Client,
    record::Record,
    wire::{ClientKey, Element},
};

/// Where a client or an address was found, or that it is new and with which number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// At this index.
    There(usize),
    /// New, with the sender's number.
    Adopt(i32),
    /// New, with the next free number.
    New,
}

/// What the contract's three rules say of a client or an address. A clash loses no order: the sender's id decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity {
    pub found: Found,
    /// A number came and is not this record's: it is left alone, with a warning.
    pub ignores_number: bool,
}

/// What is known of the number that a client or an address brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Number {
    /// None came.
    None,
    /// It is nobody's.
    Free(i32),
    /// It is that of the record at this index, which has no sender's id, or the one that came.
    Of(usize),
    /// It is somebody else's: of a record with another sender's id, or of another client's address.
    Taken,
}

impl Number {
    /// The number of the record at this index, which `has` a sender's id, and came with the id that was `sent`.
    pub(super) fn of(index: usize, has: Option<&str>, sent: Option<&str>) -> Self {
        if sent.is_none() || has.is_none() || has == sent {
            Self::Of(index)
        } else {
            Self::Taken
        }
    }
}

impl Identity {
    /// `by_id`: the record of the sender's id, if one came and is known.
    pub(super) fn of(by_id: Option<usize>, number: Number) -> Self {
        let (found, ignores_number) = match (by_id, number) {
            (Some(index), Number::None) | (None, Number::Of(index)) => (Found::There(index), false),
            (Some(index), number) => (Found::There(index), number != Number::Of(index)),
            (None, Number::Free(number)) => (Found::Adopt(number), false),
            (None, Number::Taken) => (Found::New, true),
            (None, Number::None) => (Found::New, false),
        };
        Self {
            found,
            ignores_number,
        }
    }
}

/// Whether the owner of an order has a phone in common with what comes: with the element itself, or the client it names.
pub(super) fn share_a_phone(owner: &Client, named: Option<&Client>, element: &Element) -> bool {
    let owners: HashSet<&str> = owner.all_phones().collect();
    let sent = element.client.phone.as_deref().into_iter();
    let mut theirs = sent
        .chain(element.phones())
        .chain(named.into_iter().flat_map(Client::all_phones));
    theirs.any(|phone| owners.contains(phone))
}

/// The clients that a batch may touch, with all that they are found by.
#[derive(Debug, Default)]
pub(super) struct Clients<'a, 'e> {
    pub records: Vec<Record<'a, Client>>,
    by_id: HashMap<&'e str, usize>,
    by_number: HashMap<i32, usize>,
    guest_by_phone: HashMap<&'e str, usize>,
}

impl<'a: 'e, 'e> Clients<'a, 'e> {
    pub(super) fn of(known: &'a [Arc<Client>]) -> Self {
        let mut clients = Self::default();
        for client in known {
            let index = clients.records.len();
            clients.by_number.insert(client.number, index);
            if let Some(id) = &client.sender_id {
                clients.by_id.insert(id, index);
            }
            if let Some(phone) = &client.guest_phone {
                clients.guest_by_phone.insert(phone, index);
            }
            clients.records.push(Record::stored(client));
        }
        clients
    }

    /// The client that an element names. A guest is found by its phone among guests and nowhere else.
    pub(super) fn find(&self, element: &Element) -> Identity {
        let key = &element.client;
        if !key.is_registered() {
            return Identity::of(self.guest(key), Number::None);
        }
        let id = key.id.as_deref();
        let by_id = id.and_then(|id| self.by_id.get(id)).copied();
        let number = key.external_id.map_or(Number::None, |number| {
            self.by_number(number)
                .map_or(Number::Free(number), |index| {
                    let has = &self.records[index].after.sender_id;
                    Number::of(index, has.as_deref(), id)
                })
        });
        match number {
            Number::Of(index) if by_id.is_none() && self.is_guessed(index, element) => Identity {
                found: self.guest(key).map_or(Found::New, Found::There),
                ignores_number: true,
            },
            number => Identity::of(by_id, number),
        }
    }

    /// Whether an element names a registered client that we do not know, and does not say its name.
    pub(super) fn lacks_name(&self, element: &Element) -> bool {
        element.names_client()
            && !element.has_username
            && element.client.is_registered()
            && self.named(element).is_none()
    }

    /// The known client that an element names.
    pub(super) fn named(&self, element: &Element) -> Option<&Client> {
        match self.find(element).found {
            Found::There(index) => Some(&self.records[index].after),
            Found::Adopt(_) | Found::New => None,
        }
    }

    fn guest(&self, key: &ClientKey) -> Option<usize> {
        let phone = key.guest_phone()?;
        self.guest_by_phone.get(phone.as_str()).copied()
    }

    /// Whether our number of the client at this index may be guessed by whoever sent it.
    fn is_guessed(&self, index: usize, element: &Element) -> bool {
        let client = &self.records[index].after;
        let phone = element.client.phone.as_deref();
        let is_theirs = || phone.is_some_and(|phone| client.all_phones().any(|own| own == phone));
        element.client.may_be_guessed && !is_theirs()
    }

    pub(super) fn by_number(&self, number: i32) -> Option<usize> {
        self.by_number.get(&number).copied()
    }

    pub(super) fn has_number(&self, number: i32) -> bool {
        self.by_number.contains_key(&number)
    }

    /// Adds a new client with this number, which was found nowhere under these keys.
    pub(super) fn add(&mut self, key: &'e ClientKey, number: i32) -> usize {
        let index = self.records.len();
        let phone = key.guest_phone();
        // One that is known by the number that came is no guest.
        let phone = phone.filter(|_| key.external_id != Some(number));
        self.by_number.insert(number, index);
        self.by_id.extend(key.id.as_deref().map(|id| (id, index)));
        (self.guest_by_phone).extend(phone.map(|phone| (phone.as_str(), index)));
        self.records.push(Record::new(Client {
            sender_id: key.id.clone(),
            guest_phone: phone.cloned(),
            ..Client::new(number)
        }));
        index
    }

    /// Gives a client that is known by its number only the sender's id that came with it. Says whether it was a guest: it is
    /// none any more.
    pub(super) fn take_id(&mut self, index: usize, id: &'e str) -> bool {
        let client = &mut self.records[index].after;
        if client.sender_id.is_some() {
            return false;
        }
        let client = Arc::make_mut(client);
        client.sender_id = Some(id.to_owned());
        self.by_id.insert(id, index);
        let phone = client.guest_phone.take();
        if let Some(phone) = &phone {
            self.guest_by_phone.remove(phone.as_str());
        }
        phone.is_some()
    }
}
