//! Every fault at a real endpoint: ordered with `ssm-lab fault`, seen in its status, felt, cleared, and gone.

use std::process::{Command, Output};
use std::sync::Arc;
use std::thread;

use lab::node_key::NodeKey;
use serde_json::{Value, json};
use ureq::tls::{PemItem, RootCerts, TlsConfig, TlsProvider, parse_pem};

use crate::endpoint::{register, role};
use crate::support::{Client, Host, Lab, eventually, stdout, terminate};

impl Lab {
    /// `ssm-lab` with these arguments, pointed at this lab's state directory.
    fn tool(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_ssm-lab"))
            .args(arguments)
            .arg("--state-dir")
            .arg(self.dir.path().join("state"))
            .output()
            .unwrap()
    }

    /// `ssm-lab fault` with these arguments, wanting success.
    fn fault(&self, arguments: &[&str]) -> String {
        let output = self.tool(&[&["fault"], arguments].concat());
        assert!(output.status.success(), "{output:?}");
        stdout(&output)
    }

    fn faults(&self) -> Value {
        self.admin("GET", "/faults", None).1
    }

    /// The only fault struck this often and is shown; then it is cleared by its id.
    fn clear_the_fault(&self, strikes: u64) {
        let faults = self.faults();
        assert_eq!(
            (faults.as_array().unwrap().len(), &faults[0]["strikes"]),
            (1, &json!(strikes)),
            "{faults}"
        );
        let id = faults[0]["id"].as_str().unwrap();
        assert!(self.fault(&["list"]).contains(id) && stdout(&self.tool(&["status"])).contains(id));
        self.fault(&["clear", id]);
        assert_eq!(self.faults(), json!([]));
    }

    /// The error of a harmless call, if it ends in one.
    fn probe(&self) -> Option<String> {
        let (_, answer) = self.call("DescribeActivations", &json!({}));
        answer["__type"].as_str().map(str::to_owned)
    }

    /// A registered node and a client with its role.
    fn node(&self) -> (String, NodeKey, Client) {
        let key = NodeKey::generate().unwrap();
        let public = key.public_base64().unwrap();
        let (_, answer) = register(self, &self.activation(1), &json!({"PublicKey": public}));
        let id = answer["InstanceId"].as_str().unwrap().to_owned();
        let token = role(self, &id, &key, "a-fingerprint");
        let client = Client {
            key: token["AccessKeyId"].as_str().unwrap().into(),
            secret: token["SecretAccessKey"].as_str().unwrap().into(),
            token: Some(token["SessionToken"].as_str().unwrap().into()),
            ..self.user()
        };
        (id, key, client)
    }
}

#[test]
fn half_of_all_calls_are_throttled_and_the_same_ones_for_the_same_seed() {
    let lab = Lab::start();
    let run = || {
        lab.fault(&["throttle", "--share", "0.5", "--seed", "7", "--id", "half"]);
        let errors: Vec<_> = (0..40).map(|_| lab.probe()).collect();
        let shown = lab.faults();
        assert_eq!((&shown[0]["id"], &shown[0]["seed"]), (&json!("half"), &json!(7)));
        lab.clear_the_fault(errors.iter().flatten().count().try_into().unwrap());
        errors
    };
    let errors = run();
    assert!(errors.iter().flatten().all(|code| code == "ThrottlingException"));
    assert!(errors.contains(&None) && errors.iter().flatten().count() > 0);
    assert_eq!(run(), errors);
    assert_eq!(lab.probe(), None);
}

#[test]
fn an_error_strikes_its_operation_as_often_as_ordered_and_is_then_shown_as_spent() {
    let lab = Lab::start();
    let order = ["error", "--operation", "DescribeActivations", "--code", "InternalServerError"];
    lab.fault(&[&order[..], &["--status", "500", "--times", "2"]].concat());
    assert_eq!(lab.call("DescribeInstanceInformation", &json!({})).0, 200);
    let statuses: Vec<u16> = (0..3).map(|_| lab.call("DescribeActivations", &json!({})).0).collect();
    assert_eq!(statuses, [500, 500, 200]);
    assert_eq!(lab.faults(), json!([]));
    assert_eq!(lab.state()["spent_faults"][0]["strikes"], 2);
    assert!(lab.fault(&["list"]).contains("spent"));
}

#[test]
fn a_delayed_call_is_answered_all_the_same() {
    let lab = Lab::start();
    lab.fault(&["delay", "--for", "20ms", "--jitter", "10ms", "--service", "ssm"]);
    assert_eq!(lab.probe(), None);
    lab.clear_the_fault(1);
}

