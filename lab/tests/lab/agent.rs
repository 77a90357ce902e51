//! The stand-in agent against the endpoint, both as processes: the whole life of a node, and the real agent's traps.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Stdio};

use crate::support::{Host, Lab, agent_binary, eventually, stdout, terminate};
use serde_json::{Value, json};

fn shown(lab: &Lab, id: &str) -> Value {
    let found = lab
        .done("DescribeInstanceInformation", &json!({"Filters": [{"Key": "InstanceIds", "Values": [id]}]}));
    found["InstanceInformationList"][0].clone()
}

#[test]
fn a_host_registers_and_comes_online() {
    let lab = Lab::start();
    let host = Host::new(&lab);
    let activation = lab.activation(1);
    let output = host.register(&activation, &[], "");
    let id = host.node_id();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(stdout(&output).contains(&format!(
        "Successfully registered the instance with AWS SSM using Managed instance-id: {id}"
    )));
    let node = shown(&lab, &id);
    assert_eq!(node["PingStatus"], "ConnectionLost", "a registration is no heartbeat");
    assert!(node.get("LastPingDateTime").is_none());

    let mut daemon = host.daemon();
    let node = eventually("the node is online", || {
        Some(shown(&lab, &id))
            .filter(|node| node["PingStatus"] == "Online" && node["PlatformName"].is_string())
    });
    assert_eq!(node["Name"], "rack1");
    assert_eq!(node["IamRole"], "Role");
    assert_eq!(node["ActivationId"], activation["ActivationId"]);
    assert_eq!(node["PlatformName"], "Debian GNU/Linux");
    assert_eq!(node["PlatformVersion"], "12");
    assert_eq!(node["AgentVersion"], "3.3.3000.0");
    let tags = lab.done("ListTagsForResource", &json!({"ResourceType": "ManagedInstance", "ResourceId": id}));
    assert_eq!(tags["TagList"], json!([{"Key": "environment", "Value": "dev"}]));
    assert_eq!(terminate(&mut daemon).code(), Some(0), "SIGTERM ends the agent cleanly");

    let credentials = std::fs::read_to_string(host.path("root/.aws/credentials")).unwrap();
    assert!(credentials.contains("[default]\naws_access_key_id     = ASIA"));
    lab.admin("POST", "/clock", Some(&json!({"advance_seconds": 901})));
    let late = crate::support::Client { skew_seconds: 901, ..lab.user() };
    let (_, answer) = late.call("DescribeInstanceInformation", &json!({}));
    assert_eq!(answer["InstanceInformationList"][0]["PingStatus"], "ConnectionLost");
}

#[test]
fn an_agent_that_shares_no_credentials_leaves_none_and_no_note_of_them() {
    let lab = Lab::start();
    let host = Host::new(&lab);
    let endpoint = json!({"Endpoint": lab.text("tls_endpoint")});
    host.configure(&json!({
        "Ssm": endpoint, "Mds": endpoint, "Mgs": endpoint, "Identity": {"ConsumptionOrder": ["OnPrem"]},
        "Profile": {"ShareCreds": false},
    }));
    host.register(&lab.activation(1), &[], "");
    let id = host.node_id();
    let mut daemon = host.daemon();
    eventually("the node is online", || Some(shown(&lab, &id)).filter(|node| node["PingStatus"] == "Online"));
    terminate(&mut daemon);
    assert!(!host.path("root/.aws/credentials").exists());
    let note = std::fs::read(host.path("var/lib/amazon/ssm/runtimeconfig/identity_config.json")).unwrap();
    let note: Value = serde_json::from_slice(&note).unwrap();
    assert_eq!((&note["InstanceId"], &note["ShareFile"]), (&json!(id), &json!("")));
    assert_eq!(note["CredentialsExpiresAt"], "0001-01-01T00:00:00Z");
}

