//! Fuzz targets: functions of any bytes, which panic where a promise is broken and say whether the bytes were taken.
//!
//! `tests/stable.rs` runs each over its corpus and thousands of mutations of it, in seconds and on stable Rust;
//! `make fuzz` runs them for as long as you like, guided by coverage, on nightly.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a target fails by panicking")]

pub mod journal;
mod json;
pub mod mutation;
pub mod order;
pub mod reports;
pub mod story;

/// A target: true when the bytes decode to the end, false when they are refused.
pub type Target = fn(&[u8]) -> bool;

/// Every target with the name of its corpus.
pub const TARGETS: [(&str, Target); 3] = [
    ("journal", journal::check),
    ("order", order::check),
    ("reports", reports::check),
];
