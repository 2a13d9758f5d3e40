//! One raw JSON element -> one sent order, collecting every fault with its path (contract §2, §3).

use std::{borrow::Cow, fmt::Display, ops::Range};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use super::{
    Rules, amount,
    amount::Invalid,
    datetime,
    fault::{Fault, FaultCode, Hint, Path, Warning, WarningCode},
    model::{AddressContent, Checkout, ClientType, OrderItem, Status},
    phone,
    raw::{self, Value},
};

/// A field that need not come: absent keeps what is stored, null clears it (contract §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sent<T> {
    /// Not there: the stored value stays.
    Absent,
    /// `null` or `""`: the stored value goes.
    Null,
    /// The new value.
    Value(T),
}

impl<T: Clone> Sent<T> {
    /// The value after this was applied to the stored one.
    pub fn apply(&self, stored: &mut Option<T>) {
        match self {
            Self::Absent => {}
            Self::Null => *stored = None,
            Self::Value(value) => *stored = Some(value.clone()),
        }
    }

    /// As [`Self::apply`], for fields that fall back to a default.
    pub fn apply_or(&self, stored: &mut T, default: T) {
        match self {
            Self::Absent => {}
            Self::Null => *stored = default,
            Self::Value(value) => *stored = value.clone(),
        }
    }

    /// The value after this was applied to the stored one, of a field that falls back to a default.
    pub fn applied<'s>(&'s self, stored: &'s T, default: &'s T) -> &'s T {
        match self {
            Self::Absent => stored,
            Self::Null => default,
            Self::Value(value) => value,
        }
    }

    /// Whether [`Self::apply`] would change the stored value.
    pub fn changes(&self, stored: Option<&T>) -> bool
    where
        T: PartialEq,
    {
        match self {
            Self::Absent => false,
            Self::Null => stored.is_some(),
            Self::Value(value) => stored != Some(value),
        }
    }

    /// The value, if one came.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Null => None,
        }
    }
}

/// One element of a batch, read.
#[derive(Debug, Clone)]
pub struct Element {
    /// The order's id, when there is a usable one; else the element is known by its place.
    pub id: Option<String>,
    /// Our number of the order, as the sender remembers it.
    pub external_id: Option<i32>,
    /// Who ordered, as far as it could be read: also a rejected order's clashes are told (contract §2, "all faults").
    pub client: ClientKey,
    /// Whether `client.username` has a value.
    pub has_username: bool,
    /// All that is wrong with it by itself.
    pub faults: Vec<Fault>,
    /// Of an order that comes as `removed`: what is wrong with it unless we know the order, which is then cancelled with what
    /// it has (contract §5). Else nothing.
    pub missing: Vec<Fault>,
    /// What is to be said if it is accepted.
    pub warnings: Vec<Warning>,
    /// The order; `None` when there are faults.
    pub order: Option<SentOrder>,
}

impl Element {
    /// Whether its client could be read, or is faulty: not where an order is cancelled without one.
    pub(super) fn names_client(&self) -> bool {
        self.order
            .as_ref()
            .is_none_or(|order| order.client.is_some())
    }

    /// Whether the order comes as removed.
    pub(super) fn cancels(&self) -> bool {
        let order = self.order.as_ref();
        order.is_some_and(|order| order.status == Status::Removed)
    }

    /// The phones besides the first one.
    pub(super) fn phones(&self) -> impl Iterator<Item = &str> {
        let client = self.order.as_ref().and_then(|order| order.client.as_ref());
        let phones = client.and_then(|client| client.phones.value());
        phones.into_iter().flatten().map(String::as_str)
    }
}

/// How a sent client is found (contract §4).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClientKey {
    /// The sender's id.
    pub id: Option<String>,
    /// Our number.
    pub external_id: Option<i32>,
    /// E.164; the key of a guest.
    pub phone: Option<String>,
}

impl ClientKey {
    /// Has `id` or `external_id`.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        self.id.is_some() || self.external_id.is_some()
    }
}

