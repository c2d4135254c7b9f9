//! Tests of the whole: a writer, its disk, its followers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod any_history;
mod archiving;
mod damage;
mod decision;
mod following;
mod inspection;
mod power;
mod snapshot_files;
mod space;
mod support;
mod writing;
