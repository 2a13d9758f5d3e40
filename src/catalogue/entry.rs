//! Rows -> what they say of districts, products and clients, every bad line with its reason.
//!
//! Lines that name the same record are one: each brings an address, a price, another sender's id. A record is taken
//! whole or not at all, so one bad line refuses the others of its record too.

use std::collections::{BTreeSet, HashMap};

use rust_decimal::Decimal;

use super::{
    Kind, Problem, Totals,
    table::{Columns, Group, Row, Rows, Value},
};
use crate::order::{
    Rules,
    amount::{self, Invalid},
    fault::{FaultCode, Hint},
    flag,
    model::{AddressContent, ClientType},
    phone,
    wire::Sent,
};

pub static DISTRICT: Columns = Columns {
    plain: &["number", "name"],
    groups: &[],
    keys: &["number"],
};

pub static PRODUCT: Columns = Columns {
    plain: &["number", "sender_ids", "name", "active"],
    groups: &[],
    keys: &["number", "sender_ids"],
};

pub static CLIENT: Columns = Columns {
    plain: &[
        "number",
        "sender_id",
        "username",
        "type",
        "phone",
        "phones",
        "email",
        "comment",
        "account_number",
        "legal_address",
        "coins_amount",
        "loyalty_system_is_active",
    ],
    groups: &[
        Group {
            name: "bank_account",
            columns: &BANK_ACCOUNT,
            many: false,
        },
        Group {
            name: "addresses",
            columns: &[
                "number",
                "sender_id",
                "city",
                "street",
                "house",
                "str",
                "entrance",
                "floor",
                "room",
                "district",
            ],
            many: true,
        },
        Group {
            name: "prices",
            columns: &["product", "price", "active"],
            many: true,
        },
    ],
    keys: &["number", "sender_id"],
};

/// The document's six keys, in their order.
const BANK_ACCOUNT: [&str; 6] = [
    "inn",
    "kpp",
    "account_number",
    "correspondent_account",
    "bik",
    "bank_name",
];

/// What a file says of a district.
#[derive(Debug, Clone, PartialEq)]
pub struct District {
    /// Its first line.
    pub line: usize,
    pub number: Option<i32>,
    /// Required of a new one.
    pub name: Option<String>,
}

/// What a file says of a product.
#[derive(Debug, Clone, PartialEq)]
pub struct Product {
    /// Its first line.
    pub line: usize,
    /// Its number; else one of `sender_ids` tells which product is meant.
    pub number: Option<i32>,
    /// Ids that are to mean this product, besides those that do already.
    pub sender_ids: Vec<String>,
    /// Required of a new one.
    pub name: Option<String>,
    /// Sold?
    pub active: Sent<bool>,
}

/// What a file says of a client.
#[derive(Debug, Clone, PartialEq)]
pub struct Client {
    /// Its first line.
    pub line: usize,
    pub number: Option<i32>,
    pub sender_id: Option<String>,
    /// Required of a new one.
    pub username: Option<String>,
    /// Person or company.
    pub kind: Sent<ClientType>,
    /// E.164.
    pub phone: Sent<String>,
    /// E.164.
    pub phones: Sent<Vec<String>>,
    pub email: Sent<String>,
    pub comment: Sent<String>,
    pub account_number: Option<i64>,
    /// The document's six keys, in their order.
    pub bank_account: [Sent<String>; 6],
    pub legal_address: Sent<Vec<String>>,
    /// Bonus balance.
    pub coins_amount: Sent<Decimal>,
    /// Its own setting.
    pub loyalty_system_is_active: Sent<bool>,
    /// Added or changed; none is removed.
    pub addresses: Vec<Address>,
    /// Added or changed; none is removed.
    pub prices: Vec<Price>,
}

