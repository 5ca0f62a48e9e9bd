//! cli: the rules over what is stored: `plimsoll alert replay`, `plimsoll alert suggest`, and the line of
//! `plimsoll alert` that says what the rules would have sent.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::json;

use super::super::{Global, screen, stdout, table};
use super::{moment, now_ms};
use crate::alert::replay::{Incident, Replay, Span, replay};
use crate::alert::suggest::suggest;
use crate::alert::{Rule, RuleText, Shelf};
use crate::config::Config;
use crate::daemon::{Compiled, channel_settings, compile};
use crate::model::{Severity, format_duration};
use crate::notify::redacted;
use crate::query::budget::Budget;
use crate::query::eval::Limits;
use crate::query::{Catalog, StoreSource, parse};
use crate::store::Reader;
use crate::wire::time::parse_when;

/// Memory for the samples of one piece of the past, bytes.
const MEMORY: u64 = 64 << 20;
const DAY_MS: i64 = 86_400_000;
/// The line of `plimsoll alert` may keep a person waiting for so long.
const GLANCE: Duration = Duration::from_millis(800);
/// It speaks of so much of the past, ms.
const GLANCE_MS: i64 = 30 * DAY_MS;
/// Less than this of the past, ms, says nothing of a week or a month.
const LEAST_MS: i64 = 3 * DAY_MS;
/// A rule of `--rule` without `--for`.
const USUAL_FOR: &str = "5m";

/// `plimsoll alert replay`
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    plimsoll alert replay                              the rules in force, over the last 30 days\n  \
    plimsoll alert replay --from -90d --to -30d\n  \
    plimsoll alert replay --rule 'disk_/ > 90' --for 10m --clear 85\n  \
    plimsoll alert replay --name disk_full --json\n\n\
    Reminders, quiet hours and silences are not counted. A forecast and what only a running plimsoll\n\
    knows (a silent machine) are not judged again for the past.")]
pub struct ReplayArgs {
    /// From when on: a date, or a time ago [default: -30d]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, default_value = "-30d")]
    from: String,
    /// Up to when [default: now]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    to: Option<String>,
    /// Try this rule: a key and a comparison, or PromQL [default: the rules in force]
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,
    /// How long the rule of --rule has to hold [default: 5m]
    #[arg(long = "for", value_name = "DURATION", requires = "rule")]
    for_: Option<String>,
    /// Where the rule of --rule is over
    #[arg(long, value_name = "VALUE", requires = "rule")]
    clear: Option<String>,
    /// How bad the rule of --rule is: info, warning or bad
    #[arg(long, value_name = "WORD", requires = "rule")]
    severity: Option<String>,
    /// Only the rule in force of this name
    #[arg(long, value_name = "NAME", conflicts_with = "rule")]
    name: Option<String>,
    /// Stop after this time
    #[arg(long, value_name = "DURATION", default_value = "2m")]
    timeout: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// `plimsoll alert suggest`
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    plimsoll alert suggest node_load5\n  \
    plimsoll alert suggest 'disk_/ > 0'               more is worse, as without a comparison\n  \
    plimsoll alert suggest 'node_memory_MemAvailable_bytes < 0' --from -90d")]
pub struct SuggestArgs {
    /// A key or PromQL; a comparison at its end says which side is worse
    #[arg(value_name = "EXPR")]
    expr: String,
    /// From when on: a date, or a time ago [default: -30d]
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, default_value = "-30d")]
    from: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// The stored past that is looked at.
fn span(reader: &Reader, config: &Config, from: i64, to: i64) -> anyhow::Result<Option<Span>> {
    let (_, oldest) = reader.extent()?;
    let from = from.max(oldest);
    if oldest == 0 || from >= to {
        return Ok(None);
    }
    let samples_from = reader.reach()?.samples_from;
    Ok(Some(Span { from, to, beat_ms: config.interval.as_ms(), samples_from }))
}

