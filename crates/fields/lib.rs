//! The fields of a kind's config: one definition for validation, masking, OpenAPI, forms and flags.

mod field;
pub mod foreign;
pub mod mailbox;
mod read;
mod schema;

pub use field::{Field, FieldType, Input, Preset, header, host_of, mask_url, refusal_of_url};
pub use foreign::{Foreign, Import, Tool};
pub use read::{Stored, generate, hidden, masked, read, secrets, secrets_mut, with_defaults};
pub use schema::{schema, schema_name};

/// What is wrong, by field name.
pub type Refusals = Vec<(String, contract::Text)>;

/// Replaces what is not shown.
pub const MASK: &str = "…";

/// Defines a kind's `Config` and its `FIELDS`: each field with its type, how it is shown, and its rule.
#[macro_export]
macro_rules! config {
    ($($(#[$attribute:meta])* $name:ident: $type:ty = $field:expr;)*) => {
        #[derive(Clone, serde::Deserialize)]
        #[serde(default)]
        pub struct Config {
            $($(#[$attribute])* pub $name: $type,)*
        }

        impl Default for Config {
            fn default() -> Self {
                Self { $($name: <$type as $crate::FieldType>::preset($field.default)),* }
            }
        }

        const FIELDS: &[$crate::Field] =
            &[$($field.named(stringify!($name), <$type as $crate::FieldType>::IS_REQUIRED)),*];
    };
}
