//! The lab that all scenarios share, and `bootstrap` as a user runs it on it.

use std::{
    fs,
    io::{Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use hil_tests::{
    Lab, LabOptions, Lifetime, Machine, Narration,
    lab::{GuestSpec, Programs},
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

/// A run of the slowest scenario, on an emulated guest of a loaded machine, several times over.
const RUN_LIMIT: Duration = Duration::from_secs(400);
const SSH_LIMIT: Duration = Duration::from_secs(90);
const FRESH: &str = "fresh";

static RIG: LazyLock<Mutex<Rig>> = LazyLock::new(|| Mutex::new(Rig::new()));

/// The lab, and where `bootstrap` keeps its files.
pub(crate) struct Rig {
    pub(crate) lab: Lab,
    programs: Programs,
    scratch: tempfile::TempDir,
    runs: u32,
}

/// The lab with both guests as they were when they had just booted, and no fault on order.
pub(crate) fn rig() -> MutexGuard<'static, Rig> {
    let mut rig = RIG.lock().unwrap_or_else(PoisonError::into_inner);
    rig.reset();
    rig
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {self:#?}"))
    }

    /// The report of one host.
    pub(crate) fn host(&self, name: &str) -> Value {
        let report = self.json();
        let found = report["hosts"].as_array().unwrap().iter().find(|host| host["host"] == name).cloned();
        found.unwrap_or_else(|| panic!("{name} is not in {report:#}"))
    }

    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }
}

impl Rig {
    fn new() -> Self {
        let scratch = tempfile::Builder::new().prefix("hil-").tempdir().unwrap();
        let programs = Programs::beside_this_program(None).unwrap();
        let lab = Lab::up(&LabOptions {
            directory: scratch.path().join("lab"),
            guests: GuestSpec::pair(),
            programs: programs.clone(),
            lifetime: Lifetime::OfThisProgram,
            fresh: false,
            narration: Narration::stderr(),
        })
        .unwrap();
        for machine in lab.machines() {
            machine.wait_until_booted(SSH_LIMIT).unwrap();
            machine.save(FRESH).unwrap();
        }
        Self { lab, programs, scratch, runs: 0 }
    }

    fn reset(&mut self) {
        self.admin("DELETE", "/faults", None);
        thread::scope(|scope| {
            let restore = |machine: &Machine| {
                if !machine.is_running() {
                    machine.power_on_from(FRESH, SSH_LIMIT).unwrap();
                    return;
                }
                machine.set_link(true).unwrap();
                machine.restore(FRESH, SSH_LIMIT).unwrap();
            };
            let restores: Vec<_> =
                self.lab.machines().iter().map(|machine| scope.spawn(move || restore(machine))).collect();
            for restored in restores {
                restored.join().unwrap();
            }
        });
        self.runs += 1;
    }

    /// Where `bootstrap` of this scenario keeps its journal and its cache.
    pub(crate) fn home(&self) -> PathBuf {
        self.scratch.path().join(format!("home-{}", self.runs))
    }

    pub(crate) fn machine(&self, name: &str) -> &Machine {
        self.lab.machine(name).unwrap()
    }

    /// A command as root on a guest; its stdout.
    pub(crate) fn root(&self, name: &str, command: &[&str]) -> String {
        self.machine(name).ssh("root").run(command).unwrap()
    }

    /// Makes a guest trust the authority of the lab's endpoint. Into the bundle that agents read: update-ca-certificates runs
    /// openssl for each of all the others, for minutes on an emulated machine.
    pub(crate) fn trust_endpoint(&self, name: &str) {
        let ca = self.lab.endpoint().ca.clone().unwrap();
        self.machine(name).ssh("root").copy_in(&ca, "/root/lab.crt").unwrap();
        self.root(name, &["sh", "-c", "cat /root/lab.crt >> /etc/ssl/certs/ca-certificates.crt"]);
    }

    /// A copy of the lab's inventory, changed, beside it.
    pub(crate) fn inventory(&self, change: impl FnOnce(String) -> String) -> PathBuf {
        let text = fs::read_to_string(self.lab.paths().inventory()).unwrap();
        let path = self.lab.paths().directory().join(format!("hosts-{}.toml", self.runs));
        fs::write(&path, change(text)).unwrap();
        path
    }

    /// `bootstrap --inventory FILE --output json`, to its end.
    pub(crate) fn enrol(&self, inventory: &Path) -> Ran {
        self.run(&["--inventory", inventory.to_str().unwrap(), "--output", "json"])
    }

    /// `bootstrap` with these arguments, to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        Running::new(self.command(arguments)).end()
    }

    /// `bootstrap` with these arguments, going on.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        Running::new(self.command(arguments))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let endpoint = self.lab.endpoint();
        let mut command = Command::new(self.programs.hil.with_file_name("bootstrap"));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", self.home())
            .env("AWS_ACCESS_KEY_ID", &endpoint.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", endpoint.secret_access_key.expose_secret());
        fs::create_dir_all(self.home()).unwrap();
        command
    }

    /// Orders a fault: the next `remaining` calls of `operation` fail with `error`.
    pub(crate) fn fault(&self, operation: &str, error: &str, status: u16, remaining: u32) {
        self.order(&json!({
            "operation": operation, "error": error, "status": status, "remaining": remaining,
        }));
    }

    /// Orders a fault of any kind.
    pub(crate) fn order(&self, fault: &Value) {
        self.admin("POST", "/faults", Some(fault.clone()));
    }

    /// What the endpoint holds.
    pub(crate) fn state(&self) -> Value {
        self.admin("GET", "/state", None)
    }

    /// How often an operation was called.
    pub(crate) fn calls(&self, operation: &str) -> u64 {
        self.state()["calls"][operation].as_u64().unwrap_or_default()
    }

    /// Activations that exist.
    pub(crate) fn live_activations(&self) -> usize {
        let state = self.state();
        state["activations"].as_array().unwrap().iter().filter(|one| one["deleted"] != true).count()
    }

    pub(crate) fn admin(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        serde_json::from_str(&self.admin_text(method, path, body)).unwrap_or(Value::Null)
    }

    /// An answer of the endpoint's admin API as it is.
    pub(crate) fn admin_text(&self, method: &str, path: &str, body: Option<Value>) -> String {
        let uri = format!("{}{path}", self.lab.endpoint().admin);
        let answer = match (method, body) {
            ("GET", None) => ureq::get(uri).call(),
            ("DELETE", None) => ureq::delete(uri).call(),
            ("POST", Some(body)) => ureq::post(uri).content_type("application/json").send(body.to_string()),
            other => panic!("no such call: {other:?}"),
        };
        answer.unwrap().body_mut().read_to_string().unwrap()
    }
}

