//! cli: `plimsoll install`: this binary becomes a hardened systemd service.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::anyhow;

use super::outward;
use super::service::{BINARY, CONFIG, Machine, SERVICE, STATE, Step, UNIT, UNIT_PATH, carry_out};
use crate::config::{Config, SAMPLE};

/// Install plimsoll as a systemd service, or bring it up to date
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only show the steps; needs no root
    #[arg(long)]
    pub dry_run: bool,
    /// Install into this directory as if it were /, and run no commands
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
}

/// `--config` is of no use here: the service reads the file that the unit's user can read.
pub fn run(args: &Args, _config: Option<&Path>) -> anyhow::Result<()> {
    let machine = Machine::this(args.root.as_deref())?;
    install(&machine, args.dry_run, &mut std::io::stdout().lock())
}

/// Installs on this machine, or shows how.
pub fn install(machine: &Machine, dry_run: bool, out: &mut dyn Write) -> anyhow::Result<()> {
    machine.check("install", dry_run)?;
    let steps = plan(machine)?;
    carry_out(&steps, dry_run, out)?;
    if dry_run {
        // Also where systemd does not run: people look at it here before they go elsewhere.
        writeln!(out, "\nThe unit, for {}:\n\n{UNIT}", machine.at(UNIT_PATH).display())?;
    }
    Ok(())
}

fn plan(machine: &Machine) -> anyhow::Result<Vec<Step>> {
    // Before anything is changed: the service would not start with it.
    let config = match machine.config() {
        Some(Ok(config)) => Some(config),
        Some(Err(e)) => {
            return Err(anyhow!("{e}\n\nNothing was changed; correct the file and install again."));
        }
        None => None,
    };
    let mut steps = Vec::new();
    if !machine.user {
        steps.push(Step::Run {
            argv: vec![
                "useradd",
                "--system",
                "--user-group",
                "--home-dir",
                STATE,
                "--no-create-home",
                "--shell",
                "/usr/sbin/nologin",
                "plimsoll",
            ],
            why: "create the system user plimsoll",
            hint: "create a system user and a group plimsoll with this machine's own tools (on \
                   Alpine: addgroup -S plimsoll; adduser -S -D -H -G plimsoll plimsoll), then \
                   install again",
        });
    }
    let binary = machine.at(BINARY);
    steps.push(match same_file(&machine.exe, &binary) {
        true => Step::Say(format!("The binary is already in place: {}.", binary.display())),
        false => Step::Copy { from: machine.exe.clone(), to: binary },
    });
    let path = machine.at(CONFIG);
    steps.push(match config {
        Some(_) => Step::Say(format!("The configuration stays as it is: {}.", path.display())),
        None => Step::Write { path, content: SAMPLE.into() },
    });
    let config = config.unwrap_or_default();
    if machine.systemd {
        steps.push(Step::Write { path: machine.at(UNIT_PATH), content: UNIT.into() });
        steps.extend(outward::steps(machine, &config));
        if machine.commands {
            steps.extend(start());
            steps.push(Step::Say(farewell(&config)));
        } else {
            steps.push(Step::Say(format!(
                "No command was run, as this is not the running system. There, it takes the user \
                 plimsoll and: systemctl enable --now {SERVICE}"
            )));
        }
    } else {
        steps.extend(without_systemd(machine));
    }
    Ok(steps)
}

fn start() -> [Step; 3] {
    let hint = "see what systemd says: systemctl status plimsoll; journalctl -u plimsoll -n 20";
    [
        Step::Run {
            argv: vec!["systemctl", "daemon-reload"],
            why: "let systemd read the unit",
            hint,
        },
        Step::Run {
            argv: vec!["systemctl", "enable", SERVICE],
            why: "start it at every boot",
            hint,
        },
        // A first start, too: and an older version that runs is replaced.
        Step::Run { argv: vec!["systemctl", "restart", SERVICE], why: "start it now", hint },
    ]
}

fn without_systemd(machine: &Machine) -> Vec<Step> {
    let mut steps = Vec::new();
    if machine.commands {
        steps.push(Step::Run {
            argv: vec!["install", "-d", "-m", "0750", "-o", "plimsoll", "-g", "plimsoll", STATE],
            why: "create the directory for the data",
            hint: "create it with this machine's own tools, owned by plimsoll",
        });
    }
    steps.push(Step::Say(format!(
        "\nsystemd does not run this machine, so nothing starts plimsoll yet. Let your supervisor \
         (runit, OpenRC, s6, a container) run this as the user plimsoll, and restart it when it \
         ends:\n\n  {BINARY} run --db {STATE}/metrics.sqlite"
    )));
    steps
}

fn farewell(config: &Config) -> String {
    let page = match config.http.listen {
        Some(address) => format!("the page is on http://{address}/"),
        None => "the page is off".into(),
    };
    let db = config.db.clone().unwrap_or_else(|| Path::new(STATE).join("metrics.sqlite"));
    format!(
        "\nplimsoll runs: {page}, the data in {}.\nTo read the data as yourself, join its group: \
         sudo usermod -aG plimsoll YOU",
        db.display()
    )
}

fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}
