//! The script that changes a host, run for real against stand-ins for the host's programs. Each stand-in notes how it
//! was called; where the script writes is moved into a directory of the test.

use std::{
    fs,
    io::Write,
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Command as Process, Stdio},
    time::Duration,
};

use rustix::fs::{FlockOperation, fcntl_lock};
use secrecy::ExposeSecret;
use targets::{
    PackageTool,
    agent::{Installation, PACKAGED, SNAP, UPSTART},
};

use crate::inventory::Proxy;

use super::{
    Action, Install, Reason, Register, SetProxy, Start, StartReason,
    apply::{self, ActivationKey},
};

mod dpkg;
mod rpm;

const NODE: &str = "mi-0123456789abcdef0";
const PACKAGE: &str = "agent.pkg";
/// `printf hello | sha256sum`
const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

/// A host of stand-ins.
struct Stage(tempfile::TempDir);

impl Stage {
    fn new() -> Self {
        let stage = Self(tempfile::tempdir().unwrap());
        for directory in ["bin", "sent", "ssm", "run"] {
            fs::create_dir(stage.path(directory)).unwrap();
        }
        fs::write(stage.path("sent").join(PACKAGE), "hello").unwrap();
        // Waiting is not what is tested.
        stage.program("sleep", "");
        stage.program("sync", "");
        stage
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A program that notes its arguments and then does what `body` says; `$stage` is the host.
    fn program(&self, name: &str, body: &str) -> PathBuf {
        let (file, stage) = (self.path("bin").join(name), self.0.path().display());
        let text = format!("#!/bin/sh\nstage={stage}\necho \"{name} $*\" >>{stage}/calls\n{body}\n");
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        file
    }

    /// Runs the steps; the exit code and what was printed.
    fn run(&self, actions: &[Action], agent: &Installation) -> (Option<i32>, String) {
        self.run_with_path(actions, agent, ":$PATH")
    }

    /// The same with this behind the stand-ins in `PATH`.
    fn run_with_path(&self, actions: &[Action], agent: &Installation, path: &str) -> (Option<i32>, String) {
        self.run_planned(None, actions, agent, path)
    }

    /// The same as planned for a host of this premise.
    fn run_planned(
        &self,
        premise: Option<&str>,
        actions: &[Action],
        agent: &Installation,
        path: &str,
    ) -> (Option<i32>, String) {
        let key = ActivationKey { id: "an-id".into(), code: "a-very-secret-code".to_owned().into() };
        let command =
            apply::command(actions, agent, "run 7 of alice@controller", premise, Some(&key), Duration::ZERO)
                .unwrap();
        let here = |name: &str| self.path(name).display().to_string();
        let script = command
            .text()
            .expose_secret()
            .replace("PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH", &format!("PATH={}{path}", here("bin")))
            .replace("/usr/sbin/amazon-ssm-agent", &here("bin/agent-of-suse"))
            .replace("/var/lib/bootstrap", &here("sent"))
            .replace("/var/lib/amazon/ssm", &here("ssm"))
            .replace("/var/lib/dpkg", &here("dpkg"))
            .replace("/var/lib/rpm/.rpm.lock", &here("rpm.lock"))
            .replace("/run/bootstrap.lock", &here("run/lock"));
        let mut child = Process::new("/bin/sh")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // Start-up files of the login shell may say something, and not end the line.
        let script = format!("printf Welcome!\n{script}");
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        let said = text.strip_prefix("Welcome!\n").unwrap_or_else(|| panic!("swallowed: {text}"));
        (output.status.code(), said.to_owned())
    }

    /// How the programs were called, one a line, with the stage's own path taken out.
    fn calls(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path("calls")).unwrap_or_default();
        let stage = format!("{}/", self.0.path().display());
        text.lines().filter(|line| !line.starts_with("sync ")).map(|line| line.replace(&stage, "")).collect()
    }
}

fn install(tool: PackageTool) -> Action {
    Action::Install(Install {
        tool,
        file_name: PACKAGE.to_owned(),
        sha256: HELLO.to_owned(),
        version: "3.3.987.0".parse().unwrap(),
        replaces: None,
        finishes: Vec::new(),
    })
}