#[test]
fn a_connection_is_dropped_before_a_call_or_after_it_was_carried_out() {
    let lab = Lab::start();
    let create = || lab.user().try_call("CreateActivation", &json!({"IamRole": "Role"}));
    for (when, created) in [("before", 0), ("after", 1)] {
        lab.fault(&["drop", "--when", when]);
        assert!(create().is_err(), "{when}");
        lab.clear_the_fault(1);
        assert_eq!(lab.state()["activations"].as_array().unwrap().len(), created, "{when}");
    }
    assert!(create().is_ok());
}

#[test]
fn a_fault_of_one_node_leaves_the_others_alone() {
    let lab = Lab::start();
    let ((one, key, client), (other, other_key, _)) = (lab.node(), lab.node());
    lab.fault(&["error", "--code", "InternalServerError", "--node", &one]);
    assert_eq!(role(&lab, &one, &key, "a-fingerprint")["__type"], "InternalServerError");
    assert_eq!(client.call("UpdateInstanceInformation", &json!({"InstanceId": one})).0, 500);
    assert!(role(&lab, &other, &other_key, "a-fingerprint")["SessionToken"].is_string());
    assert_eq!(lab.probe(), None);
    lab.clear_the_fault(2);
    assert_eq!(client.call("UpdateInstanceInformation", &json!({"InstanceId": one})).0, 200);
}

#[test]
fn activations_look_expired_or_full_until_that_is_cleared() {
    let lab = Lab::start();
    let (one, other) = (lab.activation(5), lab.activation(5));
    let try_with = |activation: &Value| register(&lab, activation, &json!({})).1["__type"].clone();
    let id = one["ActivationId"].as_str().unwrap();
    for (order, error) in
        [("expire-activations", "ActivationExpired"), ("fill-activations", "RegistrationLimitExceeded")]
    {
        lab.fault(&[order, "--activation", id]);
        assert_eq!(try_with(&one), error);
        assert_eq!(try_with(&other), Value::Null);
        lab.clear_the_fault(1);
        lab.fault(&[order]);
        assert_eq!(try_with(&other), error);
        lab.clear_the_fault(1);
    }
    assert_eq!(try_with(&one), Value::Null);
    let activations = lab.done("DescribeActivations", &json!({}));
    let counts: Vec<&Value> = activations["ActivationList"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| &one["RegistrationsCount"])
        .collect();
    assert_eq!(counts.iter().filter_map(|count| count.as_u64()).sum::<u64>(), 3);
}

#[test]
fn fingerprints_are_rejected_for_one_node_or_for_all() {
    let lab = Lab::start();
    let ((one, key, _), (other, other_key, _)) = (lab.node(), lab.node());
    let error = |id: &str, key| role(&lab, id, key, "a-fingerprint")["__type"].clone();
    lab.fault(&["reject-fingerprints", "--node", &one]);
    assert_eq!(error(&one, &key), "MachineFingerprintDoesNotMatch");
    assert_eq!(error(&other, &other_key), Value::Null);
    lab.clear_the_fault(1);
    lab.fault(&["reject-fingerprints"]);
    assert_eq!(error(&other, &other_key), "MachineFingerprintDoesNotMatch");
    lab.clear_the_fault(1);
    assert_eq!(error(&one, &key), Value::Null);
}

#[test]
fn a_clock_that_is_behind_or_ahead_refuses_signatures_until_it_is_right() {
    let lab = Lab::start();
    for (offset, told) in [("-10m", "10m behind"), ("10m", "10m ahead")] {
        assert!(lab.fault(&["clock", "--offset", offset]).contains(told));
        assert_eq!(lab.probe().as_deref(), Some("InvalidSignatureException"), "{offset}");
    }
    assert_eq!(lab.admin("GET", "/clock", None).1["offset_seconds"], 600, "the last one holds");
    lab.clear_the_fault(1);
    assert_eq!(lab.probe(), None);
    lab.admin("POST", "/clock", Some(&json!({"advance_seconds": 60})));
    let (status, clock) = lab.admin("POST", "/clock", Some(&json!({"advance_seconds": -90})));
    assert_eq!((status, &clock["offset_seconds"]), (200, &json!(-30)));
    assert_eq!(lab.admin("DELETE", "/clock", None).1["offset_seconds"], 0);
    assert_eq!(lab.admin("POST", "/clock", Some(&json!({"offset_seconds": i64::MAX}))).0, 400);
}

