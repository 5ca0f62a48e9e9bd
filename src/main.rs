//! Parses arguments, runs, maps an error to an exit code: all of it in `cli`.

fn main() -> std::process::ExitCode {
    plimsoll::cli::main()
}
