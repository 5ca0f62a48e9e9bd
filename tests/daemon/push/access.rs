//! Tokens, TLS and the unix socket, with curl as whoever asks.

use std::path::Path;

use super::{QUIET, send};
use crate::support::*;

/// curl: the status it saw, or its own complaint.
fn curl(words: &[&str]) -> String {
    let mut command = tool("curl", "curl");
    command.args(["-s", "-S", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}"]).args(words);
    let said = run(&mut command);
    if said.status.success() { said.out } else { said.err }
}

#[test]
fn tokens_are_made_listed_used_and_revoked_while_it_runs() {
    let folder = Folder::new();
    let daemon = folder.start(&format!("{QUIET}behind_proxy = true\n"));
    let url = |path: &str| format!("http://{}{path}", daemon.address());
    let (push, metrics) = (url("/api/push"), url("/metrics"));
    let body = "{\"key\": \"a\", \"value\": 1}";
    let answer = send(daemon.address(), "POST", "/api/push", &[], body.as_bytes());
    assert_eq!(answer.status, 401);
    assert!(answer.body.contains("plimsoll token add NAME --scope push"), "{answer:?}");
    assert!(answer.header("www-authenticate").is_some_and(|h| h.contains("Basic")));
    let secret = folder.ask(&["token", "add", "web1", "--scope", "push"]).well();
    let secret = secret.trim();
    let bearer = format!("Authorization: Bearer {secret}");
    let basic = format!("anybody:{secret}");
    assert_eq!(curl(&["-H", &bearer, "-d", body, &push]), "200");
    assert_eq!(curl(&["-u", &basic, "-d", body, &push]), "200");
    assert_eq!(curl(&["-u", "anybody:else", "-d", body, &push]), "401");
    assert_eq!(curl(&["-H", &bearer, &metrics]), "403");
    let reader = folder.ask(&["token", "add", "grafana", "--scope", "read"]).well();
    assert_eq!(curl(&["-u", &format!("x:{}", reader.trim()), &metrics]), "200");
    let list = folder.ask(&["token", "list"]).well();
    assert!(list.contains("web1") && list.contains("push") && !list.contains(secret), "{list}");
    assert!(folder.ask(&["token", "add", "web1", "--scope", "read"]).refused().contains("already"));
    folder.ask(&["token", "revoke", "web1"]).well();
    assert!(folder.ask(&["token", "revoke", "web1"]).refused().contains("token list"));
    assert_eq!(curl(&["-H", &bearer, "-d", body, &push]), "401");
    // A copy of the database carries no credentials.
    let text =
        String::from_utf8_lossy(&std::fs::read(&daemon.db).expect("the database")).into_owned();
    assert!(!text.contains("grafana"));
    daemon.stop();
}

/// A certificate and its key, signed by itself; `names` as in `DNS:localhost`.
pub fn certificate(folder: &Folder, name: &str, names: &str) {
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    run(tool("openssl", "openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
        .args(["-nodes", "-days", "2", "-subj", &format!("/CN={name}")])
        .args(["-addext", &format!("subjectAltName={names}"), "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&cert))
    .well();
}

#[test]
fn tls_with_a_certificate_that_is_replaced_while_it_runs() {
    let folder = Folder::new();
    certificate(&folder, "first", "DNS:localhost");
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    let tls = format!("tls_cert = \"{}\"\ntls_key = \"{}\"\n", cert.display(), key.display());
    let daemon = folder.start(&format!("{QUIET}{tls}"));
    let log = daemon.log();
    let port = log.split("https://127.0.0.1:").nth(1).and_then(|t| t.split(' ').next());
    let url = format!("https://localhost:{}/api/push", port.expect("it says where"));
    let body = "{\"key\": \"a\", \"value\": 1}";
    let trusting = |ca: &Path| curl(&["--cacert", &ca.display().to_string(), "-d", body, &url]);
    assert_eq!(trusting(&cert), "200");
    let plain = url.replace("https:", "http:");
    assert!(!curl(&["-d", body, &plain]).starts_with("200"), "nothing in the clear");
    let old = folder.join("old.pem");
    std::fs::copy(&cert, &old).expect("copied");
    certificate(&folder, "second", "DNS:localhost");
    eventually("the new certificate", PATIENCE, || match trusting(&cert).as_str() {
        "200" => Ok(()),
        other => Err(other.to_owned()),
    });
    assert!(trusting(&old).contains("certificate"), "the old one is gone");
    // What does not fit leaves the one before in use.
    std::fs::write(&key, "nonsense").expect("written");
    eventually("a word about it", PATIENCE, || {
        assert_eq!(trusting(&cert), "200");
        if daemon.logged("key.pem") > 0 { Ok(()) } else { Err(daemon.log()) }
    });
    daemon.stop();
}

#[test]
fn a_certificate_that_cannot_be_read_is_told_and_nothing_listens() {
    let folder = Folder::new();
    let tls = "tls_cert = \"/nonexistent/cert.pem\"\ntls_key = \"/nonexistent/key.pem\"\n";
    let daemon = folder.start(&format!("{QUIET}{tls}"));
    daemon.says("cannot speak TLS: /nonexistent/cert.pem");
    daemon.says("(not yet)");
    daemon.stop();
}

#[test]
fn a_unix_socket_takes_pushes_too() {
    let folder = Folder::new();
    let socket = folder.join("http.sock");
    let config = format!("{QUIET}socket = \"{}\"\n", socket.display());
    let daemon = folder.start(&config);
    let path = socket.display().to_string();
    let body = "{\"key\": \"a\", \"value\": 1}";
    let push = || curl(&["--unix-socket", &path, "-d", body, "http://anything/api/push"]);
    assert_eq!(push(), "200");
    daemon.kill();
    // What a killed daemon left does not keep the next one from listening.
    let daemon = folder.start(&config);
    assert_eq!(push(), "200");
    daemon.stop();
}
