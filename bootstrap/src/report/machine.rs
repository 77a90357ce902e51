//! The facts of one machine, for people and for programs. There is no secret in them: of the vault only the node's id
//! and Region, and nothing of the agent's configuration.

use std::fmt::Write;

use jiff::Timestamp;
use serde_json::{Value, json};
use targets::{AgentVersion, Arch};

use crate::{
    facts::{Agent, Facts, Root},
    plan::Refusal,
};

/// The facts as JSON; `refusal` is why the machine can't be a managed node, and `now` its own time.
pub fn json(facts: &Facts, refusal: Option<&Refusal>, now: Timestamp) -> Value {
    let format = facts.os.package_format().ok();
    let arch = userland(facts);
    let artifact = arch.zip(format).and_then(|(arch, format)| arch.artifact(format));
    let (state, by, version) = agent(facts.agent);
    json!({
        "schema": 1,
        "supported": refusal.is_none(),
        "why": refusal.map(ToString::to_string),
        "hint": refusal.map(Refusal::hint),
        "architecture": {
            "userland": arch,
            "bits": facts.userland_bits,
            "kernel": facts.kernel_machine,
            "dpkg": facts.dpkg_arch,
            "rpm": facts.rpm_arch,
            "rust_triple": arch.and_then(|arch| arch.row().rust_triple),
        },
        "distribution": {
            "id": facts.os.id,
            "version": facts.os.version_id,
            "name": facts.os.pretty_name,
            "family": facts.os.family().ok(),
        },
        "package": {
            "format": format,
            "tool": facts.package_tool().ok(),
            "tools": facts.package_tools,
            "artifact": artifact.map(|artifact| format!("{}/{}", artifact.directory, artifact.file_name)),
        },
        "service_manager": facts.service.name(),
        "agent": {
            "state": state,
            "by": by,
            "version": version,
            "unit": facts.installation().unit,
            "binary": facts.installation().binary,
            "active": facts.unit.active,
            "enabled": facts.unit.enabled,
        },
        "registration": facts.registration.as_ref().map(|registration| json!({
            "node": registration.node.as_str(),
            "region": registration.region,
        })),
        "served_as": facts.served_as,
        "machine_id": facts.machine_id,
        "clock": now.to_string(),
        "in_memory": facts.memory.is_some(),
        "free_kib": { "/var/lib": facts.free.state_kib, "/usr": facts.free.system_kib },
        "root": root(&facts.root),
    })
}

/// The facts as a table of two columns, and a sentence.
pub fn text(facts: &Facts, refusal: Option<&Refusal>, now: Timestamp) -> String {
    let mut text = String::new();
    for (name, value) in rows(facts, now) {
        // Writing to a string cannot fail.
        writeln!(text, "{name:<14}{value}").ok();
    }
    text.push('\n');
    match refusal {
        None => text.push_str("This machine can be a managed node.\n"),
        Some(refusal) => {
            writeln!(text, "This machine cannot be a managed node: {refusal}\nhint: {}", refusal.hint()).ok();
        }
    }
    text
}

fn rows(facts: &Facts, now: Timestamp) -> Vec<(&'static str, String)> {
    let arch = userland(facts).map_or("unknown", |arch| arch.row().name);
    let packages = match (facts.package_tool(), facts.os.package_format()) {
        (Ok(tool), _) => format!("{}, installed by {tool}", tool.format()),
        (Err(_), Ok(format)) => format!("{format}, in an immutable image: nothing is installed on it"),
        (Err(_), Err(_)) => "none that AWS builds".to_owned(),
    };
    let registration = match (&facts.served_as, &facts.registration) {
        (Some(id), _) => format!("SSM serves it as {id}"),
        (None, Some(registration)) => format!("{} in {}", registration.node, registration.region),
        (None, None) if facts.root == Root::Yes => "none".to_owned(),
        (None, None) => "not known without root's rights".to_owned(),
    };
    let forgets = if facts.memory.is_some() { "; in memory, gone at the next boot" } else { "" };
    vec![
        ("architecture", format!("{arch}, under a kernel for {}", facts.kernel_machine)),
        ("distribution", facts.os.pretty_name.clone()),
        ("packages", packages),
        ("services", facts.service.name().to_owned()),
        ("agent", agent_text(facts)),
        ("registration", registration),
        ("clock", format!("{now:.0}")),
        (
            "free",
            format!("/var/lib {}, /usr {}{forgets}", mib(facts.free.state_kib), mib(facts.free.system_kib)),
        ),
        ("root", root(&facts.root).to_owned()),
    ]
}

/// By its package manager's word; without one by the kernel's and the C library's.
fn userland(facts: &Facts) -> Option<Arch> {
    let by_packages = facts.os.package_format().ok().and_then(|format| facts.arch(format));
    by_packages.or_else(|| Arch::from_uname(&facts.kernel_machine, facts.userland_bits?).ok())
}

fn agent(agent: Agent) -> (&'static str, Option<&'static str>, Option<AgentVersion>) {
    match agent {
        Agent::Absent => ("absent", None, None),
        Agent::Broken => ("broken", Some("package"), None),
        Agent::Installed(version) => ("installed", Some("package"), Some(version)),
        Agent::Snap(version) => ("installed", Some("snap"), version),
    }
}

fn agent_text(facts: &Facts) -> String {
    let (state, by, version) = agent(facts.agent);
    let Some(by) = by else { return "not installed".to_owned() };
    let version = version.map_or_else(|| "of unknown version".to_owned(), |version| version.to_string());
    let runs = if facts.unit.active { "runs" } else { "does not run" };
    let boots = if facts.unit.enabled { "starts at boot" } else { "does not start at boot" };
    match state {
        "broken" => format!("broken {by}: its installation did not come to its end"),
        _ => format!("{version}, by {by}; {runs}, {boots}"),
    }
}

