//! What is checked, where, and by which test: docs/risk.md is written from these tables.

/// One row of the table of checks.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Number.
    pub number: u8,
    /// Codes that a client may see.
    pub codes: &'static str,
    /// Passes if.
    pub rule: &'static str,
    /// Whose.
    pub scope: &'static str,
    /// Where it is enforced, and what happens.
    pub place: &'static str,
    /// `path::test`, one or more, separated by spaces; empty says that nothing enforces it yet.
    pub tests: &'static str,
}

/// One of the twenty controls of FIA and RTS 6.
#[derive(Debug, Clone, Copy)]
pub struct Control {
    /// What it is called.
    pub name: &'static str,
    /// Rows that make it up, or what else does.
    pub by: &'static str,
    /// As in [`Row::tests`].
    pub tests: &'static str,
}

macro_rules! rows {
    ($($number:literal | $codes:literal | $rule:literal | $scope:literal | $place:literal | $tests:literal)+) => {
        /// Every row, in order.
        pub const ROWS: &[Row] = &[$(Row {
            number: $number, codes: $codes, rule: $rule, scope: $scope, place: $place, tests: $tests,
        }),+];
    };
}

rows! {
    1 | "killed, halted, kill_switch_stale, REDUCE_ONLY" | "nothing stops trading and the kill switch was read; where it may only reduce, row 19 holds" | "global, account, strategy, symbol; per mode" | "before the ladder (503); REDUCE_ONLY in the ladder; kills once more before each send" | "core_rs/core/tests/fold/operators.rs::a_kill_ends_unsent_orders_of_its_scope_and_blocks_new_ones core_rs/core/tests/fold/exposure.rs::the_strictest_state_of_an_orders_scopes_binds_it core_rs/core/tests/ladder/sums.rs::reduce_only_cannot_open_or_turn_a_position"
    2 | "unauthorized, forbidden, ip_not_allowed, symbol_not_allowed" | "the key is valid, has the scope, and may be used from there and for the symbol" | "key" | "before the body is read (401, 403); its symbols before the ladder (422)" | "core_rs/core/tests/fold/operators.rs::keys_expire_are_revoked_have_scopes_and_rates_of_their_own core_rs/core/tests/fold/rules.rs::a_key_may_be_bound_to_symbols_and_networks"
    3 | "restricted_symbol, outside_schedule, strategy_not_running" | "the symbol is not restricted, it is inside trading hours, and the strategy is RUNNING" | "firm, account, strategy" | "before the ladder (422, 503; nothing stored)" | "core_rs/core/tests/fold/rules.rs::restricted_symbols_and_hours_refuse_new_orders_by_the_wall_clock core_rs/core/tests/fold/rules.rs::only_a_running_strategy_of_the_account_places_orders_and_a_kill_stops_it"
    4 | "invalid_field, malformed_json" | "quantity and price above zero, type and time in force allowed, no number that is not exact" | "order" | "before the request key (400); an order not sent within validForMs is never sent" | "core_rs/core/tests/numbers_request.rs::every_wrong_member_is_named"
    5 | "symbol_not_trading" | "the exchange's status is TRADING" | "symbol" | "filters (422, nothing stored)" | "core_rs/core/tests/numbers_instrument.rs::symbols_that_do_not_trade"
    6 | "invalid_price" | "minimum ≤ price ≤ maximum, a multiple of the tick; the stop price alike" | "symbol" | "filters (422, nothing stored)" | "core_rs/core/tests/numbers_instrument.rs::price_filter"
    7 | "invalid_quantity" | "minimum ≤ quantity ≤ maximum, a multiple of the step; without a limit both filters are obeyed, and an amount of quote by what it comes to" | "symbol" | "filters (422, nothing stored)" | "core_rs/core/tests/numbers_instrument.rs::lot_size"
    8 | "invalid_notional" | "minimum ≤ price (or stop price) × quantity, or the amount of quote, ≤ maximum" | "symbol" | "filters (422, nothing stored)" | "core_rs/core/tests/numbers_instrument.rs::notional_is_exact_and_uses_the_reference_for_market"
    9 | "PERCENT_PRICE_BY_SIDE" | "a limit price inside the exchange's multiples of the reference price" | "symbol" | "ladder" | "core_rs/core/tests/ladder/prices.rs::the_exchanges_bands"
    10 | "PRICE_RANGE" | "inside the exchange's range, else the exchange lets the order expire" | "symbol" | "ladder; told, never refused" | "core_rs/core/tests/ladder/prices.rs::the_exchanges_bands"
    11 | "MAX_NUM_ORDERS" | "open orders of the account in the symbol + 1 ≤ maximum" | "account" | "ladder" | "core_rs/core/tests/ladder/sums.rs::the_exchanges_own_maxima"
    12 | "MAX_POSITION" | "base held + Σ open BUY + quantity ≤ maximum" | "account" | "ladder" | "core_rs/core/tests/ladder/sums.rs::the_exchanges_own_maxima"
    13 | "MAX_ASSET" | "quantity and price × quantity ≤ the exchange's maximum of the asset" | "symbol" | "ladder" | "core_rs/core/tests/ladder/sums.rs::the_exchanges_own_maxima"
    14 | "" | "amends + 1 ≤ 10, the exchange's MAX_NUM_ORDER_AMENDS" | "order" | "PATCH: in place while it holds, else the order is canceled and placed anew" | "core_rs/core/tests/fold/replaces.rs::after_ten_changes_in_place_it_is_placed_anew"
    15 | "MAX_ORDER_QTY" | "quantity ≤ limit" | "firm, account, strategy, key; strictest" | "ladder" | "core_rs/core/tests/ladder/basics.rs::limits_from_both_sides"
    16 | "MAX_ORDER_NOTIONAL, NO_CONVERSION_RATE" | "worst price × quantity, in the reporting currency, ≤ limit" | "firm, account, strategy, key; strictest" | "ladder" | "core_rs/core/tests/ladder/basics.rs::limits_from_both_sides core_rs/core/tests/ladder/sums.rs::money_is_counted_in_the_reporting_currency_or_refused"
    17 | "MAX_DEPTH_SHARE, MAX_VOLUME_SHARE" | "quantity ≤ share × visible opposite depth and ≤ share × the last day's volume" | "firm, account, strategy, key; strictest" | "ladder; needs a venue that reports DEPTH, else refused" | "core_rs/core/tests/ladder/activity.rs::a_share_of_what_is_offered"
    18 | "PRICE_COLLAR_UP, PRICE_COLLAR_DOWN, PRICE_COLLAR_FAR" | "a BUY not farther above, a SELL not farther below the reference than the collar; the passive side by its own. Of a stop order only the limit is judged, by its own stop price: how far away that is, is the point of it" | "firm, account, strategy, key; strictest" | "ladder" | "core_rs/core/tests/ladder/prices.rs::collars_from_both_sides core_rs/core/tests/ladder/prices.rs::a_stop_orders_limit_is_judged_by_its_stop_price_and_its_distance_by_nobody"
    19 | "REDUCE_ONLY, UNEXPLAINED_DRIFT" | "quantity + open orders that reduce ≤ the position's size, on the reducing side; so, too, in LIVE while the exchange shows something else than was booked" | "account and strategy" | "ladder" | "core_rs/core/tests/ladder/sums.rs::reduce_only_cannot_open_or_turn_a_position core_rs/core/tests/fold/live.rs::what_differs_leaves_only_reducing_orders_until_it_is_explained"
    20 | "MAX_LONG_POSITION, MAX_SHORT_POSITION" | "position + Σ open BUY + quantity ≤ limit; the same for SELL" | "firm, account, strategy; each" | "ladder" | "core_rs/core/tests/ladder/sums.rs::positions_count_every_open_order_on_its_own_side core_rs/core/tests/model/interleavings.rs::no_interleaving_exceeds_a_limit"
    21 | "MAX_GROSS_EXPOSURE, MAX_NET_EXPOSURE, MAX_CONCENTRATION" | "Σ worst case at the mark ≤ limit; signed sum ≤ limit; one symbol ÷ equity ≤ share" | "firm, account, strategy; each" | "ladder" | "core_rs/core/tests/ladder/sums.rs::exposure_sums_the_worst_case_of_every_symbol_at_the_mark core_rs/core/tests/ladder/sums.rs::one_symbol_is_a_share_of_equity"
    22 | "MAX_OPEN_ORDERS, MAX_OPEN_NOTIONAL" | "open orders + 1 ≤ limit; their value with this one ≤ limit" | "firm, account, strategy; each" | "ladder" | "core_rs/core/tests/ladder/sums.rs::open_orders_and_their_value core_rs/core/tests/model/interleavings.rs::no_interleaving_exceeds_a_limit"
    23 | "INSUFFICIENT_BALANCE, NUMERIC_RANGE" | "the hold ≤ what is free; figures fit" | "account" | "ladder" | "core_rs/core/tests/ladder/basics.rs::balance_from_both_sides core_rs/core/tests/ladder/sums.rs::sums_out_of_range_fail_and_never_panic"
    24 | "NEW_ORDER_RATE, CANCEL_RATE, rate_limited" | "a place in the rate of every scope; cancels have a lane of their own" | "firm, account, strategy, key" | "ladder; cancels and the key's own rate: 429" | "core_rs/core/tests/ladder/activity.rs::rates_of_every_scope core_rs/core/src/throttle.rs::a_place_is_free_exactly_while_fewer_than_the_burst_are_taken"
    25 | "VENUE_BUDGET" | "the exchange still takes new orders of the account" | "account; LIVE" | "ladder, as the venue last told; once more before each send" | "core_rs/core/tests/fold/live.rs::a_budget_that_is_used_up_takes_no_orders_until_there_is_room"
    26 | "MAX_DUPLICATES_1S, MAX_DUPLICATES_10S" | "equal orders within the window + 1 ≤ limit" | "firm, account, strategy; strictest" | "ladder" | "core_rs/core/tests/ladder/activity.rs::equal_orders_within_a_window"
    27 | "MAX_EXECUTIONS_60S" | "fills of a strategy on one side of a symbol within a minute ≤ limit, else it stops until a person starts it" | "strategy" | "at each fill" | "core_rs/core/src/watch_tests.rs::a_strategy_that_trades_too_often_stops"
    28 | "SELF_TRADE" | "a BUY below the group's own best offer, a SELL above its best bid; MARKET: none on the other side. An order that waits for its stop price stands outside: the exchange's own prevention judges it when it works" | "self-trade group" | "ladder" | "core_rs/core/tests/ladder/activity.rs::an_order_never_meets_its_own"
    29 | "MAX_DAILY_LOSS" | "the day's loss ≤ limit, or the order reduces" | "firm, account, strategy; each" | "ladder, and four times a second between trades: a breach sets REDUCE_ONLY or HALTED, or halts and sells what was bought" | "core_rs/core/src/watch_tests.rs::a_loss_is_judged_at_the_mark_and_acts_once core_rs/core/tests/fold/flattened.rs::a_breach_cancels_what_works_and_sells_what_was_bought core_rs/core/tests/ladder/activity.rs::a_loss_beyond_the_limit_leaves_only_reducing_orders"
    30 | "MAX_DRAWDOWN" | "(peak − equity) ÷ peak ≤ share, or the order reduces" | "account" | "ladder, and between trades as row 29" | "core_rs/core/tests/ladder/activity.rs::a_fall_of_equity_beyond_the_limit_leaves_only_reducing_orders"
    31 | "MAX_DAILY_TURNOVER, MAX_DAILY_ORDERS, MAX_DAILY_CANCELS, MAX_DAILY_FILLS, MAX_CANCEL_FILL_RATIO" | "the day's sums with this order ≤ limits" | "firm, account, strategy; each" | "ladder" | "core_rs/core/tests/ladder/activity.rs::counts_and_turnover_of_the_day"
    32 | "MAX_REJECTS_60S" | "rejects of a strategy, by us or the exchange, within a minute ≤ limit, else it stops until a person starts it" | "strategy" | "at each reject" | "core_rs/core/src/watch_tests.rs::a_strategy_that_is_refused_too_often_stops"
    33 | "NO_REFERENCE_PRICE, MAX_PRICE_AGE, MAX_SPREAD, MAX_LAST_DEVIATION" | "prices are fresh and make sense; else MARKET is refused, and LIMIT stays inside the last good collar" | "symbol" | "ladder" | "core_rs/core/tests/ladder/prices.rs::without_a_fresh_price_limits_stay_inside_the_last_good_collar_and_market_orders_are_refused core_rs/core/tests/ladder/prices.rs::prices_that_make_no_sense_are_not_believed"
    34 | "MAX_DOUBT_AGE, ORDER_IN_DOUBT" | "no order of the account in the symbol in doubt for longer, or the order reduces; in LIVE no order in doubt at all, unless `risk.doubt_reduce_only` is off" | "account" | "ladder" | "core_rs/core/tests/ladder/sums.rs::an_old_doubt_leaves_only_reducing_orders core_rs/core/tests/fold/live.rs::an_order_in_doubt_leaves_only_reducing_orders_in_its_symbol"
    35 | "MAX_JOURNAL_LATENCY, MAX_JOURNAL_BACKLOG, journal_full" | "the journal flushes in time and few records wait" | "firm" | "ladder; a disk nearly full: 503" | "core_rs/core/tests/ladder/activity.rs::a_journal_that_does_not_keep_up_takes_no_orders"
}

