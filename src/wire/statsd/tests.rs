//! wire: the meaning of statsd lines, by example and by property.

use super::*;
use proptest::prelude::*;

/// The items of a packet as text.
fn said(text: &str) -> Vec<String> {
    let text_of = |b: &[u8]| String::from_utf8_lossy(b).into_owned();
    Items::new(text.as_bytes())
        .map(|item| match item {
            Ok(Item::Metric(m)) => {
                let value = match m.value {
                    Value::Number(n) => format!("{n}"),
                    Value::Delta(n) => format!("{n:+}"),
                    Value::Member(b) => text_of(b),
                };
                let mut out = format!("{} {:?} {value}", text_of(m.name), m.kind);
                if m.rate != 1.0 {
                    out += &format!(" @{}", m.rate);
                }
                if !m.tags.is_empty() {
                    out += &format!(" #{}", text_of(m.tags));
                }
                m.time.map_or(out.clone(), |t| format!("{out} T{t}"))
            }
            Ok(Item::Event(e)) => format!(
                "event {:?} {:?} {:?} {} {} {} #{}",
                unescape(e.title),
                unescape(e.text),
                e.time,
                e.priority.word(),
                e.alert.word(),
                text_of(e.source),
                text_of(e.tags)
            ),
            Ok(Item::Check(c)) => format!(
                "check {} {} {:?} {} #{} {:?}",
                text_of(c.name),
                c.status,
                c.time,
                text_of(c.host),
                text_of(c.tags),
                unescape(c.message)
            ),
            Err(bad) => format!("bad {}", bad.word()),
        })
        .collect()
}

#[test]
fn what_clients_send() {
    for (line, meant) in [
        ("a.b:1|c", "a.b Counter 1"),
        ("a.item:4.6968460083008E-5|ms|@0.25", "a.item Timer 0.000046968460083008 @0.25"),
        (
            "k.count:5969158614627|g|#networkProcessor:2",
            "k.count Gauge 5969158614627 #networkProcessor:2",
        ),
        ("a:-3|c", "a Counter -3"),
        ("a:1.5|c|@0.1", "a Counter 1.5 @0.1"),
        ("a:320|ms", "a Timer 320"),
        ("a:0.25|h|#x:y,bare", "a Timer 0.25 #x:y,bare"),
        ("a:-1|d", "a Timer -1"),
        ("a:3|ms|@0.5|#t:1", "a Timer 3 @0.5 #t:1"),
        ("a:3|ms|#t:1|@0.5", "a Timer 3 @0.5 #t:1"),
        ("a:7|g", "a Gauge 7"),
        ("a:.5|g", "a Gauge 0.5"),
        ("a:+7|g", "a Gauge +7"),
        ("a:-7.5|g", "a Gauge -7.5"),
        ("a:1e3|g", "a Gauge 1000"),
        ("a: 5 |c", "a Counter 5"),
        ("a:5|c ", "a Counter 5"),
        ("a:somebody|s", "a Set somebody"),
        ("a:|s", "a Set "),
        ("a:5|c|#t:v|c:in-123:x|T1656581400", "a Counter 5 #t:v T1656581400"),
        ("a:5|g|T1656581400", "a Gauge 5 T1656581400"),
        ("a:5|c|e:it-false,cn-x|card:low", "a Counter 5"),
        ("a;k=v:5|c", "a;k=v Counter 5"),
        ("a:5|c\r", "a Counter 5"),
        ("a:5|c|#x:y\r", "a Counter 5 #x:y"),
    ] {
        assert_eq!(said(line), [meant], "{line}");
        assert_eq!(said(&format!("{line}\n\n")), [meant], "{line}");
    }
}

#[test]
fn several_values_in_a_line() {
    assert_eq!(
        said("a:1:2.5:3|h|@0.5|#t"),
        ["a Timer 1 @0.5 #t", "a Timer 2.5 @0.5 #t", "a Timer 3 @0.5 #t"]
    );
    assert_eq!(said("a:1|c:2|ms:x|s:-1|g"), ["a Counter 1", "a Timer 2", "a Set x", "a Gauge -1"]);
    assert_eq!(said("a:1|c|@0.1:2|ms"), ["a Counter 1 @0.1", "a Timer 2"]);
    assert_eq!(said("a:1|c:x|ms:3|c"), ["a Counter 1", "bad value", "a Counter 3"]);
    assert_eq!(said("a:1:x:3|h\nb:1|c"), ["bad value", "b Counter 1"]);
    let mut items = Items::new(b"a:1:2|h\n\nb:1|c\nnonsense");
    assert_eq!((items.by_ref().count(), items.lines()), (4, 3));
}

