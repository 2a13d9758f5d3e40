//! How values are read: a rule a kind, the same in every field (contract §3). What senders do to JSON is read as it was meant;
//! what the document's own form is takes the short way.

use std::{borrow::Cow, fmt::Display, ops::Range};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

pub use crate::order::invisible::is_blank;
use crate::order::{
    Rules,
    amount::{self, Invalid},
    content::Checkout,
    datetime,
    fault::{Fault, FaultCode, Hint, Path, Warning, WarningCode},
    fields::{ADDRESS, Field, KEPT_TEXT, Kind, LONGEST_ID, ORDER, ORDER_ITEM, Object},
    flag,
    phone::{self, Phone},
    raw::{self, Value},
    sent::Sent,
};

const TEXT: Hint = Hint::Expected("строка", "a string");
const NUMBER: Hint = Hint::Expected("число", "a number");
const INTEGER: Hint = Hint::Expected("целое число", "an integer");
const BOOLEAN: Hint = Hint::Expected("true или false", "true or false");
const CHECKOUT: Hint = Hint::Expected("строка, true или false", "a string, true or false");
const ARRAY: Hint = Hint::Expected("массив", "an array");
pub(super) const OBJECT: Hint = Hint::Expected("объект", "an object");
const MOMENT: Hint = Hint::Allowed(
    "2019-11-06T11:00:00Z, 2019-11-06T11:00:00+03:00, 2019-11-06 11:00:00, 06.11.2019 11:00:00",
);
const PHONE: Hint = Hint::Allowed("+79191991919, 89191991919, 79191991919, 9191991919");

/// What an id that is no identity is made of (contract §3), a zero at least: `0` and the nil GUID, in braces or without its
/// dashes too.
pub const PLACEHOLDER: [char; 6] = ['0', '{', '}', '+', '.', '-'];

fn is_placeholder(id: &str) -> bool {
    id.contains('0') && id.trim_matches(PLACEHOLDER).is_empty()
}

/// A field and its value as written, if it came.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub field: &'static Field,
    pub raw: Option<&'a str>,
    /// Whether it must come: as its field says, or because of what else came.
    pub is_required: bool,
    /// Whether it is a part of something that came: without it that is not taken.
    pub is_part: bool,
}

impl Given<'_> {
    pub fn required_if(self, is_required: bool) -> Self {
        Self {
            is_required,
            ..self
        }
    }

    /// Whether an empty list or object says "nothing" here, as PHP and Odoo write it.
    fn may_be_empty(&self) -> bool {
        !self.is_required && self.field.kind != Kind::Flag
    }

    /// Whether `false` says "nothing" here.
    fn may_be_false(&self) -> bool {
        self.may_be_empty() && self.field.kind != Kind::Checkout
    }
}

/// Why a value is not read.
#[derive(Clone, Copy)]
pub(super) struct Unread(FaultCode, Hint);

/// A value; `None` where it says "nothing".
pub(super) type Read<T> = Result<Option<T>, Unread>;

/// What a fault costs.
#[derive(Clone, Copy, PartialEq)]
enum Cost {
    /// The order, wherever it stands.
    Order,
    /// The value that cannot be read; the order where that is required.
    Value,
    /// The same, of a value that is not there or says "nothing": where it is not required there is nothing to say.
    Nothing,
}

/// A fault that was found.
pub(super) struct Found {
    fault: Fault,
    cost: Cost,
}

/// Collects the faults and warnings of one element.
pub(super) struct Reader<'r> {
    pub rules: &'r Rules,
    pub element: &'r str,
    /// No more are collected.
    most_faults: usize,
    faults: Vec<Found>,
    warnings: Vec<Warning>,
    /// How many faults cost the order wherever they stand, also those that were not collected.
    refusals: usize,
    /// Where in `element` the values with a fault stand.
    blamed: Vec<Range<usize>>,
}

impl<'r> Reader<'r> {
    pub fn new(element: &'r str, rules: &'r Rules, most_faults: usize) -> Self {
        Self {
            rules,
            element,
            most_faults,
            faults: Vec::new(),
            warnings: Vec::new(),
            refusals: 0,
            blamed: Vec::new(),
        }
    }

    /// An empty list where something must be in it.
    pub fn empty(&mut self, path: &dyn Display) {
        self.found(path, FaultCode::Empty, Hint::None, Cost::Nothing);
    }

