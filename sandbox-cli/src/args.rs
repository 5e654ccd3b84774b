//! Owns: the grammar of the command line; the shorthand flags are made from the library's table.
//! Must not: give arguments a meaning.
//! Start at: [`command`].

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, Command, ValueHint, value_parser};
use pinfold::{SHORTHANDS, Shorthand};

const AFTER: &str = "\
Examples:
  pinfold run -- python3 -c 'print(6 * 7)'
  pinfold run --timeout 5s --ro-bind data:/data -- wc -l /data/words.txt
  pinfold explain -- true          what would be done, step by step
  pinfold doctor                   what this machine can do

Exit status of run:
  the payload's own    it ended by itself
  128 + N              it died of signal N
  124                  the limit of wall time, CPU time or output ended it
  137                  the memory limit ended it, or it was killed
  130                  it was cancelled: a second SIGINT within 2 seconds
  125                  the sandbox could not be set up: nothing ran
  126, 127             the program can't be executed, or is not there: nothing ran";

const AFTER_RUN: &str = "\
Examples:
  pinfold run -- id
  pinfold run --timeout 5s --tmpfs /work:64M --cwd /work -- sh build.sh
  pinfold run --ro-bind src:/src --cwd /src -- make -n
  pinfold run -c job.toml --set limits.rlimits.nofile=64 --report end.json -- ./job
  pinfold run --rootfs debian/ --overlay memory --user 0:0 --commit layers/tools -- dpkg -i tools.deb
  pinfold run --listen http=127.0.0.1:8080 -- ./server     no network inside, but this socket
  echo hello | pinfold run -- tr a-z A-Z
  pinfold run --tty -- bash                                an interactive shell

A key of the config is set by what the file extends < the file < --set < flags.
Standard input, output and error are this command's own. With --output, stdout and stderr go
through pipes and are counted. With --tty the three are a terminal inside, and this command's
terminal is raw until the end: what is typed, Ctrl-C and Ctrl-Z too, goes inside.
INT, TERM, HUP, QUIT, USR1 and USR2 are forwarded to the payload; a second INT within 2 seconds
kills it.

Exit status: the payload's own; 128+N for signal N; 124 for a limit of time or output; 137 for
memory or killed; 130 for cancelled; 125 the sandbox could not be set up; 126 the program can't
be executed; 127 it is not there.";

const AFTER_EXEC: &str = "\
Examples:
  pinfold exec --pid 4711 -- ps
  pinfold exec --pid 4711 --tty -- bash

All namespaces of the process that differ from this command's are entered, under the ids of the
process. The program is confined all the same: no capabilities, no_new_privs, the default seccomp
filter; --set and --seccomp say otherwise. It needs the rights that setns(2) asks for, and a
writable unified cgroup, which holds what is started there.

Exit status: as run.";

const AFTER_EXPLAIN: &str = "\
Examples:
  pinfold explain -- true
  pinfold explain -c job.toml --json -- ./job

Each line is one operation; at its end stands the config key that it comes from, or `default`.
Nothing is run, bound or mounted.";

const AFTER_DOCTOR: &str = "\
Examples:
  pinfold doctor
  pinfold doctor --json

Besides looking, this tries to run `true` in the default sandbox.
Exit status: 0 when that worked, else 1.";

const AFTER_CONFIG: &str = "\
Examples:
  pinfold config check job.toml
  pinfold config show -c job.toml --set limits.wall_time=5s --user 1000";

const AFTER_CHECK: &str = "\
Example:
  pinfold config check job.toml

Every problem is shown with its key, file and line. What is right but not possible on this machine is a warning.
Exit status: 0 when the file is right, else 125.";

const AFTER_SCHEMA: &str = "\
Example:
  pinfold config schema > config.schema.json

Editors that know JSON Schema (draft 2020-12) complete and check config files with it.";

const AFTER_SHOW: &str = "\
Example:
  pinfold config show -c job.toml --memory 1G

What is printed is a config file: in this directory it means the same.";

const AFTER_COMPLETIONS: &str = "\
Example:
  pinfold completions bash > /etc/bash_completion.d/pinfold";

const AFTER_MAN: &str = "\
Examples:
  pinfold man | man -l -
  pinfold man /usr/local/share/man/man1";

