//! pipeline: tests of the queue in front of the store.

use super::*;

#[test]
fn what_the_writer_holds_is_not_written_yet() {
    let queue = Queue::new(1_000_000, 1_000, Arc::default());
    queue.push(batch(1, 3));
    let mut taken = Vec::new();
    queue.take(&mut taken, Instant::now());
    assert_eq!((queue.len(), queue.unwritten()), (0, 3));
    queue.give_back(&mut taken, false);
    assert_eq!((queue.len(), queue.unwritten()), (3, 3));
    queue.take(&mut taken, Instant::now());
    queue.recycle(&mut taken);
    assert_eq!((queue.len(), queue.unwritten()), (0, 0));
}

/// A batch that was made so many ms after the others' zero.
fn batch(ts: i64, samples: usize) -> Batch {
    static ZERO: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    let made = *ZERO + Duration::from_millis(ts as u64);
    let samples = vec![(SeriesRef::new(0, 0), 1.0); samples];
    Batch { made, ..Batch::of(Source::Collect, ts, samples) }
}

#[test]
fn a_clock_that_is_set_a_year_ahead_costs_nothing_that_waits() {
    let counters = Arc::new(Counters::default());
    let queue = Queue::new(900_000, 100, Arc::clone(&counters));
    let year = 31_536_000_000;
    let later = |ts, at| Batch { ts, arrived: ts, ..batch(at, 1) };
    queue.push(later(1_000, 1));
    queue.push(later(year, 2));
    assert!(queue.offer(later(year, 3)).is_ok(), "nothing waits for long");
    queue.push(later(0, 4));
    assert_eq!(drain(&queue), [1_000, year, year, 0]);
    assert_eq!(counters.lost_by(Source::Collect, Reason::QueueFull), 0);
}

fn drain(queue: &Queue) -> Vec<i64> {
    let mut out = Vec::new();
    queue.take(&mut out, Instant::now());
    out.iter().map(|b| b.ts).collect()
}

#[test]
fn the_oldest_goes_first_and_is_counted() {
    let counters = Arc::new(Counters::default());
    let queue = Queue::new(10, 100, Arc::clone(&counters));
    for ts in [0, 5, 10, 11] {
        queue.push(batch(ts, 2));
    }
    assert_eq!(drain(&queue), [5, 10, 11]);
    assert_eq!(counters.lost_by(Source::Collect, Reason::QueueFull), 2);
    queue.push(batch(20, 60));
    queue.push(batch(21, 60));
    assert_eq!(drain(&queue), [21]);
    assert_eq!(counters.lost_by(Source::Collect, Reason::QueueFull), 62);
}

#[test]
fn of_each_chart_the_newest_description_waits() {
    let counters = Arc::new(Counters::default());
    let queue = Queue::new(10, 100, Arc::clone(&counters));
    let graph = |id: usize, title: &str| Graph {
        id: format!("munin/{id}").into(),
        title: title.into(),
        ..Graph::default()
    };
    let titles =
        |graphs: &[Graph]| -> Vec<String> { graphs.iter().map(|g| g.title.to_string()).collect() };
    assert!(queue.push_graph(graph(1, "old")) && queue.push_graph(graph(2, "b")));
    assert!(queue.push_graph(graph(1, "new")) && queue.has_others());
    let taken = queue.take_graphs();
    assert_eq!(titles(&taken), ["new", "b"]);
    // They could not be written; meanwhile a newer one has come.
    assert!(queue.push_graph(graph(2, "newer")));
    queue.give_back_graphs(taken);
    assert_eq!(titles(&queue.take_graphs()), ["newer", "new"]);
    assert!((0..MAX_GRAPHS).all(|id| queue.push_graph(graph(id, ""))));
    assert!(!queue.push_graph(graph(MAX_GRAPHS, "one too many")));
    assert_eq!(counters.graphs_dropped.load(std::sync::atomic::Ordering::Relaxed), 1);
}

#[test]
fn senders_come_again_before_anything_is_lost() {
    let counters = Arc::new(Counters::default());
    let queue = Queue::new(100, 100, Arc::clone(&counters));
    assert!(queue.offer(batch(0, 200)).is_ok(), "what is larger than the bound, alone");
    assert_eq!(queue.offer(batch(1, 1)).map_err(|b| b.ts), Err(1), "full");
    drain(&queue);
    queue.recycle(&mut Vec::new());
    queue.push(batch(2, 1));
    assert!(queue.offer(batch(52, 1)).is_ok());
    assert!(queue.offer(batch(53, 1)).is_err(), "nothing was written for long");
    assert_eq!(drain(&queue), [2, 52]);
    queue.close();
    assert!(queue.offer(batch(54, 1)).is_err(), "nobody would write it");
    assert_eq!(counters.lost_by(Source::Collect, Reason::QueueFull), 0);
}

