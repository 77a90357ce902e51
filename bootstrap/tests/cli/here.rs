//! The machine that the command runs on, as a host.

use super::*;

/// An inventory whose only host is the machine that the tests run on.
fn this_machine(home: &Home) {
    home.write(
        "hosts.toml",
        "[environments.dev]\nregion = \"eu-central-1\"\nrole = \"LabRole\"\nendpoint = \"http://127.0.0.1:9\"\n\
         package = { source = \"packages/\" }\n\
         [[hosts]]\nname = \"here\"\nconnection = \"local\"\n",
    );
    fs::create_dir(home.path().join("packages")).unwrap();
}

#[test]
fn the_facts_of_this_machine_are_those_that_uname_and_getconf_tell() {
    let output = Home::new().run(&["facts", "--output", "json"]);
    let facts: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(facts["schema"], 1);
    let said = |program: &str, argument: &str| {
        let output = Command::new(program).arg(argument).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    assert_eq!(facts["architecture"]["kernel"], said("uname", "-m"));
    assert_eq!(facts["architecture"]["bits"].to_string(), said("getconf", "LONG_BIT"));
    // Whatever this machine is, the exit code says the same as the facts, and a refusal has its reason.
    let supported = facts["supported"].as_bool().unwrap();
    assert_eq!(output.status.code(), Some(i32::from(!supported)));
    assert_eq!(facts["why"].is_string(), !supported);
    assert_eq!(facts["hint"].is_string(), !supported);
}

#[test]
fn the_facts_as_text_end_with_what_the_exit_code_says() {
    let output = Home::new().run(&["facts"]);
    let text = stdout(&output);
    assert!(text.contains("architecture  "), "{text}");
    let good = text.contains("This machine can be a managed node.");
    assert_eq!(output.status.code(), Some(i32::from(!good)), "{text}");
}

#[test]
fn a_dry_run_on_this_machine_itself_needs_no_ssh() {
    let home = Home::new();
    this_machine(&home);
    let output = home.run(&["--inventory", "hosts.toml", "--dry-run", "--output", "json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let host = &report["hosts"][0];
    // This machine is looked at and refused, or else it lacks the package: the directory is empty.
    assert_eq!((&host["host"], &host["outcome"]), (&"here".into(), &"failed".into()), "{report:#}");
    assert_eq!(host["execs"], 1, "{report:#}");
    let step = host["step"].as_str().unwrap();
    let facts = home.run(&["facts", "--output", "json"]);
    let facts: Value = serde_json::from_slice(&facts.stdout).unwrap();
    if facts["supported"] == true {
        assert_eq!(step, "fetch", "{report:#}");
    } else {
        assert_eq!((step, &host["why"]), ("plan", &facts["why"]), "{report:#}");
    }
}
