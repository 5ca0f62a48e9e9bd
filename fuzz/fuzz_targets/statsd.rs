//! wire: any bytes as a statsd packet: no panic, every line is an item at least, and what is said
//! twice is understood alike.

#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll::wire::statsd::{Item, Items, Value, clean_name, labels};

fuzz_target!(|data: &[u8]| {
    let mut name = String::new();
    let mut items = Items::new(data);
    let mut count = 0u64;
    for item in items.by_ref() {
        count += 1;
        match item {
            Ok(Item::Metric(m)) => {
                assert!(!m.name.is_empty() && m.rate > 0.0 && m.rate.is_finite());
                if let Value::Number(n) | Value::Delta(n) = m.value {
                    assert!(n.is_finite());
                }
                if clean_name(m.name, &mut name).is_ok() {
                    assert!(!name.is_empty() && name.is_ascii());
                }
                let _ = labels(m.name, m.tags);
            }
            Ok(Item::Event(e)) => assert!(!e.title.is_empty()),
            Ok(Item::Check(c)) => assert!(c.status < 4),
            Err(_) => {}
        }
    }
    assert!(count >= items.lines());
    // A line feed at the end changes nothing: the short way and the long way agree on lines.
    if !data.ends_with(b"\r") {
        let more = [data, b"\n"].concat();
        assert!(Items::new(&more).map(|i| format!("{i:?}")).eq(Items::new(data).map(|i| format!("{i:?}"))));
    }
});
