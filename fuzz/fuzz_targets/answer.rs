#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| aqua_orders_fuzz::answer::check(input));
