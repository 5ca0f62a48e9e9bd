//! daemon: the service that takes Graphite's lines: from the sockets, as samples into the intake.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use serde_json::json;

use super::listen::{Places, open_sockets};
use crate::config::Config;
use crate::daemon::running::{Running, Started};
use crate::daemon::service::{Service, Setting, Start};
use crate::daemon::shared::Shared;
use crate::model::{Clock, Metric, Recorder};
use crate::pipeline::{Counters, Intake, Origin, Reason, Source};
use crate::receive::{Carrier, Lost, Sink, SocketReader, Turn};
use crate::wire::{Record, graphite};

/// The longest text that waits while the queue is full. Graphite has no answers, so anything beyond
/// is lost and counted.
const MAX_WAITING: usize = 1 << 20;
/// The longest text that is turned into samples in one turn.
const TURN: usize = 64 << 10;
/// When to try again while the queue is full.
const PAUSE: Duration = Duration::from_millis(250);
const IDLE: Duration = Duration::from_secs(3600);

static TURNED_AWAY: Metric = Metric::counter(
    "plimsoll_connections_refused_total",
    "",
    "Connections of senders that were closed for newer ones, because there were too many.",
)
.by(&["receiver"]);
pub(super) const SERVICE: Service = Service {
    name: "graphite",
    greeting: "graphite",
    subjects: &["graphite "],
    settings: &[Setting::next_start("graphite", |a, b| a.graphite == b.graphite)],
    plan: |config| config.graphite.places(),
    json: |config| json!({ "listen": config.graphite.places() }),
    start: Start::First(|shared, _| start(shared)),
};

struct Graphite {
    counters: Arc<Counters>,
    places: Places,
    reader: SocketReader,
}

impl Running for Graphite {
    fn greeting(&self, _: &Config) -> String {
        self.places.all().join(", ")
    }

    fn listening(&self) -> Vec<String> {
        self.places.all()
    }

    fn report(&self, out: &mut Recorder) {
        let turned_away = self.counters.graphite_connections_refused.load(Relaxed);
        if turned_away > 0 {
            out.put_with(&TURNED_AWAY, &["graphite"], turned_away as f64);
        }
    }

    fn stop(&self) {
        self.reader.stop();
    }
}

/// Opens what the configuration asks for, and starts the thread if that is anything. The board shows
/// which address cannot be had.
fn start(shared: &Shared) -> anyhow::Result<Option<Started>> {
    let (sockets, places) = open_sockets("graphite", &shared.config().graphite, shared);
    if places.all().is_empty() {
        return Ok(None);
    }
    let sink = Lines {
        intake: Arc::clone(&shared.intake),
        counters: Arc::clone(&shared.counters),
        clock: Arc::clone(&shared.clock),
        waiting: Vec::new(),
        record: Record::default(),
    };
    let counters = Arc::clone(&shared.counters);
    let (reader, thread) = SocketReader::spawn("graphite", sockets, sink, shared.ending())?;
    Ok(Some(Started::thread(Graphite { counters, places, reader }, thread)))
}

struct Lines {
    intake: Arc<Intake>,
    counters: Arc<Counters>,
    clock: Arc<dyn Clock>,
    /// Whole lines, each with its end.
    waiting: Vec<u8>,
    record: Record,
}

impl Lines {
    /// Hands over the first lines that wait. False: the queue takes nothing now.
    fn hand_over(&mut self) -> bool {
        let end = match self.waiting.get(TURN..) {
            None => self.waiting.len(),
            Some(rest) => {
                let more = memchr::memchr(b'\n', rest);
                more.map_or(self.waiting.len(), |at| TURN + at + 1)
            }
        };
        let now = self.clock.wall_ms();
        let mut push = self.intake.begin(Origin::new(Source::Graphite, "graphite", true), now);
        let mut bad = 0;
        let mut shown = None;
        let (text, _) = self.waiting.split_at(end);
        for line in text.split(|b| *b == b'\n') {
            match graphite::parse(line, now, &mut self.record) {
                Ok(false) => {}
                Ok(true) => {
                    let Record { key, ts, value } = &self.record;
                    if let Err(refused) = push.put(key, *ts, *value, None) {
                        shown = Some(refused.to_string());
                    }
                }
                Err(reason) => {
                    bad += 1;
                    shown = Some(reason);
                }
            }
        }
        if let Some(reason) = shown {
            // One of many lines, and only in the detailed log.
            tracing::debug!("graphite: a line was not taken: {reason}");
        }
        if push.finish().is_err() {
            return false;
        }
        self.counters.lost(Source::Graphite, Reason::Invalid, bad);
        self.waiting.drain(..end);
        true
    }
}