/// An order without faults, as sent. What an order must have is `None` only where [`Element::missing`] says so.
#[derive(Debug, Clone)]
pub struct SentOrder {
    pub(super) status: Status,
    pub(super) created_at: Option<DateTime<Utc>>,
    pub(super) total: Option<Decimal>,
    pub(super) delivery_cost: Sent<Decimal>,
    pub(super) coins: Sent<Decimal>,
    pub(super) payment_type: Sent<String>,
    pub(super) payment_status: Sent<bool>,
    pub(super) shipping_date_from: Option<DateTime<Utc>>,
    pub(super) shipping_date_to: Option<DateTime<Utc>>,
    pub(super) comment: Sent<String>,
    pub(super) count_of_returned_bottles: Sent<i32>,
    pub(super) ask_for_checkout: Sent<Checkout>,
    pub(super) items: Option<Vec<SentItem>>,
    pub(super) client: Option<SentClient>,
    pub(super) shipping_address: Option<SentAddress>,
}

/// A line, as sent.
#[derive(Debug, Clone)]
pub(super) struct SentItem {
    pub product_id: String,
    pub id: Option<String>,
    pub external_id: Option<i32>,
    pub name: Option<String>,
    pub price: Decimal,
    pub quantity: i32,
    pub order_product_id: Option<i64>,
}

impl SentItem {
    /// Whether it is this stored line, with that product.
    pub fn is(&self, product_number: Option<i32>, stored: &OrderItem) -> bool {
        let OrderItem {
            product_id,
            sender_id,
            external_id,
            product_number: stored_product,
            name,
            price,
            quantity,
            order_product_id,
        } = stored;
        self.product_id == *product_id
            && self.id == *sender_id
            && self.external_id == *external_id
            && product_number == *stored_product
            && self.name == *name
            && self.price == *price
            && self.quantity == *quantity
            && self.order_product_id == *order_product_id
    }

    /// The line to store, with that product.
    pub fn with(&self, product_number: Option<i32>) -> OrderItem {
        OrderItem {
            product_id: self.product_id.clone(),
            sender_id: self.id.clone(),
            external_id: self.external_id,
            product_number,
            name: self.name.clone(),
            price: self.price,
            quantity: self.quantity,
            order_product_id: self.order_product_id,
        }
    }
}

/// A client's content, as sent.
#[derive(Debug, Clone)]
pub(super) struct SentClient {
    pub username: Option<String>,
    pub phone: Sent<String>,
    pub phones: Sent<Vec<String>>,
    pub email: Sent<String>,
    pub comment: Sent<String>,
    pub account_number: Option<i64>,
    pub kind: Sent<ClientType>,
    pub addresses: Vec<SentAddress>,
}

/// An address, as sent: of the client's list, or the order's (whose number is `user_address_id`).
#[derive(Debug, Clone)]
pub(super) struct SentAddress {
    pub id: Option<String>,
    pub number: Option<i32>,
    /// A `user_address_id` came that can be no number of ours.
    pub impossible_number: bool,
    pub city: String,
    pub street: String,
    pub house: String,
    pub str: String,
    pub entrance: Sent<String>,
    pub floor: Sent<String>,
    pub room: Sent<String>,
}

impl SentAddress {
    /// Its content as if nothing were stored.
    pub fn content(&self) -> AddressContent {
        AddressContent {
            city: self.city.clone(),
            street: self.street.clone(),
            house: self.house.clone(),
            str: self.str.clone(),
            entrance: self.entrance.value().cloned(),
            floor: self.floor.value().cloned(),
            room: self.room.value().cloned(),
        }
    }

    /// Whether this is a stored content, as it is known again by (contract §4).
    #[must_use]
    pub fn is(&self, stored: &AddressContent) -> bool {
        self.city == stored.city
            && self.street == stored.street
            && self.house == stored.house
            && self.str == stored.str
            && self.entrance.value() == stored.entrance.as_ref()
            && self.floor.value() == stored.floor.as_ref()
            && self.room.value() == stored.room.as_ref()
    }

    /// Whether [`Self::apply`] would change a stored content.
    #[must_use]
    pub fn changes(&self, stored: &AddressContent) -> bool {
        self.city != stored.city
            || self.street != stored.street
            || self.house != stored.house
            || self.str != stored.str
            || self.entrance.changes(stored.entrance.as_ref())
            || self.floor.changes(stored.floor.as_ref())
            || self.room.changes(stored.room.as_ref())
    }

    /// Overwrites a stored content field by field.
    pub fn apply(&self, stored: &mut AddressContent) {
        stored.city.clone_from(&self.city);
        stored.street.clone_from(&self.street);
        stored.house.clone_from(&self.house);
        stored.str.clone_from(&self.str);
        self.entrance.apply(&mut stored.entrance);
        self.floor.apply(&mut stored.floor);
        self.room.apply(&mut stored.room);
    }
}

