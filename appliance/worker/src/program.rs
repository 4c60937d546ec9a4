//! The worker as a program: which of its jobs to do, told by the first argument.

mod both;
mod check;
mod courier;
mod fetch;
mod ledger;
mod metrics;
mod mover;
pub(crate) mod notify;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::variables::{self, Variables};
use crate::{Error, Exit};

/// One job.
struct Job {
    /// The first argument.
    name: &'static str,
    /// What follows it.
    arguments: &'static str,
    /// What it does.
    about: &'static str,
    /// Gets what follows its name.
    main: fn(&Variables, &[OsString]) -> ExitCode,
}

/// Every job.
const JOBS: &[Job] = &[
    Job {
        name: "mover",
        arguments: "[--explain-confinement]",
        about: "the half with the files and without a network: carries orders out",
        main: mover::main,
    },
    Job {
        name: "courier",
        arguments: "",
        about: "the half with the network and without files: brings orders from the queue and deletes what is done",
        main: courier::main,
    },
    Job {
        name: "both",
        arguments: "",
        about: "both halves as two processes of one container, which protects less than two containers",
        main: both::main,
    },
    Job {
        name: "fetch",
        arguments: "",
        about: "brings one object from a bucket into the destination folder, once",
        main: fetch::main,
    },
    Job {
        name: "check",
        arguments: "",
        about: "looks at settings, folders and queue, and says what to do about each finding",
        main: check::main,
    },
    Job {
        name: "ledger",
        arguments: "export [--from TIME] [--to TIME] [--csv|--json] | find NAME | verify [--head NUMBER:HASH]",
        about: "what happened to which file, and whether the record of it is in order",
        main: ledger::main,
    },
    Job {
        name: "metrics",
        arguments: "[--socket PATH]",
        about: "what both halves count, as text for Prometheus: printed once, or for whoever asks at a Unix socket",
        main: metrics::main,
    },
];

/// The worker, with the arguments behind its name.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let Some((name, rest)) = arguments.split_first() else {
        eprint!("which job?\n{}", usage());
        return Exit::Usage.into();
    };
    if name == "--help" || name == "-h" || rest.iter().any(|argument| argument == "--help") {
        print!("{}\n{}\n{EXITS}", usage(), variables::help());
        return Exit::Fine.into();
    }
    match JOBS.iter().find(|job| *name == job.name) {
        Some(job) => (job.main)(&Variables::of_process(), rest),
        None => {
            eprint!("there is no job '{}'\n{}", name.display(), usage());
            Exit::Usage.into()
        }
    }
}

fn usage() -> String {
    let mut text = String::from("usage: worker JOB [ARGUMENT ...]\n");
    for job in JOBS {
        text += &format!("  {}\n      {}\n", format!("{} {}", job.name, job.arguments).trim_end(), job.about);
    }
    text
}

const EXITS: &str = "\
exit codes: 0 fine or told to stop, 1 something was found wrong or the disk failed at work, 64 wrong command line,
  65 the log is damaged, 69 the other half cannot be reached, 73 a folder or the socket is not to be had,
  74 the disk does not read or write, 75 another mover is at work here, or this one serves another, 77 could not be confined, 78 a wrong setting
";

/// Says an error and ends with its code.
fn fail(error: &Error) -> ExitCode {
    eprintln!("{error}");
    error.exit().into()
}

/// Refuses a command line.
fn misused(what: &lexopt::Error) -> ExitCode {
    eprint!("{what}\n{}", usage());
    Exit::Usage.into()
}

/// Refuses any argument.
fn no_arguments(arguments: &[OsString]) -> Result<(), lexopt::Error> {
    let mut parser = lexopt::Parser::from_args(arguments);
    parser.next()?.map_or(Ok(()), |argument| Err(argument.unexpected()))
}
