//! config: the sections `[push]` and `[graphite]`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::raw::{self, Section};
use super::resolve::Resolver;
use super::statsd::address;
use crate::pipeline::MAX_PUSHED_NAMES;
use crate::receive::Settings as Receive;

/// Where Graphite's senders expect it.
const GRAPHITE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 2003);
/// As statsd's.
const BUFFER: u64 = 4 << 20;
/// More names than this are a mistake at the sender.
const MOST_NAMES: f64 = 1e6;

impl Resolver<'_> {
    pub(super) fn push(&mut self, top: &Section<'_>) -> u64 {
        let Some(section) = top.section("push", raw::PUSH, &[], self.mistakes) else {
            return MAX_PUSHED_NAMES;
        };
        match section.number("max_names") {
            Some(at) if (1.0..=MOST_NAMES).contains(&at.value) && at.value.fract() == 0.0 => {
                at.value as u64
            }
            Some(at) => {
                let message = format!("{} is no number of names", at.value);
                let hint = "a whole number from 1 to 1000000";
                self.tell(&section, "max_names", at.span, &message, hint);
                MAX_PUSHED_NAMES
            }
            None => MAX_PUSHED_NAMES,
        }
    }

    pub(super) fn graphite(&mut self, top: &Section<'_>) -> Receive {
        let mut receive = Receive { buffer: BUFFER, ..Receive::default() };
        let Some(section) = top.section("graphite", raw::GRAPHITE, &[], self.mistakes) else {
            return receive;
        };
        let remote = section.flag("remote").unwrap_or(false);
        let place = |text: &str| address(text, remote, GRAPHITE, "Graphite's protocol");
        let listen = self.understood(&section, "listen", place).flatten();
        (receive.udp, receive.tcp) = (listen, listen);
        receive
    }
}
