//! Turns fleets of on-premises Linux hosts into AWS Systems Manager managed nodes that are proven Online.
//!
//! The way of the data: an [`inventory`] becomes a fleet; each host is observed ([`facts`]), what it
//! lacks is planned ([`plan`]) and done ([`actions`]) through one seam ([`host`], over [`ssh`]); [`ssm`] is
//! everything said to AWS, [`packages`] the agent's packages; [`fleet`] drives all hosts at once, tells
//! [`events`] as it goes and ends in a [`report`].

pub mod actions;
pub mod cli;
pub mod display;
pub mod events;
pub mod facts;
pub mod failure;
pub mod fleet;
pub mod host;
pub mod inventory;
pub mod journal;
pub mod packages;
pub mod plan;
pub mod report;
pub mod selection;
pub mod ssh;
pub mod ssm;
mod wildcard;
