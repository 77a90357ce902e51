//! Stop, save the vault, register, and put the vault back if that fails: the agent overwrites its vault
//! before it asks the service, and it must not run while it does.

use crate::{inventory::Proxy, ssm::ManagedNodeId};

/// Registers the host with an activation of its environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// AWS Region.
    pub region: String,
    /// Why.
    pub reason: Reason,
    /// By which the agent reaches SSM; what tells its service does not tell this call.
    pub proxy: Option<Proxy>,
}

/// Why a host is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It holds no registration.
    Unregistered,
    /// SSM does not know the node it says it is.
    UnknownToSsm(ManagedNodeId),
}

impl Register {
    pub(super) fn sentence(&self) -> String {
        match &self.reason {
            Reason::Unregistered => format!("register in {}", self.region),
            Reason::UnknownToSsm(node) => {
                format!("register again in {}: SSM does not know {node}", self.region)
            }
        }
    }

    pub(super) fn shell_arguments(&self) -> Vec<String> {
        let seen = match &self.reason {
            Reason::Unregistered => String::new(),
            Reason::UnknownToSsm(node) => node.to_string(),
        };
        let [url, except] = Proxy::words(self.proxy.as_ref());
        vec!["register".to_owned(), self.region.clone(), seen, url, except]
    }
}
