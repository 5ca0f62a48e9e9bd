//! config: from sections to settings: defaults filled in, texts understood, contradictions told.
//! Nothing is read from disk here.

use std::net::SocketAddr;
use std::ops::Range;

use toml::Spanned;
use toml::de::DeTable;

use super::error::{ConfigError, Mistake, nearest};
use super::raw::{self, At, Section};
use super::{Burst, CollectorConfig, Condition, Config, Http};
use crate::collect;
use crate::http::TlsSettings;
use crate::model::{
    DurationError, Glob, Interval, KeyFilter, format_duration, format_size, parse_duration,
    parse_size,
};
use crate::store::Limits;

const MINUTE: i64 = 60_000;
const DAY: i64 = 1_440 * MINUTE;
pub(super) const YEAR: i64 = 365 * DAY;

/// How long beats wait in memory for a disk that takes no more.
const QUEUE: i64 = 15 * MINUTE;
/// A database smaller than this holds nothing worth keeping.
const LEAST_SIZE: u64 = 4 << 20;
/// For ages of samples.
const LONGEST_AGE: i64 = 100 * YEAR;
/// How long a burst lasts after its condition was last true.
const BURST: i64 = 5 * MINUTE;
/// The year of the Plimsoll line.
const LISTEN: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 1876);

