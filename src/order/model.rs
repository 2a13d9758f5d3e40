//! What the receiver keeps: orders, their lines, clients and addresses. Amounts are roubles, exact decimals.

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{content::OrderContent, list::List};

/// How far an order has come. The receiver owns it: it only moves forward (contract §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Not looked at yet.
    New,
    /// An operator took it.
    Approved,
    /// Delivered; final.
    Completed,
    /// Cancelled; final.
    Removed,
}

impl Status {
    pub const ALL: [Self; 4] = [Self::New, Self::Approved, Self::Completed, Self::Removed];
    /// All of them, for messages.
    pub const ALLOWED: &'static str = "new, approved, completed, removed";

    /// The status of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "new" => Self::New,
            "approved" => Self::Approved,
            "completed" => Self::Completed,
            "removed" => Self::Removed,
            _ => return None,
        })
    }

    /// Its name on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Approved => "approved",
            Self::Completed => "completed",
            Self::Removed => "removed",
        }
    }

    /// Whether an order may go from this status to `next`: `new` → `approved` → `completed`, `removed` after the
    /// first two.
    #[must_use]
    pub fn may_become(self, next: Self) -> bool {
        match (self, next) {
            (Self::New, _) | (Self::Approved, Self::Approved | Self::Completed | Self::Removed) => {
                true
            }
            (Self::Completed | Self::Removed, _) => self == next,
            (Self::Approved, Self::New) => false,
        }
    }
}

/// A private person or a company.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientType {
    /// `fiz`
    #[default]
    Fiz,
    /// `jur`
    Jur,
}

impl ClientType {
    /// All of them, for messages.
    pub const ALLOWED: &'static str = "fiz, jur";

    /// The type of that name.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "fiz" => Some(Self::Fiz),
            "jur" => Some(Self::Jur),
            _ => None,
        }
    }

    /// Its name on the wire and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fiz => "fiz",
            Self::Jur => "jur",
        }
    }
}

/// An order as stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Order {
    /// Our number.
    pub number: i32,
    /// Its own UUID.
    pub uuid: Uuid,
    /// Counts its changes; a writer that read an older one is overtaken.
    pub version: i32,
    /// The sender's id.
    pub sender_id: String,
    /// How far it has come.
    pub status: Status,
    /// Whose it is.
    pub client_number: i32,
    /// Where it goes: its own copy, which nothing but the order itself changes (contract §5).
    pub shipping_address: AddressContent,
    /// Which address of the client's that was, by our number; `None` where the client's list had no room for it.
    pub address_number: Option<i32>,
    /// When it was made, or first came in.
    pub created_at: DateTime<Utc>,
    /// Roubles, delivery included.
    pub total: Decimal,
    /// Delivery from …
    pub shipping_date_from: DateTime<Utc>,
    /// … to.
    pub shipping_date_to: DateTime<Utc>,
    /// What its sender may say of it and need not.
    pub content: OrderContent,
    /// The lines, in their places.
    pub items: List<OrderItem>,
}

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderItem {
    /// The sender's id of the product.
    pub product_id: String,
    /// The line's `id`: by the document the line's, in its example the product's.
    pub sender_id: Option<String>,
    /// As sent.
    pub external_id: Option<i32>,
    /// Our product, when it was found.
    pub product_number: Option<i32>,
    /// As sent.
    pub name: Option<String>,
    /// Roubles a piece.
    pub price: Decimal,
    /// Pieces.
    pub quantity: i32,
    /// Kept and echoed.
    pub order_product_id: Option<i64>,
}

/// A client as stored, with its addresses and prices.
#[derive(Debug, Clone, PartialEq)]
pub struct Client {
    /// Our number.
    pub number: i32,
    /// Counts changes of the client and of its addresses.
    pub version: i32,
    /// The sender's id.
    pub sender_id: Option<String>,
    /// The phone (E.164) a guest is known by; `None` for registered clients.
    pub guest_phone: Option<String>,
    /// Name.
    pub username: String,
    /// E.164.
    pub phone: Option<String>,
    /// E.164.
    pub phones: Vec<String>,
    /// As sent.
    pub email: Option<String>,
    /// As sent.
    pub comment: Option<String>,
    /// Account.
    pub account_number: Option<i64>,
    /// Person or company.
    pub kind: ClientType,
    /// Requisites, the receiver's.
    pub bank_account: Option<BankAccount>,
    /// The receiver's.
    pub legal_address: Vec<String>,
    /// Bonus balance, the receiver's.
    pub coins_amount: Decimal,
    /// The client's own setting, the receiver's.
    pub loyalty_system_is_active: Option<bool>,
    /// In the order of their numbers.
    pub addresses: List<Address>,
    /// The receiver's, by product number.
    pub prices: List<ClientPrice>,
}

