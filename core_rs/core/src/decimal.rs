//! Decimal text to scaled integers and back: exact digits in, canonical digits out.

use std::fmt;

/// Decimal places of prices, quantities and amounts.
pub const PLACES: u32 = 8;
/// One unit, scaled by 10⁻⁸.
pub const UNIT: i128 = 100_000_000;
/// Longest text of a number that is read.
pub const MAX_NUMBER_TEXT: usize = 64;
const MAX_EXPONENT: i32 = 28;

/// The product; `None` when out of range. Nearly always both factors have 64 bits, and then it cannot be.
pub(crate) const fn product(one: i128, other: i64) -> Option<i128> {
    if one as i64 as i128 == one {
        return Some(one.wrapping_mul(other as i128));
    }
    one.checked_mul(other as i128)
}

/// `value` ÷ [`UNIT`], towards −∞, and the rest, which is never negative.
///
/// A division of 128 bits is a call that takes longer than everything around it. The divisor is known, so that limb by
/// limb it is a multiplication: UNIT is 256 × 390,625.
pub(crate) const fn by_unit(value: i128) -> (i128, i128) {
    const ODD: u64 = UNIT as u64 / 256;
    let size = value.unsigned_abs();
    let (low, high) = (size as u64 & 255, size >> 8);
    let (quotient, rest) = if high >> 64 == 0 {
        let high = high as u64;
        ((high / ODD) as u128, high % ODD)
    } else {
        // A rest has 19 bits: with the next limb's 32 it fits 64.
        let (top, upper) = ((high >> 64) as u64, high as u64);
        let limb = ((top % ODD) << 32) | (upper >> 32);
        let last = ((limb % ODD) << 32) | (upper & 0xffff_ffff);
        let quotient = ((top / ODD) as u128) << 64 | (((limb / ODD) << 32) | (last / ODD)) as u128;
        (quotient, last % ODD)
    };
    let (quotient, rest) = (quotient as i128, (rest << 8 | low) as i128);
    match (value < 0, rest) {
        (false, _) => (quotient, rest),
        (true, 0) => (-quotient, 0),
        (true, _) => (-quotient - 1, UNIT - rest),
    }
}

/// Why a text is no number for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    /// Not a number in JSON's grammar (no `+1`, `.5`, `1.`, `01`, `NaN`, spaces).
    #[error("is not a decimal number")]
    Syntax,
    /// Longer than [`MAX_NUMBER_TEXT`].
    #[error("has more than {MAX_NUMBER_TEXT} characters")]
    TooLong,
    /// Exponent outside ±28.
    #[error("has an exponent outside -28..28")]
    Exponent,
    /// More than 8 decimals would be needed.
    #[error("has more than {PLACES} decimals")]
    Decimals,
    /// Too large for its type.
    #[error("is out of range")]
    Range,
    /// Zero or negative where a positive number is needed.
    #[error("must be greater than 0")]
    NotPositive,
    /// Negative where zero or more is needed.
    #[error("must not be negative")]
    Negative,
}

/// The number in `text`, scaled by 10⁻⁸: JSON's grammar, exact digits.
///
/// # Errors
/// See [`NumberError`]; nothing is rounded.
pub fn parse_decimal(text: &str) -> Result<i128, NumberError> {
    match parse_plain(text.as_bytes()) {
        Some(scaled) => Ok(scaled),
        None => parse_any(text),
    }
}

/// The usual case, in 64 bits: at most 18 characters, no sign, no exponent, at most 8 decimals. `None` sends
/// everything else, right or wrong, to [`parse_any`].
fn parse_plain(bytes: &[u8]) -> Option<i128> {
    const TENS: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];
    if bytes.len() > 18 || (bytes.first() == Some(&b'0') && bytes.get(1).is_some_and(u8::is_ascii_digit)) {
        return None;
    }
    let mut value = 0u64;
    let mut point = None;
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'0'..=b'9' => value = value * 10 + u64::from(byte - b'0'),
            b'.' if point.is_none() && at > 0 => point = Some(at),
            _ => return None,
        }
    }
    let decimals = match point {
        None if bytes.is_empty() => return None,
        None => 0,
        Some(at) => bytes.len() - at - 1,
    };
    if point.is_some() && decimals == 0 {
        return None;
    }
    let factor = TENS.get(8usize.checked_sub(decimals)?)?;
    Some(i128::from(value) * i128::from(*factor))
}

