//! Faults and warnings: a path, a code that never changes, and a text in the caller's language (contract §2).

use std::{borrow::Cow, fmt};

use serde::{Serialize, Serializer, ser::SerializeStruct};

/// The language of messages: Russian unless the caller asks for English.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// The default.
    #[default]
    Ru,
    /// `Accept-Language: en`.
    En,
}

/// Why an order was rejected. The wire's names never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultCode {
    /// `required`
    Required,
    /// `wrong_type`
    WrongType,
    /// `too_long`
    TooLong,
    /// `out_of_range`
    OutOfRange,
    /// `not_allowed`
    NotAllowed,
    /// `invalid_format`
    InvalidFormat,
    /// `invalid_range`
    InvalidRange,
    /// `empty`
    Empty,
    /// `too_many`
    TooMany,
    /// `not_found`
    NotFound,
    /// `conflict`
    Conflict,
}

impl FaultCode {
    /// Every code, in the order of its declaration: `ALL[code as usize] == code`.
    pub const ALL: [Self; 11] = [
        Self::Required,
        Self::WrongType,
        Self::TooLong,
        Self::OutOfRange,
        Self::NotAllowed,
        Self::InvalidFormat,
        Self::InvalidRange,
        Self::Empty,
        Self::TooMany,
        Self::NotFound,
        Self::Conflict,
    ];

    /// The code as it stands on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::WrongType => "wrong_type",
            Self::TooLong => "too_long",
            Self::OutOfRange => "out_of_range",
            Self::NotAllowed => "not_allowed",
            Self::InvalidFormat => "invalid_format",
            Self::InvalidRange => "invalid_range",
            Self::Empty => "empty",
            Self::TooMany => "too_many",
            Self::NotFound => "not_found",
            Self::Conflict => "conflict",
        }
    }

    /// The same of a value that was left out; `None` of a fault that costs the order wherever it stands.
    fn as_warning(self) -> Option<WarningCode> {
        Some(match self {
            Self::Required => WarningCode::Required,
            Self::WrongType => WarningCode::WrongType,
            Self::TooLong => WarningCode::TooLong,
            Self::OutOfRange => WarningCode::OutOfRange,
            Self::NotAllowed => WarningCode::NotAllowed,
            Self::InvalidFormat => WarningCode::InvalidFormat,
            Self::InvalidRange | Self::Empty | Self::TooMany | Self::NotFound | Self::Conflict => {
                return None;
            }
        })
    }
}

/// What a sender should know about an order that was accepted. The wire's names never change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WarningCode {
    /// `product_not_found`
    ProductNotFound,
    /// `product_ambiguous`
    ProductAmbiguous,
    /// `status_not_changed`
    StatusNotChanged,
    /// `address_not_found`
    AddressNotFound,
    /// `external_id_ignored`
    ExternalIdIgnored,
    /// `payment_type_unknown`
    PaymentTypeUnknown,
    /// `client_changed`
    ClientChanged,
    /// `kept_as_stored`
    KeptAsStored,
    /// `not_unique`
    NotUnique,
    /// `too_many`
    TooMany,
    /// `rounded`
    Rounded,
    /// `too_long`
    TooLong,
    /// `required`
    Required,
    /// `wrong_type`
    WrongType,
    /// `out_of_range`
    OutOfRange,
    /// `not_allowed`
    NotAllowed,
    /// `invalid_format`
    InvalidFormat,
}

impl WarningCode {
    /// Every code, in the order of its declaration: `ALL[code as usize] == code`.
    pub const ALL: [Self; 17] = [
        Self::ProductNotFound,
        Self::ProductAmbiguous,
        Self::StatusNotChanged,
        Self::AddressNotFound,
        Self::ExternalIdIgnored,
        Self::PaymentTypeUnknown,
        Self::ClientChanged,
        Self::KeptAsStored,
        Self::NotUnique,
        Self::TooMany,
        Self::Rounded,
        Self::TooLong,
        Self::Required,
        Self::WrongType,
        Self::OutOfRange,
        Self::NotAllowed,
        Self::InvalidFormat,
    ];

    /// The code as it stands on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ProductNotFound => "product_not_found",
            Self::ProductAmbiguous => "product_ambiguous",
            Self::StatusNotChanged => "status_not_changed",
            Self::AddressNotFound => "address_not_found",
            Self::ExternalIdIgnored => "external_id_ignored",
            Self::PaymentTypeUnknown => "payment_type_unknown",
            Self::ClientChanged => "client_changed",
            Self::KeptAsStored => "kept_as_stored",
            Self::NotUnique => "not_unique",
            Self::TooMany => "too_many",
            Self::Rounded => "rounded",
            Self::TooLong => "too_long",
            Self::Required => "required",
            Self::WrongType => "wrong_type",
            Self::OutOfRange => "out_of_range",
            Self::NotAllowed => "not_allowed",
            Self::InvalidFormat => "invalid_format",
        }
    }
}

