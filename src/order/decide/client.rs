//! A client's content (contract §4, §5).

use std::sync::Arc;

use super::{
    order::{apply, put},
    picture::Picture,
};
use crate::order::{
    fault::{Warning, WarningCode},
    identity::{Found, Identity},
    model::ClientType,
    wire::{Element, SentClient},
};

impl<'a: 'e, 'e> Picture<'a, 'e, '_> {
    /// Finds or makes the client, and writes what was sent of it.
    pub(super) fn client(
        &mut self,
        element: &'e Element,
        sent: &SentClient,
        warnings: &mut Vec<Warning>,
    ) -> usize {
        let key = &element.client;
        let Identity {
            found,
            ignores_number,
        } = self.clients.find(element);
        let index = match found {
            Found::There(index) => index,
            Found::Adopt(number) => self.clients.add(key, number),
            Found::New => {
                let numbers = &mut self.numbers.clients;
                let number = numbers.next(|number| self.clients.has_number(number));
                self.clients.add(key, number)
            }
        };
        let own_number = self.clients.records[index].after.number;
        if ignores_number || key.guest_number.is_some_and(|number| number != own_number) {
            let field = "client.external_id";
            warnings.push(Warning::new(&field, WarningCode::ExternalIdIgnored));
        }
        if let Some(id) = &key.id {
            // Whoever came as that guest before is a new one, sent again.
            self.round.may_differ |= self.clients.take_id(index, id);
        }
        let client = &mut self.clients.records[index].after;
        // A name cannot be cleared, and no account number means "none of mine": the stored ones stay.
        if let Some(username) = &sent.username {
            put(client, username, |c| &c.username, |c| &mut c.username);
        }
        if sent.account_number.is_some() {
            put(
                client,
                &sent.account_number,
                |c| &c.account_number,
                |c| &mut c.account_number,
            );
        }
        let none = Vec::new();
        let phones = sent.phones.applied(&client.phones, &none);
        // Whom a number names that may be guessed, the phones say.
        self.round.went_by_phones |= key.may_be_guessed && key.external_id.is_some();
        self.round.may_differ |= self.round.went_by_phones
            && (sent.phone.changes(client.phone.as_ref()) || *phones != client.phones);
        if *phones != client.phones {
            let phones = phones.clone();
            Arc::make_mut(client).phones = phones;
        }
        apply(&sent.phone, client, |c| &c.phone, |c| &mut c.phone);
        apply(&sent.email, client, |c| &c.email, |c| &mut c.email);
        apply(&sent.comment, client, |c| &c.comment, |c| &mut c.comment);
        let kind = *sent.kind.applied(&client.kind, &ClientType::default());
        put(client, &kind, |c| &c.kind, |c| &mut c.kind);
        index
    }
}
