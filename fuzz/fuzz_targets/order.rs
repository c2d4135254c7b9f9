//! See `ordergate_fuzz::order`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    ordergate_fuzz::order::check(input);
});
