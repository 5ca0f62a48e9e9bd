//! cli: `plimsoll token`: tokens for other machines over HTTP.

use std::io::Write;

use super::{Global, table};
use crate::http::tokens::{self, Scope};
use crate::model::{Clock, SystemClock};
use crate::wire::time::format_timestamp;

/// `plimsoll token`
#[derive(Debug, clap::Args)]
#[command(after_help = "Programs on this machine need no token (unless `behind_proxy` is set).\n\
    Changes take effect at once, also in a running plimsoll. Examples:\n  \
    plimsoll token add web1 --scope push\n  \
    curl -H \"Authorization: Bearer $TOKEN\" -d '{\"key\": \"a\", \"value\": 1}' \\\n    \
    https://monitor.example.org:1876/api/push")]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Make a token and print it once
    Add {
        /// Name of the token, for example the machine that will use it
        name: String,
        /// read (see values), push (send values) or admin (both)
        #[arg(long, value_parser = parse_scope)]
        scope: Scope,
        /// Bind the token to one machine: it may send only values of this machine, and values without
        /// an instance belong to it
        #[arg(long, value_name = "NAME")]
        instance: Option<String>,
    },
    /// List the tokens, without their secrets
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Revoke a token
    Revoke {
        /// Name of the token
        name: String,
    },
}

fn parse_scope(text: &str) -> Result<Scope, String> {
    Scope::from_name(text).ok_or_else(|| "use read, push or admin".to_owned())
}

pub(super) fn run(args: &Args, global: &Global) -> anyhow::Result<()> {
    let db = global.database()?;
    let mut out = super::stdout();
    match &args.what {
        What::Add { name, scope, instance } => {
            let instance = instance.as_deref();
            let secret = tokens::add(&db, name, *scope, instance, SystemClock.wall_ms())?;
            writeln!(out, "{secret}")?;
        }
        What::List { json } => {
            let tokens = tokens::load(&db)?;
            if *json {
                let one = |t: &tokens::Token| serde_json::json!({"name": t.name, "scope": t.scope.name(), "created": t.created, "instance": t.instance});
                let all: Vec<_> = tokens.iter().map(one).collect();
                writeln!(out, "{}", serde_json::Value::from(all))?;
            } else if tokens.is_empty() {
                writeln!(out, "no tokens; make one with: plimsoll token add NAME --scope push")?;
            } else {
                let row = |t: &tokens::Token| {
                    let instance = t.instance.clone().unwrap_or_else(|| "any".to_owned());
                    vec![
                        t.name.clone(),
                        t.scope.name().to_owned(),
                        instance,
                        format_timestamp(t.created),
                    ]
                };
                let rows: Vec<_> = tokens.iter().map(row).collect();
                table::print(&mut out, &["name", "scope", "instance", "made (UTC)"], &rows)?;
            }
        }
        What::Revoke { name } => {
            tokens::revoke(&db, name)?;
            writeln!(out, "token `{name}` revoked")?;
        }
    }
    out.flush()?;
    Ok(())
}
