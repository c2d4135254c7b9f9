//! The state's hash.

use crate::digest::Mix;
use crate::instrument::Instrument;
use crate::record::MarketFilters;
use crate::state::State;

impl State {
    /// The state's hash: the running sum over orders, balances, positions and request keys, and the small tables.
    #[must_use]
    pub fn digest(&self) -> u128 {
        let mut mix = Mix::new(9).word(self.last_seq).int(self.last_ts);
        let clocks = &self.clocks;
        mix = mix
            .word(clocks.epoch.into())
            .text(&clocks.install)
            .int(clocks.journal_ns)
            .int(clocks.boottime_ns);
        mix = mix.int(clocks.wall_offset_ns).word(u64::from(clocks.redis_bound));
        mix = mix.word(u64::from(clocks.clean_stop) | u64::from(clocks.resume_needed) << 1);
        let counters = &self.counters;
        for count in [
            counters.accepted,
            counters.denied,
            counters.fills,
            counters.illegal,
            counters.parked,
            counters.alarms,
            counters.left,
            self.expiries.len() as u64,
        ] {
            mix = mix.word(count);
        }
        mix = self.retention.mix(mix);
        mix = self.rules.mix(mix);
        for account in &self.accounts {
            mix = mix.text(&account.name).int(account.created_at).text(&account.stp_group);
            mix = mix
                .word(account.orders.len() as u64)
                .word(account.requests.len() as u64);
        }
        for key in &self.keys {
            mix = mix
                .bytes(&key.created.token_sha256)
                .word(u64::from(key.created.account));
            mix = mix
                .word(u64::from(key.created.scopes))
                .word(key.created.rate_per_second.into());
            mix = mix
                .maybe(key.created.expires_at)
                .int(key.created_at)
                .maybe(key.revoked_at);
            mix = mix.text(&key.created.owner).text(&key.created.name);
            for text in key.created.symbols.iter().chain(&key.created.ip_allow) {
                mix = mix.text(text);
            }
        }
        for asset in &self.assets {
            mix = mix.text(asset);
        }
        for listed in &self.listed {
            mix = mix_instrument(mix, &listed.instrument);
        }
        for (scope, target, kill) in self.kills() {
            mix = mix
                .word(u64::from(scope as u8))
                .text(target)
                .word(kill.level.into())
                .word(kill.seq)
                .int(kill.at);
            mix = mix.text(&kill.reason).text(&kill.by).text(&kill.source);
            mix = mix.word(kill.cause.map_or(0, u8::from).into());
        }
        for (scope, target, heartbeat) in self.heartbeats() {
            mix = mix.word(u64::from(scope as u8)).text(target).word(heartbeat.seq);
            mix = mix.word(heartbeat.timeout_ms.into()).word(heartbeat.key.into());
        }
        for name in self.sums.names() {
            mix = mix.text(name);
        }
        mix = self.reconciled.mix(self.standings.mix(self.days.mix(mix)));
        for lane in self.lanes.values() {
            mix = mix
                .text(&lane.venue)
                .word(u64::from(lane.mode as u8))
                .word(lane.session)
                .word(lane.pid.into());
            mix = mix.int(lane.opened_at);
        }
        self.digest.value().wrapping_add(mix.finish())
    }
}

fn mix_instrument(mix: Mix, instrument: &Instrument) -> Mix {
    let mix = mix
        .text(&instrument.symbol)
        .text(&instrument.base)
        .text(&instrument.quote)
        .text(&instrument.status);
    let mix = mix
        .int(instrument.min_price.0)
        .int(instrument.max_price.0)
        .int(instrument.tick.0);
    let mix = mix
        .int(instrument.min_qty.0)
        .int(instrument.max_qty.0)
        .int(instrument.step.0);
    let mix = mix
        .int(instrument.market_max_qty.0)
        .wide(instrument.min_notional.0)
        .wide(instrument.max_notional.0);
    let market = &instrument.market;
    if *market == MarketFilters::default() {
        return mix;
    }
    let rates = [
        market.bid_up,
        market.bid_down,
        market.ask_up,
        market.ask_down,
        market.range_up,
        market.range_down,
    ];
    let mix = rates.iter().fold(mix, |mix, rate| mix.int(rate.0));
    mix.word(market.max_orders.into())
        .wide(market.max_position.0)
        .wide(market.max_base.0)
        .wide(market.max_quote.0)
}
