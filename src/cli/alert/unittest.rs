//! cli: `plimsoll alert test FILE…`: promtool's unit tests of rule files.

use std::io::Write;
use std::path::Path;

use super::super::stdout;
use crate::alert::shelf;
use crate::alert::unittest;
use crate::collect::regular;

/// Runs files of tests, and prints as promtool does: SUCCESS or FAILED for each. Fails where one failed.
pub(super) fn run(files: &[String]) -> anyhow::Result<()> {
    let mut out = stdout();
    let mut failed = 0;
    for file in files {
        writeln!(out, "Unit Testing:  {file}")?;
        let failures = one(Path::new(file));
        match &*failures {
            [] => writeln!(out, "  SUCCESS")?,
            some => {
                failed += 1;
                writeln!(out, "  FAILED:")?;
                for failure in some {
                    writeln!(out, "    {failure}")?;
                }
            }
        }
        writeln!(out)?;
    }
    out.flush()?;
    anyhow::ensure!(failed == 0, "{failed} of {} files failed", files.len());
    Ok(())
}

/// What failed in a file, with its lines.
fn one(path: &Path) -> Vec<String> {
    let tests = regular::read_text(path, shelf::MOST_BYTES)
        .map_err(|e| e.to_string())
        .and_then(|text| unittest::read(&text).map_err(|e| e.to_string()));
    let tests = match tests {
        Ok(tests) => tests,
        Err(why) => return vec![why],
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let (mut groups, mut wrong) = (Vec::new(), Vec::new());
    for pattern in &tests.rule_files {
        // As with promtool, a pattern that finds nothing is no mistake.
        for file in shelf::found(pattern, folder).unwrap_or_default() {
            match shelf::load(&file) {
                Ok(more) => groups.extend(more),
                Err(why) => wrong.push(why),
            }
        }
    }
    if !wrong.is_empty() {
        return wrong;
    }
    let failures = unittest::run(&tests, &groups);
    failures.iter().map(|failure| format!("line {}: {}", failure.line, failure.message)).collect()
}
