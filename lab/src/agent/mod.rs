//! The stand-in for `amazon-ssm-agent`: the real one's paths, flags, files, exit codes, timing and traps, its message
//! channels, shell scripts and sessions. It exists so that a fleet can be rehearsed without an AWS account.
//!
//! [`program`] chooses what to do by name and flags; [`register`] and [`daemon`] do it over [`service`], on the
//! files of [`paths`]. A daemon has one thread per concern: the heartbeat, the two [`channel`]s, a few workers for
//! [`command`]s, and one for each [`session`]; all of them end with its [`time`].

pub mod associations;
pub mod bell;
pub mod channel;
pub mod children;
pub mod command;
pub mod config;
pub mod credentials_file;
pub mod daemon;
pub mod diary;
pub mod fingerprint;
pub mod flags;
pub mod host;
pub mod node;
pub mod paths;
pub mod program;
pub mod proof;
pub mod register;
pub mod role;
pub mod schedule;
pub mod service;
pub mod session;
pub mod ssm_cli;
pub mod time;
pub mod tls;
pub mod vault;

/// The version the stand-in reports; packages of it carry the same one.
pub const AGENT_VERSION: &str = "3.3.3000.0";
