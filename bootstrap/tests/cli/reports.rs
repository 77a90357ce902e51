//! What a run leaves behind, and the commands that read it.

use super::*;

#[test]
fn a_run_leaves_its_report_the_logs_and_an_inventory_of_what_failed() {
    let home = Home::new();
    nobody_home(&home);
    let output = home.run(&["--inventory", "hosts.toml", "--report", "out", "--quiet"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let out = home.path().join("out");
    let read = |name: &str| fs::read_to_string(out.join(name)).unwrap();
    let report: Value = serde_json::from_str(&read("report.json")).unwrap();
    assert_eq!(report["hosts"][0]["timeline"][0]["step"], "connect", "{report:#}");
    assert!(read("report.xml").contains("<testcase name=\"gone-1\" classname=\"dev\""));
    assert!(read("report.html").contains("href=\"./logs/gone-1.log\""));
    assert!(read("logs/gone-1.log").contains(" why      "), "{}", read("logs/gone-1.log"));
    let said = stderr(&output);
    assert!(said.contains("out/report.html") && said.contains("bootstrap --inventory /"), "{said}");

    let failed = home.run(&["inventory", "show", "--inventory", "out/failed.toml", "--output", "json"]);
    let failed: Value = serde_json::from_slice(&failed.stdout).unwrap();
    let all = home.run(&["inventory", "show", "--inventory", "hosts.toml", "--output", "json"]);
    let all: Value = serde_json::from_slice(&all.stdout).unwrap();
    assert_eq!(failed["hosts"][0]["port"], all["hosts"][0]["port"], "{failed:#}");
    let again = home.run(&["--inventory", "out/failed.toml", "--output", "json"]);
    let again: Value = serde_json::from_slice(&again.stdout).unwrap();
    assert_eq!(again["hosts"][0]["outcome"], "unreachable", "{again:#}");
}

#[test]
fn without_being_asked_a_run_leaves_its_report_among_its_state() {
    let home = Home::new();
    nobody_home(&home);
    let output = home.run(&["--inventory", "hosts.toml", "--output", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let reports = home.path().join(".local/state/bootstrap/reports");
    let page = reports.join(report["run"].as_str().unwrap()).join("report.html");
    assert!(
        page.is_file() && stderr(&output).contains(&format!("report: {}\n", page.display())),
        "{output:?}"
    );
}

#[test]
fn a_report_that_cannot_be_where_it_was_asked_for_stops_the_run_at_its_start() {
    let home = Home::new();
    nobody_home(&home);
    let output = home.run(&["--inventory", "hosts.toml", "--report", "key/below"]);
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(stderr(&output).contains("--report") && stdout(&output).is_empty(), "{output:?}");
}

#[test]
fn hosts_that_no_part_has_are_named() {
    let home = Home::new();
    nobody_home(&home);
    let one = fs::read_to_string(home.path().join("hosts.toml")).unwrap();
    let more = [2, 3, 4].map(|number| {
        format!("[[hosts]]\nname = \"gone-{number}\"\naddress = \"127.0.0.{number}\"\nport = 9\n")
    });
    home.write("hosts.toml", &(one + &more.concat()));
    home.run(&["--inventory", "hosts.toml", "--report", "out", "--limit", "gone-1"]);
    let merged = home.run(&["report", "merge", "out/report.json"]);
    assert_eq!(merged.status.code(), Some(1), "{merged:?}");
    let said = "3 of the inventory's 4 hosts are in none of these reports: gone-[2:4]\n";
    assert!(stderr(&merged).contains(said), "{merged:?}");
}

#[test]
fn reports_are_merged_shown_and_described() {
    let home = Home::new();
    nobody_home(&home);
    home.run(&["--inventory", "hosts.toml", "--report", "out"]);
    let merged = home.run(&["report", "merge", "out/report.json", "--report", "all", "--output", "json"]);
    assert_eq!(merged.status.code(), Some(1), "as the run: {merged:?}");
    let report: Value = serde_json::from_slice(&merged.stdout).unwrap();
    assert_eq!(report["merged"], serde_json::json!([report["run"]]));
    for name in ["report.html", "report.xml", "report.json", "failed.toml", "logs/gone-1.log"] {
        assert!(home.path().join("all").join(name).is_file(), "{name}");
    }
    assert!(!stderr(&merged).contains("is not written"), "{merged:?}");
    let inventory = fs::read_to_string(home.path().join("hosts.toml")).unwrap();
    home.write("hosts.toml", &format!("{inventory}# edited\n"));
    let elsewhere = home.run(&["report", "merge", "out/report.json", "--report", "elsewhere"]);
    assert!(!home.path().join("elsewhere/failed.toml").exists());
    let said = "warning: failed.toml is not written: the inventory ";
    assert!(
        stderr(&elsewhere).contains(said) && stderr(&elsewhere).contains("another one by now"),
        "{elsewhere:?}"
    );
    home.write("hosts.toml", &inventory);
    let onto_itself = home.run(&["report", "merge", "out/report.json", "--report", "./out"]);
    assert_eq!(onto_itself.status.code(), Some(2), "{onto_itself:?}");
    assert!(stderr(&onto_itself).contains("would take the place of one of its parts, out/report.json"));
    let again = home.run(&["report", "merge", "all/report.json", "out/report.json", "--output", "json"]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert!(stderr(&again).contains("all/report.json is left out: it is the result of an earlier merge"));
    assert_eq!(serde_json::from_slice::<Value>(&again.stdout).unwrap(), report);
    let twice = home.run(&["report", "merge", "out/report.json", "out/report.json"]);
    assert_eq!(twice.status.code(), Some(4), "{twice:?}");
    assert!(stderr(&twice).contains("host gone-1 is in out/report.json and in out/report.json"), "{twice:?}");

    let shown = home.run(&["report", "show", "out/report.json", "--output", "html"]);
    assert!(shown.status.success() && stdout(&shown).starts_with("<!DOCTYPE html>"), "{shown:?}");
    let none = home.run(&["report", "show", "hosts.toml"]);
    assert_eq!(none.status.code(), Some(4), "{none:?}");
    assert!(stderr(&none).contains("line 2 column"), "{none:?}");
    let schema: Value = serde_json::from_slice(&home.run(&["report", "schema"]).stdout).unwrap();
    assert_eq!(schema["properties"]["schema"]["maximum"], 1, "{schema:#}");
}

#[test]
fn a_report_never_takes_the_place_of_its_inventory() {
    let home = Home::new();
    nobody_home(&home);
    let text = fs::read_to_string(home.path().join("hosts.toml")).unwrap();
    home.write("failed.toml", &text);
    for more in [&[][..], &["--dry-run"]] {
        let output = home.run(&[&["--inventory", "failed.toml", "--report", "."], more].concat());
        assert_eq!(output.status.code(), Some(4), "{output:?}");
        assert!(stderr(&output).contains("would take the place of the inventory"), "{output:?}");
        assert_eq!(fs::read_to_string(home.path().join("failed.toml")).unwrap(), text);
        assert!(!home.path().join("report.json").exists());
    }
}