/// What a file says of an address of a client.
#[derive(Debug, Clone, PartialEq)]
pub struct Address {
    pub line: usize,
    /// Its number; else `sender_id`, else the content tells which address is meant.
    pub number: Option<i32>,
    pub sender_id: Option<String>,
    /// Required of a new one.
    pub city: Option<String>,
    /// Required of a new one.
    pub street: Option<String>,
    /// Required of a new one.
    pub house: Option<String>,
    /// Required of a new one.
    pub str: Option<String>,
    pub entrance: Sent<String>,
    pub floor: Sent<String>,
    /// Flat or office.
    pub room: Sent<String>,
    /// A district's number.
    pub district: Sent<i32>,
}

impl Address {
    /// Its content as if nothing were stored; `Err` names what is missing.
    pub(super) fn content(&self) -> Result<AddressContent, Vec<&'static str>> {
        if let (Some(city), Some(street), Some(house), Some(str)) =
            (&self.city, &self.street, &self.house, &self.str)
        {
            return Ok(AddressContent {
                city: city.clone(),
                street: street.clone(),
                house: house.clone(),
                str: str.clone(),
                entrance: self.entrance.value().cloned(),
                floor: self.floor.value().cloned(),
                room: self.room.value().cloned(),
            });
        }
        let fields = [
            (&self.city, "city"),
            (&self.street, "street"),
            (&self.house, "house"),
            (&self.str, "str"),
        ];
        let missing = fields.into_iter().filter(|(field, _)| field.is_none());
        Err(missing.map(|(_, name)| name).collect())
    }

    /// Overwrites a stored content field by field.
    pub(super) fn apply(&self, stored: &mut AddressContent) {
        let set = |stored: &mut String, told: &Option<String>| {
            if let Some(told) = told {
                stored.clone_from(told);
            }
        };
        set(&mut stored.city, &self.city);
        set(&mut stored.street, &self.street);
        set(&mut stored.house, &self.house);
        set(&mut stored.str, &self.str);
        self.entrance.apply(&mut stored.entrance);
        self.floor.apply(&mut stored.floor);
        self.room.apply(&mut stored.room);
    }
}

/// A client's own price.
#[derive(Debug, Clone, PartialEq)]
pub struct Price {
    pub line: usize,
    /// A product's number.
    pub product: i32,
    /// Roubles.
    pub price: Decimal,
    /// In force?
    pub active: Sent<bool>,
}

/// What files say, of one kind or of several that are to be taken together.
#[derive(Debug, Default)]
pub struct Entries {
    pub districts: Vec<District>,
    pub products: Vec<Product>,
    pub clients: Vec<Client>,
    pub problems: Vec<Problem>,
    /// How many records are left out for a bad line.
    pub totals: Totals,
}

impl Entries {
    /// Adds a file.
    pub fn add(&mut self, kind: Kind, table: Rows, rules: &Rules) {
        let Rows { rows, mut problems } = table;
        let no_rows = problems.len();
        let mut reader = Reader {
            kind,
            rules,
            problems: &mut problems,
        };
        let refused = match kind {
            Kind::Districts => reader.records(rows, Reader::district, &mut self.districts),
            Kind::Products => reader.records(rows, Reader::product, &mut self.products),
            Kind::Clients => reader.records(rows, Reader::client, &mut self.clients),
        };
        self.totals.of(kind).refused += refused + no_rows;
        self.problems.append(&mut problems);
    }
}

/// What tells two lines of one record that they are.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Number(i32),
    SenderId(String),
}

/// A record that several lines may tell of.
trait Record {
    fn line(&self) -> usize;
    fn keys(&self) -> Vec<Key>;
    /// Takes over what a later line says; returns the columns in which the two differ.
    fn merge(&mut self, later: Self) -> Vec<&'static str>;
}

/// A later line repeats what the first says, or leaves it empty.
fn same<T: PartialEq>(first: &mut Option<T>, later: Option<T>) -> bool {
    match (&*first, later) {
        (_, None) => true,
        (None, later) => {
            *first = later;
            true
        }
        (Some(first), Some(later)) => *first == later,
    }
}

/// As [`same`], where being empty says something too.
fn same_sent<T: PartialEq>(first: &mut Sent<T>, later: Sent<T>) -> bool {
    match (&*first, later) {
        (_, Sent::Absent | Sent::Null) => true,
        (Sent::Absent, later) => {
            *first = later;
            true
        }
        (first, later) => *first == later,
    }
}