/// What the text of a fault adds to its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hint {
    /// Nothing.
    None,
    /// The most that is allowed: characters or entries.
    Max(usize),
    /// The values or the range that are allowed, in any language's letters.
    Allowed(&'static str),
    /// The whole numbers that are allowed.
    Between(i64, i64),
    /// The amounts that are allowed: from 0, with so many digits before the point.
    Amount(u32),
    /// What was expected: a JSON type, in (Russian, English).
    Expected(&'static str, &'static str),
    /// Of a text longer than this many characters: it is kept whole.
    Kept(usize),
    /// Of a text longer than this many characters: it is cut there.
    Cut(usize),
    /// Written as a moment is, and there is none such.
    NoSuchMoment,
    /// A NUL in a text.
    Nul,
    /// Of a cancellation that does not say well whose it is.
    OnlyStatus,
    /// Of something that a back office said of an older version.
    Older,
    /// Of a finished order whose client's data was erased.
    Erased,
    /// Beside a phone's number there are words, an extension or another number: that first number counts.
    OnlyNumber,
}

/// One fault of an order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fault {
    /// Where, as in `order_item_list[0].price`; empty for the element as a whole.
    pub field: String,
    /// What.
    pub code: FaultCode,
    /// For the text.
    pub hint: Hint,
}

impl Fault {
    /// The text in that language, without the field.
    #[must_use]
    pub fn message(&self, language: Language) -> String {
        fault_message(&self.field, self.code, self.hint, language)
    }
}

fn fault_message(field: &str, code: FaultCode, hint: Hint, language: Language) -> String {
    use {FaultCode as C, Hint as H, Language::En, Language::Ru};
    match (language, code, hint) {
        (Ru, C::Required, _) => "обязательное поле".into(),
        (En, C::Required, _) => "is required".into(),
        (Ru, C::WrongType, H::Expected(ru, _)) => format!("неверный тип, ожидается {ru}"),
        (En, C::WrongType, H::Expected(_, en)) => format!("wrong type, {en} expected"),
        (Ru, C::WrongType, _) => "неверный тип".into(),
        (En, C::WrongType, _) => "wrong type".into(),
        (Ru, C::TooLong, H::Max(max)) => format!("длиннее {max} символов"),
        (En, C::TooLong, H::Max(max)) => format!("longer than {max} characters"),
        (Ru, C::TooLong, _) => "слишком длинно".into(),
        (En, C::TooLong, _) => "too long".into(),
        (_, C::OutOfRange, H::Between(least, most)) => {
            out_of_range(language, &format!("{least} … {most}"))
        }
        (_, C::OutOfRange, H::Amount(digits)) => {
            let whole = "9".repeat(usize::try_from(digits).unwrap_or_default());
            out_of_range(language, &format!("0 … {whole}.99"))
        }
        (_, C::OutOfRange, H::Allowed(range)) => out_of_range(language, range),
        (Ru, C::OutOfRange, _) => "вне допустимых пределов".into(),
        (En, C::OutOfRange, _) => "out of range".into(),
        (Ru, C::NotAllowed, H::Allowed(values)) => {
            format!("недопустимое значение, можно: {values}")
        }
        (En, C::NotAllowed, H::Allowed(values)) => format!("not allowed, use one of: {values}"),
        (Ru, C::NotAllowed, _) => "недопустимое значение".into(),
        (En, C::NotAllowed, _) => "not allowed".into(),
        (Ru, C::InvalidFormat, H::Allowed(forms)) => format!("неверный формат, можно так: {forms}"),
        (En, C::InvalidFormat, H::Allowed(forms)) => format!("invalid format, use one of: {forms}"),
        (Ru, C::InvalidFormat, H::NoSuchMoment) => {
            "такой даты или времени нет (годы с 1 по 9999)".into()
        }
        (En, C::InvalidFormat, H::NoSuchMoment) => {
            "there is no such date or time (years 1 to 9999)".into()
        }
        (Ru, C::InvalidFormat, _) => "неверный формат".into(),
        (En, C::InvalidFormat, _) => "invalid format".into(),
        (Ru, C::InvalidRange, _) => "конец раньше начала".into(),
        (En, C::InvalidRange, _) => "ends before it starts".into(),
        (Ru, C::Empty, _) => "список пуст".into(),
        (En, C::Empty, _) => "the list is empty".into(),
        (Ru, C::TooMany, H::Max(max)) => format!("больше {max} элементов"),
        (En, C::TooMany, H::Max(max)) => format!("more than {max} entries"),
        (Ru, C::TooMany, _) => "слишком много элементов".into(),
        (En, C::TooMany, _) => "too many entries".into(),
        (Ru, C::NotFound, _) => "не найдено".into(),
        (En, C::NotFound, _) => "not found".into(),
        (Ru, C::Conflict, _) if field.is_empty() => "база данных не приняла заказ".into(),
        (En, C::Conflict, _) if field.is_empty() => "the database did not take the order".into(),
        (Ru, C::Conflict, _) if field == "id" => {
            "под этим id хранится завершённый или отменённый заказ другого клиента".into()
        }
        (En, C::Conflict, _) if field == "id" => {
            "this id belongs to another client's order, which is finished".into()
        }
        (Ru, C::Conflict, _) => "этот номер принадлежит другой записи".into(),
        (En, C::Conflict, _) => "this number belongs to another record".into(),
    }
}

