//! A lab under test: the real `ssm-lab` process, the real agent binary under a temporary root, and a small signing
//! client that stands for the AWS SDK.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use lab::sigv4::{Authorization, Scope, SignedRequest, amz_date, signature, string_to_sign};
use serde_json::{Value, json};

pub(crate) const REGION: &str = "eu-central-1";
/// For what takes a second or two; generous, since machines are busy.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) fn eventually<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(found) = probe() {
            return found;
        }
        #[allow(clippy::disallowed_methods, reason = "no async runtime here")]
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("{what} did not happen within {PATIENCE:?}");
}

/// A running `ssm-lab serve`.
pub(crate) struct Lab {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) ready: Value,
    pub(crate) child: Child,
}

impl Lab {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts it with more options.
    pub(crate) fn start_with(options: &[&str]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ready_file = dir.path().join("ready.json");
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_ssm-lab"))
            .args(["serve", "--tls-listen", "127.0.0.1:0", "--region", REGION, "--state-dir"])
            .arg(dir.path().join("state"))
            .arg("--ready-file")
            .arg(&ready_file)
            .args(options)
            .stdout(std::fs::File::create(dir.path().join("out")).unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let ready =
            eventually("the ready file", || serde_json::from_slice(&std::fs::read(&ready_file).ok()?).ok());
        Self { dir, ready, child }
    }

    pub(crate) fn text(&self, member: &str) -> &str {
        self.ready[member].as_str().unwrap()
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap()
    }

    /// Calls as the lab user.
    pub(crate) fn call(&self, operation: &str, body: &Value) -> (u16, Value) {
        self.user().call(operation, body)
    }

    /// Calls as the lab user and wants success.
    pub(crate) fn done(&self, operation: &str, body: &Value) -> Value {
        let (status, answer) = self.call(operation, body);
        assert_eq!(status, 200, "{operation}: {answer}");
        answer
    }

    /// Calls as the lab user and wants this error.
    pub(crate) fn refused(&self, operation: &str, body: &Value, code: &str) {
        let (status, answer) = self.call(operation, body);
        assert_eq!((status, answer["__type"].as_str()), (400, Some(code)), "{operation} {body}: {answer}");
    }

    pub(crate) fn user(&self) -> Client {
        Client {
            url: self.text("endpoint").to_owned(),
            key: self.text("access_key_id").to_owned(),
            secret: self.text("secret_access_key").to_owned(),
            token: None,
            region: REGION.to_owned(),
            skew_seconds: 0,
        }
    }

    pub(crate) fn admin(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let url = format!("{}{path}", self.text("admin"));
        let agent = plain();
        let mut response = match (method, body) {
            ("GET", _) => agent.get(&url).call(),
            ("DELETE", _) => agent.delete(&url).call(),
            (_, body) => agent
                .post(&url)
                .header("content-type", "application/json")
                .send(body.cloned().unwrap_or_default().to_string()),
        }
        .unwrap();
        let text = response.body_mut().read_to_string().unwrap();
        (response.status().as_u16(), serde_json::from_str(&text).unwrap_or_default())
    }

    /// What the admin listener answers, as it stands.
    pub(crate) fn admin_text(&self, path: &str) -> (u16, String) {
        let mut response = plain().get(format!("{}{path}", self.text("admin"))).call().unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    }

    pub(crate) fn state(&self) -> Value {
        self.admin("GET", "/state", None).1
    }

    pub(crate) fn activation(&self, limit: u32) -> Value {
        self.done(
            "CreateActivation",
            &json!({"IamRole": "Role", "RegistrationLimit": limit, "DefaultInstanceName": "rack1",
                    "Tags": [{"Key": "environment", "Value": "dev"}]}),
        )
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn plain() -> ureq::Agent {
    ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().new_agent()
}

/// A signing client.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) url: String,
    pub(crate) key: String,
    pub(crate) secret: String,
    pub(crate) token: Option<String>,
    pub(crate) region: String,
    pub(crate) skew_seconds: i64,
}

impl Client {
    pub(crate) fn call(&self, operation: &str, body: &Value) -> (u16, Value) {
        self.try_call(operation, body).unwrap()
    }

    /// Calls where the connection may be lost.
    pub(crate) fn try_call(&self, operation: &str, body: &Value) -> Result<(u16, Value), ureq::Error> {
        self.call_service("ssm", &format!("AmazonSSM.{operation}"), body)
    }

    /// Calls the agent's older message service.
    pub(crate) fn call_messages(&self, operation: &str, body: &Value) -> (u16, Value) {
        let target = format!("EC2WindowsMessageDeliveryService.{operation}");
        self.call_service("ec2messages", &target, body).unwrap()
    }

    /// Looks up events of CloudTrail.
    pub(crate) fn lookup_events(&self, body: &Value) -> (u16, Value) {
        let target = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents";
        self.call_service("cloudtrail", target, body).unwrap()
    }

    fn call_service(&self, service: &str, target: &str, body: &Value) -> Result<(u16, Value), ureq::Error> {
        let now = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(self.skew_seconds);
        let date = amz_date(now);
        let body = body.to_string();
        let mut headers = vec![
            ("host".to_owned(), self.url.trim_start_matches("http://").to_owned()),
            ("x-amz-date".to_owned(), date.clone()),
        ];
        if let Some(token) = &self.token {
            headers.push(("x-amz-security-token".to_owned(), token.clone()));
        }
        headers.push(("x-amz-target".to_owned(), target.to_owned()));
        let scope =
            Scope { date: date[..8].to_owned(), region: self.region.clone(), service: service.to_owned() };
        let signed_headers: Vec<String> = headers.iter().map(|(name, _)| name.clone()).collect();
        let text = string_to_sign(
            &SignedRequest {
                method: "POST",
                path: "/",
                query: "",
                headers: &headers,
                signed_headers: &signed_headers,
                body: body.as_bytes(),
            },
            &date,
            &scope,
        );
        let signature = signature(&self.secret, &scope, &text);
        let authorization =
            Authorization { access_key_id: self.key.clone(), scope, signed_headers, signature }.to_header();
        headers.push(("authorization".to_owned(), authorization));
        try_post(&self.url, &headers, &body)
    }
}

/// Sends without a signature.
pub(crate) fn anonymous(url: &str, operation: &str, body: &Value) -> (u16, Value) {
    try_post(url, &[("x-amz-target".to_owned(), format!("AmazonSSM.{operation}"))], &body.to_string())
        .unwrap()
}

fn try_post(url: &str, headers: &[(String, String)], body: &str) -> Result<(u16, Value), ureq::Error> {
    let mut request = plain().post(format!("{url}/")).header("content-type", "application/x-amz-json-1.1");
    for (name, value) in headers.iter().filter(|(name, _)| name != "host") {
        request = request.header(name, value);
    }
    let mut response = request.send(body)?;
    assert!(response.headers().contains_key("x-amzn-requestid"));
    let text = response.body_mut().read_to_string()?;
    Ok((response.status().as_u16(), serde_json::from_str(&text).unwrap_or_default()))
}

/// A host the agent runs on: a directory that is its root.
pub(crate) struct Host {
    pub(crate) root: tempfile::TempDir,
    ca: PathBuf,
}

impl Host {
    pub(crate) fn new(lab: &Lab) -> Self {
        let host = Self { root: tempfile::tempdir().unwrap(), ca: lab.text("ca").into() };
        host.write("etc/machine-id", "0123456789abcdef0123456789abcdef\n");
        host.write("etc/os-release", "NAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\n");
        // Without all three the agent would go to AWS.
        let endpoint = json!({"Endpoint": lab.text("tls_endpoint")});
        host.configure(&json!({
            "Ssm": endpoint, "Mds": endpoint, "Mgs": endpoint, "Identity": {"ConsumptionOrder": ["OnPrem"]},
        }));
        host
    }

    pub(crate) fn write(&self, path: &str, content: &str) {
        let path = self.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    pub(crate) fn configure(&self, config: &Value) {
        self.write("etc/amazon/ssm/amazon-ssm-agent.json", &config.to_string());
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env("SSM_STANDIN_ROOT", self.root.path()).env("SSL_CERT_FILE", &self.ca);
        // It takes the place of the other where the agent asks for its role.
        command.env_remove("AWS_CA_BUNDLE");
        command
    }

    pub(crate) fn agent(&self, arguments: &[&str], stdin: &str) -> Output {
        let mut child = self
            .command(agent_binary())
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        child.wait_with_output().unwrap()
    }

    pub(crate) fn register(&self, activation: &Value, more: &[&str], stdin: &str) -> Output {
        let (id, code) =
            (activation["ActivationId"].as_str().unwrap(), activation["ActivationCode"].as_str().unwrap());
        let mut arguments = vec!["-register", "-id", id, "-code", code, "-region", REGION];
        arguments.extend(more);
        self.agent(&arguments, stdin)
    }

    pub(crate) fn vault(&self, name: &str) -> Value {
        let path = self.path("var/lib/amazon/ssm/Vault/Store").join(name);
        serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
    }

    pub(crate) fn node_id(&self) -> String {
        self.vault("RegistrationKey")["instanceID"].as_str().unwrap().to_owned()
    }

    pub(crate) fn daemon(&self) -> Child {
        self.command(agent_binary()).stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap()
    }
}

pub(crate) fn agent_binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_amazon-ssm-agent"))
}

pub(crate) fn terminate(child: &mut Child) -> std::process::ExitStatus {
    let status = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(status.success());
    child.wait().unwrap()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}
