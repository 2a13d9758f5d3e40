//! What the fuzzers found and went through (`fuzz/corpus`), held to the same properties on every run.

use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

#[path = "../../fuzz/src/lib.rs"]
mod properties;

/// Every kept input of a target; those that fail are named.
fn replay(target: &str, check: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("fuzz/corpus")
        .join(target);
    let mut inputs = 0;
    let mut failed = Vec::new();
    for input in fs::read_dir(folder).unwrap() {
        let path = input.unwrap().path();
        let input = fs::read(&path).unwrap();
        inputs += 1;
        if catch_unwind(AssertUnwindSafe(|| check(&input))).is_err() {
            failed.push(path);
        }
    }
    assert!(inputs > 0, "no corpus");
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn any_number_is_read_exactly_or_refused() {
    replay("amount", properties::amount::check);
}

#[test]
fn any_answer_of_a_target_has_one_verdict_for_each_order_and_cannot_mislead() {
    replay("answer", properties::answer::check);
}

#[test]
fn any_body_is_taken_apart_or_refused_however_it_is_packed() {
    replay("body", properties::body::check);
}

#[test]
fn any_moment_leaves_as_it_is_read_again() {
    replay("datetime", properties::datetime::check);
}

#[test]
fn any_file_is_imported_or_refused_and_changes_nothing_twice() {
    replay("import", properties::import::check);
}

#[test]
fn any_order_is_answered_with_every_key_and_sent_again_changes_nothing() {
    replay("order", properties::order::check);
}

#[test]
fn any_phone_that_we_answer_comes_in_again() {
    replay("phone", properties::phone::check);
}

#[test]
fn any_credentials_are_read_as_they_were_meant_or_not_at_all() {
    replay("credentials", properties::credentials::check);
}

#[test]
fn any_spelling_of_the_orders_path_is_found_and_no_other_path() {
    replay("path", properties::path::check);
}

#[test]
fn any_forwarded_address_is_a_proxys_word_and_never_a_strangers() {
    replay("forwarded", properties::forwarded::check);
}
