//! Pictures: by the command line with a daemon and without one, by HTTP, on the terminal; sparklines
//! in the status; and that Grafana's dashboard asks what is answered.

use std::fmt::Write as _;
use std::path::Path;

use crate::support::*;

/// Names as nobody should choose them.
const EVIL: &str = r#"<img src=x onerror="alert(1)"> & ]]> </svg>"#;

/// A file with a day of samples and nobody writing: a gauge, a counter, one with an evil name.
fn day(folder: &Folder) -> i64 {
    folder.configure("");
    let now = now_ms();
    let mut csv = String::from("key,value,timestamp\n");
    for i in 0..1_440 {
        let ts = now - (1_440 - i) * 60_000;
        let wave = (i as f64 / 200.0).sin();
        let _ = writeln!(csv, "room_celsius,{:.2},{ts}", 20.0 + 3.0 * wave);
        let _ = writeln!(csv, "visits_total,{},{ts}", i * 120);
        let evil = EVIL.replace('"', "\"\"");
        let _ = writeln!(csv, "\"{evil}\",{:.2},{ts}", 1.0 + wave);
    }
    let file = folder.join("day.csv");
    std::fs::write(&file, csv).expect("written");
    folder.ask(&["import", file.to_str().expect("UTF-8")]).well();
    now
}

/// Python's XML reader and zlib are the judges: what they think of a picture.
fn judged(path: &Path) -> String {
    let script = r#"
import sys, struct, zlib, xml.dom.minidom
path = sys.argv[1]
data = open(path, "rb").read()
if path.endswith(".svg"):
    doc = xml.dom.minidom.parseString(data)
    names = sorted({e.tagName for e in doc.getElementsByTagName("*")})
    attributes = {a for e in doc.getElementsByTagName("*") for a in e.attributes.keys()}
    assert not any(a.startswith("on") or a in ("style", "href", "class") for a in attributes), attributes
    texts = [e.firstChild.data for e in doc.getElementsByTagName("text")]
    print(doc.documentElement.getAttribute("width"), doc.documentElement.getAttribute("height"))
    print(" ".join(names))
    print("\n".join(texts))
else:
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, pixels = 8, b""
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + size]
        assert struct.unpack(">I", data[at + 8 + size:at + 12 + size])[0] == zlib.crc32(kind + body)
        if kind == b"IHDR": width, height, depth, colour = struct.unpack(">IIBB", body[:10])
        if kind == b"IDAT": pixels += body
        at += 12 + size
    pixels = zlib.decompress(pixels)
    assert len(pixels) == height * (width * 3 + 1) and (depth, colour) == (8, 2)
    print(width, height)
"#;
    let said = run(tool("python3", "python3").arg("-c").arg(script).arg(path));
    said.well()
}

#[test]
fn a_series_becomes_a_picture_without_a_daemon() {
    let folder = Folder::new();
    day(&folder);
    for (name, size) in [("a.svg", "800 "), ("a.png", "800 ")] {
        let file = folder.join(name);
        let path = file.to_str().expect("UTF-8");
        let said = folder.ask(&["graph", "room_celsius", "-o", path]);
        assert_eq!(said.well(), "");
        assert!(judged(&file).starts_with(size), "{name}");
    }
    let shown = judged(&folder.join("a.svg"));
    for text in ["room_celsius", "last", "min", "mean", "max", "°C"] {
        assert!(shown.contains(text), "{text}: {shown}");
    }
    // A counter is its rate: 120 a minute.
    let file = folder.join("b.svg");
    let words = ["graph", "visits_total", "--title", "Visits", "-o", file.to_str().expect("UTF-8")];
    folder.ask(&words).well();
    let shown = judged(&file);
    assert!(shown.contains("2.00/s") || shown.contains("\n2/s"), "{shown}");
    assert!(shown.contains("Visits"), "{shown}");
    let large = folder.join("c.png");
    let path = large.to_str().expect("UTF-8");
    let words = ["--width", "640", "--height", "300", "--scale", "2", "--theme", "dark"];
    folder.ask(&[&["graph", "disk_* or room_celsius", "-o", path], &words[..]].concat()).refused();
    folder.ask(&[&["graph", "room_celsius * 2", "-o", path], &words[..]].concat()).well();
    assert_eq!(judged(&large).trim(), "1280 600");
}

