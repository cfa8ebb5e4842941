//! The OpenAPI schema of check configs: any kind's config, because an empty one is valid for several kinds.

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{Ref, RefOr, Schema, schema::AnyOfBuilder},
};

use crate::{CHECKS, Kind};

/// OpenAPI schema: the config of any kind.
#[derive(Debug)]
pub struct ConfigSchema;

fn schema_name(kind: &Kind) -> String {
    fields::schema_name(kind.name, "CheckConfig")
}

impl ToSchema for ConfigSchema {
    fn name() -> std::borrow::Cow<'static, str> {
        "CheckConfig".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.extend(CHECKS.iter().map(|kind| (schema_name(kind), fields::schema(kind.fields))));
    }
}

impl PartialSchema for ConfigSchema {
    fn schema() -> RefOr<Schema> {
        let any = CHECKS
            .iter()
            .fold(AnyOfBuilder::new(), |any, kind| any.item(Ref::from_schema_name(schema_name(kind))));
        any.into()
    }
}
