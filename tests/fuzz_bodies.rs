//! tests: what the fuzz targets do, on inputs that were found once (fuzz/seeds) and on some that are
//! thrown by dice: a target that nobody runs for a while must still hold. For hours: cargo fuzz.

#![allow(clippy::unwrap_used, reason = "the bodies are shared with the fuzz targets")]

use std::path::Path;

use random::Random;

#[path = "../fuzz/bodies/alerts.rs"]
mod alerts;
#[path = "../fuzz/bodies/answers.rs"]
mod answers;
#[path = "../fuzz/bodies/block.rs"]
mod block;
#[path = "../fuzz/bodies/chunk_timestamps.rs"]
mod chunk_timestamps;
#[path = "../fuzz/bodies/chunk_values.rs"]
mod chunk_values;
#[path = "../fuzz/bodies/collect.rs"]
mod collect;
#[path = "../fuzz/bodies/config.rs"]
mod config;
#[path = "../fuzz/bodies/http.rs"]
mod http;
#[path = "../fuzz/bodies/munin.rs"]
mod munin;
#[path = "../fuzz/bodies/munin_node.rs"]
mod munin_node;
#[path = "../fuzz/bodies/open.rs"]
mod open;
#[path = "../fuzz/bodies/promql.rs"]
mod promql;
#[path = "../fuzz/bodies/push.rs"]
mod push;
#[path = "random/mod.rs"]
mod random;
#[path = "../fuzz/bodies/rrd.rs"]
mod rrd;
#[path = "../fuzz/bodies/texts.rs"]
mod texts;

/// A number for places without cargo fuzz: PLIMSOLL_FUZZ_TIMES is how often the usual number of
/// inputs is thrown, PLIMSOLL_FUZZ_SEED makes them other ones.
fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is no number: {text}")))
}

fn times() -> u64 {
    number("PLIMSOLL_FUZZ_TIMES").unwrap_or(1)
}

/// The body on every kept input, then on so many of random bytes and lengths.
fn hold(target: &str, random: u64, longest: u64, body: impl Fn(&[u8])) {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let mut files: Vec<_> = std::fs::read_dir(kept)
        .map(|d| d.flatten().map(|e| e.path()).collect())
        .unwrap_or_default();
    files.sort();
    for file in files {
        println!("{}", file.display());
        body(&std::fs::read(&file).expect("readable"));
    }
    let mut roll = dice();
    for _ in 0..random * times() {
        let length = roll() % longest;
        let bytes: Vec<u8> = (0..length).map(|_| roll() as u8).collect();
        println!("{bytes:?}");
        body(&bytes);
    }
}

fn dice() -> impl FnMut() -> u64 {
    let seed = number("PLIMSOLL_FUZZ_SEED").unwrap_or(0);
    let state = 0x9E37_79B9_7F4A_7C15u64 ^ seed.wrapping_mul(0xD6E8_FEB8_6659_FD93) >> 1;
    let mut random = Random(state);
    move || random.bits() >> 11
}

/// The body on texts thrown together from words of its language: random bytes do not get past the
/// first of a parser.
fn hold_words(words: &str, rounds: u64, body: impl Fn(&str)) {
    let words: Vec<_> = words.split(' ').collect();
    let mut roll = dice();
    for _ in 0..rounds * times() {
        let count = roll() % 24;
        let mut text = String::new();
        for _ in 0..count {
            match roll() % 16 {
                0 => text.push(' '),
                1 => text.push('\n'),
                2 => text.push(char::from_u32((roll() % 0x300) as u32).expect("a letter")),
                _ => text.push_str(words[roll() as usize % words.len()]),
            }
        }
        println!("{text:?}");
        body(&text);
    }
}

#[test]
fn any_words_as_what_senders_bring() {
    let both = |words, body: fn(&[u8])| {
        hold_words(words, 20_000, |text| body(text.as_bytes()));
        hold("push", 500, 200, body);
    };
    both(
        "a b.c :1 :-2.5 :+1e3 |c |g |ms |h |s |d |@0.1 |#t:v,u |T17 _e{ 1,1}: :x _sc| |h:web :1:2",
        push::statsd,
    );
    both("a b.c;k=v ;k=v 1 -2.5e3 1700000000 -1 NaN ; = é", push::graphite);
    both("a ,k=v \\, \\  x=1 ,y=2i z=t ,s=\"q\" 1700000000000000000 # = , -1i 1e400", push::influx);
    both(
        "{ } [ ] \"key\": \"value\": \"labels\": \"a\" , 1 -2e9 null true \"timestamp\": {\"key\":\"a\",\"value\":1}",
        push::json,
    );
    both(
        "a a_bucket {le=\"1\"} {a=\"b\", } 1 1700000000000 # HELP TYPE counter histogram UNIT EOF + Inf NaN \\n",
        push::exposition,
    );
    both("a {\"key\":\"a\",\"value\":1} a,k=v x=1 a{le=\"1\"} 1 1700000000 # ; = ,", push::mixed);
    both(
        "\n\u{5} \u{8}\u{1} __name__ up \u{12} \u{a} \u{2} \u{10} \u{22} \u{7f}",
        push::remote_write,
    );
}

