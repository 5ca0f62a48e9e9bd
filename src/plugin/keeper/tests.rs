//! plugin: answers in which two values would be one, or in which several things are wrong.

use super::*;
use crate::plugin::End;

struct Rig {
    registry: Arc<Registry>,
    keeper: Keeper,
}

fn answer(text: &str) -> Output {
    let stdout = text.as_bytes().to_vec();
    Output { stdout, stderr: Vec::new(), end: End::Exited(0), took_ms: 1 }
}

impl Rig {
    fn new(plugin: &str, kind: Kind) -> Self {
        let registry = Arc::new(Registry::default());
        let keeper = Keeper::new(Arc::clone(&registry), Arc::default(), plugin, None, Some(kind));
        Self { registry, keeper }
    }

    fn munin(config: &str) -> Self {
        let mut rig = Self::new("p", Kind::Munin);
        rig.keeper.describe(&answer(config)).expect("described");
        rig
    }

    /// The stored values, the ended series, and the faults of a run.
    fn run(&mut self, ts: i64, text: &str) -> (Vec<(String, f64)>, Vec<String>, String) {
        let said = self.keeper.values(&answer(text), ts).expect("values");
        let name = |s: &SeriesRef| {
            let id = self.registry.get(*s).expect("known").identity.clone();
            format!("{}:{}", id.job, id.key())
        };
        let mut values: Vec<_> = said.values.iter().map(|(s, v)| (name(s), *v)).collect();
        values.sort_by(|a, b| a.0.cmp(&b.0));
        (values, said.ended.iter().map(name).collect(), said.faults.to_string())
    }
}

fn stored(fields: &[(&str, f64)]) -> Vec<(String, f64)> {
    fields.iter().map(|(f, v)| (format!("munin:munin_p{{field=\"{f}\"}}"), *v)).collect()
}

#[test]
fn fields_that_munin_would_call_alike_are_each_themselves() {
    let config = "graph_title T\ngraph_order 5thhost 4thhost\n4thhost.label a\n5thhost.label b\n\
        a-b.label c\na_b.label d\nx.y.label no\n6th.label e\n4thhost.negative 5thhost\n6th.cdef 6th,8,*\n";
    let mut rig = Rig::munin(config);
    let text = "5thhost.value 5\n4thhost.value 4\na-b.value 1\na_b.value 2\n6th.value 6\n";
    let (values, ended, wrong) = rig.run(1_000, text);
    let all = [("4thhost", 4.0), ("5thhost", 5.0), ("_th", 6.0), ("a-b", 1.0), ("a_b", 2.0)];
    assert_eq!((values, ended, &*wrong), (stored(&all), Vec::new(), ""));
    let graph = &rig.keeper.graphs()[0];
    let names: Vec<&str> = graph.fields.iter().map(|f| &*f.name).collect();
    assert_eq!(names[..2], ["5thhost", "4thhost"], "in the order that the plugin wants");
    assert_eq!(&*graph.fields[1].negative, "5thhost");
    assert_eq!(&*graph.fields[0].series, "munin_p{field=\"5thhost\"}");
}

#[test]
fn a_name_that_becomes_another_one_ends_its_series() {
    let mut rig = Rig::munin("graph_title T\n4thhost.label a\n");
    assert_eq!(rig.run(1_000, "4thhost.value 4\n").0, stored(&[("_thhost", 4.0)]));
    let two = "graph_title T\n4thhost.label a\n5thhost.label b\n";
    rig.keeper.describe(&answer(two)).expect("described");
    let (values, ended, _) = rig.run(2_000, "4thhost.value 4\n5thhost.value 5\n");
    assert_eq!(values, stored(&[("4thhost", 4.0), ("5thhost", 5.0)]));
    assert_eq!(ended, ["munin:munin_p{field=\"_thhost\"}"]);
    // And back.
    rig.keeper.describe(&answer("graph_title T\n4thhost.label a\n")).expect("described");
    assert_eq!(rig.run(3_000, "4thhost.value 4\n").0, stored(&[("_thhost", 4.0)]));
}

#[test]
fn one_field_in_two_spellings_is_one_and_two_values_are_told() {
    let mut rig = Rig::munin("graph_title T\na_b.label a\nother.label o\n");
    let (values, _, wrong) = rig.run(1_000, "a-b.value 1\nother.value 2\n");
    assert_eq!((values, &*wrong), (stored(&[("a_b", 1.0), ("other", 2.0)]), ""));
    let (values, _, wrong) =
        rig.run(2_000, "a-b.value 1\na.b.value 3\na_b.value 2\nother.value 2\n");
    assert_eq!(values, stored(&[("a_b", 1.0), ("other", 2.0)]));
    assert!(wrong.contains("line 3 of its answer: `a_b` has a value already"), "{wrong}");
    // Equal values, and values of several times, are not faults.
    let (values, _, wrong) =
        rig.run(9_000, "a_b.value 1\na_b.value 1\nother.value 5:1\nother.value 6:2\n");
    assert_eq!((values.len(), &*wrong), (4, ""));
}