macro_rules! controls {
    ($($name:literal | $by:literal | $tests:literal)+) => {
        /// The twenty, in the order of the comparison.
        pub const CONTROLS: &[Control] = &[$(Control { name: $name, by: $by, tests: $tests }),+];
    };
}

controls! {
    "maximum order size" | "row 15" | "core_rs/core/tests/ladder/basics.rs::limits_from_both_sides"
    "maximum order value" | "row 16" | "core_rs/core/tests/ladder/basics.rs::limits_from_both_sides"
    "price collar" | "row 18" | "core_rs/core/tests/ladder/prices.rs::collars_from_both_sides"
    "market data sanity" | "row 33" | "core_rs/core/tests/ladder/prices.rs::prices_that_make_no_sense_are_not_believed"
    "position limit" | "row 20" | "core_rs/core/tests/ladder/sums.rs::positions_count_every_open_order_on_its_own_side"
    "exposure limit" | "row 21" | "core_rs/core/tests/ladder/sums.rs::exposure_sums_the_worst_case_of_every_symbol_at_the_mark"
    "open orders" | "row 22" | "core_rs/core/tests/ladder/sums.rs::open_orders_and_their_value"
    "message throttle" | "row 24" | "core_rs/core/tests/ladder/activity.rs::rates_of_every_scope"
    "throttle per owner" | "row 24" | "core_rs/core/tests/ladder/activity.rs::rates_of_every_scope"
    "duplicate orders" | "row 26" | "core_rs/core/tests/ladder/activity.rs::equal_orders_within_a_window"
    "repeated execution" | "row 27" | "core_rs/core/src/watch_tests.rs::a_strategy_that_trades_too_often_stops"
    "self-trade prevention" | "row 28" | "core_rs/core/tests/ladder/activity.rs::an_order_never_meets_its_own"
    "loss limit" | "rows 29 and 30" | "core_rs/core/tests/ladder/activity.rs::a_loss_beyond_the_limit_leaves_only_reducing_orders"
    "daily counts" | "row 31" | "core_rs/core/tests/ladder/activity.rs::counts_and_turnover_of_the_day"
    "reduce-only state" | "row 19" | "core_rs/core/tests/ladder/sums.rs::reduce_only_cannot_open_or_turn_a_position"
    "kill switch, durable and scoped" | "row 1" | "core_rs/core/tests/fold/operators.rs::a_kill_ends_unsent_orders_of_its_scope_and_blocks_new_ones"
    "cancel on disconnect" | "a heartbeat that is missed kills its scope and cancels what works" | "core_rs/core/tests/fold/kills.rs::who_falls_silent_is_killed_at_level_two_and_only_an_operator_ends_it"
    "override workflow" | "an override excuses the limits that it names; a second person grants it, and both are recorded" | "core_rs/core/tests/fold/rules.rs::an_override_lets_one_order_pass_once core_rs/core/tests/ladder/activity.rs::an_override_excuses_only_what_it_names"
    "reserve on entry" | "row 23: an order cannot be built without its hold" | "core_rs/core/tests/ladder/basics.rs::an_approved_hold_is_covered_and_enough"
    "drop copy" | "execution.order_events and the outbox" | "tests/integration/test_outbox.py::test_a_deposit_a_buy_and_a_sale"
}
