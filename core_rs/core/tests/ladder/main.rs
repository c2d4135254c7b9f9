//! The risk checks: each boundary from both sides, every failure reported, and what docs/risk.md says of them.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod activity;
mod basics;
mod coverage;
mod desk;
mod prices;
mod sums;
