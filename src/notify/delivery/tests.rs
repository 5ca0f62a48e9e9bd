//! notify: the threads of delivery, with channels that do as they are told.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Condvar, Mutex};

use super::super::compose::tests::note;
use super::super::outbox::Fate;
use super::*;
use crate::model::SystemClock;
use crate::notify::Occasion;
use crate::pipeline::Names;
use crate::store::{Reader, Store, Writer, WriterSettings};
use jiff::tz::TimeZone;

/// A channel that does as it is told.
#[derive(Default)]
struct Told {
    name: &'static str,
    got: Mutex<Vec<String>>,
    pictures: AtomicUsize,
    /// While it is set, the channel hangs.
    hangs: Mutex<bool>,
    go_on: Condvar,
    panics: AtomicUsize,
}

impl Channel for Told {
    fn kind(&self) -> &'static str {
        "test"
    }
    fn shown(&self) -> String {
        format!("test:{}", self.name)
    }
    fn takes_picture(&self) -> bool {
        true
    }
    fn send(&self, message: &Message, picture: Option<&Picture>, _: Instant) -> Outcome {
        let mut hangs = self.hangs.lock().expect("no panic");
        while *hangs {
            hangs = self.go_on.wait(hangs).expect("no panic");
        }
        drop(hangs);
        if self.panics.load(SeqCst) > 0 {
            self.panics.fetch_sub(1, SeqCst);
            panic!("planted");
        }
        self.pictures.fetch_add(usize::from(picture.is_some()), SeqCst);
        self.got.lock().expect("no panic").push(message.title.clone());
        Outcome::Sent { said: "250 Ok".into() }
    }
}

struct Rig {
    folder: tempfile::TempDir,
    flow: Flow,
    writer: Option<Writer>,
    channels: Vec<Arc<Told>>,
    delivery: Arc<Delivery>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Rig {
    fn new(channels: &[&'static str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("m.sqlite");
        let flow = Flow::new(Arc::new(SystemClock), "web1", 900_000, 1_000, Names::default());
        let store = Store::open(&path, "web1", Arc::clone(&flow.registry)).expect("opens");
        let stored = store.alerts().expect("reads");
        let orders = Arc::new(Orders::default());
        let settings = WriterSettings {
            flow: flow.clone(),
            rested: || {},
            orders: Arc::clone(&orders),
            inbox_every: Duration::from_secs(3_600),
        };
        let writer = Writer::spawn(store, None, settings, ()).expect("a thread");
        let channels: Vec<Arc<Told>> =
            channels.iter().map(|name| Arc::new(Told { name, ..Told::default() })).collect();
        let ways = (channels.iter())
            .map(|told| Way { id: told.name.into(), channel: Arc::clone(told) as Arc<dyn Channel> })
            .collect();
        let settings = Settings { zone: || TimeZone::UTC, group_wait_ms: 1 };
        let draw: Draw = Arc::new(|_| Some(Picture { png: vec![1], alt: "a line".into() }));
        let delivery = Delivery::new(ways, &stored, settings, flow.clone(), orders, Some(draw));
        let runs = Arc::clone(&delivery);
        let thread = std::thread::spawn(move || runs.run());
        Self { folder, flow, writer: Some(writer), channels, delivery, thread: Some(thread) }
    }

    fn fire(&self, rule: &str, to: &[&str]) {
        let text = format!("{rule} is wrong");
        let fire = note(Occasion::Fire, rule, &text);
        let to = to.iter().map(|id| (*id).to_owned()).collect();
        assert!(self.delivery.submit(Vec::new(), vec![Note { to, ..fire }]), "it is in the file");
    }

    fn waits_for(&self, at: usize, count: usize) {
        until(|| self.channels[at].got.lock().expect("no panic").len() >= count);
    }

    fn end(mut self) -> tempfile::TempDir {
        self.delivery.stop(Instant::now() + Duration::from_secs(30));
        self.thread.take().expect("it runs").join().expect("no panic");
        self.flow.queue.close();
        self.writer.take().expect("it runs").join().expect("no panic");
        self.folder
    }
}

fn until(what: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !what() {
        assert!(Instant::now() < deadline, "it comes");
        std::thread::yield_now();
    }
}

#[test]
fn a_channel_that_hangs_delays_no_other() {
    let rig = Rig::new(&["a", "b"]);
    *rig.channels[0].hangs.lock().expect("no panic") = true;
    rig.fire("disk", &["a", "b"]);
    rig.waits_for(1, 1);
    rig.fire("load", &["a", "b"]);
    rig.waits_for(1, 2);
    assert!(rig.channels[0].got.lock().expect("no panic").is_empty());
    until(|| rig.delivery.stand()[1].waiting == 0);
    assert_eq!(rig.delivery.stand()[0].waiting, 2);
    *rig.channels[0].hangs.lock().expect("no panic") = false;
    rig.channels[0].go_on.notify_all();
    rig.waits_for(0, 2);
    until(|| rig.delivery.tally().all(Fate::Sent) == 4);
    let folder = rig.end();
    let reader = Reader::open(&folder.path().join("m.sqlite")).expect("opens");
    let stored = reader.alerts().expect("reads");
    assert_eq!((stored.outbox.len(), stored.told.len()), (0, 4));
}

#[test]
fn a_test_message_brings_the_receivers_own_words_and_is_listed() {
    let rig = Rig::new(&["a"]);
    let zone = TimeZone::UTC;
    let fire = note(Occasion::Fire, "test", "this is a test");
    let place = super::super::Place { zone: &zone, now: 0, untold: None };
    let message = super::super::compose(&[(1, &fire)], place).expect("a message");
    assert_eq!(rig.delivery.test("a", &message), Some(Outcome::Sent { said: "250 Ok".into() }));
    assert_eq!(rig.delivery.test("b", &message), None, "there is no such channel");
    let folder = rig.end();
    let reader = Reader::open(&folder.path().join("m.sqlite")).expect("opens");
    let told = reader.told(10).expect("reads");
    assert_eq!((told[0].occasion.as_str(), told[0].said.as_str()), ("test", "250 Ok"));
}

#[test]
fn without_channels_nothing_runs_and_nothing_waits() {
    let rig = Rig::new(&[]);
    assert!(rig.delivery.submit(
        vec![AlertOp::JudgedUntil(7)],
        vec![note(Occasion::Fire, "disk", "disk is wrong")]
    ));
    let folder = rig.end();
    let reader = Reader::open(&folder.path().join("m.sqlite")).expect("opens");
    let stored = reader.alerts().expect("reads");
    assert_eq!((stored.judged_until, stored.outbox.len()), (Some(7), 0));
}

#[test]
fn a_channel_that_panics_is_one_that_failed() {
    let rig = Rig::new(&["a"]);
    rig.channels[0].panics.store(1, SeqCst);
    rig.fire("disk", &["a"]);
    until(|| rig.delivery.tally().all(Fate::Retried) == 1);
    let said = rig.delivery.stand()[0].said.clone();
    assert!(said.is_some_and(|said| said.contains("plimsoll itself failed")));
    let _folder = rig.end();
}
