//! See `ordergate_fuzz::reports`.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    ordergate_fuzz::reports::check(input);
});