/// A `bootstrap` that goes on.
pub(crate) struct Running {
    child: Child,
    stdout: thread::JoinHandle<String>,
    stderr: thread::JoinHandle<String>,
    said: std::sync::Arc<Mutex<String>>,
}

impl Running {
    fn new(mut command: Command) -> Self {
        let mut child =
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = std::sync::Arc::new(Mutex::new(String::new()));
        let (mut stdout, mut stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let heard = said.clone();
        let stdout = thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).unwrap();
            text
        });
        let stderr = thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = stderr.read(&mut bytes) {
                std::io::stderr().write_all(&bytes[..count]).ok();
                heard.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
            }
            heard.lock().unwrap().clone()
        });
        Self { child, stdout, stderr, said }
    }

    /// Waits until a line with this text is on stderr.
    pub(crate) fn wait_for(&mut self, text: &str) {
        let start = Instant::now();
        while !self.said.lock().unwrap().contains(text) {
            assert!(start.elapsed() < RUN_LIMIT, "{text:?} was never said: {}", self.said.lock().unwrap());
            assert!(
                self.child.try_wait().unwrap().is_none(),
                "it ended before {text:?}: {}",
                self.said.lock().unwrap()
            );
            pause();
        }
    }

    /// Ctrl-C.
    pub(crate) fn interrupt(&self) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    }

    /// SIGKILL.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ran {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if start.elapsed() > RUN_LIMIT {
                self.child.kill().unwrap();
                panic!("it did not end: {}", self.said.lock().unwrap());
            }
            pause();
        };
        Ran {
            code: status.code().unwrap_or(-1),
            stdout: self.stdout.join().unwrap(),
            stderr: self.stderr.join().unwrap(),
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's own thread, which has nothing else to do")]
pub(crate) fn pause() {
    thread::sleep(Duration::from_millis(50));
}
