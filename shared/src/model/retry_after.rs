//! Reads the header `Retry-After`: the time that a server asks a client to wait.

use std::time::{Duration, UNIX_EPOCH};

use super::clock::Timestamp;

/// Milliseconds from `now` that a value of `Retry-After` asks for; 0 if the time is past.
///
/// Accepts seconds, also with a fraction, and the three forms of an HTTP date. Returns `None` for any other text.
#[must_use]
pub fn retry_after_ms(value: &str, now: Timestamp) -> Option<u64> {
    let value = value.trim();
    match value.parse::<f64>() {
        Ok(seconds) => milliseconds(seconds),
        Err(_) => {
            let date = httpdate::parse_http_date(value).ok()?.duration_since(UNIX_EPOCH).ok()?;
            Some(now.until(Timestamp(u64::try_from(date.as_millis()).ok()?)))
        }
    }
}

/// Milliseconds that a value of `retry-after-ms` asks for. OpenAI sends this header next to `Retry-After`.
#[must_use]
pub fn retry_after_ms_header(value: &str) -> Option<u64> {
    milliseconds(value.trim().parse::<f64>().ok()? / 1_000.0)
}

/// A wait that is negative or no number is no wait at all.
fn milliseconds(seconds: f64) -> Option<u64> {
    let wait = Duration::try_from_secs_f64(seconds.max(0.0)).ok()?;
    Some(u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_seconds_and_dates() {
        let now = Timestamp(1_445_412_470_000); // Wed, 21 Oct 2015 07:27:50 GMT
        for (value, expected) in [
            ("120", Some(120_000)),
            (" 0 ", Some(0)),
            ("1.5", Some(1_500)),
            ("-3", Some(0)),
            ("NaN", Some(0)),
            ("18446744073709551615", None),
            ("99999999999999999999", None),
            ("1e16", Some(10_000_000_000_000_000_000)),
            ("1e18", Some(u64::MAX)),
            ("inf", None),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(10_000)),
            ("Wednesday, 21-Oct-15 07:28:00 GMT", Some(10_000)),
            ("Wed Oct 21 07:28:00 2015", Some(10_000)),
            ("Wed, 21 Oct 2015 07:00:00 GMT", Some(0)),
            ("Wed, 31 Dec 1969 07:00:00 GMT", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(retry_after_ms(value, now), expected, "{value}");
        }
    }

    #[test]
    fn reads_milliseconds() {
        for (value, expected) in [("250", Some(250)), (" 0.5", Some(0)), ("-1", Some(0)), ("soon", None), ("inf", None)]
        {
            assert_eq!(retry_after_ms_header(value), expected, "{value}");
        }
    }
}