#[test]
fn heartbeats_hang_until_that_is_cleared_or_are_refused() {
    let lab = Lab::start();
    let (id, _, client) = lab.node();
    let beat = json!({"InstanceId": id});
    lab.fault(&["silence-heartbeats"]);
    let hanging = {
        let (client, beat) = (client.clone(), beat.clone());
        thread::spawn(move || client.try_call("UpdateInstanceInformation", &beat))
    };
    eventually("the heartbeat to hang", || (lab.faults()[0]["strikes"] == 1).then_some(()));
    assert_eq!(lab.probe(), None);
    lab.clear_the_fault(1);
    assert!(hanging.join().unwrap().is_err(), "it gets no answer");
    lab.fault(&["silence-heartbeats", "--code", "InternalServerError"]);
    assert_eq!(client.call("UpdateInstanceInformation", &beat).1["__type"], "InternalServerError");
    lab.clear_the_fault(1);
    assert_eq!(client.call("UpdateInstanceInformation", &beat).0, 200);
    assert_eq!(lab.state()["instances"][0]["pings"], 1);
}

#[test]
fn a_hanging_call_that_was_the_last_of_its_fault_hangs_on() {
    let lab = Lab::start();
    lab.admin("POST", "/faults", Some(&json!({"id": "last", "hang": true, "remaining": 1})));
    let client = lab.user();
    let hanging = thread::spawn(move || client.try_call("DescribeActivations", &json!({})));
    eventually("the call to hang", || (lab.state()["spent_faults"][0]["strikes"] == 1).then_some(()));
    assert_eq!(lab.probe(), None);
    assert!(!hanging.is_finished());
    assert_eq!(lab.admin("DELETE", "/faults/last", None).0, 204);
    assert!(hanging.join().unwrap().is_err());
}

/// A new TLS connection that trusts the lab's authority.
fn handshake(lab: &Lab) -> Result<u16, String> {
    let pem = std::fs::read(lab.text("ca")).unwrap();
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::new_with_certs(&certificates))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    let config = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).tls_config(tls);
    let answer = config.build().new_agent().get(lab.text("tls_endpoint")).call();
    answer.map(|answer| answer.status().as_u16()).map_err(|error| error.to_string())
}

#[test]
fn handshakes_get_a_wrong_certificate_until_that_is_cleared() {
    let lab = Lab::start();
    assert_eq!(handshake(&lab), Ok(404));
    for (wrong, complaint) in
        [("other-authority", "BadSignature"), ("expired", "xpired"), ("other-name", "NotValidForName")]
    {
        lab.fault(&["wrong-certificate", "--wrong", wrong]);
        let error = handshake(&lab).unwrap_err();
        assert!(error.contains(complaint) || error.contains("not valid for name"), "{wrong}: {error}");
        assert_eq!(lab.probe(), None, "plain HTTP has no certificate");
        lab.clear_the_fault(1);
        assert_eq!(handshake(&lab), Ok(404));
    }
}

#[test]
fn the_channel_of_an_agent_ends_and_is_kept_closed_until_that_is_cleared() {
    let lab = Lab::start();
    let host = Host::new(&lab);
    assert!(host.register(&lab.activation(1), &[], "").status.success());
    let node = host.node_id();
    let channel =
        |open| move |lab: &Lab| (lab.state()["instances"][0]["control_channel"] == open).then_some(());
    let mut daemon = host.daemon();
    eventually("the channel to open", || channel(true)(&lab));
    lab.fault(&["end-channels", "--keep-closed", "--node", "mi-0123456789abcdef0"]);
    assert_eq!(lab.state()["instances"][0]["control_channel"], true, "it is another node's");
    lab.clear_the_fault(0);
    lab.fault(&["end-channels", "--keep-closed", "--node", &node]);
    // The agent comes back at once, and its new channel is struck as well.
    eventually("the channel to end", || channel(false)(&lab));
    assert!(lab.faults()[0]["strikes"].as_u64() >= Some(1));
    lab.fault(&["clear"]);
    terminate(&mut daemon);

    let mut daemon = host.daemon();
    eventually("the channel to open again", || channel(true)(&lab));
    lab.fault(&["end-channels"]);
    assert_eq!(lab.faults(), json!([]), "those that were open have ended; there is no more to do");
    assert_eq!(lab.state()["spent_faults"][0]["strikes"], 1);
    terminate(&mut daemon);
}

#[test]
fn all_faults_are_cleared_at_once() {
    let lab = Lab::start();
    lab.fault(&["throttle"]);
    lab.fault(&["clock", "--offset", "1h"]);
    assert_eq!(lab.faults().as_array().unwrap().len(), 2);
    assert_eq!(lab.admin("GET", "/state", None).0, 200, "the admin API is never struck");
    lab.fault(&["clear"]);
    assert_eq!(lab.probe(), None);
    assert_eq!(lab.state()["clock"]["offset_seconds"], 0);
}