#[test]
fn a_bundle_takes_the_place_of_the_pool_for_the_role_alone() {
    let lab = Lab::start();
    let host = Host::new(&lab);
    host.write("bundle.pem", "");
    let with_bundle = || {
        let mut command = host.command(agent_binary());
        command.env("AWS_CA_BUNDLE", host.path("bundle.pem"));
        command
    };
    let activation = lab.activation(1);
    let (id, code) =
        (activation["ActivationId"].as_str().unwrap(), activation["ActivationCode"].as_str().unwrap());
    let registering = ["-register", "-id", id, "-code", code, "-region", crate::support::REGION];
    assert_eq!(with_bundle().args(registering).output().unwrap().status.code(), Some(0));

    let mut daemon =
        with_bundle().env("SSM_STANDIN_TIME_FACTOR", "0.01").stdout(Stdio::null()).spawn().unwrap();
    let log = host.path("var/log/amazon/ssm/amazon-ssm-agent.log");
    eventually("the daemon gets no role", || {
        std::fs::read_to_string(&log).ok().filter(|log| log.contains("signed by unknown authority"))
    });
    terminate(&mut daemon);
    assert!(shown(&lab, &host.node_id()).get("LastPingDateTime").is_none());
}

#[test]
fn the_vault_has_the_modes_and_members_of_the_real_one() {
    let lab = Lab::start();
    let host = Host::new(&lab);
    host.register(&lab.activation(1), &[], "");
    let mode = |path: &str| std::fs::metadata(host.path(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("var/lib/amazon/ssm/Vault"), 0o700);
    for file in
        ["Vault/Manifest", "Vault/Store/RegistrationKey", "Vault/Store/InstanceFingerprint", "registration"]
    {
        assert_eq!(mode(&format!("var/lib/amazon/ssm/{file}")), 0o600, "{file}");
    }
    let key = host.vault("RegistrationKey");
    assert_eq!((key["region"].as_str(), key["privateKeyType"].as_str()), (Some("eu-central-1"), Some("Rsa")));
    let fingerprint = host.vault("InstanceFingerprint");
    assert_eq!(fingerprint["hardwareHash"]["machine-id"], "0123456789abcdef0123456789abcdef");
    assert_eq!(fingerprint["similarityThreshold"], 40);
}

#[test]
fn a_failed_registration_destroys_the_old_one_and_leaves_its_stale_file() {
    let lab = Lab::start();
    let host = Host::new(&lab);
    host.register(&lab.activation(1), &[], "");
    let (id, key) = (host.node_id(), host.vault("RegistrationKey")["privateKey"].clone());
    let bad = json!({"ActivationId": lab.activation(1)["ActivationId"], "ActivationCode": "x".repeat(20)});
    let output = host.register(&bad, &["-y"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains(
        "Registration failed due to error registering the instance with AWS SSM. InvalidActivation: "
    ));
    assert_eq!(host.node_id(), "");
    assert_ne!(host.vault("RegistrationKey")["privateKey"], key);
    let stale = std::fs::read_to_string(host.path("var/lib/amazon/ssm/registration")).unwrap();
    assert!(stale.contains(&id));
}

#[test]
fn a_code_too_short_to_be_sent_destroys_it_too() {
    let lab = Lab::start();
    let host = Host::new(&lab);
    host.register(&lab.activation(1), &[], "");
    let before = lab.state()["calls"]["RegisterManagedInstance"].clone();
    let output = host.register(&json!({"ActivationId": "short", "ActivationCode": "short"}), &["-y"], "");
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stdout(&output).contains("minimum field size of 20, RegisterManagedInstanceInput.ActivationCode")
    );
    assert_eq!(host.node_id(), "");
    assert_eq!(lab.state()["calls"]["RegisterManagedInstance"], before, "nothing was sent");
}

#[test]
fn a_vault_put_back_works_again() {
    let lab = Lab::start();
    let host = Host::new(&lab);
    host.register(&lab.activation(1), &[], "");
    let id = host.node_id();
    let store = host.path("var/lib/amazon/ssm/Vault/Store/RegistrationKey");
    let saved = std::fs::read(&store).unwrap();
    host.register(&json!({"ActivationId": "x", "ActivationCode": "x"}), &["-y"], "");
    std::fs::write(&store, saved).unwrap();
    let mut daemon = host.daemon();
    eventually("the node is online", || Some(()).filter(|()| shown(&lab, &id)["PingStatus"] == "Online"));
    terminate(&mut daemon);
}

#[test]
fn an_existing_registration_is_kept_unless_the_answer_is_yes() {
    let lab = Lab::start();
    let host = Host::new(&lab);
    let activation = lab.activation(5);
    host.register(&activation, &[], "");
    let id = host.node_id();
    for answer in ["no\n", "what?\n", ""] {
        let output = host.register(&activation, &[], answer);
        assert_eq!(output.status.code(), Some(1), "{answer:?}");
        assert!(stdout(&output).contains("Instance already registered. Would you like to override"));
        assert_eq!(host.node_id(), id, "{answer:?}");
    }
    assert_eq!(host.register(&activation, &[], "yes\n").status.code(), Some(0));
    assert_ne!(host.node_id(), id);
}

#[test]
fn clearing_empties_the_vault_and_leaves_the_stale_file() {
    let lab = Lab::start();
    let host = Host::new(&lab);
    host.register(&lab.activation(1), &[], "");
    let id = host.node_id();
    assert_eq!(host.agent(&["-register", "-clear"], "").status.code(), Some(0));
    assert_eq!(host.node_id(), "");
    assert!(std::fs::read_to_string(host.path("var/lib/amazon/ssm/registration")).unwrap().contains(&id));
    assert_eq!(host.daemon().wait().unwrap().code(), Some(0), "a daemon without identity exits with 0");
    let log = std::fs::read_to_string(host.path("var/log/amazon/ssm/amazon-ssm-agent.log")).unwrap();
    assert!(log.contains("failed to find agent identity"));
}

#[test]
fn exit_codes_and_usage_are_those_of_the_real_command_line() {
    let lab = Lab::start();
    let host = Host::new(&lab);
    let unknown = host.agent(&["-bogus"], "");
    assert_eq!(unknown.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("flag provided but not defined: -bogus"));
    let missing = host.agent(&["-register", "-region", "eu-central-1"], "");
    assert_eq!(missing.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&missing.stderr).contains("-activation code") || !missing.stderr.is_empty()
    );
    assert_eq!(host.agent(&["-version"], "").status.code(), Some(0));
    assert_eq!(host.agent(&["-fingerprint", "-similarityThreshold", "0"], "").status.code(), Some(1));
    assert_eq!(host.agent(&["-fingerprint", "-similarityThreshold=-1"], "").status.code(), Some(0));
    assert_eq!(host.vault("InstanceFingerprint")["similarityThreshold"], -1);
    assert_eq!(host.agent(&["-fingerprint"], "").status.code(), Some(0));
    assert_eq!(host.vault("InstanceFingerprint")["similarityThreshold"], 40);
}

