//! plugin: the state of counters as text, so that a counter that has wrapped continues after a
//! restart of plimsoll. Text and numbers; no files here.
//!
//! One line for each counter: graph, field, time of the last reading (ms since 1970 UTC), value
//! from the plugin, and difference from there to the stored value.

use std::collections::HashMap;
use std::fmt::Write;

/// The largest number of lines; a plugin has fewer fields.
const MOST: usize = 10_000;

/// The state of one counter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Stood {
    pub(super) ts: i64,
    pub(super) told: f64,
    pub(super) offset: f64,
}

/// States by graph and field.
pub(super) type Memory = HashMap<(Box<str>, Box<str>), Stood>;

pub(super) fn write_line(out: &mut String, graph: &str, field: &str, stood: Stood) {
    let Stood { ts, told, offset } = stood;
    // Numbers are written so that they come back bit for bit.
    let _unused = writeln!(out, "{graph} {field} {ts} {told:?} {offset:?}");
}

/// Reads the lines. A line that cannot be read is skipped, and its counter begins again.
pub(super) fn read(text: &str) -> Memory {
    let line = |line: &str| {
        let mut words = line.split(' ');
        let (graph, field) = (words.next()?, words.next()?);
        let ts = words.next()?.parse().ok()?;
        let mut number = || words.next()?.parse().ok().filter(|n: &f64| n.is_finite());
        let (told, offset) = (number()?, number()?);
        Some(((graph.into(), field.into()), Stood { ts, told, offset }))
    };
    text.lines().take(MOST).filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_comes_back_and_damage_costs_a_line() {
        let stood = Stood { ts: 1_700_000_000_000, told: 4_294_967_295.0, offset: 4_294_967_296.1 };
        let mut text = String::new();
        write_line(&mut text, "if_eth0", "down", stood);
        text.push_str("if_eth0 up 17 nan 0\nhalf a li\n\u{0}\n");
        write_line(&mut text, "if_eth0.x", "up", Stood { offset: -0.5, ..stood });
        let memory = read(&text);
        assert_eq!(memory.len(), 2);
        assert_eq!(memory[&("if_eth0".into(), "down".into())], stood);
        assert_eq!(memory[&("if_eth0.x".into(), "up".into())].offset, -0.5);
    }
}
