//! The pure core of ordergate.
//!
//! Commands and venue reports go in; records come out. A record is an *outcome*: replaying the journal folds the
//! same records into the same state and never runs a check again. There is no clock, randomness, float or I/O here;
//! time and ids come in as arguments.
//!
//! Reading order: [`terms`] (the words), [`number`] (money), [`record`] (what is journaled), [`order`] and
//! [`lifecycle`] (facts and the one state table), [`state`] (the fold), [`engine`] (decisions).
#![forbid(unsafe_code)]

pub mod number;
pub mod record;
pub mod terms;
