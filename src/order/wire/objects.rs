//! What an order is made of, object by object (contract §3).

use std::borrow::Cow;

use super::{
    ClientKey, Element, Refused, SentAddress, SentClient, SentItem, SentOrder,
    kinds::{Given, OBJECT, Reader},
};
use crate::order::{
    content::SentContent,
    fault::{FaultCode, Hint, Path, WarningCode},
    fields::{ADDRESS, CLIENT, ORDER, ORDER_ITEM, SHIPPING_ADDRESS},
    model::{ClientType, Status},
    raw::{self, Value},
    sent::Sent,
};

impl Reader<'_> {
    /// Reads the element.
    pub fn element(mut self) -> Element {
        let mut read = Element {
            entry: 0,
            nth: 0,
            id: None,
            id_as_sent: None,
            external_id: None,
            client: ClientKey::default(),
            has_username: false,
            has_unreadable_client: false,
            faults: Vec::new(),
            missing: Vec::new(),
            warnings: Vec::new(),
            order: None,
            refused: None,
        };
        if self.element.trim_ascii_start().starts_with('{') {
            self.order(&mut read);
        } else {
            self.refuse(&Path::ROOT, FaultCode::WrongType, OBJECT);
        }
        (read.faults, read.warnings) = self.finish();
        if !read.faults.is_empty() {
            read.refused = read.order.take().and_then(Refused::of);
        }
        read
    }

    fn order(&mut self, read: &mut Element) {
        let root = Path::ROOT;
        let [
            id,
            external_id,
            status,
            created_at,
            total,
            delivery_cost,
            coins,
            payment_type,
            payment_status,
            from,
            to,
            comment,
            bottles,
            checkout,
            items,
            client,
            shipping_address,
        ] = Self::fields(self.element, &ORDER);

        read.id = self.id(id, root).into_value();
        if let Some(known) = &read.id {
            read.id_as_sent = as_sent(id)
                .filter(|sent| sent != known)
                .map(Cow::into_owned);
        }
        read.external_id = self.external_id(external_id, root);
        let status = self.one_of(status, root, Status::parse).into_value();
        // What is wrong with a cancellation behind its id and status costs nothing where we know the order.
        let behind = self.count();
        let created_at = self.moment(created_at, root);
        let total = self.amount(total, root).into_value();
        let delivery_cost = self.amount(delivery_cost, root);
        let coins = self.amount(coins, root);
        let payment_type = self.text(payment_type, root);
        if let (Sent::Value(payment_type), Some(known)) = (&payment_type, &self.rules.payment_types)
            && !known.contains(payment_type)
        {
            self.warn(
                &root.field("payment_type"),
                WarningCode::PaymentTypeUnknown,
                Hint::None,
            );
        }
        let payment_status = self.flag(payment_status, root);
        let from = self.moment(from, root).into_value();
        let to = self.moment(to, root).into_value();
        // One alone may not go with the stored other.
        let shipping_dates = from.zip(to);
        if let Some((from, to)) = shipping_dates
            && from > to
        {
            let path = root.field("shipping_date_to");
            self.refuse(&path, FaultCode::InvalidRange, Hint::None);
        }
        let comment = self.text(comment, root);
        let count_of_returned_bottles = self.integer(bottles, root);
        let ask_for_checkout = self.checkout(checkout, root);
        let items = self.items(items, root);
        let has_client = client.raw.is_some_and(|raw| match raw::value(raw) {
            Value::Null | Value::Bool(false) => false,
            Value::Array(container) | Value::Object(container) => !raw::is_empty(container),
            _ => true,
        });
        let client = self.client(client, root, read);
        let shipping_address = self.shipping_address(shipping_address, root);

        let is_cancellation = read.id.is_some() && status == Some(Status::Removed);
        if is_cancellation {
            if from.is_some() != to.is_some() {
                let other = if from.is_some() {
                    "shipping_date_to"
                } else {
                    "shipping_date_from"
                };
                self.warn(&root.field(other), WarningCode::Required, Hint::None);
            }
            read.missing = self.take_missing(behind);
            if client.is_none() {
                read.client = ClientKey::default();
                read.has_unreadable_client = has_client;
            }
        }
        // Where anything that must come is missing there is a fault, or it is a cancellation.
        read.order = status.map(|status| SentOrder {
            status,
            created_at: created_at.into_value(),
            total,
            shipping_dates,
            content: SentContent {
                delivery_cost,
                coins,
                payment_type,
                payment_status,
                comment,
                count_of_returned_bottles,
                ask_for_checkout,
            },
            items,
            client,
            shipping_address,
        });
    }

    /// The lines; `None` where one of them cannot be read.
    fn items(&mut self, given: Given<'_>, parent: Path<'_>) -> Option<Vec<SentItem>> {
        let list = self.list(given, parent, self.rules.max_order_items);
        let list = list.into_value()?;
        let path = parent.field(given.field.name);
        if list.is_empty() {
            self.empty(&path);
            return None;
        }
        let mut items = Vec::with_capacity(list.len());
        let count = list.len();
        for (index, raw) in list.into_iter().enumerate() {
            items.extend(self.item(raw, path.index(index)));
        }
        (items.len() == count).then_some(items)
    }

    fn item(&mut self, raw: &str, path: Path<'_>) -> Option<SentItem> {
        let [
            product_id,
            id,
            external_id,
            name,
            price,
            quantity,
            order_product_id,
        ] = self.entry(raw, path, &ORDER_ITEM)?;
        let product_id = self.id(product_id, path);
        let id = self.id(id, path);
        let external_id = self.external_id(external_id, path);
        let name = self.text(name, path);
        let price = self.amount(price, path);
        let quantity = self.integer(quantity, path);
        let order_product_id = self.integer(order_product_id, path);
        Some(SentItem {
            product_id: product_id.into_value()?,
            id: id.into_value(),
            external_id,
            name: name.into_value(),
            price: price.into_value()?,
            quantity: quantity.into_value()?,
            order_product_id: order_product_id.into_value(),
        })
    }

    fn client(
        &mut self,
        given: Given<'_>,
        parent: Path<'_>,
        read: &mut Element,
    ) -> Option<SentClient> {
        let [
            id,
            external_id,
            account_number,
            kind,
            username,
            phone,
            phones,
            email,
            emai,
            comment,
            addresses,
        ] = self.object(given, parent, &CLIENT)?;
        let path = parent.field(given.field.name);
        let before = self.refusals();
        read.client.id = self.id(id, path).into_value();
        let has_bad_id = self.refusals() > before;
        read.has_unreadable_client = has_bad_id;
        read.client.external_id = self.external_id(external_id, path);
        read.client.may_be_guessed = self.rules.anybody_may_post;
        // A shop that has one record for all its guests may send the number that we gave the first of them for every one.
        if read.client.id.is_none()
            && read.client.external_id.is_some()
            && as_sent(id).is_some()
            && self.is_phone(phone)
        {
            read.client.guest_number = read.client.external_id.take();
        }
        // A registered client's name is missed later, where it turns out that we do not know the client.
        let is_guest = !read.client.is_registered() && !has_bad_id;
        let account_number = self.integer(account_number, path);
        let kind = self.one_of(kind, path, ClientType::parse);
        let before = self.refusals();
        let username = self.text(username.required_if(is_guest), path).into_value();
        // A username with a fault is not a missing one.
        read.has_username = username.is_some() || self.refusals() > before;
        // Our number alone names nobody where it may be guessed.
        let needs_phone = is_guest
            || read.client.may_be_guessed
                && read.client.external_id.is_some()
                && read.client.id.is_none()
                && !has_bad_id;
        let phone = self.phone(phone.required_if(needs_phone), path);
        read.client.phone = phone.value().cloned();
        let phones = self.phones(phones, path);
        let email = match self.text(email, path) {
            Sent::Value(email) => Sent::Value(email),
            // The document's own misspelling.
            nothing => match self.text(emai, path) {
                Sent::Absent => nothing,
                emai => emai,
            },
        };
        let comment = self.text(comment, path);
        let addresses = self.client_addresses(addresses, path);
        if is_guest && username.is_none() || needs_phone && read.client.phone.is_none() {
            return None;
        }
        Some(SentClient {
            username,
            phone,
            phones,
            email,
            comment,
            account_number: account_number.into_value(),
            kind,
            addresses,
        })
    }

    /// The client's list. An address that cannot be read is left out.
    fn client_addresses(&mut self, given: Given<'_>, parent: Path<'_>) -> Vec<SentAddress> {
        let list = self.list(given, parent, self.rules.max_client_addresses);
        let path = parent.field(given.field.name);
        let mut addresses = Vec::new();
        for (index, raw) in list.into_value().into_iter().flatten().enumerate() {
            let before = self.count();
            let path = path.index(index);
            addresses.extend(self.client_address(raw, path));
            self.leave_out(before);
        }
        addresses
    }

    fn client_address(&mut self, raw: &str, path: Path<'_>) -> Option<SentAddress> {
        let [id, external_id, content @ ..] = self.entry(raw, path, &ADDRESS)?;
        let id = self.id(id, path).into_value();
        let number = self.external_id(external_id, path);
        let address = self.address(content, path)?;
        Some(SentAddress {
            id,
            number,
            ..address
        })
    }

    fn shipping_address(&mut self, given: Given<'_>, parent: Path<'_>) -> Option<SentAddress> {
        let [number, content @ ..] = self.object(given, parent, &SHIPPING_ADDRESS)?;
        let path = parent.field(given.field.name);
        let number = self.our_number(number, path);
        let address = self.address(content, path)?;
        Some(SentAddress {
            number: number.unwrap_or(None),
            impossible_number: number.is_err(),
            ..address
        })
    }

    /// What an address says, of either kind.
    fn address(&mut self, content: [Given<'_>; 7], path: Path<'_>) -> Option<SentAddress> {
        let [city, street, house, str, entrance, floor, room] =
            content.map(|given| self.text(given, path));
        Some(SentAddress {
            id: None,
            number: None,
            impossible_number: false,
            city: city.into_value()?,
            street: street.into_value()?,
            house: house.into_value()?,
            str: str.into_value()?,
            entrance,
            floor,
            room,
        })
    }
}

/// An id as the sender will look for it in the answer.
fn as_sent(id: Given<'_>) -> Option<Cow<'_, str>> {
    match raw::value(id.raw?) {
        Value::Text(text) => Some(text),
        Value::Number(number) => Some(number.into()),
        _ => None,
    }
}
