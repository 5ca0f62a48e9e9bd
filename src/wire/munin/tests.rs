//! wire: Munin's formats, as its documentation and its plugins have them.

use proptest::prelude::*;

use super::*;
use crate::model::{Kind, Range};

fn range(min: Option<f64>, max: Option<f64>) -> Range {
    Range { min, max }
}

fn one(line: &str) -> Result<Line<'_>, String> {
    lines(line.as_bytes()).next().expect("a line").1
}

fn value(field: &str, time: Time, value: Option<f64>) -> Line<'_> {
    Line::Value { field, reading: Reading { time, value } }
}

#[test]
fn values_as_plugins_print_them() {
    for (text, want) in [
        ("load.value 0.5", value("load", Time::Now, Some(0.5))),
        ("load.value  -1.5e+3\r", value("load", Time::Now, Some(-1500.0))),
        ("load.value U", value("load", Time::Now, None)),
        ("load.value nan", value("load", Time::Now, None)),
        ("load.value 1700000000:7", value("load", Time::At(1_700_000_000_000), Some(7.0))),
        ("load.value 1700000000:U", value("load", Time::At(1_700_000_000_000), None)),
        ("load.value N:7", value("load", Time::Now, Some(7.0))),
        ("multigraph if_eth0.child", Line::Graph("if_eth0.child")),
        ("graph_title A title", Line::Global { name: "graph_title", value: "A title" }),
        ("a.info x . y", Line::Attribute { field: "a", name: "info", value: "x . y" }),
    ] {
        assert_eq!(one(text), Ok(want), "{text}");
    }
    for bad in [
        "load.value",
        "load.value x",
        "load.value 1 2",
        "load",
        ".value 1",
        "a.label",
        "multigraph",
        "multigraph a b",
        "load.value x:1",
        "load.value 1e400",
        "a.val\0ue 1",
        "load.value 1e30:5",
    ] {
        assert!(one(bad).is_err(), "{bad}");
    }
}

#[test]
fn lines_that_are_no_text_cost_themselves_only() {
    let text = b"\n# a remark\na.value 1\n\xff\xfe.value 2\n\nb.value 3";
    let found: Vec<(usize, bool)> = lines(text).map(|(n, l)| (n, l.is_ok())).collect();
    assert_eq!(found, [(3, true), (4, false), (6, true)]);
}

const CONFIG: &str = "\
graph_title Traffic of eth0
graph_order down up
graph_vlabel bits in (-) / out (+) per ${graph_period}
graph_category Network
graph_args --base 1000
up.label bps
up.type DERIVE
up.min 0
up.max 1000000000
up.negative down
up.cdef up,8,*
up.warning 800000
up.critical 5:900000
down.label received
down.type COUNTER
down.graph no
down.cdef down,8,*
down.colour 00FF00
new-field.label with a dash
graph_nonsense is fine
bad.type SPEED
bad.min x
update_rate 60
";

