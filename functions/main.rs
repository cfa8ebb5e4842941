use std::{path::PathBuf, process::ExitCode, time::Duration};

use backon::{ConstantBuilder, Retryable as _};
use clap::{CommandFactory, Parser, Subcommand, error::ErrorKind};
use functions::users::kong::Kong;
use http::Method;
use runtime::{Context, Env, Function, log, telemetry, trace::Trace};

/// Time limit for a scheduled call: a nightly purge takes more than seconds. The CronJob gives up a
/// little later.
const TICK: Duration = Duration::from_secs(290);

/// Serve the named functions of pongpong
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Arguments {
    /// A function [default: K_SERVICE or AWS_LAMBDA_FUNCTION_NAME]
    #[arg(value_name = "NAME", value_parser = any_function)]
    names: Vec<&'static Function>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Call a function as the schedule does
    Trigger {
        #[arg(value_name = "NAME", value_parser = scheduled_function)]
        function: &'static Function,
    },
    /// Migrate the database's tables
    Migrate,
    /// Configure Kong from the files of a folder
    Gateway { folder: PathBuf },
}

fn any_function(name: &str) -> Result<&'static Function, String> {
    functions::find(name).ok_or_else(|| {
        let all: Vec<_> = functions::ALL.iter().map(|function| function.name).collect();
        format!("there is no such function, but: {}", all.join(", "))
    })
}

fn scheduled_function(name: &str) -> Result<&'static Function, String> {
    functions::find(name).filter(|function| function.cron.is_some()).ok_or_else(|| {
        let scheduled = functions::ALL.iter().filter(|function| function.cron.is_some());
        let all: Vec<_> = scheduled.map(|function| function.name).collect();
        format!("the schedule calls no such function, but: {}", all.join(", "))
    })
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    runtime::process::prepare();
    runtime::install_crypto();
    tokio::runtime::Runtime::new()?.block_on(start(arguments))
}

async fn start(Arguments { mut names, command }: Arguments) -> anyhow::Result<ExitCode> {
    let env = Env::of_process();
    if names.is_empty() && command.is_none() {
        // Set by Knative or by Lambda.
        let name = env.get("K_SERVICE").or_else(|| env.get("AWS_LAMBDA_FUNCTION_NAME")).unwrap_or_default();
        match any_function(name) {
            Ok(function) => names.push(function),
            Err(what) => Arguments::command().error(ErrorKind::InvalidValue, what).exit(),
        }
    }
    log::init(&env, log::Format::Json)?;
    let service = match (&command, &names[..]) {
        (None, [one]) => one.name,
        (Some(Command::Trigger { .. }), _) => "trigger",
        _ => "pongpong",
    };
    telemetry::init(&env, service)?;
    let ended = run(&names, command, Context::of_process(env)).await;
    telemetry::shutdown().await;
    ended.map(|()| ExitCode::SUCCESS)
}

async fn run(names: &[&'static Function], command: Option<Command>, context: Context) -> anyhow::Result<()> {
    match command {
        None => {
            functions::check_optional_settings(context.env())?;
            runtime::serve::serve(names, context).await
        }
        Some(Command::Migrate) => {
            let db = context.db()?;
            // On a cluster, the database and the migration start at the same time.
            let wait = ConstantBuilder::default().with_delay(Duration::from_secs(2)).with_max_times(120);
            (|| db.ping())
                .retry(wait)
                .notify(|error, _| tracing::warn!(%error, "waiting for the database"))
                .await?;
            functions::migrate(db, context.env()).await
        }
        Some(Command::Gateway { folder }) => {
            functions::gateway::load(&*context.config::<Kong>()?, &folder, context.env()).await
        }
        Some(Command::Trigger { function }) => {
            let trace = Trace::of_tick(function.name);
            let outbound = context.outbound().clone().with_timeout(TICK);
            let call = outbound.call::<(), serde_json::Value>(function.name, Method::POST, "/", None);
            let answer = trace.clone().scope(call).await.inspect_err(|error| trace.failed(error))?;
            tracing::info!(function = function.name, %answer, "triggered");
            Ok(())
        }
    }
}
