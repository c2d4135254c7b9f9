//! What risk would say: dry runs and what is left of each limit. Nothing here changes anything.

use crate::engine::{Caller, Engine, Mark};
use crate::instrument::unknown_symbol;
use crate::limits::LimitKind;
use crate::number::{Amount, Qty, UNIT};
use crate::record::CheckResult;
use crate::refusal::{self, Refusal};
use crate::render::{self, push_text};
use crate::request::{self, NewOrder};
use crate::risk::{self, Approved, Check, Kinds};
use crate::terms::{Mode, Nanos, OrdType, Side, TimeInForce};

impl Engine {
    /// `POST /risk/preview`: every check on this order as it would be done now, and the figures of each. No record, no
    /// place in a rate, no request key.
    ///
    /// # Errors
    /// What [`Engine::submit`] refuses before the checks.
    pub fn preview(&self, caller: Caller, body: &[u8], now: Nanos) -> Result<String, Refusal> {
        let now = now.max(self.state.last_ts());
        let mut order = request::decode_new_order(body)?;
        self.bound_quote(&mut order)?;
        let account = self.state.account(caller.account);
        let account = account.ok_or_else(|| Refusal::new(refusal::UNAUTHORIZED, "The account is not known."))?;
        let instrument = self.check_before_risk(caller, account, &order, now)?;
        Ok(self.weigh(caller, account, instrument, &order, now, |inputs, _| {
            let (checked, seen) = (risk::check(&order, inputs), risk::usage(&order, inputs));
            let mut out = String::with_capacity(1_024);
            out.push_str("{\"accepted\":");
            out.push_str(if checked.is_ok() { "true" } else { "false" });
            out.push_str(",\"hold\":");
            match &checked {
                Ok(approved) => push_text(&mut out, &approved.hold.amount().to_string()),
                Err(_) => out.push_str("null"),
            }
            out.push_str(",\"failed\":");
            list(&mut out, checked.as_ref().err().into_iter().flatten());
            out.push_str(",\"tightest\":");
            match &checked {
                Ok(approved) => render::check_json(&mut out, &approved.tightest),
                Err(_) => out.push_str("null"),
            }
            let kinds = |of: fn(&risk::Approved) -> Kinds| checked.as_ref().map_or(Kinds::default(), of);
            out.push_str(",\"overridden\":");
            words(&mut out, kinds(|approved| approved.overridden));
            out.push_str(",\"warned\":");
            words(&mut out, kinds(|approved| approved.warned));
            out.push_str(",\"checks\":");
            list(&mut out, &seen);
            out.push('}');
            out
        }))
    }

    /// Everything that decides an order, without an answer: filters, trading state, rules, the whole ladder.
    ///
    /// # Errors
    /// As [`Engine::preview`]; the failed checks are the inner error.
    pub fn check(
        &self,
        caller: Caller,
        order: &NewOrder,
        now: Nanos,
    ) -> Result<Result<Approved, Vec<CheckResult>>, Refusal> {
        let account = self.state.account(caller.account);
        let account = account.ok_or_else(|| Refusal::new(refusal::UNAUTHORIZED, "The account is not known."))?;
        let instrument = self.check_before_risk(caller, account, order, now)?;
        Ok(self.weigh(caller, account, instrument, order, now, |inputs, _| {
            risk::check(order, inputs)
        }))
    }

    /// `GET /risk/headroom`: what is used and left of every limit that would bind an order of this symbol, by mode.
    ///
    /// # Errors
    /// `unknown_symbol`.
    pub fn headroom(&self, caller: Caller, symbol: &str, now: Nanos) -> Result<String, Refusal> {
        let now = now.max(self.state.last_ts());
        let instrument = self.state.instrument_by_symbol(symbol);
        let instrument = instrument.ok_or_else(|| unknown_symbol(symbol))?;
        let account = self.state.account(caller.account);
        let account = account.ok_or_else(|| Refusal::new(refusal::UNAUTHORIZED, "The account is not known."))?;
        let mut out = String::with_capacity(1_024);
        out.push_str("{\"account\":");
        push_text(&mut out, &account.name);
        out.push_str(",\"symbol\":");
        push_text(&mut out, symbol);
        out.push_str(",\"limitsVersion\":");
        out.push_str(&self.state.limits_version().to_string());
        out.push_str(",\"limits\":[");
        let mut first = true;
        for mode in Mode::ALL {
            let mut told: Vec<CheckResult> = Vec::new();
            for side in Side::ALL {
                let mark = self.mark(*mode, instrument.instrument);
                let nothing = nothing(*mode, symbol, *side, mark);
                let seen = self.weigh(caller, account, instrument, &nothing, now, |inputs, _| {
                    risk::usage(&nothing, inputs)
                });
                for check in seen.into_iter().filter(is_limit) {
                    if !told.contains(&check) {
                        out.push_str(if first { "" } else { "," });
                        first = false;
                        left_of(&mut out, *mode, *side, &check);
                        told.push(check);
                    }
                }
            }
        }
        out.push_str("]}");
        Ok(out)
    }
}

/// An order of no quantity at the mid: what its checks use is what is used already.
fn nothing(mode: Mode, symbol: &str, side: Side, mark: Option<&Mark>) -> NewOrder {
    NewOrder {
        mode,
        symbol: symbol.to_owned(),
        side,
        ord_type: OrdType::Limit,
        time_in_force: TimeInForce::Gtc,
        qty: Qty(0),
        price: Some(mark.map(Mark::mid).unwrap_or_default()),
        stop_price: None,
        quote_qty: None,
        expire_at: None,
        client_order_id: None,
        strategy_id: None,
        valid_for_ms: None,
        override_id: None,
    }
}

fn is_limit(check: &CheckResult) -> bool {
    let own = [Check::MaxNumOrders, Check::MaxPosition, Check::Balance];
    LimitKind::parse(&check.code).is_some() || own.iter().any(|own| own.code() == check.code)
}

fn left_of(out: &mut String, mode: Mode, side: Side, check: &CheckResult) {
    let [limit, left] = [&check.limit, &check.headroom].map(|text| Amount::parse(text).unwrap_or_default());
    let used = Amount(limit.0.saturating_sub(left.0));
    out.push_str("{\"mode\":");
    push_text(out, mode.as_str());
    // Where the sides differ, each is told.
    out.push_str(",\"side\":");
    push_text(out, side.as_str());
    out.push_str(",\"used\":");
    push_text(out, &used.to_string());
    out.push_str(",\"share\":");
    match used.0.max(0).checked_mul(UNIT) {
        Some(scaled) if limit.0 > 0 => push_text(out, &Amount(scaled / limit.0).to_string()),
        _ => out.push_str("null"),
    }
    out.push_str(",\"check\":");
    render::check_json(out, check);
    out.push('}');
}

fn list<'a>(out: &mut String, checks: impl IntoIterator<Item = &'a CheckResult>) {
    out.push('[');
    for (index, check) in checks.into_iter().enumerate() {
        out.push_str(if index == 0 { "" } else { "," });
        render::check_json(out, check);
    }
    out.push(']');
}

fn words(out: &mut String, kinds: Kinds) {
    out.push('[');
    for (index, kind) in kinds.iter().enumerate() {
        out.push_str(if index == 0 { "" } else { "," });
        push_text(out, kind.as_str());
    }
    out.push(']');
}