/// The names of those that are not the same.
fn differing<const N: usize>(fields: [(&'static str, bool); N]) -> Vec<&'static str> {
    let differing = fields.into_iter().filter(|(_, same)| !same);
    differing.map(|(name, _)| name).collect()
}

impl Record for District {
    fn line(&self) -> usize {
        self.line
    }

    fn keys(&self) -> Vec<Key> {
        self.number.map(Key::Number).into_iter().collect()
    }

    fn merge(&mut self, later: Self) -> Vec<&'static str> {
        differing([("name", same(&mut self.name, later.name))])
    }
}

impl Record for Product {
    fn line(&self) -> usize {
        self.line
    }

    fn keys(&self) -> Vec<Key> {
        let ids = self.sender_ids.iter().cloned().map(Key::SenderId);
        ids.chain(self.number.map(Key::Number)).collect()
    }

    fn merge(&mut self, later: Self) -> Vec<&'static str> {
        for id in later.sender_ids {
            if !self.sender_ids.contains(&id) {
                self.sender_ids.push(id);
            }
        }
        differing([
            ("number", same(&mut self.number, later.number)),
            ("name", same(&mut self.name, later.name)),
            ("active", same_sent(&mut self.active, later.active)),
        ])
    }
}

impl Record for Client {
    fn line(&self) -> usize {
        self.line
    }

    fn keys(&self) -> Vec<Key> {
        let id = self.sender_id.iter().cloned().map(Key::SenderId);
        id.chain(self.number.map(Key::Number)).collect()
    }

    fn merge(&mut self, later: Self) -> Vec<&'static str> {
        self.addresses.extend(later.addresses);
        self.prices.extend(later.prices);
        let mut bank_account = true;
        for (first, later) in self.bank_account.iter_mut().zip(later.bank_account) {
            bank_account &= same_sent(first, later);
        }
        differing([
            ("number", same(&mut self.number, later.number)),
            ("sender_id", same(&mut self.sender_id, later.sender_id)),
            ("username", same(&mut self.username, later.username)),
            ("type", same_sent(&mut self.kind, later.kind)),
            ("phone", same_sent(&mut self.phone, later.phone)),
            ("phones", same_sent(&mut self.phones, later.phones)),
            ("email", same_sent(&mut self.email, later.email)),
            ("comment", same_sent(&mut self.comment, later.comment)),
            (
                "account_number",
                same(&mut self.account_number, later.account_number),
            ),
            ("bank_account", bank_account),
            (
                "legal_address",
                same_sent(&mut self.legal_address, later.legal_address),
            ),
            (
                "coins_amount",
                same_sent(&mut self.coins_amount, later.coins_amount),
            ),
            (
                "loyalty_system_is_active",
                same_sent(
                    &mut self.loyalty_system_is_active,
                    later.loyalty_system_is_active,
                ),
            ),
        ])
    }
}

const INTEGER: Hint = Hint::Expected("целое число", "an integer");
const NUMBER: Hint = Hint::Expected("число", "a number");
const TEXT: Hint = Hint::Expected("строка", "a text");
const LIST: Hint = Hint::Expected("список", "a list");
const OBJECT: Hint = Hint::Expected("объект", "an object");
const FLAG: Hint = Hint::Allowed("true, false, 1, 0, да, нет");
const PHONE: Hint = Hint::Allowed("+79191991919, 89191991919, 79191991919, 9191991919");
const INT_RANGE: &str = "1 … 2147483647";

struct Reader<'r> {
    kind: Kind,
    rules: &'r Rules,
    problems: &'r mut Vec<Problem>,
}

