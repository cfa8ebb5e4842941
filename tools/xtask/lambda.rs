//! An AWS SAM template: a Lambda function for each function, from the same binary.

use anyhow::{Context as _, Result, bail};
use functions::roles::Role;
use runtime::Function;
use serde_json::{Map, Value, json};

use crate::yaml;

fn reference(name: &str) -> Value {
    json!({"Ref": name})
}

fn substituted(text: &str) -> Value {
    json!({"Fn::Sub": text})
}

/// A parameter of the stack; with `default: None` it is required.
fn parameter(description: &str, default: Option<&str>) -> Value {
    let mut parameter = json!({"Type": "String", "Description": description});
    if let Some(default) = default {
        parameter["Default"] = default.into();
    }
    parameter
}

/// Everything except the functions. infra/lambda/README.md explains the parts.
fn stack() -> Value {
    json!({
        "AWSTemplateFormatVersion": "2010-09-09",
        "Transform": "AWS::Serverless-2016-10-31",
        "Description":
            "pongpong, one Lambda function for each operation, within a VPC. See README.md beside this file.",
        "Parameters": {
            "Architecture": {
                "Type": "String",
                "AllowedValues": ["x86_64", "arm64"],
                "Default": "x86_64",
                "Description": "what target/lambda/bootstrap was built for",
            },
            "Secret": parameter("name of the secret in Secrets Manager, a JSON object", Some("pongpong")),
            "Subnets": {
                "Type": "List<AWS::EC2::Subnet::Id>",
                "Description": "with a way to the database, to Kong, to the endpoint, and by NAT to the internet",
            },
            "SecurityGroups": {"Type": "List<AWS::EC2::SecurityGroup::Id>"},
            "VpcEndpoint": {
                "Type": "String",
                "AllowedPattern": "vpce-[0-9a-f]+",
                "Description": "the VPC's endpoint for execute-api, the only way to the API",
            },
            "PublicUrl": parameter("where people reach pongpong, for links in messages", None),
            "KongAdminUrl": parameter("Kong's Admin API, as reached from the subnets", None),
            "SmtpFrom": parameter("sender of mails", Some("pongpong <pongpong@localhost>")),
            "FunctionUrl":
                parameter("the output Url of the first deployment", Some("http://unknown.invalid")),
            "Sink": parameter("URL of a broker that takes CloudEvents by HTTP", Some("")),
            "LogLevel": parameter("how much is logged", Some("info")),
        },
        "Globals": {"Function": {
            "Runtime": "provided.al2023",
            "Handler": "bootstrap",
            "CodeUri": "../../target/lambda",
            "Architectures": [reference("Architecture")],
            "MemorySize": 128,
            // API Gateway's own timeout.
            "Timeout": 29,
            "VpcConfig": {"SubnetIds": reference("Subnets"), "SecurityGroupIds": reference("SecurityGroups")},
            "Environment": {"Variables": {
                "LOG_LEVEL": reference("LogLevel"),
                "FUNCTION_URL": reference("FunctionUrl"),
                // Otherwise every path would begin with the stage's name.
                "AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH": "true",
            }},
        }},
        "Resources": {
            "Role": {
                "Type": "AWS::IAM::Role",
                "Properties": {
                    "AssumeRolePolicyDocument": {
                        "Version": "2012-10-17",
                        "Statement": [{
                            "Effect": "Allow",
                            "Principal": {"Service": "lambda.amazonaws.com"},
                            "Action": "sts:AssumeRole",
                        }],
                    },
                    "ManagedPolicyArns": [substituted(
                        "arn:${AWS::Partition}:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole",
                    )],
                },
            },
            // Not for the internet: the private operations do not authenticate callers, and Kong does it for
            // the others.
            "Api": {
                "Type": "AWS::Serverless::Api",
                "Properties": {
                    "StageName": "v1",
                    "EndpointConfiguration":
                        {"Type": "PRIVATE", "VPCEndpointIds": [reference("VpcEndpoint")]},
                    "Auth": {
                        "ResourcePolicy": {"IntrinsicVpceWhitelist": [reference("VpcEndpoint")]},
                    },
                },
            },
        },
        "Outputs": {"Url": {
            "Description": "for Kong's services, and for FunctionUrl",
            "Value":
                substituted("https://${Api}-${VpcEndpoint}.execute-api.${AWS::Region}.${AWS::URLSuffix}/v1"),
        }},
    })
}

