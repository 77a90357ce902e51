//! Documents: their versions and their refusals, by the names of AWS's model.

use serde_json::{Value, json};

use crate::support::Lab;

fn preferences(idle: &str) -> String {
    json!({"schemaVersion": "1.0", "description": "d", "sessionType": "Standard_Stream",
           "inputs": {"idleSessionTimeout": idle}})
    .to_string()
}

#[test]
fn a_document_has_versions_and_a_default_among_them() {
    let lab = Lab::start();
    let name = "SSM-SessionManagerRunShell";
    let write = |content: &str| json!({"Name": name, "DocumentType": "Session", "Content": content});
    lab.refused("GetDocument", &json!({"Name": name}), "InvalidDocument");
    let created = lab.done("CreateDocument", &write(&preferences("5")))["DocumentDescription"].clone();
    assert_eq!((&created["DocumentVersion"], &created["Owner"]), (&json!("1"), &json!("123456789012")));
    assert_eq!(created["HashType"], "Sha256");
    lab.refused("CreateDocument", &write(&preferences("6")), "DocumentAlreadyExists");

    let update = |content: &str| json!({"Name": name, "Content": content, "DocumentVersion": "$LATEST"});
    lab.refused("UpdateDocument", &update(&preferences("5")), "DuplicateDocumentContent");
    let updated = lab.done("UpdateDocument", &update(&preferences("6")))["DocumentDescription"].clone();
    assert_eq!((&updated["LatestVersion"], &updated["DefaultVersion"]), (&json!("2"), &json!("1")));
    assert_ne!(updated["Hash"], created["Hash"]);
    let old = json!({"Name": name, "Content": preferences("7"), "DocumentVersion": "1"});
    lab.refused("UpdateDocument", &old, "InvalidDocumentVersion");

    let content = |version: &str| {
        lab.done("GetDocument", &json!({"Name": name, "DocumentVersion": version}))["Content"].clone()
    };
    assert_eq!(content("$DEFAULT"), preferences("5"));
    assert_eq!(content("$LATEST"), preferences("6"));
    lab.done("UpdateDocumentDefaultVersion", &json!({"Name": name, "DocumentVersion": "2"}));
    assert_eq!(content("$DEFAULT"), preferences("6"));
    lab.refused("GetDocument", &json!({"Name": name, "DocumentVersion": "3"}), "InvalidDocumentVersion");
    lab.refused("DeleteDocument", &json!({"Name": name, "DocumentVersion": "2"}), "InvalidDocumentOperation");
    lab.done("DeleteDocument", &json!({"Name": name, "DocumentVersion": "1"}));
    lab.done("DeleteDocument", &json!({"Name": name}));
    lab.refused("DescribeDocument", &json!({"Name": name}), "InvalidDocument");
}

#[test]
fn documents_of_aws_are_shown_and_not_changed() {
    let lab = Lab::start();
    let shown = lab.done("DescribeDocument", &json!({"Name": "AWS-RunShellScript"}))["Document"].clone();
    assert_eq!((&shown["Owner"], &shown["SchemaVersion"]), (&json!("Amazon"), &json!("2.2")));
    let names: Vec<&Value> = shown["Parameters"].as_array().unwrap().iter().map(|one| &one["Name"]).collect();
    assert_eq!(names, ["commands", "workingDirectory", "executionTimeout"]);
    let content = lab.done("GetDocument", &json!({"Name": "AWS-StartInteractiveCommand"}))["Content"].clone();
    let content: Value = serde_json::from_str(content.as_str().unwrap()).unwrap();
    assert_eq!(content["sessionType"], "InteractiveCommands");
    let own = json!({"Name": "AWS-RunShellScript", "Content": preferences("5")});
    lab.refused("UpdateDocument", &own, "AccessDeniedException");
    lab.refused("CreateDocument", &json!({"Name": "AWS-Mine", "Content": "{}"}), "ValidationException");
}

#[test]
fn a_document_the_lab_cannot_honour_is_refused() {
    let lab = Lab::start();
    for (change, code) in [
        (json!({"Content": preferences("61")}), "InvalidDocumentContent"),
        (json!({"Content": "schemaVersion: '1.0'"}), "InvalidDocumentContent"),
        (json!({"Content": json!({"schemaVersion": "2.2"}).to_string()}), "InvalidDocumentSchemaVersion"),
        (json!({"Content": " ".repeat(65_537)}), "MaxDocumentSizeExceeded"),
        (json!({"DocumentFormat": "YAML"}), "ValidationException"),
        (json!({"DocumentType": "Automation"}), "ValidationException"),
        (json!({"Name": "a b"}), "ValidationException"),
    ] {
        let mut body = json!({"Name": "Own", "DocumentType": "Session", "Content": preferences("5")});
        body.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        lab.refused("CreateDocument", &body, code);
    }
}