impl Reader<'_> {
    /// Reads all rows; returns how many records are left out.
    fn records<T: Record>(
        &mut self,
        rows: Vec<Row>,
        read: fn(&mut Self, &Row) -> T,
        entries: &mut Vec<T>,
    ) -> usize {
        let mut records: Vec<(T, bool)> = Vec::new();
        let mut by_key: HashMap<Key, usize> = HashMap::new();
        for row in rows {
            let problems = self.problems.len();
            let record = read(self, &row);
            let keys = record.keys();
            let found: BTreeSet<usize> = keys
                .iter()
                .filter_map(|key| by_key.get(key).copied())
                .collect();
            let index = found.first().copied().unwrap_or(records.len());
            for key in keys {
                by_key.entry(key).or_insert(index);
            }
            if let Some(other) = found.iter().nth(1) {
                let lines = (records[index].0.line(), records[*other].0.line());
                let reason = format!(
                    "names the record of line {} and that of line {}",
                    lines.0, lines.1
                );
                self.problem(row.line, String::new(), reason);
            }
            for other in &found {
                records[*other].1 |= self.problems.len() > problems;
            }
            if found.is_empty() {
                records.push((record, self.problems.len() > problems));
            } else {
                let (first, bad) = &mut records[index];
                let line = first.line();
                for column in first.merge(record) {
                    let reason =
                        format!("differs from line {line}, which tells of the same record");
                    self.problem(row.line, column.to_owned(), reason);
                    *bad = true;
                }
            }
        }
        let before = records.len();
        let good = records.into_iter().filter(|(_, bad)| !bad);
        let taken = entries.len();
        entries.extend(good.map(|(record, _)| record));
        before - (entries.len() - taken)
    }

    fn problem(&mut self, line: usize, column: String, reason: String) {
        self.problems.push(Problem {
            kind: self.kind,
            line,
            column,
            reason,
        });
    }

    fn fault(&mut self, row: &Row, column: &str, code: FaultCode, hint: Hint) {
        let column = if row.group.is_empty() {
            column.to_owned()
        } else {
            format!("{}.{column}", row.group)
        };
        self.problems
            .push(Problem::of(self.kind, row.line, column, code, hint));
    }

    /// Sorts out what is absent and what is empty; `read` gets the rest and says what is wrong with it.
    fn sent<'v, T>(
        &mut self,
        row: &'v Row,
        column: &str,
        read: impl FnOnce(&mut Self, &'v Value) -> Result<T, (FaultCode, Hint)>,
    ) -> Sent<T> {
        match row.get(column) {
            None => Sent::Absent,
            Some(Value::Null) => Sent::Null,
            Some(Value::BadText) => {
                self.fault(row, column, FaultCode::InvalidFormat, Hint::None);
                Sent::Absent
            }
            Some(value) => match read(self, value) {
                Ok(value) => Sent::Value(value),
                Err((code, hint)) => {
                    self.fault(row, column, code, hint);
                    Sent::Absent
                }
            },
        }
    }

    fn text(&mut self, row: &Row, column: &str, max: usize) -> Sent<String> {
        self.sent(row, column, |_, value| text(value, max))
    }

    fn number(&mut self, row: &Row, column: &str) -> Sent<i32> {
        self.sent(row, column, |_, value| {
            let number = whole(value, 1, i64::from(i32::MAX), INT_RANGE)?;
            i32::try_from(number).map_err(|_| (FaultCode::OutOfRange, Hint::Allowed(INT_RANGE)))
        })
    }

    fn amount(&mut self, row: &Row, column: &str, whole_digits: u32) -> Sent<Decimal> {
        let range = if whole_digits == 8 {
            "0 … 99999999.99"
        } else {
            "0 … 9999999999.99"
        };
        self.sent(row, column, |_, value| {
            let text = digits(value).ok_or((FaultCode::WrongType, NUMBER))?;
            match amount::parse(&text, whole_digits) {
                // A price list can be put right before it comes again; nothing of it is rounded.
                Ok(amount) if !amount.is_rounded => Ok(amount.value),
                Err(Invalid::NotANumber) => Err((FaultCode::WrongType, NUMBER)),
                Ok(_) | Err(Invalid::OutOfRange) => {
                    Err((FaultCode::OutOfRange, Hint::Allowed(range)))
                }
            }
        })
    }

    fn flag(&mut self, row: &Row, column: &str) -> Sent<bool> {
        self.sent(row, column, |_, value| {
            let flag = match value {
                Value::Bool(flag) => Some(*flag),
                Value::Text(word) | Value::Number(word) => flag::parse(word),
                _ => None,
            };
            flag.ok_or((FaultCode::NotAllowed, FLAG))
        })
    }

    /// Several values: a list of JSON, or a text with `|` between them.
    fn list(
        &mut self,
        row: &Row,
        column: &str,
        read: impl Fn(&Self, &Value) -> Result<String, (FaultCode, Hint)>,
    ) -> Sent<Vec<String>> {
        self.sent(row, column, |reader, value| {
            let cells: Vec<Value>;
            let values = match value {
                Value::List(values) => values,
                Value::Text(text) => {
                    let parts = text.split('|').map(str::trim);
                    cells = parts
                        .filter(|part| !part.is_empty())
                        .map(|part| Value::Text(part.to_owned()))
                        .collect();
                    &cells
                }
                Value::Number(_) => std::slice::from_ref(value),
                _ => return Err((FaultCode::WrongType, LIST)),
            };
            let mut list = Vec::with_capacity(values.len());
            for value in values {
                let entry = read(reader, value)?;
                if !list.contains(&entry) {
                    list.push(entry);
                }
            }
            Ok(list)
        })
    }

    /// Objects of a group.
    fn groups<'v>(&mut self, row: &'v Row, column: &str) -> Vec<&'v Row> {
        let sent = self.sent(row, column, |_, value| match value {
            Value::List(entries) => entries
                .iter()
                .map(|entry| match entry {
                    Value::Object(row) => Ok(row),
                    _ => Err((FaultCode::WrongType, OBJECT)),
                })
                .collect(),
            _ => Err((FaultCode::WrongType, LIST)),
        });
        sent.value().cloned().unwrap_or_default()
    }

    fn required<T: Clone>(&mut self, row: &Row, column: &str, sent: &Sent<T>) -> Option<T> {
        // What is wrong with a value that is there was said.
        if matches!(sent, Sent::Null) || row.get(column).is_none() {
            self.fault(row, column, FaultCode::Required, Hint::None);
        }
        sent.value().cloned()
    }

    fn district(&mut self, row: &Row) -> District {
        let number = self.number(row, "number");
        District {
            line: row.line,
            number: self.required(row, "number", &number),
            name: self.text(row, "name", 255).value().cloned(),
        }
    }

    fn product(&mut self, row: &Row) -> Product {
        let problems = self.problems.len();
        let number = self.number(row, "number").value().copied();
        let sender_ids = self.list(row, "sender_ids", |_, value| text(value, 255));
        let sender_ids = sender_ids.value().cloned().unwrap_or_default();
        if number.is_none() && sender_ids.is_empty() && self.problems.len() == problems {
            self.nameless(row);
        }
        Product {
            line: row.line,
            number,
            sender_ids,
            name: self.text(row, "name", 255).value().cloned(),
            active: self.flag(row, "active"),
        }
    }

    /// Else every import of the file would make a new record.
    fn nameless(&mut self, row: &Row) {
        let keys = self.kind.columns().keys.join(" or ");
        let reason = format!("{keys} must tell which record is meant");
        self.problem(row.line, String::new(), reason);
    }

    fn client(&mut self, row: &Row) -> Client {
        let problems = self.problems.len();
        let number = self.number(row, "number").value().copied();
        let sender_id = self.text(row, "sender_id", 255).value().cloned();
        if number.is_none() && sender_id.is_none() && self.problems.len() == problems {
            self.nameless(row);
        }
        let phone_of = |reader: &Self, value: &Value| match value {
            Value::Text(text) | Value::Number(text) => {
                phone::parse(text, reader.rules.phone_region)
                    .filter(|phone| !phone.goes_on)
                    .map(|phone| phone.e164)
                    .ok_or((FaultCode::InvalidFormat, PHONE))
            }
            _ => Err((FaultCode::WrongType, TEXT)),
        };
        let bank_account = self.sent(row, "bank_account", |_, value| match value {
            Value::Object(row) => Ok(row),
            _ => Err((FaultCode::WrongType, OBJECT)),
        });
        let bank_account = BANK_ACCOUNT.map(|key| match &bank_account {
            Sent::Value(row) => self.text(row, key, 255),
            Sent::Null => Sent::Null,
            Sent::Absent => Sent::Absent,
        });
        let addresses = self.groups(row, "addresses").into_iter();
        let addresses = addresses.map(|row| self.address(row)).collect();
        let prices = self.groups(row, "prices").into_iter();
        let prices = prices.filter_map(|row| self.price(row)).collect();
        Client {
            line: row.line,
            number,
            sender_id,
            username: self.text(row, "username", 255).value().cloned(),
            kind: self.sent(row, "type", |_, value| {
                ClientType::parse(&text(value, usize::MAX)?)
                    .ok_or((FaultCode::NotAllowed, Hint::Allowed(ClientType::ALLOWED)))
            }),
            phone: self.sent(row, "phone", |reader, value| phone_of(reader, value)),
            phones: self.list(row, "phones", phone_of),
            email: self.text(row, "email", 255),
            comment: self.text(row, "comment", usize::MAX),
            account_number: self
                .sent(row, "account_number", |_, value| {
                    let range = "-9223372036854775808 … 9223372036854775807";
                    whole(value, i64::MIN, i64::MAX, range)
                })
                .value()
                .copied(),
            bank_account,
            legal_address: self.list(row, "legal_address", |_, value| text(value, usize::MAX)),
            coins_amount: self.amount(row, "coins_amount", 10),
            loyalty_system_is_active: self.flag(row, "loyalty_system_is_active"),
            addresses,
            prices,
        }
    }

    fn address(&mut self, row: &Row) -> Address {
        let mut text = |column, max| self.text(row, column, max);
        Address {
            line: row.line,
            sender_id: text("sender_id", 255).value().cloned(),
            city: text("city", 255).value().cloned(),
            street: text("street", 255).value().cloned(),
            house: text("house", 10).value().cloned(),
            str: text("str", 255).value().cloned(),
            entrance: text("entrance", 10),
            floor: text("floor", 10),
            room: text("room", 10),
            number: self.number(row, "number").value().copied(),
            district: self.number(row, "district"),
        }
    }

    fn price(&mut self, row: &Row) -> Option<Price> {
        let product = self.number(row, "product");
        let product = self.required(row, "product", &product);
        let price = self.amount(row, "price", 8);
        let price = self.required(row, "price", &price);
        Some(Price {
            line: row.line,
            active: self.flag(row, "active"),
            product: product?,
            price: price?,
        })
    }
}