fn patience(text: &str) -> anyhow::Result<Duration> {
    let ms = crate::model::parse_duration(text);
    let ms = ms.map_err(|e| anyhow::anyhow!("--timeout: {}; {}", e.message, e.hint))?;
    Ok(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
}

pub(super) fn run_replay(args: &ReplayArgs, global: &Global) -> anyhow::Result<()> {
    let config = Config::find(global.config())?;
    let deadline = Instant::now() + patience(&args.timeout)?;
    let now = now_ms();
    let from = parse_when(&args.from, now).context("--from")?;
    let to = args.to.as_deref().map_or(Ok(now), |to| parse_when(to, now)).context("--to")?;
    anyhow::ensure!(from < to, "--from has to be before --to");
    let rules = match &args.rule {
        Some(rule) => vec![written(args, rule)?],
        None => named(&config, args.name.as_deref())?,
    };
    let reader = Reader::open(&global.database()?)?.load_head()?;
    let Some(span) = span(&reader, &config, from, to)? else {
        anyhow::bail!("nothing is stored between {} and {}", moment(from), moment(to));
    };
    let catalog = Catalog::read(&reader)?;
    let budget = Budget::new(MEMORY);
    let limits = Limits { deadline: Some(deadline), budget: Some(&budget), ..Limits::default() };
    let source = StoreSource::new(&reader, &catalog).within(limits);
    let done = replay(&rules, &source, span, limits).with_context(
        || "the replay did not come to its end; --from nearer to now, --name or --timeout help",
    )?;
    let told = |rule: &str| {
        let rule = rules.iter().find(|known| *known.name == *rule);
        receivers(&config, rule)
    };
    let mut out = stdout();
    match args.json {
        true => writeln!(out, "{:#}", as_json(&done, span, &told))?,
        false => print(&mut out, &done, span, &told)?,
    }
    out.flush()?;
    Ok(())
}

/// The rule of `--rule`.
fn written(args: &ReplayArgs, rule: &str) -> anyhow::Result<Rule> {
    let text = RuleText {
        when: rule.to_owned(),
        r#for: Some(args.for_.clone().unwrap_or_else(|| USUAL_FOR.to_owned())),
        clear: args.clear.clone(),
        severity: args.severity.clone(),
        ..RuleText::default()
    };
    Rule::parse(&text).map_err(|e| {
        let option = if e.field == "when" { "rule" } else { e.field };
        anyhow::anyhow!("--{option}: {e}")
    })
}

/// The rules in force, or the one of a name.
fn named(config: &Config, name: Option<&str>) -> anyhow::Result<Vec<Rule>> {
    let Compiled { rules, wrong, .. } = compile(config, &mut Shelf::default());
    let mut errors = std::io::stderr();
    for why in wrong {
        writeln!(errors, "left out: {}", screen::clean_lines(&why))?;
    }
    let Some(name) = name else { return Ok(rules) };
    let names: Vec<String> = rules.iter().map(|rule| rule.name.to_string()).collect();
    let own: Vec<Rule> = rules.into_iter().filter(|rule| *rule.name == *name).collect();
    if own.is_empty() {
        let like = crate::config::nearest(name, names.iter().map(String::as_str));
        let hint = like.map_or_else(
            || "`plimsoll alert rules` lists them".to_owned(),
            |like| format!("did you mean `{like}`?"),
        );
        anyhow::bail!("there is no rule `{name}`; {hint}");
    }
    Ok(own)
}

/// Who is told by a rule, without secrets.
fn receivers(config: &Config, rule: Option<&Rule>) -> Vec<String> {
    let settings = Arc::new(channel_settings(config, ""));
    match rule.map(|rule| &*rule.to) {
        Some(own @ [_, ..]) => own.iter().map(|to| redacted(to, &settings)).collect(),
        _ => config.alerts.options.to.0.iter().map(|to| redacted(to, &settings)).collect(),
    }
}

type ToldBy<'t> = &'t dyn Fn(&str) -> Vec<String>;

fn print(out: &mut impl Write, done: &Replay, span: Span, told: ToldBy<'_>) -> anyhow::Result<()> {
    let cells = |incident: &Incident| {
        let length = match incident.ended_at {
            Some(end) => format_duration((end - incident.fired_at) / 1_000 * 1_000),
            None => "goes on".to_owned(),
        };
        let to = told(&incident.rule);
        vec![
            moment(incident.fired_at),
            if incident.coarse { format!("about {length}") } else { length },
            incident.severity.word().to_owned(),
            screen::clean_lines(&text(incident)),
            if to.is_empty() { "nobody".to_owned() } else { to.join(", ") },
        ]
    };
    let rows: Vec<Vec<String>> = done.incidents.iter().map(cells).collect();
    if rows.is_empty() {
        writeln!(out, "nothing would have fired")?;
    } else {
        table::print(out, &["fired", "for", "", "", "told"], &rows)?;
    }
    let seen = format_duration(done.seen_ms / 60_000 * 60_000);
    writeln!(
        out,
        "\n{} from {} to {} ({seen} with samples): {}{}",
        alerts(done.incidents.len()),
        moment(span.from),
        moment(span.to),
        messages(done.messages()),
        match done.seen_ms >= LEAST_MS {
            true => format!(", {:.1} a week", done.messages_a_week()),
            false => String::new(),
        }
    )?;
    if span.from < span.samples_from {
        writeln!(
            out,
            "before {} only five-minute values are stored: times and lengths are about right",
            moment(span.samples_from)
        )?;
    }
    for (rule, why) in &done.skipped {
        writeln!(out, "not judged: {rule}: {why}")?;
    }
    Ok(())
}

fn text(incident: &Incident) -> String {
    let host = incident.labels.get("instance").map(|host| format!("{host} ")).unwrap_or_default();
    if incident.text.is_empty() || incident.text == incident.rule {
        let pairs: Vec<String> = (incident.labels.iter())
            .filter(|(name, _)| *name != "instance")
            .map(|(name, value)| format!("{name}={value:?}"))
            .collect();
        return format!("{host}{} {{{}}}", incident.rule, pairs.join(", "));
    }
    format!("{host}{}", incident.text)
}

fn alerts(count: usize) -> String {
    if count == 1 { "1 alert".to_owned() } else { format!("{count} alerts") }
}

fn messages(count: usize) -> String {
    if count == 1 { "1 message".to_owned() } else { format!("{count} messages") }
}

fn as_json(done: &Replay, span: Span, told: ToldBy<'_>) -> serde_json::Value {
    let incident = |i: &Incident| {
        let labels: serde_json::Map<String, serde_json::Value> =
            i.labels.iter().map(|(name, value)| (name.to_owned(), value.into())).collect();
        json!({
            "rule": i.rule, "labels": labels, "severity": i.severity.word(),
            "fired_at": i.fired_at, "ended_at": i.ended_at, "peak": finite(i.peak),
            "text": i.text, "coarse": i.coarse, "told": told(&i.rule),
        })
    };
    json!({
        "from": span.from,
        "to": span.to,
        "seen_ms": done.seen_ms,
        "incidents": done.incidents.iter().map(incident).collect::<Vec<_>>(),
        "messages": done.messages(),
        "messages_a_week": done.messages_a_week(),
        "skipped": done.skipped.iter().map(|(rule, why)| json!({ "rule": rule, "why": why }))
            .collect::<Vec<_>>(),
    })
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

pub(super) fn run_suggest(args: &SuggestArgs, global: &Global) -> anyhow::Result<()> {
    let config = Config::find(global.config())?;
    let expr = parse(&args.expr).map_err(|e| anyhow::anyhow!("{}", e.shown(&args.expr).trim_end()));
    // A key such as `disk_/` is no PromQL.
    let text = RuleText { when: format!("{} > 0", args.expr), ..RuleText::default() };
    let with_limit = RuleText { when: args.expr.clone(), ..RuleText::default() };
    let key = [with_limit, text].iter().find_map(|text| {
        let rule = Rule::parse(text).ok()?;
        let upward = rule.is_upward();
        let query = rule.queries().next()?.clone();
        Some((query.expr, upward, query.text))
    });
    let (expr, upward, shown) = match (expr, key) {
        (_, Some(known)) => known,
        (Ok(expr), None) => (expr, true, args.expr.as_str().into()),
        (Err(why), None) => return Err(why),
    };
    let now = now_ms();
    let from = parse_when(&args.from, now).context("--from")?;
    let reader = Reader::open(&global.database()?)?.load_head()?;
    let Some(span) = span(&reader, &config, from, now)? else {
        anyhow::bail!("nothing is stored since {}", moment(from));
    };
    let catalog = Catalog::read(&reader)?;
    let budget = Budget::new(MEMORY * 4);
    let limits = Limits {
        deadline: Some(Instant::now() + Duration::from_secs(60)),
        budget: Some(&budget),
        ..Limits::default()
    };
    let source = StoreSource::new(&reader, &catalog).within(limits);
    let found = suggest(&expr, upward, &source, (span.from, span.to), span.beat_ms, limits)?;
    anyhow::ensure!(
        !found.is_empty(),
        "no samples of `{shown}` since {}; `plimsoll query` shows what it gives now",
        moment(span.from)
    );
    let mut out = stdout();
    if args.json {
        let list: Vec<serde_json::Value> = found
            .iter()
            .map(|s| {
                let when = format!("{shown} {} {}", s.op.sign(), s.limit);
                json!({ "when": when, "for_ms": s.for_ms, "limit": s.limit, "times": s.times })
            })
            .collect();
        writeln!(out, "{:#}", json!({ "from": span.from, "to": span.to, "suggestions": list }))?;
    } else {
        let days = (span.to - span.from) as f64 / DAY_MS as f64;
        writeln!(out, "at most one message a month, by {days:.1} days of samples:\n")?;
        if span.to - span.from < LEAST_MS {
            writeln!(out, "(less than three days of samples say little: ask again later)\n")?;
        }
        let rows: Vec<Vec<String>> = found
            .iter()
            .map(|s| {
                let for_ = format_duration(s.for_ms);
                let when = format!("{shown} {} {}", s.op.sign(), s.limit);
                vec![when, for_, s.times.to_string()]
            })
            .collect();
        table::print(&mut out, &["when", "for", "would have fired"], &rows)?;
        if let Some(first) = found.last() {
            writeln!(
                out,
                "\n[[alert]]\nwhen = {}\nfor = \"{}\"",
                crate::model::options::quote(&format!(
                    "{shown} {} {}",
                    first.op.sign(),
                    first.limit
                )),
                format_duration(first.for_ms)
            )?;
        }
    }
    out.flush()?;
    Ok(())
}

/// What the rules of a configuration would have sent in the last days, in a sentence; nothing where the
/// history is too short, or where it takes too long to say.
pub(super) fn glance(config: &Config, rules: &[Rule], database: &Path) -> Option<String> {
    let deadline = Instant::now() + GLANCE;
    let reader = Reader::open(database).ok()?.load_head().ok()?;
    let now = now_ms();
    let span = span(&reader, config, now - GLANCE_MS, now).ok()??;
    let catalog = Catalog::read(&reader).ok()?;
    let budget = Budget::new(MEMORY);
    let limits = Limits { deadline: Some(deadline), budget: Some(&budget), ..Limits::default() };
    let source = StoreSource::new(&reader, &catalog).within(limits);
    let done = replay(rules, &source, span, limits).ok()?;
    if done.seen_ms < LEAST_MS {
        return None;
    }
    let days = (done.seen_ms + DAY_MS / 2) / DAY_MS;
    let bad = done.incidents.iter().filter(|i| i.severity == Severity::Bad).count();
    let bad = if bad > 0 { format!(", {bad} of them for something bad") } else { String::new() };
    Some(format!(
        "these rules would have sent you {} in {days} days{bad}  (plimsoll alert replay)",
        messages(done.messages())
    ))
}