/// An address of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Our number.
    pub number: i32,
    /// The sender's id.
    pub sender_id: Option<String>,
    /// What it says.
    pub content: AddressContent,
    /// The receiver's.
    pub district_number: Option<i32>,
    /// The district's name.
    pub district_name: Option<String>,
}

/// The part of an address that the sender owns, and by which addresses without an id are told apart (contract §4).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AddressContent {
    /// City.
    pub city: String,
    /// Street.
    pub street: String,
    /// House.
    pub house: String,
    /// The whole in one line.
    pub str: String,
    /// Entrance.
    pub entrance: Option<String>,
    /// Floor.
    pub floor: Option<String>,
    /// Flat or office.
    pub room: Option<String>,
}

fn lengths<const N: usize>(texts: [&Option<String>; N]) -> usize {
    texts
        .iter()
        .map(|text| text.as_ref().map_or(0, String::len))
        .sum()
}

impl AddressContent {
    /// What an order keeps of its address once its client's data was erased. Of one that was sent no required part is empty.
    #[must_use]
    pub fn is_erased(&self) -> bool {
        [&self.city, &self.street, &self.house, &self.str]
            .into_iter()
            .all(String::is_empty)
    }

    /// How long its texts are.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let Self {
            city,
            street,
            house,
            str,
            entrance,
            floor,
            room,
        } = self;
        let whole = [city, street, house, str].map(String::len);
        whole.iter().sum::<usize>() + lengths([entrance, floor, room])
    }
}

impl Order {
    /// How long its texts are, without those of its lines.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.shipping_address.bytes() + self.sender_id.len() + self.content.bytes(str::len)
    }
}

impl OrderItem {
    /// How long its texts are.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.product_id.len() + lengths([&self.sender_id, &self.name])
    }
}

impl Address {
    /// How long its texts are.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.content.bytes() + lengths([&self.sender_id, &self.district_name])
    }
}

impl Client {
    /// A client of whom nothing is known but our number, which is its account number too (contract §6).
    #[must_use]
    pub fn new(number: i32) -> Self {
        Self {
            number,
            version: 1,
            sender_id: None,
            guest_phone: None,
            username: String::new(),
            phone: None,
            phones: Vec::new(),
            email: None,
            comment: None,
            account_number: Some(i64::from(number)),
            kind: ClientType::default(),
            bank_account: None,
            legal_address: Vec::new(),
            coins_amount: Decimal::ZERO,
            loyalty_system_is_active: None,
            addresses: List::default(),
            prices: List::default(),
        }
    }

    /// Its phones, wherever they stand.
    pub fn all_phones(&self) -> impl Iterator<Item = &str> {
        let first = self.phone.iter().chain(&self.guest_phone);
        first.chain(&self.phones).map(String::as_str)
    }

    /// How long its texts are, without those of its addresses and prices.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let Self {
            sender_id,
            guest_phone,
            username,
            phone,
            phones,
            email,
            comment,
            legal_address,
            ..
        } = self;
        let lists = [phones, legal_address].into_iter().flatten();
        username.len()
            + lists.map(String::len).sum::<usize>()
            + lengths([sender_id, guest_phone, phone, email, comment])
    }

    /// Its address of that number.
    #[must_use]
    pub fn address(&self, number: i32) -> Option<&Address> {
        let at = self
            .addresses
            .binary_search_by_key(&number, |address| address.number);
        at.ok().and_then(|at| self.addresses.get(at))
    }
}

/// A client's own price.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientPrice {
    /// Our product.
    pub product_number: i32,
    /// A sender's id of it, when it has one.
    pub external_product_id: Option<String>,
    /// Roubles.
    pub price: Decimal,
    /// In force?
    pub active: bool,
}

/// The document's six keys.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BankAccount {
    /// Taxpayer's number.
    pub inn: Option<String>,
    /// Registration reason code.
    pub kpp: Option<String>,
    /// Account.
    pub account_number: Option<String>,
    /// Correspondent account.
    pub correspondent_account: Option<String>,
    /// Bank's code.
    pub bik: Option<String>,
    /// Bank's name.
    pub bank_name: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use Status::{Approved, Completed, New, Removed};

    #[test]
    fn a_status_only_moves_forward() {
        for (from, to, may) in [
            (New, Approved, true),
            (New, Completed, true),
            (New, Removed, true),
            (Approved, Completed, true),
            (Approved, Removed, true),
            (Approved, New, false),
            (Completed, New, false),
            (Completed, Approved, false),
            (Completed, Removed, false),
            (Removed, New, false),
            (Removed, Approved, false),
            (Removed, Completed, false),
        ] {
            assert_eq!(from.may_become(to), may, "{from:?} → {to:?}");
        }
    }
}
