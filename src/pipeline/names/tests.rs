//! pipeline: who gets a place, and who does not.

use super::*;
use crate::model::Labels;

fn of(system: Option<&str>, name: &str) -> Identity {
    let identity = Identity::local("json", name, Labels::default());
    Identity { system: system.map(Into::into), ..identity }
}

/// How many of so many names a machine got.
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
    assert_eq!(flood(&names, Some("noisy"), 50_000), 10_000);
    let (refused, why) = names.refused();
    assert_eq!(refused, 40_000);
    let why = why.expect("a reason").to_string();
    assert!(why.starts_with("one name too many from noisy: it has 10000, and only 10000"), "{why}");
    assert_eq!(flood(&names, None, 50_000), 5_000, "nor can this machine's own senders");
    for host in 0..10 {
        let host = format!("web{host}");
        assert_eq!(flood(&names, Some(&host), 250), 250, "{host}");
    }
    let largest = names.largest(2);
    assert_eq!(largest, [("noisy".into(), 10_000), ("this machine".into(), 5_000)]);
}

#[test]
fn a_fleet_of_machines_alike_gets_nearly_all_places() {
    let names = Names::new(20_000);
    let whole = (0..100).filter(|h| flood(&names, Some(&format!("h{h}")), 250) == 250).count();
    assert_eq!(whole, 80);
}

#[test]
fn what_the_file_has_keeps_its_place_over_a_restart() {
    let names = Names::new(100);
    let keys: Vec<String> = (0..60).map(|i| format!("n{i}")).collect();
    let found = |key| Found { system: Some("web1"), job: "json", key, counts: true };
    names.found(keys.iter().map(|key| found(key.as_str())));
    assert_eq!((names.used(), flood(&names, Some("web1"), 60), names.used()), (60, 60, 60));
    // None of these was there, and web1 has more than are left.
    assert!(names.take(&of(Some("web1"), "another"), 1, 0).is_err());
    assert!(names.take(&of(Some("web2"), "n1"), 1, 0).is_ok());
    assert_eq!(names.used(), 61);
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
    // What is in the file now is not counted twice.
    names.in_file(7 << 20, 2 << 20, 16 << 20);
    assert!(names.take(&long(2_000), 1, 0).is_ok());
}
