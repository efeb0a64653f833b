//! The command line: one file a subcommand. Everything is printed through a writer that is handed in, in
//! the language that was asked for.

mod audit;
mod backup;
mod check;
mod context;
mod demo;
mod events;
mod explain;
mod gaps;
mod hints;
mod holds;
mod inbox;
mod init;
mod keep;
mod keys;
mod listing;
mod node;
mod platforms;
mod refusal;
mod rejections;
mod reload;
mod replay;
mod resign_key;
mod restore;
mod sample;
mod security;
mod serve;
mod shadow;
mod show;
mod status;
mod tail;

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;

use clap::{ArgAction, Args, Command, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::messages::{Lang, Message};
use context::Context;

/// A payment-notification gateway.
#[derive(Debug, Parser)]
#[command(
    name = "tollbell",
    version,
    disable_help_flag = true,
    disable_version_flag = true,
    disable_help_subcommand = true
)]
struct Cli {
    #[arg(long, short, global = true, default_value = "tollbell.toml")]
    config: PathBuf,
    #[arg(long, global = true, value_parser = ["en", "zh"])]
    lang: Option<String>,
    #[arg(long, global = true)]
    json: bool,
    #[arg(long, short, global = true, action = ArgAction::Help, display_order = 1000)]
    help: Option<bool>,
    #[arg(long, short = 'V', action = ArgAction::Version, display_order = 1000)]
    version: Option<bool>,
    #[command(subcommand)]
    command: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Serve,
    Init(InitArgs),
    Check(CheckArgs),
    Channels(ChannelsArgs),
    Keys(KeysArgs),
    Targets,
    ResignKey(ResignKeyArgs),
    Sample(SampleArgs),
    Show(ShowArgs),
    Explain(ExplainArgs),
    Tail(TailArgs),
    Events(EventsArgs),
    Rejections(RejectionsArgs),
    Holds(HoldsArgs),
    Hints(HintsArgs),
    Replay(ReplayArgs),
    Audit(AuditArgs),
    Shadow(ShadowArgs),
    Reload(ReloadArgs),
    Inbox,
    Backup(BackupArgs),
    Restore(RestoreArgs),
    Status,
    Gaps(GapsArgs),
    Demo(DemoArgs),
    Help(HelpArgs),
}

#[derive(Debug, Args)]
struct InitArgs {
    #[arg(default_value = ".")]
    folder: PathBuf,
    #[arg(long = "platform")]
    platforms: Vec<String>,
    #[arg(long)]
    all: bool,
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
}

#[derive(Debug, Args)]
struct CheckArgs {
    #[arg(long)]
    security: bool,
}

#[derive(Debug, Args)]
struct ChannelsArgs {
    #[arg(long, conflicts_with = "markdown")]
    known: bool,
    #[arg(long)]
    markdown: bool,
    #[arg(long, value_name = "KIND", conflicts_with_all = ["known", "markdown"])]
    preset: Option<String>,
}

#[derive(Debug, Args)]
struct KeysArgs {
    #[arg(long)]
    channel: Option<String>,
    #[arg(long, default_value_t = keys::NEWEST)]
    newest: usize,
}

#[derive(Debug, Args)]
struct ResignKeyArgs {
    channel: String,
}

#[derive(Debug, Args)]
struct SampleArgs {
    channel: String,
    #[arg(long)]
    event: Option<String>,
    #[arg(long, default_value = "curl", value_parser = ["curl", "body", "http"])]
    format: String,
    #[arg(long)]
    order_no: Option<String>,
    #[arg(long, default_value_t = 1000)]
    amount_minor: i64,
    #[arg(long, default_value_t = 0)]
    refunded_minor: i64,
    #[arg(long)]
    new_keys: bool,
}

#[derive(Debug, Args)]
struct ShowArgs {
    id: String,
    #[arg(long)]
    raw: bool,
}

