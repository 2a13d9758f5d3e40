//! What an element does to the stored records.

use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{
    Taken, faults,
    order::{change, change_status, new_order, put_content, put_items},
    picture::Picture,
    same_batch::SameBatch,
};
use crate::order::{
    content::OrderContent,
    fault::{Fault, FaultCode, Hint, Path, Warning, WarningCode},
    identity::share_a_phone,
    record::Record,
    wire::{Element, SentItem, SentOrder},
};

impl<'a: 'e, 'e> Picture<'a, 'e, '_> {
    /// Takes the element at that position whole, and says which order it is; or tells its faults and changes nothing.
    pub(super) fn take(
        &mut self,
        element: &'e Element,
        at: usize,
        same_batch: &mut SameBatch<'_>,
        received_at: DateTime<Utc>,
    ) -> Result<(usize, Taken), Vec<Fault>> {
        let vain = self.number_in_vain(element);
        let goes_to_another = vain.is_some_and(|number| same_batch.is_brought_later(number, at));
        // Sent again the number is the other order's, and a clash refuses this one. But what an earlier element of the order said
        // must not be written over it then.
        self.round.may_differ |= goes_to_another;
        let is_finished = self.order(element).is_some_and(faults::is_finished);
        let is_harmless = is_finished || !element.cancels();
        let may_clash = !(goes_to_another && element.nth > 0 && is_harmless);
        let against = faults::against(self, element, may_clash);
        // What refuses it may be gone when the batch is sent again: what it lacks may come behind it.
        self.round.may_differ |= !against.is_empty();
        if !against.is_empty() || !element.faults.is_empty() {
            return Err([&element.faults[..], &against].concat());
        }
        // An element without faults has all that is asked for here.
        self.apply(element, received_at)
            .ok_or_else(|| vec![faults::of_database()])
    }

    /// Takes nothing of a cancellation but the status.
    fn cancel(
        &mut self,
        order: usize,
        element: &Element,
        sent: &SentOrder,
        warnings: &mut Vec<Warning>,
    ) {
        // Whom it names may be made further on.
        self.round.may_differ = true;
        warnings.retain(|warning| !warning.is_of_taken_value());
        warnings.push(Warning {
            hint: Hint::OnlyStatus,
            ..Warning::new(&"", WarningCode::KeptAsStored)
        });
        if self.clients.lacks_name(element) {
            // One that could not be read is told already.
            if faults::no_name(element).code == FaultCode::Required {
                warnings.push(Warning::new(&"client.username", WarningCode::Required));
            }
        } else if !element.has_unreadable_client {
            warnings.push(Warning::new(&"client", WarningCode::NotAllowed));
        }
        change_status(&mut self.orders[order].after, element, sent, warnings);
    }

    /// Takes nothing of a finished order whose client's data was erased, and keeps silent about what of it could not be read: the journal
    /// would keep it.
    fn keep_erased(&self, order: usize, element: &Element, sent: &SentOrder) -> Taken {
        let order = &self.orders[order].after;
        let mut warnings = vec![Warning {
            hint: Hint::Erased,
            ..Warning::new(&"", WarningCode::KeptAsStored)
        }];
        if !order.status.may_become(sent.status) {
            warnings.push(Warning::new(&"status", WarningCode::StatusNotChanged));
        }
        let named = self.clients.named(element).map(|client| client.number);
        Taken {
            warnings,
            client: named.filter(|number| *number == order.client_number),
            ..Taken::default()
        }
    }

    /// An open order that comes with another client moves. What the first one said of it is not for somebody else.
    fn move_to_client(
        &mut self,
        order: usize,
        client: usize,
        element: &Element,
        received_at: DateTime<Utc>,
        warnings: &mut Vec<Warning>,
    ) {
        let Record {
            before,
            after: order,
        } = &mut self.orders[order];
        let client = &self.clients.records[client].after;
        if order.client_number == client.number {
            return;
        }
        warnings.push(Warning::new(&"client", WarningCode::ClientChanged));
        // Finished further on it is not the other client's any more.
        self.round.may_differ = true;
        let owner = self.clients.by_number(order.client_number);
        let owner = owner.map(|owner| &self.clients.records[owner].after);
        let is_same_person = owner.is_some_and(|owner| share_a_phone(owner, Some(client), element));
        let order = Arc::make_mut(order);
        order.client_number = client.number;
        if !is_same_person {
            order.content = OrderContent::default();
            order.created_at = received_at;
        }
        // Sent again, a batch in which it goes there and back must leave its moment as it was.
        if let Some(before) = before
            && before.client_number == client.number
            && order.created_at == received_at
        {
            order.created_at = before.created_at;
        }
    }

