//! Moments as text: ISO 8601, written in UTC and read with any zone, or milliseconds since 1970.

use crate::terms::Nanos;

const SECOND_NS: i128 = 1_000_000_000;

/// Milliseconds since 1970 as nanoseconds; `None` at or before 1970 and where they do not fit.
#[must_use]
pub fn of_millis(millis: i64) -> Option<Nanos> {
    millis.checked_mul(1_000_000).filter(|at| *at > 0)
}

/// `2026-11-24T07:00:00.5Z`, or with an offset such as `+01:00`; up to nine digits of a second. `None` for anything else.
#[must_use]
pub fn parse_iso(text: &str) -> Option<Nanos> {
    // Read by place: only ASCII may be cut anywhere.
    let ascii = text.is_ascii() && text.len() >= "2026-11-24T07:00:00Z".len();
    let (moment, rest) = ascii.then(|| text.split_at(19))?;
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':')];
    if marks.iter().any(|(at, mark)| moment.as_bytes()[*at] != *mark) {
        return None;
    }
    let number = |from: usize, to: usize, least: i64, most: i64| {
        let digits = &moment[from..to];
        let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
        let value: i64 = digits.parse().ok().filter(|_| plain)?;
        (least..=most).contains(&value).then_some(value)
    };
    let (year, month) = (number(0, 4, 1970, 2262)?, number(5, 7, 1, 12)?);
    let day = number(8, 10, 1, days_of(year, month))?;
    let second = number(11, 13, 0, 23)? * 3_600 + number(14, 16, 0, 59)? * 60 + number(17, 19, 0, 59)?;
    let (fraction, zone) = fraction_of(rest)?;
    let seconds = i128::from(day_number(year, month, day) * 86_400 + second - offset_of(zone)?);
    i64::try_from(seconds * SECOND_NS + fraction).ok().filter(|at| *at > 0)
}

/// Nanoseconds after the second, and what follows them.
fn fraction_of(rest: &str) -> Option<(i128, &str)> {
    let Some(after) = rest.strip_prefix('.') else {
        return Some((0, rest));
    };
    let count = after.bytes().take_while(u8::is_ascii_digit).count();
    let digits = (1..=9).contains(&count).then(|| &after[..count])?;
    let nanos: i128 = format!("{digits:0<9}").parse().ok()?;
    Some((nanos, &after[count..]))
}

/// Seconds that the zone is ahead of UTC.
fn offset_of(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let bytes = zone.as_bytes();
    let shaped = bytes.len() == 6 && bytes[3] == b':' && [1, 2, 4, 5].iter().all(|at| bytes[*at].is_ascii_digit());
    let sign = match bytes.first().filter(|_| shaped)? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes): (i64, i64) = (zone[1..3].parse().ok()?, zone[4..6].parse().ok()?);
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3_600 + minutes * 60))
}

const fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01. Years are taken to begin in March, as where dates are written.
const fn day_number(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let before = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5;
    before + day - 1 - 719_468
}

/// Appends a time as `2026-11-24T07:00:00.123456Z`, without quotes; what is below a microsecond is cut.
pub fn push_time(out: &mut String, at: Nanos) {
    let micros = at.div_euclid(1_000);
    let seconds = micros.div_euclid(1_000_000);
    let (year, month, day) = civil_date(seconds.div_euclid(86_400));
    let second_of_day = seconds.rem_euclid(86_400);
    let mut text = *b"0000-00-00T00:00:00.000000Z";
    let parts = [
        (0..4, year),
        (5..7, month),
        (8..10, day),
        (11..13, second_of_day / 3_600),
        (14..16, second_of_day / 60 % 60),
        (17..19, second_of_day % 60),
        (20..26, micros.rem_euclid(1_000_000)),
    ];
    for (place, mut value) in parts {
        for digit in text[place].iter_mut().rev() {
            *digit = b'0' + (value % 10) as u8;
            value /= 10;
        }
    }
    // Only ASCII was written.
    out.push_str(std::str::from_utf8(&text).unwrap_or_default());
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
///
/// Years are taken to begin in March: the leap day is then the last of its year, and the months' lengths follow one
/// line, 153 days for each five months.
const fn civil_date(day: i64) -> (i64, i64, i64) {
    const DAYS_OF_400_YEARS: i64 = 146_097;
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    let day = day + 719_468;
    let era = day.div_euclid(DAYS_OF_400_YEARS);
    let day_of_era = day.rem_euclid(DAYS_OF_400_YEARS);
    // Leap days before this one are taken out: one in 4 years, but not in 100, but in 400.
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = era * 400 + year_of_era + if month <= 2 { 1 } else { 0 };
    (year, month, day_of_month)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_as_they_are_written() {
        for (text, at) in [
            ("1970-01-01T00:00:01Z", 1_000_000_000),
            ("2026-11-24T07:00:00.123456Z", 1_795_503_600_123_456_000),
            ("2026-11-24T08:30:00.5+01:30", 1_795_503_600_500_000_000),
            ("2024-02-29T23:59:59.999999999-00:00", 1_709_251_199_999_999_999),
        ] {
            assert_eq!(parse_iso(text), Some(at), "{text}");
        }
        for at in (0..200).map(|n| 1 + n * 45_000_000_000_000_007 / 1_000 * 1_000) {
            let mut text = String::new();
            push_time(&mut text, at);
            assert_eq!(parse_iso(&text).unwrap_or_default(), at / 1_000 * 1_000, "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "now",
            "2026-11-24",
            "2026-11-24T07:00:00",
            "2026-11-24 07:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-11-24T24:00:00Z",
            "2026-11-24T07:00:60Z",
            "2026-11-24T07:00:00.Z",
            "2026-11-24T07:00:00.1234567890Z",
            "2026-11-24T07:00:00+1:00",
            "2026-11-24T07:00:00+24:00",
            "+026-11-24T07:00:00Z",
            "2026-11-24T07:00:00Zé",
            "1970-01-01T00:00:00Z",
            "2262-12-01T00:00:00Z",
        ] {
            assert_eq!(parse_iso(text), None, "{text}");
        }
        assert_eq!((of_millis(0), of_millis(-5), of_millis(i64::MAX)), (None, None, None));
        assert_eq!(of_millis(1_500), Some(1_500_000_000));
    }
}
