//! The pages of the user's guide agree with the code.

use std::{env, fs, path::PathBuf};

use super::{Room, find};
use crate::inventory::{EnvironmentName, schema};

fn document(name: &str) -> PathBuf {
    PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap()).join("../docs").join(name)
}

#[test]
fn the_schema_in_the_docs_is_the_one_generated() {
    let path = document("inventory.schema.json");
    let generated = format!("{:#}\n", schema());
    if env::var_os("UPDATE").is_some() {
        fs::write(&path, &generated).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, generated, "run this test with UPDATE=1 and commit {}", path.display());
}

#[test]
fn the_examples_in_the_docs_are_good_inventories() {
    let page = fs::read_to_string(document("inventory.md")).unwrap();
    let examples: Vec<_> =
        page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    let room = Room::new();
    let inventories: Vec<_> = examples.iter().map(|example| room.read(example)).collect();
    assert_eq!(inventories.iter().map(|inventory| inventory.hosts.len()).collect::<Vec<_>>(), [1, 22]);
    let gateway = find(&inventories[1], "gateway");
    assert_eq!(gateway.environment.name, EnvironmentName("prod".into()));
    assert_eq!((gateway.user.as_deref(), gateway.port), (Some("admin"), Some(2222)));
}

#[test]
fn the_schema_requires_and_refuses_what_the_reader_does() {
    let schema = schema();
    assert_eq!(schema["$defs"]["Host"]["required"], serde_json::json!(["name"]));
    assert_eq!(schema["$defs"]["Environment"]["required"], serde_json::json!(["region", "role"]));
    for table in ["Defaults", "Group", "Host", "Environment", "Package", "Activation", "Limits"] {
        assert_eq!(schema["$defs"][table]["additionalProperties"], false, "{table}");
    }
    assert!(!schema.to_string().contains("null"), "TOML has no null");
}
