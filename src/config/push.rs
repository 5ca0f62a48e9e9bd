//! config: the sections `[push]` and `[graphite]`.

use super::raw::Section;
use super::resolver::Resolver;
use super::statsd::BUFFER;
use super::values::Listen;
use crate::model::options::options;
use crate::pipeline::MAX_PUSHED_NAMES;
use crate::receive::Settings as Receive;

options! {
    /// The receiver of Graphite's plaintext lines.
    pub struct GraphiteOptions {
        /// Address and port, for TCP and UDP, for example "127.0.0.1:2003".
        listen: Listen<2003> = Listen::OFF, like r#""127.0.0.1:2003""#;
        /// Allows addresses that other machines can reach. Graphite has no passwords, so use a
        /// firewall.
        remote: bool = false, like "true";
    }
}

options! {
    /// All senders: statsd, Graphite, HTTP and SQL.
    pub struct PushOptions {
        /// Largest number of names from all senders together; a statsd timer is one name. New names
        /// beyond it are refused and counted, known ones are accepted. A quarter more is reserved
        /// for other machines, none of which can use more than it leaves to the others.
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
