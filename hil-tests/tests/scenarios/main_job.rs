//! What the product is for: bare hosts to Online, and nothing to do the second time.

use crate::rig::rig;

#[test]
fn two_bare_hosts_come_online_and_a_second_run_changes_nothing() {
    let rig = rig();
    let inventory = rig.lab.paths().inventory();

    let planned = rig
        .run(&["--inventory", inventory.to_str().unwrap(), "--output", "json", "--dry-run"])
        .expect_code(0);
    for name in ["deb-1", "rpm-1"] {
        assert_eq!(planned.host(name)["outcome"], "planned");
        assert!(planned.host(name)["actions"].to_string().contains("register in"), "{planned:?}");
    }
    assert_eq!(
        rig.root("deb-1", &["sh", "-c", "ls /var/lib/amazon /var/lib/bootstrap 2>/dev/null; true"]),
        ""
    );
    let created = rig.calls("CreateActivation");

    let first = rig.enrol(&inventory).expect_code(0);
    assert_eq!(rig.calls("CreateActivation"), created + 2, "one for each environment");
    assert_eq!(rig.live_activations(), 0);
    for (name, installed) in
        [("deb-1", ["dpkg", "-s", "amazon-ssm-agent"]), ("rpm-1", ["rpm", "-q", "amazon-ssm-agent"])]
    {
        let host = first.host(name);
        assert_eq!(
            (&host["outcome"], &host["changed"], &host["execs"]),
            (&"online".into(), &true.into(), &4.into())
        );
        let node = host["node"].as_str().unwrap().to_owned();
        let registration = rig.root(name, &["cat", "/var/lib/amazon/ssm/Vault/Store/RegistrationKey"]);
        assert!(registration.contains(&node), "the vault of {name} names another node than {node}");
        let state = rig.state();
        let known =
            state["instances"].as_array().unwrap().iter().find(|one| one["id"] == node.as_str()).cloned();
        assert_eq!(known.unwrap()["ping_status"], "Online");
        rig.root(name, &installed);
        rig.root(name, &["systemctl", "is-enabled", "amazon-ssm-agent"]);
        assert_eq!(
            rig.root(name, &["sh", "-c", "ls -A /var/lib/bootstrap 2>/dev/null; true"]),
            "",
            "leftovers on {name}"
        );
    }

    let second = rig.enrol(&inventory).expect_code(0);
    for name in ["deb-1", "rpm-1"] {
        let host = second.host(name);
        assert_eq!(
            (&host["outcome"], &host["changed"], &host["execs"]),
            (&"online".into(), &false.into(), &1.into())
        );
        assert_eq!(host["node"], first.host(name)["node"]);
    }
    assert_eq!(rig.calls("CreateActivation"), created + 2, "the second run created an activation");

    let history = rig.run(&["history", "--output", "json"]).expect_code(0).json();
    assert_eq!(history["runs"].as_array().unwrap().len(), 3, "{history:#}");
}

#[test]
fn https_with_an_authority_of_its_own_is_refused_until_both_sides_are_told_of_it() {
    let rig = rig();
    let endpoint = rig.lab.endpoint();
    let (tls, ca) = (endpoint.tls_endpoint.clone().unwrap(), endpoint.ca.clone().unwrap());
    let inventory = |more: &str| {
        rig.inventory(|text| {
            let at = text.match_indices("[[hosts]]").nth(1).unwrap().0;
            text[..at]
                .replace(&endpoint.url_for_guests(), &tls.replace("127.0.0.1", "10.0.2.2"))
                .replace(&endpoint.url, &tls)
                .replace("[environments.dev]\n", &format!("[environments.dev]\n{more}\n"))
        })
    };
    let untrusted = rig.enrol(&inventory("")).expect_code(1).host("deb-1");
    assert!(untrusted["hint"].as_str().unwrap().contains("ca_bundle"), "{untrusted:#}");

    let trusted = inventory(&format!("ca_bundle = {:?}", ca.to_str().unwrap()));
    let by_host = rig.enrol(&trusted).expect_code(1).host("deb-1");
    assert_eq!(by_host["step"], "register", "{by_host:#}");
    assert!(by_host["hint"].as_str().unwrap().contains("does not trust"), "{by_host:#}");

    rig.trust_endpoint("deb-1");
    assert_eq!(rig.enrol(&trusted).expect_code(0).host("deb-1")["outcome"], "online");
}

#[test]
fn a_host_that_is_switched_off_is_unreachable_and_the_other_one_online() {
    let rig = rig();
    rig.machine("rpm-1").power_cut().unwrap();
    let ran = rig.enrol(&rig.lab.paths().inventory()).expect_code(1);
    assert_eq!(ran.host("deb-1")["outcome"], "online");
    let off = ran.host("rpm-1");
    assert_eq!(off["outcome"], "unreachable");
    assert!(off["why"].as_str().unwrap().contains("refused"), "{off:#}");
    assert!(!off["hint"].as_str().unwrap().is_empty());
    assert_eq!(rig.live_activations(), 0);
}
