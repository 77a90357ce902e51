//! Hosts that are managed nodes already: by us, by others, in part, or twice.

use anyhow::{Context, Result, ensure};

use super::main_job::assert_unchanged;
use crate::bench::{Bench, HOST, SECOND};

/// The node that the vault of the machine names.
pub(super) async fn node_of(bench: &Bench) -> Result<String> {
    let script =
        r#"sed -n 's/.*"instanceID" *: *"\([^"]*\)".*/\1/p' /var/lib/amazon/ssm/Vault/Store/RegistrationKey"#;
    let node = bench.root_sh(script).await?;
    ensure!(node.starts_with("mi-"), "the vault names {node:?}");
    Ok(node)
}

/// As if the host had registered an hour ago: what SSM does not know of one that has just registered, it may know in a moment.
pub(super) async fn long_registered(bench: &Bench) -> Result<String> {
    bench.root(&["touch", "-d", "1 hour ago", "/var/lib/amazon/ssm/Vault/Store/RegistrationKey"]).await?;
    node_of(bench).await
}

pub(super) async fn agent_stopped(bench: &mut Bench) -> Result<()> {
    let (node, registered) = (node_of(bench).await?, bench.calls("RegisterManagedInstance").await?);
    bench.root(&["systemctl", "disable", "--now", "amazon-ssm-agent"]).await?;
    let host = bench.enrol().await?.expect_code(0)?.host(HOST)?;
    ensure!(host["outcome"] == "online" && host["changed"] == true && host["node"] == node, "{host:#}");
    ensure!(bench.calls("RegisterManagedInstance").await? == registered, "it registered again");
    bench.root(&["systemctl", "is-enabled", "amazon-ssm-agent"]).await?;
    Ok(())
}

/// Enrolled by another controller, whose journal we don't have, and with tags of its own.
pub(super) async fn adopted_host(bench: &mut Bench) -> Result<()> {
    let (node, registered) = (node_of(bench).await?, bench.calls("RegisterManagedInstance").await?);
    let inventory = bench.changed_inventory(|text| text.replace("stage = \"dev\"", "stage = \"adopted\""))?;
    let host = bench.enrol_by(&inventory).await?.expect_code(0)?.host(HOST)?;
    ensure!(host["outcome"] == "online" && host["changed"] == true && host["node"] == node, "{host:#}");
    ensure!(bench.calls("RegisterManagedInstance").await? == registered, "it registered again");
    let nodes = bench.live_nodes().await?;
    ensure!(nodes.len() == 1 && nodes[0]["tags"].to_string().contains("adopted"), "{nodes:#?}");
    Ok(())
}

pub(super) async fn hibernating_agent(bench: &mut Bench) -> Result<()> {
    let inventory = bench.changed_inventory(|text| {
        text.replace("[environments.dev]", "[environments.dev]\nonline_within = \"2m\"")
    })?;
    // Not one of the errors that the agent retries: it hibernates at once.
    bench.fault("UpdateInstanceInformation", "AccessDeniedException", 1).await?;
    let host = bench.enrol_by(&inventory).await?.expect_code(0)?.host(HOST)?;
    ensure!(host["outcome"] == "online", "{host:#}");
    ensure!(host["actions"].to_string().contains("restart the agent"), "{host:#}");
    Ok(())
}

/// The endpoint is an exception of it: what is to be seen is what systemd makes of the file.
pub(super) async fn proxy(bench: &mut Bench) -> Result<()> {
    const SHOWN: [&str; 5] = ["systemctl", "show", "-p", "Environment", "amazon-ssm-agent"];
    let node = node_of(bench).await?;
    let before = bench.root(&SHOWN).await?;
    let inventory = bench.changed_inventory(|text| {
        let keys = "[defaults]\nproxy = \"http://proxy.example:3128\"\nno_proxy = [\"10.0.2.2\", \".lan\"]\n";
        text.replace("[defaults]\n", keys)
    })?;
    let host = bench.enrol_by(&inventory).await?.expect_code(0)?.host(HOST)?;
    ensure!(host["outcome"] == "online" && host["changed"] == true && host["node"] == node, "{host:#}");
    let shown = bench.root(&SHOWN).await?;
    for variable in ["https_proxy=http://proxy.example:3128", "no_proxy=", "10.0.2.2", "169.254.169.254"] {
        ensure!(shown.contains(variable), "{variable} is not in {shown}");
    }
    let pid = "$(systemctl show -p MainPID --value amazon-ssm-agent)";
    let environment = bench.root_sh(&format!("tr '\\0' '\\n' </proc/{pid}/environ")).await?;
    ensure!(environment.contains("https_proxy=http://proxy.example:3128"), "{environment}");
    let host = bench.enrol_by(&inventory).await?.expect_code(0)?.host(HOST)?;
    ensure!(host["changed"] == false, "{host:#}");
    let host = bench.enrol().await?.expect_code(0)?.host(HOST)?;
    ensure!(host["outcome"] == "online" && host["changed"] == true && host["node"] == node, "{host:#}");
    let after = bench.root(&SHOWN).await?;
    ensure!(after == before, "{after} is left of {before}");
    Ok(())
}

