//! An AWS SAM template: a Lambda function for each function, from the same binary.

use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};
use functions::roles::Role;
use runtime::Function;

use crate::HEADER;

/// Up to the functions. What plays which part is told in infra/lambda/README.md.
const HEAD: &str = r#"AWSTemplateFormatVersion: "2010-09-09"
Transform: AWS::Serverless-2016-10-31
Description: pongpong, one Lambda function for each operation, within a VPC. See README.md beside this file.
Parameters:
  Architecture:
    Type: String
    AllowedValues: [x86_64, arm64]
    Default: x86_64
    Description: what target/lambda/bootstrap was built for
  Secret:
    Type: String
    Default: pongpong
    Description: name of the secret in Secrets Manager, a JSON object
  Subnets:
    Type: List<AWS::EC2::Subnet::Id>
    Description: with a way to the database, to Kong, to the endpoint, and by NAT to the internet
  SecurityGroups:
    Type: List<AWS::EC2::SecurityGroup::Id>
  VpcEndpoint:
    Type: String
    AllowedPattern: vpce-[0-9a-f]+
    Description: the VPC's endpoint for execute-api, the only way to the API
  PublicUrl:
    Type: String
    Description: where people reach pongpong, for links in messages
  KongAdminUrl:
    Type: String
    Description: Kong's Admin API, as reached from the subnets
  SmtpFrom:
    Type: String
    Default: pongpong <pongpong@localhost>
  FunctionUrl:
    Type: String
    Default: http://unknown.invalid
    Description: the output Url of the first deployment
  Sink:
    Type: String
    Default: ""
    Description: URL of a broker that takes CloudEvents by HTTP
  LogLevel:
    Type: String
    Default: info
Globals:
  Function:
    Runtime: provided.al2023
    Handler: bootstrap
    CodeUri: ../../target/lambda
    Architectures: [!Ref Architecture]
    MemorySize: 128
    # API Gateway waits no longer.
    Timeout: 29
    VpcConfig:
      SubnetIds: !Ref Subnets
      SecurityGroupIds: !Ref SecurityGroups
    Environment:
      Variables:
        LOG_LEVEL: !Ref LogLevel
        FUNCTION_URL: !Ref FunctionUrl
        # Else every path would begin with the stage's name.
        AWS_LAMBDA_HTTP_IGNORE_STAGE_IN_PATH: "true"
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement:
          - Effect: Allow
            Principal: {Service: lambda.amazonaws.com}
            Action: sts:AssumeRole
      ManagedPolicyArns:
        - !Sub arn:${AWS::Partition}:iam::aws:policy/service-role/AWSLambdaVPCAccessExecutionRole
  # Not for the internet: the private operations ask nobody who they are, and Kong does so for the others.
  Api:
    Type: AWS::Serverless::Api
    Properties:
      StageName: v1
      EndpointConfiguration:
        Type: PRIVATE
        VPCEndpointIds: [!Ref VpcEndpoint]
      Auth:
        ResourcePolicy:
          IntrinsicVpceWhitelist: [!Ref VpcEndpoint]
"#;

const OUTPUTS: &str = r#"Outputs:
  Url:
    Description: for Kong's services, and for FunctionUrl
    Value: !Sub https://${Api}-${VpcEndpoint}.execute-api.${AWS::Region}.${AWS::URLSuffix}/v1
"#;

/// What the schedule hands over: `POST /`, as API Gateway would put it.
const TICK: &str = r#"{"httpMethod":"POST","path":"/","resource":"/","headers":{"content-type":"application/json"},"multiValueHeaders":{},"requestContext":{"httpMethod":"POST","path":"/","identity":{}},"isBase64Encoded":false}"#;

pub fn template(table: &[Function]) -> Result<String> {
    let mut text = format!("{HEADER}{HEAD}");
    for function in table {
        text += &resource(function).with_context(|| function.name)?;
    }
    Ok(text + OUTPUTS)
}

fn resource(function: &Function) -> Result<String> {
    let (name, id) = (function.name, identifier(function.name));
    let mut text = format!(
        "  {id}:
    Type: AWS::Serverless::Function
    Properties:
      # By its name the binary knows which one it is.
      FunctionName: {name}
      Role: !GetAtt Role.Arn
"
    );
    let variables = variables(function);
    if !variables.is_empty() {
        write!(text, "      Environment:\n        Variables:\n{variables}")?;
    }
    let events = events(function)?;
    if !events.is_empty() {
        write!(text, "      Events:\n{events}")?;
    }
    Ok(text)
}

fn variables(function: &Function) -> String {
    let mut text = String::new();
    let mut put = |name: &str, value: &str| writeln!(text, "          {name}: {value}").ok();
    for name in function.settings() {
        let secret =
            |key: &str| format!("!Sub '{{{{resolve:secretsmanager:${{Secret}}:SecretString:{key}}}}}'");
        match name {
            "GATEWAY_TOKEN" | "ENCRYPTION_KEY" | "SMTP_URL" => put(name, &secret(name)),
            "DATABASE_URL" => Role::of(function).and_then(|role| put(name, &secret(&role.setting()))),
            // One request at a time.
            "DATABASE_MAX_CONNECTIONS" => put(name, "\"1\""),
            "PUBLIC_URL" => put(name, "!Ref PublicUrl"),
            "KONG_ADMIN_URL" => put(name, "!Ref KongAdminUrl"),
            "SMTP_FROM" => put(name, "!Ref SmtpFrom"),
            // The defaults are for here, too.
            _ => None,
        };
    }
    if function.publishes {
        put("K_SINK", "!Ref Sink");
    }
    text
}

fn events(function: &Function) -> Result<String> {
    let mut operations: Vec<_> =
        function.operations().into_iter().map(|o| (o.method.to_lowercase(), o.path)).collect();
    if function.name == "web" {
        // Everything that is no API.
        operations.extend(["/", "/{proxy+}"].map(|path| ("any".to_owned(), path.to_owned())));
    }
    let mut text = String::new();
    for (n, (method, path)) in operations.iter().enumerate() {
        write!(
            text,
            "        Operation{n}:
          Type: Api
          Properties:
            RestApiId: !Ref Api
            Method: {method}
            Path: {path}
"
        )?;
    }
    if let Some(cron) = function.cron {
        write!(
            text,
            "        Tick:
          Type: ScheduleV2
          Properties:
            ScheduleExpression: {}
            RetryPolicy:
              MaximumRetryAttempts: 2
              MaximumEventAgeInSeconds: 60
            Input: '{TICK}'
",
            schedule(cron)?
        )?;
    }
    Ok(text)
}

/// Cron's five fields as EventBridge has them: one of the two kinds of day is `?`, and there are years.
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
