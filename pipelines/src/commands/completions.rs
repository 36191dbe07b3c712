//! `sluice completions`: what a shell completes after `sluice`.

use clap::{Args, Command};
use clap_complete::Shell;

#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// The shell that is to complete
    shell: Shell,
}

/// Prints the script for a shell; `command` is the program's command line.
pub fn run(args: &CompletionsArgs, mut command: Command) {
    clap_complete::generate(args.shell, &mut command, "sluice", &mut std::io::stdout());
}
