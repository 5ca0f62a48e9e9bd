//! cli: completions and the manual page, made from the same definitions as --help.

use std::io::Write;

use clap::CommandFactory;

use super::Cli;

/// `plimsoll completions`
#[derive(Debug, clap::Args)]
pub struct CompletionsArgs {
    /// Which shell
    shell: clap_complete::Shell,
}

/// `plimsoll man`
#[derive(Debug, clap::Args)]
pub struct ManArgs {
    /// The page of one verb instead of the whole
    verb: Option<String>,
}

pub(super) fn completions(args: &CompletionsArgs) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "plimsoll", &mut script);
    super::stdout().write_all(&script)?;
    Ok(())
}

pub(super) fn man(args: &ManArgs) -> anyhow::Result<()> {
    let mut command = Cli::command();
    command.build();
    let page = match &args.verb {
        None => command,
        Some(name) => {
            let Some(verb) = command.find_subcommand(name) else {
                anyhow::bail!("there is no verb `{name}`\n  'plimsoll --help' lists them");
            };
            verb.clone()
        }
    };
    let mut out = super::stdout();
    clap_mangen::Man::new(page).render(&mut out)?;
    out.flush()?;
    Ok(())
}
