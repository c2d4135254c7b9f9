//! Restricted symbols and hours.

use crate::gateway::Gateway;
use crate::rules::{Recorded, account_name, recorded, symbol_of};
use ordergate_core::engine::Hours;
use ordergate_core::rules::Note;
use pyo3::prelude::*;
use serde_json::{Value, json};

fn note_json(note: &Note) -> Value {
    json!({"by": note.by, "reason": note.reason, "atNs": note.at})
}

#[pymethods]
impl Gateway {
    fn restrict(
        &mut self,
        account: Option<&str>,
        symbol: &str,
        restricted: bool,
        by: &str,
        reason: &str,
    ) -> PyResult<Recorded> {
        self.command(|engine, now| engine.restrict(account, symbol, restricted, by, reason, now))
            .map(recorded)
    }

    fn set_schedule(
        &mut self,
        account: Option<&str>,
        weekdays: u8,
        from_minute: u16,
        to_minute: u16,
        by: &str,
        reason: &str,
    ) -> PyResult<Recorded> {
        let hours = Hours {
            weekdays,
            from_minute,
            to_minute,
        };
        let done = self.command(|engine, now| engine.set_schedule(account, hours, by, reason, now))?;
        Ok(recorded(done.map(Some)))
    }

    /// JSON: restricted symbols and trading hours.
    fn trading_rules(&self) -> Vec<u8> {
        let state = self.engine.state();
        let restrictions: Vec<_> = state
            .restrictions()
            .map(|(account, instrument, note)| {
                json!({"account": account_name(state, account), "symbol": symbol_of(state, instrument),
                    "note": note_json(note)})
            })
            .collect();
        let schedules: Vec<_> = state
            .schedules()
            .map(|(account, hours)| {
                json!({"account": account_name(state, account), "weekdays": hours.weekdays,
                    "fromMinute": hours.from_minute, "toMinute": hours.to_minute, "note": note_json(&hours.note)})
            })
            .collect();
        json!({"restrictions": restrictions, "schedules": schedules})
            .to_string()
            .into_bytes()
    }
}