fn mib(kib: Option<u64>) -> String {
    kib.map_or_else(|| "unknown".to_owned(), |kib| format!("{} MiB", kib / 1024))
}

fn root(root: &Root) -> &'static str {
    match root {
        Root::Yes => "yes",
        Root::NotRoot => "no",
        Root::Missing { .. } => "no sudo",
        Root::Refused(_) => "refused by sudo",
        Root::NeedsPassword(_) | Root::WrongPassword(_) => "sudo wants a password",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::Escalation;

    const PROBED: &str = "root=yes\nkernel.machine=aarch64\nuserland.bits=32\nos|ID=raspbian\nos|ID_LIKE=debian\n\
        os|VERSION_ID=\"12\"\nos|PRETTY_NAME=\"Raspbian GNU/Linux 12 (bookworm)\"\ndpkg.arch=armhf\n\
        dpkg.agent=installed 3.3.987.0-1\ntool=dpkg\nservice=systemd\nservice.state|ActiveState=active\n\
        service.state|UnitFileState=enabled\nfree.state=2048\nfree.system=4096\n\
        vault.instance=mi-0123456789abcdef0\nvault.region=eu-west-1\nend=yes\n";

    fn facts(text: &str) -> Facts {
        Facts::parse(text, Timestamp::UNIX_EPOCH).unwrap()
    }

    #[test]
    fn a_managed_node_is_told_with_its_package_and_its_registration() {
        let value = json(&facts(PROBED), None, Timestamp::UNIX_EPOCH);
        assert_eq!((&value["schema"], &value["supported"]), (&json!(1), &json!(true)));
        assert_eq!(value["architecture"]["userland"], "armv7");
        assert_eq!(value["architecture"]["rust_triple"], "armv7-unknown-linux-musleabihf");
        assert_eq!(value["package"]["artifact"], "debian_arm/amazon-ssm-agent.deb");
        assert_eq!(value["agent"]["version"], "3.3.987.0");
        assert_eq!(value["registration"]["node"], "mi-0123456789abcdef0");
        let said = text(&facts(PROBED), None, Timestamp::UNIX_EPOCH);
        insta::assert_snapshot!(said, @r"
        architecture  armv7, under a kernel for aarch64
        distribution  Raspbian GNU/Linux 12 (bookworm)
        packages      deb, installed by dpkg
        services      systemd
        agent         3.3.987.0, by package; runs, starts at boot
        registration  mi-0123456789abcdef0 in eu-west-1
        clock         1970-01-01T00:00:00Z
        free          /var/lib 2 MiB, /usr 4 MiB
        root          yes

        This machine can be a managed node.
        ");
    }

    #[test]
    fn an_image_that_has_the_agent_in_it_is_told_with_its_format_and_without_a_tool() {
        let image = PROBED
            .replace("ID_LIKE=debian", "ID_LIKE=fedora")
            .replace("ID=raspbian", "ID=rhcos")
            .replace("dpkg.arch=armhf", "rpm.arch=x86_64")
            .replace("dpkg.agent=installed 3.3.987.0-1", "rpm.agent|3.3.987.0");
        let value = json(&facts(&image), None, Timestamp::UNIX_EPOCH);
        assert_eq!((&value["distribution"]["family"], &value["supported"]), (&json!("redhat"), &json!(true)));
        assert_eq!((&value["package"]["format"], &value["package"]["tool"]), (&json!("rpm"), &Value::Null));
        assert_eq!(value["package"]["artifact"], "linux_amd64/amazon-ssm-agent.rpm");
        let said = text(&facts(&image), None, Timestamp::UNIX_EPOCH);
        assert!(
            said.contains("packages      rpm, in an immutable image: nothing is installed on it\n"),
            "{said}"
        );
    }

    #[test]
    fn a_machine_that_ssm_serves_as_an_instance_is_told_so() {
        let instance =
            "credentials.instance=i-0123456789abcdef0\ncredentials.expire=2023-11-14T22:13:20Z\nend=yes";
        let facts = facts(&PROBED.replace("end=yes", instance));
        let refusal = crate::plan::admit(&facts, "me", Escalation::Sudo).unwrap_err();
        let value = json(&facts, Some(&refusal), Timestamp::UNIX_EPOCH);
        assert_eq!(
            (&value["served_as"], &value["supported"]),
            (&json!("i-0123456789abcdef0"), &json!(false))
        );
        let said = text(&facts, Some(&refusal), Timestamp::UNIX_EPOCH);
        assert!(said.contains("registration  SSM serves it as i-0123456789abcdef0\n"), "{said}");
    }

    #[test]
    fn a_machine_that_cannot_be_one_is_told_why() {
        let alpine = facts(
            "root=yes\nkernel.machine=x86_64\nuserland.bits=64\nos|ID=alpine\n\
             os|PRETTY_NAME=\"Alpine Linux v3.20\"\nservice=openrc\nend=yes\n",
        );
        let refusal = crate::plan::admit(&alpine, "me", Escalation::Sudo).unwrap_err();
        let value = json(&alpine, Some(&refusal), Timestamp::UNIX_EPOCH);
        assert_eq!(value["supported"], false);
        assert!(value["why"].as_str().unwrap().contains("musl"), "{value:#}");
        assert_eq!(value["architecture"]["userland"], "x86_64");
        assert_eq!(value["package"]["tool"], Value::Null);
        let said = text(&alpine, Some(&refusal), Timestamp::UNIX_EPOCH);
        assert!(said.contains("cannot be a managed node") && said.contains("hint:"), "{said}");
    }
}
