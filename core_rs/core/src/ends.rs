//! How an order stands with its venue: who may send it, what is under way, how it ended.

use crate::terms::{Nanos, RejectedBy, SessionId};
use serde::{Deserialize, Serialize};

/// Which session may send the order, since when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submit {
    /// The session named by SUBMIT_STARTED.
    pub session: SessionId,
    /// Journal time of that record.
    pub at: Nanos,
}

/// Why an order no longer works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum End {
    /// Canceled by us or by the venue.
    Canceled,
    /// Refused, with who refused.
    Rejected(RejectedBy),
    /// Ended by the venue's own rules (IOC remainder, FOK, time), or by the time that the order named itself.
    Expired,
    /// All that was asked for has traded, where only the venue can tell: an order by amount of quote.
    Done,
}

/// What is under way at the venue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pending {
    /// Nothing.
    None,
    /// A cancel; it may come with a replace whose answer is still out.
    Cancel,
    /// A replace.
    Replace,
}
