//! An order as a 1C pushes it (contract §8.3), by the rules by which orders are read.

use super::kinds::{OBJECT, Reader};
use crate::order::{
    fault::{Fault, FaultCode, Path, Warning},
    fields::PUSHED,
    model::Status,
};

/// What is read of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// 1C's id, where there is a usable one.
    pub id: Option<String>,
    /// The sender's id, by which the order is found. Always there where nothing is wrong.
    pub sender_id: Option<String>,
    pub status: Option<Status>,
    /// All that is wrong with it.
    pub faults: Vec<Fault>,
    pub warnings: Vec<Warning>,
}

impl Reader<'_> {
    pub fn pushed(mut self) -> Pushed {
        let root = Path::ROOT;
        if !self.element.trim_ascii_start().starts_with('{') {
            self.refuse(&root, FaultCode::WrongType, OBJECT);
        }
        let [id, sender_id, status] = Self::fields(self.element, &PUSHED);
        let id = self.id(id, root).into_value();
        let sender_id = self.id(sender_id, root).into_value();
        let status = self.one_of(status, root, Status::parse).into_value();
        let (faults, warnings) = self.finish();
        Pushed {
            id,
            sender_id,
            status,
            faults,
            warnings,
        }
    }
}
