//! cli: the service's way out. Its unit lets it reach this machine only. Where alerts go elsewhere, a
//! drop-in of the unit allows that, and no more: one address, if the receiver is written as one.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::service::{DROP_INS, Machine, Step};
use crate::config::Config;
use crate::notify::{Host, host_of_target};

/// The drop-in, within [`DROP_INS`].
const NAME: &str = "50-receivers.conf";

/// What the service has to reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outward {
    /// Nothing but this machine.
    Nothing,
    /// These addresses.
    Some(Vec<IpAddr>),
    /// Names, whose addresses change, or what a program reaches.
    Any,
}

/// Where the receivers, the mail server and the heartbeat of a configuration are.
pub fn outward(config: &Config) -> Outward {
    let mut found = Vec::new();
    for target in config.alerts.receivers() {
        found.push(match host_of_target(target) {
            Host::MailServer => match &config.alerts.smtp.server {
                Some(server) => {
                    Host::of(server.rsplit_once(':').map_or(&**server, |(host, _)| host))
                }
                // sendmail: of another program nobody knows where it goes.
                None => Host::Unknown,
            },
            other => other,
        });
    }
    found.extend(config.alerts.options.heartbeat.as_deref().map(host_of_target));
    let mut addresses = Vec::new();
    for one in found {
        match one {
            Host::Address(address) if address.is_loopback() => {}
            Host::Address(address) if !addresses.contains(&address) => addresses.push(address),
            Host::Address(_) => {}
            Host::MailServer | Host::Unknown => return Outward::Any,
        }
    }
    if addresses.is_empty() { Outward::Nothing } else { Outward::Some(addresses) }
}

/// The text of the drop-in. Nothing: none is needed.
fn text(outward: &Outward) -> Option<String> {
    let (why, allowed) = match outward {
        Outward::Nothing => return None,
        Outward::Some(addresses) => {
            let all: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
            ("All receivers are written as addresses, so only these are open.", all.join(" "))
        }
        Outward::Any => (
            "Names of hosts have addresses that change, and programs reach what they like, so all\n\
             # are open. With receivers that are all written as addresses only those would be.",
            "any".to_owned(),
        ),
    };
    Some(format!(
        "# Written by `plimsoll alert to` and `plimsoll install`: alerts go to receivers beyond this\n\
         # machine. {why}\n\
         [Service]\n\
         IPAddressAllow={allowed}\n"
    ))
}

/// The steps that bring the drop-in in line with the configuration. None where it is so already.
pub fn steps(machine: &Machine, config: &Config) -> Vec<Step> {
    let path = machine.at(DROP_INS).join(NAME);
    let there = std::fs::read_to_string(&path).ok();
    match (text(&outward(config)), there) {
        (Some(wanted), Some(there)) if wanted == there => Vec::new(),
        (Some(content), _) => vec![Step::Write { path, content: content.into() }],
        (None, Some(_)) => vec![Step::Remove(path)],
        (None, None) => Vec::new(),
    }
}

/// Opens or closes the way of the installed service. What was done, in a line; nothing, where there is
/// no such service, no right to do it, or nothing to do.
pub fn adjust(config_path: &Path, config: &Config) -> anyhow::Result<Option<PathBuf>> {
    let machine = Machine::this(None)?;
    let served = config_path == machine.at(super::service::CONFIG) && machine.has_unit();
    if !(machine.is_root && machine.systemd && served) {
        return Ok(None);
    }
    let mut steps = steps(&machine, config);
    if steps.is_empty() {
        return Ok(None);
    }
    let hint = "see what systemd says: systemctl status plimsoll";
    steps.push(Step::Run {
        argv: vec!["systemctl", "daemon-reload"],
        why: "let systemd read the unit",
        hint,
    });
    for step in &steps {
        step.perform().context("the service's way to its receivers was not opened")?;
    }
    Ok(Some(machine.at(DROP_INS).join(NAME)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Outward {
        outward(&Config::parse(text, "x").expect("a configuration"))
    }

    #[test]
    fn only_what_is_configured_is_open() {
        let some = |list: &[&str]| {
            Outward::Some(list.iter().map(|a| a.parse().expect("an address")).collect())
        };
        for (config, wanted) in [
            ("", Outward::Nothing),
            ("[alerts]\nto = \"ntfy://127.0.0.1:80/a\"\n", Outward::Nothing),
            ("[alerts]\nto = \"ntfy://localhost/a\"\n", Outward::Nothing),
            ("[alerts]\nto = \"ntfy:my-topic\"\n", Outward::Any),
            ("[alerts]\nto = \"ntfy://10.0.0.7:80/a\"\n", some(&["10.0.0.7"])),
            ("[alerts]\nto = \"json://[fd00::7]/a\"\n", some(&["fd00::7"])),
            ("[alerts]\nto = \"alertmanager+http://10.0.0.7:9093\"\n", some(&["10.0.0.7"])),
            (
                "[alerts]\nto = [\"http://10.0.0.7/a\", \"http://10.0.0.7/b\"]\n",
                some(&["10.0.0.7"]),
            ),
            ("[alerts]\nto = [\"http://10.0.0.7/a\", \"ntfy:a\"]\n", Outward::Any),
            ("[alerts]\nto = \"me@example.org\"\n", Outward::Any),
            (
                "[alerts]\nto = \"me@example.org\"\n[smtp]\nserver = \"10.0.0.7:25\"\n",
                some(&["10.0.0.7"]),
            ),
            (
                "[alerts]\nto = \"me@example.org\"\n[smtp]\nserver = \"localhost\"\n",
                Outward::Nothing,
            ),
            (
                "[alerts]\nto = \"me@example.org\"\n[smtp]\nserver = \"mail.example.org:587\"\n",
                Outward::Any,
            ),
            (
                "[alerts]\nto = \"mailto://u:p@10.0.0.7?smtp=mail.example.org&to=a@b.c\"\n",
                Outward::Any,
            ),
            ("[alerts]\nto = \"tgram://1:A/2?api=http://10.0.0.7\"\n", Outward::Any),
            ("[alerts]\nto = \"exec:/bin/true\"\n", Outward::Any),
            ("[alerts]\nto = \"${file:/etc/x}\"\n", Outward::Any),
            ("[alerts]\nheartbeat = \"https://hc-ping.com/0a\"\n", Outward::Any),
            ("[alerts]\nheartbeat = \"http://10.0.0.7/0a\"\n", some(&["10.0.0.7"])),
            (
                "[[alert]]\nwhen = \"disk_/ > 95\"\nto = \"http://10.0.0.7/a\"\n",
                some(&["10.0.0.7"]),
            ),
        ] {
            assert_eq!(of(config), wanted, "{config}");
        }
    }

    #[test]
    fn the_drop_in_says_why() {
        assert_eq!(text(&Outward::Nothing), None);
        let any = text(&Outward::Any).expect("one");
        assert!(any.contains("addresses that change") && any.ends_with("\nIPAddressAllow=any\n"));
        let two = Outward::Some(vec![[10, 0, 0, 7].into(), [10, 0, 0, 8].into()]);
        let two = text(&two).expect("one");
        assert!(two.ends_with("\n[Service]\nIPAddressAllow=10.0.0.7 10.0.0.8\n"), "{two}");
    }
}
