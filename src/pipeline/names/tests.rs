//! pipeline: which names get a place.

use super::*;
use crate::model::Labels;

fn of(system: Option<&str>, name: &str) -> Identity {
    let identity = Identity::local("json", name, Labels::default());
    Identity { system: system.map(Into::into), ..identity }
}

/// The number of names that a machine got, of this many.
fn flood(names: &Names, system: Option<&str>, how_many: usize) -> usize {
    (0..how_many).filter(|i| names.take(&of(system, &format!("n{i}")), 1, 0).is_ok()).count()
}

#[test]
fn a_cap_that_is_lowered_keeps_what_is_there() {
    let names = Names::new(2);
    assert_eq!(flood(&names, None, 3), 2);
    names.set_most(1);
    assert_eq!(names.take(&of(None, "x"), 1, 0), Err(Full::Names(1)));
    assert_eq!(names.used(), 2);
    names.set_most(3);
    let third = names.take(&of(None, "x"), 1, 0).expect("there is room");
    assert!(names.take(&of(None, "y"), 1, 0).is_err());
    names.give_back([third.clone()]);
    assert_eq!(names.used(), 2);
    names.give_back(vec![third; 9]);
    assert_eq!(names.used(), 0, "there is nothing below none");
}

#[test]
fn a_newcomer_finds_room_however_much_the_others_bring() {
    let names = Names::new(20_000);
    assert_eq!(flood(&names, Some("noisy"), 50_000), 12_500, "half, and a quarter is in reserve");
    let (refused, why) = names.refused();
    assert_eq!(refused, 37_500);
    let why = why.expect("a reason").to_string();
    assert!(why.starts_with("one name too many from noisy: it has 12500, and only 12500"), "{why}");
    assert_eq!(flood(&names, None, 50_000), 7_500, "this machine's own senders leave the reserve");
    assert!(matches!(names.refused().1, Some(Full::Names(20_000))));
    for host in 0..15 {
        let host = format!("web{host}");
        assert_eq!(flood(&names, Some(&host), 250), 250, "{host}");
    }
    let largest = names.largest(2);
    assert_eq!(largest, [("noisy".into(), 12_500), ("this machine".into(), 7_500)]);
}

#[test]
fn this_machine_s_senders_alone_may_take_all_places() {
    let names = Names::new(20_000);
    assert_eq!(flood(&names, None, 50_000), 20_000);
    assert_eq!(flood(&names, Some("web1"), 250), 250, "others find room all the same");
}

#[test]
fn a_fleet_of_machines_alike_gets_nearly_all_places() {
    let names = Names::new(20_000);
    let whole = (0..200).filter(|h| flood(&names, Some(&format!("h{h}")), 250) == 250).count();
    assert!((95..=100).contains(&whole), "{whole} machines have all of their 250 names");
}

#[test]
fn what_the_file_has_keeps_its_place_over_a_restart() {
    let names = Names::new(100);
    let keys: Vec<String> = (0..60).map(|i| format!("n{i}")).collect();
    let found = |key| Found { system: Some("web1"), job: "json", key, counts: true };
    names.found(keys.iter().map(|key| found(key.as_str())));
    assert_eq!((names.used(), flood(&names, Some("web1"), 60), names.used()), (60, 60, 60));
    // None of these was there: web1 gets as many as it leaves.
    let more = (60..200).filter(|i| names.take(&of(Some("web1"), &format!("n{i}")), 1, 0).is_ok());
    assert_eq!(more.count(), 3);
    assert!(names.take(&of(Some("web2"), "n1"), 1, 0).is_ok());
    assert_eq!(names.used(), 64);
    names.free_unsent();
    assert_eq!(names.used(), 64, "all were sent");
    names.found((0..20).map(|_| found("another")));
    assert_eq!(names.used(), 65);
    names.free_unsent();
    assert_eq!(names.used(), 64);
}

#[test]
fn long_names_are_bounded_by_what_they_take() {
    let long = |i: usize| {
        let labels = (0..63).map(|l| (format!("{i:0>180}{l}"), "v".repeat(990)));
        Identity::local("json", "long", Labels::new(labels.collect::<Vec<_>>()))
    };
    let names = Names::new(20_000);
    let taken = (0..1_000).filter(|i| names.take(&long(*i), 1, 0).is_ok()).count();
    assert!((100..130).contains(&taken), "8 MiB of text in memory: {taken}");
    let names = Names::new(20_000);
    names.in_file(6 << 20, 0, 8 << 20);
    let taken = (0..1_000).filter(|i| names.take(&long(*i), 1, 0).is_ok()).count();
    assert!((5..10).contains(&taken), "2 MiB of the file, four times the text: {taken}");
    assert!(matches!(names.refused().1, Some(Full::File(..))));
    // A name that is in the file now is not counted twice.
    names.in_file(7 << 20, 2 << 20, 16 << 20);
    assert!(names.take(&long(2_000), 1, 0).is_ok());
}

#[test]
fn one_machine_too_many_is_refused_and_those_that_are_known_go_on() {
    let names = Names::new(20_000);
    let of_machine = |i: u64, name: &str| of(Some(&format!("m{i}")), name);
    let of_it = |i| names.take(&of_machine(i, "a"), 1, 0);
    let mut last = None;
    for i in 0..MAX_MACHINES {
        last = of_it(i).ok();
        assert!(last.is_some(), "{i}");
    }
    let refused = of_it(MAX_MACHINES).expect_err("one machine too many");
    assert_eq!(refused, Full::Machines(MAX_MACHINES));
    assert!(refused.to_string().starts_with("one machine too many: values of 1000 machines"));
    assert_eq!(names.refused(), (1, Some(refused)), "counted, and told on the board");
    assert!(names.take(&of_machine(7, "b"), 1, 0).is_ok(), "a machine that is known goes on");
    assert!(names.take(&of(None, "b"), 1, 0).is_ok(), "so does this one");
    // A machine whose only name was rolled back makes room for another.
    names.give_back(last);
    assert!(of_it(MAX_MACHINES).is_ok());
    assert!(of_it(MAX_MACHINES + 1).is_err());

    // After a restart the machines of the file are the ones that are known.
    let names = Names::new(20_000);
    let all: Vec<String> = (0..MAX_MACHINES).map(|i| format!("m{i}")).collect();
    names.found(all.iter().map(|m| Found { system: Some(m), job: "json", key: "a", counts: true }));
    assert!(names.take(&of_machine(7, "c"), 1, 0).is_ok());
    assert!(names.take(&of_machine(MAX_MACHINES, "a"), 1, 0).is_err());
}

#[test]
fn the_name_of_a_machine_counts_as_text() {
    let text = |system| file_bytes_of(&of(system, "load"), 0).1;
    assert_eq!((text(None), text(Some("web1"))), (4, 8));
}
