//! The rehearsal room: a local SSM endpoint, a stand-in for `amazon-ssm-agent`, and packages that carry it.
//!
//! The endpoint and the agent share nothing but what both sides of the real wire share: identifiers,
//! [SigV4](sigv4), the [node key](node_key) and the [frames](agent_message) of the message channels. The product never links this crate.

#[cfg(feature = "agent")]
pub mod agent;
pub mod agent_message;
#[cfg(feature = "endpoint")]
pub mod endpoint;
pub mod ids;
pub mod node_key;
#[cfg(feature = "packages")]
pub mod packages;
pub mod private_file;
pub mod sigv4;
#[cfg(feature = "swarm")]
pub mod swarm;