impl SentOrder {
    /// Whether it comes as new.
    pub(super) fn is_new(&self) -> bool {
        self.status == Status::New
    }

    /// The sender's ids of products that its lines name.
    pub fn product_ids(&self) -> impl Iterator<Item = &str> {
        self.items.iter().flatten().flat_map(|item| {
            let other = item.id.as_deref().filter(|id| *id != item.product_id);
            std::iter::once(item.product_id.as_str()).chain(other)
        })
    }

    /// The numbers of addresses that it names.
    pub fn address_numbers(&self) -> impl Iterator<Item = i32> {
        self.client_addresses()
            .iter()
            .chain(&self.shipping_address)
            .filter_map(|address| address.number)
    }

    /// The client's list.
    pub(super) fn client_addresses(&self) -> &[SentAddress] {
        self.client.as_ref().map_or(&[], |client| &client.addresses)
    }

    /// How many addresses it sends, at most so many are new.
    #[must_use]
    pub fn addresses(&self) -> usize {
        self.client_addresses().len() + 1
    }
}

/// Characters of a comment; what goes beyond is cut.
pub const LONGEST_TEXT: usize = 65_536;

const TEXT: Hint = Hint::Expected("строка", "a string");
const NUMBER: Hint = Hint::Expected("число", "a number");
const INTEGER: Hint = Hint::Expected("целое число", "an integer");
const BOOLEAN: Hint = Hint::Expected("true или false", "true or false");
const ARRAY: Hint = Hint::Expected("массив", "an array");
const OBJECT: Hint = Hint::Expected("объект", "an object");
const MOMENT: Hint = Hint::Allowed("YYYY-MM-DDTHH:MM:SSZ, YYYY-MM-DD HH:MM:SS");
const PHONE: Hint = Hint::Allowed("+79191991919, 89191991919, 79191991919, 9191991919");

/// The fields that are read, object by object.
pub mod names {
    /// Of an order.
    pub const ORDER: [&str; 17] = [
        "id",
        "external_id",
        "status",
        "created_at",
        "total",
        "delivery_cost",
        "coins",
        "payment_type",
        "payment_status",
        "shipping_date_from",
        "shipping_date_to",
        "comment",
        "count_of_returned_bottles",
        "ask_for_checkout",
        "order_item_list",
        "client",
        "shipping_address",
    ];
    /// Of an order's line.
    pub const ITEM: [&str; 7] = [
        "product_id",
        "id",
        "external_id",
        "name",
        "price",
        "quantity",
        "order_product_id",
    ];
    /// Of a client.
    pub const CLIENT: [&str; 11] = [
        "id",
        "external_id",
        "account_number",
        "type",
        "username",
        "phone",
        "phones",
        "email",
        "emai",
        "comment",
        "addresses",
    ];
    /// Of an address: a client's or, without the first two, an order's; the third is only an order's.
    pub const ADDRESS: [&str; 10] = [
        "id",
        "external_id",
        "user_address_id",
        "city",
        "street",
        "house",
        "str",
        "entrance",
        "floor",
        "room",
    ];
}

/// A field's value as written, if it is there.
type Raw<'a> = Option<&'a str>;

/// Collects the faults and warnings of one element.
struct Reader<'r> {
    rules: &'r Rules,
    element: &'r str,
    /// No more are collected.
    most_faults: usize,
    faults: Vec<Fault>,
    warnings: Vec<Warning>,
    /// Where in `element` the values with a fault stand.
    blamed: Vec<Range<usize>>,
}

/// Reads one element of a batch. Never fails: what is wrong with it stands in its faults.
#[must_use]
pub fn parse(element: &str, rules: &Rules, most_faults: usize) -> Element {
    let mut reader = Reader {
        rules,
        element,
        most_faults,
        faults: Vec::new(),
        warnings: Vec::new(),
        blamed: Vec::new(),
    };
    let mut read = Element {
        id: None,
        external_id: None,
        client: ClientKey::default(),
        has_username: false,
        faults: Vec::new(),
        missing: Vec::new(),
        warnings: Vec::new(),
        order: None,
    };
    if element.trim_ascii_start().starts_with('{') {
        reader.order(&mut read);
        reader.blamed.sort_unstable_by_key(|range| range.start);
        if raw::is_beyond_us(element, &reader.blamed) {
            reader.fault(&Path::ROOT, FaultCode::InvalidFormat, Hint::None);
        }
    } else {
        reader.fault(&Path::ROOT, FaultCode::WrongType, OBJECT);
    }
    if !reader.faults.is_empty() {
        read.order = None;
    }
    read.faults = reader.faults;
    read.warnings = reader.warnings;
    read
}

