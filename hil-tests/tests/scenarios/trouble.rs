//! Things that go wrong in the middle, and that nothing is half done or lost after them.

use serde_json::Value;

use crate::rig::{Rig, rig};

/// The inventory with one host only.
fn only_deb(text: &str) -> String {
    let at = text.match_indices("[[hosts]]").nth(1).unwrap().0;
    text[..at].to_owned()
}

fn enrolled(rig: &Rig) -> (std::path::PathBuf, Value) {
    let inventory = rig.inventory(|text| only_deb(&text));
    let ran = rig.enrol(&inventory).expect_code(0);
    let node = ran.host("deb-1")["node"].clone();
    assert!(node.is_string());
    (inventory, node)
}

#[test]
fn a_stopped_agent_is_started_without_a_new_registration() {
    let rig = rig();
    let (inventory, node) = enrolled(&rig);
    let registered = rig.calls("RegisterManagedInstance");
    rig.root("deb-1", &["systemctl", "disable", "--now", "amazon-ssm-agent"]);
    let again = rig.enrol(&inventory).expect_code(0).host("deb-1");
    assert_eq!(
        (&again["outcome"], &again["changed"], &again["node"]),
        (&"online".into(), &true.into(), &node)
    );
    assert_eq!(rig.calls("RegisterManagedInstance"), registered);
    rig.root("deb-1", &["systemctl", "is-enabled", "amazon-ssm-agent"]);
}

#[test]
fn after_a_failed_registration_the_one_from_before_is_alive() {
    let rig = rig();
    let (inventory, node) = enrolled(&rig);
    // Fresh credentials would prove that some account's SSM knows the node, and it would be refused.
    rig.root("deb-1", &["rm", "/var/lib/amazon/ssm/runtimeconfig/identity_config.json"]);
    // SSM says once that it does not know the node, and the activation is gone when the agent comes to register.
    rig.fault("DescribeInstanceInformation", "InvalidInstanceId", 400, 1);
    rig.fault("RegisterManagedInstance", "InvalidActivation", 400, 1);
    let failed = rig.enrol(&inventory).expect_code(1).host("deb-1");
    assert_eq!((&failed["outcome"], &failed["step"]), (&"failed".into(), &"register".into()));
    assert!(failed["lines"].to_string().contains("InvalidActivation"), "{failed:#}");
    assert_eq!(rig.live_activations(), 0);
    let vault = rig.root("deb-1", &["cat", "/var/lib/amazon/ssm/Vault/Store/RegistrationKey"]);
    assert!(vault.contains(node.as_str().unwrap()), "the old registration is gone");
    assert_eq!(rig.root("deb-1", &["systemctl", "is-active", "amazon-ssm-agent"]), "active");
    let after = rig.enrol(&inventory).expect_code(0).host("deb-1");
    assert_eq!((&after["outcome"], &after["node"]), (&"online".into(), &node));
}

#[test]
fn a_node_of_another_account_is_refused_and_left_alone() {
    let rig = rig();
    let (inventory, node) = enrolled(&rig);
    rig.fault("DescribeInstanceInformation", "InvalidInstanceId", 400, 1);
    let refused = rig.enrol(&inventory).expect_code(1).host("deb-1");
    assert_eq!((&refused["step"], &refused["node"]), (&"plan".into(), &node));
    assert!(refused["hint"].as_str().unwrap().contains("profile"), "{refused:#}");
    assert_eq!(rig.root("deb-1", &["systemctl", "is-active", "amazon-ssm-agent"]), "active");
}

#[test]
fn a_registration_that_a_power_cut_interrupted_is_put_back_by_the_next_run() {
    let rig = rig();
    let (inventory, node) = enrolled(&rig);
    // As the host is found when its power went between the emptying of the vault and the answer.
    rig.root("deb-1", &["systemctl", "stop", "amazon-ssm-agent"]);
    rig.root(
        "deb-1",
        &["cp", "-a", "/var/lib/amazon/ssm/Vault", "/var/lib/amazon/ssm/Vault.bootstrap-saved"],
    );
    rig.root(
        "deb-1",
        &["cp", "-a", "/var/lib/amazon/ssm/Vault", "/var/lib/amazon/ssm/Vault.bootstrap-saved.part"],
    );
    rig.root("deb-1", &["amazon-ssm-agent", "-register", "-clear"]);
    let registered = rig.calls("RegisterManagedInstance");
    let after = rig.enrol(&inventory).expect_code(0).host("deb-1");
    assert_eq!((&after["outcome"], &after["node"]), (&"online".into(), &node));
    assert_eq!(rig.calls("RegisterManagedInstance"), registered);
    assert_eq!(rig.root("deb-1", &["sh", "-c", "ls -d /var/lib/amazon/ssm/Vault.* 2>/dev/null; true"]), "");
}

#[test]
fn an_agent_that_hibernates_is_restarted_and_online() {
    let rig = rig();
    let inventory = rig.inventory(|text| {
        only_deb(&text).replace("[environments.dev]", "[environments.dev]\nonline_within = \"2m\"")
    });
    // Not one of the errors that the agent retries: it hibernates at once.
    rig.fault("UpdateInstanceInformation", "AccessDeniedException", 400, 1);
    let ran = rig.enrol(&inventory).expect_code(0);
    let host = ran.host("deb-1");
    assert_eq!(host["outcome"], "online");
    assert!(host["actions"].to_string().contains("restart the agent"), "{host:#}");
}

#[test]
fn after_ctrl_c_nothing_is_half_done_and_the_next_run_converges() {
    let rig = rig();
    let inventory = rig.inventory(|text| only_deb(&text));
    let mut running = rig.start(&["--inventory", inventory.to_str().unwrap(), "--output", "json"]);
    running.wait_for("deb-1: installing");
    running.interrupt();
    let ran = running.end().expect_code(130);
    assert_eq!(ran.json()["interrupted"], true);
    assert_eq!(rig.live_activations(), 0);
    assert_eq!(rig.root("deb-1", &["dpkg", "--audit"]), "");
    let history = rig.run(&["history", "--output", "json"]).json();
    assert_eq!(history["runs"][0]["ending"], "interrupted", "{history:#}");
    assert_eq!(rig.enrol(&inventory).expect_code(0).host("deb-1")["outcome"], "online");
}

#[test]
fn the_activation_of_a_killed_run_is_removed_by_the_next_one() {
    let rig = rig();
    let inventory = rig.inventory(|text| only_deb(&text));
    let mut running = rig.start(&["--inventory", inventory.to_str().unwrap(), "--output", "json"]);
    running.wait_for("deb-1: registering");
    running.kill();
    assert_eq!(rig.live_activations(), 1, "the run was killed too late or too early");
    assert_eq!(rig.enrol(&inventory).expect_code(0).host("deb-1")["outcome"], "online");
    assert_eq!(rig.live_activations(), 0);
}
