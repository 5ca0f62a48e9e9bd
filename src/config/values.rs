//! config: types of options that no other room has: addresses to listen at, networks, names.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::model::options::{Given, Limit, Shape, Value, Wrong, list, quote};
use crate::receive::Network;

/// A listening address, or `off`. `PORT` is the usual port, for hints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen<const PORT: u16>(pub Option<SocketAddr>);

impl<const PORT: u16> Listen<PORT> {
    /// Nowhere.
    pub const OFF: Self = Self(None);

    /// The usual address, on this machine.
    pub const USUAL: Self = Self(Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), PORT)));

    /// The address, if programs on other machines can reach it.
    pub fn open(self) -> Option<SocketAddr> {
        self.0.filter(|address| !address.ip().to_canonical().is_loopback())
    }

    fn parse(text: &str) -> Result<Self, (String, String)> {
        if text == "off" {
            return Ok(Self(None));
        }
        if let Ok(address) = text.parse() {
            return Ok(Self(Some(address)));
        }
        let port = text.rsplit(':').next().and_then(|p| p.parse().ok());
        let better = match text.parse::<IpAddr>() {
            Ok(ip) => SocketAddr::new(ip, PORT),
            Err(_) => SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port.unwrap_or(PORT)),
        };
        Err((
            format!("`{text}` is not an address with a port"),
            format!("for example `{better}`, or `off`"),
        ))
    }
}

impl<const PORT: u16> Value for Listen<PORT> {
    const SHAPE: Shape = Shape::Text;

    fn read(given: &Given<'_>) -> Result<Self, Vec<Wrong>> {
        Self::parse(given.text()).map_err(|(message, hint)| vec![Wrong::new(message, hint)])
    }

    fn show(&self) -> Option<String> {
        Some(quote(&self.0.map_or("off".into(), |address| address.to_string())))
    }
}

/// Addresses to listen at; none: nowhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places<const PORT: u16>(pub Vec<SocketAddr>);

/// Each item of a list, or everything that is wrong with any.
pub fn each<T>(
    given: &Given<'_>,
    parse: impl Fn(&str) -> Result<T, (String, String)>,
) -> Result<Vec<T>, Vec<Wrong>> {
    let (mut out, mut wrong) = (Vec::new(), Vec::new());
    for (at, text) in given.texts().iter().enumerate() {
        match parse(text) {
            Ok(item) => out.push(item),
            Err((message, hint)) => wrong.push(Wrong::item(at, message, hint)),
        }
    }
    if wrong.is_empty() { Ok(out) } else { Err(wrong) }
}

impl<const PORT: u16> Value for Places<PORT> {
    const SHAPE: Shape = Shape::OneOrMore;

    fn read(given: &Given<'_>) -> Result<Self, Vec<Wrong>> {
        let places = each(given, Listen::<PORT>::parse)?;
        Ok(Self(places.into_iter().filter_map(|place| place.0).collect()))
    }

    fn show(&self) -> Option<String> {
        Some(list(self.0.iter().map(|address| quote(&address.to_string()))))
    }
}

impl Value for Vec<Network> {
    const SHAPE: Shape = Shape::OneOrMore;

    fn read(given: &Given<'_>) -> Result<Self, Vec<Wrong>> {
        each(given, Network::parse)
    }

    fn show(&self) -> Option<String> {
        Some(list(self.iter().map(|network| quote(&network.to_string()))))
    }
}

/// Allowed names of machines in Munin's protocol and in certificates.
pub struct MachineName;

impl Limit<String> for MachineName {
    fn check(&self, name: &String, _: &Given<'_>) -> Vec<Wrong> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if !name.is_empty() && name.len() <= 200 && name.chars().all(fits) {
            return Vec::new();
        }
        vec![Wrong::new(
            format!("`{name}` is not a name for a machine"),
            "letters, digits, and - . _ are, as in `web1.example.org`",
        )]
    }

    fn range(&self) -> Option<String> {
        None
    }
}
