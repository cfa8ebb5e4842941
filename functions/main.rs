//! `function NAME...`: serves one function, or several. See [`functions::ALL`].
//! `function trigger NAME`: what a CronJob runs. `function migrate`: brings the tables up to date.

use std::process::ExitCode;

use http::Method;
use runtime::{Context, Env, Function, log, telemetry, trace::Trace};

#[tokio::main]
async fn main() -> anyhow::Result<ExitCode> {
    runtime::install_crypto();
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
        functions::migrate(context.db()?).await?;
        return Ok(ExitCode::SUCCESS);
    }
    if let [trigger, name] = names
        && trigger == "trigger"
        && let Some(function) = functions::find(name).filter(|f| f.cron.is_some())
    {
        let trace = Trace::of_tick(function.name);
        let call = context.outbound().call::<(), serde_json::Value>(function.name, Method::POST, "/", None);
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
            eprintln!("usage: function NAME... | function trigger NAME | function migrate. NAME is one of:");
            functions::ALL.iter().for_each(|f| eprintln!("  {}", f.name));
            Ok(ExitCode::from(2))
        }
    }
}