    /// A fault that costs the order wherever it stands.
    pub fn refuse(&mut self, path: &dyn Display, code: FaultCode, hint: Hint) {
        self.found(path, code, hint, Cost::Order);
    }

    fn found(&mut self, path: &dyn Display, code: FaultCode, hint: Hint, cost: Cost) {
        let mut most = self.most_faults;
        if cost == Cost::Order {
            self.refusals += 1;
            // Those before it may turn out to cost nothing: one that costs the order must be among them.
            most = most.saturating_mul(2);
        }
        if self.faults.len() < most {
            let fault = Fault {
                field: path.to_string(),
                code,
                hint,
            };
            self.faults.push(Found { fault, cost });
        }
    }

    pub fn warn(&mut self, path: &dyn Display, code: WarningCode, hint: Hint) {
        self.push(Warning {
            field: path.to_string(),
            code,
            hint,
        });
    }

    /// Where there are too many, one that says that something was lost takes the place of one that does not.
    fn push(&mut self, warning: Warning) {
        if self.warnings.len() < self.most_faults {
            self.warnings.push(warning);
        } else if warning.is_loss()
            && let Some(other) = self.warnings.iter_mut().rfind(|other| !other.is_loss())
        {
            *other = warning;
        }
    }

    /// How many faults were collected so far.
    pub fn count(&self) -> usize {
        self.faults.len()
    }

    /// How many faults cost the order wherever they stand.
    pub fn refusals(&self) -> usize {
        self.refusals
    }

    /// Turns the faults found since then into warnings: what they stand in is left out.
    pub fn leave_out(&mut self, since: usize) {
        for Found { fault, .. } in self.take_soft(since) {
            self.left_out(fault);
        }
    }

    /// Takes away the faults found since then that cost nothing in a cancellation of a known order, and warns of what came and is
    /// not taken; what is not there has one warning for all of it, where the order is known.
    pub fn take_missing(&mut self, since: usize) -> Vec<Fault> {
        let soft = self.take_soft(since).into_iter();
        soft.map(|Found { fault, cost }| {
            if cost == Cost::Value {
                self.left_out(fault.clone());
            }
            fault
        })
        .collect()
    }

    fn left_out(&mut self, fault: Fault) {
        if let Some(warning) = Warning::of_left_out(fault) {
            self.push(warning);
        }
    }

    fn take_soft(&mut self, since: usize) -> Vec<Found> {
        let found = self.faults.split_off(since);
        let (hard, soft): (Vec<_>, Vec<_>) = found
            .into_iter()
            .partition(|found| found.cost == Cost::Order);
        self.faults.extend(hard);
        soft
    }

    /// What was found in all, and whether the element holds what JSON allows and we cannot.
    pub fn finish(mut self) -> (Vec<Fault>, Vec<Warning>) {
        self.blamed.sort_unstable_by_key(|range| range.start);
        if self.element.trim_ascii_start().starts_with('{')
            && raw::is_unrepresentable(self.element, &self.blamed)
        {
            self.refuse(&Path::ROOT, FaultCode::InvalidFormat, Hint::None);
        }
        let faults = self.faults.into_iter().map(|found| found.fault).collect();
        (faults, self.warnings)
    }

