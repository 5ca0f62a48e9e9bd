//! draw: the marks of the time axis: at whole hours, days and months of the viewer's clock, also
//! across changes of that clock.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};

/// A mark on the axis of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tick {
    /// Ms since 1970 UTC.
    pub(super) ts: i64,
    /// The text of the mark.
    pub(super) text: String,
    /// The first of a day, a month or a year.
    pub(super) strong: bool,
}

/// The distance of two marks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Seconds(i64),
    Hours(i64),
    Days(i64),
    Months(i64),
    Years(i64),
}

const STEPS: [(i64, Step); 31] = [
    (1, Step::Seconds(1)),
    (2, Step::Seconds(2)),
    (5, Step::Seconds(5)),
    (10, Step::Seconds(10)),
    (15, Step::Seconds(15)),
    (30, Step::Seconds(30)),
    (60, Step::Seconds(60)),
    (120, Step::Seconds(120)),
    (300, Step::Seconds(300)),
    (600, Step::Seconds(600)),
    (900, Step::Seconds(900)),
    (1_800, Step::Seconds(1_800)),
    (3_600, Step::Hours(1)),
    (7_200, Step::Hours(2)),
    (10_800, Step::Hours(3)),
    (21_600, Step::Hours(6)),
    (43_200, Step::Hours(12)),
    (86_400, Step::Days(1)),
    (172_800, Step::Days(2)),
    (604_800, Step::Days(7)),
    (1_209_600, Step::Days(14)),
    (2_678_400, Step::Months(1)),
    (5_356_800, Step::Months(2)),
    (8_035_200, Step::Months(3)),
    (16_070_400, Step::Months(6)),
    (31_622_400, Step::Years(1)),
    (63_244_800, Step::Years(2)),
    (158_112_000, Step::Years(5)),
    (316_224_000, Step::Years(10)),
    (1_581_120_000, Step::Years(50)),
    (15_811_200_000, Step::Years(500)),
];

/// The largest number of marks.
const MOST: usize = 100;

/// Marks between `from` and `to` (ms since 1970 UTC) by the clock of `zone`. `fits` says whether
/// texts of this many letters fit if marks are this many ms apart.
pub(super) fn ticks(
    from: i64,
    to: i64,
    zone: &TimeZone,
    fits: impl Fn(i64, usize) -> bool,
) -> Vec<Tick> {
    let letters = |step: Step| match step {
        Step::Seconds(1..60) => 8,
        Step::Seconds(_) | Step::Hours(_) | Step::Days(_) => 6,
        Step::Months(_) | Step::Years(_) => 4,
    };
    let step = STEPS
        .iter()
        .find(|(length, step)| fits(length * 1000, letters(*step)))
        .map_or(Step::Years(500), |(_, step)| *step);
    let mut out: Vec<Tick> = Vec::new();
    for ts in moments(from, to, step, zone) {
        if ts < from || ts > to || out.last().is_some_and(|t| t.ts >= ts) || out.len() >= MOST {
            continue;
        }
        let Some(civil) = civil(ts, zone) else { continue };
        out.push(tick(ts, civil, step));
    }
    out
}

fn civil(ts: i64, zone: &TimeZone) -> Option<DateTime> {
    Some(zone.to_datetime(Timestamp::from_millisecond(ts).ok()?))
}

fn tick(ts: i64, at: DateTime, step: Step) -> Tick {
    let midnight = at.time() == Time::midnight();
    let (text, strong) = match step {
        Step::Seconds(_) | Step::Hours(_) if midnight => (at.strftime("%-d %b"), true),
        Step::Seconds(1..60) => (at.strftime("%H:%M:%S"), false),
        Step::Seconds(_) | Step::Hours(_) => (at.strftime("%H:%M"), false),
        Step::Days(_) => (at.strftime("%-d %b"), at.day() == 1),
        Step::Months(_) if at.month() == 1 => (at.strftime("%Y"), true),
        Step::Months(_) => (at.strftime("%b"), false),
        Step::Years(_) => (at.strftime("%Y"), false),
    };
    Tick { ts, text: text.to_string(), strong }
}

