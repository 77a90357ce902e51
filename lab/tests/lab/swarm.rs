//! Simulated agents by the hundred against one endpoint, both as processes. The endpoint is asked by the lab's own small
//! client and through the admin listener, never through the swarm.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::support::{Lab, REGION, eventually, terminate};
use serde_json::{Value, json};

const AGENTS: usize = 200;
/// Heartbeats each 15 s and pings each 2.7 s: fast enough to be seen, and no storm for a busy machine.
const FAST: &str = "0.05";

/// A running `ssm-lab swarm`.
struct Swarm {
    child: Child,
    out: PathBuf,
    log: PathBuf,
}

impl Swarm {
    fn start(lab: &Lab, count: usize, more: &[&str], stdin: &str) -> Self {
        let (out, log) = (lab.dir.path().join("swarm-out"), lab.dir.path().join("swarm-log"));
        let mut child = command(lab, count, more)
            .stdin(Stdio::piped())
            .stdout(std::fs::File::create(&out).unwrap())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        Self { child, out, log }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// Ends it by SIGTERM; its exit code and its table.
    fn end(mut self) -> (Option<i32>, String) {
        let code = terminate(&mut self.child).code();
        (code, std::fs::read_to_string(&self.out).unwrap())
    }
}

/// The number in a row of the table.
fn number(table: &str, row: &str) -> u64 {
    let found = table.lines().find_map(|line| line.strip_prefix(row));
    found.and_then(|number| number.trim().parse().ok()).unwrap_or_else(|| panic!("no {row} in {table}"))
}

impl Drop for Swarm {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command(lab: &Lab, count: usize, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ssm-lab"));
    command
        .args(["swarm", "--region", REGION, "--endpoint", lab.text("tls_endpoint")])
        .args(["--count", &count.to_string(), "--state-dir"])
        .arg(lab.dir.path().join("state"))
        .args(["--time-factor", FAST, "--spread", "1s"])
        .args(more);
    command
}

/// Starts the endpoint again, at the same address and on the same state.
fn restart(lab: &mut Lab) {
    let tls = lab.text("tls_endpoint").trim_start_matches("https://").to_owned();
    assert!(terminate(&mut lab.child).success());
    let ready_file = lab.dir.path().join("ready.json");
    std::fs::remove_file(&ready_file).unwrap();
    lab.child = Command::new(env!("CARGO_BIN_EXE_ssm-lab"))
        .args(["serve", "--tls-listen", &tls, "--region", REGION, "--state-dir"])
        .arg(lab.dir.path().join("state"))
        .arg("--ready-file")
        .arg(&ready_file)
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(lab.dir.path().join("log")).unwrap())
        .spawn()
        .unwrap();
    lab.ready =
        eventually("the ready file", || serde_json::from_slice(&std::fs::read(&ready_file).ok()?).ok());
}

/// All nodes, page by page.
fn listed(lab: &Lab) -> (usize, Vec<Value>) {
    let (mut pages, mut nodes, mut token) = (0, Vec::new(), Value::Null);
    loop {
        let mut request = json!({"MaxResults": 50});
        if token.is_string() {
            request["NextToken"] = token;
        }
        let page = lab.done("DescribeInstanceInformation", &request);
        let list = page["InstanceInformationList"].as_array().unwrap();
        assert!(list.len() <= 50);
        nodes.extend(list.iter().cloned());
        pages += 1;
        token = page["NextToken"].clone();
        if !token.is_string() {
            return (pages, nodes);
        }
    }
}

fn is_online(node: &Value) -> bool {
    node["PingStatus"] == "Online" && node["PlatformName"] == "Debian GNU/Linux"
}

fn connected(lab: &Lab, nodes: &[Value]) -> usize {
    let is_connected = |node: &&Value| {
        let status = lab.done("GetConnectionStatus", &json!({"Target": node["InstanceId"]}));
        status["Status"] == "connected"
    };
    nodes.iter().filter(is_connected).count()
}

/// The most memory a process ever held, in KiB.
fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
fn two_hundred_agents_are_online_each_once_and_come_back_after_a_restart() {
    let mut lab = Lab::start();
    let swarm = Swarm::start(&lab, AGENTS, &["--create-activation", "--answer-commands"], "");
    let all_online = |lab: &Lab| {
        let (pages, nodes) = listed(lab);
        (nodes.iter().filter(|node| is_online(node)).count() == AGENTS).then_some((pages, nodes))
    };
    let all_connected = |lab: &Lab, nodes: &[Value]| (connected(lab, nodes) == AGENTS).then_some(());
    eventually("all agents are registered", || (listed(&lab).1.len() == AGENTS).then_some(()));
    let (pages, nodes) = eventually("all agents are online", || all_online(&lab));
    eventually("all agents are connected", || all_connected(&lab, &nodes));
    assert_eq!(pages, 4, "200 nodes at 50 a page");
    let ids: BTreeSet<&str> = nodes.iter().map(|node| node["InstanceId"].as_str().unwrap()).collect();
    let names: BTreeSet<&str> = nodes.iter().map(|node| node["ComputerName"].as_str().unwrap()).collect();
    assert_eq!((nodes.len(), ids.len(), names.len()), (AGENTS, AGENTS, AGENTS), "each is listed once");
    assert!(peak_kib(lab.child.id()) < 300 * 1024, "{} KiB", peak_kib(lab.child.id()));

    restart(&mut lab);
    assert_eq!(listed(&lab).1.len(), AGENTS, "the endpoint kept its nodes");
    eventually("all agents are connected again", || all_connected(&lab, &nodes));
    let beats = |lab: &Lab| lab.state()["calls"]["UpdateInstanceInformation"].as_u64().unwrap_or_default();
    let before = beats(&lab);
    eventually("they beat again", || (beats(&lab) > before).then_some(()));

    let (exit_code, table) = swarm.end();
    assert_eq!(exit_code, Some(0));
    assert_eq!((number(&table, "registered"), number(&table, "failed")), (200, 0), "{table}");
    assert!(number(&table, "reconnects") >= 200, "{table}");
    let activation = &lab.state()["activations"][0];
    assert_eq!((&activation["registrations_count"], &activation["deleted"]), (&json!(200), &json!(true)));
}

#[test]
fn agents_register_by_a_code_from_stdin_and_are_deregistered_at_the_end() {
    let lab = Lab::start();
    let activation = lab.activation(3);
    let id = activation["ActivationId"].as_str().unwrap();
    let code = activation["ActivationCode"].as_str().unwrap();
    let swarm = Swarm::start(&lab, 3, &["--activation-id", id, "--deregister"], &format!("{code}\n"));
    let nodes = eventually("all agents are online", || {
        let (_, nodes) = listed(&lab);
        (nodes.iter().filter(|node| is_online(node)).count() == 3).then_some(nodes)
    });
    assert!(nodes.iter().all(|node| node["ActivationId"] == id && node["Name"] == "rack1"));
    eventually("the progress line tells it", || swarm.log().contains("registered 3, online 3").then_some(()));
    assert!(!swarm.log().contains(code));
    assert_eq!(swarm.end().0, Some(0));
    assert_eq!(listed(&lab).1, [] as [Value; 0]);
    assert_eq!(
        lab.state()["activations"][0]["deleted"],
        false,
        "a given activation is not the swarm's to delete"
    );
}

#[test]
fn agents_that_are_refused_are_told_apart_and_counted() {
    let lab = Lab::start();
    let activation = lab.activation(2);
    let (id, code) =
        (activation["ActivationId"].as_str().unwrap(), activation["ActivationCode"].as_str().unwrap());
    let code_file = lab.dir.path().join("code");
    std::fs::write(&code_file, code).unwrap();
    let file = code_file.to_str().unwrap();
    let swarm = Swarm::start(&lab, 5, &["--activation-id", id, "--activation-code-file", file], "");
    eventually("the refusals are counted", || swarm.log().contains("failed 3").then_some(()));
    let log = swarm.log.clone();
    let (exit_code, table) = swarm.end();
    assert_eq!(exit_code, Some(1));
    assert_eq!(number(&table, "failed"), 3);
    assert!(table.contains("3 x RegisterManagedInstance: RegistrationLimitExceeded (HTTP 400)"), "{table}");
    assert!(std::fs::read_to_string(log).unwrap().contains("error: 3 of 5 agents were refused"));
}

#[test]
fn a_swarm_is_counted_by_the_endpoint_before_it_leaves() {
    let lab = Lab::start();
    let swarm = Swarm::start(&lab, 60, &["--create-activation", "--census"], "");
    eventually("all agents are connected", || {
        let (_, nodes) = listed(&lab);
        (nodes.len() == 60 && nodes.iter().all(is_online) && connected(&lab, &nodes) == 60).then_some(())
    });
    let (exit_code, table) = swarm.end();
    assert_eq!(exit_code, Some(0), "{table}");
    for (row, expected) in
        [("pages", 2), ("listed", 60), ("listed again", 0), ("Online", 60), ("connected", 60)]
    {
        assert_eq!(number(&table, &format!("census: {row} ")), expected, "{row}: {table}");
    }
}

#[test]
fn a_swarm_says_what_is_missing_before_it_starts() {
    let lab = Lab::start();
    for (arguments, wanted) in [
        (vec!["--create-activation", "--profile", "nobody"], "no keys for the profile `nobody`"),
        (vec!["--create-activation", "--endpoint", "http://127.0.0.1:1"], "is no https URL"),
        (
            vec!["--create-activation", "--ca", "/nonexistent"],
            "cannot read the certificate authority /nonexistent",
        ),
        (vec![], "--create-activation"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ssm-lab"));
        command.args(["swarm", "--state-dir"]).arg(lab.dir.path().join("state"));
        if !arguments.contains(&"--endpoint") {
            command.args(["--endpoint", lab.text("tls_endpoint")]);
        }
        let output = command.args(&arguments).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && error.contains(wanted), "{arguments:?}: {error}");
    }
}
