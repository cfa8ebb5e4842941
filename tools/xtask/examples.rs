//! An example for every body in the specification, made from the examples and bounds of its schema.

use serde_norway::{Mapping, Value};

/// Adds an example to every schema of a request or an answer that has none.
pub fn add(spec: &mut Value) {
    let components = spec["components"]["schemas"].clone();
    let Some(paths) = spec["paths"].as_mapping_mut() else { return };
    for (_, item) in paths {
        for (_, operation) in item.as_mapping_mut().into_iter().flatten() {
            let Some(operation) = operation.as_mapping_mut() else { continue };
            if let Some(body) = operation.get_mut("requestBody") {
                add_to_content(body, &components);
            }
            let responses = operation.get_mut("responses").and_then(Value::as_mapping_mut);
            for (status, response) in responses.into_iter().flatten() {
                match status.as_str() {
                    Some(status) if status.starts_with(['4', '5']) => add_error(status, response),
                    _ => add_to_content(response, &components),
                }
            }
        }
    }
}

fn add_to_content(body: &mut Value, components: &Value) {
    let content = body.get_mut("content").and_then(Value::as_mapping_mut);
    for (_, media) in content.into_iter().flatten() {
        let example = of(&media["schema"], components, 0);
        if let Some(media) = media.as_mapping_mut()
            && !media.contains_key("example")
        {
            media.insert("example".into(), example);
        }
    }
}

/// Errors differ by their status, not by their schema.
fn add_error(status: &str, response: &mut Value) {
    let described = response["description"].as_str().unwrap_or_default().to_owned();
    // `EMAIL_TAKEN`, or `INVALID_LOGIN: unknown e-mail address or wrong password`
    let is_code = |word: &&str| word.len() > 3 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_');
    let own = described.split([':', ' ']).next().filter(is_code);
    let (code, message) = match status {
        "400" => (Some("VALIDATION_FAILED"), "Some fields are invalid."),
        "401" => (Some("NOT_LOGGED_IN"), "You are not logged in."),
        "403" => (Some("FORBIDDEN"), "Permission denied."),
        "404" => (Some("NOT_FOUND"), "Not found."),
        "413" => (Some("TOO_LARGE"), "The body is too large."),
        "415" => (Some("UNSUPPORTED_MEDIA_TYPE"), "The body must be JSON."),
        // The gateway's own refusals have no code.
        "429" => (None, "API rate limit exceeded"),
        "500" => (Some("INTERNAL"), "Something went wrong on our side."),
        "503" => (Some("UNAVAILABLE"), "This is not available right now. Please try again."),
        _ => (None, described.as_str()),
    };
    let mut example = Mapping::new();
    let by_gateway = response["content"]["application/json"]["schema"]["$ref"]
        .as_str()
        .is_some_and(|path| path.ends_with("/GatewayRefusal"));
    let (code, message) = match status {
        "401" if by_gateway => (None, "No API key found in request"),
        _ => (code, message),
    };
    example.insert("message".into(), message.into());
    if let Some(code) = own.or(code) {
        example.insert("code".into(), code.into());
    }
    let media = response.get_mut("content").and_then(|content| content.get_mut("application/json"));
    if let Some(media) = media.and_then(Value::as_mapping_mut).filter(|media| !media.contains_key("example"))
    {
        media.insert("example".into(), Value::Mapping(example));
    }
}

/// A schema's example, else one made of those of its parts.
fn of(schema: &Value, components: &Value, depth: usize) -> Value {
    // A schema may contain itself.
    if depth > 8 {
        return Value::Null;
    }
    let deeper = |schema: &Value| of(schema, components, depth + 1);
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return deeper(&components[name]);
    }
    for own in
        [&schema["example"], &schema["examples"][0], &schema["default"], &schema["const"], &schema["enum"][0]]
    {
        if !own.is_null() {
            return own.clone();
        }
    }
    if let Some(parts) = schema["allOf"].as_sequence() {
        let objects = parts.iter().map(deeper);
        let fields = objects.flat_map(|part| part.as_mapping().cloned().unwrap_or_default());
        return Value::Mapping(fields.collect::<Mapping>());
    }
    for choice in ["oneOf", "anyOf"] {
        let choices = schema[choice].as_sequence().into_iter().flatten();
        if let Some(first) = choices.into_iter().find(|choice| choice["type"] != "null") {
            return deeper(first);
        }
    }
    let kind = match &schema["type"] {
        // Such as [string, "null"].
        Value::Sequence(kinds) => kinds.iter().find(|kind| *kind != "null").and_then(Value::as_str),
        kind => kind.as_str(),
    };
    match kind {
        Some("object") => object(schema, deeper),
        Some("array") => Value::Sequence(vec![deeper(&schema["items"])]),
        Some("integer") => schema["minimum"].as_i64().unwrap_or(1).max(1).into(),
        Some("number") => 1.5.into(),
        Some("boolean") => true.into(),
        Some("string") if schema["format"] == "date-time" => "2026-03-01T12:00:00Z".into(),
        Some("string") => "text".into(),
        _ => Value::Null,
    }
}

fn object(schema: &Value, of: impl Fn(&Value) -> Value) -> Value {
    let fields = schema["properties"].as_mapping().into_iter().flatten();
    let mut object: Mapping = fields.map(|(name, schema)| (name.clone(), of(schema))).collect();
    if object.is_empty() && schema["additionalProperties"].is_mapping() {
        object.insert("name".into(), of(&schema["additionalProperties"]));
    }
    Value::Mapping(object)
}
