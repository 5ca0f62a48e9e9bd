//! wire: RRD files that no rrdtool wrote. Those that it did are in `tests/history/`.

use super::*;

fn word(out: &mut Vec<u8>, text: &str, room: usize) {
    let start = out.len();
    out.extend(text.as_bytes());
    out.resize(start + room, 0);
}

/// That of this kind of machine.
const HEAD: usize = 128;
const RRA: usize = 120;

fn file() -> Vec<u8> {
    file_of(layout::HERE)
}

/// A structure of C in memory: each part is aligned to its own size, or to that of the machine. It
/// is written beside the reader, so that it does not copy its arithmetic.
struct Memory {
    of: Layout,
    bytes: Vec<u8>,
}

impl Memory {
    fn on(&mut self, multiple: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(multiple), 0);
    }

    fn number(&mut self, n: u64, width: usize) {
        self.on(width.min(self.of.align));
        let (big, little) = (n.to_be_bytes(), n.to_le_bytes());
        self.bytes.extend(if self.of.big { &big[8 - width..] } else { &little[..width] });
    }

    fn float(&mut self, v: f64) {
        self.on(self.of.align);
        self.bytes.extend(if self.of.big { v.to_be_bytes() } else { v.to_le_bytes() });
    }

    fn parameters(&mut self, first: &[f64]) {
        self.on(self.of.align);
        let end = self.bytes.len() + 80;
        first.iter().for_each(|v| self.float(*v));
        self.bytes.resize(end, 0);
    }
}

/// One source, one archive of four rows, the third of which is the newest.
fn file_of(of: Layout) -> Vec<u8> {
    let mut out = Memory { of, bytes: Vec::new() };
    word(&mut out.bytes, "RRD\0", 4);
    word(&mut out.bytes, "0003", 5);
    out.float(layout::FLOAT_COOKIE);
    for n in [1, 1, 300] {
        out.number(n, of.long);
    }
    out.parameters(&[]);
    word(&mut out.bytes, "42", WORD);
    word(&mut out.bytes, "GAUGE", WORD);
    out.parameters(&[f64::from_bits(600), 0.0, f64::NAN]);
    word(&mut out.bytes, "AVERAGE", WORD);
    out.number(4, of.long);
    out.number(6, of.long);
    out.parameters(&[]);
    out.number(1_700_000_123, of.time);
    out.number(0, of.long);
    out.on(of.time.min(of.align));
    word(&mut out.bytes, "17.5", 30);
    out.on(4);
    out.parameters(&[]);
    out.parameters(&[]);
    out.number(2, of.long);
    for value in [2.0, 3.0, f64::NAN, 1.0] {
        // Rows are written without any alignment.
        let bytes = if of.big { value.to_be_bytes() } else { f64::to_le_bytes(value) };
        out.bytes.extend(bytes);
    }
    out.bytes
}

/// x86_64, s390x, a Raspberry Pi with 4 and with 8 bytes of time, i386 likewise, PowerPC.
fn layouts() -> Vec<Layout> {
    let of = |big, long, time, align| Layout { big, long, time, align };
    vec![
        of(false, 8, 8, 8),
        of(true, 8, 8, 8),
        of(false, 4, 4, 8),
        of(false, 4, 8, 8),
        of(false, 4, 4, 4),
        of(false, 4, 8, 4),
        of(true, 4, 4, 8),
    ]
}

#[test]
fn files_of_every_kind_of_machine_say_the_same() {
    let here = file();
    let native = Rrd::read(&here).expect("reads");
    for layout in layouts() {
        let bytes = file_of(layout);
        let rrd = Rrd::read(&bytes).unwrap_or_else(|e| panic!("{layout:?}: {e}"));
        assert_eq!(rrd.layout, layout);
        assert_eq!((rrd.step, rrd.updated), (native.step, native.updated), "{layout:?}");
        assert_eq!(rrd.sources, native.sources, "{layout:?}");
        let values = |rrd: &Rrd<'_>| -> Vec<u64> {
            rrd.values(&rrd.archives[0], 0).map(f64::to_bits).collect()
        };
        assert_eq!(values(&rrd), values(&native), "{layout:?}");
        assert_eq!(rrd.archives[0].span, native.archives[0].span, "{layout:?}");
        assert_eq!(rrd.machine().is_some(), layout != layout::HERE);
        // A truncated file is never read as the file of another machine.
        for length in 9..bytes.len() {
            assert!(Rrd::read(&bytes[..length]).is_err(), "{layout:?}: {length}");
        }
    }
}