#[test]
fn any_words_as_promql() {
    let words = "a b_total c_bucket { } ( ) [5m] [1m:30s] le=\"1\" x=~\"y|z\" , + - * / % ^ == bool \
                 and or unless on( ignoring( group_left() offset 1m @ 300 start() end() by without \
                 sum avg topk(2, quantile(0.5, rate( increase( histogram_quantile(0.9, absent( \
                 label_replace( \"x\" time() 1 -2.5 1e3 NaN Inf 5m limitk(1, count_values(\"x\", \
                 sort( predict_linear( max_over_time( vector( scalar( #";
    hold_words(words, 40_000, promql::parses);
    hold_words(words, 20_000, promql::eval);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    hold("matcher", 2_000, 30, |bytes| {
        let half = bytes.len() / 2;
        promql::matcher(&text(&bytes[..half]), &text(&bytes[half..]));
    });
    let patterns = "a b | ( ) .* .+ [ab] ^ $ (?i) \\. ? + {2}";
    hold_words(patterns, 3_000, |text| {
        promql::matcher(text, "ab");
        promql::matcher(text, text);
    });
}

#[test]
fn any_bytes_as_a_column_of_values() {
    hold("chunk_values", 2_000, 400, chunk_values::run);
}

#[test]
fn any_bytes_as_a_column_of_timestamps() {
    hold("chunk_timestamps", 2_000, 400, chunk_timestamps::run);
}

#[test]
fn a_database_with_changed_bytes() {
    hold("open", 60, 60, open::run);
}

#[test]
fn any_bytes_between_masters_and_nodes() {
    hold("munin_node", 4_000, 400, munin_node::run);
}

#[test]
fn any_bytes_as_what_a_plugin_prints() {
    hold("munin", 2_000, 400, munin::run);
    hold("plugin", 2_000, 400, munin::keeps);
    let words = "a.value b.value a-b.value a_b.value .label .negative a-b multigraph m graph_title T \
                 1 2 U nan N:3 1700000000:4 type COUNTER DERIVE OK | a=1kB, ;5:x; 'a b'= {\"a\":1} \
                 a{b=\"c\"} # TYPE gauge a: 4th 5th";
    hold_words(words, 4_000, |text| {
        munin::run(text.as_bytes());
        for kind in 0..3 {
            munin::keeps(&[&[kind][..], text.as_bytes()].concat());
        }
    });
}

#[test]
fn any_bytes_as_what_the_kernel_tells() {
    let files = collect::files() as u8;
    hold("collect", 1_000, 400, collect::run);
    let words = "cpu cpu0 1 22 333 4444 -5 18446744073709551616 eth0: lo: sda sda1 259 MemTotal: kB Tcp: \
                 TcpExt: InSegs some full avg10=0.00 total=7 sockets: used / /proc ext4 rw - btime intr \
                 ctxt 0.10 1/2 pgpgin ID=debian \"x\" \\040";
    hold_words(words, 200, |text| {
        for file in 0..files {
            collect::run(&[&[file][..], text.as_bytes()].concat());
        }
    });
}

#[test]
fn any_bytes_as_a_request() {
    // The kept ones are answered, so that those like them get as far.
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds/http");
    for file in std::fs::read_dir(kept).expect("kept").flatten() {
        let status = http::run(&std::fs::read(file.path()).expect("readable"));
        assert!(status.is_some_and(|s| s < 300), "{}: {status:?}", file.path().display());
    }
    let http = |data: &[u8]| {
        http::run(data);
    };
    hold("http", 300, 300, http);
    let words = "GET POST PUT DELETE HEAD / /metrics /job/a /job@base64/ YQ== YQ= %41 %zz %2F /health \
                 /api/status /api/v1 /query /query_range /series /labels /label/n/values /federate /graph.svg \
                 /graph.png /api/sql /api/push /write /api/v1/write /explore /hosts ? & query= match[]= start= \
                 end= step= time= timeout= limit= expr= range= from= to= width= height= tz= precision= -1 0 1e3 \
                 9e18 -9e18 1e308 NaN 5m a_total a_total[5m] {n=\"1\"} 2026-11-30T12:00:00Z + \n\n \
                 content-encoding: gzip snappy content-type: application/json accept: text/html origin: \
                 http://localhost select {\"sql\":\"select\"} {\"do\":\"query\",\"path\":\"/query\",\"form\":\"query=1\"}";
    let rest = |method: &'static str, rounds| {
        hold_words(words, rounds, |text| http(format!("{method}{text}").as_bytes()));
    };
    rest("", 500);
    rest("GET /", 500);
    for path in ["query?query=a_total&", "query_range?query=a_total&", "series?match[]=a_total&"] {
        hold_words(words, 300, |text| {
            let text: String = text.split_whitespace().collect();
            http(format!("GET /api/v1/{path}{text}\n\n").as_bytes());
        });
    }
    rest("PUT /metrics/job/a/", 500);
    rest("POST /metrics/job/a\n\n", 300);
    rest("POST /api/sql\n\n", 300);
}