/// All moments of a step, including some before and after the range.
fn moments(from: i64, to: i64, step: Step, zone: &TimeZone) -> Vec<i64> {
    let Some(first) = civil(from, zone) else { return Vec::new() };
    let date = first.date();
    let civil_steps = |start: DateTime, span: &dyn Fn(i64) -> Span| {
        let mut out = Vec::new();
        for i in 0.. {
            // A time that the clock skips is placed after the gap, as far as it would lie inside.
            let Ok(ts) = start
                .checked_add(span(i))
                .and_then(|at| zone.to_ambiguous_zoned(at).compatible())
                .map(|zoned| zoned.timestamp().as_millisecond())
            else {
                break;
            };
            out.push(ts);
            if ts > to || out.len() > 20 * MOST {
                break;
            }
        }
        out
    };
    let start_of = |date: Date| date.to_datetime(Time::midnight());
    match step {
        // Whole hours pass independently of the clock; only their beginning is asked for.
        Step::Seconds(_) | Step::Hours(1) => {
            let length = match step {
                Step::Seconds(s) => s * 1000,
                _ => 3_600_000,
            };
            let offset = |ts: i64| {
                let at = Timestamp::from_millisecond(ts).unwrap_or_default();
                i64::from(zone.to_offset(at).seconds()) * 1000
            };
            let start = from - (from + offset(from)).rem_euclid(length);
            let count = ((to - start) / length).clamp(0, 20 * MOST as i64);
            // If a clock is changed by half an hour, the marks before and after may have different
            // minutes.
            (0..=count)
                .map(|i| start + i * length)
                .map(|ts| ts - (ts + offset(ts)).rem_euclid(length))
                .filter(|ts| (ts + offset(*ts)).rem_euclid(length) == 0)
                .collect()
        }
        Step::Hours(hours) => civil_steps(start_of(date), &|i| (i * hours).hours()),
        // A week begins on a Monday; every second day is counted within the month by the calendar.
        Step::Days(days) if days >= 7 => {
            let back = i64::from(date.weekday().to_monday_zero_offset());
            let monday = date.checked_sub(back.days()).unwrap_or(date);
            civil_steps(start_of(monday), &|i| (i * days).days())
        }
        Step::Days(days) => {
            let odd = date.day().rem_euclid(2) == 0 && days == 2;
            let start = date.checked_sub(i64::from(odd).days()).unwrap_or(date);
            civil_steps(start_of(start), &|i| (i * days).days())
        }
        Step::Months(months) => {
            let start = date.first_of_year();
            civil_steps(start_of(start), &|i| (i * months).months())
        }
        Step::Years(years) => {
            let year = i64::from(date.year());
            let start = year - year.rem_euclid(years);
            let start = i16::try_from(start).ok().and_then(|y| Date::new(y.max(1), 1, 1).ok());
            civil_steps(start_of(start.unwrap_or(date)), &|i| (i * years).years())
        }
    }
}