fn out_of_range(language: Language, range: &str) -> String {
    match language {
        Language::Ru => format!("вне допустимых пределов: {range}"),
        Language::En => format!("out of range: {range}"),
    }
}

/// One warning of an accepted order.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Warning {
    /// Where, as in [`Fault::field`].
    pub field: String,
    /// What.
    pub code: WarningCode,
    /// For the text.
    pub hint: Hint,
}

impl Warning {
    /// A warning whose text needs nothing besides its code.
    #[must_use]
    pub fn new(field: &dyn fmt::Display, code: WarningCode) -> Self {
        Self {
            field: field.to_string(),
            code,
            hint: Hint::None,
        }
    }

    /// The fault of a value that an order can do without, and so is left out (contract §3).
    ///
    /// `None` for a fault that costs the order wherever it stands.
    #[must_use]
    pub fn of_left_out(fault: Fault) -> Option<Self> {
        let code = fault.code.as_warning()?;
        Some(Self {
            field: fault.field,
            code,
            hint: fault.hint,
        })
    }

    /// Whether something that came was not taken as it came: left out, not added, rounded or shortened. The journal keeps such an order
    /// (contract §7).
    #[must_use]
    pub fn is_loss(&self) -> bool {
        use WarningCode as C;
        match self.code {
            C::ProductNotFound
            | C::ProductAmbiguous
            | C::StatusNotChanged
            | C::AddressNotFound
            | C::ExternalIdIgnored
            | C::PaymentTypeUnknown
            | C::ClientChanged
            | C::KeptAsStored
            | C::NotUnique => false,
            C::TooLong => !matches!(self.hint, Hint::Kept(_)),
            C::TooMany
            | C::Rounded
            | C::Required
            | C::WrongType
            | C::OutOfRange
            | C::NotAllowed
            | C::InvalidFormat => true,
        }
    }

    /// Whether it says in which form a value was taken.
    #[must_use]
    pub fn is_of_taken_value(&self) -> bool {
        use {Hint as H, WarningCode as C};
        matches!(self.code, C::Rounded | C::PaymentTypeUnknown)
            || matches!(self.hint, H::Kept(_) | H::Cut(_) | H::Nul | H::OnlyNumber)
    }

