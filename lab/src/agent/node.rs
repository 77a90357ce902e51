//! What every thread of the running agent needs to know of the node it serves.

use super::config::Config;
use super::diary::Diary;
use super::paths::Paths;
use super::time::Time;

/// The node.
#[derive(Debug)]
pub struct Node {
    /// Its files.
    pub paths: Paths,
    /// Its configuration.
    pub config: Config,
    /// Its logs.
    pub diary: Diary,
    /// Its time, which ends.
    pub time: Time,
    /// `mi-` and 17 digits.
    pub id: String,
    /// Where it is managed.
    pub region: String,
}
