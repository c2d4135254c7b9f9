//! The fold and the engine, from outside: the life cycle's every cell, stories, random histories, golden bytes.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod cells;
mod clients;
mod clock_steps;
mod earlier;
mod expected;
mod explained;
mod exposure;
mod fees;
mod flattened;
mod golden;
mod histories;
mod kill_owners;
mod kills;
mod live;
mod operators;
mod records;
mod renewals;
mod replaces;
mod retention;
mod rules;
mod steps;
mod sums;
mod support;
mod types;
mod venue_samples;
mod venues;