    /// An object's fields, none of them read yet.
    pub fn fields<'a, const N: usize>(object: &'a str, kind: &'static Object<N>) -> [Given<'a>; N] {
        let raw = raw::fields(object, kind.names);
        let is_part = kind.name != ORDER.name && raw.iter().any(Option::is_some);
        std::array::from_fn(|at| {
            let field = &kind.fields[at];
            Given {
                field,
                raw: raw[at],
                is_required: field.is_required,
                is_part,
            }
        })
    }

    /// Reads a field. Required and nothing there: `required`. A value that `read` cannot read: a fault where it is required, else
    /// it is left out with a warning.
    pub fn field<'a, T>(
        &mut self,
        given: Given<'a>,
        parent: Path<'_>,
        read: impl FnOnce(&mut Self, Value<'a>, Path<'_>) -> Read<T>,
    ) -> Sent<T> {
        let path = parent.field(given.field.name);
        let sent = match given.raw {
            None => Sent::Absent,
            Some(raw) => match self.value(given, raw, path, read) {
                Ok(Some(value)) => return Sent::Value(value),
                Ok(None) => Sent::Null,
                Err(unread) => {
                    self.unread(raw, path, given.is_required, unread);
                    return Sent::Absent;
                }
            },
        };
        if given.is_required {
            let cost = if given.is_part {
                Cost::Value
            } else {
                Cost::Nothing
            };
            self.found(&path, FaultCode::Required, Hint::None, cost);
        }
        sent
    }

    fn value<'a, T>(
        &mut self,
        given: Given<'a>,
        raw: &'a str,
        path: Path<'_>,
        read: impl FnOnce(&mut Self, Value<'a>, Path<'_>) -> Read<T>,
    ) -> Read<T> {
        match raw::value(raw) {
            Value::Bool(false) if given.may_be_false() => Ok(None),
            Value::Array(container) | Value::Object(container)
                if given.may_be_empty() && raw::is_empty(container) =>
            {
                Ok(None)
            }
            value => self.said(value, path, read),
        }
    }

    /// Reads a value that says something, of a field or of an entry of a list.
    pub fn said<'a, T>(
        &mut self,
        value: Value<'a>,
        path: Path<'_>,
        read: impl FnOnce(&mut Self, Value<'a>, Path<'_>) -> Read<T>,
    ) -> Read<T> {
        match value {
            Value::Null => Ok(None),
            Value::BadText => Err(Unread(FaultCode::InvalidFormat, Hint::None)),
            // Only an escaped text can have a NUL in it.
            Value::Text(Cow::Owned(text)) if text.contains('\0') => {
                self.warn(&path, WarningCode::InvalidFormat, Hint::Nul);
                let text = text.replace('\0', "");
                if text.is_empty() {
                    return Ok(None);
                }
                read(self, Value::Text(text.into()), path)
            }
            value => read(self, value, path),
        }
    }

    /// Says that a value could not be read.
    pub fn unread(&mut self, raw: &str, path: Path<'_>, is_required: bool, unread: Unread) {
        let Unread(code, hint) = unread;
        // An id that is cut would be another's, a list that is cut another list.
        let is_hard = matches!(code, FaultCode::TooLong | FaultCode::TooMany)
            || raw::is_unrepresentable(raw, &[]);
        if is_hard || is_required {
            let cost = match raw::value(raw) {
                _ if is_hard => Cost::Order,
                Value::Bool(false) => Cost::Nothing,
                Value::Array(empty) | Value::Object(empty) if raw::is_empty(empty) => Cost::Nothing,
                _ => Cost::Value,
            };
            self.found(&path, code, hint, cost);
            let start = raw.as_ptr().addr() - self.element.as_ptr().addr();
            self.blamed.push(start..start + raw.len());
            return;
        }
        self.left_out(Fault {
            field: path.to_string(),
            code,
            hint,
        });
    }

    pub fn text(&mut self, given: Given<'_>, parent: Path<'_>) -> Sent<String> {
        let Kind::Text(usual) = given.field.kind else {
            return Sent::Absent;
        };
        self.field(given, parent, |r, value, path| {
            let text = match value {
                Value::Text(text) => text.into_owned(),
                Value::Number(number) => number_as_text(number)?,
                _ => return Err(Unread(FaultCode::WrongType, TEXT)),
            };
            Ok(Some(r.shortened(text, usual, path)))
        })
    }

    /// A text as it is kept. One that is longer than usual is whole for some way: somebody lives at "19 корпус 2".
    fn shortened(&mut self, mut text: String, usual: usize, path: Path<'_>) -> String {
        // As many bytes as characters allowed can never be too many characters.
        if text.len() <= usual || text.chars().count() <= usual {
            return text;
        }
        let most = usual.max(KEPT_TEXT);
        let hint = match text.char_indices().nth(most) {
            None => Hint::Kept(usual),
            Some((end, _)) => {
                text.truncate(end);
                text.shrink_to_fit();
                Hint::Cut(most)
            }
        };
        self.warn(&path, WarningCode::TooLong, hint);
        text
    }

    /// The sender's id. Blanks around it are dropped, so that it is the same id with and without them.
    pub fn id(&mut self, given: Given<'_>, parent: Path<'_>) -> Sent<String> {
        let is_identity = given.field.kind == Kind::Identity;
        self.field(given, parent, |_, value, _| {
            let too_long = || Unread(FaultCode::TooLong, Hint::Max(LONGEST_ID));
            let id = match &value {
                // The answer is keyed by the id as it came.
                Value::Text(text) if text.len() > 4 * KEPT_TEXT => return Err(too_long()),
                Value::Text(text) => Cow::Borrowed(text.trim_matches(is_blank)),
                Value::Number(number) => match amount::whole_digits(number, LONGEST_ID) {
                    Some(digits) => digits,
                    None if amount::is_whole(number) => return Err(too_long()),
                    None => return Err(Unread(FaultCode::WrongType, TEXT)),
                },
                _ => return Err(Unread(FaultCode::WrongType, TEXT)),
            };
            if id.len() > LONGEST_ID && id.chars().count() > LONGEST_ID {
                return Err(too_long());
            }
            let is_none = id.is_empty() || is_identity && is_placeholder(&id);
            Ok((!is_none).then(|| id.into_owned()))
        })
    }

    /// Our own number as the sender remembers it. `Err` where something came that can be none of ours.
    pub fn our_number(&mut self, given: Given<'_>, parent: Path<'_>) -> Result<Option<i32>, ()> {
        let mut is_none_of_ours = false;
        let sent = self.field(given, parent, |_, value, _| {
            let number = match &value {
                Value::Text(text) if is_placeholder(text.trim_matches(is_blank)) => {
                    return Ok(None);
                }
                // A code of the 1C before us, or of anybody else: our numbers have no zeros in front, and no exponent.
                Value::Text(text) if text.trim().starts_with('0') || text.contains(['e', 'E']) => {
                    Err(Invalid::NotANumber)
                }
                value => number(value, |text| {
                    amount::parse_whole(text, 0, i64::from(i32::MAX))
                }),
            };
            is_none_of_ours = number.is_err();
            let number = number.ok().and_then(|number| i32::try_from(number).ok());
            Ok(number.filter(|number| *number > 0))
        });
        if is_none_of_ours {
            return Err(());
        }
        Ok(sent.value().copied())
    }

    /// The same of an `external_id`, which then counts as absent.
    pub fn external_id(&mut self, given: Given<'_>, parent: Path<'_>) -> Option<i32> {
        self.our_number(given, parent).unwrap_or_else(|()| {
            let path = parent.field(given.field.name);
            self.warn(&path, WarningCode::ExternalIdIgnored, Hint::None);
            None
        })
    }

    /// Roubles.
    pub fn amount(&mut self, given: Given<'_>, parent: Path<'_>) -> Sent<Decimal> {
        let Kind::Amount(whole_digits) = given.field.kind else {
            return Sent::Absent;
        };
        self.field(given, parent, |r, value, path| {
            match number(&value, |text| amount::parse(text, whole_digits)) {
                Ok(amount) => {
                    if amount.is_rounded {
                        r.warn(&path, WarningCode::Rounded, Hint::None);
                    }
                    Ok(Some(amount.value))
                }
                Err(Invalid::NotANumber) => Err(Unread(FaultCode::WrongType, NUMBER)),
                Err(Invalid::OutOfRange) => {
                    Err(Unread(FaultCode::OutOfRange, Hint::Amount(whole_digits)))
                }
            }
        })
    }

    /// A whole number, of any type that holds its field's bounds.
    pub fn integer<T: TryFrom<i64>>(&mut self, given: Given<'_>, parent: Path<'_>) -> Sent<T> {
        let Kind::Integer(least, most) = given.field.kind else {
            return Sent::Absent;
        };
        let out_of_range = || Unread(FaultCode::OutOfRange, Hint::Between(least, most));
        self.field(given, parent, |_, value, _| {
            match number(&value, |text| amount::parse_whole(text, least, most)) {
                Ok(number) => T::try_from(number).map(Some).map_err(|_| out_of_range()),
                Err(Invalid::NotANumber) => Err(Unread(FaultCode::WrongType, INTEGER)),
                Err(Invalid::OutOfRange) => Err(out_of_range()),
            }
        })
    }

    pub fn flag(&mut self, given: Given<'_>, parent: Path<'_>) -> Sent<bool> {
        self.field(given, parent, |_, value, _| {
            let flag = match &value {
                Value::Bool(flag) => Some(*flag),
                Value::Number(text) => amount::parse_whole(text, 0, 1).ok().map(|one| one == 1),
                Value::Text(word) => flag::parse(word.trim_matches(is_blank)),
                _ => None,
            };
            flag.map(Some).ok_or(Unread(FaultCode::WrongType, BOOLEAN))
        })
    }

    /// A text, kept as it is, or a boolean.
    pub fn checkout(&mut self, given: Given<'_>, parent: Path<'_>) -> Sent<Checkout> {
        self.field(given, parent, |r, value, path| {
            Ok(Some(match value {
                Value::Bool(flag) => Checkout::Flag(flag),
                Value::Number("1") => Checkout::Flag(true),
                Value::Number("0") => Checkout::Flag(false),
                Value::Number(number) => Checkout::Text(number_as_text(number)?),
                Value::Text(text) => {
                    Checkout::Text(r.shortened(text.into_owned(), LONGEST_ID, path))
                }
                _ => return Err(Unread(FaultCode::WrongType, CHECKOUT)),
            }))
        })
    }

    pub fn one_of<T>(
        &mut self,
        given: Given<'_>,
        parent: Path<'_>,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Sent<T> {
        let Kind::OneOf(words) = given.field.kind else {
            return Sent::Absent;
        };
        self.field(given, parent, |_, value, _| {
            let Value::Text(text) = value else {
                return Err(Unread(FaultCode::WrongType, TEXT));
            };
            // A line's end comes along where a program's output was read.
            let word = parse(text.trim_end_matches(is_blank))
                .ok_or(Unread(FaultCode::NotAllowed, Hint::Allowed(words)));
            word.map(Some)
        })
    }

    pub fn moment(&mut self, given: Given<'_>, parent: Path<'_>) -> Sent<DateTime<Utc>> {
        self.field(given, parent, |r, value, _| {
            let Value::Text(text) = value else {
                return Err(Unread(FaultCode::WrongType, TEXT));
            };
            if datetime::is_empty_date(&text) {
                return Ok(None);
            }
            let hint = match datetime::parse(&text, r.rules.timezone) {
                Ok(moment) => return Ok(Some(moment)),
                Err(datetime::Invalid::Form) => MOMENT,
                Err(datetime::Invalid::NoSuchMoment) => Hint::NoSuchMoment,
            };
            Err(Unread(FaultCode::InvalidFormat, hint))
        })
    }

    pub fn phone(&mut self, given: Given<'_>, parent: Path<'_>) -> Sent<String> {
        self.field(given, parent, Self::said_phone)
    }

    /// Whether a phone can be read there.
    pub fn is_phone(&self, given: Given<'_>) -> bool {
        let value = given.raw.map(raw::value);
        value.is_some_and(|value| self.read_phone(value).is_ok())
    }

    fn read_phone(&self, value: Value<'_>) -> Result<Phone, Unread> {
        let text = match value {
            Value::Text(text) => text,
            // A phone without its plus is often sent as a number.
            Value::Number(number) => amount::whole_digits(number, LONGEST_ID)
                .ok_or(Unread(FaultCode::InvalidFormat, PHONE))?,
            _ => return Err(Unread(FaultCode::WrongType, TEXT)),
        };
        phone::parse(&text, self.rules.phone_region).ok_or(Unread(FaultCode::InvalidFormat, PHONE))
    }

    fn said_phone(&mut self, value: Value<'_>, path: Path<'_>) -> Read<String> {
        let phone = self.read_phone(value)?;
        if phone.has_more {
            self.warn(&path, WarningCode::InvalidFormat, Hint::OnlyNumber);
        }
        Ok(Some(phone.e164))
    }

    /// A list of phones, each once; one phone alone is a list, too. What is no phone is left out.
    pub fn phones(&mut self, given: Given<'_>, parent: Path<'_>) -> Sent<Vec<String>> {
        let mut is_unread = false;
        let sent = self.field(given, parent, |r, value, path| {
            if matches!(value, Value::Text(_) | Value::Number(_)) {
                let phone = r.said_phone(value, path)?;
                return Ok(Some(phone.into_iter().collect()));
            }
            let list = list(&value, given.field.kind, r.rules.max_client_addresses)?;
            let mut phones: Vec<String> = Vec::with_capacity(list.len());
            for (index, raw) in list.into_iter().enumerate() {
                let path = path.index(index);
                // "None", as PHP and Odoo write it.
                if matches!(raw::value(raw), Value::Bool(false)) {
                    continue;
                }
                match r.said(raw::value(raw), path, Self::said_phone) {
                    Ok(Some(phone)) if !phones.contains(&phone) => phones.push(phone),
                    Ok(_) => {}
                    Err(unread) => {
                        r.unread(raw, path, false, unread);
                        is_unread = true;
                    }
                }
            }
            Ok(Some(phones))
        });
        match sent {
            // What cannot be read changes nothing, whether it stands alone or in a list.
            Sent::Value(phones) if phones.is_empty() && is_unread => Sent::Absent,
            sent => sent,
        }
    }

    /// A list's entries, none of them read yet.
    pub fn list<'a>(
        &mut self,
        given: Given<'a>,
        parent: Path<'_>,
        most: usize,
    ) -> Sent<Vec<&'a str>> {
        let kind = given.field.kind;
        self.field(given, parent, |_, value, _| {
            list(&value, kind, most).map(Some)
        })
    }

    /// An object's fields, where the value is one.
    pub fn object<'a, const N: usize>(
        &mut self,
        given: Given<'a>,
        parent: Path<'_>,
        kind: &'static Object<N>,
    ) -> Option<[Given<'a>; N]> {
        let fields = self.field(given, parent, |_, value, _| match value {
            Value::Object(object) => Ok(Some(Self::fields(object, kind))),
            // PHP's (array) and a converter from XML make a list of one object.
            Value::Array(array) => match *raw::entries(array, 1) {
                [one] if one.starts_with('{') => Ok(Some(Self::fields(one, kind))),
                _ => Err(Unread(FaultCode::WrongType, OBJECT)),
            },
            _ => Err(Unread(FaultCode::WrongType, OBJECT)),
        });
        fields.into_value()
    }

    /// The fields of a list's entry, which must be an object; null is not one.
    pub fn entry<'a, const N: usize>(
        &mut self,
        raw: &'a str,
        path: Path<'_>,
        kind: &'static Object<N>,
    ) -> Option<[Given<'a>; N]> {
        if let Value::Object(object) = raw::value(raw) {
            return Some(Self::fields(object, kind));
        }
        self.unread(raw, path, true, Unread(FaultCode::WrongType, OBJECT));
        None
    }
}

