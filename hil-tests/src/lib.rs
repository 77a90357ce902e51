//! Hardware in the loop: QEMU machines, and the lab made of two of them and a local SSM endpoint.
//!
//! Used by the program `hil` and by the scenario tests; both drive the same [`Lab`]. Nothing here is async: a lab is a
//! handful of processes, and what waits for them are a few threads.

pub mod cli;
pub mod lab;
pub mod machine;
pub mod narration;
mod private_file;
mod process;
pub mod ssh;
mod wait;

pub use lab::{Lab, LabOptions, Lifetime};
pub use machine::{Machine, MachineError};
pub use narration::Narration;
pub use ssh::{Ssh, SshError};
