//! http: small questions answered where they were read. Handing a question to another thread and its
//! answer back takes two wake-ups, several times as long as finding the newest value of a series. But
//! whoever reads requests must not be held up: only what is little (`query::Little`) is tried here,
//! once a thread has just shown that the file can be read; what turns out to be more is begun anew on
//! a thread.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::{Ask, QUIET};
use crate::query::ast::Expr;
use crate::query::eval::Limits;

/// Texts longer than this, in bytes, are not even parsed here.
const LONGEST: usize = 2_048;
/// Longer answers, in bytes, are packed on a thread.
const PACKED_HERE: usize = 8 << 10;
/// More samples read than this, or values made on the way, are not little.
const SAMPLES: u64 = 20_000;
/// No question is worked on for longer than this; most take less than a tenth of it.
const PATIENCE: Duration = Duration::from_millis(3);
/// After a question that took this long, because the disk did, nothing is tried here for a while.
const SLOW: Duration = Duration::from_millis(10);
const WHILE: Duration = Duration::from_secs(2);

/// Whether questions may be answered here, in ms since it began.
#[derive(Debug)]
pub(super) struct Near {
    begun: Instant,
    /// Until then, for somebody has just read the file.
    until: AtomicU64,
    /// Not before then.
    from: AtomicU64,
}

impl Near {
    pub(super) fn new(now: Instant) -> Self {
        Self { begun: now, until: AtomicU64::new(0), from: AtomicU64::new(0) }
    }

    fn ms(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.begun).as_millis() as u64
    }

    pub(super) fn is_open(&self, now: Instant) -> bool {
        let now = self.ms(now);
        now < self.until.load(Relaxed) && now >= self.from.load(Relaxed)
    }

    /// Somebody has read the file, so the little that a small question needs is in memory.
    pub(super) fn read(&self, now: Instant) {
        self.until.store(self.ms(now + QUIET), Relaxed);
    }

    /// So long did it take to answer a question, or to find out that it is not little.
    pub(super) fn tried(&self, took: Duration, now: Instant) {
        if took >= SLOW {
            self.from.store(self.ms(now + WHILE), Relaxed);
        } else {
            self.read(now);
        }
    }
}

/// Whether a question may be little, as far as its texts tell.
pub(super) fn may_be_little(query: Option<&str>, body: &[u8]) -> bool {
    query.map_or(0, str::len) + body.len() <= LONGEST
}

/// Whether an answer of this length is sent from here.
pub(super) fn is_sent_here(length: usize, pack: bool) -> bool {
    !pack || length <= PACKED_HERE
}

/// Whether an expression looks at each sample about once when it is asked for one moment: all but
/// those that ask for many moments inside.
pub(super) fn is_plain(expr: &Expr) -> bool {
    !matches!(expr, Expr::Subquery(_)) && expr.children().all(is_plain)
}

/// The limits of a question that is tried here, or those it has anyway.
pub(super) fn limits<'a>(ask: &Ask<'a>, limits: Limits<'a>) -> Limits<'a> {
    if !ask.near {
        return limits;
    }
    let soon = Instant::now() + PATIENCE;
    let deadline = Some(limits.deadline.map_or(soon, |deadline| deadline.min(soon)));
    Limits { deadline, samples: SAMPLES, cells: SAMPLES, ..limits }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::parse;

    #[test]
    fn questions_are_answered_here_while_a_thread_has_just_answered_one() {
        let begin = Instant::now();
        let at = |ms: u64| begin + Duration::from_millis(ms);
        let near = Near::new(begin);
        assert!(!near.is_open(at(0)), "nobody knows yet whether the file can be read");
        near.read(at(1_000));
        assert!(near.is_open(at(1_001)));
        assert!(!near.is_open(at(4_000)), "what was in memory has been given back");
        near.read(at(5_000));
        near.tried(Duration::from_millis(2), at(7_000));
        assert!(near.is_open(at(9_999)), "that was one, too");
        near.tried(Duration::from_millis(40), at(10_000));
        near.read(at(11_000));
        assert!(!near.is_open(at(11_001)), "the disk is slow");
        near.read(at(12_000));
        assert!(near.is_open(at(12_001)));
    }

    #[test]
    fn moments_inside_of_moments_are_not_plain() {
        let plain = |text: &str| is_plain(&parse(text).expect("an expression"));
        assert!(plain("sum by (host) (rate(x[5m])) / on (host) y offset 1h"));
        assert!(!plain("1 + max_over_time((x)[1h:1s])"));
        assert!(!plain("sum(quantile_over_time(0.5, rate(x[1m])[1h:]))"));
    }
}
