//! query: the parts of a date in UTC, by arithmetic on days. Whole seconds since 1970 in, numbers
//! out; any second that fits is a date, before the year 1 too.

use super::super::functions::FunctionId;

const DAY: i64 = 86_400;

/// Year, month (1 to 12) and day (1 to 31) of a day since 1970, after Howard Hinnant's
/// `civil_from_days`: eras of 400 years that begin in March.
fn civil(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let of_era = z.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn is_leap(year: i64) -> bool {
    year.rem_euclid(4) == 0 && (year.rem_euclid(100) != 0 || year.rem_euclid(400) == 0)
}

fn month_length(year: i64, month: i64) -> i64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The part of a date that a function is named after; `None` for any other function.
pub(super) fn part(function: FunctionId, second: i64) -> Option<f64> {
    let days = second.div_euclid(DAY);
    let of_day = second.rem_euclid(DAY);
    let (year, month, day) = civil(days);
    let part = match function {
        FunctionId::Year => year,
        FunctionId::Month => month,
        FunctionId::DayOfMonth => day,
        FunctionId::DaysInMonth => month_length(year, month),
        FunctionId::DayOfWeek => (days + 4).rem_euclid(7),
        FunctionId::DayOfYear => (1..month).map(|m| month_length(year, m)).sum::<i64>() + day,
        FunctionId::Hour => of_day / 3600,
        FunctionId::Minute => of_day % 3600 / 60,
        _ => return None,
    };
    Some(part as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn dates_are_the_calendar_s(second in -62_000_000_000_i64..250_000_000_000) {
            let date = jiff::Timestamp::from_second(second).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
            for (function, expected) in [
                (FunctionId::Year, i64::from(date.year())),
                (FunctionId::Month, i64::from(date.month())),
                (FunctionId::DayOfMonth, i64::from(date.day())),
                (FunctionId::DaysInMonth, i64::from(date.days_in_month())),
                (FunctionId::DayOfWeek, i64::from(date.weekday().to_sunday_zero_offset())),
                (FunctionId::DayOfYear, i64::from(date.day_of_year())),
                (FunctionId::Hour, i64::from(date.hour())),
                (FunctionId::Minute, i64::from(date.minute())),
            ] {
                prop_assert_eq!(part(function, second), Some(expected as f64));
            }
        }
    }

    #[test]
    fn seconds_that_no_calendar_knows_do_no_harm() {
        assert!(part(FunctionId::Year, i64::MIN).is_some());
        assert!(part(FunctionId::DayOfYear, i64::MAX).is_some());
        assert_eq!(part(FunctionId::Abs, 0), None);
    }
}
