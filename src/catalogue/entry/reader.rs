//! Reads a row's values, and notes what is wrong with them.

use std::collections::{BTreeSet, HashMap};

use rust_decimal::Decimal;

use super::{
    columns::BANK_ACCOUNT,
    merge::{Key, Record},
    records::{Address, Client, District, Order, Price, Product},
};
use crate::{
    catalogue::{
        Problem, Subject, Text,
        table::{Row, Value},
    },
    order::{
        Rules,
        amount::{self, Invalid},
        fault::{FaultCode, Hint},
        fields::LONGEST_ID,
        flag,
        model::{ClientType, Status},
        phone,
        sent::Sent,
        wire::is_blank,
    },
};

const INTEGER: Hint = Hint::Expected("целое число", "an integer");
const NUMBER: Hint = Hint::Expected("число", "a number");
const TEXT: Hint = Hint::Expected("строка", "a text");
const LIST: Hint = Hint::Expected("список", "a list");
const OBJECT: Hint = Hint::Expected("объект", "an object");
const FLAG: Hint = Hint::Allowed("true, false, 1, 0, да, нет");
const PHONE: Hint = Hint::Allowed("+79191991919, 89191991919, 79191991919, 9191991919");
const INT_RANGE: &str = "1 … 2147483647";

pub(super) struct Reader<'r> {
    pub(super) subject: Subject,
    pub(super) rules: &'r Rules,
    pub(super) problems: &'r mut Vec<Problem>,
}

impl Reader<'_> {
    /// Reads all rows; returns how many records are left out.
    pub(super) fn records<T: Record>(
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
                let reason = Text::new(
                    format!("называет записи и строки {}, и строки {}", lines.0, lines.1),
                    format!(
                        "names the record of line {} and that of line {}",
                        lines.0, lines.1
                    ),
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
                    let reason = Text::new(
                        format!("не то, что в строке {line} о той же записи"),
                        format!("differs from line {line}, which tells of the same record"),
                    );
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

    fn problem(&mut self, line: usize, column: String, reason: Text) {
        self.problems.push(Problem {
            subject: self.subject,
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
            .push(Problem::of(self.subject, row.line, column, code, hint));
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

    pub(super) fn district(&mut self, row: &Row) -> District {
        let number = self.number(row, "number");
        District {
            line: row.line,
            number: self.required(row, "number", &number),
            name: self.text(row, "name", 255).value().cloned(),
        }
    }

    pub(super) fn product(&mut self, row: &Row) -> Product {
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
        let keys = self.subject.columns().keys;
        let reason = Text::new(
            format!("не сказано, что за запись: нужен {}", keys.join(" или ")),
            format!("{} must tell which record is meant", keys.join(" or ")),
        );
        self.problem(row.line, String::new(), reason);
    }

    pub(super) fn client(&mut self, row: &Row) -> Client {
        let problems = self.problems.len();
        let number = self.number(row, "number").value().copied();
        let sender_id = self.text(row, "sender_id", 255).value().cloned();
        if number.is_none() && sender_id.is_none() && self.problems.len() == problems {
            self.nameless(row);
        }
        let phone_of = |reader: &Self, value: &Value| match value {
            Value::Text(text) | Value::Number(text) => {
                phone::parse(text, reader.rules.phone_region)
                    .filter(|phone| !phone.has_more)
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

    pub(super) fn order(&mut self, row: &Row) -> Order {
        let sender_id = self.sent(row, "sender_id", |_, value| {
            let id = text(value, LONGEST_ID)?;
            Ok(id.trim_matches(is_blank).to_owned())
        });
        let status = self.sent(row, "status", |_, value| {
            Status::parse(&text(value, usize::MAX)?)
                .ok_or((FaultCode::NotAllowed, Hint::Allowed(Status::ALLOWED)))
        });
        Order {
            line: row.line,
            sender_id: self.required(row, "sender_id", &sender_id),
            number: self.number(row, "number").value().copied(),
            status: status.value().copied(),
            receiver_number: self.text(row, "receiver_number", 255),
            receiver_uid: self.text(row, "receiver_uid", 255),
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
    // With a point as well, or another one, the comma may stand between thousands: `amount` knows.
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