/// What the text means, given the names of all collectors in their order.
pub fn resolve(text: &str, origin: &str, known: &[&'static str]) -> Result<Config, ConfigError> {
    let (table, syntax) = DeTable::parse_recoverable(text);
    if !syntax.is_empty() {
        return Err(ConfigError::content(origin, text, syntax_mistakes(text, &syntax)));
    }
    let mut mistakes = Vec::new();
    let config = settings(&table, known, &mut mistakes);
    if mistakes.is_empty() { Ok(config) } else { Err(ConfigError::content(origin, text, mistakes)) }
}

/// The settings of an empty file.
pub fn defaults(known: &[&'static str]) -> Config {
    settings(&Spanned::new(0..0, DeTable::new()), known, &mut Vec::new())
}

/// One a line: what follows on a line after the first error is mostly its echo.
fn syntax_mistakes(text: &str, errors: &[toml::de::Error]) -> Vec<Mistake> {
    let mut mistakes: Vec<Mistake> = Vec::new();
    let mut last_line = None;
    for error in errors {
        let span = error.span().unwrap_or(text.len()..text.len());
        let line = text.as_bytes()[..span.start.min(text.len())].iter().filter(|b| **b == b'\n');
        let line = Some(line.count());
        if line == last_line {
            continue;
        }
        last_line = line;
        let found = text.get(span.clone()).unwrap_or_default();
        let said = error.message();
        let (message, hint) = match said.split_once(", expected ") {
            Some(("string values must be quoted", _)) if found.is_empty() => {
                ("there is no value".into(), "write one behind the =".into())
            }
            Some(("string values must be quoted", _)) => {
                (format!("`{found}` is neither text nor a number"), format!("write \"{found}\""))
            }
            Some((message, expected)) if !expected.is_empty() => {
                (message.into(), format!("expected {expected}"))
            }
            None if said == "duplicate key" => {
                let hint = "it was already set above; remove one of the two".into();
                (format!("`{found}` is set twice"), hint)
            }
            _ => (said.into(), "this is not TOML".into()),
        };
        mistakes.push(Mistake { key: String::new(), message, hint, span });
    }
    mistakes
}

fn settings(
    table: &Spanned<DeTable<'_>>,
    known: &[&'static str],
    mistakes: &mut Vec<Mistake>,
) -> Config {
    let top = Section::read("", table, raw::TOP, &[], mistakes);
    let mut r = Resolver { known, mistakes };
    let interval = r.interval(&top, "interval").unwrap_or(Interval::DEFAULT);
    let (collectors, collect, filter) = r.collect(&top, interval);
    let (queue_ms, limits) = r.store(&top);
    Config {
        source: None,
        text: String::new(),
        db: r.db(&top),
        system: r.system(&top),
        interval,
        bursts: r.bursts(&top, &collectors),
        collectors,
        collect,
        filter,
        http: r.http(&top),
        statsd: r.statsd(&top),
        plugins: r.plugins(&top),
        graphite: r.graphite(&top),
        munin_node: r.munin_node(&top),
        munin_peers: r.munin_peers(&top),
        max_names: r.push(&top),
        queue_ms,
        limits,
    }
}

pub(super) struct Resolver<'a> {
    pub(super) known: &'a [&'static str],
    pub(super) mistakes: &'a mut Vec<Mistake>,
}

impl Resolver<'_> {
    pub(super) fn tell(
        &mut self,
        section: &Section<'_>,
        name: &str,
        span: Range<usize>,
        message: &str,
        hint: impl Into<String>,
    ) {
        let key = section.full(name);
        let message = format!("`{key}`: {message}");
        self.mistakes.push(Mistake { key, message, hint: hint.into(), span });
    }

    pub(super) fn understood<T>(
        &mut self,
        section: &Section<'_>,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, (String, String)>,
    ) -> Option<T> {
        let text = section.text(name)?;
        match parse(text.value) {
            Ok(value) => Some(value),
            Err((message, hint)) => {
                self.tell(section, name, text.span, &message, hint);
                None
            }
        }
    }

    pub(super) fn interval(&mut self, section: &Section<'_>, name: &str) -> Option<Interval> {
        self.understood(section, name, |text| {
            text.parse().map_err(|e: DurationError| (e.message, e.hint))
        })
    }

    pub(super) fn duration(
        &mut self,
        section: &Section<'_>,
        name: &str,
        least: i64,
        most: i64,
    ) -> Option<i64> {
        self.understood(section, name, |text| {
            let ms = parse_duration(text).map_err(|e| (e.message, e.hint))?;
            if (least..=most).contains(&ms) {
                return Ok(ms);
            }
            Err((
                format!("`{text}` is too {}", if ms < least { "short" } else { "long" }),
                format!("from {} to {}", format_duration(least), format_duration(most)),
            ))
        })
    }

    fn db(&mut self, top: &Section<'_>) -> Option<std::path::PathBuf> {
        self.understood(top, "db", |text| match text {
            "" => Err(("there is no path".into(), "remove the line to use the default".into())),
            path if path.ends_with('/') => Err((
                "this is a directory".into(),
                format!("name the file too: `{path}metrics.sqlite`"),
            )),
            path => Ok(path.into()),
        })
    }

    /// A path that names a file from the root on: the daemon's own folder is nobody's concern.
    pub(super) fn path(&mut self, section: &Section<'_>, name: &str) -> Option<std::path::PathBuf> {
        self.understood(section, name, |text| match text {
            "" => Err(("there is no path".into(), "remove the line to do without".into())),
            path if !path.starts_with('/') => Err((
                format!("`{path}` depends on the folder in which plimsoll is started"),
                "write the whole path, beginning with /".into(),
            )),
            path => Ok(path.into()),
        })
    }

    fn system(&mut self, top: &Section<'_>) -> Option<String> {
        self.understood(top, "system", |text| match text {
            "" => Err(("there is no name".into(), "remove the line to use the host name".into())),
            name if name.chars().any(char::is_control) || name.len() > 200 => Err((
                "this is not usable as a name".into(),
                "at most 200 bytes, without control characters".into(),
            )),
            name => Ok(name.into()),
        })
    }

    fn store(&mut self, top: &Section<'_>) -> (i64, Limits) {
        let mut limits = Limits::default();
        let Some(s) = top.section("store", raw::STORE, &[], self.mistakes) else {
            return (QUEUE, limits);
        };
        for (name, least, size) in [
            ("max_size", LEAST_SIZE, &mut limits.max_size),
            ("plain_rows", 0, &mut limits.plain_rows),
        ] {
            *size = self.size(&s, name, least).unwrap_or(*size);
        }
        for (name, age) in [
            ("raw", &mut limits.raw_ms),
            ("five_minutes", &mut limits.five_minutes_ms),
            ("hours", &mut limits.hours_ms),
        ] {
            *age = self.duration(&s, name, DAY, LONGEST_AGE).unwrap_or(*age);
        }
        (self.duration(&s, "queue", 1_000, DAY).unwrap_or(QUEUE), limits)
    }

    pub(super) fn size(&mut self, section: &Section<'_>, name: &str, least: u64) -> Option<u64> {
        self.understood(section, name, |text| {
            let bytes = parse_size(text)
                .map_err(|e| (e, "write a number and a unit: `500MB`, `2GiB`".into()))?;
            if bytes >= least {
                return Ok(bytes);
            }
            Err((format!("`{text}` is too small"), format!("{} or more", format_size(least))))
        })
    }

    fn collect(
        &mut self,
        top: &Section<'_>,
        interval: Interval,
    ) -> (Vec<CollectorConfig>, collect::Settings, KeyFilter) {
        let mut settings = collect::Settings::default();
        let every = |name: &&'static str| CollectorConfig { name, interval };
        let Some(section) = top.section("collect", raw::COLLECT, self.known, self.mistakes) else {
            return (self.known.iter().map(every).collect(), settings, KeyFilter::default());
        };
        let chosen =
            section.texts("collectors").map(|names| self.names(&section, "collectors", &names));
        let filter =
            KeyFilter { keep: self.globs(&section, "keep"), drop: self.globs(&section, "drop") };
        let mut collectors = Vec::new();
        for name in self.known {
            let mut collector = every(name);
            let mut enabled = chosen.as_ref().is_none_or(|chosen| chosen.contains(name));
            if let Some(own) = section.section(name, raw::collector_keys(name), &[], self.mistakes)
            {
                enabled = own.flag("enabled").unwrap_or(enabled);
                collector.interval = self.interval(&own, "interval").unwrap_or(interval);
                match *name {
                    "filesystem" => {
                        settings.mounts = self.mounts(&own, "mounts");
                        settings.exclude_mounts = self.mounts(&own, "exclude_mounts");
                        settings.exclude_types = self.globs(&own, "exclude_types");
                    }
                    "diskstats" => settings.exclude_disks = self.globs(&own, "exclude_devices"),
                    "netdev" => settings.exclude_interfaces = self.globs(&own, "exclude_devices"),
                    "textfile" => settings.textfiles = self.path(&own, "dir"),
                    _ => {}
                }
            }
            if enabled {
                collectors.push(collector);
            }
        }
        (collectors, settings, filter)
    }

    /// Collectors by name, in the order in which they run.
    fn names(&mut self, section: &Section<'_>, key: &str, names: &[At<&str>]) -> Vec<&'static str> {
        for name in names {
            if !self.known.contains(&name.value) {
                let hint = match nearest(name.value, self.known.iter().copied()) {
                    Some(better) => format!("did you mean `{better}`?"),
                    None => format!("there are: {}", self.known.join(", ")),
                };
                let message = format!("unknown collector `{}`", name.value);
                self.tell(section, key, name.span.clone(), &message, hint);
            }
        }
        self.known.iter().copied().filter(|k| names.iter().any(|n| n.value == *k)).collect()
    }

    fn globs(&mut self, section: &Section<'_>, key: &str) -> Vec<Glob> {
        let mut globs = Vec::new();
        for pattern in section.texts(key).unwrap_or_default() {
            if pattern.value.is_empty() {
                let hint = "write a name, or a pattern with * and ?";
                self.tell(section, key, pattern.span, "an empty pattern fits nothing", hint);
            } else {
                globs.push(Glob::new(pattern.value));
            }
        }
        globs
    }

    fn mounts(&mut self, section: &Section<'_>, key: &str) -> Vec<Glob> {
        for pattern in section.texts(key).unwrap_or_default() {
            if !pattern.value.is_empty() && !pattern.value.starts_with(['/', '*', '?']) {
                let message = format!("`{}` fits no mount point", pattern.value);
                let hint = "a mount point begins with /";
                self.tell(section, key, pattern.span, &message, hint);
            }
        }
        self.globs(section, key)
    }

    fn http(&mut self, top: &Section<'_>) -> Http {
        let mut http = Http {
            listen: Some(LISTEN),
            socket: None,
            tls: None,
            behind_proxy: false,
            hosts: Vec::new(),
        };
        let Some(section) = top.section("http", raw::HTTP, &[], self.mistakes) else {
            return http;
        };
        http.socket = self.path(&section, "socket");
        http.behind_proxy = section.flag("behind_proxy").unwrap_or(false);
        http.tls = self.tls(&section);
        // A mistake in these keys is told once, not here again.
        let safe = http.behind_proxy || section.has("tls_cert") || section.has("tls_key");
        if let Some(listen) = self.understood(&section, "listen", |text| listen(text, safe)) {
            http.listen = listen;
        }
        for host in section.texts("hosts").unwrap_or_default() {
            match host_name(host.value) {
                Ok(name) => http.hosts.push(name),
                Err((message, hint)) => self.tell(&section, "hosts", host.span, &message, hint),
            }
        }
        http
    }

    /// The two files of a certificate: both or none.
    pub(super) fn tls(&mut self, section: &Section<'_>) -> Option<TlsSettings> {
        let files = (self.path(section, "tls_cert"), self.path(section, "tls_key"));
        let pair = [("tls_cert", "tls_key"), ("tls_key", "tls_cert")];
        for (one, other) in pair.into_iter().filter(|(one, _)| section.has(one)) {
            if !section.has(other) {
                let hint = format!("add `{other} = \"/etc/plimsoll/{}.pem\"`", &other[4..]);
                self.tell(section, one, section.span(), &format!("`{other}` is missing"), hint);
            }
        }
        let (Some(cert), Some(key)) = files else { return None };
        Some(TlsSettings { cert, key })
    }

    fn bursts(&mut self, top: &Section<'_>, enabled: &[CollectorConfig]) -> Vec<Burst> {
        let sections = top.sections("burst", raw::BURST, self.mistakes);
        sections.iter().filter_map(|section| self.burst(section, enabled)).collect()
    }

    fn burst(&mut self, section: &Section<'_>, enabled: &[CollectorConfig]) -> Option<Burst> {
        for (name, example) in [("when", "cpu > 8"), ("interval", "1s")] {
            if !section.has(name) {
                let hint = format!("add `{name} = \"{example}\"`");
                self.tell(section, name, section.span(), "this is missing in a [[burst]]", hint);
            }
        }
        let when = self.understood(section, "when", Condition::parse);
        let interval = self.interval(section, "interval");
        let least = interval.unwrap_or(Interval::MIN).as_ms();
        let duration_ms = self.duration(section, "for", least, YEAR).unwrap_or(BURST.max(least));
        let names = section.texts("collectors").unwrap_or_default();
        let collectors = self.names(section, "collectors", &names);
        for name in &names {
            if collectors.contains(&name.value) && !enabled.iter().any(|c| c.name == name.value) {
                let message = format!("`{}` is switched off", name.value);
                let hint = "switch it on in [collect], or leave it out here";
                self.tell(section, "collectors", name.span.clone(), &message, hint);
            }
        }
        let text = section.text("when")?.value.to_owned();
        Some(Burst { when: when?, text, interval: interval?, duration_ms, collectors })
    }
}

fn listen(text: &str, safe: bool) -> Result<Option<SocketAddr>, (String, String)> {
    if text == "off" {
        return Ok(None);
    }
    let Ok(address) = text.parse::<SocketAddr>() else {
        let port = text.rsplit(':').next().and_then(|p| p.parse::<u16>().ok());
        let better = match (text.parse::<std::net::IpAddr>(), port) {
            (Ok(ip), _) => SocketAddr::new(ip, LISTEN.port()),
            (Err(_), port) => SocketAddr::new(LISTEN.ip(), port.unwrap_or(LISTEN.port())),
        };
        return Err((
            format!("`{text}` is not an address with a port"),
            format!("for example `{better}`, or `off`"),
        ));
    };
    if !safe && !address.ip().to_canonical().is_loopback() {
        return Err((
            format!("`{address}` can be reached from other machines, and nothing protects it"),
            format!(
                "set `tls_cert` and `tls_key`, or `behind_proxy = true` if a proxy does TLS; or \
                 listen on `{}:{}`",
                LISTEN.ip(),
                address.port()
            ),
        ));
    }
    Ok(Some(address))
}

/// A name as it may stand in a Host header, without its port.
fn host_name(text: &str) -> Result<String, (String, String)> {
    let name = text.to_ascii_lowercase();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if !name.is_empty() && (name.chars().all(plain) || name.parse::<std::net::IpAddr>().is_ok()) {
        return Ok(name);
    }
    Err((
        format!("`{text}` is not a host name"),
        "write the bare name, without http:// and port, for example `monitor.example.org`".into(),
    ))
}