/// The full grammar.
fn parse_any(text: &str) -> Result<i128, NumberError> {
    if text.len() > MAX_NUMBER_TEXT {
        return Err(NumberError::TooLong);
    }
    let bytes = text.as_bytes();
    let (negative, mut at) = if bytes.first() == Some(&b'-') {
        (true, 1)
    } else {
        (false, 0)
    };
    let mut digits = Digits::default();
    let whole = digits.read(&bytes[at..]);
    if whole == 0 || (whole > 1 && bytes[at] == b'0') {
        return Err(NumberError::Syntax);
    }
    at += whole;
    let mut fraction = 0;
    if bytes.get(at) == Some(&b'.') {
        fraction = digits.read(&bytes[at + 1..]);
        if fraction == 0 {
            return Err(NumberError::Syntax);
        }
        at += 1 + fraction;
    }
    let exponent = match bytes.get(at) {
        None => 0,
        Some(b'e' | b'E') => parse_exponent(&bytes[at + 1..])?,
        Some(_) => return Err(NumberError::Syntax),
    };
    if exponent.abs() > MAX_EXPONENT {
        return Err(NumberError::Exponent);
    }
    // At most 64 characters of fraction and ±28: far from the range of i32.
    let shift = exponent - fraction as i32 + PLACES as i32;
    let scaled = digits.scaled(shift)?;
    Ok(if negative { -scaled } else { scaled })
}

/// Digits gathered so far, without their point: `value × 10^zeros`, trailing zeros kept apart so that `1.000…0` of
/// any length and `1e-8` are both exact.
#[derive(Default)]
struct Digits {
    value: u128,
    zeros: i32,
    overflow: bool,
}

impl Digits {
    /// Reads the leading digits of `bytes`; how many there were.
    fn read(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
        for byte in &bytes[..count] {
            match byte - b'0' {
                0 if self.value == 0 => {}
                0 => self.zeros += 1,
                digit => self.push(digit),
            }
        }
        count
    }

    fn push(&mut self, digit: u8) {
        let grown = u32::try_from(self.zeros + 1)
            .ok()
            .and_then(|places| 10u128.checked_pow(places))
            .and_then(|factor| self.value.checked_mul(factor))
            .and_then(|value| value.checked_add(digit.into()));
        match grown {
            Some(value) => (self.value, self.zeros) = (value, 0),
            None => self.overflow = true,
        }
    }

    /// The value times 10^shift, exactly.
    fn scaled(&self, shift: i32) -> Result<i128, NumberError> {
        if self.overflow {
            // 39 significant digits: either too large or, with its point further left, too fine.
            return Err(if shift < 0 {
                NumberError::Decimals
            } else {
                NumberError::Range
            });
        }
        if self.value == 0 {
            return Ok(0);
        }
        let places = shift + self.zeros;
        let Ok(up) = u32::try_from(places) else {
            return Err(NumberError::Decimals);
        };
        10u128
            .checked_pow(up)
            .and_then(|factor| self.value.checked_mul(factor))
            .and_then(|value| i128::try_from(value).ok())
            .ok_or(NumberError::Range)
    }
}

fn parse_exponent(bytes: &[u8]) -> Result<i32, NumberError> {
    let (negative, digits) = match bytes.first() {
        Some(b'-') => (true, &bytes[1..]),
        Some(b'+') => (false, &bytes[1..]),
        _ => (false, bytes),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(NumberError::Syntax);
    }
    // At most 62 digits; beyond 99 the size no longer matters.
    let size = digits
        .iter()
        .fold(0i32, |size, digit| (size * 10 + i32::from(digit - b'0')).min(99));
    Ok(if negative { -size } else { size })
}

/// Longest decimal: sign, 39 digits, point, and leading zeros of a fraction never exceed this.
const DECIMAL_TEXT: usize = 48;

/// Text of a scaled number, on the stack.
pub(crate) struct DecimalText {
    bytes: [u8; DECIMAL_TEXT],
    start: usize,
}

