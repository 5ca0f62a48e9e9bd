//! Alerts on their way: a receiver that is down delays no other and gets all of it later; a receiver that
//! refuses is named by the next one; `for` lasts as long as it says, whatever the beat.

use std::net::SocketAddr;

use crate::alert_stub::{Manner, Stub};
use crate::support::*;

const JUDGED: &str = "SELECT count(*) FROM state WHERE name = 'judged_until'";

/// A daemon that has judged before: what a new one holds is not told for a minute.
fn started(folder: &Folder, config: &str) -> Daemon {
    let daemon = folder.start(config);
    eventually("it has judged", PATIENCE, || match &*sqlite3(&folder.db(), JUDGED) {
        "1" => Ok(()),
        other => Err(other.to_owned()),
    });
    daemon.stop();
    folder.start(config)
}

fn rule(name: &str, lasts: &str, to: &[String]) -> String {
    format!(
        "[[alert]]\nname = \"{name}\"\nwhen = '{name} > 5'\nfor = \"{lasts}\"\nseverity = \"bad\"\n\
         to = {to:?}\n"
    )
}

/// It is wrong until the daemon ends.
struct Wrong(std::sync::Arc<std::sync::atomic::AtomicBool>);

impl Wrong {
    fn new(address: SocketAddr, name: &str) -> Self {
        let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        let (stopped, line) = (stop.clone(), format!("{{\"key\": \"{name}\", \"value\": 10}}\n"));
        std::thread::spawn(move || {
            while !stopped.load(std::sync::atomic::Ordering::SeqCst) {
                let sent = crate::push::send(address, "POST", "/api/push", &[], line.as_bytes());
                assert_eq!(sent.status, 200, "{sent:?}");
                pause(std::time::Duration::from_millis(300));
            }
        });
        Self(stop)
    }
}

impl Drop for Wrong {
    fn drop(&mut self) {
        self.0.store(true, std::sync::atomic::Ordering::SeqCst);
    }
}

#[test]
fn a_receiver_that_is_down_delays_no_other_and_gets_all_of_it_later() {
    let (down, up) = (Stub::new(), Stub::new());
    let to = [&down, &up].map(|stub| format!("http://127.0.0.1:{}/hook", stub.port));
    let rules = format!("{}{}", rule("first", "0s", &to), rule("second", "0s", &to));
    let folder = Folder::new();
    let daemon = started(&folder, &format!("{FAST}{rules}"));
    down.set(Manner::HangUp);
    let first = Wrong::new(daemon.address(), "first");
    let heard = up.hears("the first at the one that is up", |h| h.title().contains("first"));
    assert!(down.grows(Stub::asked, 0, PATIENCE), "it was tried");
    assert_eq!(down.heard().len(), 0);
    eventually("what it said is shown", PATIENCE, || {
        let said = folder.ask(&["alert"]).well();
        let waits = said.contains("1 changes wait") && said.contains(&format!("{}", down.port));
        if waits { Ok(()) } else { Err(said) }
    });
    // The network is there again; a success elsewhere is the reason to try at once.
    down.set(Manner::Take);
    let second = Wrong::new(daemon.address(), "second");
    let late = down.hears("the first at the one that was down", |h| h.title().contains("first"));
    let last = down.hears("the second behind it", |h| h.body.contains("second"));
    assert!(late.at <= last.at, "in their order");
    let began = |heard: &crate::alert_stub::Heard| heard.json()["alerts"][0]["startsAt"].clone();
    assert_eq!(began(&heard), began(&late), "it began when it began");
    drop((first, second));
    daemon.stop();
}

#[test]
fn a_receiver_that_refuses_keeps_plimsoll_healthy_and_a_test_says_why() {
    let stub = Stub::new();
    let target = format!("http://127.0.0.1:{}/hook", stub.port);
    let folder = Folder::new();
    let daemon = folder.start(&format!("{FAST}[alerts]\nto = \"{target}\"\n"));
    stub.set(Manner::Answer(403));
    let why = folder.ask(&["alert", "test"]).refused();
    assert!(why.contains("403"), "{why}");
    eventually("its words are shown", PATIENCE, || {
        let said = folder.ask(&["alert"]).well();
        if said.contains("refused") && said.contains("403") { Ok(()) } else { Err(said) }
    });
    daemon.stop();
}

#[test]
fn the_address_of_the_heartbeat_is_asked_and_one_that_refuses_is_no_reason_to_restart() {
    let stub = Stub::new();
    let folder = Folder::new();
    let heartbeat = format!("{FAST}[alerts]\nheartbeat = \"http://127.0.0.1:{}", stub.port);
    let daemon = folder.start(&format!("{heartbeat}/one\"\n"));
    stub.hears("a beat", |heard| heard.path == "/one");
    daemon.healthy();
    stub.set(Manner::Answer(404));
    folder.configure(&format!("{heartbeat}/two\"\n"));
    folder.ask(&["reload"]).well();
    let health = eventually("it says so", PATIENCE, || {
        let health = exchange(daemon.address(), "GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n");
        if health.body.contains("heartbeat") { Ok(health) } else { Err(health.body) }
    });
    assert!(health.status == 200 && health.body.contains("\"degraded\""), "{health:?}");
    daemon.stop();
}

/// A fast beat is not judged each time; `for` counts by the time between two looks.
#[test]
fn for_lasts_as_long_as_it_says_at_a_fast_beat() {
    let stub = Stub::new();
    let to = [format!("http://127.0.0.1:{}/hook", stub.port)];
    let folder = Folder::new();
    let daemon = started(&folder, &format!("{FAST}{}", rule("lasting", "9s", &to)));
    let wrong = Wrong::new(daemon.address(), "lasting");
    stub.hears("it fires", |heard| heard.title().contains("lasting"));
    drop(wrong);
    daemon.stop();
}

/// The next beat is an hour away, and without one time is judged each half minute.
#[test]
fn what_is_pushed_is_judged_when_it_is_committed() {
    let stub = Stub::new();
    let to = [format!("http://127.0.0.1:{}/hook", stub.port)];
    let config = "interval = \"1h\"\n[http]\nlisten = \"127.0.0.1:0\"\n";
    let folder = Folder::new();
    let rule = rule("hall", "0s", &to);
    started(&folder, &format!("{FAST}{rule}")).stop();
    let daemon = folder.start(&format!("{config}{rule}"));
    let push = |value: u32| {
        let line = format!("{{\"key\": \"hall\", \"value\": {value}}}\n");
        let sent = crate::push::send(daemon.address(), "POST", "/api/push", &[], line.as_bytes());
        assert_eq!(sent.status, 200, "{sent:?}");
    };
    // What comes within a second after a pass is judged by the next one.
    for value in 1..5 {
        push(value);
    }
    push(10);
    stub.hears("it", |heard| heard.title().contains("hall"));
    daemon.stop();
}
