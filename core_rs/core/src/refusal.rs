//! Why a request is refused before anything is journaled: a value, not an error.

/// One field and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// JSON member, header or parameter.
    pub field: String,
    /// What is wrong, for people.
    pub message: String,
}

/// A refusal: nothing was stored, and the request key stays free.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Stable code, one of [`CODES`].
    pub code: &'static str,
    /// One sentence for people.
    pub detail: String,
    /// The fields that are wrong, if fields are.
    pub errors: Vec<FieldError>,
    /// When trying again may help, in milliseconds.
    pub retry_after_ms: Option<u32>,
}

impl Refusal {
    /// A refusal without field errors.
    #[must_use]
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            retry_after_ms: None,
        }
    }

    /// A refusal of one field; the detail says the same in one sentence.
    #[must_use]
    pub fn field(code: &'static str, field: &str, message: impl Into<String>) -> Self {
        Self::fields(
            code,
            vec![FieldError {
                field: field.to_owned(),
                message: message.into(),
            }],
        )
    }

    /// A refusal of several fields; the detail is made from the first.
    #[must_use]
    pub fn fields(code: &'static str, errors: Vec<FieldError>) -> Self {
        let detail = errors
            .first()
            .map(|first| format!("{} {}", first.field, first.message))
            .unwrap_or_default();
        Self {
            code,
            detail,
            errors,
            retry_after_ms: None,
        }
    }

    /// The same, with the time after which trying again may help.
    #[must_use]
    pub fn retry_after_ms(mut self, after: u32) -> Self {
        self.retry_after_ms = Some(after);
        self
    }

    /// HTTP status of the code.
    #[must_use]
    pub fn status(&self) -> u16 {
        status_of(self.code)
    }
}

