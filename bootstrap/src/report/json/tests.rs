use super::*;
use crate::report::table::sample;

#[test]
fn every_host_has_every_field_in_the_documented_form() {
    let mut report = sample::mixed();
    report.hosts.truncate(2);
    report.hosts[0].timeline.truncate(2);
    insta::assert_snapshot!(render(&report), @r#"
    {
      "schema": 1,
      "run": "20261122T103105Z-5f3a",
      "merged": [],
      "inventory": {
        "path": "/etc/fleet/hosts.toml",
        "digest": "sha256:0000000000000000000000000000000000000000000000000000000000000000",
        "hosts": 6
      },
      "started": "2026-11-22T10:31:05Z",
      "seconds": 12.345,
      "dry_run": false,
      "interrupted": false,
      "counts": {
        "hosts": 2,
        "online": 1,
        "changed": 1,
        "planned": 0,
        "registered": 0,
        "failed": 1,
        "unreachable": 0,
        "skipped": 0
      },
      "hosts": [
        {
          "host": "deb-1",
          "environment": "dev",
          "outcome": "online",
          "changed": true,
          "node": "mi-0123456789abcdef0",
          "actions": [
            "install amazon-ssm-agent 3.3.3000.0",
            "register with activation",
            "start and enable the agent"
          ],
          "step": null,
          "why": null,
          "lines": [],
          "hint": null,
          "execs": 4,
          "seconds": 8.14,
          "position": 1,
          "timeline": [
            {
              "step": "connect",
              "began": 0.01,
              "ended": 0.31
            },
            {
              "step": "observe",
              "began": 0.31,
              "ended": 0.9
            }
          ]
        },
        {
          "host": "deb-2",
          "environment": "dev",
          "outcome": "failed",
          "changed": false,
          "node": null,
          "actions": [],
          "step": "install",
          "why": "`dpkg --install amazon-ssm-agent.deb` ended with exit code 1",
          "lines": [
            "dpkg: error: failed to write",
            "No space left on device"
          ],
          "hint": "free space in /var and run again",
          "execs": 2,
          "seconds": 3.0,
          "position": 2,
          "timeline": []
        }
      ],
      "activations_left": [
        "6a2f1c1e-8b8e-4a51-9d3c-0123456789ab"
      ]
    }
    "#);
}

#[test]
fn every_host_of_the_inventory_is_there_and_the_counts_are_theirs() {
    let value: serde_json::Value = serde_json::from_str(&render(&sample::mixed())).unwrap();
    let hosts = value["hosts"].as_array().unwrap();
    let names: Vec<_> = hosts.iter().map(|host| host["host"].as_str().unwrap()).collect();
    assert_eq!(names, ["deb-1", "deb-2", "deb-3", "rpm-1", "rpm-2", "rpm-3"]);
    let counts = [("hosts", 6), ("online", 2), ("changed", 2), ("planned", 0), ("registered", 1)];
    for (name, count) in counts.into_iter().chain([("failed", 1), ("unreachable", 1), ("skipped", 1)]) {
        assert_eq!(value["counts"][name], count, "{name}");
    }
}

#[test]
fn the_fields_are_exactly_those_that_the_documentation_names() {
    let page = include_str!("../../../../docs/report.md");
    let value: serde_json::Value = serde_json::from_str(&render(&sample::mixed())).unwrap();
    let keys = |value: &serde_json::Value| {
        let mut keys: Vec<_> = value.as_object().unwrap().keys().cloned().collect();
        keys.sort();
        keys
    };
    let documented = |heading: &str| -> Vec<String> {
        let section = page.split(heading).nth(1).unwrap().split("\n## ").next().unwrap();
        let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
        let mut names: Vec<_> = rows.map(|row| row.split('`').next().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(keys(&value), documented("## The run\n"));
    assert_eq!(keys(&value["counts"]), documented("## `counts`\n"));
    assert_eq!(keys(&value["hosts"][0]), documented("## `hosts`\n"));
    assert_eq!(keys(&value["inventory"]), documented("## `inventory`\n"));
    assert_eq!(keys(&value["hosts"][0]["timeline"][0]), documented("## `timeline`\n"));
}

/// The report with its first host's `from` written as `to`, read back.
fn read_changed(from: &str, to: &str) -> Result<FleetReport, ReadError> {
    let text = render(&sample::mixed());
    assert!(text.contains(from), "{from} in {text}");
    parse(text.replacen(from, to, 1).as_bytes(), "a.json".into())
}

fn told(error: &ReadError) -> String {
    crate::failure::with_sources(error)
}

#[test]
fn what_is_read_back_is_what_was_written() {
    for report in [sample::mixed(), sample::good(), sample::dry()] {
        let text = render(&report);
        let read = parse(text.as_bytes(), PathBuf::new()).unwrap();
        assert_eq!(render(&read), text);
        assert_eq!(format!("{read:?}"), format!("{report:?}"));
    }
}

#[test]
fn a_report_of_another_schema_is_refused_before_anything_else_in_it() {
    let error = parse(br#"{"schema": 2, "hosts": 7}"#, "a.json".into()).unwrap_err();
    assert_eq!(told(&error), "report a.json has schema 2, this program reads schema 1");
    assert!(error.hint().contains("newer"), "{}", error.hint());
}

#[test]
fn what_does_not_fit_is_told_with_its_line_and_column() {
    for (from, to, expected) in [
        (
            "\"outcome\": \"online\"",
            "\"outcome\": \"gone\"",
            "unknown variant `gone`, expected one of `online`",
        ),
        ("\"seconds\": 8.14", "\"seconds\": -8.14", "-8.14 seconds are no duration"),
        ("\"host\": \"deb-1\"", "\"host\": \"../deb-1\"", "can't be the name of a host"),
        (
            "\"why\": \"connection to",
            "\"reason\": \"connection to",
            "host deb-3 is unreachable without `why`",
        ),
        ("\"execs\": 4,", "", "missing field `execs`"),
    ] {
        let told = told(&read_changed(from, to).unwrap_err());
        assert!(told.starts_with("a.json is no report of a run: ") && told.contains(expected), "{told}");
        assert!(told.contains(" at line "), "{told}");
    }
    let cut = parse(b"{\n  \"schema\": 1,\n", "a.json".into()).unwrap_err();
    assert!(told(&cut).contains("line 3"), "{}", told(&cut));
}

#[test]
fn fields_of_a_later_program_are_passed_over() {
    let read = read_changed("\"dry_run\": false", "\"dry_run\": false, \"weather\": \"fine\"").unwrap();
    assert_eq!(read.hosts.len(), 6);
}

#[test]
fn the_schema_describes_every_field_that_is_written() {
    let schema = schema();
    let value: Value = serde_json::from_str(&render(&sample::mixed())).unwrap();
    let of_hosts = &schema["$defs"]["Host"]["properties"];
    for (written, described) in [(&value, &schema["properties"]), (&value["hosts"][0], of_hosts)] {
        for key in written.as_object().unwrap().keys() {
            assert!(described[key]["description"].is_string() || described[key]["$ref"].is_string(), "{key}");
        }
    }
    assert_eq!(schema["required"].as_array().unwrap().len(), value.as_object().unwrap().len());
}

#[test]
fn the_schema_in_the_docs_is_the_one_printed() {
    let path = std::path::PathBuf::from(std::env::var_os("CARGO_MANIFEST_DIR").unwrap());
    let path = path.join("../docs/report.schema.json");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, pretty(&schema())).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(written, pretty(&schema()), "run this test with UPDATE=1 and commit {}", path.display());
}