fn start() -> Action {
    Action::Start(Start { reason: StartReason::Changed })
}

#[test]
fn a_job_of_upstart_is_stopped_after_its_install_and_started_without_being_enabled() {
    let stage = Stage::new();
    stage.program("yum", "touch $stage/running");
    stage.program(
        "initctl",
        "case $1 in\n\
         status) if [ -e $stage/running ]; then echo \"$2 start/running, process 7\"; else echo \"$2 stop/waiting\"; fi ;;\n\
         start) touch $stage/running ;;\n\
         stop) rm $stage/running ;;\n\
         esac",
    );
    let (code, said) = stage.run(&[install(PackageTool::Yum), start()], &UPSTART);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(
        stage.calls(),
        [
            "initctl status amazon-ssm-agent",
            "yum localinstall -y --disablerepo=* sent/agent.pkg",
            "initctl status amazon-ssm-agent",
            "initctl stop amazon-ssm-agent",
            "initctl status amazon-ssm-agent",
            "initctl start amazon-ssm-agent",
        ]
    );
    assert!(stage.path("running").exists() && !stage.path("sent").exists());
}

#[test]
fn a_snap_is_registered_by_its_own_binary_and_started_as_its_own_unit() {
    let stage = Stage::new();
    stage.program("systemctl", "");
    let binary = stage.program(
        "snapped-agent",
        &format!("mkdir -p $stage/ssm/Vault/Store; echo '{{\"instanceID\":\"{NODE}\"}}' >$stage/ssm/Vault/Store/RegistrationKey"),
    );
    let binary: &'static str = Box::leak(binary.to_str().unwrap().to_owned().into_boxed_str());
    let register =
        Action::Register(Register { region: "eu-west-1".into(), reason: Reason::Unregistered, proxy: None });
    let (code, said) = stage.run(&[register, start()], &Installation { binary, ..SNAP });
    assert_eq!(code, Some(0), "{said}");
    let unit = "snap.amazon-ssm-agent.amazon-ssm-agent.service";
    assert_eq!(
        stage.calls(),
        [
            &format!("systemctl stop {unit}"),
            "snapped-agent -register -y -region eu-west-1 -id an-id -code a-very-secret-code",
            &format!("systemctl is-enabled {unit}"),
            &format!("systemctl enable {unit}"),
            &format!("systemctl restart {unit}"),
        ]
    );
}

#[test]
fn an_agent_that_suses_own_package_brought_is_registered_by_its_binary() {
    let stage = Stage::new();
    stage.program("systemctl", "");
    stage.program(
        "agent-of-suse",
        &format!("mkdir -p $stage/ssm/Vault/Store; echo '{{\"instanceID\":\"{NODE}\"}}' >$stage/ssm/Vault/Store/RegistrationKey"),
    );
    let register =
        Action::Register(Register { region: "eu-west-1".into(), reason: Reason::Unregistered, proxy: None });
    let (code, said) = stage.run(&[register], &Installation { binary: "/nowhere/agent", ..PACKAGED });
    assert_eq!(code, Some(0), "{said}");
    assert!(stage.calls().iter().any(|call| call.starts_with("agent-of-suse -register -y ")), "{said}");
}

#[test]
fn a_unit_that_is_enabled_is_not_enabled_again() {
    let stage = Stage::new();
    stage.program("systemctl", "[ \"$1\" != is-enabled ] || echo enabled");
    let (code, said) = stage.run(&[start()], &PACKAGED);
    assert_eq!(code, Some(0), "{said}");
    let unit = "amazon-ssm-agent.service";
    assert_eq!(stage.calls(), [format!("systemctl is-enabled {unit}"), format!("systemctl restart {unit}")]);
}

