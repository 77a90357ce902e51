//! What the endpoint tells those who wait for it: the ready file, and the lines that point clients at it.

use std::path::{Path, PathBuf};

use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::iam::directory::User;
use super::server::{Bound, ServeError};
use crate::private_file;

/// The ready file that every endpoint keeps in its state directory while it serves.
pub const FILE: &str = "ready.json";

/// How this computer calls an endpoint that listens on every address.
const LOOPBACK: &str = "127.0.0.1";

/// Where a serving endpoint is and how to call it.
#[derive(Debug)]
pub struct Ready<'a> {
    endpoint: String,
    tls_endpoint: Option<String>,
    admin: String,
    ca: Option<PathBuf>,
    region: &'a str,
    user: &'a User,
}

impl<'a> Ready<'a> {
    /// Reads the addresses off the bound listeners.
    pub fn of(bound: &Bound, region: &'a str, user: &'a User) -> Result<Self, ServeError> {
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

    /// Lines for the operator, to be pasted into a shell; the secret is named by its file, not shown. `name` is what hosts call
    /// an endpoint that listens on every address, which is itself no address to call.
    #[must_use]
    pub fn lines(&self, credentials: &Path, name: Option<&str>) -> String {
        let listens = self.tls_endpoint.as_ref().unwrap_or(&self.endpoint);
        let url = called(listens, LOOPBACK);
        let trust = self.ca.as_ref().map(|ca| quote(ca));
        let bundle = trust.as_ref().map(|ca| format!("export AWS_CA_BUNDLE={ca}\n")).unwrap_or_default();
        let authority =
            self.ca.as_ref().map(|ca| format!("# ca_bundle = {}\n", json!(ca))).unwrap_or_default();
        let agent_trust = match &trust {
            Some(ca) => format!("its service needs SSL_CERT_FILE={ca}"),
            None => "it has no control channel without --tls-listen, and polls for messages".to_owned(),
        };
        format!(
            "# ssm-lab serves at {url} (admin {admin})\n\
             # for the AWS CLI and the SDKs; every user of the lab has a profile of its name\n\
             unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_PROFILE\n\
             export AWS_ENDPOINT_URL={url}\n\
             export AWS_REGION={region} AWS_DEFAULT_REGION={region}\n\
             export AWS_SHARED_CREDENTIALS_FILE={file}\n\
             {bundle}\
             # for bootstrap too, which takes the endpoint from an environment of its inventory alone, as hosts have to know it\n\
             # endpoint = \"{url}\"\n\
             {authority}\
             # agent_endpoint = \"{plain}\"\n\
             # for a real agent, in /etc/amazon/ssm/amazon-ssm-agent.json; {agent_trust}\n\
             # {agent}\n",
            admin = called(&self.admin, LOOPBACK),
            // An agent that bootstrap has installed knows nothing of the lab's authority.
            plain = called(&self.endpoint, name.unwrap_or(LOOPBACK)),
            region = self.region,
            file = quote(credentials),
            agent = agent_config(&called(listens, name.unwrap_or(LOOPBACK)), self.region),
        )
    }
}

/// The URL of a listener as it is called: by `name`, which the certificate names, if it listens on every address.
fn called(url: &str, name: &str) -> String {
    let host = if name.contains(':') { format!("[{name}]") } else { name.to_owned() };
    let everywhere = ["://0.0.0.0:", "://[::]:"].into_iter().find(|address| url.contains(address));
    everywhere.map_or_else(|| url.to_owned(), |address| url.replacen(address, &format!("://{host}:"), 1))
}

/// What the real agent has to be told: each of its three services by its own key, with the scheme.
fn agent_config(url: &str, region: &str) -> Value {
    json!({
        "Agent": {"Region": region},
        "Identity": {"ConsumptionOrder": ["OnPrem"]},
        "Ssm": {"Endpoint": url},
        "Mds": {"Endpoint": url},
        "Mgs": {"Endpoint": url, "Region": region},
    })
}

/// A path as one word of the shell.
fn quote(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::{called, quote};

    #[test]
    fn an_endpoint_on_every_address_is_called_by_a_name_and_any_other_by_its_address() {
        for (listens, name, expected) in [
            ("https://0.0.0.0:8443", "lab.example", "https://lab.example:8443"),
            ("https://[::]:8443", "2001:db8::1", "https://[2001:db8::1]:8443"),
            ("http://0.0.0.0:8080", "127.0.0.1", "http://127.0.0.1:8080"),
            ("https://192.0.2.1:8443", "lab.example", "https://192.0.2.1:8443"),
            ("https://10.0.0.0:8443", "lab.example", "https://10.0.0.0:8443"),
        ] {
            assert_eq!(called(listens, name), expected);
        }
    }

    #[test]
    fn a_path_is_one_word_whatever_is_in_it() {
        assert_eq!(quote("/it's/a b".as_ref()), r"'/it'\''s/a b'");
    }
}
