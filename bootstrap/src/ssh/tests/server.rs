//! A real sshd for one test: own keys, own port, gone at the end.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::net::TcpStream;

/// A running server and its files.
pub(super) struct Sshd {
    process: Child,
    directory: TempDir,
    pub(super) port: u16,
    pub(super) user: String,
}

impl Sshd {
    /// A server that takes the key pair `id` and whose host keys are in `known_hosts`.
    pub(super) async fn start() -> Self {
        Self::with("").await
    }

    /// The same with more lines in its configuration; what they set, they set first.
    pub(super) async fn with(lines: &str) -> Self {
        Self::prepared(lines, |_| {}).await
    }

    /// A server whose Ed25519 host key is signed by `host_ca`, with these options of `ssh-keygen -s`.
    pub(super) async fn signing_hosts(options: &[&str]) -> Self {
        Self::prepared("HostCertificate %/host_ed25519-cert.pub", |at| {
            keygen(at, &["-q", "-t", "ed25519", "-N", "", "-f", "host_ca"]);
            let sign = ["-q", "-s", "host_ca", "-I", "lab", "-h"];
            keygen(at, &[&sign, options, &["host_ed25519.pub"]].concat());
        })
        .await
    }

    /// `%` in the lines is the server's directory.
    async fn prepared(lines: &str, prepare: impl FnOnce(&Path)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let lines = &lines.replace('%', &directory.path().display().to_string());
        let path = directory.path();
        for (name, kind) in
            [("id", "ed25519"), ("host_ed25519", "ed25519"), ("host_rsa", "rsa"), ("host_ecdsa", "ecdsa")]
        {
            keygen(path, &["-t", kind, "-N", "", "-f", name]);
        }
        fs::copy(path.join("id.pub"), path.join("authorized_keys")).unwrap();
        prepare(path);
        if !Path::new("/run/sshd").exists() {
            // Wanted by a server that runs as root; as another user it does without.
            fs::create_dir("/run/sshd").ok();
        }
        for _ in 0..10 {
            let port = free_port();
            if let Some(process) = launch(path, port, lines).await {
                let known = format!(
                    "[127.0.0.1]:{port} {}",
                    fs::read_to_string(path.join("host_ed25519.pub")).unwrap()
                );
                fs::write(path.join("known_hosts"), known).unwrap();
                return Self { process, directory, port, user: output("id", &["-un"]) };
            }
        }
        let log = fs::read_to_string(path.join("log")).unwrap_or_default();
        panic!("sshd does not start (as root it needs the directory /run/sshd); it says:\n{log}");
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub(super) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub(super) fn keygen(&self, arguments: &[&str]) -> String {
        keygen(self.directory.path(), arguments)
    }

    /// What `ssh-keygen -l` says of a key: `SHA256:...` and, in brackets, the type.
    pub(super) fn fingerprint(&self, name: &str) -> String {
        let line = self.keygen(&["-lf", name]);
        let words: Vec<&str> = line.split_whitespace().collect();
        format!("{} {}", words[1], words.last().unwrap())
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

async fn launch(directory: &Path, port: u16, lines: &str) -> Option<Child> {
    let at = directory.display();
    // A home of its own: what the start-up files of the user's shell say or cost is not tested here.
    let config = format!(
        "{lines}\nPort {port}\nListenAddress 127.0.0.1\nHostKey {at}/host_ed25519\nHostKey {at}/host_rsa\nHostKey {at}/host_ecdsa\n\
         AuthorizedKeysFile {at}/authorized_keys\nUsePAM no\nStrictModes no\nPidFile none\nMaxStartups 100\n\
         PasswordAuthentication no\nKbdInteractiveAuthentication no\nPrintMotd no\n\
         SetEnv HOME={at}\n"
    );
    fs::write(directory.join("config"), config).unwrap();
    let mut process = Command::new("/usr/sbin/sshd")
        .args(["-D", "-e", "-f"])
        .arg(directory.join("config"))
        .stdin(Stdio::null())
        .stderr(fs::File::create(directory.join("log")).unwrap())
        .spawn()
        .expect("the tests need /usr/sbin/sshd: apt-get install openssh-server");
    for _ in 0..600 {
        if process.try_wait().unwrap().is_some() {
            return None;
        }
        if TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return Some(process);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    process.kill().unwrap();
    process.wait().unwrap();
    None
}

/// A port on which nothing listens.
pub(super) fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Runs `ssh-keygen` in a directory and returns what it prints.
pub(super) fn keygen(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("ssh-keygen").args(arguments).current_dir(directory).output().unwrap();
    assert!(output.status.success(), "ssh-keygen {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