pub(super) async fn another_account(bench: &mut Bench) -> Result<()> {
    let node = long_registered(bench).await?;
    bench.fault("DescribeInstanceInformation", "InvalidInstanceId", 1).await?;
    let host = bench.enrol().await?.expect_code(1)?.host(HOST)?;
    ensure!(host["step"] == "plan" && host["node"] == node, "{host:#}");
    ensure!(host["hint"].as_str().is_some_and(|hint| hint.contains("profile")), "{host:#}");
    ensure!(bench.root(&["systemctl", "is-active", "amazon-ssm-agent"]).await? == "active");
    assert_unchanged(bench, &node).await
}

/// The second machine is given everything by which the first is known: what a copied SD card has.
pub(super) async fn cloned_machine(bench: &mut Bench) -> Result<()> {
    let node = node_of(bench).await?;
    let copy = bench.paths().directory().join("clone.tar");
    bench
        .root_sh(
            "tar -C / -cf /root/clone.tar etc/amazon etc/machine-id usr/bin/amazon-ssm-agent var/lib/amazon",
        )
        .await?;
    bench.machine().login("root").copy_out("/root/clone.tar", &copy).await?;
    bench.root(&["rm", "/root/clone.tar"]).await?;
    let second = bench.second()?.login("root");
    second.copy_in(&copy, "/root/clone.tar").await?;
    second.run(&["tar", "-C", "/", "-xf", "/root/clone.tar"]).await?;

    let both = bench.inventory_of_both()?;
    // A clone is in the environment of its original.
    let text = std::fs::read_to_string(&both)?.replace("environment = \"prod\"", "environment = \"dev\"");
    std::fs::write(&both, text).context("can't write the inventory of both")?;
    let ran = bench.enrol_by(&both).await?.expect_code(1)?;
    let hosts = [ran.host(HOST)?, ran.host(SECOND)?];
    let online = hosts.iter().filter(|host| host["outcome"] == "online").count();
    let refused = hosts.iter().find(|host| host["outcome"] == "failed").context("no host was refused")?;
    ensure!(online == 1 && refused["node"] == node, "{hosts:#?}");
    let words = format!("{} {}", refused["why"], refused["hint"]);
    ensure!(words.contains("clone") || words.contains("same"), "{refused:#}");
    Ok(())
}

/// As on Ubuntu's own images. There is no snapd here: what it leaves on a host is laid out by hand, around the agent of
/// the package.
pub(super) async fn snap_present(bench: &mut Bench) -> Result<()> {
    let inventory = bench.inventory();
    bench.enrol().await?.expect_code(0)?;
    bench.root_sh(SNAP).await?;
    let registered = bench.calls("RegisterManagedInstance").await?;
    let host = bench.enrol_by(&inventory).await?.expect_code(0)?.host(HOST)?;
    ensure!(host["outcome"] == "online", "{host:#}");
    let actions = host["actions"].to_string();
    ensure!(!actions.contains("install amazon-ssm-agent") && actions.contains("register"), "{host:#}");
    ensure!(bench.calls("RegisterManagedInstance").await? == registered + 1, "it did not register");
    let unit = "snap.amazon-ssm-agent.amazon-ssm-agent.service";
    ensure!(bench.root(&["systemctl", "is-active", unit]).await? == "active");
    let installed = bench.root_sh("dpkg-query -W -f '${Status}' amazon-ssm-agent 2>/dev/null; true").await?;
    ensure!(!installed.contains("ok installed"), "a .deb was put over the snap: {installed}");
    Ok(())
}

/// The package's agent goes, its binary stays behind as a snap's, with a `snap` that answers as snapd's does.
const SNAP: &str = r#"set -e
current=/snap/amazon-ssm-agent/current
mkdir -p $current
cp /usr/bin/amazon-ssm-agent $current/
[ ! -e /usr/bin/ssm-cli ] || cp /usr/bin/ssm-cli $current/
version=$(dpkg-query -W -f '${Version}' amazon-ssm-agent | cut -d - -f 1)
dpkg --purge amazon-ssm-agent >/dev/null 2>&1
rm -rf /var/lib/amazon /etc/amazon
mkdir -p /var/lib/amazon/ssm /etc/amazon/ssm
cat > /usr/bin/snap <<END
#!/bin/sh
case "\$1 \$2" in
'list amazon-ssm-agent')
    echo 'Name              Version    Rev   Tracking         Publisher  Notes'
    echo 'amazon-ssm-agent  $version  9881  latest/stable/…  aws✓       classic' ;;
'services amazon-ssm-agent')
    echo 'Service                            Startup  Current   Notes'
    echo "amazon-ssm-agent.amazon-ssm-agent  enabled  \$(systemctl is-active snap.amazon-ssm-agent.amazon-ssm-agent.service)  -" ;;
*) echo "error: unknown command" >&2; exit 64 ;;
esac
END
chmod 755 /usr/bin/snap
cat > /etc/systemd/system/snap.amazon-ssm-agent.amazon-ssm-agent.service <<END
[Unit]
Description=Service for snap application amazon-ssm-agent.amazon-ssm-agent
[Service]
ExecStart=$current/amazon-ssm-agent
Restart=always
RestartPreventExitStatus=194
[Install]
WantedBy=multi-user.target
END
systemctl daemon-reload
systemctl enable --now snap.amazon-ssm-agent.amazon-ssm-agent.service 2>/dev/null
"#;
