//! The lab from outside: its programs as processes, its packages through dpkg, rpm and gpg.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test fails by panicking; clippy.toml lifts this for test functions only, not for their helpers"
)]

mod agent;
mod agent_channels;
mod audit;
mod channel_ends;
mod commands;
mod connections;
mod endpoint;
mod faults;
mod packages;
mod scripted_service;
mod session_documents;
mod sessions;
mod support;
mod swarm;
