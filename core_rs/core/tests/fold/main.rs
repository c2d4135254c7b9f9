//! The fold and the engine, from outside: the life cycle's every cell, stories, random histories.
#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod cells;
mod histories;
mod records;
mod stories;
mod support;
