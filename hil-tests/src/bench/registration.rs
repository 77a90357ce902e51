//! The registration of a board whose disk stays: set aside before a scenario, never deleted, since nobody can make its private key
//! again; and by no means one that was made elsewhere.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::Bench;

/// Where the agent keeps what it knows.
const AGENT: &str = "/var/lib/amazon/ssm";
/// Where what it was registered with is kept: apart, where no package and no scenario deletes it.
const KEPT: &str = "/var/lib/hil-vaults";
const REGISTERED: &str = include_str!("registration.sh");
const SET_ASIDE: &str = include_str!("set-aside.sh");
const CONFIGURATION: &str = "file=/etc/amazon/ssm/amazon-ssm-agent.json; [ ! -e $file ] || cat $file";

impl Bench {
    /// Sets the registration of the machine aside, which nobody knows any more; an error if it may be known elsewhere.
    pub(super) async fn set_registration_aside(&self) -> Result<()> {
        let registered = self.root(&["sh", "-c", REGISTERED, "sh", AGENT]).await;
        let registered = registered.context("can't look for the board's registration")?;
        let configuration = self.root_sh(CONFIGURATION).await?;
        refuse_elsewhere(&registered, &configuration, self.machine().host_seen_from_inside())?;
        self.root_sh("systemctl stop amazon-ssm-agent 2>/dev/null; true").await?;
        let place = self.root(&["sh", "-c", SET_ASIDE, "sh", AGENT, KEPT]).await;
        let place = place.context("can't set the board's registration aside")?;
        if let Some((node, ..)) = registrations(&registered).next() {
            let line = format!("{}: its registration as {node} is kept in {place}", self.machine().name());
            self.stock.narration.say(&line);
        }
        Ok(())
    }
}

/// Node, region and the vault's name of each line.
fn registrations(registered: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    registered.lines().filter_map(|line| {
        let (node, rest) = line.split_once(' ')?;
        let (region, vault) = rest.split_once(' ')?;
        Some((node, region, vault))
    })
}

/// An error unless all that is registered was so at this computer, which is `controller` to the board, as far as can be told:
/// another one's, AWS's behind whatever name among them, stays in use. An agent that is told of no endpoint calls AWS. A saved
/// vault is older than what the agent is told now.
fn refuse_elsewhere(registered: &str, configuration: &str, controller: &str) -> Result<()> {
    if let Some((node, region, vault)) = registrations(registered).find(|(.., vault)| *vault != "Vault") {
        bail!(
            "this board holds a saved registration as {node} ({region}), and nothing tells where it was made; move \
             {AGENT}/{vault} elsewhere on it, or give it [media]"
        );
    }
    let Some((node, region, _)) = registrations(registered).next() else { return Ok(()) };
    let configuration: Value = serde_json::from_str(configuration).unwrap_or_default();
    let endpoint = configuration["Ssm"]["Endpoint"].as_str().unwrap_or_default();
    let here = address_of(endpoint).is_some_and(|address| controller.parse() == Ok(address));
    ensure!(
        here,
        "this board is registered as {node} ({region}) at {}, not at its `controller` {controller}; deregister it and \
         delete {AGENT}/Vault* on it, or give it [media]",
        if endpoint.is_empty() { "AWS" } else { endpoint }
    );
    Ok(())
}

