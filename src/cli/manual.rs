//! `campaignd completions` and `campaignd man`: what a shell and a reader want of the command line.

use clap::CommandFactory;

use super::{Cli, Ended, Exit, Failure, output};

/// Print the completion script of a shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  campaignd completions bash > /etc/bash_completion.d/campaignd\n  \
    campaignd completions zsh > ~/.zfunc/_campaignd\n  \
    campaignd completions fish > ~/.config/fish/completions/campaignd.fish")]
pub struct CompletionsArgs {
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

/// Print the manual page of campaignd, or of one of its commands.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  campaignd man | man -l -\n  campaignd man db unlock | man -l -\n  \
    campaignd man > /usr/share/man/man1/campaignd.1")]
pub struct ManArgs {
    /// A command, as it is written
    #[arg(value_name = "COMMAND")]
    command: Vec<String>,
}

pub fn completions(args: &CompletionsArgs) -> Ended {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "campaignd", &mut script);
    output::write(&String::from_utf8(script)?)?;
    Ok(Exit::Good)
}

pub fn man(args: &ManArgs) -> Ended {
    let mut program = Cli::command();
    // Gives each command its whole name.
    program.build();
    let mut command = &program;
    for name in &args.command {
        command = command.find_subcommand(name).ok_or_else(|| {
            let message = format!("there is no command `{}`", args.command.join(" "));
            Failure::new(Exit::NotFound, anyhow::anyhow!(message))
        })?;
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    output::write(&String::from_utf8(page)?)?;
    Ok(Exit::Good)
}