#[test]
fn any_bytes_as_what_people_write() {
    hold("texts", 2_000, 300, texts::run);
    let words = "key,timestamp,value , \" 1 -2.5 1e999 NaN 2026-11-30 12:00:00 T Z ago 2h 5m 10s 1GiB 64MiB \
                 now - + [http] listen = \"127.0.0.1:1876\" [[plugin]] name command [ ] interval > < >= \
                 a{b=\"c\"} disk_/ {} * ? ** é admin push 192.0.2.0 /24 ::1 /64 localhost :80";
    hold_words(words, 8_000, |text| texts::run(text.as_bytes()));
}

#[test]
fn any_words_about_alerts() {
    let yaml = "groups: \n \n- name: g rules: - alert: A record: r:x expr: for: 5m labels: {a: b} annotations: \
                summary: '{{ $labels.instance }}' & *a !x --- ? [ ] { } , a > 5 tests: input_series: series: \
                values: 1+2x3 _x5 interval: 1m eval_time: promql_expr_test: exp_samples: alertname:";
    for (target, body) in
        [("rule_files", alerts::files as fn(&[u8])), ("rule_tests", alerts::tests)]
    {
        hold(target, 1_000, 300, body);
        hold_words(yaml, 4_000, |text| body(text.as_bytes()));
    }
    hold("template", 1_000, 300, alerts::template);
    let words = "{{ }} {{- -}} $labels .instance range query \"up\" end if else with $x := = . $value | ( ) printf \
                 \"%5.1f\" humanize len args index and or not eq gt reReplaceAll match first value 1 2.5 /* */";
    hold_words(words, 8_000, |text| alerts::template(text.as_bytes()));
    hold("alert_words", 1_000, 300, alerts::words);
    let words = "disk_/ cpu > < == 95 a{b=\"c\"} | 5m warning bad Sun Mon-Fri 02:00-04:00 Europe/Berlin daily \n \
                 {\"told\":{} \"reminders\":1 } [ 1 ] , * ? mountpoint=~\"/.*\" (";
    hold_words(words, 6_000, |text| alerts::words(text.as_bytes()));
    hold("receivers", 1_000, 300, alerts::targets);
    let words = "ntfy: ntfys:// mailto: me@example.org https:// smtp+starttls://u:p@h:25/ exec: apprise: tgram://1:2 \
                 discord.com/api/webhooks/1/a ? & = # / @ : [::1] %41 %ff to topic \n hc: slack matrix://t@h/ #a !b:c";
    hold_words(words, 6_000, |text| alerts::targets(text.as_bytes()));
}

#[test]
fn any_bytes_as_what_a_receiver_answers() {
    hold("answers_http", 1_000, 200, answers::http);
    hold("answers_mail", 1_000, 200, answers::mail);
    hold("answers_node", 1_000, 200, answers::node);
    let words = "HTTP/1.1 200 429 500 OK \r\n\r\n Retry-After: 5 content-length: 3 transfer-encoding: chunked {\"ok\":false, \
                 \"retry_after\": 3 } \"errcode\":\"M_LIMIT\" x-limit-app-reset: -9223372036854775808 \r\n";
    hold_words(words, 1_000, |text| {
        for kind in 0..13 {
            answers::http(&[&[kind], &b"HTTP/1.1 "[..], text.as_bytes()].concat());
        }
        answers::http(&[&[255][..], text.as_bytes()].concat());
    });
    let words = "220 250 250- 354 450 550 5.7.1 \r\n \r\n235 334 STARTTLS AUTH PLAIN LOGIN SIZE 9 SMTPUTF8 ü";
    hold_words(words, 2_000, |text| {
        for kind in 0..9 {
            answers::mail(&[&[kind], &b"220 h\r\n"[..], text.as_bytes()].concat());
        }
    });
    let words = "cap multigraph dirtyconfig \n \n.\n load cpu web.example # a.value 1 graph_title x unknown";
    hold_words(words, 2_000, |text| {
        answers::node(&[&b"# munin node at h\n"[..], text.as_bytes()].concat());
    });
}

#[test]
fn any_bytes_as_a_block() {
    hold("block", 4_000, 120, block::run);
}

#[test]
fn any_text_as_a_configuration() {
    hold("config", 500, 300, config::run);
    let words = "[alerts] to off = \"ntfy:a\" [ ] { } , [http] listen \"127.0.0.1:1876\" [[plugin]] name command \n \n# . \
                 interval \"10s\" alerts.to alerts.off [[alert]] when \"cpu > 5\" true 5 'x' \"\"\" [alerts.limits] [collect]";
    hold_words(words, 6_000, |text| config::run(text.as_bytes()));
}

#[test]
fn any_bytes_as_what_other_tools_keep() {
    hold("rrd", 2_000, 400, rrd::run);
}