/// The address in a URL that has no name and no user in its place.
fn address_of(url: &str) -> Option<IpAddr> {
    let authority = url.split_once("://")?.1.split(['/', '?', '#']).next()?;
    let with_port = authority.parse().map(|address: SocketAddr| address.ip());
    with_port.ok().or_else(|| authority.trim_start_matches('[').trim_end_matches(']').parse().ok())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use super::*;

    fn at(url: &str) -> String {
        format!("{{\"Ssm\":{{\"Endpoint\":\"{url}\"}}}}")
    }

    #[test]
    fn only_what_was_registered_at_this_computer_is_given_up() {
        for configuration in [
            String::new(),
            "{}".to_owned(),
            "damaged".to_owned(),
            at(""),
            at("192.0.2.1"),
            at("https://SSM.EU-WEST-1.AMAZONAWS.COM"),
            at("https://ssm.eusc-de-east-1.amazonaws.eu"),
            at("https://ssm.by-a-name-of-our-own.example"),
            at("http://192.0.2.10:8080"),
            at("http://192.0.2.1@ssm.example"),
            at("http://192.0.2.1.example"),
        ] {
            let error = refuse_elsewhere("mi-1 eu-west-1 Vault", &configuration, "192.0.2.1")
                .unwrap_err()
                .to_string();
            assert!(error.starts_with("this board is registered as mi-1 (eu-west-1) at "), "{error}");
            refuse_elsewhere("", &configuration, "192.0.2.1").unwrap();
        }
        for (url, controller) in [
            ("http://192.0.2.1:8080", "192.0.2.1"),
            ("https://192.0.2.1/", "192.0.2.1"),
            ("http://[2001:DB8::1]:8080", "2001:db8::1"),
            ("http://[2001:db8::1]", "2001:db8::1"),
        ] {
            refuse_elsewhere("mi-1 eu-west-1 Vault", &at(url), controller).unwrap();
        }
    }

    #[test]
    fn a_saved_registration_is_never_given_up_whatever_the_agent_is_told_now() {
        let registered = "mi-1 eu-west-1 Vault\nmi-2  Vault.bootstrap-saved\n";
        let error = refuse_elsewhere(registered, &at("http://192.0.2.1:8080"), "192.0.2.1").unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("as mi-2 ()") && error.contains("move /var/lib/amazon/ssm/Vault.boot"),
            "{error}"
        );
    }

    /// What a script says of these directories.
    fn sh(script: &str, places: &[&Path]) -> String {
        let shell = Command::new("sh").args(["-c", script, "sh"]).args(places).output().unwrap();
        assert!(shell.status.success(), "{shell:?}");
        String::from_utf8(shell.stdout).unwrap()
    }

    fn write_key(agent: &Path, vault: &str, text: &str) {
        let store = agent.join(vault).join("Store");
        fs::create_dir_all(&store).unwrap();
        fs::write(store.join("RegistrationKey"), text).unwrap();
    }

    #[test]
    fn a_registration_is_found_in_either_vault_without_its_private_key() {
        let place = tempfile::tempdir().unwrap();
        let place = place.path();
        assert_eq!(sh(REGISTERED, &[place]), "");
        // After `-register -clear`, or a registration that failed.
        write_key(place, "Vault", r#"{"instanceID":"","region":"","privateKey":"secret"}"#);
        assert_eq!(sh(REGISTERED, &[place]), "");
        let pretty =
            "{\n \"instanceID\": \"mi-2\",\n \"region\": \"eu-west-2\",\n \"privateKey\": \"secret\"\n}\n";
        write_key(place, "Vault.bootstrap-saved", pretty);
        assert_eq!(sh(REGISTERED, &[place]), "mi-2 eu-west-2 Vault.bootstrap-saved\n");
        write_key(place, "Vault", r#"{"instanceID":"mi-1","region":"eu-west-1","privateKey":"secret"}"#);
        let both = sh(REGISTERED, &[place]);
        assert_eq!(both, "mi-1 eu-west-1 Vault\nmi-2 eu-west-2 Vault.bootstrap-saved\n");
        let read: Vec<_> = registrations(&both).collect();
        assert_eq!(read, [("mi-1", "eu-west-1", "Vault"), ("mi-2", "eu-west-2", "Vault.bootstrap-saved")]);
    }

    #[test]
    fn what_is_set_aside_is_kept_for_root_alone_each_time_in_a_place_of_its_own() {
        let root = tempfile::tempdir().unwrap();
        let (agent, kept) = (root.path().join("ssm"), root.path().join("kept"));
        let set_aside = || sh(SET_ASIDE, &[&agent, &kept]);
        assert_eq!(set_aside(), "", "there is no agent");
        fs::create_dir(&agent).unwrap();
        assert_eq!(set_aside(), "", "it is not registered");
        assert!(!kept.exists());
        let mut places = Vec::new();
        for key in ["first", "second"] {
            write_key(&agent, "Vault", key);
            write_key(&agent, "Vault.bootstrap-saved", "");
            for file in ["registration", "runtimeconfig", "seelog.xml"] {
                fs::write(agent.join(file), "").unwrap();
            }
            let place = PathBuf::from(set_aside().trim_end());
            assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o700);
            let mut names: Vec<_> =
                fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            assert_eq!(names, ["Vault", "Vault.bootstrap-saved", "registration"]);
            places.push((place, key));
        }
        let left: Vec<_> = fs::read_dir(&agent).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["seelog.xml"]);
        for (place, key) in places {
            assert_eq!(place.parent(), Some(&*kept));
            assert_eq!(fs::read_to_string(place.join("Vault/Store/RegistrationKey")).unwrap(), key);
        }
    }
}
