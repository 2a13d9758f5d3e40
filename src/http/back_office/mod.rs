//! What a back office calls (contract §8): the feed of orders, what became of them, reference data. All of it wants a login
//! of the role `back_office`.

pub mod feed;
mod parameters;
pub mod reference;
pub mod results;
