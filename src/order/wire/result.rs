//! What a back office says of an order (contract §8.1), by the rules by which orders are read.

use super::kinds::{OBJECT, Reader};
use crate::order::{
    fault::{Fault, FaultCode, Path, Warning},
    fields::RESULT,
    model::Status,
};

/// What became of an order in the back office.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderResult {
    pub number: i32,
    /// Of which version of the order it is said; `None`: of the order as it is.
    pub version: Option<i32>,
    pub receiver_number: Option<String>,
    pub receiver_uid: Option<String>,
    pub status: Option<Status>,
    /// Why it was not taken.
    pub error: Option<String>,
}

impl Reader<'_> {
    pub fn result(mut self) -> (Result<OrderResult, Vec<Fault>>, Vec<Warning>) {
        let root = Path::ROOT;
        if !self.element.trim_ascii_start().starts_with('{') {
            self.refuse(&root, FaultCode::WrongType, OBJECT);
        }
        let [
            number,
            version,
            receiver_number,
            receiver_uid,
            status,
            error,
        ] = Self::fields(self.element, &RESULT);
        let number = self.integer(number, root).into_value();
        let version = self.integer(version, root).into_value();
        let receiver_number = self.text(receiver_number, root).into_value();
        let receiver_uid = self.text(receiver_uid, root).into_value();
        let status = self.one_of(status, root, Status::parse).into_value();
        let error = self.text(error, root).into_value();
        let (faults, warnings) = self.finish();
        let result = match number {
            Some(number) if faults.is_empty() => Ok(OrderResult {
                number,
                version,
                receiver_number,
                receiver_uid,
                status,
                error,
            }),
            _ => Err(faults),
        };
        (result, warnings)
    }
}
