//! The registration of a board whose disk stays: deleted before a scenario, and by no means one that can't be made again.

use std::net::{IpAddr, SocketAddr};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Bench;

/// Where the agent keeps what it knows.
const AGENT: &str = "/var/lib/amazon/ssm";
const REGISTERED: &str = include_str!("registration.sh");
const CONFIGURATION: &str = "file=/etc/amazon/ssm/amazon-ssm-agent.json; [ ! -e $file ] || cat $file";
/// Without a registration, and without the credentials that would prove another account's.
const FORGET: &str = "systemctl stop amazon-ssm-agent 2>/dev/null; cd \"$1\" 2>/dev/null || exit 0; \
                      rm -rf Vault Vault.* registration runtimeconfig";

impl Bench {
    /// Deletes the registration of the machine, which nobody knows any more; an error if it may be known elsewhere.
    pub(super) async fn forget_registration(&self) -> Result<()> {
        let registered = self.root(&["sh", "-c", REGISTERED, "sh", AGENT]).await;
        let registered = registered.context("can't look for the board's registration")?;
        let configuration = self.root_sh(CONFIGURATION).await?;
        refuse_elsewhere(&registered, &configuration, self.machine().host_seen_from_inside())?;
        let forgotten = self.root(&["sh", "-c", FORGET, "sh", AGENT]).await;
        forgotten.map(|_| ()).context("can't take the board's registration away")
    }
}

/// An error unless all that is registered was so at this computer, which is `controller` to the board. What another one shows,
/// AWS's behind whatever name among them, can't be made again. An agent that is told of no endpoint calls AWS.
fn refuse_elsewhere(registered: &str, configuration: &str, controller: &str) -> Result<()> {
    let Some((node, region)) = registered.lines().find_map(|line| line.split_once(' ')) else {
        return Ok(());
    };
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
    use std::path::Path;

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
            let error =
                refuse_elsewhere("mi-1 eu-west-1", &configuration, "192.0.2.1").unwrap_err().to_string();
            assert!(error.starts_with("this board is registered as mi-1 (eu-west-1) at "), "{error}");
            refuse_elsewhere("", &configuration, "192.0.2.1").unwrap();
        }
        for (url, controller) in [
            ("http://192.0.2.1:8080", "192.0.2.1"),
            ("https://192.0.2.1/", "192.0.2.1"),
            ("http://[2001:DB8::1]:8080", "2001:db8::1"),
            ("http://[2001:db8::1]", "2001:db8::1"),
        ] {
            refuse_elsewhere("mi-1 eu-west-1", &at(url), controller).unwrap();
        }
    }

    fn registered(place: &Path) -> String {
        let shell =
            std::process::Command::new("sh").args(["-c", REGISTERED, "sh"]).arg(place).output().unwrap();
        assert!(shell.status.success(), "{shell:?}");
        String::from_utf8(shell.stdout).unwrap()
    }

    #[test]
    fn a_registration_is_found_in_either_vault_without_its_private_key() {
        let place = tempfile::tempdir().unwrap();
        assert_eq!(registered(place.path()), "");
        let write = |vault: &str, text: &str| {
            let store = place.path().join(vault).join("Store");
            std::fs::create_dir_all(&store).unwrap();
            std::fs::write(store.join("RegistrationKey"), text).unwrap();
        };
        // After `-register -clear`, or a registration that failed.
        write("Vault", r#"{"instanceID":"","region":"","privateKey":"secret"}"#);
        assert_eq!(registered(place.path()), "");
        let pretty =
            "{\n \"instanceID\": \"mi-2\",\n \"region\": \"eu-west-2\",\n \"privateKey\": \"secret\"\n}\n";
        write("Vault.bootstrap-saved", pretty);
        assert_eq!(registered(place.path()), "mi-2 eu-west-2\n");
        write("Vault", r#"{"instanceID":"mi-1","region":"eu-west-1","privateKey":"secret"}"#);
        assert_eq!(registered(place.path()), "mi-1 eu-west-1\nmi-2 eu-west-2\n");
    }
}
