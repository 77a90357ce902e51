//! The agent's configuration: identity from the hybrid activation only (an IMDS that answers on some
//! clouds and labs would make an unregistered agent an EC2 instance), and the endpoint if the inventory
//! names one. Merged into what is there; a file that cannot be merged is left alone.
//!
//! What was set here is noted in the file, under a key that the agent does not know, so that it can be taken back when the
//! inventory does not ask for it any more, and a person's own setting is not.

use secrecy::SecretString;
use serde_json::{Map, Value, json};

/// Writes `amazon-ssm-agent.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configure {
    content: String,
    created: bool,
}

/// A configuration on the host that we must not touch.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ConfigureError {
    /// Not JSON.
    #[error("/etc/amazon/ssm/amazon-ssm-agent.json is not JSON: {0}")]
    NotJson(String),
    /// JSON, with something else where an object must be.
    #[error("`{0}` in /etc/amazon/ssm/amazon-ssm-agent.json is not an object")]
    NotAnObject(String),
}

impl Configure {
    /// What must be written, if anything: `current` is the file on the host, `endpoint` where the agent finds SSM.
    pub fn wanted(current: Option<&str>, endpoint: Option<&str>) -> Result<Option<Self>, ConfigureError> {
        let mut config = match current.filter(|text| !text.trim().is_empty()) {
            Some(text) => serde_json::from_str(text).map_err(|e| ConfigureError::NotJson(e.to_string()))?,
            // None, or one that a power cut emptied.
            None => json!({}),
        };
        let before = config.clone();
        set(&mut config, "Identity", "ConsumptionOrder", json!(["OnPrem"]))?;
        set_endpoints(&mut config, endpoint)?;
        if current.is_some() && config == before {
            return Ok(None);
        }
        Ok(Some(Self { content: format!("{config:#}"), created: current.is_none() }))
    }

    pub(super) fn sentence(&self) -> String {
        let verb = if self.created { "write" } else { "update" };
        format!("{verb} {}", targets::agent::CONFIG)
    }

    pub(super) fn shell_arguments() -> Vec<String> {
        vec!["configure".to_owned()]
    }

    pub(super) fn shell_variables(&self) -> Vec<(&'static str, SecretString)> {
        vec![("config", self.content.clone().into())]
    }
}

/// Where our own settings are noted, in the form that they have in the file.
const OURS: &str = "Bootstrap";

fn set_endpoints(config: &mut Value, endpoint: Option<&str>) -> Result<(), ConfigureError> {
    let noted = config.as_object_mut().and_then(|root| root.shift_remove(OURS)).unwrap_or_default();
    let mut ours = json!({});
    for (section, wanted) in endpoints(endpoint) {
        let pointer = format!("/{section}/Endpoint");
        let current = config.pointer(&pointer);
        let is_ours = current.is_some() && current == noted.pointer(&pointer);
        match wanted {
            // Who has set the same wants it, whatever the inventory says later.
            Some(url) if !is_ours && current.and_then(Value::as_str) == Some(url.as_str()) => {}
            Some(url) => {
                set(config, section, "Endpoint", json!(url))?;
                set(&mut ours, section, "Endpoint", json!(url))?;
            }
            None if is_ours => unset(config, section, "Endpoint"),
            None => {}
        }
    }
    if ours != json!({})
        && let Some(root) = config.as_object_mut()
    {
        root.insert(OURS.to_owned(), ours);
    }
    Ok(())
}

