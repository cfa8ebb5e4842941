//! The OpenAPI schema of a kind's config.

use serde_json::json;
use utoipa::openapi::{
    ArrayBuilder, ObjectBuilder, RefOr, Schema, Type,
    schema::{AdditionalProperties, SchemaType},
};

use crate::{Field, Input};

/// `SlackConfig`
pub fn schema_name(kind: &str, suffix: &str) -> String {
    let words = kind.split('_').map(|word| {
        let (first, rest) = word.split_at(1);
        first.to_uppercase() + rest
    });
    words.collect::<String>() + suffix
}

pub fn schema(fields: &[Field]) -> RefOr<Schema> {
    let mut object = ObjectBuilder::new().additional_properties(Some(AdditionalProperties::FreeForm(false)));
    for field in fields {
        object = object.property(field.name, property(field));
        if field.is_required {
            object = object.required(field.name);
        }
    }
    object.into()
}

fn property(field: &Field) -> RefOr<Schema> {
    let (label, help) = (field.label.0, field.help.0);
    let about = if help.is_empty() { format!("{label}.") } else { format!("{label}. {help}") };
    let of_type = |schema_type: Type| {
        let object = ObjectBuilder::new().description(Some(&about)).default(field.default.value());
        let object =
            object.schema_type(if field.is_required { schema_type.into() } else { nullable(schema_type) });
        if field.example.is_empty() { object } else { object.examples([json!(field.example)]) }
    };
    match field.input {
        Input::Emails { max } => {
            let text = ObjectBuilder::new().schema_type(Type::String);
            let list = ArrayBuilder::new().items(text).min_items(Some(1)).max_items(Some(max));
            list.description(Some(about)).examples([json!([field.example])]).into()
        }
        Input::Url | Input::Line { .. } => of_type(Type::String).into(),
        Input::Text { max } => of_type(Type::String).max_length(Some(max)).into(),
        Input::Choice { of } => {
            let choices = of.iter().map(|choice| json!(choice));
            let or_null = (!field.is_required).then_some(json!(null));
            of_type(Type::String).enum_values(Some(choices.chain(or_null))).into()
        }
        Input::Flag => of_type(Type::Boolean).into(),
        Input::Number { min, max } => of_type(Type::Integer).minimum(Some(min)).maximum(Some(max)).into(),
        Input::Headers { .. } => {
            let text = ObjectBuilder::new().schema_type(Type::String).build();
            let mut object = of_type(Type::Object);
            object = object.examples([json!({field.example.split(": ").next().unwrap_or_default():
                field.example.split(": ").nth(1).unwrap_or_default()})]);
            object.additional_properties(Some(AdditionalProperties::RefOr(text.into()))).into()
        }
    }
}

fn nullable(schema_type: Type) -> SchemaType {
    SchemaType::Array(vec![schema_type, Type::Null])
}
