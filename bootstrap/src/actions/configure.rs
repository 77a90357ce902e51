//! The agent's configuration: identity from the hybrid activation only (an IMDS that answers on some
//! clouds and labs would make an unregistered agent an EC2 instance), and the endpoint if it is not
//! AWS's own. Merged into what is there; a file that cannot be merged is left alone.

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
        let mut config = match current {
            Some(text) => serde_json::from_str(text).map_err(|e| ConfigureError::NotJson(e.to_string()))?,
            None => json!({}),
        };
        let before = config.clone();
        set(&mut config, "Identity", "ConsumptionOrder", json!(["OnPrem"]))?;
        if let Some(endpoint) = endpoint {
            set(&mut config, "Ssm", "Endpoint", json!(endpoint))?;
            set(&mut config, "Mds", "Endpoint", json!(endpoint))?;
            // The agent uses only host and port of this one, always by TLS, and without a scheme it silently
            // falls back to AWS's own name.
            let host = endpoint.split_once("://").map_or(endpoint, |(_, host)| host);
            set(&mut config, "Mgs", "Endpoint", json!(format!("https://{host}")))?;
        }
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

fn set(config: &mut Value, section: &str, key: &str, value: Value) -> Result<(), ConfigureError> {
    let root = config.as_object_mut().ok_or_else(|| ConfigureError::NotAnObject("the whole".into()))?;
    root.entry(section)
        .or_insert_with(|| Value::Object(Map::new()))
        .as_object_mut()
        .ok_or_else(|| ConfigureError::NotAnObject(section.into()))?
        .insert(key.to_owned(), value);
    Ok(())
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
            })
        );
        assert_eq!(Configure::wanted(Some(&first.content), Some("http://10.0.2.2:8080")), Ok(None));
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

    #[test]
    fn a_file_that_cannot_be_merged_is_refused() {
        assert!(matches!(Configure::wanted(Some("{"), None), Err(ConfigureError::NotJson(_))));
        let section = Configure::wanted(Some(r#"{"Identity":3}"#), None);
        assert_eq!(section, Err(ConfigureError::NotAnObject("Identity".into())));
        assert!(matches!(Configure::wanted(Some("[]"), None), Err(ConfigureError::NotAnObject(_))));
    }
}
