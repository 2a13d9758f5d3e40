//! The columns of `read.sql`, and the records that rows of each kind hold.

use std::{array, marker::PhantomData, sync::Arc};

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::{Decode, Postgres, Row as _, postgres::PgRow, types::Json};
use uuid::Uuid;

use crate::order::{
    content::OrderContent,
    model::{
        Address, AddressContent, BankAccount, Client, ClientPrice, ClientType, Order, OrderItem,
        Status,
    },
};

/// A column of `read.sql`, or the first of those of its type, and what it is read as.
pub(super) struct Column<T> {
    index: usize,
    read_as: PhantomData<T>,
}

// Derived, they would ask the same of `T`.
impl<T> Clone for Column<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Column<T> {}

impl<T> Column<T> {
    const fn first(index: usize) -> Self {
        Self {
            index,
            read_as: PhantomData,
        }
    }

    /// This one and those behind it, to be named by what they hold in a row of some kind.
    pub(super) fn all<const N: usize>(self) -> [Self; N] {
        array::from_fn(|n| Self::first(self.index + n))
    }
}

pub(super) const KIND: Column<i16> = Column::first(0);
pub(super) const INT: Column<i32> = Column::first(1);
pub(super) const TEXT: Column<String> = Column::first(6);
pub(super) const TEXTS: Column<Vec<String>> = Column::first(15);
pub(super) const AMOUNT: Column<Decimal> = Column::first(17);
pub(super) const MOMENT: Column<DateTime<Utc>> = Column::first(20);
pub(super) const JSON: Column<Value> = Column::first(23);
pub(super) const UUID: Column<Uuid> = Column::first(24);
pub(super) const FLAG: Column<bool> = Column::first(25);
pub(super) const BIG: Column<i64> = Column::first(26);
pub(super) const INTS: Column<Vec<i32>> = Column::first(27);

/// A row of `read.sql`, of whichever kind; the ways out of it say what its columns mean. Only the columns that a kind
/// has are looked at: sqlx's own way from a row takes all of them apart, which took as long as PostgreSQL's work.
pub(super) struct Row(pub(super) PgRow);

pub(super) type Read<T> = Result<T, sqlx::Error>;

/// Something stored that is not of our making.
pub(super) fn corrupt(what: &'static str) -> sqlx::Error {
    sqlx::Error::Decode(what.into())
}

impl Row {
    pub(super) fn get<'r, T: Decode<'r, Postgres>>(&'r self, column: Column<T>) -> Read<T> {
        // read.sql's columns are checked when we compile, by [`checked`].
        self.0.try_get_unchecked(column.index)
    }

    pub(super) fn maybe<'r, T: Decode<'r, Postgres>>(
        &'r self,
        column: Column<T>,
    ) -> Read<Option<T>> {
        self.0.try_get_unchecked(column.index)
    }

    /// A text that is not kept as it is.
    fn str(&self, column: Column<String>) -> Read<&str> {
        self.0.try_get_unchecked(column.index)
    }