#[test]
fn the_lock_names_its_holder_and_a_host_that_is_held_is_not_touched() {
    let stage = Stage::new();
    stage.program("systemctl", "cat $stage/run/lock >$stage/holder");
    let (code, said) = stage.run(&[start()], &PACKAGED);
    assert_eq!(code, Some(0), "{said}");
    let holder = fs::read_to_string(stage.path("holder")).unwrap();
    assert!(
        holder.starts_with("run 7 of alice@controller since 2") && holder.contains("Z, process "),
        "{holder}"
    );
    let mode = fs::metadata(stage.path("run/lock")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "who can open it can lock it");

    fs::remove_file(stage.path("calls")).unwrap();
    // As busybox has it.
    stage.program("flock", "[ $1 != -w ] || exit 1; exec /usr/bin/flock \"$@\"");
    let lock = fs::File::open(stage.path("run/lock")).unwrap();
    lock.lock().unwrap();
    let (code, said) = stage.run(&[start()], &PACKAGED);
    assert_eq!((code, said.as_str()), (Some(75), format!(":held {holder}").as_str()));
    assert!(
        stage.calls().iter().all(|call| call.starts_with("flock") || call == "sleep 1"),
        "{:?}",
        stage.calls()
    );
    drop(lock);
    assert_eq!(stage.run(&[start()], &PACKAGED).0, Some(0), "a file without a holder is in nobody's way");
}