impl Reader<'_> {
    fn fault(&mut self, path: &dyn Display, code: FaultCode, hint: Hint) {
        if self.faults.len() >= self.most_faults {
            return;
        }
        self.faults.push(Fault {
            field: path.to_string(),
            code,
            hint,
        });
    }

    fn warn(&mut self, path: &dyn Display, code: WarningCode) {
        self.warnings.push(Warning::new(path, code));
    }

    fn order(&mut self, read: &mut Element) {
        let fields = raw::fields(self.element, names::ORDER);
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
            ..,
        ] = fields;
        let [.., bottles, checkout, items, client, shipping_address] = fields;

        read.id = self.required(id, root.field("id"), |r, raw, path| r.id(raw, path));
        read.external_id = self.external_id(external_id, root.field("external_id"));
        let status = self.required(status, root.field("status"), |r, raw, path| {
            r.one_of(raw, path, Status::parse, Status::ALLOWED)
        });
        let created_at = self.moment(created_at, root.field("created_at"));
        let total = self.required(total, root.field("total"), |r, raw, path| {
            r.amount(raw, path, 10)
        });
        let delivery_cost = self.amount(delivery_cost, root.field("delivery_cost"), 10);
        let coins = self.amount(coins, root.field("coins"), 10);
        let payment_type = self.text(payment_type, root.field("payment_type"), 255);
        if let (Sent::Value(payment_type), Some(known)) = (&payment_type, &self.rules.payment_types)
            && !known.contains(payment_type)
        {
            self.warn(&root.field("payment_type"), WarningCode::PaymentTypeUnknown);
        }
        let payment_status = self.boolean(payment_status, root.field("payment_status"));
        let from = self.required(from, root.field("shipping_date_from"), |r, raw, path| {
            r.moment(raw, path)
        });
        let to = self.required(to, root.field("shipping_date_to"), |r, raw, path| {
            r.moment(raw, path)
        });
        if let (Some(from), Some(to)) = (from, to)
            && from > to
        {
            self.fault(
                &root.field("shipping_date_to"),
                FaultCode::InvalidRange,
                Hint::None,
            );
        }
        let comment = self.long_text(comment, root.field("comment"));
        let bottles = self.int32(bottles, root.field("count_of_returned_bottles"), 0);
        let ask_for_checkout = self.checkout(checkout, root.field("ask_for_checkout"));
        let items = self.required(items, root.field("order_item_list"), |r, raw, path| {
            r.items(raw, path)
        });
        let client = self.required(client, root.field("client"), |r, raw, path| {
            match r.client(raw, path, read) {
                Some(client) => Sent::Value(client),
                None => Sent::Absent,
            }
        });
        let shipping_address = self.required(
            shipping_address,
            root.field("shipping_address"),
            |r, raw, path| match r.address(raw, path, true) {
                Some(address) => Sent::Value(address),
                None => Sent::Absent,
            },
        );

        // Where something required is missing there is a fault, and no order.
        read.order = (|| {
            Some(SentOrder {
                status: status?,
                created_at: created_at.value().copied(),
                total: Some(total?),
                delivery_cost,
                coins,
                payment_type,
                payment_status,
                shipping_date_from: Some(from?),
                shipping_date_to: Some(to?),
                comment,
                count_of_returned_bottles: bottles,
                ask_for_checkout,
                items: Some(items?),
                client: Some(client?),
                shipping_address: Some(shipping_address?),
            })
        })();
    }

    /// Reads a field that must have a value. `read` says itself what is wrong with a value that is there.
    fn required<'a, T>(
        &mut self,
        raw: Raw<'a>,
        path: Path<'_>,
        read: impl FnOnce(&mut Self, Raw<'a>, Path<'_>) -> Sent<T>,
    ) -> Option<T> {
        let before = self.faults.len();
        match read(self, raw, path) {
            Sent::Value(value) => Some(value),
            Sent::Absent | Sent::Null => {
                if self.faults.len() == before {
                    self.fault(&path, FaultCode::Required, Hint::None);
                }
                None
            }
        }
    }

    /// Sorts out what is absent, what is null and what is no text at all; `read` gets the rest.
    fn sent<'a, T>(
        &mut self,
        raw: Raw<'a>,
        path: Path<'_>,
        read: impl FnOnce(&mut Self, Value<'a>) -> Option<T>,
    ) -> Sent<T> {
        let Some(raw) = raw else { return Sent::Absent };
        let faults = self.faults.len();
        let read = match raw::value(raw) {
            Value::Null => return Sent::Null,
            Value::BadText => {
                self.fault(&path, FaultCode::InvalidFormat, Hint::None);
                None
            }
            value => read(self, value),
        };
        if self.faults.len() > faults {
            let start = raw.as_ptr().addr() - self.element.as_ptr().addr();
            self.blamed.push(start..start + raw.len());
        }
        // A value with a fault: nothing is stored of this order, so it hardly matters what is said here.
        read.map_or(Sent::Absent, Sent::Value)
    }

    fn checked_length(&mut self, text: Cow<'_, str>, path: Path<'_>, max: usize) -> Option<String> {
        // As many bytes as characters allowed can never be too many characters.
        if text.len() > max && text.chars().count() > max {
            self.fault(&path, FaultCode::TooLong, Hint::Max(max));
            return None;
        }
        Some(text.into_owned())
    }

    fn text(&mut self, raw: Raw<'_>, path: Path<'_>, max: usize) -> Sent<String> {
        self.sent(raw, path, |r, value| {
            let Value::Text(text) = value else {
                r.fault(&path, FaultCode::WrongType, TEXT);
                return None;
            };
            r.checked_length(text, path, max)
        })
    }

    /// A text of any length. What is longer than anybody writes by hand is cut, and said: it would be read and answered
    /// each time its order comes.
    fn long_text(&mut self, raw: Raw<'_>, path: Path<'_>) -> Sent<String> {
        let mut sent = self.text(raw, path, usize::MAX);
        if let Sent::Value(text) = &mut sent
            && text.len() > LONGEST_TEXT
            && let Some((end, _)) = text.char_indices().nth(LONGEST_TEXT)
        {
            text.truncate(end);
            text.shrink_to_fit();
            self.warnings.push(Warning {
                field: path.to_string(),
                code: WarningCode::TooLong,
                hint: Hint::Cut(LONGEST_TEXT),
            });
        }
        sent
    }

    /// A sender's id: a text, or a whole number for one.
    fn id(&mut self, raw: Raw<'_>, path: Path<'_>) -> Sent<String> {
        let is_whole = |number: &str| {
            let digits = number.strip_prefix('-').unwrap_or(number);
            digits.bytes().all(|b| b.is_ascii_digit())
        };
        self.sent(raw, path, |r, value| match value {
            Value::Text(text) => r.checked_length(text, path, 255),
            Value::Number(number) if is_whole(number) => r.checked_length(number.into(), path, 255),
            _ => {
                r.fault(&path, FaultCode::WrongType, TEXT);
                None
            }
        })
    }

    /// Our own number as the sender remembers it. What cannot be one counts as absent.
    fn external_id(&mut self, raw: Raw<'_>, path: Path<'_>) -> Option<i32> {
        let sent = self.sent(raw, path, |r, value| {
            let number = match &value {
                Value::Number(number) => amount::parse_whole(number, 0, i64::from(i32::MAX)),
                Value::Text(text) => amount::parse_whole(text, 0, i64::from(i32::MAX)),
                _ => {
                    r.fault(&path, FaultCode::WrongType, INTEGER);
                    return None;
                }
            };
            match number {
                Ok(0) => None,
                Ok(number) => i32::try_from(number).ok(),
                Err(_) => {
                    r.warn(&path, WarningCode::ExternalIdIgnored);
                    None
                }
            }
        });
        sent.value().copied()
    }

    fn number<T>(
        &mut self,
        raw: Raw<'_>,
        path: Path<'_>,
        expected: Hint,
        range: &'static str,
        parse: impl FnOnce(&str) -> Result<T, Invalid>,
    ) -> Sent<T> {
        self.sent(raw, path, |r, value| {
            let number = match &value {
                Value::Number(number) => parse(number),
                Value::Text(text) => parse(text),
                _ => Err(Invalid::NotANumber),
            };
            match number {
                Ok(number) => return Some(number),
                Err(Invalid::NotANumber) => r.fault(&path, FaultCode::WrongType, expected),
                Err(Invalid::OutOfRange) => {
                    r.fault(&path, FaultCode::OutOfRange, Hint::Allowed(range));
                }
            }
            None
        })
    }

    /// Roubles with that many digits before the point.
    fn amount(&mut self, raw: Raw<'_>, path: Path<'_>, whole_digits: u32) -> Sent<Decimal> {
        let range = if whole_digits == 8 {
            "0 … 99999999.99"
        } else {
            "0 … 9999999999.99"
        };
        self.number(raw, path, NUMBER, range, |text| {
            amount::parse(text, whole_digits)
        })
    }

    fn int32(&mut self, raw: Raw<'_>, path: Path<'_>, min: i32) -> Sent<i32> {
        let range = if min == 0 {
            "0 … 2147483647"
        } else {
            "1 … 2147483647"
        };
        self.number(raw, path, INTEGER, range, |text| {
            let number = amount::parse_whole(text, i64::from(min), i64::from(i32::MAX))?;
            i32::try_from(number).map_err(|_| Invalid::OutOfRange)
        })
    }

    fn int64(&mut self, raw: Raw<'_>, path: Path<'_>) -> Sent<i64> {
        let range = "-9223372036854775808 … 9223372036854775807";
        self.number(raw, path, INTEGER, range, |text| {
            amount::parse_whole(text, i64::MIN, i64::MAX)
        })
    }

    fn boolean(&mut self, raw: Raw<'_>, path: Path<'_>) -> Sent<bool> {
        self.sent(raw, path, |r, value| match value {
            Value::Bool(flag) => Some(flag),
            Value::Number("1") => Some(true),
            Value::Number("0") => Some(false),
            Value::Text(text) if matches!(&*text, "true" | "1") => Some(true),
            Value::Text(text) if matches!(&*text, "false" | "0") => Some(false),
            _ => {
                r.fault(&path, FaultCode::WrongType, BOOLEAN);
                None
            }
        })
    }

    /// A text, kept as it is, or a boolean.
    fn checkout(&mut self, raw: Raw<'_>, path: Path<'_>) -> Sent<Checkout> {
        self.sent(raw, path, |r, value| match value {
            Value::Bool(flag) => Some(Checkout::Flag(flag)),
            Value::Number("1") => Some(Checkout::Flag(true)),
            Value::Number("0") => Some(Checkout::Flag(false)),
            Value::Text(text) => r.checked_length(text, path, 255).map(Checkout::Text),
            _ => {
                r.fault(
                    &path,
                    FaultCode::WrongType,
                    Hint::Expected("строка, true или false", "a string, true or false"),
                );
                None
            }
        })
    }

    fn one_of<T>(
        &mut self,
        raw: Raw<'_>,
        path: Path<'_>,
        parse: impl FnOnce(&str) -> Option<T>,
        allowed: &'static str,
    ) -> Sent<T> {
        self.sent(raw, path, |r, value| {
            let Value::Text(text) = value else {
                r.fault(&path, FaultCode::WrongType, TEXT);
                return None;
            };
            let parsed = parse(&text);
            if parsed.is_none() {
                r.fault(&path, FaultCode::NotAllowed, Hint::Allowed(allowed));
            }
            parsed
        })
    }

    fn moment(&mut self, raw: Raw<'_>, path: Path<'_>) -> Sent<DateTime<Utc>> {
        let mut empty = false;
        let sent = self.sent(raw, path, |r, value| match value {
            Value::Text(text) if datetime::is_empty_date(&text) => {
                empty = true;
                None
            }
            Value::Text(text) => {
                let moment = datetime::parse(&text, r.rules.timezone);
                if moment.is_none() {
                    r.fault(&path, FaultCode::InvalidFormat, MOMENT);
                }
                moment
            }
            _ => {
                r.fault(&path, FaultCode::WrongType, TEXT);
                None
            }
        });
        if empty { Sent::Null } else { sent }
    }

    fn list<'a>(&mut self, raw: Raw<'a>, path: Path<'_>, max: usize) -> Sent<Vec<&'a str>> {
        self.sent(raw, path, |r, value| {
            let Value::Array(array) = value else {
                r.fault(&path, FaultCode::WrongType, ARRAY);
                return None;
            };
            let entries = raw::entries(array, max);
            if entries.len() > max {
                r.fault(&path, FaultCode::TooMany, Hint::Max(max));
                return None;
            }
            Some(entries)
        })
    }

    fn object<'a, const N: usize>(
        &mut self,
        raw: Raw<'a>,
        path: Path<'_>,
        names: [&str; N],
    ) -> Option<[Raw<'a>; N]> {
        let fields = self.sent(raw, path, |r, value| {
            let Value::Object(object) = value else {
                r.fault(&path, FaultCode::WrongType, OBJECT);
                return None;
            };
            Some(raw::fields(object, names))
        });
        fields.value().copied()
    }

    fn items(&mut self, raw: Raw<'_>, path: Path<'_>) -> Sent<Vec<SentItem>> {
        let list = match self.list(raw, path, self.rules.max_order_items) {
            Sent::Value(list) => list,
            Sent::Absent => return Sent::Absent,
            Sent::Null => return Sent::Null,
        };
        if list.is_empty() {
            self.fault(&path, FaultCode::Empty, Hint::None);
        }
        let mut items = Vec::with_capacity(list.len());
        for (index, raw) in list.into_iter().enumerate() {
            items.extend(self.item(raw, path.index(index)));
        }
        Sent::Value(items)
    }

    fn item(&mut self, raw: &str, path: Path<'_>) -> Option<SentItem> {
        let fields = self.entry(raw, path, names::ITEM)?;
        let [
            product_id,
            id,
            external_id,
            name,
            price,
            quantity,
            order_product_id,
        ] = fields;
        let product_id = self.required(product_id, path.field("product_id"), |r, raw, path| {
            r.id(raw, path)
        });
        let id = self.id(id, path.field("id"));
        let external_id = self.external_id(external_id, path.field("external_id"));
        let name = self.text(name, path.field("name"), 255);
        let price = self.required(price, path.field("price"), |r, raw, path| {
            r.amount(raw, path, 8)
        });
        let quantity = self.required(quantity, path.field("quantity"), |r, raw, path| {
            r.int32(raw, path, 1)
        });
        let order_product_id = self.int64(order_product_id, path.field("order_product_id"));
        Some(SentItem {
            product_id: product_id?,
            id: id.value().cloned(),
            external_id,
            name: name.value().cloned(),
            price: price?,
            quantity: quantity?,
            order_product_id: order_product_id.value().copied(),
        })
    }

    /// An entry of a list, which must be an object: null is none.
    fn entry<'a, const N: usize>(
        &mut self,
        raw: &'a str,
        path: Path<'_>,
        names: [&str; N],
    ) -> Option<[Raw<'a>; N]> {
        let before = self.faults.len();
        let fields = self.object(Some(raw), path, names);
        if fields.is_none() && self.faults.len() == before {
            self.fault(&path, FaultCode::WrongType, OBJECT);
        }
        fields
    }

    fn phone(&mut self, raw: Raw<'_>, path: Path<'_>) -> Sent<String> {
        self.sent(raw, path, |r, value| {
            let phone = match &value {
                Value::Text(text) => phone::parse(text, r.rules.phone_region),
                // A phone without its plus is often sent as a number.
                Value::Number(number) => phone::parse(number, r.rules.phone_region),
                _ => {
                    r.fault(&path, FaultCode::WrongType, TEXT);
                    return None;
                }
            };
            if phone.is_none() {
                r.fault(&path, FaultCode::InvalidFormat, PHONE);
            }
            phone
        })
    }

    fn phones(&mut self, raw: Raw<'_>, path: Path<'_>) -> Sent<Vec<String>> {
        let list = match self.list(raw, path, self.rules.max_client_addresses) {
            Sent::Value(list) => list,
            Sent::Absent => return Sent::Absent,
            Sent::Null => return Sent::Null,
        };
        let mut phones = Vec::with_capacity(list.len());
        for (index, raw) in list.into_iter().enumerate() {
            if let Sent::Value(phone) = self.phone(Some(raw), path.index(index))
                && !phones.contains(&phone)
            {
                phones.push(phone);
            }
        }
        Sent::Value(phones)
    }

    fn client(&mut self, raw: Raw<'_>, path: Path<'_>, read: &mut Element) -> Option<SentClient> {
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
        ] = self.object(raw, path, names::CLIENT)?;
        let faults = self.faults.len();
        let id = self.id(id, path.field("id"));
        read.client.id = id.value().cloned();
        read.client.external_id = self.external_id(external_id, path.field("external_id"));
        let bad_id = self.faults.len() > faults;
        let account_number = self.int64(account_number, path.field("account_number"));
        let kind = self.one_of(
            kind,
            path.field("type"),
            ClientType::parse,
            ClientType::ALLOWED,
        );
        let faults = self.faults.len();
        let username = self.text(username, path.field("username"), 255);
        // A username with a fault is not a missing one.
        read.has_username = username.value().is_some() || self.faults.len() > faults;
        let faults = self.faults.len();
        let phone = self.phone(phone, path.field("phone"));
        let bad_phone = self.faults.len() > faults;
        read.client.phone = phone.value().cloned();
        let phones = self.phones(phones, path.field("phones"));
        let email = match self.text(email, path.field("email"), 255) {
            Sent::Value(email) => Sent::Value(email),
            // The document's own misspelling.
            nothing => match self.text(emai, path.field("emai"), 255) {
                Sent::Absent => nothing,
                emai => emai,
            },
        };
        let comment = self.long_text(comment, path.field("comment"));
        let list = self.list(
            addresses,
            path.field("addresses"),
            self.rules.max_client_addresses,
        );
        let mut sent = Vec::new();
        if let Sent::Value(list) = list {
            let path = path.field("addresses");
            for (index, raw) in list.into_iter().enumerate() {
                sent.extend(self.address(Some(raw), path.index(index), false));
            }
        }
        // A registered client's name is missed later, where it turns out that we do not know the client.
        if !read.client.is_registered() && !bad_id {
            if !read.has_username {
                self.fault(&path.field("username"), FaultCode::Required, Hint::None);
            }
            if read.client.phone.is_none() && !bad_phone {
                self.fault(&path.field("phone"), FaultCode::Required, Hint::None);
            }
        }
        Some(SentClient {
            username: username.value().cloned(),
            phone,
            phones,
            email,
            comment,
            account_number: account_number.value().copied(),
            kind,
            addresses: sent,
        })
    }

    fn address(&mut self, raw: Raw<'_>, path: Path<'_>, shipping: bool) -> Option<SentAddress> {
        let fields = match raw {
            Some(raw) if !shipping => self.entry(raw, path, names::ADDRESS)?,
            raw => self.object(raw, path, names::ADDRESS)?,
        };
        let [
            id,
            external_id,
            user_address_id,
            city,
            street,
            house,
            str,
            entrance,
            floor,
            room,
        ] = fields;
        let mut address_id = None;
        let mut number = None;
        let mut impossible_number = false;
        if shipping {
            let sent = self.number(
                user_address_id,
                path.field("user_address_id"),
                INTEGER,
                "",
                |text| {
                    // One out of our range is as unknown as any other that the client does not have.
                    match amount::parse_whole(text, 0, i64::from(i32::MAX)) {
                        Err(Invalid::OutOfRange) => Ok(-1),
                        other => other,
                    }
                },
            );
            number = sent
                .value()
                .and_then(|n| i32::try_from(*n).ok())
                .filter(|n| *n > 0);
            impossible_number = sent.value() == Some(&-1);
        } else {
            address_id = self.id(id, path.field("id")).value().cloned();
            number = self
                .external_id(external_id, path.field("external_id"))
                .or(number);
        }
        let city = self.required(city, path.field("city"), |r, raw, path| {
            r.text(raw, path, 255)
        });
        let street = self.required(street, path.field("street"), |r, raw, path| {
            r.text(raw, path, 255)
        });
        let house = self.required(house, path.field("house"), |r, raw, path| {
            r.text(raw, path, 10)
        });
        let str = self.required(str, path.field("str"), |r, raw, path| {
            r.text(raw, path, 255)
        });
        let entrance = self.text(entrance, path.field("entrance"), 10);
        let floor = self.text(floor, path.field("floor"), 10);
        let room = self.text(room, path.field("room"), 10);
        Some(SentAddress {
            id: address_id,
            number,
            impossible_number,
            city: city?,
            street: street?,
            house: house?,
            str: str?,
            entrance,
            floor,
            room,
        })
    }
}
