//! Alertmanager with a daemon: it keeps alerts in its memory only, so after its own restart it has to be
//! told again. plimsoll does that each minute, and a new daemon tells nothing for a minute, so
//! ci/torture/receivers runs it.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::support::*;

/// It ends with the test.
struct Alertmanager(Child);

impl Alertmanager {
    /// Without anything that it may have kept.
    fn start(folder: &Path, port: u16) -> Self {
        let data = folder.join("am");
        let _none = std::fs::remove_dir_all(&data);
        let config = folder.join("am.yml");
        std::fs::write(&config, "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
            .expect("the folder can be written");
        let child = tool("prometheus-alertmanager", "prometheus-alertmanager")
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.path={}", data.display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"))
            .arg("--cluster.listen-address=")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("it starts");
        Self(child)
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _buried = self.0.wait();
    }
}

/// The alert as Alertmanager has it.
fn alert(port: u16, name: &str) -> Result<Value, String> {
    let url = format!("http://127.0.0.1:{port}/api/v2/alerts");
    let said = run(tool("curl", "curl").args(["-s", &url]));
    let all: Vec<Value> = serde_json::from_str(&said.out).map_err(|e| format!("{e}: {said:?}"))?;
    let named = |alert: &&Value| alert["labels"]["alertname"] == name;
    all.iter().find(named).cloned().ok_or_else(|| format!("{all:?}"))
}

#[test]
#[ignore = "takes two minutes: ci/torture/receivers runs it"]
fn alertmanager_is_told_again_after_its_own_restart() {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free.local_addr().expect("bound").port();
    drop(free);
    let folder = Folder::new();
    let daemon = folder.start(&format!(
        "{FAST}[alerts]\nto = \"alertmanager+http://127.0.0.1:{port}\"\n\
         [[alert]]\nname = \"always\"\nwhen = 'vector(7) > 5'\nfor = \"0s\"\nseverity = \"bad\"\n"
    ));
    let patience = 4 * PATIENCE;
    let first = Alertmanager::start(folder.path(), port);
    let told = eventually("it is told", patience, || alert(port, "always"));
    drop(first);
    let _second = Alertmanager::start(folder.path(), port);
    let again = eventually("it is told again", patience, || alert(port, "always"));
    for name in ["fingerprint", "startsAt", "labels"] {
        assert_eq!(told[name], again[name], "{name}: it is the alert that it was");
    }
    daemon.stop();
}
