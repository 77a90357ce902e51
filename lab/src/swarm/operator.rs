//! The user behind a swarm: makes and deletes its activations, deregisters its nodes, and asks what the endpoint says of them.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use secrecy::SecretString;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;
use thiserror::Error;

use super::pace::Pace;
use super::service::{Address, CallError, Service};
use super::signing::{AccessKeys, Proof};
use crate::ids::{ActivationId, ManagedNodeId};

/// The largest page of `DescribeInstanceInformation`.
const PAGE: u32 = 50;

/// A profile that is not to be had.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// No file.
    #[error("cannot read {}; give the state directory of the lab with --state-dir, or its file with --credentials", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// Nothing of that name in it.
    #[error("{} has no keys for the profile `{profile}`; choose another one with --profile", path.display())]
    Missing { path: PathBuf, profile: String },
}

/// An activation and its code.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Activation {
    /// Its id.
    #[serde(rename = "ActivationId")]
    pub id: ActivationId,
    /// Its code.
    #[serde(rename = "ActivationCode")]
    pub code: SecretString,
}

/// A user of the endpoint's account.
#[derive(Debug, Clone)]
pub struct Operator {
    keys: AccessKeys,
    service: Arc<Service>,
}

/// One node as the endpoint lists it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Listed {
    pub(super) instance_id: ManagedNodeId,
    pub(super) ping_status: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    instance_information_list: Vec<Listed>,
    next_token: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Connection {
    status: String,
}

impl Operator {
    /// The user with these keys.
    pub fn new(address: &Arc<Address>, keys: AccessKeys) -> Result<Self, CallError> {
        Ok(Self { keys, service: Arc::new(Service::new(Arc::clone(address), Pace::default())?) })
    }

    pub(super) async fn create_activation(
        &self,
        iam_role: &str,
        limit: u32,
    ) -> Result<Activation, CallError> {
        let wish = json!({
            "IamRole": iam_role,
            "RegistrationLimit": limit,
            "DefaultInstanceName": "swarm",
            "Description": "agents simulated by ssm-lab swarm",
        });
        self.service.call("CreateActivation", &wish, self.proof()).await
    }

    pub(super) async fn delete_activation(&self, id: &ActivationId) -> Result<(), CallError> {
        let body = json!({"ActivationId": id});
        self.service.call::<IgnoredAny>("DeleteActivation", &body, self.proof()).await.map(|_| ())
    }

    pub(super) async fn deregister(&self, id: &ManagedNodeId) -> Result<(), CallError> {
        let body = json!({"InstanceId": id});
        self.service.call::<IgnoredAny>("DeregisterManagedInstance", &body, self.proof()).await.map(|_| ())
    }

    /// A page of all nodes, and the token of the next one.
    pub(super) async fn page(
        &self,
        token: Option<String>,
    ) -> Result<(Vec<Listed>, Option<String>), CallError> {
        let mut body = json!({"MaxResults": PAGE});
        if let (Some(token), Some(members)) = (token, body.as_object_mut()) {
            members.insert("NextToken".to_owned(), json!(token));
        }
        let page: Page = self.service.call("DescribeInstanceInformation", &body, self.proof()).await?;
        Ok((page.instance_information_list, page.next_token))
    }

    pub(super) async fn is_connected(&self, id: &ManagedNodeId) -> Result<bool, CallError> {
        let body = json!({"Target": id});
        let connection: Connection = self.service.call("GetConnectionStatus", &body, self.proof()).await?;
        Ok(connection.status == "connected")
    }

    fn proof(&self) -> Proof<'_> {
        Proof::Keys(&self.keys)
    }
}

/// Reads one profile of a file of AWS credentials.
pub fn profile(path: &Path, profile: &str) -> Result<AccessKeys, ProfileError> {
    let text =
        fs::read_to_string(path).map_err(|source| ProfileError::Read { path: path.to_owned(), source })?;
    let (mut inside, mut id, mut secret, mut token) = (false, None, None, None);
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            inside = name.trim() == profile;
        } else if let Some((name, value)) = line.split_once('=').filter(|_| inside) {
            let value = value.trim().to_owned();
            match name.trim() {
                "aws_access_key_id" => id = Some(value),
                "aws_secret_access_key" => secret = Some(SecretString::from(value)),
                "aws_session_token" => token = Some(SecretString::from(value)),
                _ => {}
            }
        }
    }
    match (id, secret) {
        (Some(id), Some(secret)) => Ok(AccessKeys { id, secret, session_token: token }),
        _ => Err(ProfileError::Missing { path: path.to_owned(), profile: profile.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::{ProfileError, profile};

    #[test]
    fn a_profile_is_read_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("credentials");
        std::fs::write(
            &path,
            "# comment\n[default]\naws_access_key_id = AKIA1\naws_secret_access_key = s1\n\n\
             [other]\naws_access_key_id=AKIA2\naws_secret_access_key=s/2=\naws_session_token=t\n[empty]\n",
        )
        .unwrap();
        let default = profile(&path, "default").unwrap();
        assert_eq!((default.id.as_str(), default.secret.expose_secret()), ("AKIA1", "s1"));
        assert!(default.session_token.is_none());
        let other = profile(&path, "other").unwrap();
        assert_eq!((other.id.as_str(), other.secret.expose_secret()), ("AKIA2", "s/2="));
        assert_eq!(other.session_token.unwrap().expose_secret(), "t");
        for missing in ["empty", "nobody"] {
            assert!(matches!(profile(&path, missing), Err(ProfileError::Missing { .. })), "{missing}");
        }
        assert!(matches!(profile(&dir.path().join("none"), "default"), Err(ProfileError::Read { .. })));
    }
}
