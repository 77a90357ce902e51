//! The bench's endpoint from behind: what it holds, and faults to order.

use anyhow::Result;
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
        self.endpoint()?.state().await
    }

    /// How often an operation was called.
    pub async fn calls(&self, operation: &str) -> Result<u64> {
        Ok(self.state().await?["calls"][operation].as_u64().unwrap_or_default())
    }

    /// Activations that exist.
    pub async fn live_activations(&self) -> Result<usize> {
        self.endpoint()?.live_activations().await
    }

    /// Nodes that are not deregistered.
    pub async fn live_nodes(&self) -> Result<Vec<Value>> {
        self.endpoint()?.live_nodes().await
    }

    /// An answer of the endpoint's admin API.
    pub async fn admin(&self, method: &'static str, path: &str, body: Option<Value>) -> Result<Value> {
        self.endpoint()?.admin(method, path, body).await
    }

    /// An answer of the endpoint's admin API, as it is.
    pub async fn admin_text(&self, method: &'static str, path: &str, body: Option<Value>) -> Result<String> {
        self.endpoint()?.admin_text(method, path, body).await
    }
}