/// A number is its text as written, unless it is none that we can hold.
fn number_as_text(number: &str) -> Result<String, Unread> {
    if raw::is_unrepresentable(number, &[]) {
        return Err(Unread(FaultCode::InvalidFormat, Hint::None));
    }
    Ok(number.to_owned())
}

/// Reads a number, which may come in a text.
fn number<T>(
    value: &Value<'_>,
    read: impl FnOnce(&str) -> Result<T, Invalid>,
) -> Result<T, Invalid> {
    value.as_digits().map_or(Err(Invalid::NotANumber), read)
}

fn list<'a>(value: &Value<'a>, kind: Kind, most: usize) -> Result<Vec<&'a str>, Unread> {
    let entries = match value {
        Value::Array(array) => raw::entries(array, most),
        Value::Object(object) => raw::numbered(object)
            .or_else(|| is_entry(object, kind).then(|| vec![*object]))
            .ok_or(Unread(FaultCode::WrongType, ARRAY))?,
        _ => return Err(Unread(FaultCode::WrongType, ARRAY)),
    };
    if entries.len() > most {
        return Err(Unread(FaultCode::TooMany, Hint::Max(most)));
    }
    Ok(entries)
}

/// Whether an object is itself an entry of such a list, as converters write a list of one from XML: it has a field of one.
fn is_entry(object: &str, kind: Kind) -> bool {
    match kind {
        Kind::List(name) if name == ORDER_ITEM.name => has_any(object, ORDER_ITEM.names),
        Kind::List(name) if name == ADDRESS.name => has_any(object, ADDRESS.names),
        _ => false,
    }
}

fn has_any<const N: usize>(object: &str, names: [&str; N]) -> bool {
    raw::fields(object, names).iter().any(Option::is_some)
}