#[test]
fn ssm_cli_tells_the_truth_of_the_vault() {
    let lab = Lab::start();
    let host = Host::new(&lab);
    let cli = host.path("ssm-cli");
    std::os::unix::fs::symlink(agent_binary(), &cli).unwrap();
    let ask = || host.command(&cli).arg("get-instance-information").output().unwrap();
    assert_eq!(ask().status.code(), Some(1));
    host.register(&lab.activation(1), &[], "");
    let told: Value = serde_json::from_slice(&ask().stdout).unwrap();
    assert_eq!(
        told,
        json!({"instance-id": host.node_id(), "region": "eu-central-1", "release-version": "3.3.3000.0"})
    );
}

#[test]
fn a_clone_with_another_machine_id_is_turned_away() {
    let lab = Lab::start();
    let host = Host::new(&lab);
    host.register(&lab.activation(1), &[], "");
    let before = host.vault("InstanceFingerprint")["fingerprint"].clone();
    host.write("etc/machine-id", "ffffffffffffffffffffffffffffffff\n");
    let mut daemon = host.daemon();
    eventually("the clone is turned away", || {
        lab.log().contains("MachineFingerprintDoesNotMatch").then_some(())
    });
    assert_ne!(host.vault("InstanceFingerprint")["fingerprint"], before);
    eventually("it goes to sleep", || {
        let log = std::fs::read_to_string(host.path("var/log/amazon/ssm/errors.log")).ok()?;
        log.contains("MachineFingerprintDoesNotMatch").then_some(())
    });
    terminate(&mut daemon);
    assert_eq!(lab.state()["calls"]["RequestManagedInstanceRoleToken"], 1, "one try only");
}

