//! The trades of one order: each counts once.

use crate::digest::Mix;
use crate::record::Fill;
use crate::terms::Nanos;
use serde::{Deserialize, Serialize};

/// Whether a trade is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sighting {
    /// Not seen before.
    New,
    /// Seen, with the same digits.
    Same,
    /// Seen, with other digits.
    Conflict,
}

/// A trade already counted: its id, and a hash of its digits to tell a repeat from a conflict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    trade_id: Box<str>,
    digits: u64,
    /// Journal time of its record; 0 in facts that do not tell it.
    #[serde(default)]
    at: Nanos,
}

/// Trade ids sorted by length, then text: numeric ids stay in order, so that a new one almost always goes to the end.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Trades {
    marks: Vec<Mark>,
    /// Hash of all of them, whatever their order of arrival.
    sum: u64,
}

impl Trades {
    pub const fn len(&self) -> usize {
        self.marks.len()
    }

    pub const fn sum(&self) -> u64 {
        self.sum
    }

    /// When they were booked.
    pub fn times(&self) -> impl Iterator<Item = Nanos> {
        self.marks.iter().map(|mark| mark.at)
    }

    /// Their ids.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.marks.iter().map(|mark| &*mark.trade_id)
    }

    fn find(&self, trade_id: &str) -> Result<usize, usize> {
        self.marks
            .binary_search_by(|mark| (mark.trade_id.len(), &*mark.trade_id).cmp(&(trade_id.len(), trade_id)))
    }

    pub fn sighting(&self, fill: &Fill) -> Sighting {
        match self.find(&fill.trade_id) {
            Err(_) => Sighting::New,
            Ok(place) if self.marks[place].digits == digits_of(fill) => Sighting::Same,
            Ok(_) => Sighting::Conflict,
        }
    }

    /// Remembers a trade; one that is known stays as it is.
    pub fn remember(&mut self, fill: &Fill, at: Nanos) {
        let Err(place) = self.find(&fill.trade_id) else { return };
        let mark = Mark {
            trade_id: fill.trade_id.as_str().into(),
            digits: digits_of(fill),
            at,
        };
        self.sum = self
            .sum
            .wrapping_add(Mix::new(3).text(&mark.trade_id).word(mark.digits).finish64());
        if self.marks.is_empty() {
            // Most orders have one trade.
            self.marks.reserve_exact(1);
        }
        self.marks.insert(place, mark);
    }
}

/// Two sightings with the same digits are one trade.
fn digits_of(fill: &Fill) -> u64 {
    let mix = Mix::new(4)
        .int(fill.price.0)
        .int(fill.qty.0)
        .wide(fill.quote_qty.0)
        .wide(fill.fee.0);
    mix.text(&fill.fee_asset).finish64()
}