#[test]
fn what_could_not_be_written_waits_in_order() {
    let queue = Queue::new(1_000, 100, Arc::default());
    queue.push(batch(1, 1));
    queue.push(batch(2, 1));
    let mut taken = Vec::new();
    assert!(queue.take(&mut taken, Instant::now()));
    queue.push(batch(3, 1));
    queue.give_back(&mut taken, false);
    assert_eq!((queue.len(), drain(&queue)), (3, vec![1, 2, 3]));
}

async fn heard(receipt: Receipt) -> bool {
    receipt.kept(Duration::ZERO).await
}

#[tokio::test]
async fn a_sender_hears_of_its_batch_when_it_was_written() {
    let queue = Queue::new(1_000, 100, Arc::default());
    let offer = |ts| queue.offer_awaited(batch(ts, 1)).expect("there is room");
    let (first, gone, second) = (offer(1), offer(2), offer(3));
    queue.push(batch(4, 1));
    let mut taken = Vec::new();
    queue.take(&mut taken, Instant::now());
    // The lock is held for a moment: batches with waiting senders are written later, those without
    // are not.
    drop(gone);
    queue.give_back(&mut taken, false);
    queue.take(&mut taken, Instant::now());
    assert_eq!(taken.iter().map(|b| b.ts).collect::<Vec<_>>(), [1, 3, 4]);
    queue.recycle(&mut taken);
    assert!(heard(first).await && heard(second).await);
    // The disk is full: senders that can come again do so, the rest waits.
    let third = offer(5);
    queue.push(batch(6, 1));
    queue.take(&mut taken, Instant::now());
    queue.give_back(&mut taken, true);
    assert!(!heard(third).await);
    assert_eq!(drain(&queue), [6]);
    assert!(!heard(offer(7)).await, "nobody wrote it");
}

#[test]
fn who_waits_is_not_made_to_wait_for_the_next_beat() {
    let queue = Queue::new(1_000, 10_000, Arc::default());
    let (now, far) = (Instant::now(), Instant::now() + Duration::from_secs(600));
    let mut taken = Vec::new();
    let _receipt = queue.offer_awaited(batch(1, 1)).expect("there is room");
    queue.gather(&mut taken, far, now);
    assert_eq!(taken.len(), 1, "until the shorter moment");
    queue.push(batch(2, ENOUGH));
    queue.gather(&mut taken, far, far);
    assert_eq!(taken.len(), 2, "it is worth a commit");
    taken.clear();
    queue.push(batch(3, ENOUGH));
    queue.gather(&mut taken, now, far);
    assert_eq!(taken.len(), 1, "nobody waits: until the usual moment");
}

#[test]
fn closing_ends_the_waiting() {
    let queue = Queue::new(1, 1, Arc::default());
    queue.push(batch(1, 1));
    queue.close();
    let far = Instant::now() + Duration::from_secs(600);
    let mut taken = Vec::new();
    assert!(queue.take(&mut taken, far), "what was queued is still given out");
    taken.clear();
    assert!(!queue.take(&mut taken, far));
}
#[test]
fn what_the_writer_holds_and_cannot_write_puts_senders_off() {
    let queue = Queue::new(20_000, MAX_SAMPLES, Arc::default());
    queue.push(batch(0, 1));
    let mut held = Vec::new();
    queue.take(&mut held, Instant::now());
    assert!(queue.offer(batch(10_000, 1)).is_ok(), "no more than half of the time has passed");
    assert!(queue.offer(batch(10_001, 1)).is_err());
    queue.recycle(&mut held);
    drain(&queue);
    queue.recycle(&mut held);
    assert!(queue.offer(batch(10_001, 1)).is_ok(), "it was written");
}

#[tokio::test]
async fn only_what_senders_brought_is_turned_away() {
    let counters = Arc::new(Counters::default());
    let queue = Queue::new(20_000, MAX_SAMPLES, Arc::clone(&counters));
    let of = |source| Batch { source, ..batch(0, 2) };
    let receipt = queue.offer_awaited(of(Source::Json)).expect("there is room");
    for source in [Source::Collect, Source::Graphite, Source::Statsd] {
        queue.push(of(source));
    }
    let mut taken = Vec::new();
    queue.take(&mut taken, Instant::now());
    queue.turn_away(&mut taken);
    let left: Vec<Source> = taken.iter().map(|b| b.source).collect();
    assert_eq!(left, [Source::Collect, Source::Statsd]);
    assert!(!heard(receipt).await, "its sender is told to come again");
    let lost = |source| counters.lost_by(source, Reason::QueueFull);
    assert_eq!((lost(Source::Json), lost(Source::Graphite)), (0, 2));
}