#[test]
fn an_agent_whose_first_report_fails_hibernates() {
    let lab = Lab::start();
    let host = Host::new(&lab);
    host.register(&lab.activation(1), &[], "");
    let fault =
        json!({"operation": "UpdateInstanceInformation", "error": "AccessDeniedException", "remaining": 1});
    assert_eq!(lab.admin("POST", "/faults", Some(&fault)).0, 201);
    let mut daemon = host.daemon();
    eventually("hibernation", || {
        let log = std::fs::read_to_string(host.path("var/log/amazon/ssm/hibernate.log")).ok()?;
        log.contains("Entering SSM Agent hibernate - AccessDeniedException").then_some(())
    });
    terminate(&mut daemon);
    assert_eq!(shown(&lab, &host.node_id())["PingStatus"], "ConnectionLost");
}

#[test]
fn a_key_pair_is_renewed_when_ssm_asks_for_it() {
    let lab = Lab::start();
    let host = Host::new(&lab);
    host.register(&lab.activation(1), &[], "");
    let (id, key) = (host.node_id(), host.vault("RegistrationKey")["privateKey"].clone());
    assert_eq!(lab.admin("POST", "/renew-key", Some(&json!({"instance_id": id}))).0, 200);
    for _ in 0..2 {
        let pings = || lab.state()["instances"][0]["pings"].as_u64().unwrap();
        let before = pings();
        let mut daemon = host.daemon();
        eventually("the node reports", || (pings() > before).then_some(()));
        terminate(&mut daemon);
    }
    assert_ne!(host.vault("RegistrationKey")["privateKey"], key);
    assert_eq!(
        lab.state()["calls"]["UpdateManagedInstancePublicKey"],
        1,
        "the second start used the new key"
    );
}

#[test]
fn a_registration_is_retried_through_throttling() {
    let lab = Lab::start();
    let host = Host::new(&lab);
    let fault = json!({"operation": "RegisterManagedInstance", "error": "TooManyUpdates", "remaining": 1});
    lab.admin("POST", "/faults", Some(&fault));
    assert_eq!(host.register(&lab.activation(1), &[], "").status.code(), Some(0));
    assert_eq!(lab.state()["calls"]["RegisterManagedInstance"], 2);
}

#[test]
fn the_code_is_in_no_file_and_no_log() {
    let lab = Lab::start();
    let host = Host::new(&lab);
    let activation = lab.activation(1);
    host.register(&activation, &[], "");
    let mut daemon = host.daemon();
    eventually("the node reports", || {
        lab.state()["instances"][0]["pings"].as_u64().filter(|pings| *pings > 1)
    });
    terminate(&mut daemon);
    let code = activation["ActivationCode"].as_str().unwrap();
    for dir in [host.root.path(), lab.dir.path()] {
        let grep = Command::new("grep").args(["-r", "-F", code]).arg(dir).output().unwrap();
        assert_eq!(stdout(&grep), "");
    }
    assert!(lab.log().contains("RegisterManagedInstance"), "the log is there");
    assert!(!lab.state().to_string().contains(code));
}
