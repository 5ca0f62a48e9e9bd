//! config: the table of sections with their options, and what is made of it: the sample file, and
//! the list of all options with their values.

use std::fmt::Write as _;

use super::row::Row;
use super::{alerts, burst, collect, http, munin, plugins, push, statsd, store, top};
use crate::alert::default_names;
use crate::collect::COLLECTORS;
use crate::model::options::{Key, Options, Shown};

/// Makes options at their defaults.
type Make = fn() -> Box<dyn Options>;

/// Sections whose options need only their own rules; their users get them by [`super::Config::of`].
pub static PLAIN: &[(&str, Make)] = &[("push", || Box::<push::PushOptions>::default())];

/// Every section, as an operator would look for them; the first is the top of the file.
pub fn sections() -> Vec<Row> {
    let mut rows = vec![
        Row::of::<top::TopOptions>("", false),
        Row::of::<collect::CollectOptions>("collect", false),
    ];
    rows.extend(COLLECTORS.iter().map(|entry| {
        let mut row = Row::of::<collect::CollectorOptions>("", false);
        row.path = format!("collect.{}", entry.name);
        row.collector = true;
        row.options.extend(entry.options.map(|options| options()));
        row
    }));
    rows.extend([
        Row::of::<http::HttpOptions>("http", false),
        Row::of::<store::StoreOptions>("store", false),
        Row::of::<statsd::StatsdOptions>("statsd", false),
        Row::of::<push::GraphiteOptions>("graphite", false),
    ]);
    rows.extend(PLAIN.iter().map(|(path, options)| Row {
        path: (*path).into(),
        list: false,
        collector: false,
        options: vec![options()],
    }));
    rows.extend([
        Row::of::<plugins::PluginsOptions>("plugins", false),
        Row::of::<plugins::PluginOptions>("plugin", true),
        Row::of::<munin::NodeOptions>("munin_node", false),
        Row { path: "munin".into(), list: false, collector: false, options: Vec::new() },
        Row::of::<munin::PeerOptions>("munin.node", true),
        Row::of::<burst::BurstOptions>("burst", true),
        Row::of::<alerts::AlertsOptions>("alerts", false),
    ]);
    let limits = default_names().into_iter();
    rows.extend(
        limits.map(|name| Row::of::<alerts::LimitsOptions>(&format!("alerts.{name}"), false)),
    );
    rows.extend([
        Row::of::<alerts::SmtpOptions>("smtp", false),
        Row::of::<alerts::AlertOptions>("alert", true),
    ]);
    rows
}

/// The rule whose limits the sample file shows.
const LIMITED: &str = "alerts.disk_full";

/// The longest line of prose in the sample file.
const WIDTH: usize = 100;

/// A configuration file that shows every option with its default, or with an example where there is
/// none.
pub fn sample() -> String {
    let mut out = String::new();
    let mut told = false;
    for row in sections() {
        if row.collector {
            if row.options.len() == 1 {
                continue;
            }
            if !told {
                told = true;
                prose(&mut out, "\n", row.options[0].about());
            }
            out.push_str(&format!("\n#{}\n", row.brackets()));
            for (key, shown) in row.options[0].keys().iter().zip(row.options[0].shown()) {
                value(&mut out, key, &shown);
            }
            row.options[1..].iter().for_each(|own| values(&mut out, "", &**own));
            continue;
        }
        if row.path.starts_with("alerts.") {
            // One of them stands for all.
            if row.path == LIMITED {
                prose(&mut out, "\n\n", row.options[0].about());
                let _ = writeln!(out, "#{}", row.brackets());
                values(&mut out, "", &*row.options[0]);
            }
            continue;
        }
        for options in &row.options {
            match &*row.path {
                "" => prose(&mut out, "", options.about()),
                _ if row.list => {
                    prose(&mut out, "\n\n", options.about());
                    out.push_str(&format!("#{}\n", row.brackets()));
                }
                _ => {
                    out.push_str(&format!("\n\n{}\n", row.brackets()));
                    prose(&mut out, "", options.about());
                }
            }
            values(&mut out, if row.list { "" } else { "\n" }, &**options);
        }
    }
    out
}

fn prose(out: &mut String, before: &str, about: &str) {
    out.push_str(before);
    for line in about.lines() {
        let _ = writeln!(out, "#{line}");
    }
}

/// Each option with its sentences, its range behind them, and its value; `before` parts them.
fn values(out: &mut String, before: &str, options: &dyn Options) {
    for (key, shown) in options.keys().iter().zip(options.shown()) {
        prose(out, before, key.about);
        if let Some(range) = &shown.range {
            let (first, rest) = range.split_at(1);
            let range = format!(" {}{rest}.", first.to_uppercase());
            let last = key.about.lines().last().unwrap_or_default();
            if "#".len() + last.len() + range.len() <= WIDTH {
                out.truncate(out.len() - "\n".len());
            } else {
                out.push('#');
            }
            let _ = writeln!(out, "{range}");
        }
        value(out, key, &shown);
    }
}

fn value(out: &mut String, key: &Key, shown: &Shown) {
    let value = shown.value.as_deref().unwrap_or(key.example);
    let _ = writeln!(out, "#{} = {value}", key.name);
}