/// Declares the codes with their HTTP status.
macro_rules! codes {
    ($($status:literal $name:ident = $code:literal : $text:literal),+ $(,)?) => {
        $(#[doc = $text] pub const $name: &str = $code;)+
        /// Every code with its HTTP status.
        pub const CODES: &[(&str, u16)] = &[$(($code, $status)),+];
    };
}

codes! {
    400 MALFORMED_JSON = "malformed_json": "The body is not one JSON object.",
    400 INVALID_FIELD = "invalid_field": "A member is missing, unknown, given twice, or has a bad value.",
    400 IDEMPOTENCY_KEY_MISSING = "idempotency_key_missing": "The Idempotency-Key header is required.",
    400 IDEMPOTENCY_KEY_INVALID = "idempotency_key_invalid": "The Idempotency-Key header has a bad form.",
    400 INVALID_CURSOR = "invalid_cursor": "The page cursor is not one of ours.",
    400 INVALID_PARAMETER = "invalid_parameter": "A query parameter has a bad value.",
    401 UNAUTHORIZED = "unauthorized": "No valid key.",
    403 FORBIDDEN = "forbidden": "The key lacks the scope.",
    403 IP_NOT_ALLOWED = "ip_not_allowed": "The key may not be used from this address.",
    403 SECOND_PERSON_NEEDED = "second_person_needed": "Whoever asked for a change cannot approve it.",
    404 NOT_FOUND = "not_found": "No such thing, or somebody else's.",
    404 ORDER_LEFT = "order_left": "No such order in memory: Postgres may hold one that ended.",
    405 METHOD_NOT_ALLOWED = "method_not_allowed": "The path has no such method.",
    408 REQUEST_TIMEOUT = "request_timeout": "The request did not arrive in time.",
    409 REQUEST_IN_PROGRESS = "request_in_progress": "The first request with this key has no durable answer yet.",
    409 CLIENT_ORDER_ID_IN_USE = "client_order_id_in_use": "A working order of the account has this clientOrderId.",
    409 ALREADY_FILLED = "already_filled": "The order is filled.",
    409 ALREADY_ENDED = "already_ended": "The order was rejected.",
    409 NOT_REPLACEABLE = "not_replaceable": "The order cannot be changed as it stands.",
    409 FLATTENING = "flattening": "The gateway sells this for a kill or a breach that is in force.",
    409 STRATEGY_EXISTS = "strategy_exists": "There is a strategy with this name.",
    411 LENGTH_REQUIRED = "length_required": "The body came without a Content-Length.",
    413 BODY_TOO_LARGE = "body_too_large": "The body is larger than 64 KiB.",
    415 UNSUPPORTED_MEDIA_TYPE = "unsupported_media_type": "The body is not application/json.",
    422 IDEMPOTENCY_KEY_REUSED = "idempotency_key_reused": "The key belongs to another request.",
    422 UNKNOWN_SYMBOL = "unknown_symbol": "No such instrument.",
    422 INVALID_PRICE = "invalid_price": "The price does not fit the instrument.",
    422 INVALID_QUANTITY = "invalid_quantity": "The quantity does not fit the instrument.",
    422 INVALID_NOTIONAL = "invalid_notional": "Price times quantity does not fit the instrument.",
    422 SYMBOL_NOT_TRADING = "symbol_not_trading": "The instrument is not trading.",
    422 SYMBOL_NOT_ALLOWED = "symbol_not_allowed": "The key may not trade this symbol.",
    422 STRATEGY_NOT_RUNNING = "strategy_not_running": "The strategy is unknown, another account's, or stopped.",
    422 RESTRICTED_SYMBOL = "restricted_symbol": "New orders in this symbol are not taken.",
    422 OUTSIDE_SCHEDULE = "outside_schedule": "New orders are not taken at this time.",
    422 OVERRIDE_INVALID = "override_invalid": "The override is unknown, used, expired, or for something else.",
    422 INVALID_LIMIT = "invalid_limit": "The limit cannot be set so.",
    422 ORDER_REJECTED = "order_rejected": "A risk check failed; stored as a REJECTED order.",
    429 RATE_LIMITED = "rate_limited": "Too many requests with this key.",
    429 REQUEST_KEY_QUOTA = "request_key_quota": "The account holds too many request keys.",
    429 CHANGE_REQUEST_QUOTA = "change_request_quota": "Too many changes wait for a second person.",
    431 HEADERS_TOO_LARGE = "headers_too_large": "The headers are too large.",
    503 KILLED = "killed": "Trading is stopped; do not queue the order for later.",
    503 HALTED = "halted": "The scope is halted; do not queue the order for later.",
    503 KILL_SWITCH_UNREADABLE = "kill_switch_unreadable": "The kill switch cannot be read.",
    503 KILL_SWITCH_STALE = "kill_switch_stale": "The last reading of the kill switch is older than 0.3 s.",
    503 VENUE_UNAVAILABLE = "venue_unavailable": "The exchange connection is down, or not ready for the account.",
    503 FLUSH_STALLED = "flush_stalled": "The disk is slow; the answer is not durable yet.",
    503 JOURNAL_FULL = "journal_full": "The disk is nearly full; only cancels are taken.",
    503 OVERLOADED = "overloaded": "Too many orders wait to be sent.",
    503 ANSWER_UNREADABLE = "answer_unreadable": "The stored answer of this request cannot be read now.",
    503 HISTORY_UNAVAILABLE = "history_unavailable": "The order has left memory, and Postgres cannot show it now.",
    503 SHUTTING_DOWN = "shutting_down": "The gateway is stopping.",
}

/// HTTP status of a code; 500 for one that is not in [`CODES`].
#[must_use]
pub fn status_of(code: &str) -> u16 {
    CODES
        .iter()
        .find(|(known, _)| *known == code)
        .map_or(500, |(_, status)| *status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_snake_case_and_refusals() {
        for (index, (code, status)) in CODES.iter().enumerate() {
            assert!(
                code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
                "{code}"
            );
            assert!((400..600).contains(status), "{code}");
            assert!(
                CODES[index + 1..].iter().all(|(other, _)| other != code),
                "{code} twice"
            );
        }
    }

    #[test]
    fn statuses_of_a_few() {
        assert_eq!(Refusal::new(KILLED, "stopped").status(), 503);
        assert_eq!(Refusal::new(CLIENT_ORDER_ID_IN_USE, "").status(), 409);
        assert_eq!(status_of("rate_limited"), 429);
        assert_eq!(status_of("no_such_code"), 500);
    }

    #[test]
    fn detail_names_the_first_field() {
        let refusal = Refusal::field(INVALID_FIELD, "price", "is required");
        assert_eq!(refusal.detail, "price is required");
        assert_eq!(refusal.errors[0].field, "price");
        assert_eq!(refusal.retry_after_ms(20).retry_after_ms, Some(20));
    }
}
