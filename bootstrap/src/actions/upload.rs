//! The package travels once: streamed, checked on the host, renamed when whole. Its name on the host
//! holds its digest, so that a second run finds it and sends nothing.

/// Sends the package to the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    /// Its name on the host.
    pub file_name: String,
    /// Its SHA-256, in hex.
    pub sha256: String,
    /// Its size in bytes.
    pub size: u64,
}

impl Upload {
    pub(super) fn sentence(&self) -> String {
        format!("send {}", self.what())
    }

    pub(super) fn what(&self) -> String {
        format!("{} ({:.1} MB)", self.file_name, megabytes(self.size))
    }

    pub(super) fn shell_arguments(&self) -> Vec<String> {
        vec!["upload".into(), self.file_name.clone(), self.sha256.clone(), self.size.to_string()]
    }
}

fn megabytes(bytes: u64) -> f64 {
    #[expect(
        clippy::cast_precision_loss,
        reason = "a package is far below 2^52 bytes, and this is shown with one digit"
    )]
    let bytes = bytes as f64;
    bytes / 1e6
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command as Process, Stdio};

    use super::*;

    #[test]
    fn the_sentence_names_the_file_and_its_size() {
        let upload = Upload { file_name: "agent-1-abc.deb".into(), sha256: String::new(), size: 29_960_000 };
        assert_eq!(upload.sentence(), "send agent-1-abc.deb (30.0 MB)");
    }

    /// The function with its directory moved, since it writes where only root may.
    fn upload(directory: &std::path::Path, upload: &Upload, content: &[u8]) -> (Option<i32>, String) {
        let text = include_str!("upload.sh").replace("/var/lib/bootstrap", directory.to_str().unwrap());
        let arguments = upload.shell_arguments();
        let mut child = Process::new("sh")
            .args(["-c", &format!("{text}\nstep_upload \"$2\" \"$3\" \"$4\"\n"), "sh"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(content).unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }

    /// `printf hello | sha256sum`
    const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    #[test]
    fn what_arrives_whole_is_kept_under_its_name() {
        let directory = tempfile::tempdir().unwrap();
        let wanted = Upload { file_name: "x.deb".into(), sha256: HELLO.into(), size: 5 };
        assert_eq!(upload(directory.path(), &wanted, b"hello").0, Some(0));
        assert_eq!(std::fs::read(directory.path().join("x.deb")).unwrap(), b"hello");
    }

    #[test]
    fn parts_whose_writer_is_gone_are_removed_and_those_of_a_living_one_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let mut gone = Process::new("true").spawn().unwrap();
        gone.wait().unwrap();
        let part = |writer: u32| directory.path().join(format!(".y.deb.{writer}.part"));
        for writer in [gone.id(), std::process::id()] {
            std::fs::write(part(writer), "hel").unwrap();
        }
        // The number of the one that is gone may be another's: an hour ago it wrote last.
        let old = directory.path().join(format!(".z.deb.{}.part", std::process::id()));
        let hours_ago = std::time::SystemTime::now() - std::time::Duration::from_hours(2);
        std::fs::File::create(&old).unwrap().set_modified(hours_ago).unwrap();
        let wanted = Upload { file_name: "x.deb".into(), sha256: HELLO.into(), size: 5 };
        assert_eq!(upload(directory.path(), &wanted, b"hello").0, Some(0));
        assert!(!part(gone.id()).exists() && !old.exists() && part(std::process::id()).exists());
    }

    #[test]
    fn what_is_cut_off_or_changed_on_the_way_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let wanted = Upload { file_name: "x.deb".into(), sha256: HELLO.into(), size: 5 };
        let (code, message) = upload(directory.path(), &wanted, b"hell");
        assert_eq!((code, message.trim()), (Some(4), "only 4 of 5 bytes arrived"));
        let (code, message) = upload(directory.path(), &wanted, b"jello");
        assert_eq!(code, Some(5));
        assert!(message.contains(HELLO), "{message}");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }
}