#[test]
fn what_is_refused_and_why() {
    for (line, why) in [
        ("nonsense", "form"),
        ("a:1", "form"),
        (":1|c", "name"),
        ("a:|c", "value"),
        ("a:x|c", "value"),
        ("a:1x|c", "value"),
        ("a:0x10|c", "value"),
        ("a:inf|g", "value"),
        ("a:NaN|g", "value"),
        ("a:1e999|g", "value"),
        ("a:-1|ms", "value"),
        ("a:-1|h", "value"),
        ("a:1|", "type"),
        ("a:1|counter", "type"),
        ("a:1|c|@", "rate"),
        ("a:1|c|@0", "rate"),
        ("a:1|c|@-1", "rate"),
        ("a:1|c|@x", "rate"),
        ("a:1|c|Tsoon", "timestamp"),
        ("a:1|ms|T1656581400", "timestamp"),
        ("_e{3,4}:title|text", "event"),
        ("_e{5,40}:title|text", "event"),
        ("_e{0,4}:|text", "event"),
        ("_e{-1,4}:title|text", "event"),
        ("_e{18446744073709551615,18446744073709551615}:a|b", "event"),
        ("_sc|name|4", "check"),
        ("_sc|name", "check"),
        ("_sc||0", "check"),
        ("_sc|name|00", "check"),
    ] {
        assert_eq!(said(line), [format!("bad {why}")], "{line}");
    }
}

#[test]
fn events_and_checks() {
    assert_eq!(said("_e{5,4}:title|text"), [r##"event "title" "text" None normal info  #"##]);
    assert_eq!(
        said("_e{7,8}:a|b é!|one\\ntwo|d:12|h:web1|p:low|s:cron|t:error|#a:b,c|k:x|c:id"),
        [r##"event "a|b é!" "one\ntwo" Some(12) low error cron #a:b,c"##]
    );
    assert_eq!(
        said("_sc|redis|2|d:5|h:web1|#a:b|m:down | since\\nnoon"),
        [r##"check redis 2 Some(5) web1 #a:b "down | since\nnoon""##]
    );
    assert_eq!(said("_sc|redis|0"), [r##"check redis 0 None  # """##]);
}

#[test]
fn names_and_labels() {
    let clean = |name: &str| {
        let mut out = String::new();
        clean_name(name.as_bytes(), &mut out).map(|()| out)
    };
    assert_eq!(clean("a b\t c/d%e.f-g_h"), Ok("a_b_c-de.f-g_h".to_owned()));
    assert_eq!(clean("größe;k=v"), Ok("gre".to_owned()));
    assert_eq!(clean("%%"), Err(Bad::Name));
    assert_eq!(clean(&"x".repeat(201)), Err(Bad::Name));
    let of = |name: &str, tags: &str| {
        let labels = labels(name.as_bytes(), tags.as_bytes()).expect("labels");
        labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(of("a;b=c;d=e/f", "x:y:z,bare,,b:last"), "b=last bare=true d=e-f x=y:z");
    assert_eq!(
        of("a", "job:x,instance:y,quantile:1"),
        "exported_instance=y exported_job=x exported_quantile=1"
    );
    let many: Vec<String> = (0..65).map(|i| format!("t{i}:v")).collect();
    assert_eq!(labels(b"a", many.join(",").as_bytes()), Err(Bad::Tags));
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for item in Items::new(&bytes) {
            if let Ok(Item::Metric(m)) = item {
                let _ = labels(m.name, m.tags);
                prop_assert!(!m.name.is_empty() && m.rate > 0.0);
            }
        }
    }

    /// Texts made of the characters of lines are understood more often.
    #[test]
    fn no_line_panics_and_each_is_one(text in "[a:|cgmshd@#T0-9.,;=_e{}+\\-\n\r ]{0,80}") {
        let mut items = Items::new(text.as_bytes());
        let found = items.by_ref().count() as u64;
        let lines = text.split('\n').filter(|l| !l.strip_suffix('\r').unwrap_or(l).is_empty()).count() as u64;
        prop_assert_eq!(items.lines(), lines);
        prop_assert!(found >= lines);
    }

    #[test]
    fn what_is_written_is_read(
        name in "[a-z][a-z.]{0,20}",
        value in -1e12f64..1e12,
        kind in prop::sample::select(vec!["c", "d"]),
        rate in prop::option::of(0.001f64..1.0),
        tags in "(#[a-z]:[a-z]{1,3}(,[a-z]){0,3})?",
    ) {
        let mut line = format!("{name}:{value}|{kind}");
        if let Some(rate) = rate {
            line += &format!("|@{rate}");
        }
        if !tags.is_empty() {
            line += &format!("|{tags}");
        }
        let items: Vec<_> = Items::new(line.as_bytes()).collect();
        let Ok(Item::Metric(m)) = items[0] else { panic!("{line}: {items:?}") };
        prop_assert_eq!(items.len(), 1);
        prop_assert_eq!(m.name, name.as_bytes());
        prop_assert_eq!(m.value, Value::Number(value));
        prop_assert_eq!(m.rate, rate.unwrap_or(1.0));
        prop_assert_eq!(m.tags, tags.trim_start_matches('#').as_bytes());
    }

    /// The quick way rounds as the standard library does.
    #[test]
    fn decimals_are_exact(text in "[+-]?[0-9]{0,18}(\\.[0-9]{0,18})?(e[+-]?[0-9]{1,3})?") {
        let read = decimal(text.as_bytes());
        let right = text.parse::<f64>().ok().filter(|n| n.is_finite());
        prop_assert_eq!(read.map(f64::to_bits), right.map(f64::to_bits), "{}", text);
    }
}
