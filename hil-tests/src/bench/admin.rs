//! The endpoint from behind: what it holds, and faults to order.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::Bench;

impl Bench {
    /// Orders a fault: the next `remaining` calls of `operation` fail with `error`.
    pub async fn fault(&self, operation: &str, error: &str, remaining: u32) -> Result<()> {
        self.order(json!({
            "operation": operation, "error": error, "status": 400, "remaining": remaining,
        }))
        .await
    }

    /// Orders a fault of any kind.
    pub async fn order(&self, fault: Value) -> Result<()> {
        self.mark(format!("fault ordered: {fault}"));
        self.admin("POST", "/faults", Some(fault)).await.map(|_| ())
    }

    /// What the endpoint holds.
    pub async fn state(&self) -> Result<Value> {
        self.admin("GET", "/state", None).await
    }

    /// How often an operation was called.
    pub async fn calls(&self, operation: &str) -> Result<u64> {
        Ok(self.state().await?["calls"][operation].as_u64().unwrap_or_default())
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

    /// An answer of the endpoint's admin API.
    pub async fn admin(&self, method: &'static str, path: &str, body: Option<Value>) -> Result<Value> {
        let text = self.admin_text(method, path, body).await?;
        Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// An answer of the endpoint's admin API, as it is.
    pub async fn admin_text(&self, method: &'static str, path: &str, body: Option<Value>) -> Result<String> {
        let uri = format!("{}{path}", self.endpoint()?.admin);
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
