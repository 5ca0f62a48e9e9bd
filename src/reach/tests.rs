//! reach: HTTP against servers of few words.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::*;

/// Answers once and ends: the address, and what it was asked.
fn says(answer: &'static [u8]) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("has one").to_string();
    let heard = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("somebody comes");
        let mut heard = Vec::new();
        let mut piece = [0; 4096];
        loop {
            let n = stream.read(&mut piece).expect("reads");
            heard.extend_from_slice(&piece[..n]);
            if n == 0 || heard.ends_with(b"END") || heard[0] != b'P' {
                break;
            }
        }
        // It may be gone before it has heard everything.
        let _gone = stream.write_all(answer);
        String::from_utf8_lossy(&heard).into_owned()
    });
    (address, heard)
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

fn get(url: String) -> HttpRequest {
    HttpRequest { method: "GET", url, headers: Vec::new(), body: Vec::new() }
}

#[test]
fn a_request_arrives_and_the_answer_comes_back() {
    let (address, heard) = says(
        b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nTransfer-Encoding: chunked\r\n\r\n\
          3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n",
    );
    let request = HttpRequest::post(format!("http://us%3Aer:p@{address}/a/b?c=d#e"), "text/plain", "the END")
        .with("X-Own", "ü");
    let answer = ask_http(&request, &HttpWay::default(), soon()).expect("an answer");
    assert_eq!((answer.status, answer.text().as_str()), (429, "abcde"));
    assert_eq!(answer.header("retry-after"), Some("7"));
    let heard = heard.join().expect("it ends");
    assert!(heard.starts_with("POST /a/b?c=d HTTP/1.1\r\n"), "{heard}");
    for line in [
        format!("host: {address}"),
        "authorization: Basic dXM6ZXI6cA==".into(),
        "content-length: 7".into(),
        "x-own: ü".into(),
    ] {
        assert!(heard.contains(&format!("\r\n{line}\r\n")), "{line}: {heard}");
    }
}

#[test]
fn a_long_answer_is_cut_and_a_short_one_is_an_answer() {
    let long: &'static [u8] = Box::leak(
        [b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), vec![b'x'; 1 << 20]].concat().into_boxed_slice(),
    );
    let (address, _) = says(long);
    let answer = ask_http(&get(format!("http://{address}/")), &HttpWay::default(), soon());
    assert_eq!(answer.map(|a| (a.status, a.body.len())), Ok((200, 64 << 10)));
    let (address, _) = says(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc");
    let answer = ask_http(&get(format!("http://{address}/")), &HttpWay::default(), soon());
    assert_eq!(answer.map(|a| (a.status, a.text())), Ok((200, "abc".into())));
}

#[test]
fn what_goes_wrong_is_said() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("has one");
    let passing = |said: &str| Err(ReachError::Passing(said.into()));
    let asked = |url: String| ask_http(&get(url), &HttpWay::default(), soon());
    assert_eq!(
        asked(format!("http://{free}/")),
        passing(&format!("127.0.0.1 port {} cannot be reached: Connection refused", free.port()))
    );
    let (address, _) = says(b"");
    assert_eq!(
        asked(format!("http://{address}/")),
        passing("127.0.0.1: the connection was closed before an answer came")
    );
    let (address, _) = says(b"220 mail.example.org ESMTP\r\n");
    assert_eq!(asked(format!("http://{address}/")), passing("127.0.0.1: the answer is not HTTP"));
    let (address, _) = says(b"500 what?\r\n");
    let said = asked(format!("https://{address}/")).expect_err("it has no TLS").to_string();
    assert_eq!(said, "127.0.0.1 does not speak TLS at this port");
    for (url, said) in [
        ("ftp://a/", "the address has to begin with https:// or http://"),
        ("http://a b/", "this is no address of a web server: https://host/path"),
        ("/a", "the address has to begin with https:// or http://"),
    ] {
        assert_eq!(asked(url.into()), Err(ReachError::Lasting(said.into())), "{url}");
    }
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = silent.local_addr().expect("has one");
    let late = ask_http(
        &get(format!("http://{address}/")),
        &HttpWay::default(),
        Instant::now() + Duration::from_millis(50),
    );
    assert_eq!(late, passing("no answer in time"));
}

#[test]
fn a_proxy_is_used_for_https_only() {
    let (proxy, heard) = says(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    let way = |no_proxy: &[&str]| HttpWay {
        proxy: Some(format!("http://{proxy}")),
        no_proxy: no_proxy.iter().map(|&n| n.into()).collect(),
        ..HttpWay::default()
    };
    let (address, _) = says(b"HTTP/1.1 204 No Content\r\n\r\n");
    let answer = ask_http(&get(format!("http://{address}/")), &way(&[]), soon());
    assert_eq!(answer.map(|a| a.status), Ok(204));
    for (host, without, by_proxy) in [
        ("a.example.org", &["example.org"][..], false),
        ("example.org", &[".example.org"], false),
        ("badexample.org", &["example.org"], true),
        ("example.org", &["*"], false),
        ("example.org", &[], true),
    ] {
        assert_eq!(way(without).proxy_for(host).is_some(), by_proxy, "{host} {without:?}");
    }
    drop(heard);
}
