//! The form of a body or an answer, as the API description tells it.

use serde_json::Value;
use utoipa::ToSchema;

/// A named form with everything that it refers to.
#[derive(Clone, Debug)]
pub(in crate::api) struct Schema {
    pub(in crate::api) name: String,
    /// JSON schema as `OpenAPI` 3.1 has it, by name: this form and those it refers to.
    pub(in crate::api) parts: Vec<(String, Value)>,
}

impl Schema {
    pub(in crate::api) fn of<T: ToSchema>() -> Self {
        let mut found = Vec::new();
        T::schemas(&mut found);
        let name = T::name().into_owned();
        let own = (name.clone(), T::schema());
        let parts = std::iter::once(own).chain(found);
        let written = |schema| serde_json::to_value(schema).expect("a schema is made of JSON");
        Self {
            name,
            parts: parts
                .map(|(name, schema)| (name, written(schema)))
                .collect(),
        }
    }
}
