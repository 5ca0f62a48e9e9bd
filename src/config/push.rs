//! config: the sections `[push]` and `[graphite]`.

use super::raw::Section;
use super::resolve::Resolver;
use super::statsd::BUFFER;
use super::values::Listen;
use crate::model::options::options;
use crate::pipeline::MAX_PUSHED_NAMES;
use crate::receive::Settings as Receive;

options! {
    /// Senders of Graphite's plaintext lines.
    pub struct GraphiteOptions {
        /// Where their lines are taken, by TCP and UDP: an address and a port, for example
        /// "127.0.0.1:2003".
        listen: Listen<2003> = Listen::OFF, like r#""127.0.0.1:2003""#;
        /// Graphite has no passwords. An address that other machines can reach takes this, and a
        /// firewall.
        remote: bool = false, like "true";
    }
}

options! {
    /// Everything that senders bring: by statsd, Graphite, HTTP and SQL.
    pub struct PushOptions {
        /// How many names senders may bring, all of them together; a timer of statsd is one name.
        /// New ones beyond are refused, and counted; known ones go on. A quarter more is in reserve
        /// for other machines, of which each gets no more than it leaves: a new one finds room.
        max_names: u64 = MAX_PUSHED_NAMES, in 1..=1_000_000, like "20000";
    }
}

impl Resolver<'_> {
    pub(super) fn graphite(&mut self, top: &Section<'_>) -> Receive {
        let section = top.section("graphite", self.mistakes);
        let options: GraphiteOptions = self.fill(section.as_ref());
        if let Some(s) = section.as_ref().filter(|_| !options.remote) {
            self.no_passwords(s, "listen", options.listen.open(), "Graphite's protocol");
        }
        self.list("graphite", &options);
        let listen = options.listen.0;
        self.claim_tcp(section.as_ref(), "graphite", "listen", listen);
        self.claim_udp(section.as_ref(), "graphite", "listen", listen);
        Receive { udp: listen, tcp: listen, buffer: BUFFER, ..Receive::default() }
    }
}