#[test]
fn nothing_is_done_on_a_host_that_is_no_longer_what_was_planned_for() {
    let stage = Stage::new();
    stage.program("systemctl", "");
    let vault = stage.path("ssm/Vault/Store");
    fs::create_dir_all(&vault).unwrap();
    let holds = |node: &str| {
        fs::write(vault.join("RegistrationKey"), format!("{{\"instanceID\":\"{node}\"}}")).unwrap();
    };
    let look = || {
        let function = include_str!("../facts/premise.sh")
            .replace("/var/lib/amazon/ssm", &stage.path("ssm").display().to_string());
        let output = Process::new("sh").args(["-c", &format!("{function}\npremise")]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let none = look();
    assert!(!none.is_empty() && !none.contains(char::is_whitespace), "{none}");
    holds(NODE);
    let (code, said) = stage.run_planned(Some(&none), &[start()], &PACKAGED, ":$PATH");
    assert_eq!((code, said.as_str()), (Some(75), ":stale\n"));
    assert_eq!(stage.calls(), Vec::<String>::new());

    let (code, said) = stage.run_planned(Some(&look()), &[start()], &PACKAGED, ":$PATH");
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn on_a_host_without_flock_the_work_goes_on_and_that_is_said() {
    let stage = Stage::new();
    stage.program("systemctl", "");
    // Only what the script needs, so that there is no flock.
    for name in ["cat", "date", "head", "sed"] {
        std::os::unix::fs::symlink(format!("/usr/bin/{name}"), stage.path("bin").join(name)).unwrap();
    }
    let (code, said) = stage.run_with_path(&[start()], &PACKAGED, "");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.starts_with(":note the host has no flock(1)"), "{said}");
}

#[test]
fn what_dpkg_left_half_done_is_finished_first_and_its_failure_is_not_the_agents() {
    let stage = Stage::new();
    stage.program("systemctl", "");
    stage.program("dpkg", "case $* in *configure*) echo 'error processing package foo'; exit 1 ;; esac");
    fs::create_dir_all(stage.path("dpkg/updates")).unwrap();
    let status = |state: &str| {
        fs::write(stage.path("dpkg/status"), format!("Package: foo\nStatus: install ok {state}\n")).unwrap();
    };
    let dpkg = || stage.calls().into_iter().filter(|call| call.starts_with("dpkg")).collect::<Vec<_>>();
    status("half-configured");
    let (code, said) = stage.run(&[install(PackageTool::Dpkg)], &PACKAGED);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains(":note dpkg was left half done") && said.contains("could not finish all"),
        "{said}"
    );
    assert_eq!(
        dpkg(),
        ["dpkg --force-confold --configure -a", "dpkg --force-confold --force-confmiss -i sent/agent.pkg"]
    );

    for (state, journal, calls) in [("installed", false, 1), ("installed", true, 2), ("unpacked", false, 2)] {
        fs::remove_file(stage.path("calls")).unwrap();
        fs::create_dir_all(stage.path("sent")).unwrap();
        fs::write(stage.path("sent").join(PACKAGE), "hello").unwrap();
        status(state);
        if journal {
            fs::write(stage.path("dpkg/updates/0001"), "").unwrap();
        } else {
            fs::remove_file(stage.path("dpkg/updates/0001")).ok();
        }
        assert_eq!(stage.run(&[install(PackageTool::Dpkg)], &PACKAGED).0, Some(0));
        assert_eq!(dpkg().len(), calls, "{state} {journal}");
    }
}

#[test]
fn whoever_holds_dpkgs_lock_is_named_and_waited_for_with_a_limit() {
    let stage = Stage::new();
    stage.program("systemctl", "");
    let words = "dpkg: error: dpkg frontend lock was locked by another process with pid 1";
    stage.program("dpkg", &format!("echo '{words}'; exit 2"));
    let (code, said) = stage.run(&[install(PackageTool::Dpkg)], &PACKAGED);
    assert_eq!(code, Some(1), "{said}");
    let first = fs::read_to_string("/proc/1/comm").unwrap();
    let note = format!(":note waiting for another package manager: {} (1)", first.trim());
    assert!(said.contains(&note) && said.contains(words), "{said}");
    assert_eq!(stage.calls().iter().filter(|call| *call == "sleep 5").count(), 60);
}

#[test]
fn a_proxy_is_told_to_the_service_and_to_the_registration_and_taken_back_alone() {
    let stage = Stage::new();
    stage.program("systemctl", "");
    let binary = stage.program(
        "agent",
        &format!(
            "env | grep -i _proxy= | LC_ALL=C sort >$stage/environment\n\
            mkdir -p $stage/ssm/Vault/Store; echo '{{\"instanceID\":\"{NODE}\"}}' >$stage/ssm/Vault/Store/RegistrationKey"
        ),
    );
    let leak = |path: PathBuf| -> &'static str { Box::leak(path.display().to_string().into_boxed_str()) };
    let file = stage.path("unit.d/zz-bootstrap-proxy.conf");
    let agent = Installation { binary: leak(binary), environment: leak(file.clone()), ..PACKAGED };
    let proxy = Proxy::sample("http://proxy.example:3128", &[".lan"]);
    let write = SetProxy::wanted(None, Some(&proxy), &agent).unwrap().unwrap();
    let register =
        Register { region: "eu-west-1".into(), reason: Reason::Unregistered, proxy: Some(proxy.clone()) };
    let actions = [Action::SetProxy(write), Action::Register(register), start()];
    let (code, said) = stage.run(&actions, &agent);
    assert_eq!(code, Some(0), "{said}");
    let written = fs::read_to_string(&file).unwrap();
    assert_eq!(SetProxy::wanted(Some(&written), Some(&proxy), &agent), Ok(None), "{written}");
    assert_eq!(
        fs::read_to_string(stage.path("environment")).unwrap(),
        "HTTPS_PROXY=http://proxy.example:3128\nHTTP_PROXY=http://proxy.example:3128\nNO_PROXY=169.254.169.254,.lan\n\
        http_proxy=http://proxy.example:3128\nhttps_proxy=http://proxy.example:3128\nno_proxy=169.254.169.254,.lan\n"
    );
    assert_eq!(stage.calls()[0], "systemctl daemon-reload", "before the start");
    assert_eq!(fs::read_dir(stage.path("unit.d")).unwrap().count(), 1, "no part is left");

    let remove = SetProxy::wanted(Some(&written), None, &agent).unwrap().unwrap();
    fs::write(stage.path("unit.d/theirs.conf"), "").unwrap();
    assert_eq!(stage.run(&[Action::SetProxy(remove.clone())], &agent).0, Some(0));
    assert!(!file.exists() && stage.path("unit.d/theirs.conf").exists());
    fs::remove_file(stage.path("unit.d/theirs.conf")).unwrap();
    assert_eq!(stage.run(&[Action::SetProxy(remove)], &agent).0, Some(0));
    assert!(!stage.path("unit.d").exists());
}
