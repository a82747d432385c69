//! Turns Excel's days into dates.

use time::Date;

/// The day before the first of Excel's days, as a Julian day: Excel takes 1900 for a leap year, so that days after its February count
/// from one day earlier than 1900 begins.
const EPOCH_1900: f64 = 2_415_020.0;
/// 1904-01-01, the day zero of workbooks that count from there.
const EPOCH_1904: f64 = 2_416_481.0;
/// The first day after the leap day that was none.
const AFTER_LEAP_DAY: f64 = 61.0;
/// 9999-12-31, Excel's last day.
const LAST_DAY: f64 = 2_958_466.0;
const SECONDS: f64 = 86_400.0;

/// The date and time of a number of days, such as `2026-11-30 08:15:00`; a time of midnight is left out, and so is a date before the
/// first day. `None` for numbers that are no dates.
pub(super) fn date(days: f64, since_1904: bool) -> Option<String> {
    if !(0.0..LAST_DAY).contains(&days) {
        return None;
    }
    // Rounded first, so that 23:59:59.9999 is the next day.
    let seconds = (days * SECONDS).round();
    let day = (seconds / SECONDS).floor();
    let time = clock(seconds - day * SECONDS);
    if day == 0.0 && !since_1904 {
        return Some(time.unwrap_or_else(|| "00:00:00".to_owned()));
    }
    let epoch = if since_1904 { EPOCH_1904 } else { EPOCH_1900 - f64::from(u8::from(day >= AFTER_LEAP_DAY)) };
    let date = Date::from_julian_day((epoch + day) as i32).ok()?;
    let (year, month, day) = (date.year(), u8::from(date.month()), date.day());
    let date = format!("{year:04}-{month:02}-{day:02}");
    Some(match time {
        Some(time) => format!("{date} {time}"),
        None => date,
    })
}

/// The time of a day; `None` for midnight.
fn clock(seconds: f64) -> Option<String> {
    let seconds = seconds as u32;
    (seconds > 0).then(|| format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60))
}

#[cfg(test)]
mod tests {
    use super::date;

    #[track_caller]
    fn check(days: f64, expected: &str) {
        assert_eq!(date(days, false).as_deref(), Some(expected));
    }

    #[test]
    fn days_become_dates() {
        check(1.0, "1900-01-01");
        check(59.0, "1900-02-28");
        check(61.0, "1900-03-01");
        check(45_292.0, "2024-01-01");
        check(45_292.562_5, "2024-01-01 13:30:00");
        check(0.25, "06:00:00");
        check(45_292.999_999_9, "2024-01-02");
        assert_eq!(date(0.0, true).as_deref(), Some("1904-01-01"));
        assert_eq!(date(43_830.0, true).as_deref(), Some("2024-01-01"));
    }

    #[test]
    fn numbers_that_are_no_dates_stay_numbers() {
        assert_eq!(date(-1.0, false), None);
        assert_eq!(date(f64::NAN, false), None);
        assert_eq!(date(3e9, false), None);
    }
}
