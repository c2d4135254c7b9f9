//! The pure core of ordergate.
//!
//! Commands and venue reports go in; records come out. A record is an *outcome*: replaying the journal folds the
//! same records into the same state and never runs a check again. There is no clock, randomness, float or I/O here;
//! time and ids come in as arguments.
//!
//! Reading order: [`terms`] (the words), [`number`] (money), [`record`] (what is journaled), [`order`] and
//! [`lifecycle`] (facts and the one state table), [`state`] (the fold), [`engine`] (decisions).
#![forbid(unsafe_code)]

pub mod account;
pub mod account_reports;
pub mod addresses;
mod administration;
mod admission;
mod approvals;
pub mod audit;
mod booking;
pub mod days;
mod decimal;
pub mod digest;
mod doubts;
pub mod ending;
mod ends;
pub mod engine;
mod explaining;
pub mod exposure;
mod external;
mod facts;
pub mod figures;
mod fingerprint;
mod flat;
mod flatten;
pub mod heartbeat;
pub mod instant;
pub mod instrument;
pub mod instrument_fields;
mod kills;
pub mod lifecycle;
mod limit_changes;
pub mod limits;
mod lookup;
mod loosened;
mod members;
pub mod number;
pub mod order;
mod order_digest;
mod orders;
mod packing;
mod peaks;
mod permissions;
mod prices;
mod pursuit;
mod rates;
pub mod readiness;
pub mod reconciling;
pub mod record;
pub mod refusal;
pub mod render;
pub mod renewals;
pub mod replacing;
pub mod report;
pub mod request;
pub mod requests;
pub mod retention;
pub mod risk;
pub mod rules;
mod sending;
pub mod snapshot;
pub mod standing;
mod starts;
pub mod state;
mod state_hash;
mod strategies;
mod sums;
pub mod terms;
pub mod throttle;
mod trades;
mod trading_rules;
mod turns;
pub mod valuation;
mod venue_reports;
pub mod watch;
mod weighing;
pub mod windows;
mod working;
