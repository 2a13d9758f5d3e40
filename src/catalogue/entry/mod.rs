//! Rows -> what they say of districts, products, clients and orders, every bad line with its reason.
//!
//! Lines that name the same record are one: each brings an address, a price, another sender's id. A record is taken
//! whole or not at all, so one bad line refuses the others of its record too.

use self::reader::Reader;
pub use self::{
    columns::{CLIENT, DISTRICT, ORDER, PRODUCT},
    records::{Address, Client, District, Order, Price, Product},
};
use super::{Problem, Subject, Totals, table::Rows};
use crate::order::Rules;

mod columns;
mod merge;
mod reader;
mod records;

/// What files say, of one kind or of several that are to be taken together.
#[derive(Debug, Default)]
pub struct Entries {
    pub districts: Vec<District>,
    pub products: Vec<Product>,
    pub clients: Vec<Client>,
    pub orders: Vec<Order>,
    pub problems: Vec<Problem>,
    /// How many records are left out for a bad line.
    pub totals: Totals,
}

impl Entries {
    pub fn add(&mut self, subject: Subject, table: Rows, rules: &Rules) {
        let Rows { rows, mut problems } = table;
        let no_rows = problems.len();
        let mut reader = Reader {
            subject,
            rules,
            problems: &mut problems,
        };
        let refused = match subject {
            Subject::Districts => reader.records(rows, Reader::district, &mut self.districts),
            Subject::Products => reader.records(rows, Reader::product, &mut self.products),
            Subject::Clients => reader.records(rows, Reader::client, &mut self.clients),
            Subject::Orders => reader.records(rows, Reader::order, &mut self.orders),
        };
        self.totals.of(subject).refused += refused + no_rows;
        self.problems.append(&mut problems);
    }
}