/// What the agent must be told for each of its services.
fn endpoints(endpoint: Option<&str>) -> [(&'static str, Option<String>); 3] {
    let Some(endpoint) = endpoint else { return [("Ssm", None), ("Mds", None), ("Mgs", None)] };
    let address = endpoint.split_once("://").map_or(endpoint, |(_, address)| address);
    let host = address.split(['/', ':']).next().unwrap_or_default().to_ascii_lowercase();
    // The messages have names of their own at AWS, which the agent knows; what has SSM's does not answer for them.
    let elsewhere = !targets::partition::is_ssm_of_aws(&host);
    [
        ("Ssm", Some(endpoint.to_owned())),
        ("Mds", elsewhere.then(|| endpoint.to_owned())),
        // The agent uses only host and port of this one, always by TLS, and without a scheme it silently
        // falls back to AWS's own name.
        ("Mgs", elsewhere.then(|| format!("https://{address}"))),
    ]
}

fn set(config: &mut Value, section: &str, key: &str, value: Value) -> Result<(), ConfigureError> {
    let root = config.as_object_mut().ok_or_else(|| ConfigureError::NotAnObject("the whole".into()))?;
    root.entry(section)
        .or_insert_with(|| Value::Object(Map::new()))
        .as_object_mut()
        .ok_or_else(|| ConfigureError::NotAnObject(section.into()))?
        .insert(key.to_owned(), value);
    Ok(())
}

/// Removes a key, and its section if nothing else is in it.
fn unset(config: &mut Value, section: &str, key: &str) {
    let Some(root) = config.as_object_mut() else { return };
    let Some(keys) = root.get_mut(section).and_then(Value::as_object_mut) else { return };
    keys.shift_remove(key);
    if keys.is_empty() {
        root.shift_remove(section);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_a_file_gets_one_and_then_nothing_more() {
        let first = Configure::wanted(None, Some("http://10.0.2.2:8080")).unwrap().unwrap();
        let written: Value = serde_json::from_str(&first.content).unwrap();
        assert_eq!(
            written,
            json!({
                "Identity": {"ConsumptionOrder": ["OnPrem"]},
                "Ssm": {"Endpoint": "http://10.0.2.2:8080"},
                "Mds": {"Endpoint": "http://10.0.2.2:8080"},
                "Mgs": {"Endpoint": "https://10.0.2.2:8080"},
                "Bootstrap": {
                    "Ssm": {"Endpoint": "http://10.0.2.2:8080"},
                    "Mds": {"Endpoint": "http://10.0.2.2:8080"},
                    "Mgs": {"Endpoint": "https://10.0.2.2:8080"},
                },
            })
        );
        assert_eq!(Configure::wanted(Some(&first.content), Some("http://10.0.2.2:8080")), Ok(None));
    }

    #[test]
    fn a_file_that_a_power_cut_emptied_is_written_anew() {
        for empty in ["", "\n"] {
            let written = Configure::wanted(Some(empty), None).unwrap().unwrap();
            assert_eq!(written.content, Configure::wanted(None, None).unwrap().unwrap().content);
        }
    }

    #[test]
    fn what_others_have_set_stays_and_keeps_its_order() {
        let current = r#"{"Profile":{"ShareCreds":false},"Identity":{"ConsumptionOrder":["EC2"],"X":1}}"#;
        let wanted = Configure::wanted(Some(current), None).unwrap().unwrap();
        let flat: String = wanted.content.split_whitespace().collect();
        assert_eq!(
            flat,
            r#"{"Profile":{"ShareCreds":false},"Identity":{"ConsumptionOrder":["OnPrem"],"X":1}}"#
        );
    }

    /// What the file is after `current` was made to have `endpoint`; `current` itself if it has it already.
    fn merged(current: &str, endpoint: Option<&str>) -> Value {
        let wanted = Configure::wanted(Some(current), endpoint).unwrap();
        serde_json::from_str(wanted.as_ref().map_or(current, |wanted| &wanted.content)).unwrap()
    }

    #[test]
    fn a_name_of_awss_own_is_told_for_ssm_alone() {
        for name in [
            "https://vpce-0a1b2c3d-abcdefgh.ssm.eu-central-1.vpce.amazonaws.com",
            "https://ssm-fips.us-gov-west-1.amazonaws.com",
            "https://ssm.cn-north-1.amazonaws.com.cn/",
            "https://SSM.eu-central-1.api.aws:443",
        ] {
            let config = merged("{}", Some(name));
            assert_eq!(config["Ssm"], json!({"Endpoint": name}));
            assert_eq!((config.get("Mds"), config.get("Mgs")), (None, None), "{config}");
        }
        for other in ["https://amazonaws.com.example", "https://ec2-192-0-2-1.compute-1.amazonaws.com:8443"] {
            assert_eq!(merged("{}", Some(other))["Mds"]["Endpoint"], other);
        }
    }

    #[test]
    fn what_was_set_for_an_endpoint_is_taken_back_with_it() {
        let before = r#"{"Mds":{"CommandWorkersLimit":5},"Identity":{"ConsumptionOrder":["OnPrem"]}}"#;
        let lab = merged(before, Some("https://10.0.2.2:8443")).to_string();
        let aws = merged(&lab, Some("https://vpce-1.ssm.eu-central-1.vpce.amazonaws.com"));
        assert_eq!((&aws["Mds"], aws.get("Mgs")), (&json!({"CommandWorkersLimit": 5}), None));
        for config in [lab, aws.to_string()] {
            assert_eq!(merged(&config, None), serde_json::from_str::<Value>(before).unwrap());
        }
    }

    #[test]
    fn an_endpoint_that_a_person_has_set_stays() {
        let theirs =
            r#"{"Identity":{"ConsumptionOrder":["OnPrem"]},"Ssm":{"Endpoint":"https://theirs.example"}}"#;
        assert_eq!(Configure::wanted(Some(theirs), None), Ok(None));
        // The same in the inventory makes it no more ours,
        let both = merged(theirs, Some("https://theirs.example"));
        assert_eq!(both["Bootstrap"].get("Ssm"), None);
        assert_eq!(merged(&both.to_string(), None), serde_json::from_str::<Value>(theirs).unwrap());
        // and neither is what somebody has changed since.
        let mut changed = merged("{}", Some("https://ours.example"));
        changed["Ssm"]["Endpoint"] = json!("https://theirs.example");
        assert_eq!(merged(&changed.to_string(), None), serde_json::from_str::<Value>(theirs).unwrap());
    }

    #[test]
    fn a_file_that_cannot_be_merged_is_refused() {
        assert!(matches!(Configure::wanted(Some("{"), None), Err(ConfigureError::NotJson(_))));
        let section = Configure::wanted(Some(r#"{"Identity":3}"#), None);
        assert_eq!(section, Err(ConfigureError::NotAnObject("Identity".into())));
        assert!(matches!(Configure::wanted(Some("[]"), None), Err(ConfigureError::NotAnObject(_))));
    }
}
