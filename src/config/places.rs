//! config: where everything is to listen: no two options may name one place.

use std::net::SocketAddr;
use std::path::Path;

use super::claim::{Claim, Place};
use super::error::Mistake;
use super::raw::Section;
use super::resolver::Resolver;

impl Resolver<'_> {
    /// Notes where an option of the section at `path` has something listen; `item`: which of a list.
    pub(super) fn claim(
        &mut self,
        section: Option<&Section<'_>>,
        path: &str,
        (key, item): (&str, Option<usize>),
        place: Place,
    ) {
        let written = section.filter(|section| section.has(key));
        let span = written.map(|section| section.place(key, item));
        self.claims.push(Claim { option: format!("{path}.{key}"), place, span });
    }

    /// As [`Resolver::claim`], for an address by TCP.
    pub(super) fn claim_tcp(
        &mut self,
        section: Option<&Section<'_>>,
        path: &str,
        key: &str,
        address: Option<SocketAddr>,
    ) {
        if let Some(address) = address {
            self.claim(section, path, (key, None), Place::Tcp(address));
        }
    }

    /// As [`Resolver::claim`], for an address by UDP.
    pub(super) fn claim_udp(
        &mut self,
        section: Option<&Section<'_>>,
        path: &str,
        key: &str,
        address: Option<SocketAddr>,
    ) {
        if let Some(address) = address {
            self.claim(section, path, (key, None), Place::Udp(address));
        }
    }

    /// As [`Resolver::claim`], for a unix socket.
    pub(super) fn claim_path(
        &mut self,
        section: Option<&Section<'_>>,
        path: &str,
        key: &str,
        socket: Option<&Path>,
    ) {
        if let Some(socket) = socket {
            self.claim(section, path, (key, None), Place::Path(socket.to_owned()));
        }
    }

    /// Tells of each option that names a place which another one has. The defaults are at peace.
    pub(super) fn clashes(&mut self) {
        let claims = std::mem::take(&mut self.claims);
        for (at, second) in claims.iter().enumerate() {
            let Some(first) = claims[..at].iter().find(|first| first.place.clashes(&second.place))
            else {
                continue;
            };
            // What is written is pointed at, not a default.
            let (told, other) = match &second.span {
                Some(_) => (second, first),
                None => (first, second),
            };
            let message = format!(
                "`{}`: {} is where `{}` listens{}",
                told.option,
                told.place.shown(),
                other.option,
                if other.span.is_none() { " by default" } else { "" }
            );
            self.mistakes.push(Mistake {
                key: told.option.clone(),
                message,
                hint: "give each of the two a place of its own".into(),
                span: told.span.clone().unwrap_or(0..0),
            });
        }
    }
}