    /// The text in that language, without the field.
    #[must_use]
    pub fn message(&self, language: Language) -> Cow<'static, str> {
        use {Hint as H, Language::En, Language::Ru, WarningCode as C};
        let (ru, en) = match (self.code, self.hint) {
            (C::ProductNotFound, _) => (
                "товар не найден, строка сохранена без товара",
                "product not found, the line is kept without one",
            ),
            (C::ProductAmbiguous, _) => (
                "product_id и id указывают на разные товары, взят product_id",
                "product_id and id name different products, product_id counts",
            ),
            (C::StatusNotChanged, _) => (
                "статус назад не возвращается, остался прежним",
                "a status never goes back, it stays as it was",
            ),
            (C::AddressNotFound, _) => (
                "у клиента нет такого адреса, адрес взят по содержанию",
                "the client has no such address, it was taken by its content",
            ),
            (C::ExternalIdIgnored, _) => (
                "не наш номер этой записи, не учтён",
                "not our number of this record, it was ignored",
            ),
            (C::PaymentTypeUnknown, _) => (
                "способа оплаты нет в списке, сохранён как прислан",
                "payment type is not in the list, kept as sent",
            ),
            (C::ClientChanged, _) => (
                "заказ перешёл к другому клиенту",
                "the order moved to another client",
            ),
            (C::KeptAsStored, H::OnlyStatus) => (
                "отмена, по которой не видно, что заказ этого клиента: из неё учтён только статус",
                "a cancellation that does not show that the order is its client's: nothing of it counts but the status",
            ),
            (C::KeptAsStored, H::Older) => (
                "сказано о прежней версии, а о более новой уже сообщено: осталось сказанное о ней",
                "said of an older version; what was said of a newer one stays",
            ),
            (C::KeptAsStored, H::Erased) => (
                "заказ завершён, а данные его клиента стёрты по запросу: он остался как был",
                "the order is finished and its client's data was erased on request: it stays as it was",
            ),
            (C::NotUnique, _) => (
                "этот номер 1С есть и у другого заказа, сохранён у обоих",
                "another order has this number of 1C's too; both keep it",
            ),
            (C::KeptAsStored, _) => (
                "отмена: чего в запросе нет, осталось как было",
                "a cancellation: what did not come stays as it was",
            ),
            (C::TooMany, _) => (
                "у клиента уже слишком много адресов, этот не добавлен; адрес доставки заказа сохранён в самом заказе",
                "the client has too many addresses already, this one is not added; an order keeps its delivery address itself",
            ),
            (C::Rounded, _) => ("округлено до сотых", "rounded to two decimals"),
            (C::Required, _) => (
                "обязательное поле, без него запись не учтена",
                "is required, without it the entry was left out",
            ),
            (C::InvalidFormat, H::Nul) => (
                "символ NUL (\\u0000) отброшен",
                "the character NUL (\\u0000) is left out",
            ),
            (C::InvalidFormat, H::OnlyNumber) => (
                "кроме номера есть что-то ещё, взят только он",
                "there is more than the number, only the number was taken",
            ),
            (C::TooLong, H::Kept(most)) => {
                return match language {
                    Ru => format!("длиннее {most} символов, сохранено целиком"),
                    En => format!("longer than {most} characters, kept whole"),
                }
                .into();
            }
            (C::TooLong, H::Cut(most)) => {
                return match language {
                    Ru => format!("длиннее {most} символов, конец отброшен"),
                    En => format!("longer than {most} characters, the end is left out"),
                }
                .into();
            }
            (C::TooLong, _) => return self.left_out(FaultCode::TooLong, language).into(),
            (C::WrongType, _) => return self.left_out(FaultCode::WrongType, language).into(),
            (C::OutOfRange, _) => return self.left_out(FaultCode::OutOfRange, language).into(),
            (C::NotAllowed, _) => return self.left_out(FaultCode::NotAllowed, language).into(),
            (C::InvalidFormat, _) => {
                return self.left_out(FaultCode::InvalidFormat, language).into();
            }
        };
        match language {
            Ru => ru,
            En => en,
        }
        .into()
    }

    /// The text of a value that could not be read, and so was left out.
    fn left_out(&self, code: FaultCode, language: Language) -> String {
        let fault = fault_message(&self.field, code, self.hint, language);
        match language {
            Language::Ru => format!("{fault}; значение не учтено"),
            Language::En => format!("{fault}; the value was left out"),
        }
    }
}

/// What is said of an order that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Remark<'a> {
    /// Of an element that was taken.
    Warning(&'a Warning),
    /// Of another element of the same order, which was not.
    NotTaken(&'a Fault),
}

impl Remark<'_> {
    /// Where.
    #[must_use]
    pub fn field(&self) -> &str {
        match self {
            Self::Warning(warning) => &warning.field,
            Self::NotTaken(fault) => &fault.field,
        }
    }

    /// The code as it stands on the wire. A fault that is no warning's says that what is stored was kept.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Warning(warning) => warning.code.as_str(),
            Self::NotTaken(fault) => fault
                .code
                .as_warning()
                .unwrap_or(WarningCode::KeptAsStored)
                .as_str(),
        }
    }

    /// The text in that language, without the field.
    #[must_use]
    pub fn message(&self, language: Language) -> Cow<'static, str> {
        match self {
            Self::Warning(warning) => warning.message(language),
            Self::NotTaken(fault) => {
                let fault = fault.message(language);
                match language {
                    Language::Ru => format!("{fault}; эта запись заказа не учтена"),
                    Language::En => format!("{fault}; this element of the order was left out"),
                }
                .into()
            }
        }
    }
}

/// A fault in the language of its reader: `{field, code, message}`.
pub struct FaultText<'a> {
    fault: &'a Fault,
    language: Language,
    /// Leave out the message where it says no more than the code.
    brief: bool,
}

impl<'a> FaultText<'a> {
    /// As it is answered.
    #[must_use]
    pub fn whole(fault: &'a Fault, language: Language) -> Self {
        Self {
            fault,
            language,
            brief: false,
        }
    }