impl Sink for Lines {
    fn take(&mut self, _from: Carrier, text: &[u8]) {
        if self.waiting.len() + text.len() >= MAX_WAITING && !self.hand_over() {
            let lines = text.split(|b| *b == b'\n').filter(|l| !l.is_empty()).count() as u64;
            self.counters.lost(Source::Graphite, Reason::QueueFull, lines);
            return;
        }
        self.waiting.extend_from_slice(text);
        if !text.ends_with(b"\n") {
            self.waiting.push(b'\n');
        }
    }

    fn lost(&mut self, what: Lost) {
        match what {
            Lost::Line | Lost::Datagram => {
                self.counters.lost(Source::Graphite, Reason::Invalid, 1);
            }
            Lost::Connection => {
                self.counters.graphite_connections_refused.fetch_add(1, Relaxed);
            }
        }
    }

    fn turn(&mut self) -> Turn {
        if self.waiting.is_empty() {
            return Turn::In(IDLE);
        }
        if !self.hand_over() {
            return Turn::In(PAUSE);
        }
        if self.waiting.is_empty() { Turn::In(IDLE) } else { Turn::Again }
    }

    fn end(&mut self) {
        while !self.waiting.is_empty() && self.hand_over() {}
        let left = self.waiting.iter().filter(|b| **b == b'\n').count() as u64;
        self.counters.lost(Source::Graphite, Reason::QueueFull, left);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ManualClock;
    use crate::pipeline::{Names, Queue};

    fn sink(max_samples: usize) -> (Lines, Arc<Queue>) {
        let counters = Arc::new(Counters::default());
        let queue = Arc::new(Queue::new(900_000, max_samples, Arc::clone(&counters)));
        let names = Arc::new(Names::default());
        let intake =
            Intake::new(Arc::default(), Arc::clone(&queue), Arc::clone(&counters), names, "here");
        let clock = Arc::new(ManualClock::at(7_000));
        let record = Record::default();
        (Lines { intake: Arc::new(intake), counters, clock, waiting: Vec::new(), record }, queue)
    }

    #[test]
    fn what_waits_for_a_full_queue_is_kept_then_counted() {
        let (mut sink, queue) = sink(2);
        sink.take(Carrier::Datagram, b"a 1 1700000000\nb 2 1700000000");
        sink.take(Carrier::Stream, b"bad\n");
        assert_eq!(sink.turn(), Turn::In(IDLE));
        assert_eq!(queue.len(), 2);
        assert_eq!(sink.counters.lost_by(Source::Graphite, Reason::Invalid), 1);
        sink.take(Carrier::Stream, b"c 3 1700000000\nworse\n");
        assert_eq!((sink.turn(), sink.turn()), (Turn::In(PAUSE), Turn::In(PAUSE)));
        assert_eq!(sink.counters.lost_by(Source::Graphite, Reason::Invalid), 1, "once, when taken");
        queue.take(&mut Vec::new(), std::time::Instant::now());
        assert_eq!(sink.turn(), Turn::In(IDLE));
        assert_eq!(sink.counters.lost_by(Source::Graphite, Reason::Invalid), 2);
        sink.take(Carrier::Stream, b"d 4 1700000000\ne 5 1700000000\n");
        queue.close();
        sink.end();
        assert_eq!(sink.counters.lost_by(Source::Graphite, Reason::QueueFull), 2);
        sink.waiting = b"g 7 1700000000\n".repeat(MAX_WAITING / 15);
        sink.take(Carrier::Datagram, b"h 8 1700000000\n\ni 9 1700000000");
        assert_eq!(sink.counters.lost_by(Source::Graphite, Reason::QueueFull), 4);
    }
}
