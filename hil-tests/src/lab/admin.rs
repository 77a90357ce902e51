//! The endpoint from behind, and from the front: what it holds, faults to order, and the SDK's client for it.

use anyhow::{Context, Result, bail};
use aws_sdk_ssm::Client;
use aws_sdk_ssm::config::{BehaviorVersion, Config, Credentials, Region};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::Endpoint;

impl Endpoint {
    /// AWS's own client, as an operator would use it.
    #[must_use]
    pub fn client(&self) -> Client {
        let (key, secret) = (&self.access_key_id, self.secret_access_key.expose_secret());
        let config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(self.region.clone()))
            .endpoint_url(&self.url)
            .credentials_provider(Credentials::new(key, secret, None, None, "lab"))
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        Client::from_conf(config)
    }

    /// What it holds.
    pub async fn state(&self) -> Result<Value> {
        self.admin("GET", "/state", None).await
    }

    /// Activations that exist.
    pub async fn live_activations(&self) -> Result<usize> {
        let state = self.state().await?;
        let activations = state["activations"].as_array().cloned().unwrap_or_default();
        Ok(activations.iter().filter(|one| one["deleted"] != true).count())
    }

    /// Nodes that are not deregistered.
    pub async fn live_nodes(&self) -> Result<Vec<Value>> {
        let state = self.state().await?;
        let nodes = state["instances"].as_array().cloned().unwrap_or_default();
        Ok(nodes.into_iter().filter(|one| one["deregistered"] != true).collect())
    }

    /// An answer of its admin API.
    pub async fn admin(&self, method: &'static str, path: &str, body: Option<Value>) -> Result<Value> {
        let text = self.admin_text(method, path, body).await?;
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// An answer of its admin API, as it is.
    pub async fn admin_text(&self, method: &'static str, path: &str, body: Option<Value>) -> Result<String> {
        let uri = format!("{}{path}", self.admin);
        let call = move || -> Result<String> {
            let answer = match (method, body) {
                ("GET", None) => ureq::get(&uri).call(),
                ("DELETE", None) => ureq::delete(&uri).call(),
                ("POST", Some(body)) => {
                    ureq::post(&uri).content_type("application/json").send(body.to_string())
                }
                other => bail!("the endpoint has no such call: {other:?}"),
            };
            let mut answer = answer.with_context(|| format!("{method} {uri} failed"))?;
            Ok(answer.body_mut().read_to_string()?)
        };
        tokio::task::spawn_blocking(call).await.context("the call of the endpoint panicked")?
    }
}
