//! What the endpoint tells those who wait for it: the ready file, and the lines that point clients at it.

use std::path::{Path, PathBuf};

use secrecy::ExposeSecret as _;
use serde_json::json;

use super::lab_user::LabUser;
use super::server::{Bound, ServeError};
use crate::private_file;

/// Where a serving endpoint is and how to call it.
#[derive(Debug)]
pub struct Ready<'a> {
    endpoint: String,
    tls_endpoint: Option<String>,
    admin: String,
    ca: Option<PathBuf>,
    region: &'a str,
    user: &'a LabUser,
}

impl<'a> Ready<'a> {
    /// Reads the addresses off the bound listeners.
    pub fn of(bound: &Bound, region: &'a str, user: &'a LabUser) -> Result<Self, ServeError> {
        Ok(Self {
            endpoint: bound.http_url()?,
            tls_endpoint: bound.https_url()?,
            admin: bound.admin_url()?,
            ca: bound.ca(),
            region,
            user,
        })
    }

    /// Writes the ready file; mode 0600, since it holds the lab user's key.
    pub fn write(&self, path: &Path) -> Result<(), private_file::WriteError> {
        let content = json!({
            "schema": 1,
            "endpoint": self.endpoint,
            "tls_endpoint": self.tls_endpoint,
            "admin": self.admin,
            "ca": self.ca,
            "region": self.region,
            "access_key_id": self.user.access_key_id,
            "secret_access_key": self.user.secret_access_key.expose_secret(),
            "pid": std::process::id(),
        });
        private_file::write(path, format!("{content:#}\n").as_bytes())
    }

    /// Lines for the operator; the secret is named by its file, not shown.
    #[must_use]
    pub fn lines(&self, credentials: &Path) -> String {
        let url = self.tls_endpoint.as_ref().unwrap_or(&self.endpoint);
        let trust =
            self.ca.as_ref().map(|ca| format!("export AWS_CA_BUNDLE={}\n", ca.display())).unwrap_or_default();
        format!(
            "ssm-lab serves at {url} (admin {admin})\n\
             # for the AWS CLI and bootstrap; the secret key is SecretAccessKey in {credentials}\n\
             export AWS_ENDPOINT_URL_SSM={url}\n\
             export AWS_REGION={region}\n\
             export AWS_ACCESS_KEY_ID={key}\n\
             export AWS_SECRET_ACCESS_KEY=\"$(sed -n 's/.*\"SecretAccessKey\": \"\\(.*\\)\".*/\\1/p' '{credentials}')\"\n\
             {trust}",
            admin = self.admin,
            region = self.region,
            key = self.user.access_key_id,
            credentials = credentials.display(),
        )
    }
}