#[test]
fn the_binary_form() {
    let bytes = file();
    let rrd = Rrd::read(&bytes).expect("reads");
    assert_eq!((rrd.step, rrd.updated, rrd.points()), (300, 1_700_000_123, 4));
    let ds = &rrd.sources[0];
    assert_eq!((ds.name.as_str(), ds.kind, ds.last), ("42", SourceType::Gauge, Some(17.5)));
    assert_eq!((ds.min, ds.max), (Some(0.0), None));
    let archive = &rrd.archives[0];
    assert_eq!((archive.span, archive.newest), (1_800, 1_699_999_200));
    let values: Vec<f64> = rrd.values(archive, 0).collect();
    assert_eq!(values[..3], [1.0, 2.0, 3.0]);
    assert!(values[3].is_nan());
}

#[test]
fn what_is_wrong_is_said() {
    let whole = file();
    assert_eq!(Rrd::read(b"SQLite format 3").err(), Some(RrdError::NotRrd));
    for length in 4..whole.len() {
        let said = Rrd::read(&whole[..length]).err();
        let short = matches!(said, Some(RrdError::Short { .. }));
        assert!(short || (length < 9 && said == Some(RrdError::Foreign)), "{length}: {said:?}");
    }
    let with = |at: usize, bytes: &[u8]| {
        let mut file = file();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        Rrd::read(&file).err()
    };
    assert_eq!(with(4, b"0001"), Some(RrdError::Foreign));
    assert_eq!(with(16, &1f64.to_be_bytes()), Some(RrdError::Foreign));
    // Numbers that would take all memory, or all time.
    let most = u64::MAX.to_le_bytes();
    for at in [24, 32, 40, HEAD + DS + 24, HEAD + DS + 32, HEAD + DS + RRA] {
        assert!(with(at, &most).is_some(), "at {at}");
    }
    assert!(matches!(with(HEAD + DS + 24, &9u64.to_le_bytes()), Some(RrdError::Short { .. })));
}

#[test]
fn the_dump_says_the_same() {
    let text = "<rrd><version>0003</version><step>300</step><lastupdate>1700000123</lastupdate>
        <ds><name> 42 </name><type> GAUGE </type><min>0.0e+00</min><max>NaN</max>
        <last_ds>17.5</last_ds></ds>
        <rra><cf>AVERAGE</cf><pdp_per_row>6</pdp_per_row><cdp_prep><ds><value>1</value></ds>
        </cdp_prep><database><row><v>1.0e+00</v></row><row><v>2</v></row><row><v>3</v></row>
        <row><v>NaN</v></row></database></rra></rrd>";
    let (bytes, dumped) = (file(), Rrd::read_dump(text).expect("reads"));
    let native = Rrd::read(&bytes).expect("reads");
    assert_eq!(dumped.sources, native.sources);
    let values = |rrd: &Rrd<'_>| {
        let archive = &rrd.archives[0];
        let values = rrd.values(archive, 0).map(f64::to_bits).collect::<Vec<_>>();
        (archive.how, archive.rows, archive.span, archive.newest, values[..3].to_vec())
    };
    assert_eq!(values(&dumped), values(&native));
    assert_eq!(Rrd::read_dump("<html>").err(), Some(RrdError::NotRrd));
    assert!(matches!(
        Rrd::read_dump(&text[..text.len() - 9]),
        Err(RrdError::Damaged(_) | RrdError::Short { .. })
    ));
}

#[test]
fn each_time_once_and_the_finest_there_is() {
    let archive = |how, rows: usize, span: i64, at| Archive {
        how,
        rows,
        span,
        newest: 1_700_000_123 - 1_700_000_123 % span,
        current: rows - 1,
        at,
    };
    use Consolidation::*;
    let source =
        DataSource { name: "x".into(), kind: SourceType::Gauge, min: None, max: None, last: None };
    let data: Vec<u8> = (0..16).flat_map(|i| f64::from(i).to_le_bytes()).collect();
    let rrd = Rrd {
        step: 300,
        updated: 1_700_000_123,
        sources: vec![source],
        archives: vec![
            archive(Min, 3, 1_800, 0),
            archive(Average, 4, 1_800, 24),
            archive(Average, 8, 300, 56),
        ],
        data: data.into(),
        layout: layout::HERE,
    };
    let got = eras(&rrd, 0);
    // The fine rows end at 1700000100 and begin 2400 s before: at 1699997700.
    assert_eq!(got.len(), 2);
    let (coarse, fine) = (&got[0], &got[1]);
    assert_eq!((fine.first_end, fine.mean.len()), (1_699_998_000_000, 8));
    assert!(fine.min.is_empty());
    // Coarse rows end at …9200, …7400, …5600, …3800; the newest begins at …7400, before the fine.
    assert_eq!(coarse.mean, [3.0, 4.0, 5.0, 6.0]);
    assert_eq!(coarse.until, 1_699_997_700_000);
    // The smallest values have one row less.
    assert!(coarse.min[0].is_nan());
    assert_eq!(coarse.min[1..], [0.0, 1.0, 2.0]);
}