impl DecimalText {
    /// Canonical text of `scaled × 10^-places`: no exponent, no trailing zeros, no `-0`.
    pub(crate) fn new(scaled: i128, places: u32) -> Self {
        let mut text = Self {
            bytes: [b'0'; DECIMAL_TEXT],
            start: DECIMAL_TEXT,
        };
        if let (Ok(value), 0 | PLACES) = (u64::try_from(scaled), places) {
            text.plain(value, places == PLACES);
            return text;
        }
        let mut wide = scaled.unsigned_abs();
        let mut decimals = places;
        // 128-bit division is slow: it is left as soon as the rest fits 64 bits.
        while wide > u128::from(u64::MAX) {
            text.digit((wide % 10) as u8, &mut decimals);
            wide /= 10;
        }
        let mut rest = wide as u64;
        while rest != 0 {
            text.digit((rest % 10) as u8, &mut decimals);
            rest /= 10;
        }
        if text.start < DECIMAL_TEXT && decimals > 0 {
            // The buffer is full of zeros already.
            text.start -= decimals as usize;
            text.point();
        }
        if text.start == DECIMAL_TEXT || text.bytes[text.start] == b'.' {
            text.start -= 1;
        }
        if scaled < 0 {
            text.start -= 1;
            text.bytes[text.start] = b'-';
        }
        text
    }

    /// The usual case: 64 bits, not negative, whole or with the places of money.
    fn plain(&mut self, value: u64, is_scaled: bool) {
        const WHOLE: u64 = UNIT as u64;
        let (whole, mut rest) = if is_scaled {
            (value / WHOLE, value % WHOLE)
        } else {
            (value, 0)
        };
        let mut at = DECIMAL_TEXT;
        if rest != 0 {
            let mut decimals = PLACES;
            while rest % 10 == 0 {
                (rest, decimals) = (rest / 10, decimals - 1);
            }
            for _ in 0..decimals {
                at -= 1;
                self.bytes[at] = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
            at -= 1;
            self.bytes[at] = b'.';
        }
        let mut rest = whole;
        loop {
            at -= 1;
            self.bytes[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.start = at;
    }

    /// Puts a digit in front; zeros at the end of the decimals are left out, and the point follows the first decimal.
    fn digit(&mut self, digit: u8, decimals: &mut u32) {
        let fraction = *decimals > 0;
        *decimals -= u32::from(fraction);
        if fraction && digit == 0 && self.start == DECIMAL_TEXT {
            return;
        }
        self.start -= 1;
        self.bytes[self.start] = b'0' + digit;
        if fraction && *decimals == 0 {
            self.point();
        }
    }

    fn point(&mut self) {
        self.start -= 1;
        self.bytes[self.start] = b'.';
    }

    pub(crate) fn as_str(&self) -> &str {
        // Only ASCII was written.
        std::str::from_utf8(&self.bytes[self.start..]).unwrap_or_default()
    }
}

/// Writes a scaled number, for `Display`.
pub(crate) fn write_decimal(f: &mut fmt::Formatter<'_>, scaled: i128, places: u32) -> fmt::Result {
    f.pad(DecimalText::new(scaled, places).as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn division_by_the_unit_is_the_plain_one() {
        let edges = (0..127).map(|bits| 1_i128 << bits).chain([i128::MAX, UNIT, UNIT << 64]);
        let near = edges.flat_map(|edge| [-UNIT, -257, -1, 0, 1, 99, UNIT].map(|step| edge.saturating_add(step)));
        for value in near
            .flat_map(|value| [value, -value, value.wrapping_mul(0x1234_5678_9abc_def1)])
            .chain([i128::MIN])
        {
            assert_eq!(
                by_unit(value),
                (value.div_euclid(UNIT), value.rem_euclid(UNIT)),
                "{value}"
            );
        }
    }

    #[test]
    fn the_usual_decimals_read_as_all_others_do() {
        for value in (0..2_000).chain((0..63).flat_map(|bits| [1 << bits, (1 << bits) + 10, 1_u64 << bits << 1])) {
            for (scaled, places) in [(value, PLACES), (value / 1_000 * 1_000, PLACES), (value, 0)] {
                // A minus sign takes the other way.
                let (plain, other) = (
                    DecimalText::new(scaled.into(), places),
                    DecimalText::new(-i128::from(scaled), places),
                );
                assert_eq!(
                    plain.as_str(),
                    other.as_str().trim_start_matches('-'),
                    "{scaled} {places}"
                );
            }
        }
    }

    #[test]
    fn products_are_exact_or_none() {
        for one in [
            0,
            1,
            -1,
            i64::MAX.into(),
            i64::MIN.into(),
            1 << 63,
            i128::MAX,
            i128::MIN,
        ] {
            for other in [0, 1, -1, 7, i64::MAX, i64::MIN] {
                assert_eq!(product(one, other), one.checked_mul(other.into()), "{one} {other}");
            }
        }
    }
}
