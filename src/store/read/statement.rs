//! The text of the reading statement, without the parts that a batch has no use for.

use std::sync::OnceLock;

use crate::{order::known::Keys, store::client_cache::Cached};

const READ: &str = include_str!("../read.sql");

/// The parts of `read.sql` that may be left out.
const PARTS: usize = 7;

/// What is read besides the orders that the keys name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Orders {
    /// Their clients, where the batch may not name them.
    pub with_clients: bool,
    /// What was imported of orders that may come in.
    pub with_imported: bool,
}

/// The reading statement for such keys; nothing else is in it than what PostgreSQL must prepare.
pub(super) fn statement(keys: &Keys<'_>, cached: &Cached, orders: Orders) -> &'static str {
    static STATEMENTS: [OnceLock<String>; 1 << PARTS] = [const { OnceLock::new() }; 1 << PARTS];
    let parts: [(&str, bool); PARTS] = [
        ("client numbers", !keys.client_numbers.is_empty()),
        ("guests' phones", !keys.guest_phones.is_empty()),
        ("orders' clients", orders.with_clients),
        ("products", cached.products.is_none()),
        ("order numbers", !keys.order_numbers.is_empty()),
        ("imported orders", orders.with_imported),
        ("address numbers", !keys.address_numbers.is_empty()),
    ];
    let bits = parts.iter().enumerate();
    let which: usize = bits
        .map(|(bit, (_, wanted))| usize::from(*wanted) << bit)
        .sum();
    STATEMENTS[which].get_or_init(|| with_parts(&parts))
}

fn with_parts(parts: &[(&str, bool)]) -> String {
    let mut statement = String::with_capacity(READ.len());
    let mut wanted = true;
    for line in READ.lines() {
        match line.trim_start().strip_prefix("--").map(str::trim) {
            Some("end") => wanted = true,
            Some(comment) => {
                if let Some(name) = comment.strip_prefix("part ") {
                    wanted = parts.contains(&(name, true));
                }
            }
            None if wanted => {
                statement.push_str(line);
                statement.push('\n');
            }
            None => {}
        }
    }
    statement
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_that_is_not_wanted_is_left_out_and_every_comment() {
        let parts = |wanted| {
            [
                "client numbers",
                "guests' phones",
                "orders' clients",
                "products",
                "order numbers",
                "imported orders",
                "address numbers",
            ]
            .map(|name| (name, wanted))
        };
        let (all, none) = (with_parts(&parts(true)), with_parts(&parts(false)));
        assert!(!all.contains("--") && !none.contains("--"));
        for unnested in [
            "$5::int[]",
            "$6::text[]",
            "$7::text[]",
            "$3::int[]",
            "$8::int[]",
            "o.client_number OFFSET 0",
            "imported_order i",
        ] {
            assert!(all.contains(unnested), "{unnested} in {all}");
            assert!(!none.contains(unnested), "{unnested} in {none}");
        }
        for unnested in ["$2::text[]", "$4::text[]"] {
            assert!(none.contains(unnested), "{unnested} in {none}");
        }
        let lines = READ
            .lines()
            .filter(|line| !line.trim_start().starts_with("--"));
        assert_eq!(all.lines().collect::<Vec<_>>(), lines.collect::<Vec<_>>());
        let marks = READ
            .lines()
            .filter(|line| line.trim_start().starts_with("-- part "));
        assert_eq!(marks.count(), PARTS);
    }
}