/// The whole grammar.
pub fn command() -> Command {
    Command::new("pinfold")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Run a program in a sandbox of its own")
        .long_about(
            "Run a program in a sandbox of its own: its own file system, ids, namespaces, fds and limits.\n\
             No daemon, no setuid helper, no root needed.",
        )
        .after_help(AFTER)
        .max_term_width(100)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommand(run())
        .subcommand(explain())
        .subcommand(exec())
        .subcommand(doctor())
        .subcommand(config())
        .subcommand(completions())
        .subcommand(man())
}

fn run() -> Command {
    let changes = Arg::new("changes")
        .long("changes")
        .action(ArgAction::SetTrue)
        .help("List on standard error what was changed below the overlay, one path per line, after A (added), M (modified), m (only its owner, mode or attributes), R (replaced), D (deleted)");
    let commit = Arg::new("commit")
        .long("commit")
        .value_name("DIR")
        .help("Write the changes to DIR as a layer, if the payload exits with 0 [example: --overlay memory --commit layers/tools]")
        .value_parser(value_parser!(PathBuf))
        .value_hint(ValueHint::DirPath);
    with_sandbox(Command::new("run"))
        .about("Run a program in a fresh sandbox, to its end")
        .after_help(AFTER_RUN)
        .args(watching())
        .args([changes, commit])
        .arg(payload())
}

/// What tells how a payload that is run is watched.
fn watching() -> [Arg; 3] {
    let report = Arg::new("report")
        .long("report")
        .value_name("FILE")
        .help("Write how it ended, what it used and what was enforced, as JSON, or why nothing ran (not for a command line that is wrong) [example: --report end.json]")
        .value_parser(value_parser!(PathBuf))
        .value_hint(ValueHint::FilePath);
    let quiet = Arg::new("quiet")
        .long("quiet")
        .short('q')
        .action(ArgAction::SetTrue)
        .help("No warnings, and no line that says how the payload was ended; errors are still shown");
    let tty = Arg::new("tty")
        .long("tty")
        .short('t')
        .action(ArgAction::SetTrue)
        .help("Give the payload a terminal of its own, connected to this one [example: --tty -- bash]");
    [report, quiet, tty]
}

/// The shorthands that mean something where the sandbox is there already.
const ENTERING: [&str; 6] = ["timeout", "output", "user", "env", "cwd", "seccomp"];

fn exec() -> Command {
    let pid = Arg::new("pid")
        .long("pid")
        .short('p')
        .value_name("PID")
        .help("The process whose namespaces are entered [example: --pid 4711]")
        .required(true)
        .value_parser(value_parser!(u32).range(1..));
    let set = Arg::new("set").long("set").value_name("KEY=VALUE").action(ArgAction::Append).help(
        "Set one key of the config; may be repeated [example: --set 'security.capabilities=[\"CAP_SYS_PTRACE\"]']",
    );
    let shorthands = SHORTHANDS.iter().filter(|shorthand| ENTERING.contains(&shorthand.name)).map(self::shorthand);
    Command::new("exec")
        .about("Run a program in the namespaces of a process that runs, as nsenter does")
        .after_help(AFTER_EXEC)
        .args([pid, set])
        .args(shorthands)
        .args(files())
        .args(watching())
        .arg(payload())
}

fn explain() -> Command {
    with_sandbox(Command::new("explain"))
        .about("Print what `run` would do, step by step; runs nothing")
        .after_help(AFTER_EXPLAIN)
        .arg(json("Print the steps as JSON"))
        .arg(payload())
}

fn doctor() -> Command {
    Command::new("doctor")
        .about("Tell what this machine can do, what it can't, and how to enable it")
        .after_help(AFTER_DOCTOR)
        .arg(json("Print it as JSON"))
}

