//! The agent's logs: every line to stdout, where the journal takes it, and to `amazon-ssm-agent.log`; errors to
//! `errors.log` too. A log that cannot be written stops nothing.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::PathBuf;

use jiff::Timestamp;

use super::paths::Paths;

/// The agent's log files.
#[derive(Debug, Clone)]
pub struct Diary {
    dir: PathBuf,
}

impl Diary {
    /// The logs below these paths.
    #[must_use]
    pub fn new(paths: &Paths) -> Self {
        Self { dir: paths.logs() }
    }

    /// Notes what happens.
    pub fn info(&self, message: &str) {
        self.write("INFO", message, &["amazon-ssm-agent.log"]);
    }

    /// Notes what went wrong.
    pub fn error(&self, message: &str) {
        self.write("ERROR", message, &["amazon-ssm-agent.log", "errors.log"]);
    }

    /// Notes what keeps a hibernating agent asleep.
    pub fn hibernation(&self, message: &str) {
        self.write("INFO", message, &["amazon-ssm-agent.log", "hibernate.log"]);
    }

    fn write(&self, level: &str, message: &str, files: &[&str]) {
        let time = Timestamp::now().strftime("%Y-%m-%d %H:%M:%S%.4f");
        let line = format!("{time} {level} [amazon-ssm-agent] {message}\n");
        let _ = std::io::stdout().lock().write_all(line.as_bytes());
        let _ = fs::create_dir_all(&self.dir);
        for file in files {
            let opened = OpenOptions::new().create(true).append(true).mode(0o600).open(self.dir.join(file));
            let _ = opened.and_then(|mut file| file.write_all(line.as_bytes()));
        }
    }
}
