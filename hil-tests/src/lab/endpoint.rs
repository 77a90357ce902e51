//! The local SSM endpoint as a process: started detached, found again, stopped. What it serves is `ssm-lab`'s matter.

use std::fs::{self, OpenOptions};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};
use tokio::net::TcpStream;
use tokio::process::Command;

use super::paths::Paths;
use super::programs::Programs;
use crate::machine::{Machine, console, port};
use crate::process::Known;
use crate::wait::Deadline;

/// It makes a certificate authority at its first start; more is not to be waited for.
const START_LIMIT: Duration = Duration::from_mins(1);
/// Where guests of QEMU find it, and nobody else.
pub(crate) const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const STOP_GRACE: Duration = Duration::from_secs(5);

/// A running endpoint, as it describes itself in its ready file.
#[derive(Debug, Clone, Deserialize)]
pub struct Endpoint {
    /// URL for the controller.
    #[serde(rename = "endpoint")]
    pub url: String,
    /// URL with TLS, if it serves that.
    pub tls_endpoint: Option<String>,
    /// URL for ordering faults and looking behind the scenes.
    pub admin: String,
    /// The certificate of its own authority, if it serves TLS.
    pub ca: Option<PathBuf>,
    /// The region that its credentials are for.
    pub region: String,
    /// Credential.
    pub access_key_id: String,
    /// Credential.
    #[serde(deserialize_with = "secret")]
    pub secret_access_key: SecretString,
    pid: i32,
    #[serde(skip)]
    mark: String,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}

impl Endpoint {
    /// The endpoint of a lab, if it runs and accepts connections.
    pub(crate) async fn find(paths: &Paths) -> Option<Self> {
        let text = fs::read_to_string(paths.endpoint_ready()).ok()?;
        let mut endpoint: Self = serde_json::from_str(&text).ok()?;
        endpoint.mark = paths.endpoint_state().to_string_lossy().into_owned();
        (endpoint.process().is_alive() && endpoint.accepts().await).then_some(endpoint)
    }

    /// Starts it on an address, detached from this program's terminal, and waits for its ready file. `name` is how agents call
    /// this computer.
    pub(crate) async fn start(
        paths: &Paths,
        programs: &Programs,
        listen: IpAddr,
        name: &str,
    ) -> Result<Self> {
        let ready = paths.endpoint_ready();
        let addresses = Addresses::of_last_time(paths).unwrap_or_else(|| Addresses::on(listen));
        stop(paths).await;
        match fs::remove_file(&ready) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("can't delete {}", ready.display()));
            }
            _ => {}
        }
        let path = paths.endpoint_log();
        let log = OpenOptions::new().create(true).append(true).open(&path);
        let log = log.with_context(|| format!("can't write {}", path.display()))?;

        let mut command = Command::new("setsid");
        command.arg(&programs.ssm_lab).args(["serve", "--listen", &addresses.listen.to_string()]);
        command
            .args(["--tls-listen", &addresses.tls.to_string(), "--tls-name", name])
            .args(["--admin-listen", &addresses.admin.to_string(), "--state-dir"])
            .arg(paths.endpoint_state());
        command.arg("--ready-file").arg(&ready);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).current_dir("/");
        let mut child =
            command.spawn().context("can't run setsid; on Debian or Ubuntu: apt-get install util-linux")?;

        let deadline = Deadline::after(START_LIMIT);
        loop {
            if let Some(status) = child.try_wait()? {
                bail!("ssm-lab serve ended ({status}); the end of its log:\n{}", console::tail(&path, 15));
            }
            if let Some(endpoint) = Self::find(paths).await {
                return Ok(endpoint);
            }
            if !deadline.pause(Duration::from_millis(20)).await {
                bail!(
                    "the endpoint was not ready within {} s; see {}",
                    START_LIMIT.as_secs(),
                    path.display()
                );
            }
        }
    }

    /// URL for an agent in a machine.
    #[must_use]
    pub fn url_seen_from(&self, machine: &dyn Machine) -> String {
        with_host(&self.url, machine.host_seen_from_inside())
    }

    /// URL with TLS for the controller. Where it listens on every address, that is none which its certificate names.
    pub fn tls_url(&self) -> Result<String> {
        let url = self.tls_endpoint.as_deref().context("the endpoint serves no TLS")?;
        let everywhere = address_of(url).is_some_and(|address| address.ip().is_unspecified());
        Ok(if everywhere { with_host(url, &LOOPBACK.to_string()) } else { url.to_owned() })
    }

    /// URL with TLS for an agent in a machine.
    pub fn tls_url_seen_from(&self, machine: &dyn Machine) -> Result<String> {
        let url = self.tls_endpoint.as_deref().context("the endpoint serves no TLS")?;
        Ok(with_host(url, machine.host_seen_from_inside()))
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Credentials and the address, for the AWS CLI too, as lines for the shell.
    #[must_use]
    pub fn shell_exports(&self) -> String {
        let Self { access_key_id, region, url, .. } = self;
        let secret = self.secret_access_key.expose_secret();
        format!(
            "export AWS_ACCESS_KEY_ID='{access_key_id}' AWS_SECRET_ACCESS_KEY='{secret}'\n\
             export AWS_ENDPOINT_URL='{url}' AWS_REGION='{region}' AWS_DEFAULT_REGION='{region}'\n"
        )
    }

    fn process(&self) -> Known {
        Known { pid: self.pid, mark: self.mark.clone() }
    }

    async fn accepts(&self) -> bool {
        let Some(address) = address_of(&self.url) else { return false };
        let connected = tokio::time::timeout(Duration::from_secs(2), TcpStream::connect(address)).await;
        matches!(connected, Ok(Ok(_)))
    }
}