/// The event of a schedule: `POST /`, in API Gateway's form.
fn tick() -> Value {
    json!({
        "httpMethod": "POST",
        "path": "/",
        "resource": "/",
        "headers": {"content-type": "application/json"},
        "multiValueHeaders": {},
        "requestContext": {"httpMethod": "POST", "path": "/", "identity": {}},
        "isBase64Encoded": false,
    })
}

pub fn template(table: &[Function]) -> Result<String> {
    let mut stack = stack();
    for function in table {
        stack["Resources"][identifier(function.name)] = resource(function).context(function.name)?;
    }
    yaml(&[stack])
}

fn resource(function: &Function) -> Result<Value> {
    // The binary selects the function by this name.
    let mut properties = json!({"FunctionName": function.name, "Role": {"Fn::GetAtt": ["Role", "Arn"]}});
    let variables = variables(function);
    if !variables.is_empty() {
        properties["Environment"] = json!({"Variables": variables});
    }
    let events = events(function)?;
    if !events.is_empty() {
        properties["Events"] = events.into();
    }
    Ok(json!({"Type": "AWS::Serverless::Function", "Properties": properties}))
}

fn variables(function: &Function) -> Map<String, Value> {
    let secret =
        |key: &str| substituted(&format!("{{{{resolve:secretsmanager:${{Secret}}:SecretString:{key}}}}}"));
    let value = |name: &str| match name {
        "GATEWAY_TOKEN" | "ENCRYPTION_KEY" | "SMTP_URL" => Some(secret(name)),
        "DATABASE_URL" => Role::of(function).map(|role| secret(&role.setting())),
        // A Lambda function handles one request at a time.
        "DATABASE_MAX_CONNECTIONS" => Some("1".into()),
        "PUBLIC_URL" => Some(reference("PublicUrl")),
        "KONG_ADMIN_URL" => Some(reference("KongAdminUrl")),
        "SMTP_FROM" => Some(reference("SmtpFrom")),
        // The defaults fit here too.
        _ => None,
    };
    let settings = function.settings().into_iter();
    let mut variables: Map<_, _> =
        settings.filter_map(|name| Some((name.to_owned(), value(name)?))).collect();
    if function.publishes {
        variables.insert("K_SINK".to_owned(), reference("Sink"));
    }
    variables
}

fn events(function: &Function) -> Result<Map<String, Value>> {
    let mut operations: Vec<_> =
        function.operations().into_iter().map(|o| (o.method.to_lowercase(), o.path)).collect();
    if function.name == functions::web::FUNCTION.name {
        // Every path outside the API.
        operations.extend(["/", "/{proxy+}"].map(|path| ("any".to_owned(), path.to_owned())));
    }
    let mut events = Map::new();
    for (n, (method, path)) in operations.iter().enumerate() {
        let properties = json!({"RestApiId": reference("Api"), "Method": method, "Path": path});
        events.insert(format!("Operation{n}"), json!({"Type": "Api", "Properties": properties}));
    }
    if let Some(cron) = function.cron {
        let properties = json!({
            "ScheduleExpression": schedule(cron)?,
            "RetryPolicy": {"MaximumRetryAttempts": 2, "MaximumEventAgeInSeconds": 60},
            "Input": tick().to_string(),
        });
        events.insert("Tick".to_owned(), json!({"Type": "ScheduleV2", "Properties": properties}));
    }
    Ok(events)
}

/// Converts cron's five fields to EventBridge's form: one of the two day fields is `?`, and there is a year
/// field.
fn schedule(cron: &str) -> Result<String> {
    let fields: Vec<_> = cron.split_whitespace().collect();
    let [minute, hour, day, month, "*"] = fields[..] else {
        bail!("EventBridge counts days of the week otherwise: {cron}");
    };
    Ok(format!("cron({minute} {hour} {day} {month} ? *)"))
}

/// `user-signup` as `UserSignup`
fn identifier(name: &str) -> String {
    let capitalized = |word: &str| {
        let mut letters = word.chars();
        letters
            .next()
            .map_or_else(String::new, |first| format!("{}{}", first.to_uppercase(), letters.as_str()))
    };
    name.split('-').map(capitalized).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn schedules_are_put_as_eventbridge_has_them() {
        assert_eq!(super::schedule("5 3 1 * *").expect("fine"), "cron(5 3 1 * ? *)");
        super::schedule("0 0 * * 1").expect_err("Mondays");
    }
}
