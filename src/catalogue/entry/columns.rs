//! What a file of each kind may say.

use crate::catalogue::table::{Columns, Group};

pub static DISTRICT: Columns = Columns {
    plain: &["number", "name"],
    groups: &[],
    keys: &["number"],
};

pub static PRODUCT: Columns = Columns {
    plain: &["number", "sender_ids", "name", "active"],
    groups: &[],
    keys: &["number", "sender_ids"],
};

pub static CLIENT: Columns = Columns {
    plain: &[
        "number",
        "sender_id",
        "username",
        "type",
        "phone",
        "phones",
        "email",
        "comment",
        "account_number",
        "legal_address",
        "coins_amount",
        "loyalty_system_is_active",
    ],
    groups: &[
        Group {
            name: "bank_account",
            columns: &BANK_ACCOUNT,
            many: false,
        },
        Group {
            name: "addresses",
            columns: &[
                "number",
                "sender_id",
                "city",
                "street",
                "house",
                "str",
                "entrance",
                "floor",
                "room",
                "district",
            ],
            many: true,
        },
        Group {
            name: "prices",
            columns: &["product", "price", "active"],
            many: true,
        },
    ],
    keys: &["number", "sender_id"],
};

pub static ORDER: Columns = Columns {
    plain: &[
        "sender_id",
        "number",
        "status",
        "receiver_number",
        "receiver_uid",
    ],
    groups: &[],
    keys: &["sender_id"],
};

/// The document's six keys, in their order.
pub(super) const BANK_ACCOUNT: [&str; 6] = [
    "inn",
    "kpp",
    "account_number",
    "correspondent_account",
    "bik",
    "bank_name",
];
