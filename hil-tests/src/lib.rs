//! Hardware in the loop: machines, scenarios that run on them, and the lab made of two of them and a local SSM endpoint.
//!
//! Everything that waits is async, and only waits with a limit. The program `hil` is a thin command line over this.

#[allow(clippy::indexing_slicing, reason = "an index that a JSON value has not is null, no panic")]
pub mod bench;
pub mod cli;
#[allow(clippy::indexing_slicing, reason = "an index that a JSON value has not is null, no panic")]
pub mod fleet;
pub mod kinds;
pub mod lab;
pub mod machine;
pub mod narration;
pub mod own_image;
mod private_file;
mod process;
pub mod report;
pub mod runner;
#[allow(clippy::indexing_slicing, reason = "an index that a JSON value has not is null, no panic")]
pub mod scenarios;
pub mod ssh;
mod wait;

pub use machine::{Machine, MachineError};
pub use narration::Narration;
pub use ssh::{Ssh, SshError};
