//! `function NAME...`: serves one function, or several. See [`functions::ALL`].
//! `function trigger NAME`: what a CronJob runs. `function migrate`: brings the tables up to date.
//! `function gateway FOLDER`: makes Kong be what the files there say.

use std::process::ExitCode;

use functions::users::kong::Kong;
use runtime::{Context, Env, Function, log};

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
    let context = Context::of_process(env);
    if names == ["migrate"] {
        functions::migrate(context.db()?, context.env()).await?;
        return Ok(ExitCode::SUCCESS);
    }
    if let [gateway, folder] = &names[..]
        && gateway == "gateway"
    {
        functions::gateway::load(&*context.config::<Kong>()?, folder.as_ref(), context.env()).await?;
        return Ok(ExitCode::SUCCESS);
    }
    if let [trigger, name] = &names[..]
        && trigger == "trigger"
        && let Some(function) = functions::find(name).filter(|f| f.cron.is_some())
    {
        let answer: serde_json::Value =
            context.outbound().call::<(), _>(function.name, http::Method::POST, "/", None).await?;
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