#[derive(Debug, Args)]
struct ExplainArgs {
    #[arg(conflicts_with_all = ["list", "markdown"])]
    what: Option<PathBuf>,
    #[arg(long)]
    channel: Option<String>,
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    #[arg(long)]
    list: bool,
    #[arg(long, conflicts_with = "list")]
    markdown: bool,
    /// The folder of examples for the page.
    #[arg(long, requires = "markdown", value_name = "FOLDER")]
    examples: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct TailArgs {
    #[arg(long)]
    channel: Option<String>,
    #[arg(long, short = 'n', default_value_t = 10)]
    lines: usize,
    #[arg(long)]
    once: bool,
}

#[derive(Debug, Args)]
struct EventsArgs {
    #[arg(long)]
    order_no: Option<String>,
    #[arg(long)]
    channel: Option<String>,
    #[arg(long)]
    kind: Option<String>,
    #[arg(long)]
    state: Option<String>,
    #[arg(long)]
    unrouted: bool,
    #[arg(long)]
    before: Option<String>,
    #[arg(long, default_value_t = 20)]
    limit: usize,
}

#[derive(Debug, Args)]
struct ReplayArgs {
    id: Option<String>,
    #[arg(long)]
    dead: bool,
    #[arg(long)]
    target: Option<String>,
    #[arg(long, default_value_t = 100)]
    limit: usize,
}

#[derive(Debug, Args)]
#[command(disable_help_subcommand = true, args_conflicts_with_subcommands = true)]
struct RejectionsArgs {
    #[arg(long)]
    channel: Option<String>,
    #[arg(long)]
    reason: Option<String>,
    #[arg(long)]
    since: Option<String>,
    #[arg(long)]
    before: Option<String>,
    #[arg(long, default_value_t = 20)]
    limit: usize,
    #[command(subcommand)]
    what: Option<RejectionsWhat>,
}

#[derive(Debug, Subcommand)]
enum RejectionsWhat {
    Reverify(ReverifyArgs),
}

#[derive(Debug, Args)]
struct ReverifyArgs {
    id: Option<String>,
    #[arg(long)]
    channel: Option<String>,
    #[arg(long)]
    reason: Option<String>,
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Args)]
#[command(disable_help_subcommand = true, args_conflicts_with_subcommands = true)]
struct HoldsArgs {
    #[arg(long)]
    after: Option<String>,
    #[arg(long, default_value_t = 20)]
    limit: usize,
    #[command(subcommand)]
    what: Option<HoldsWhat>,
}

#[derive(Debug, Subcommand)]
enum HoldsWhat {
    Release(ReleaseArgs),
    Discard(DiscardArgs),
}

#[derive(Debug, Args)]
struct ReleaseArgs {
    id: String,
    #[arg(long)]
    why: Option<String>,
}

#[derive(Debug, Args)]
struct DiscardArgs {
    id: String,
    #[arg(long)]
    why: String,
}

#[derive(Debug, Args)]
struct HintsArgs {
    number: Option<String>,
    #[arg(long)]
    channel: Option<String>,
    #[arg(long)]
    state: Option<String>,
    #[arg(long, default_value_t = 20)]
    limit: usize,
}

#[derive(Debug, Args)]
struct AuditArgs {
    #[arg(long, default_value_t = 20)]
    limit: usize,
}

#[derive(Debug, Args)]
struct ReloadArgs {
    #[arg(long)]
    dry_run: bool,
    #[arg(long, value_name = "TARGET")]
    discard: Vec<String>,
}

#[derive(Debug, Args)]
struct BackupArgs {
    to: PathBuf,
}

#[derive(Debug, Args)]
struct ShadowArgs {
    channel: String,
    #[arg(long)]
    log: PathBuf,
}

