//! A limit set, loosened or taken away, held against what the reference model knows of limits.

use crate::reference::*;
use crate::world::World;
use ordergate_core::engine::Changed;
use ordergate_core::limits::{LimitKind, LimitScope, Owner};
use ordergate_core::refusal::Refusal;

impl World {
    /// Sets one limit; where it takes a second person, he is found. Looser than the firm's is refused.
    pub fn limit(&mut self, account: Option<u32>, kind: LimitKind, value: Option<i128>) {
        let now = self.model.now;
        let scope = LimitScope {
            owner: account.map_or(Owner::Firm, Owner::Account),
            instrument: None,
        };
        let place = |limits: &mut Limits, value: Option<i128>| match kind {
            LimitKind::MaxOrderQty => std::mem::replace(&mut limits.qty, value),
            LimitKind::MaxOrderNotional => std::mem::replace(&mut limits.notional, value),
            _ => {
                let open = value.map(|open| u32::try_from(open).unwrap());
                std::mem::replace(&mut limits.open, open).map(i128::from)
            }
        };
        let firm = place(&mut self.model.firm_limits.clone(), None);
        let said = self.both(|engine| {
            let set = engine
                .set_limit(scope.clone(), kind, value, "ann", "test", now)
                .unwrap();
            if let Ok(Changed::Waits(request)) = set {
                let code = |refusal: Refusal| refusal.code;
                assert_eq!(
                    engine.approve(request, "Ann", now).unwrap().map_err(code),
                    Err("second_person_needed")
                );
                engine.approve(request, "bob", now).unwrap().unwrap();
            }
            set.map_err(|refusal| refusal.code)
        });
        if account.is_some() && value.is_some_and(|value| firm.is_some_and(|firm| value > firm)) {
            assert_eq!(said, Err("invalid_limit"));
            return;
        }
        let limits = match account {
            Some(account) => &mut self.model.limits[account as usize],
            None => &mut self.model.firm_limits,
        };
        let old = place(limits, value);
        let expected = match (old, value) {
            (old, new) if old == new => "same",
            (Some(_), None) => "waits",
            (Some(old), Some(new)) if 10 * (new - old) > old => "waits",
            _ => "in force",
        };
        let said = match said.unwrap() {
            Changed::Same => "same",
            Changed::Waits(_) => "waits",
            Changed::InForce(_) => "in force",
        };
        assert_eq!(said, expected, "{old:?} to {value:?}");
    }
}
