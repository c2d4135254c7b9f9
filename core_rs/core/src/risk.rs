//! Pre-trade risk checks: pure, all of them, every failure reported.
//!
//! [`check`] looks at plain figures ([`Inputs`]) and changes nothing. Limits on one order are those of the strictest
//! scope; limits on a sum are compared with the sum of each scope that has one. What passes allocates nothing.
//!
//! Reading order: [`Check`] (what is checked, with the row of docs/risk.md), [`Inputs`], [`Figures`] (one comparison),
//! then the rungs: `market` (prices), `size`, `exposure`, `activity`, and [`check`] itself.

mod activity;
pub mod coverage;
mod exposure;
mod figures;
mod inputs;
mod ladder;
mod market;
mod outcome;
mod size;
mod table;

pub use figures::{Bound, Figures, Kinds};
pub(crate) use inputs::NEEDS_TOTALS;
pub use inputs::{Binding, Inputs, JournalHealth, MAX_SCOPES, Market, Totals, VenueFacts};
pub(crate) use ladder::with_slippage;
pub use ladder::{Approved, Hold, MARKET_BUY_PERCENT, QUOTE_ORDER_PERCENT, base_for_quote, check, usage};
pub use market::{REFERENCE_MAX_AGE_NS, reference_twice};
pub use outcome::Near;
pub use size::PAR;
pub use table::Check;
