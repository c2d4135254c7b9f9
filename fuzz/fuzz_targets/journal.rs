//! See `ordergate_fuzz::journal`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    ordergate_fuzz::journal::check(input);
});