    fn json<T: DeserializeOwned + 'static>(&self) -> Read<Option<T>> {
        let json: Option<Json<T>> = self.0.try_get_unchecked(JSON.index)?;
        Ok(json.map(|Json(value)| value))
    }

    pub(super) fn order(&self) -> Read<Order> {
        let [
            number,
            version,
            client_number,
            address_number,
            count_of_returned_bottles,
        ] = INT.all();
        let [sender_id, status, payment_type, comment, shipping_address] = TEXT.all();
        let [total, delivery_cost, coins] = AMOUNT.all();
        let [created_at, shipping_date_from, shipping_date_to] = MOMENT.all();
        Ok(Order {
            number: self.get(number)?,
            version: self.get(version)?,
            client_number: self.get(client_number)?,
            address_number: self.maybe(address_number)?,
            shipping_address: serde_json::from_str(self.str(shipping_address)?)
                .map_err(|_| corrupt("an order's own address"))?,
            sender_id: self.get(sender_id)?,
            status: Status::parse(self.str(status)?).ok_or_else(|| corrupt("a status"))?,
            total: self.get(total)?,
            created_at: self.get(created_at)?,
            shipping_date_from: self.get(shipping_date_from)?,
            shipping_date_to: self.get(shipping_date_to)?,
            uuid: self.get(UUID)?,
            content: OrderContent {
                delivery_cost: self.maybe(delivery_cost)?,
                coins: self.maybe(coins)?,
                payment_type: self.maybe(payment_type)?,
                payment_status: self.get(FLAG)?,
                comment: self.maybe(comment)?,
                count_of_returned_bottles: self.get(count_of_returned_bottles)?,
                ask_for_checkout: self.json()?,
            },
            items: Vec::new().into(),
        })
    }

    /// (the sender's id, (number, status))
    pub(super) fn imported(&self) -> Read<(String, (i32, Status))> {
        let [sender_id, status] = TEXT.all();
        let status = Status::parse(self.str(status)?).ok_or_else(|| corrupt("a status"))?;
        Ok((self.get(sender_id)?, (self.get(INT)?, status)))
    }

    /// (order's number, position, item)
    pub(super) fn item(&self) -> Read<(i32, i32, OrderItem)> {
        let [
            order_number,
            position,
            external_id,
            product_number,
            quantity,
        ] = INT.all();
        let [product_id, sender_id, name] = TEXT.all();
        let item = OrderItem {
            external_id: self.maybe(external_id)?,
            product_number: self.maybe(product_number)?,
            quantity: self.get(quantity)?,
            product_id: self.get(product_id)?,
            sender_id: self.maybe(sender_id)?,
            name: self.maybe(name)?,
            price: self.get(AMOUNT)?,
            order_product_id: self.maybe(BIG)?,
        };
        Ok((self.get(order_number)?, self.get(position)?, item))
    }

    /// (stamp, client)
    pub(super) fn client(&self) -> Read<(Arc<str>, Client)> {
        let [number, version] = INT.all();
        let [
            sender_id,
            guest_phone,
            username,
            phone,
            email,
            comment,
            kind,
            stamp,
        ] = TEXT.all();
        let [phones, legal_address] = TEXTS.all();
        let client = Client {
            number: self.get(number)?,
            version: self.get(version)?,
            sender_id: self.maybe(sender_id)?,
            guest_phone: self.maybe(guest_phone)?,
            username: self.get(username)?,
            phone: self.maybe(phone)?,
            email: self.maybe(email)?,
            comment: self.maybe(comment)?,
            kind: ClientType::parse(self.str(kind)?).ok_or_else(|| corrupt("a client's type"))?,
            phones: self.get(phones)?,
            legal_address: self.get(legal_address)?,
            coins_amount: self.get(AMOUNT)?,
            bank_account: self.json::<BankAccount>()?,
            loyalty_system_is_active: self.maybe(FLAG)?,
            account_number: self.maybe(BIG)?,
            addresses: Vec::new().into(),
            prices: Vec::new().into(),
        };
        Ok((self.str(stamp)?.into(), client))
    }

    /// (client's number, address)
    pub(super) fn address(&self) -> Read<(i32, Address)> {
        let [number, client_number, district_number] = INT.all();
        let [
            sender_id,
            city,
            street,
            house,
            str,
            entrance,
            floor,
            room,
            district_name,
        ] = TEXT.all();
        let content = AddressContent {
            city: self.get(city)?,
            street: self.get(street)?,
            house: self.get(house)?,
            str: self.get(str)?,
            entrance: self.maybe(entrance)?,
            floor: self.maybe(floor)?,
            room: self.maybe(room)?,
        };
        let address = Address {
            number: self.get(number)?,
            district_number: self.maybe(district_number)?,
            sender_id: self.maybe(sender_id)?,
            district_name: self.maybe(district_name)?,
            content,
        };
        Ok((self.get(client_number)?, address))
    }

    /// (client's number, price)
    pub(super) fn price(&self) -> Read<(i32, ClientPrice)> {
        let [product_number, client_number] = INT.all();
        let price = ClientPrice {
            product_number: self.get(product_number)?,
            external_product_id: self.maybe(TEXT)?,
            price: self.get(AMOUNT)?,
            active: self.get(FLAG)?,
        };
        Ok((self.get(client_number)?, price))
    }

    /// (the sender's id, our number)
    pub(super) fn product(&self) -> Read<(String, i32)> {
        Ok((self.get(TEXT)?, self.get(INT)?))
    }
}

/// Never called: with it the macro checks, when we compile, that `read.sql` fits the schema and what [`Row`] takes its
/// columns for.
#[expect(dead_code, reason = "only the compiler reads it")]
async fn checked(connection: &mut sqlx::PgConnection, texts: &[String], ints: &[i32]) -> Read<()> {
    let row = sqlx::query_file!(
        "src/store/read.sql",
        "",
        texts,
        ints,
        texts,
        ints,
        texts,
        texts,
        ints,
        texts,
        texts,
        texts,
    )
    .fetch_one(connection)
    .await?;
    let _: (i16, [Option<i32>; 5]) = (
        row.kind,
        [row.int_1, row.int_2, row.int_3, row.int_4, row.int_5],
    );
    let _: [Option<String>; 9] = [
        row.text_1, row.text_2, row.text_3, row.text_4, row.text_5, row.text_6, row.text_7,
        row.text_8, row.text_9,
    ];
    let _: [Option<Vec<String>>; 2] = [row.texts_1, row.texts_2];
    let _: [Option<Decimal>; 3] = [row.amount_1, row.amount_2, row.amount_3];
    let _: [Option<DateTime<Utc>>; 3] = [row.at_1, row.at_2, row.at_3];
    let _: (Option<Value>, Option<Uuid>, Option<bool>, Option<i64>) =
        (row.json, row.uuid, row.flag, row.big);
    let _: Option<Vec<i32>> = row.ints;
    Ok(())
}
