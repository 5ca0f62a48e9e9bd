//! cli: `plimsoll uninstall`: removes the service, and keeps its data unless `--purge` is given.

use std::io::Write;
use std::path::{Path, PathBuf};

use super::service::{
    BINARY, CONFIG, DROP_INS, Machine, SERVICE, STATE, Step, UNIT_PATH, USER, carry_out,
};

/// Remove the service and the binary; the data and the configuration stay
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only show the steps; needs no root
    #[arg(long)]
    pub dry_run: bool,
    /// Remove the data, the configuration and the user as well
    #[arg(long)]
    pub purge: bool,
    /// Uninstall from this directory as if it were /, and run no commands
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
}

/// `--config` has no effect here: the files are where `install` put them.
pub fn run(args: &Args, _config: Option<&Path>) -> anyhow::Result<()> {
    let machine = Machine::this(args.root.as_deref())?;
    uninstall(&machine, args.purge, args.dry_run, &mut std::io::stdout().lock())
}

/// Uninstalls from this machine, or shows how.
pub fn uninstall(
    machine: &Machine,
    purge: bool,
    dry_run: bool,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    machine.check("uninstall", dry_run)?;
    carry_out(&plan(machine, purge), dry_run, out)
}

fn plan(machine: &Machine, purge: bool) -> Vec<Step> {
    let commands = machine.commands && machine.systemd;
    let mut steps = Vec::new();
    if machine.has(UNIT_PATH) {
        if commands {
            steps.push(Step::Run {
                argv: vec!["systemctl", "disable", "--now", SERVICE],
                why: "stop it, now and at every boot",
                hint: "see what systemd says: systemctl status plimsoll",
            });
        }
        steps.push(Step::Remove(machine.at(UNIT_PATH)));
        if commands {
            steps.push(Step::Run {
                argv: vec!["systemctl", "daemon-reload"],
                why: "let systemd forget the unit",
                hint: "see what systemd says: systemctl status plimsoll",
            });
        }
    }
    if machine.has(BINARY) {
        steps.push(Step::Remove(machine.at(BINARY)));
    }
    if steps.is_empty() {
        steps.push(Step::Say(format!(
            "plimsoll is not installed here: there is neither {} nor {}.",
            machine.at(UNIT_PATH).display(),
            machine.at(BINARY).display()
        )));
    }
    steps.extend(left_behind(machine, purge));
    steps
}

/// Files that an operator may want to keep: the data, the configuration, changes of the unit.
fn left_behind(machine: &Machine, purge: bool) -> Vec<Step> {
    let config_dir = Path::new(CONFIG).parent().and_then(Path::to_str).unwrap_or(CONFIG);
    let there: Vec<&str> =
        [STATE, config_dir, DROP_INS].into_iter().filter(|p| machine.has(p)).collect();
    // A wrong configuration must not stand in the way of removing it.
    let elsewhere = machine
        .config()
        .and_then(Result::ok)
        .and_then(|config| config.db)
        .filter(|db| !db.starts_with(STATE));
    let mut steps = Vec::new();
    if purge {
        steps.extend(there.iter().map(|path| Step::Remove(machine.at(path))));
        if machine.commands && machine.user {
            steps.push(Step::Run {
                argv: vec!["userdel", USER],
                why: "remove the system user plimsoll",
                hint: "remove it with this machine's own tools",
            });
        }
    } else if !there.is_empty() {
        let list: Vec<_> = there.iter().map(|p| machine.at(p).display().to_string()).collect();
        steps.push(Step::Say(format!(
            "\nStill there: {}. To remove it, too: plimsoll uninstall --purge",
            list.join(", ")
        )));
    }
    if let Some(db) = elsewhere {
        steps.push(Step::Say(format!("The database {} stays.", db.display())));
    }
    steps
}
