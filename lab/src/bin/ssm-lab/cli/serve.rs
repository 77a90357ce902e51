//! `ssm-lab serve`.

use std::fs;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lab::endpoint::connection::Limits;
use lab::endpoint::database;
use lab::endpoint::iam::directory::Directory;
use lab::endpoint::iam::keys;
use lab::endpoint::ready::{self, Ready};
use lab::endpoint::server::{Addresses, Bound};
use lab::endpoint::tls::Authority;
use lab::endpoint::{Endpoint, Settings};
use lab::private_file;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustls::pki_types::ServerName;
use tokio::signal::unix::{SignalKind, signal};

use super::{Failure, duration};

/// The state's file in the state directory.
const STATE: &str = "state.db";

/// Serve the endpoint until SIGTERM or Ctrl-C. Its state is kept, so that a later `serve` goes on with it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Address for plain HTTP; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Address for HTTPS, with a certificate of the lab's own authority
    #[arg(long)]
    tls_listen: Option<SocketAddr>,
    /// Another name or address that the certificate is good for; may be given several times
    #[arg(long, value_name = "NAME", requires = "tls_listen", value_parser = host_name)]
    tls_name: Vec<String>,
    /// Address of the admin API (state, faults); keep it on the loopback
    #[arg(long, default_value = "127.0.0.1:0")]
    admin_listen: SocketAddr,
    /// Where the state, the users' keys and the certificate authority are kept
    #[arg(long, default_value = ".ssm-lab")]
    state_dir: PathBuf,
    /// Users, their policies and the policies of roles (TOML); without it, one user may do everything
    #[arg(long)]
    config: Option<PathBuf>,
    /// Forget activations, nodes and everything else at the end
    #[arg(long)]
    in_memory: bool,
    /// The region callers sign for
    #[arg(long, default_value = "eu-central-1")]
    region: String,
    /// Silence after which a node is ConnectionLost, for example 90s or 15m
    #[arg(long, default_value = "15m", value_parser = duration)]
    connection_lost_after: Duration,
    /// Where to write addresses and credentials (JSON, mode 0600) once all listeners are bound
    #[arg(long)]
    ready_file: Option<PathBuf>,
    #[command(flatten)]
    limits: ClientLimits,
}

/// A name or an address, alone.
fn host_name(text: &str) -> Result<String, String> {
    match ServerName::try_from(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("write a host name or an IP address, without scheme, port or path".to_owned()),
    }
}

/// The limits of the listeners, for tests that cannot wait for the usual ones.
#[derive(Debug, clap::Args)]
struct ClientLimits {
    #[arg(long, hide = true)]
    connections: Option<usize>,
    #[arg(long, hide = true, value_parser = duration)]
    head_limit: Option<Duration>,
    #[arg(long, hide = true, value_parser = duration)]
    body_limit: Option<Duration>,
    #[arg(long, hide = true, value_parser = duration)]
    idle_limit: Option<Duration>,
}

impl ClientLimits {
    fn limits(&self) -> Limits {
        let usual = Limits::default();
        Limits {
            connections: self.connections.unwrap_or(usual.connections),
            head: self.head_limit.unwrap_or(usual.head),
            body: self.body_limit.unwrap_or(usual.body),
            idle: self.idle_limit.unwrap_or(usual.idle),
            ..usual
        }
    }
}

impl Args {
    /// What the certificate has to name beside what it always does.
    fn tls_names(&self) -> Vec<String> {
        let own = self.tls_listen.map(|address| address.ip()).filter(|address| !address.is_unspecified());
        self.tls_name.iter().cloned().chain(own.map(|address| address.to_string())).collect()
    }

    pub(crate) fn run(self) -> Result<(), Failure> {
        private_file::private_dir(&self.state_dir)?;
        let state_dir = self.state_dir.canonicalize()?;
        let directory = Directory::load(self.config.as_deref(), &state_dir)?;
        let settings = Settings {
            region: self.region.clone(),
            account: directory.account().to_owned(),
            connection_lost_after: self.connection_lost_after,
        };
        let database =
            if self.in_memory { database::in_memory()? } else { database::open(&state_dir.join(STATE))? };
        let endpoint = Arc::new(Endpoint::new(settings, directory, database)?);
        let addresses = Addresses { http: self.listen, https: self.tls_listen, admin: self.admin_listen };

        allow_open_files();

        tokio::runtime::Runtime::new()?.block_on(async {
            let mut terminated = signal(SignalKind::terminate())?;
            let mut interrupted = signal(SignalKind::interrupt())?;
            let bound = Bound::bind(Arc::clone(&endpoint), &addresses, || {
                Authority::load_or_create(&state_dir, self.tls_names())
            })
            .await?;
            let ready = Ready::of(&bound, &self.region, endpoint.directory.lab_user())?;
            let own = state_dir.join(ready::FILE);
            ready.write(&own)?;
            if let Some(path) = &self.ready_file {
                ready.write(path)?;
            }
            // Nobody reading the lines is no reason not to serve.
            let name = self.tls_name.first().map(String::as_str);
            let lines = ready.lines(&state_dir.join(keys::CREDENTIALS_FILE), name);
            let _ = io::stdout().lock().write_all(lines.as_bytes());
            bound
                .serve(self.limits.limits(), async move {
                    tokio::select! {
                        _ = terminated.recv() => {}
                        _ = interrupted.recv() => {}
                    }
                })
                .await?;
            // One that stays behind is found out by whoever reads it.
            let _ = fs::remove_file(own);
            Ok(())
        })
    }
}

/// Each connection is an open file, and shells grant 1,024 of them where the system grants many more.
fn allow_open_files() {
    let granted = getrlimit(Resource::Nofile);
    // Where it is refused, fewer connections have to do.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: granted.maximum, ..granted });
}

#[cfg(test)]
mod tests {
    use super::host_name;

    #[test]
    fn a_name_of_the_certificate_is_a_name_or_an_address_alone() {
        for good in ["lab.example", "192.0.2.1", "2001:db8::1"] {
            assert_eq!(host_name(good).unwrap(), good);
        }
        for bad in [
            "",
            "https://lab.example",
            "lab.example/",
            "lab.example:8443",
            "192.0.2.1:8443",
            "l\u{e4}b.example",
            "a b",
            "..",
            "-",
        ] {
            assert!(host_name(bad).unwrap_err().contains("without scheme"), "{bad}");
        }
    }
}