/// Ends the endpoint of a lab. True if one was running.
pub(crate) async fn stop(paths: &Paths) -> bool {
    let endpoint = fs::read_to_string(paths.endpoint_ready()).ok();
    let pid = endpoint.and_then(|text| Some(serde_json::from_str::<Endpoint>(&text).ok()?.pid));
    let Some(pid) = pid else { return false };
    let process = Known { pid, mark: paths.endpoint_state().to_string_lossy().into_owned() };
    let ran = process.is_alive();
    ran && process.stop(STOP_GRACE).await
}

/// Where it listens. The same as last time, if possible: agents in the guests were told.
struct Addresses {
    listen: SocketAddr,
    tls: SocketAddr,
    admin: SocketAddr,
}

impl Addresses {
    fn on(listen: IpAddr) -> Self {
        let free = |address| SocketAddr::new(address, port::free().unwrap_or_default());
        Self { listen: free(listen), tls: free(listen), admin: free(LOOPBACK) }
    }

    fn of_last_time(paths: &Paths) -> Option<Self> {
        let last: Endpoint = serde_json::from_str(&fs::read_to_string(paths.endpoint_ready()).ok()?).ok()?;
        let tls = address_of(last.tls_endpoint.as_deref()?)?;
        Some(Self { listen: address_of(&last.url)?, tls, admin: address_of(&last.admin)? })
    }
}

/// The same port on a host that is named in another way.
fn with_host(url: &str, host: &str) -> String {
    let Some((scheme, address)) =
        url.split_once("://").zip(address_of(url)).map(|((scheme, _), at)| (scheme, at))
    else {
        return url.to_owned();
    };
    let host = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
    format!("{scheme}://{host}:{}", address.port())
}

/// `http://127.0.0.1:8080` as an address.
fn address_of(url: &str) -> Option<SocketAddr> {
    let (_, rest) = url.split_once("://")?;
    rest.split('/').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const READY: &str = r#"{"endpoint":"http://127.0.0.1:8080","tls_endpoint":null,
        "admin":"http://127.0.0.1:8081","ca":null,"region":"eu-central-1","access_key_id":"AKIALAB",
        "secret_access_key":"not-to-be-seen","pid":42}"#;

    #[test]
    fn a_ready_file_is_read_and_its_secret_is_not_shown() {
        let endpoint: Endpoint = serde_json::from_str(READY).unwrap();
        assert!(!format!("{endpoint:?}").contains("not-to-be-seen"));
        let exports = endpoint.shell_exports();
        assert!(exports.contains("AWS_SECRET_ACCESS_KEY='not-to-be-seen'"), "{exports}");
        assert!(exports.contains("AWS_ENDPOINT_URL='http://127.0.0.1:8080'"), "{exports}");
    }

    #[test]
    fn the_controller_calls_an_endpoint_on_every_address_by_one_that_its_certificate_names() {
        for (listens, expected) in [
            ("https://0.0.0.0:8443", "https://127.0.0.1:8443"),
            ("https://[::]:8443", "https://127.0.0.1:8443"),
            ("https://192.0.2.1:8443", "https://192.0.2.1:8443"),
        ] {
            let ready = READY.replace("\"tls_endpoint\":null", &format!("\"tls_endpoint\":\"{listens}\""));
            let endpoint: Endpoint = serde_json::from_str(&ready).unwrap();
            assert_eq!(endpoint.tls_url().unwrap(), expected);
        }
    }

    #[test]
    fn an_address_is_read_from_a_url_with_or_without_a_path() {
        assert_eq!(address_of("http://127.0.0.1:8080"), Some(([127, 0, 0, 1], 8080).into()));
        assert_eq!(address_of("http://127.0.0.1:8080/"), Some(([127, 0, 0, 1], 8080).into()));
        assert_eq!(address_of("127.0.0.1:8080"), None);
    }

    #[test]
    fn a_machine_is_told_how_it_reaches_the_endpoint_wherever_that_listens() {
        for (url, host, expected) in [
            ("http://127.0.0.1:8080", "10.0.2.2", "http://10.0.2.2:8080"),
            ("https://0.0.0.0:8443", "192.0.2.1", "https://192.0.2.1:8443"),
            ("http://10.9.8.7:8080", "192.0.2.1", "http://192.0.2.1:8080"),
            ("http://[::]:8080", "2001:db8::1", "http://[2001:db8::1]:8080"),
        ] {
            assert_eq!(with_host(url, host), expected);
        }
    }

    #[tokio::test]
    async fn a_ready_file_of_a_process_that_is_gone_is_no_endpoint() {
        let directory = tempfile::tempdir().unwrap();
        let paths = Paths::new(directory.path()).unwrap();
        assert!(Endpoint::find(&paths).await.is_none());
        fs::write(paths.endpoint_ready(), READY).unwrap();
        assert!(Endpoint::find(&paths).await.is_none());
        assert!(!stop(&paths).await);
    }
}