    /// As it is kept: without the message that goes with its code ([`usual_message`]).
    #[must_use]
    pub fn brief(fault: &'a Fault, language: Language) -> Self {
        Self {
            fault,
            language,
            brief: true,
        }
    }
}

/// The message that goes with a code, by its name; `None` where there is no such code.
#[must_use]
pub fn usual_message(field: &str, code: &str, language: Language) -> Option<String> {
    let code = FaultCode::ALL
        .into_iter()
        .find(|known| known.as_str() == code)?;
    let fault = Fault {
        field: field.to_owned(),
        code,
        hint: Hint::None,
    };
    Some(fault.message(language))
}

/// The same of a warning's code.
#[must_use]
pub fn usual_warning(field: &str, code: &str, language: Language) -> Option<String> {
    let code = WarningCode::ALL
        .into_iter()
        .find(|known| known.as_str() == code)?;
    let warning = Warning {
        field: field.to_owned(),
        code,
        hint: Hint::None,
    };
    Some(warning.message(language).into_owned())
}

/// A remark in the language of its reader: `{field, code, message}`.
pub struct RemarkText<'a>(pub Remark<'a>, pub Language);

impl Serialize for FaultText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Fault { field, code, .. } = self.fault;
        let message = self.fault.message(self.language);
        let usual = || usual_message(field, code.as_str(), self.language);
        let is_usual = self.brief && usual().as_ref() == Some(&message);
        let mut s = serializer.serialize_struct("Fault", 3)?;
        s.serialize_field("field", field)?;
        s.serialize_field("code", code.as_str())?;
        if is_usual {
            s.skip_field("message")?;
        } else {
            s.serialize_field("message", &message)?;
        }
        s.end()
    }
}

impl Serialize for RemarkText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(remark, language) = self;
        let mut s = serializer.serialize_struct("Remark", 3)?;
        s.serialize_field("field", remark.field())?;
        s.serialize_field("code", remark.code())?;
        s.serialize_field("message", &remark.message(*language))?;
        s.end()
    }
}

/// The sentence over an order's faults.
#[must_use]
pub fn summary(faults: &[&Fault], language: Language) -> String {
    let mut text = match language {
        Language::Ru => String::from("Заказ не принят: "),
        Language::En => String::from("Order rejected: "),
    };
    for (n, fault) in faults.iter().take(3).enumerate() {
        if n > 0 {
            text.push_str("; ");
        }
        if !fault.field.is_empty() {
            text.push_str(&fault.field);
            text.push_str(" — ");
        }
        text.push_str(&fault.message(language));
    }
    if faults.len() > 3 {
        let more = faults.len() - 3;
        let (and, more_of_them) = match language {
            Language::Ru => (" и ещё ", ""),
            Language::En => (" and ", " more"),
        };
        text.push_str(and);
        text.push_str(&more.to_string());
        text.push_str(more_of_them);
    }
    text
}

/// A place in an order. Costs nothing until a fault prints it.
#[derive(Clone, Copy)]
pub struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Field(&'a str),
    Index(usize),
}

impl Path<'static> {
    /// The element itself.
    pub const ROOT: Self = Self {
        parent: None,
        step: Step::Root,
    };
}

impl<'a> Path<'a> {
    /// The field of that name inside this place.
    #[must_use]
    pub fn field(&'a self, name: &'a str) -> Self {
        Self {
            parent: Some(self),
            step: Step::Field(name),
        }
    }

    /// The entry at that index inside this list.
    #[must_use]
    pub fn index(&'a self, index: usize) -> Self {
        Self {
            parent: Some(self),
            step: Step::Index(index),
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(parent) = self.parent else {
            return Ok(());
        };
        parent.fmt(f)?;
        match self.step {
            Step::Root => Ok(()),
            Step::Field(name) if matches!(parent.step, Step::Root) => f.write_str(name),
            Step::Field(name) => write!(f, ".{name}"),
            Step::Index(index) => write!(f, "[{index}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_kept_whole_is_no_loss() {
        let of = |hint| Warning {
            hint,
            ..Warning::new(&"comment", WarningCode::TooLong)
        };
        assert!(!of(Hint::Kept(10)).is_loss());
        assert!(of(Hint::Cut(1_000)).is_loss());
    }

    #[test]
    fn a_path_reads_as_in_the_contract() {
        let list = Path::ROOT.field("order_item_list");
        let item = list.index(0);
        assert_eq!(item.field("price").to_string(), "order_item_list[0].price");
        assert_eq!(Path::ROOT.to_string(), "");
    }
}