#[test]
fn a_name_stays_a_name() {
    let folder = Folder::new();
    day(&folder);
    let file = folder.join("evil.svg");
    folder.ask(&["graph", EVIL, "-o", file.to_str().expect("UTF-8")]).well();
    let shown = judged(&file);
    assert!(!shown.lines().nth(1).expect("names").contains("img"), "{shown}");
    assert!(shown.contains("<img src=x"), "as text: {shown}");
    let said = folder.ask(&["graph", "\u{1b}[31mred"]).refused();
    assert!(!said.contains('\u{1b}'), "{said:?}");
}

#[test]
fn the_terminal_has_a_picture_too() {
    let folder = Folder::new();
    day(&folder);
    let shown =
        |words: &[&str], language: &str| run(folder.plimsoll(words).env("LC_ALL", language)).well();
    let words = ["graph", "room_celsius", "--width", "70", "--height", "10"];
    let braille = shown(&words, "C.UTF-8");
    assert!(braille.chars().any(|c| ('\u{2801}'..='\u{28ff}').contains(&c)), "{braille}");
    assert!(braille.lines().all(|l| l.chars().count() <= 70), "{braille}");
    assert!(!braille.contains('\u{1b}'), "no colours into a pipe: {braille:?}");
    let plain = shown(&words, "C");
    assert!(plain.is_ascii() && plain.contains('*'), "{plain}");
    let chart = shown(
        &["query", "rate(visits_total[5m])", "--range", "6h", "--format", "chart"],
        "C.UTF-8",
    );
    assert!(chart.contains("rate(visits_total[5m])") && chart.contains('┤'), "{chart}");
    let empty =
        shown(&["graph", "room_celsius", "--from", "2020-01-01", "--to", "2020-01-02"], "C.UTF-8");
    assert!(empty.contains("no data in this time"), "{empty}");
}

#[test]
fn what_cannot_be_drawn_is_a_sentence() {
    let folder = Folder::new();
    day(&folder);
    for (words, told) in [
        (["graph", "room"].as_slice(), "did you mean room_celsius?"),
        (&["graph", "nothing_at_all"], "there is no series nothing_at_all"),
        (&["graph", "rate(room_celsius"], "unclosed left parenthesis"),
        (&["graph", "room_celsius", "-o", "a.jpg"], "must end in .svg or .png"),
        (&["graph", "room_celsius", "-o", "/nowhere/a.svg"], "cannot write"),
        (&["graph", "room_celsius", "--range", "soon"], "is not a duration"),
        (
            &["graph", "room_celsius", "--from", "2026-07-02", "--to", "2026-07-01"],
            "--from must be earlier than --to",
        ),
        (&["graph", "room_celsius", "-o", "a.svg", "--width", "20"], "from 160 to 4000 pixels"),
        (&["graph", "\"text\""], "invalid expression type \"string\""),
    ] {
        let said = folder.ask(words).refused();
        assert!(said.contains(told), "{words:?}: {said}");
    }
}

#[test]
fn pictures_over_http() {
    let folder = Folder::new();
    day(&folder);
    let daemon = folder.start(FAST);
    let answer = daemon.http("GET", "/graph.svg?expr=room_celsius&range=6h&theme=dark&width=600");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("image/svg+xml; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), Some("private, max-age=21"));
    assert!(answer.header("content-security-policy").is_some(), "{answer:?}");
    let file = folder.join("http.svg");
    std::fs::write(&file, &answer.body).expect("written");
    assert!(judged(&file).starts_with("600 "));
    let answer = daemon.http("GET", "/graph.png?expr=sum(rate(visits_total%5B5m%5D))&_=123");
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("image/png")));
    for (path, status, told) in [
        ("/graph.svg", 400, "`expr` is missing"),
        ("/graph.svg?expr=nothing_at_all", 404, "there is no series"),
        ("/graph.svg?expr=rate(", 400, "parse error"),
        ("/graph.svg?expr=cpu&width=100000", 400, "from 80 to 3000 pixels"),
        ("/graph.png?expr=cpu&width=3000&height=3000", 400, "three million pixels"),
        ("/graph.png?expr=cpu&scale=9", 400, "from 1 to 3"),
        ("/graph.svg?expr=cpu&range=soon", 400, "a length of time"),
        ("/graph.svg?expr=cpu&from=now&to=-1h", 400, "must be earlier than"),
        ("/graph.svg?expr=cpu&thme=dark", 400, "`thme` is none of"),
        ("/graph.svg?expr=cpu&tz=Mars/Olympus", 400, "a time zone"),
    ] {
        let answer = daemon.http("GET", path);
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        assert!(answer.body.contains(told), "{path}: {answer:?}");
    }
    // As every other address: by names of ours, and not for strangers behind a proxy.
    let strange =
        "GET /graph.svg?expr=cpu HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n";
    assert_eq!(exchange(daemon.address(), strange).status, 421);
    daemon.stop();
    let daemon = folder.start(&format!("{FAST}behind_proxy = true\n"));
    assert_eq!(daemon.http("GET", "/graph.svg?expr=cpu").status, 401);
    daemon.stop();
}