fn text(value: &Value, max: usize) -> Result<String, (FaultCode, Hint)> {
    let (Value::Text(text) | Value::Number(text)) = value else {
        return Err((FaultCode::WrongType, TEXT));
    };
    if text.chars().count() > max {
        return Err((FaultCode::TooLong, Hint::Max(max)));
    }
    Ok(text.clone())
}

/// A number as 1C and spreadsheets print it: `2 647`, `1 234,50`.
fn digits(value: &Value) -> Option<String> {
    let (Value::Text(text) | Value::Number(text)) = value else {
        return None;
    };
    let mut text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    // With a point as well the comma would be a separator of thousands, or the point one: guessing costs money.
    if !text.contains('.') && text.matches(',').count() == 1 {
        text = text.replace(',', ".");
    }
    Some(text)
}

fn whole(value: &Value, min: i64, max: i64, range: &'static str) -> Result<i64, (FaultCode, Hint)> {
    let text = digits(value).ok_or((FaultCode::WrongType, INTEGER))?;
    amount::parse_whole(&text, min, max).map_err(|invalid| match invalid {
        Invalid::NotANumber => (FaultCode::WrongType, INTEGER),
        Invalid::OutOfRange => (FaultCode::OutOfRange, Hint::Allowed(range)),
    })
}