/// The two ends of a chart in words: `22 Nov 2026 14:05 – 15:05 CET`. Where the clocks were changed in
/// between, each end has its zone: `25 Oct 2026 02:00 CEST – 07:00 CET`.
pub(super) fn span(from: i64, to: i64, zone: &TimeZone) -> String {
    let (Some(a), Some(b)) = (civil(from, zone), civil(to, zone)) else { return String::new() };
    let seconds = to - from < 10 * 60_000;
    let clock = if seconds { "%H:%M:%S" } else { "%H:%M" };
    let name = |ts| {
        Timestamp::from_millisecond(ts)
            .map(|at| at.to_zoned(zone.clone()).strftime("%Z").to_string())
            .unwrap_or_default()
    };
    let (before, name) = (name(from), name(to));
    let before = if before == name { String::new() } else { format!(" {before}") };
    let day = |at: DateTime| at.strftime("%-d %b %Y");
    let time = |at: DateTime| at.strftime(clock);
    if a.date() == b.date() {
        format!("{} {}{before} – {} {name}", day(a), time(a), time(b))
    } else {
        format!("{} {}{before} – {} {} {name}", day(a), time(a), day(b), time(b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_has_its_zone_where_the_clocks_were_changed() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let text = |from, to| span(ms(from), ms(to), &zone);
        assert_eq!(
            text("2026-10-25T00:00:00Z", "2026-10-25T06:00:00Z"),
            "25 Oct 2026 02:00 CEST – 07:00 CET"
        );
        assert_eq!(
            text("2026-03-28T12:00:00Z", "2026-03-29T06:00:00Z"),
            "28 Mar 2026 13:00 CET – 29 Mar 2026 08:00 CEST"
        );
        assert_eq!(
            text("2026-10-25T02:00:00Z", "2026-10-25T06:00:00Z"),
            "25 Oct 2026 03:00 – 07:00 CET"
        );
    }

    fn ms(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_millisecond()
    }

    fn shown(from: &str, to: &str, zone: &str, most: i64) -> Vec<String> {
        let (from, to) = (ms(from), ms(to));
        let zone = TimeZone::get(zone).unwrap();
        let ticks = ticks(from, to, &zone, |step, _| (to - from) / step <= most);
        ticks.into_iter().map(|t| t.text).collect()
    }

    #[test]
    fn whole_hours_of_the_viewers_clock() {
        assert_eq!(
            shown("2026-11-22T10:07:00Z", "2026-11-22T15:07:00Z", "Asia/Kolkata", 6),
            ["16:00", "17:00", "18:00", "19:00", "20:00"]
        );
        assert_eq!(
            shown("2026-11-21T23:59:00Z", "2026-11-22T00:01:30Z", "UTC", 6),
            ["23:59:00", "23:59:30", "22 Nov", "00:00:30", "00:01:00", "00:01:30"]
        );
        assert_eq!(
            shown("2026-01-01T00:00:00Z", "2026-12-31T00:00:00Z", "UTC", 12),
            ["2026", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
        );
    }

    #[test]
    fn a_clock_that_is_changed_moves_no_mark_off_the_hour() {
        // Berlin goes from 02:00 to 03:00, and in autumn from 03:00 to 02:00.
        assert_eq!(
            shown("2026-03-28T23:00:00Z", "2026-03-29T04:00:00Z", "Europe/Berlin", 8),
            ["29 Mar", "01:00", "03:00", "04:00", "05:00", "06:00"]
        );
        assert_eq!(
            shown("2026-10-24T22:00:00Z", "2026-10-25T03:00:00Z", "Europe/Berlin", 8),
            ["25 Oct", "01:00", "02:00", "02:00", "03:00", "04:00"]
        );
        assert_eq!(
            shown("2026-03-28T12:00:00Z", "2026-03-29T22:00:00Z", "Europe/Berlin", 8),
            ["18:00", "29 Mar", "06:00", "12:00", "18:00", "30 Mar"]
        );
        assert_eq!(
            shown("2026-10-23T00:00:00Z", "2026-10-27T00:00:00Z", "Europe/Berlin", 5),
            ["24 Oct", "25 Oct", "26 Oct", "27 Oct"]
        );
        // Half an hour, on Lord Howe.
        let howe = shown("2026-04-04T13:00:00Z", "2026-04-04T19:00:00Z", "Australia/Lord_Howe", 8);
        assert!(howe.iter().all(|t| t.ends_with(":00") || t.contains(' ')), "{howe:?}");
    }

    #[test]
    fn any_time_at_all_has_few_marks() {
        for (from, to) in [(0, 1), (-62_167_219_200_000, 253_402_207_200_000), (5, 5), (9, 3)] {
            let ticks = ticks(from, to, &TimeZone::UTC, |step, _| (to - from) / step <= 8);
            assert!(ticks.len() <= 30, "{from} {to}: {}", ticks.len());
        }
    }
}