#[test]
fn the_status_shows_the_last_hour() {
    let folder = Folder::new();
    let now = now_ms();
    let daemon = folder.start(FAST);
    daemon.rows_after(now);
    for i in 0..60 {
        let ts = now - (60 - i) * 60_000;
        sqlite3(
            &folder.db(),
            &format!("insert into metrics (key, value, timestamp) values ('room', {i}, {ts})"),
        );
    }
    eventually("the room in the status", PATIENCE, || {
        let json: serde_json::Value =
            serde_json::from_str(&folder.ask(&["status", "--json"]).well()).expect("JSON");
        let values = json["systems"][0]["values"].as_array().expect("values").clone();
        let room = values.iter().find(|v| v["key"] == "room").cloned().unwrap_or_default();
        let hour: Vec<f64> =
            room["hour"].as_array().into_iter().flatten().filter_map(|v| v.as_f64()).collect();
        let rises = hour.len() >= 18 && hour.is_sorted() && room["value"] == 59.0;
        if rises { Ok(()) } else { Err(format!("{room}")) }
    });
    let shown = |language: &str| run(folder.plimsoll(&["status"]).env("LC_ALL", language)).well();
    let text = shown("C.UTF-8");
    let room = text.lines().find(|l| l.ends_with("room")).expect("a line");
    assert!(room.contains("▁") && room.contains("█"), "{room}");
    assert!(text.lines().all(|l| l.chars().count() <= 80 || l.starts_with("collecting")), "{text}");
    let plain = shown("C");
    let room = plain.lines().find(|l| l.ends_with("room")).expect("a line");
    assert!(room.is_ascii() && room.contains('#'), "{room}");
    daemon.stop();
}

/// Every expression below a JSON value, with what Grafana puts in its place.
fn expressions(value: &serde_json::Value, out: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(map) => {
            if let Some(expr) = map.get("expr").and_then(|e| e.as_str()) {
                out.push(expr.to_owned());
            }
            map.values().for_each(|v| expressions(v, out));
        }
        serde_json::Value::Array(list) => list.iter().for_each(|v| expressions(v, out)),
        _ => {}
    }
}

#[test]
fn grafanas_dashboard_asks_what_is_answered() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    daemon.rows_after(now_ms());
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib/grafana");
    let text = std::fs::read_to_string(root.join("dashboards/plimsoll.json")).expect("it is there");
    let dashboard: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let mut all = Vec::new();
    expressions(&dashboard, &mut all);
    assert_eq!(all.len(), 7);
    let instance = daemon.json("/api/v1/label/instance/values")["data"][0].clone();
    let instance = instance.as_str().expect("a name");
    for expr in all {
        plimsoll::query::parse(&expr).unwrap_or_else(|e| panic!("{expr}: {}", e.shown(&expr)));
        let asked = expr.replace("$instance", instance);
        let query: String = asked.bytes().map(|b| format!("%{b:02x}")).collect();
        eventually(&asked, PATIENCE, || {
            let answer = daemon.json(&format!("/api/v1/query?query={query}"));
            let result = answer["data"]["result"].as_array().map_or(0, Vec::len);
            if result > 0 { Ok(()) } else { Err(answer.to_string()) }
        });
    }
    let list = dashboard["templating"]["list"].as_array().expect("variables");
    assert!(list.iter().any(|v| v["definition"] == "label_values(cpu, instance)"));
    // The files beside it are YAML that somebody can read: one source, of the right kind.
    let sources = root.join("provisioning/datasources/plimsoll.yaml");
    let text = std::fs::read_to_string(sources).expect("it is there");
    assert!(text.contains("type: prometheus") && text.contains("http://127.0.0.1:1876"));
    daemon.stop();
}