    fn apply(
        &mut self,
        element: &'e Element,
        received_at: DateTime<Utc>,
    ) -> Option<(usize, Taken)> {
        let (id, sent) = (element.id.as_deref()?, element.order.as_ref()?);
        let known = self.order_by_id.get(id).copied();
        if faults::is_erased(self, element) {
            return Some((known?, self.keep_erased(known?, element, sent)));
        }
        let mut taken = Taken {
            warnings: element.warnings.clone(),
            ..Taken::default()
        };
        let warnings = &mut taken.warnings;
        if faults::keeps_client(self, element) {
            self.cancel(known?, element, sent, warnings);
            return Some((known?, taken));
        }
        if !element.missing.is_empty() {
            warnings.push(Warning::new(&"", WarningCode::KeptAsStored));
        }
        let client = if let Some(client) = &sent.client {
            let index = self.client(element, client, warnings);
            let path = Path::ROOT.field("client");
            let list = path.field("addresses");
            let addresses = client.addresses.iter().enumerate();
            let numbers = addresses
                .map(|(at, address)| self.address(index, address, list.index(at), warnings));
            taken.addresses = Some(numbers.collect());
            index
        } else {
            let order = &self.orders[known?].after;
            self.clients.by_number(order.client_number)?
        };
        taken.client = Some(self.clients.records[client].after.number);
        let destination = sent
            .shipping_address
            .as_ref()
            .map(|address| self.shipping_address(known, client, address, warnings));
        if destination.as_ref().is_some_and(|to| to.number.is_none()) {
            warnings.push(Warning::new(&"shipping_address", WarningCode::TooMany));
        }
        let items = sent.items.as_deref().filter(|items| !items.is_empty());
        let items = items.map(|items| (items, self.products(items, warnings)));
        let index = if let Some(index) = known {
            self.move_to_client(index, client, element, received_at, warnings);
            let order = &mut self.orders[index].after;
            let moves = destination.as_ref().is_some_and(|to| to.content.is_some());
            self.round.may_differ |= moves && self.round.kept_an_address;
            change_status(order, element, sent, warnings);
            change(order, sent, destination);
            index
        } else {
            let imported = self.imported(id);
            let number = imported.map(|(number, _)| number).or(element.external_id);
            let number = number
                .unwrap_or_else(|| (self.numbers.orders).next(|n| self.order_numbers.contains(&n)));
            let destination = destination?;
            let order = new_order(
                number,
                (self.new_uuid)(),
                id,
                sent,
                self.clients.records[client].after.number,
                destination,
                received_at,
            )?;
            self.order_numbers.insert(number);
            self.order_by_id.insert(id, self.orders.len());
            self.orders.push(Record::new(order));
            let index = self.orders.len() - 1;
            if let Some((_, status)) = imported {
                let order = &mut self.orders[index].after;
                Arc::make_mut(order).status = status;
                change_status(order, element, sent, warnings);
            }
            index
        };
        let order = &mut self.orders[index].after;
        put_content(order, sent);
        if let Some((items, products)) = items {
            put_items(order, items, &products);
        }
        Some((index, taken))
    }

    /// Looks each line's product up: by `product_id`, then by `id` (contract §5).
    fn products(&self, sent: &[SentItem], warnings: &mut Vec<Warning>) -> Vec<Option<i32>> {
        let list = Path::ROOT.field("order_item_list");
        let number = |id: &str| self.known.products.get(id).copied();
        sent.iter()
            .enumerate()
            .map(|(index, item)| {
                let mut warn = |code| {
                    let place = list.index(index);
                    warnings.push(Warning::new(&place.field("product_id"), code));
                };
                let first = number(&item.product_id);
                // Most senders write the same id in both.
                let other = item.id.as_deref().filter(|id| *id != item.product_id);
                match (first, other.and_then(number)) {
                    (Some(first), Some(second)) if first != second => {
                        warn(WarningCode::ProductAmbiguous);
                        Some(first)
                    }
                    (None, None) => {
                        warn(WarningCode::ProductNotFound);
                        None
                    }
                    (first, second) => first.or(second),
                }
            })
            .collect()
    }
}
