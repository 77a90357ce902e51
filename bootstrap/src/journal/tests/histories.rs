use jiff::tz::TimeZone;

use super::*;
use crate::journal::history::{self, Look, RunHistory};

fn look() -> Look {
    Look { color: false, width: None, zone: TimeZone::UTC }
}

#[test]
fn the_list_says_when_what_and_how_each_run_ended() {
    let (_directory, path, journal) = fresh();
    assert_eq!(history::render(&journal.runs(5).unwrap(), &look()), "no runs yet\n");
    whole_run(&journal);
    died(&journal, &path, "20261122T103105Z-0001", "orphan");
    let runs = journal.runs(5).unwrap();
    insta::assert_snapshot!(history::render(&runs, &look()), @r#"
    RUN                    STARTED           INVENTORY              HOSTS                                                                       TIME  END
    20261122T103105Z-5f3a  2026-11-22 10:31  /etc/fleet/hosts.toml  6: 2 online, 1 registered, 1 failed, 1 unreachable, 1 skipped, 2 changed  12.0 s  interrupted
    20261122T103105Z-0001  2026-11-22 10:31  /etc/fleet/hosts.toml  1: 1 unfinished                                                                   died
    "#);
    insta::assert_snapshot!(history::json(&runs), @r#"
    {
      "schema": 1,
      "runs": [
        {
          "run": "20261122T103105Z-5f3a",
          "inventory": "/etc/fleet/hosts.toml",
          "started": "2026-11-22T10:31:05Z",
          "seconds": 12.0,
          "dry_run": false,
          "ending": "interrupted",
          "counts": {
            "hosts": 6,
            "online": 2,
            "changed": 2,
            "planned": 0,
            "registered": 1,
            "failed": 1,
            "unreachable": 1,
            "skipped": 1,
            "unfinished": 0
          }
        },
        {
          "run": "20261122T103105Z-0001",
          "inventory": "/etc/fleet/hosts.toml",
          "started": "2026-11-22T10:31:05Z",
          "seconds": null,
          "dry_run": false,
          "ending": "died",
          "counts": {
            "hosts": 1,
            "online": 0,
            "changed": 0,
            "planned": 0,
            "registered": 0,
            "failed": 0,
            "unreachable": 0,
            "skipped": 0,
            "unfinished": 1
          }
        }
      ]
    }
    "#);
}

#[test]
fn a_run_of_no_host_has_no_counts() {
    let (_directory, _path, journal) = fresh();
    whole_run(&journal);
    let mut run = journal.runs(1).unwrap().remove(0);
    run.counts = Counts::default();
    let list = history::render(std::slice::from_ref(&run), &look());
    assert!(list.contains("hosts.toml  0  "), "{list}");
    let text = RunHistory { run, hosts: Vec::new(), report: None }.render(&look());
    assert!(text.contains("\n0 hosts\n"), "{text}");
}

#[test]
fn one_run_shows_its_hosts_and_what_was_done() {
    let (directory, _path, journal) = fresh();
    whole_run(&journal);
    let run = RunHistory::read(&journal, RUN, directory.path()).unwrap().unwrap();
    insta::assert_snapshot!(run.render(&look()), @r#"
    run 20261122T103105Z-5f3a of /etc/fleet/hosts.toml
    started 2026-11-22 10:31:05, interrupted after 12.0 s
    6 hosts: 2 online, 1 registered, 1 failed, 1 unreachable, 1 skipped, 2 changed

    HOST   ENVIRONMENT  OUTCOME      CHANGES  NODE                        TIME
    deb-1  dev          online       changed  mi-0123456789abcdef0       8.1 s
    deb-2  dev          failed                -                          3.0 s
    deb-3  dev          unreachable           -                          0.0 s
    rpm-1  prod         online                mi-0fedcba9876543210       0.9 s
    rpm-2  prod         registered   changed  mi-00000000000000abc  2 min 05 s
    rpm-3  prod         skipped               -                          0.0 s

    deb-1:
      10:31:11 install amazon-ssm-agent 3.3.3000.0
      10:31:13 register with activation
      10:31:13 start and enable the agent

    deb-2:
      failed in install: `dpkg --install amazon-ssm-agent.deb` ended with exit code 1
      hint: free space in /var and run again

    deb-3:
      unreachable: connection to 10.0.0.4:22 timed out after 10 s
      hint: is the host switched on?

    rpm-2:
      registered: SSM says ConnectionLost after 120 s
      hint: look at the agent's log on the host

    rpm-3:
      skipped: the run was interrupted before its turn
    "#);
    let value: serde_json::Value = serde_json::from_str(&run.json()).unwrap();
    assert_eq!(value["schema"], 1);
    assert_eq!(value["run"]["ending"], "interrupted");
    assert_eq!(value["run"]["hosts"][0]["actions"][1]["action"], "register with activation");
    assert_eq!(value["run"]["hosts"][0]["actions"][1]["step"], "register");
    assert_eq!(value["run"]["hosts"][5]["outcome"], "skipped");
    assert_eq!(value["run"].get("report"), None);
    let report = directory.path().join(RUN);
    fs::create_dir(&report).unwrap();
    let run = RunHistory::read(&journal, RUN, directory.path()).unwrap().unwrap();
    assert!(run.render(&look()).ends_with(&format!("\n\nreport and logs: {}\n", report.display())));
    let value: serde_json::Value = serde_json::from_str(&run.json()).unwrap();
    assert_eq!(value["run"]["report"], report.to_str().unwrap());
    assert!(RunHistory::read(&journal, "unheard-of", directory.path()).unwrap().is_none());
}

#[test]
fn hosts_of_a_run_that_died_are_in_doubt() {
    let (directory, path, journal) = fresh();
    died(&journal, &path, RUN, "orphan");
    let text = RunHistory::read(&journal, RUN, directory.path()).unwrap().unwrap().render(&look());
    assert!(text.contains("in doubt, last in install"), "{text}");
    assert!(text.contains("died: its process is gone"), "{text}");
}
