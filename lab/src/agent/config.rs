//! `amazon-ssm-agent.json`: the keys of it that matter here, and the endpoints that follow from them.

use std::{fs, io};

use serde::Deserialize;

use super::paths::Paths;

/// The configuration; every key has a default, and so has the whole file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Config {
    agent: Agent,
    ssm: Ssm,
    mds: Mds,
    mgs: Mgs,
    identity: Identity,
    profile: Profile,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Agent {
    region: String,
    service_domain: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Ssm {
    endpoint: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Mds {
    endpoint: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Mgs {
    endpoint: String,
    region: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Identity {
    consumption_order: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Profile {
    share_creds: bool,
    share_profile: String,
}

impl Default for Profile {
    fn default() -> Self {
        Self { share_creds: true, share_profile: String::new() }
    }
}

impl Config {
    /// Reads the file. What is not there or cannot be read counts as default; the second value says why.
    #[must_use]
    pub fn load(paths: &Paths) -> (Self, Option<String>) {
        let path = paths.config();
        let complain = |error: &dyn std::fmt::Display| {
            (Self::default(), Some(format!("Failed to read {}: {error}; using the defaults", path.display())))
        };
        match fs::read(&path) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(config) => (config, None),
                Err(error) => complain(&error),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => (Self::default(), None),
            Err(error) => complain(&error),
        }
    }

    /// The region to talk to, for a registration in `registered`.
    #[must_use]
    pub fn region<'a>(&'a self, registered: &'a str) -> &'a str {
        if self.agent.region.is_empty() { registered } else { &self.agent.region }
    }

    /// The URL of SSM: the configured one, https if it has no scheme, or AWS's.
    #[must_use]
    pub fn ssm_url(&self, region: &str) -> String {
        self.url(&self.ssm.endpoint, "ssm", region)
    }

    /// The URL of the message delivery service, by the same rules.
    #[must_use]
    pub fn mds_url(&self, region: &str) -> String {
        self.url(&self.mds.endpoint, "ec2messages", region)
    }

    fn url(&self, endpoint: &str, service: &str, region: &str) -> String {
        let endpoint = endpoint.trim_end_matches('/');
        if endpoint.is_empty() {
            return format!("https://{}", self.public_name(service, region));
        }
        if endpoint.contains("://") { endpoint.to_owned() } else { format!("https://{endpoint}") }
    }

    /// Host and port of the message gateway. Scheme and path of the setting are dropped. Go does not find the host of
    /// `host:port` without a scheme: the real agent then goes to AWS, and so does this one.
    #[must_use]
    pub fn mgs_authority(&self, region: &str) -> String {
        let endpoint = self.mgs.endpoint.as_str();
        let host = match endpoint.split_once("://") {
            Some((_, rest)) => rest.split(['/', '?', '#']).next().unwrap_or_default(),
            None if endpoint.contains(':') => "",
            None => endpoint.trim_end_matches('/'),
        };
        if host.is_empty() { self.public_name("ssmmessages", region) } else { host.to_owned() }
    }

    /// The region of the message gateway, for an agent that lives in `region`.
    #[must_use]
    pub fn mgs_region<'a>(&'a self, region: &'a str) -> &'a str {
        if self.mgs.region.is_empty() { region } else { &self.mgs.region }
    }

    fn public_name(&self, service: &str, region: &str) -> String {
        let domain = self.agent.service_domain.as_str();
        let domain = if domain.is_empty() { "amazonaws.com" } else { domain };
        format!("{service}.{region}.{domain}")
    }

    /// Whether a hybrid registration counts as an identity at all.
    #[must_use]
    pub fn uses_on_prem_identity(&self) -> bool {
        let order = &self.identity.consumption_order;
        order.is_empty() || order.iter().any(|identity| identity == "OnPrem")
    }

    /// The profile of the shared credentials file to overwrite, unless that is switched off.
    #[must_use]
    pub fn shared_profile(&self) -> Option<&str> {
        let profile = self.profile.share_profile.as_str();
        self.profile.share_creds.then_some(if profile.is_empty() { "default" } else { profile })
    }
}

#[cfg(test)]
mod tests {
    use super::Config;

    fn config(json: &str) -> Config {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn an_endpoint_without_a_scheme_is_https() {
        assert_eq!(
            config(r#"{"Ssm":{"Endpoint":"10.0.2.2:8443"}}"#).ssm_url("eu-central-1"),
            "https://10.0.2.2:8443"
        );
        assert_eq!(
            config(r#"{"Ssm":{"Endpoint":"http://10.0.2.2:80/"}}"#).ssm_url("x"),
            "http://10.0.2.2:80"
        );
        assert_eq!(config("{}").ssm_url("eu-central-1"), "https://ssm.eu-central-1.amazonaws.com");
    }

    #[test]
    fn of_the_gateways_endpoint_only_host_and_port_count() {
        let authority = |endpoint: &str| {
            config(&format!(r#"{{"Mgs":{{"Endpoint":"{endpoint}"}}}}"#)).mgs_authority("eu-central-1")
        };
        assert_eq!(authority("https://127.0.0.1:8443/some/path"), "127.0.0.1:8443");
        assert_eq!(authority("http://gateway.test"), "gateway.test");
        assert_eq!(authority("127.0.0.1:8443"), "ssmmessages.eu-central-1.amazonaws.com");
        assert_eq!(authority(""), "ssmmessages.eu-central-1.amazonaws.com");
        assert_eq!(
            config(r#"{"Agent":{"ServiceDomain":"amazonaws.com.cn"}}"#).mgs_authority("cn-north-1"),
            "ssmmessages.cn-north-1.amazonaws.com.cn"
        );
        assert_eq!(config(r#"{"Mgs":{"Region":"eu-west-1"}}"#).mgs_region("eu-west-3"), "eu-west-1");
    }

    #[test]
    fn the_defaults_are_those_of_the_real_agent() {
        let defaults = config("{}");
        assert!(defaults.uses_on_prem_identity());
        assert_eq!(defaults.shared_profile(), Some("default"));
        assert_eq!(defaults.region("eu-west-1"), "eu-west-1");
        assert!(!config(r#"{"Identity":{"ConsumptionOrder":["EC2"]}}"#).uses_on_prem_identity());
        assert_eq!(config(r#"{"Profile":{"ShareCreds":false}}"#).shared_profile(), None);
        assert_eq!(config(r#"{"Agent":{"Region":"eu-north-1"}}"#).region("eu-west-1"), "eu-north-1");
    }

    #[test]
    fn keys_that_do_not_matter_here_are_left_alone() {
        let config = config(
            r#"{"Mds":{"CommandWorkersLimit":5},"Agent":{"Version":""},"Ssm":{"HealthFrequencyMinutes":5}}"#,
        );
        assert!(config.uses_on_prem_identity());
    }
}