#[derive(Debug, Args)]
struct RestoreArgs {
    file: PathBuf,
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
struct GapsArgs {
    #[arg(value_parser = ["close"])]
    action: Option<String>,
    id: Option<i64>,
    #[arg(long)]
    why: Option<String>,
}

#[derive(Debug, Args)]
struct DemoArgs {
    #[arg(long)]
    once: bool,
}

#[derive(Debug, Args)]
struct HelpArgs {
    command: Option<String>,
}

/// How a command ended.
pub type ExitCode = u8;

/// Everything went well.
pub const OK: ExitCode = 0;
/// The command could not do what was asked; the cause was printed.
pub const FAILED: ExitCode = 1;
/// The arguments or the configuration are wrong.
pub const USAGE: ExitCode = 2;

/// Runs the command that the arguments name.
pub async fn run(args: Vec<OsString>, out: &mut (dyn Write + Send), err: &mut (dyn Write + Send)) -> ExitCode {
    let lang = Lang::from_environment(flag_value(&args, "--lang").as_deref(), |name| std::env::var(name).ok());
    let matches = match localised(Cli::command(), lang).try_get_matches_from(args) {
        Ok(matches) => matches,
        Err(error) => {
            let is_help = !error.use_stderr();
            let written = if is_help { write!(out, "{error}") } else { write!(err, "{error}") };
            return if written.is_ok() && is_help { OK } else { USAGE };
        }
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => {
            return if write!(err, "{error}").is_ok() { USAGE } else { FAILED };
        }
    };
    let mut context = Context { out, err, lang, is_json: cli.json, config_path: cli.config };
    let done = match cli.command {
        What::Serve => serve::run(&mut context).await,
        What::Init(args) => init::run(&mut context, &args),
        What::Check(args) => check::run(&mut context, &args),
        What::Channels(ChannelsArgs { known: true, .. }) => platforms::known(&mut context),
        What::Channels(ChannelsArgs { markdown: true, .. }) => platforms::markdown(&mut context),
        What::Channels(ChannelsArgs { preset: Some(kind), .. }) => platforms::preset(&mut context, &kind),
        What::Channels(_) => listing::channels(&mut context).await,
        What::Keys(args) => keys::run(&mut context, &args).await,
        What::Targets => listing::targets(&mut context),
        What::ResignKey(args) => resign_key::run(&mut context, &args),
        What::Sample(args) => sample::run(&mut context, &args),
        What::Show(args) => show::run(&mut context, &args).await,
        What::Explain(args) => explain::run(&mut context, &args).await,
        What::Tail(args) => tail::run(&mut context, &args).await,
        What::Events(args) => events::run(&mut context, &args).await,
        What::Rejections(args) => rejections::run(&mut context, &args).await,
        What::Holds(args) => holds::run(&mut context, &args).await,
        What::Hints(args) => hints::run(&mut context, &args).await,
        What::Replay(args) => replay::run(&mut context, &args).await,
        What::Audit(args) => audit::run(&mut context, &args).await,
        What::Reload(args) => reload::run(&mut context, &args).await,
        What::Inbox => inbox::run(&mut context).await,
        What::Backup(args) => backup::run(&mut context, &args).await,
        What::Restore(args) => restore::run(&mut context, &args).await,
        What::Status => status::run(&mut context).await,
        What::Gaps(args) => gaps::run(&mut context, &args).await,
        What::Shadow(args) => shadow::run(&mut context, &args).await,
        What::Demo(args) => demo::run(&mut context, &args).await,
        What::Help(args) => help(&mut context, args.command.as_deref()),
    };
    match done {
        Ok(code) => code,
        Err(error) => context.fail(&error),
    }
}

/// `help`: the texts of `--help`.
fn help(context: &mut Context<'_>, name: Option<&str>) -> anyhow::Result<ExitCode> {
    let mut command = localised(Cli::command(), context.lang);
    command.build();
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    let asked = match name {
        None => &mut command,
        Some(name) => command
            .find_subcommand_mut(name)
            .ok_or_else(|| context.unknown_word(name, names.iter().map(String::as_str)))?,
    };
    let text = asked.render_help().to_string();
    context.say(text.trim_end())?;
    Ok(OK)
}

/// The value of a flag, read before the real parser, because the parser's own texts depend on it.
fn flag_value(args: &[OsString], flag: &str) -> Option<String> {
    let mut args = args.iter().filter_map(|arg| arg.to_str());
    while let Some(arg) = args.next() {
        if arg == flag {
            return args.next().map(str::to_owned);
        }
        if let Some(value) = arg.strip_prefix(flag).and_then(|rest| rest.strip_prefix('=')) {
            return Some(value.to_owned());
        }
    }
    None
}

/// Puts the catalogue's texts into the parser: `cli.<command>.about` and `cli.<command>.<argument>`; a command
/// of a command is `<command>_<command>` there.
fn localised(command: Command, lang: Lang) -> Command {
    let text = |key: String| Message::dynamic(key).text(lang);
    let template = format!("{{about}}\n\n{} {{usage}}\n\n{{all-args}}\n", lang.fixed("cli.usage"));
    let help = |command: Command, prefix: &str| {
        let ids: Vec<String> = command.get_arguments().map(|arg| arg.get_id().to_string()).collect();
        let command = command.help_template(template.clone()).subcommand_help_heading(lang.fixed("cli.commands"));
        ids.into_iter().fold(command, |command, id| {
            let help = text(format!("cli.{prefix}.{id}"));
            command.mut_arg(&id, |arg| {
                let heading = if arg.is_positional() { "cli.arguments" } else { "cli.options" };
                arg.help(help).help_heading(lang.fixed(heading))
            })
        })
    };
    let names_of =
        |command: &Command| -> Vec<String> { command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect() };
    let named = |sub: Command, name: &str| help(sub.about(text(format!("cli.{name}.about"))), name);
    let command = help(command.about(text("cli.about".into())), "global");
    names_of(&command).into_iter().fold(command, |command, name| {
        command.mut_subcommand(&name, |sub| {
            let sub = named(sub, &name);
            names_of(&sub)
                .into_iter()
                .fold(sub, |sub, inner| sub.mut_subcommand(&inner, |sub| named(sub, &format!("{name}_{inner}"))))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_and_argument_has_a_text_in_both_languages() {
        for lang in [Lang::En, Lang::Zh] {
            let command = localised(Cli::command(), lang);
            let mut texts = vec![command.get_about().unwrap().to_string()];
            let inner = command.get_subcommands().flat_map(Command::get_subcommands);
            for sub in command.get_subcommands().chain(inner) {
                texts.push(sub.get_about().unwrap().to_string());
                texts.extend(sub.get_arguments().filter_map(|arg| arg.get_help()).map(ToString::to_string));
            }
            texts.extend(command.get_arguments().filter_map(|arg| arg.get_help()).map(ToString::to_string));
            for text in texts {
                assert!(!text.starts_with("cli."), "no text for `{text}` in {lang:?}");
            }
        }
    }

    #[test]
    fn the_parser_is_sound() {
        Cli::command().debug_assert();
    }

    #[tokio::test]
    async fn the_language_follows_the_flag() {
        let help = async |lang: &str| {
            let (mut out, mut err) = (Vec::new(), Vec::new());
            let args = ["tollbell", "--lang", lang, "--help"].map(OsString::from).to_vec();
            assert_eq!(run(args, &mut out, &mut err).await, OK);
            String::from_utf8(out).unwrap()
        };
        assert!(help("zh").await.contains("回调"));
        assert!(!help("en").await.contains("回调"));
    }
}
