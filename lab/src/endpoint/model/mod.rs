//! AWS's API models: which operations there are, and the shapes of what they take and answer. They are data (`lab/models`),
//! so that no limit is written by hand.

mod check;
mod shown;

use std::collections::HashMap;
use std::sync::LazyLock;

use fancy_regex::Regex;
use serde::Deserialize;

pub use check::Violations;
pub use shown::{Hidden, SHOWN_TEXT};

/// The models of all services spoken here.
#[allow(
    clippy::expect_used,
    reason = "embedded, and read by a test; without its model nothing would be checked"
)]
static MODELS: LazyLock<Vec<Model>> = LazyLock::new(|| {
    [
        include_str!("../../../models/ssm.json"),
        include_str!("../../../models/agent.json"),
        include_str!("../../../models/cloudtrail.json"),
    ]
    .into_iter()
    .map(|text| serde_json::from_str(text).expect("an embedded model is not readable"))
    .collect()
});

/// The operations and shapes of one service.
#[derive(Debug, Deserialize)]
struct Model {
    operations: HashMap<String, OperationModel>,
    shapes: HashMap<String, Shape>,
    /// Operations that the service has and the lab has not.
    #[serde(default)]
    others: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct OperationModel {
    input: Option<String>,
    output: Option<String>,
}

/// One shape: a structure, list or map of other shapes, or a scalar with its limits.
#[derive(Debug, Deserialize)]
struct Shape {
    #[serde(rename = "type")]
    kind: Kind,
    #[serde(default)]
    required: Vec<String>,
    #[serde(default)]
    members: HashMap<String, String>,
    member: Option<String>,
    key: Option<String>,
    value: Option<String>,
    #[serde(default, rename = "enum")]
    allowed: Vec<String>,
    min: Option<i64>,
    max: Option<i64>,
    #[serde(default, deserialize_with = "pattern")]
    pattern: Option<Pattern>,
    #[serde(default)]
    sensitive: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Kind {
    Boolean,
    Integer,
    List,
    Long,
    Map,
    String,
    Structure,
    Timestamp,
}

/// A pattern as the model writes it, and anchored at both ends, as Java matches it.
#[derive(Debug)]
struct Pattern {
    text: String,
    whole: Regex,
}

fn pattern<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Pattern>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let whole = Regex::new(&format!("^(?:{text})$")).map_err(serde::de::Error::custom)?;
    Ok(Some(Pattern { text, whole }))
}

/// One operation and where its shapes are to be found.
#[derive(Debug, Clone, Copy)]
pub struct Modelled {
    model: &'static Model,
    operation: &'static OperationModel,
}

/// Finds an operation's model by AWS's name; `None` for operations no model has.
#[must_use]
pub fn find(operation: &str) -> Option<Modelled> {
    MODELS
        .iter()
        .find_map(|model| model.operations.get(operation).map(|operation| Modelled { model, operation }))
}

/// Whether AWS has an operation of this name that the lab does not serve.
#[must_use]
pub fn is_known_elsewhere(operation: &str) -> bool {
    MODELS.iter().any(|model| model.others.iter().any(|other| other == operation))
}

#[cfg(test)]
mod tests {
    use super::{MODELS, Model, is_known_elsewhere};

    #[test]
    fn every_model_is_read_and_whole() {
        for text in [
            include_str!("../../../models/ssm.json"),
            include_str!("../../../models/agent.json"),
            include_str!("../../../models/cloudtrail.json"),
        ] {
            let model: Model = serde_json::from_str(text).unwrap();
            let referred = model.shapes.values().flat_map(|shape| {
                shape.members.values().chain(&shape.member).chain(&shape.key).chain(&shape.value)
            });
            let used = model
                .operations
                .values()
                .flat_map(|operation| operation.input.iter().chain(&operation.output));
            for name in referred.chain(used) {
                assert!(model.shapes.contains_key(name), "{name}");
            }
        }
        assert_eq!(MODELS.len(), 3);
    }

    #[test]
    fn operations_that_are_not_served_are_known_all_the_same() {
        assert!(is_known_elsewhere("CreateMaintenanceWindow"));
        assert!(!is_known_elsewhere("CreateActivation") && !is_known_elsewhere("MakeCoffee"));
    }
}
