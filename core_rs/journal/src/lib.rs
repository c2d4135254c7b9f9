//! The write-ahead journal of ordergate. It knows nothing of orders: a record is a kind, a version, a time and bytes.
//!
//! Reading order: [`chunk`] (what one flush commits), [`segment`] (files of chunks), [`commit`] (how far they may be
//! believed), [`recovery`] (the decision at start), [`journal`] (the writer's face), [`follower`] (the readers'),
//! [`verify`] (the operators'), [`archive`] (where segments go in the end).
//!
//! The order of effects is the whole point: flush, then `commit`, then `durable_seq` and the wake-up. Everything that
//! anybody sees is at or below `commit`.
#![deny(unsafe_code)]

mod ahead;
pub mod archive;
pub mod chunk;
pub mod clock;
pub mod commit;
pub mod disk;
pub mod follower;
mod index;
pub mod journal;
mod judgement;
mod map;
mod marks;
mod open;
pub mod recovery;
mod repair;
pub mod segment;
#[cfg(any(test, feature = "sim"))]
pub mod sim;
pub mod snapshots;
pub mod space;
mod startup;
#[cfg(test)]
mod tests;
pub mod verify;
mod writer;

pub use chunk::{ChunkInfo, Frame, Hash, OwnedFrame, encode_frame};
pub use clock::JournalClock;
pub use follower::{FollowError, Follower};
pub use journal::{AppendError, Journal, OpenError, Options, Postgres, Recovered, Visit};
pub use judgement::Place;
pub use repair::Torn;
pub use space::{Marks, Space};