/// What a browser makes of a file: its document after all scripts have run, without a network.
fn browsed(file: &Path, folder: &Folder) -> String {
    let said = run(tool("chromium", "chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
        .args(["--virtual-time-budget=4000", "--window-size=1200,900"])
        .arg(format!("--user-data-dir={}", folder.join("browser").display()))
        .arg(format!("file://{}", file.display())));
    // What stands in scripts and style sheets is not seen.
    let mut seen = said.well();
    for (begins, ends) in [("<script", "</script>"), ("<style", "</style>")] {
        while let Some(from) = seen.find(begins) {
            let to = seen[from..].find(ends).map_or(seen.len(), |at| from + at + ends.len());
            seen.replace_range(from..to, "");
        }
    }
    seen
}

#[test]
fn a_snapshot_is_one_file_that_opens_offline() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    daemon.rows_after(now_ms());
    let evil = r#"</script><img src=x onerror="document.title=1">"#;
    sqlite3(&folder.db(), &format!("insert into metrics (key, value) values ('{evil}', 1)"));
    eventually("the evil name", PATIENCE, || {
        let said = folder.ask(&["graph", evil]);
        if said.status.success() { Ok(()) } else { Err(said.err) }
    });
    daemon.stop();
    let file = folder.join("snapshot.html");
    let path = file.to_str().expect("UTF-8");
    folder.ask(&["snapshot", "-o", path]).well();
    let text = std::fs::read_to_string(&file).expect("written");
    assert!(text.len() < 2_000_000, "{}", text.len());
    assert!(!text.contains("<img"), "what was sent is no tag");
    for foreign in ["src=\"", "href=\"http", "@import"] {
        let before_script = text.split("<script type=\"module\">").next().expect("a head");
        assert!(!before_script.contains(foreign), "{foreign}");
    }
    let seen = browsed(&file, &folder);
    for shown in ["Load", "Memory", "CPU", "<canvas"] {
        assert!(seen.contains(shown), "{shown} is not in {seen}");
    }
    assert!(!seen.contains("does not answer"), "{seen}");
    assert!(seen.contains("Nothing in it moves"), "it says what it is: {seen}");
    // Every chart of the first view says what is now, as the page does.
    let now = |id: &str| {
        let from = seen.find(&format!("data-id=\"{id}\"")).expect("the chart");
        let chart = &seen[from..];
        let value = chart.split("class=\"now\">").nth(1).and_then(|rest| rest.split('<').next());
        value.expect("its value").to_owned()
    };
    for id in ["load", "memory"] {
        let value = now(id);
        assert!(value.contains(|c: char| c.is_ascii_digit()), "{id} is at {value:?}");
    }
    // One chart alone.
    folder.ask(&["snapshot", "--only", "load", "--range", "1h", "-o", path]).well();
    let text = std::fs::read_to_string(&file).expect("written");
    assert!(text.contains("\"load\":[") && !text.contains("\"memory\":["));
    for (words, told) in [
        (["snapshot", "--only", "nothing", "-o", path].as_slice(), "no chart matches nothing"),
        (&["snapshot", "--range", "soon", "-o", path], "is not a duration"),
        (&["snapshot", "-o", "/nowhere/a.html"], "cannot write"),
    ] {
        let said = folder.ask(words).refused();
        assert!(said.contains(told), "{words:?}: {said}");
    }
}

/// Senders may bring as many names as they may: what this machine measures is in the file all the same.
#[test]
fn a_snapshot_leaves_out_what_senders_brought_before_it_is_refused() {
    let folder = Folder::new();
    let daemon = folder.start(FAST);
    daemon.rows_after(0);
    let lines: Vec<String> = (0..10_000)
        .map(|n| format!(r#"{{"key": "sent_{n}_by_a_program_with_long_names", "value": 1}}"#))
        .collect();
    let address = daemon.address();
    let sent = crate::push::send(address, "POST", "/api/push", &[], lines.join("\n").as_bytes());
    assert_eq!(sent.status, 200, "{sent:?}");
    eventually("all names", PATIENCE, || {
        let known = sqlite3(&folder.db(), "select count(*) from series where job = 'push'");
        if known.trim() == "10000" { Ok(()) } else { Err(known) }
    });
    let file = folder.join("all.html");
    let said = folder.ask(&["snapshot", "-o", file.to_str().expect("text")]);
    assert!(said.status.success(), "{said:?}");
    assert!(said.err.contains(" charts are not in it") && said.err.contains("--only"), "{said:?}");
    let text = std::fs::read_to_string(&file).expect("written");
    assert!(text.len() <= 2 << 20, "{}", text.len());
    for id in ["load", "cpu", "memory", "disk:/"] {
        assert!(text.contains(&format!(r#""id":"{id}""#)), "{id} is in it");
    }
    let all = folder.ask(&["snapshot", "--only", "*", "-o", file.to_str().expect("text")]);
    let why = all.refused();
    assert!(why.contains("larger than 2 MiB"), "who chose chooses again: {why}");
    daemon.stop();
}