#[test]
fn a_graph_with_everything() {
    let config = Described::read("if_eth0", CONFIG.as_bytes());
    assert!(config.is_munin() && !config.values);
    assert_eq!(config.update_rate, Some(60_000));
    assert_eq!(config.faults.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [21, 22]);
    let graph = config.graphs[0].graph("if_eth0");
    assert_eq!((&*graph.id, &*graph.title), ("munin/if_eth0", "Traffic of eth0"));
    assert_eq!((&*graph.category, &*graph.args), ("network", "--base 1000"));
    assert_eq!(&*graph.unit, "bits in (-) / out (+) per second");
    let names: Vec<&str> = graph.fields.iter().map(|f| &*f.name).collect();
    assert_eq!(names, ["down", "up", "new_field", "bad"]);
    let up = &graph.fields[1];
    assert_eq!(&*up.series, r#"munin_if_eth0{field="up"}"#);
    assert_eq!(&*up.query, r#"rate(munin_if_eth0{field="up"}[5m]) * 8"#);
    assert_eq!((up.kind, &*up.negative, up.drawn), (Kind::Counter, "down", true));
    assert_eq!(up.warning, range(None, Some(800_000.0)));
    assert_eq!(up.critical, range(Some(5.0), Some(900_000.0)));
    assert_eq!((graph.fields[0].drawn, &*graph.fields[0].colour), (false, "00ff00"));
}

/// Munin's master replaces the period in every text that it shows, and so does the reader of
/// `config`.
#[test]
fn the_period_stands_in_every_text() {
    let text = "graph_title Forks per ${graph_period}\ngraph_vlabel forks / ${graph_period}\n\
                graph_info Counted by ${graph_period}.\nforks.label per ${graph_period}\n\
                forks.info In a ${graph_period}.\n";
    for (period, word) in [("", "second"), ("graph_period minute\n", "minute")] {
        let config = Described::read("forks", format!("{text}{period}").as_bytes());
        let graph = config.graphs[0].graph("forks");
        let field = &graph.fields[0];
        assert_eq!(&*graph.title, format!("Forks per {word}"));
        assert_eq!(&*graph.unit, format!("forks / {word}"));
        assert_eq!(&*graph.info, format!("Counted by {word}."));
        assert_eq!(
            (&*field.label, &*field.info),
            (&*format!("per {word}"), &*format!("In a {word}."))
        );
        // The series have the same unit and help.
        assert_eq!(config.graphs[0].unit, format!("forks / {word}"));
        assert_eq!(config.graphs[0].fields[0].info, format!("In a {word}."));
    }
}

#[test]
fn multigraphs_and_dirtyconfig() {
    let text = "multigraph disk_latency\ngraph_title Latency\nsda.label sda\nsda.value 3\n\
        multigraph disk_latency.sda\ngraph_title Of sda\nread.label r\nread.value 4\n";
    let config = Described::read("diskstats", text.as_bytes());
    assert!(config.values);
    let names: Vec<&str> = config.graphs.iter().map(|g| &*g.name).collect();
    assert_eq!(names, ["disk_latency", "disk_latency.sda"]);
    let graph = config.graphs[1].graph("diskstats");
    assert_eq!(&*graph.id, "munin/diskstats/disk_latency.sda");
    let series = r#"munin_diskstats{field="read",graph="disk_latency.sda"}"#;
    assert_eq!(&*graph.fields[0].series, series);
    assert!(config.find("disk_latency.sda", "read").is_some());
    assert!(config.find("disk_latency", "read").is_none());
}

#[test]
fn what_can_fall_is_no_counter() {
    for (lines, kind) in [
        ("a.type GAUGE", Kind::Gauge),
        ("a.type DERIVE", Kind::Gauge),
        ("a.type DERIVE\na.min -5", Kind::Gauge),
        ("a.type derive\na.min 0", Kind::Counter),
        ("a.type COUNTER", Kind::Counter),
        ("a.type ABSOLUTE", Kind::Counter),
    ] {
        let config = Described::read("p", lines.as_bytes());
        assert_eq!(config.graphs[0].fields[0].series_kind(), kind, "{lines}");
    }
}

#[test]
fn names() {
    for (name, is) in [
        ("if_eth0.100", true),
        ("a@b:c-d", true),
        (".hidden", false),
        ("x.conf", false),
        ("x.dpkg-old", false),
        ("a b", false),
        ("x~", false),
        ("", false),
    ] {
        assert_eq!(is_plugin_name(name), is, "{name}");
    }
    assert_eq!(clean_field("sda-1.x"), "sda_1_x");
    assert_eq!(clean_field("1min"), "_min");
    let key = |p, g, f| identity(p, g, f).key();
    assert_eq!(key("df", "df", "_dev_sda1"), r#"munin_df{field="_dev_sda1"}"#);
    assert_eq!(
        key("if_eth0.1", "if_eth0.1", "up"),
        r#"munin_if_eth0_1{field="up",plugin="if_eth0.1"}"#
    );
}

#[test]
fn ranges() {
    for (text, want) in [
        ("90", range(None, Some(90.0))),
        (":90", range(None, Some(90.0))),
        ("10:", range(Some(10.0), None)),
        ("10:90", range(Some(10.0), Some(90.0))),
        ("-5:-1.5", range(Some(-5.0), Some(-1.5))),
        (":", Range::default()),
    ] {
        assert_eq!(parse_range(text), Ok(want), "{text}");
    }
    assert!(parse_range("ninety").is_err());
    assert!(parse_range("1:2:3").is_err());
    let both = range(Some(10.0), Some(90.0));
    // Strictly below, strictly above.
    assert!(both.holds(10.0) && both.holds(90.0) && both.holds(f64::NAN));
    assert!(!both.holds(9.99) && !both.holds(90.01));
}

#[test]
fn rates() {
    for (text, ms) in [
        ("60", Some(60_000)),
        ("1m aligned", Some(60_000)),
        ("300s", Some(300_000)),
        ("1h", Some(3_600_000)),
        ("0", None),
        ("often", None),
        ("9999999999999999999", None),
        ("999999999d", None),
    ] {
        assert_eq!(update_rate(text), ms, "{text}");
    }
}

#[test]
fn arithmetic() {
    let eval =
        |text: &str| Cdef::parse(text).map(|c| c.eval(|f| if f == "a" { 6.0 } else { f64::NAN }));
    assert_eq!(eval("a,8,*"), Ok(48.0));
    assert_eq!(eval("a,2,-,4,/"), Ok(1.0));
    assert_eq!(eval("a,4,%"), Ok(2.0));
    assert_eq!(eval("a,5,GT,1,2,IF"), Ok(1.0));
    assert_eq!(eval("b,UN,0,b,IF"), Ok(0.0));
    assert_eq!(eval("b,UN,0,a,IF"), Ok(0.0));
    assert_eq!(eval("a,b,ADDNAN"), Ok(6.0));
    assert_eq!(eval("1,a,EXC,-"), Ok(5.0));
    assert_eq!(eval("a,DUP,+"), Ok(12.0));
    assert_eq!(eval("7,a,POP"), Ok(7.0));
    assert_eq!(eval("a,-1,*,ABS"), Ok(6.0));
    assert_eq!(eval("a,9,MIN,3,MAX"), Ok(6.0));
    for bad in ["", "a,b", "+", "a,+", "a,PREV,NOSUCH(", "1e999"] {
        assert!(Cdef::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn arithmetic_as_promql() {
    let promql = |text: &str| {
        let field = |f: &str| (f != "other").then(|| format!("m{{f=\"{f}\"}}"));
        Cdef::parse(text).expect("a cdef").promql(field)
    };
    assert_eq!(promql("a,8,*").as_deref(), Some("m{f=\"a\"} * 8"));
    assert_eq!(promql("a").as_deref(), Some("m{f=\"a\"}"));
    assert_eq!(
        promql("a,b,+,2,/").as_deref(),
        Some("(m{f=\"a\"} + ignoring(field) m{f=\"b\"}) / 2")
    );
    assert_eq!(
        promql("a,1,+,b,2,+,*").as_deref(),
        Some("(m{f=\"a\"} + 1) * ignoring(field) (m{f=\"b\"} + 2)")
    );
    assert_eq!(promql("a,UN,0,a,IF"), None);
    assert_eq!(promql("other,8,*"), None);
}

#[test]
fn the_more_specific_section_wins_key_by_key() {
    let mut file = SettingsFile::default();
    let first = "# all\n[*]\ntimeout 5\nuser nobody\n[if_*]\nuser munin\nenv.a 1\nenv.b 1\n\
        [if_eth*]\nenv.b 2\ngroup adm, (optional)\n[*_eth0]\nenv.c 9\nuser other\n[if_eth0]\nenv.d # none\n";
    assert_eq!(file.read(first), []);
    // A later file overrides an earlier one, for the same section.
    assert_eq!(file.read("[if_eth*]\nenv.b 3\nhost_name a\\#b # x\ncommand ssh x -- %c\n"), []);
    let found = file.of("if_eth0");
    assert_eq!(found.user.as_deref(), Some("munin"));
    assert_eq!(found.timeout, Some(5));
    let env: Vec<(&str, &str)> = found.env.iter().map(|(k, v)| (&**k, &**v)).collect();
    assert_eq!(env, [("a", "1"), ("b", "3"), ("c", "9"), ("d", "")]);
    assert_eq!(found.groups, Some(vec![("adm".into(), false), ("optional".into(), true)]));
    assert_eq!(found.host_name.as_deref(), Some("a#b"));
    assert_eq!(found.command, Some(["ssh", "x", "--", "%c"].map(str::to_owned).to_vec()));
    assert_eq!(file.of("cpu").user.as_deref(), Some("nobody"));
}

#[test]
fn settings_that_are_wrong_are_told_by_line() {
    let mut file = SettingsFile::default();
    let faults = file.read("user x\n[a b]\nuser y\n[ok]\ntimeout soon\nuser\nshell zsh\nenv.= 1\n");
    let lines: Vec<usize> = faults.iter().map(|f| f.line).collect();
    assert_eq!(lines, [1, 2, 3, 5, 6, 7, 8]);
    assert_eq!(file.of("ok"), PluginSettings::default());
}

proptest! {
    #[test]
    fn any_bytes_end_in_lines(text in prop::collection::vec(any::<u8>(), 0..300)) {
        let config = Described::read("p", &text);
        for graph in &config.graphs {
            let made = graph.graph("p");
            prop_assert!(made.fields.len() == graph.fields.len());
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        let mut file = SettingsFile::default();
        file.read(&text);
        file.of("p");
        if let Ok(cdef) = Cdef::parse(&text) {
            cdef.eval(|_| 1.0);
        }
    }

    #[test]
    fn values_read_back(field in "[a-z_][a-z0-9_]{0,8}", v in -1e15..1e15f64, s in 1..4_000_000_000i64) {
        let text = format!("{field}.value {v}\n{field}.value {s}:{v}");
        let read: Vec<_> = lines(text.as_bytes()).map(|(_, l)| l).collect();
        prop_assert_eq!(&read[0], &Ok(value(&field, Time::Now, Some(v))));
        prop_assert_eq!(&read[1], &Ok(value(&field, Time::At(s * 1000), Some(v))));
    }

    #[test]
    fn promql_of_a_cdef_comes_to_the_same(steps in prop::collection::vec(0..6u8, 1..12)) {
        // Arithmetic is written with its brackets in the right places. The query room's own parser
        // checks the tree that PromQL reads.
        let words = ["a", "b", "2", "+", "*", "-"];
        let text: Vec<&str> = steps.iter().map(|s| words[usize::from(*s)]).collect();
        if let Ok(cdef) = Cdef::parse(&text.join(",")) {
            let written = cdef.promql(|f| Some(f.to_owned())).expect("arithmetic");
            prop_assert_eq!(
                written.matches('(').count() - written.matches("ignoring(").count(),
                written.matches(')').count() - written.matches("ignoring(").count()
            );
        }
    }
}