#[test]
fn orders_that_make_no_sense_and_ids_that_are_not_known_are_refused_with_a_reason() {
    let lab = Lab::start();
    let complaint = |arguments: &[&str]| {
        let output = lab.tool(&[&["fault"], arguments].concat());
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(complaint(&["throttle", "--share", "2"]).contains("share"));
    assert!(complaint(&["throttle", "--service", "s3"]).contains("ssmmessages"));
    assert!(complaint(&["clear", "call-9"]).contains("no fault has this id"));
    lab.fault(&["throttle", "--id", "same"]);
    assert!(complaint(&["throttle", "--id", "same"]).contains("same"));
    assert_eq!(lab.admin("POST", "/faults", Some(&json!({"operaton": "*"}))).0, 400);
}

#[test]
fn an_endpoint_that_does_not_run_is_told_as_that() {
    let mut lab = Lab::start();
    let ready = lab.dir.path().join("state/ready.json");
    assert_eq!(std::fs::read(&ready).unwrap(), std::fs::read(lab.dir.path().join("ready.json")).unwrap());
    let url = lab.text("admin").to_owned();
    let by_url = |url: &str| {
        Command::new(env!("CARGO_BIN_EXE_ssm-lab")).args(["status", "--admin", url]).output().unwrap()
    };
    assert!(by_url(&url).status.success());
    assert!(terminate(&mut lab.child).success());
    assert!(!ready.exists(), "it is removed at a clean end");
    let complaint = |output: &Output| String::from_utf8(output.stderr.clone()).unwrap();
    assert!(complaint(&lab.tool(&["status"])).contains("no endpoint is running"));
    std::fs::copy(lab.dir.path().join("ready.json"), &ready).unwrap();
    let left_over = complaint(&lab.tool(&["status"]));
    assert!(left_over.contains("not running") && left_over.contains("left over"), "{left_over}");
    assert!(complaint(&by_url(&url)).contains("not running"));
}

#[test]
fn the_status_shows_nodes_and_activations() {
    let lab = Lab::start();
    let empty = stdout(&lab.tool(&["status"]));
    assert_eq!(empty, "no nodes\n\nno activations\n\nno faults\n");
    let (id, _, client) = lab.node();
    client.call("UpdateInstanceInformation", &json!({"InstanceId": id, "AgentVersion": "3.3.0.0"}));
    let status = stdout(&lab.tool(&["status"]));
    let line = status.lines().find(|line| line.starts_with(&id)).unwrap();
    assert!(line.contains("rack1") && line.contains("Online") && line.contains("3.3.0.0"), "{line}");
    assert!(status.contains("1/1") && status.contains("full"), "{status}");
    let json: Value = serde_json::from_slice(&lab.tool(&["status", "--json"]).stdout).unwrap();
    assert_eq!(json["instances"][0]["id"], id.as_str());
}

#[test]
fn the_printed_lines_point_a_shell_at_the_endpoint() {
    let lab = Lab::start();
    let shell = format!(
        ". {}/out; printf '%s\\n' \"$AWS_ENDPOINT_URL\" \"$AWS_REGION\" \"$AWS_CA_BUNDLE\"; \
         cat \"$AWS_SHARED_CREDENTIALS_FILE\"",
        lab.dir.path().display()
    );
    let output = Command::new("sh").args(["-eu", "-c", &shell]).output().unwrap();
    let told = stdout(&output);
    let expected = ["tls_endpoint", "region", "ca"].map(|member| lab.text(member));
    assert_eq!(told.lines().take(3).collect::<Vec<_>>(), expected);
    assert!(told.contains("[default]") && told.contains(lab.text("secret_access_key")), "{told}");
    let lines = std::fs::read_to_string(lab.dir.path().join("out")).unwrap();
    let (_, environment) = lines.split_once("for bootstrap").unwrap();
    for (key, member) in [("endpoint", "tls_endpoint"), ("ca_bundle", "ca"), ("agent_endpoint", "endpoint")] {
        let line = format!("\n# {key} = \"{}\"\n", lab.text(member));
        assert!(environment.contains(&line), "{environment}");
    }
    let config: Value = serde_json::from_str(lines.lines().last().unwrap().trim_start_matches("# ")).unwrap();
    for service in ["Ssm", "Mds", "Mgs"] {
        assert_eq!(config[service]["Endpoint"], lab.text("tls_endpoint"), "with its scheme");
    }
}
