//! The other half of the exchange (contract §8): orders go to the back office, and what becomes of them there comes back.
//! No SQL.

pub mod feed;
pub mod pushed;
pub mod results;
pub mod targets;