fn config() -> Command {
    let file = Arg::new("file")
        .value_name("FILE")
        .help("The config file, .toml or .json")
        .required(true)
        .value_parser(value_parser!(PathBuf))
        .value_hint(ValueHint::FilePath);
    let check = Command::new("check").about("Check a config file").after_help(AFTER_CHECK).arg(file);
    let schema = Command::new("schema").about("Print the JSON Schema of config files").after_help(AFTER_SCHEMA);
    let show = with_sandbox(Command::new("show"))
        .about("Print the config that all files, --set and flags make together")
        .after_help(AFTER_SHOW)
        .arg(json("Print it as JSON instead of TOML"));
    Command::new("config")
        .about("Check and show config files; print their schema")
        .after_help(AFTER_CONFIG)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommand(check)
        .subcommand(schema)
        .subcommand(show)
}

fn completions() -> Command {
    let shell = Arg::new("shell")
        .value_name("SHELL")
        .help("The shell")
        .required(true)
        .value_parser(value_parser!(clap_complete::Shell));
    Command::new("completions").about("Print completions for a shell").after_help(AFTER_COMPLETIONS).arg(shell)
}

fn man() -> Command {
    let directory = Arg::new("directory")
        .value_name("DIR")
        .help("Write the pages of all commands into this directory, instead of printing that of pinfold")
        .value_parser(value_parser!(PathBuf))
        .value_hint(ValueHint::DirPath);
    Command::new("man").about("Print the man page").after_help(AFTER_MAN).arg(directory)
}

/// The options that describe a sandbox.
fn with_sandbox(command: Command) -> Command {
    let file = Arg::new("config")
        .long("config")
        .short('c')
        .value_name("FILE")
        .help("A config file, .toml or .json [example: -c job.toml]")
        .value_parser(value_parser!(PathBuf))
        .value_hint(ValueHint::FilePath);
    let set = Arg::new("set")
        .long("set")
        .value_name("KEY=VALUE")
        .action(ArgAction::Append)
        .help("Set one key of the config; may be repeated [example: --set security.landlock=off]");
    command.args([file, set]).args(SHORTHANDS.iter().map(shorthand)).args(files())
}

/// Open files for the payload.
fn files() -> [Arg; 2] {
    let fd = Arg::new("fd")
        .long("fd")
        .value_name("NAME=N")
        .action(ArgAction::Append)
        .help("Pass this command's open fd N as the config's fd NAME, or under its own number [example: --fd log=5]")
        .help_heading("Open files");
    let listen = Arg::new("listen")
        .long("listen")
        .value_name("NAME=ADDR")
        .action(ArgAction::Append)
        .help(
            "Listen on an address or a unix socket's path, and pass the socket as the config's fd NAME, or as systemd \
             does (LISTEN_FDS) [example: --listen http=127.0.0.1:8080]",
        )
        .help_heading("Open files");
    [fd, listen]
}

/// One row of the library's table as a flag.
fn shorthand(shorthand: &Shorthand) -> Arg {
    let long = shorthand.name.replace('_', "-");
    let repeated = if shorthand.appends { "; may be repeated" } else { "" };
    let help = format!("{}{repeated} [example: --{long} {}]", shorthand.help, shorthand.example);
    let hint = if shorthand.value.contains("DIR") || shorthand.value.contains("FILE") || shorthand.value.contains("SRC")
    {
        ValueHint::AnyPath
    } else {
        ValueHint::Other
    };
    let arg = Arg::new(shorthand.name)
        .long(long)
        .value_name(shorthand.value)
        .help(help)
        .help_heading(heading(shorthand.key))
        .value_hint(hint);
    if shorthand.appends {
        arg.action(ArgAction::Append)
    } else {
        // Scripts put their own flags behind those of their caller: the last one counts.
        arg.action(ArgAction::Set).overrides_with(shorthand.name)
    }
}

/// Flags stand together with those that set keys of the same kind.
fn heading(key: &str) -> &'static str {
    match key.split('.').next().unwrap_or(key) {
        "limits" => "Limits",
        "rootfs" | "mounts" => "Files",
        "process" => "Process",
        _ => "Isolation",
    }
}

fn json(help: &'static str) -> Arg {
    Arg::new("json").long("json").action(ArgAction::SetTrue).help(help)
}

fn payload() -> Arg {
    Arg::new("command")
        .value_name("COMMAND")
        .help("The program and its arguments; the program is looked up inside")
        .required(true)
        .num_args(1..)
        .last(true)
        .value_parser(value_parser!(OsString))
        .value_hint(ValueHint::CommandWithArguments)
}
