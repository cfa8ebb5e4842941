//! `function NAME...`: serves one function, or several. See [`functions::ALL`].
//! `function trigger NAME`: what a CronJob runs. `function migrate`: brings the tables up to date.
//! `function gateway FOLDER`: makes Kong be what the files there say.

use std::{process::ExitCode, time::Duration};

use backon::{ConstantBuilder, Retryable as _};
use functions::users::kong::Kong;
use http::Method;
use runtime::{Context, Env, Function, log, telemetry, trace::Trace};

/// How long a tick may take: a night's purge is not done in seconds. The CronJob gives up a little later.
const TICK: Duration = Duration::from_secs(290);

fn main() -> anyhow::Result<ExitCode> {
    runtime::process::prepare();
    runtime::install_crypto();
    tokio::runtime::Runtime::new()?.block_on(start())
}

async fn start() -> anyhow::Result<ExitCode> {
    let env = Env::of_process();
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    if names.is_empty() {
        // Knative, then Lambda, say which one this process is to be.
        names.extend(env.get("K_SERVICE").or_else(|| env.get("AWS_LAMBDA_FUNCTION_NAME")).map(str::to_owned));
    }
    log::init(&env, log::Format::Json)?;
    let service = match &names[..] {
        [one] => one,
        [trigger, _] if trigger == "trigger" => trigger,
        _ => "pongpong",
    };
    telemetry::init(&env, service)?;
    let ended = run(&names, Context::of_process(env)).await;
    telemetry::shutdown().await;
    ended
}

async fn run(names: &[String], context: Context) -> anyhow::Result<ExitCode> {
    if names == ["migrate"] {
        let db = context.db()?;
        // On a cluster database and migration start together.
        let wait = ConstantBuilder::default().with_delay(Duration::from_secs(2)).with_max_times(120);
        (|| db.ping())
            .retry(wait)
            .notify(|error, _| tracing::warn!(%error, "waiting for the database"))
            .await?;
        functions::migrate(db, context.env()).await?;
        return Ok(ExitCode::SUCCESS);
    }
    if let [gateway, folder] = names
        && gateway == "gateway"
    {
        functions::gateway::load(&*context.config::<Kong>()?, folder.as_ref(), context.env()).await?;
        return Ok(ExitCode::SUCCESS);
    }
    if let [trigger, name] = names
        && trigger == "trigger"
        && let Some(function) = functions::find(name).filter(|f| f.cron.is_some())
    {
        let trace = Trace::of_tick(function.name);
        let outbound = context.outbound().clone().with_patience(TICK);
        let call = outbound.call::<(), serde_json::Value>(function.name, Method::POST, "/", None);
        let answer = trace.clone().scope(call).await.inspect_err(|error| trace.failed(error))?;
        tracing::info!(function = function.name, %answer, "triggered");
        return Ok(ExitCode::SUCCESS);
    }
    let found: Option<Vec<&'static Function>> = names.iter().map(|name| functions::find(name)).collect();
    match found {
        Some(functions) if !functions.is_empty() => {
            functions::check_optional_settings(context.env())?;
            runtime::serve::serve(&functions, context).await?;
            Ok(ExitCode::SUCCESS)
        }
        _ => {
            eprintln!(
                "usage: function NAME... | function trigger NAME | function migrate | function gateway FOLDER. NAME is one of:"
            );
            functions::ALL.iter().for_each(|f| eprintln!("  {}", f.name));
            Ok(ExitCode::from(2))
        }
    }
}