#[test]
fn a_spelling_that_fits_two_fields_is_told() {
    let mut rig = Rig::munin("graph_title T\na-b.label a\na_b.label b\n");
    let (values, _, wrong) = rig.run(1_000, "a-b.value 1\na+b.value 2\nnew.value 3\n");
    assert_eq!(values, stored(&[("a-b", 1.0)]));
    assert_eq!(wrong, "`a+b` could be one of several fields of `config`");
}

#[test]
fn every_fault_of_an_answer_is_told_up_to_a_few() {
    let mut rig = Rig::munin("graph_title T\na.label a\nb.label b\nc.label c\n");
    let (values, _, wrong) = rig.run(1_000, "a.value x\nb.value 2\nc.value 0,5\n");
    assert_eq!(values, stored(&[("b", 2.0)]));
    assert!(wrong.contains("line 1") && wrong.contains("line 3"), "{wrong}");
    let many: String = (0..50).map(|n| format!("a.value x{n}\n")).collect();
    let (.., wrong) = rig.run(2_000, &many);
    assert!(wrong.ends_with("; and 45 more"), "{wrong}");
}

#[test]
fn a_key_with_two_values_is_told_and_the_first_is_taken() {
    let mut rig = Rig::new("p", Kind::Simple);
    let (values, _, wrong) = rig.run(1_000, "a 1\na: 2\nb 3\nb 3\nno\nneither\n");
    assert_eq!(values[0], ("munin:munin_p{field=\"a\"}".to_owned(), 1.0));
    for part in ["`a` is there twice", "line 5", "line 6"] {
        assert!(wrong.contains(part), "{part}: {wrong}");
    }
    assert!(!wrong.contains("`b`"), "{wrong}");
    let (values, _, wrong) = rig.run(2_000, r#"{"a": {"b": 1}, "a.b": 2}"#);
    assert_eq!(values, stored(&[("a.b", 1.0)]));
    assert!(wrong.contains("`a.b` is there twice"), "{wrong}");
}

#[test]
fn labels_of_a_check_that_are_alike_are_told() {
    let mut rig = Rig::new("p", Kind::Nagios);
    let text = "X OK | status=7 a=1;5 a=2 a.warning_max=9 b=x 'c'=";
    let (values, _, wrong) = rig.run(1_000, text);
    assert_eq!(values, stored(&[("a", 1.0), ("a.warning_max", 5.0), ("status", 0.0)]));
    for part in
        ["called `status`", "called `a`", "called `a.warning_max`", "`b` has no", "`c` has no"]
    {
        assert!(wrong.contains(part), "{part}: {wrong}");
    }
}

#[test]
fn two_exporters_are_two_jobs() {
    let text = "# TYPE go_goroutines gauge\ngo_goroutines 5\nup{job=\"x\",instance=\"y\"} 1\n";
    for (plugin, job) in [("redis", "redis"), ("mysqld", "mysqld"), ("node", "exported_node")] {
        let mut rig = Rig::new(plugin, Kind::Simple);
        assert_eq!(rig.keeper.job(), None, "nobody knows yet");
        let (values, ..) = rig.run(1_000, text);
        let up = format!("{job}:up{{exported_instance=\"y\",exported_job=\"x\"}}");
        assert_eq!(values, [(format!("{job}:go_goroutines"), 5.0), (up, 1.0)]);
        assert_eq!(rig.keeper.job(), Some(job));
        let (values, _, wrong) = rig.run(2_000, "# TYPE a gauge\na 1\na 2\n");
        assert_eq!(
            (values, &*wrong),
            (vec![(format!("{job}:a"), 1.0)], "`a` is there twice, with two values")
        );
    }
    // Also when values of another time lie between them.
    let mut rig = Rig::new("p", Kind::Simple);
    let (values, _, wrong) = rig.run(3_000, "# TYPE a gauge\na 5\na 2 0\na 6\na 3 0\na 7 1\n");
    assert_eq!(values.iter().map(|(_, value)| *value).collect::<Vec<_>>(), [5.0, 2.0, 7.0]);
    assert!(wrong.contains("`a` is there twice"), "{wrong}");
    // Values without own names stay as they were.
    let mut rig = Rig::new("p", Kind::Simple);
    assert_eq!((rig.run(1_000, "x 1\n").0, rig.keeper.job()), (stored(&[("x", 1.0)]), None));
}
