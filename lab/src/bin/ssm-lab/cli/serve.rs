//! `ssm-lab serve`.

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use lab::endpoint::lab_user::{self, LabUser};
use lab::endpoint::ready::Ready;
use lab::endpoint::server::{Addresses, Bound};
use lab::endpoint::tls::Authority;
use lab::endpoint::{Endpoint, Settings};
use lab::private_file;
use tokio::signal::unix::{SignalKind, signal};

use super::Failure;

/// Serve the endpoint until SIGTERM or Ctrl-C. Activations and nodes live in memory.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Address for plain HTTP; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Address for HTTPS, with a certificate of the lab's own authority
    #[arg(long)]
    tls_listen: Option<SocketAddr>,
    /// Address of the admin API (state, faults); keep it on the loopback
    #[arg(long, default_value = "127.0.0.1:0")]
    admin_listen: SocketAddr,
    /// Where the lab user's key and the certificate authority are kept
    #[arg(long, default_value = ".ssm-lab")]
    state_dir: PathBuf,
    /// The region callers sign for
    #[arg(long, default_value = "eu-central-1")]
    region: String,
    /// Silence after which a node is ConnectionLost, for example 90s or 15m
    #[arg(long, default_value = "15m", value_parser = duration)]
    connection_lost_after: Duration,
    /// Where to write addresses and credentials (JSON, mode 0600) once all listeners are bound
    #[arg(long)]
    ready_file: Option<PathBuf>,
}

fn duration(text: &str) -> Result<Duration, String> {
    text.parse::<SignedDuration>().map_err(|error| error.to_string()).and_then(|duration| {
        Duration::try_from(duration).map_err(|_| "a duration must be positive".to_owned())
    })
}

impl Args {
    pub(crate) fn run(self) -> Result<(), Failure> {
        private_file::private_dir(&self.state_dir)?;
        let state_dir = self.state_dir.canonicalize()?;
        let user = LabUser::load_or_create(&state_dir)?;
        let settings =
            Settings { region: self.region.clone(), connection_lost_after: self.connection_lost_after };
        let endpoint = Arc::new(Endpoint::new(settings, user.clone()));
        let addresses = Addresses { http: self.listen, https: self.tls_listen, admin: self.admin_listen };

        tokio::runtime::Runtime::new()?.block_on(async {
            let mut terminated = signal(SignalKind::terminate())?;
            let mut interrupted = signal(SignalKind::interrupt())?;
            let bound = Bound::bind(endpoint, &addresses, || Authority::load_or_create(&state_dir)).await?;
            let ready = Ready::of(&bound, &self.region, &user)?;
            if let Some(path) = &self.ready_file {
                ready.write(path)?;
            }
            // Nobody reading the lines is no reason not to serve.
            let _ = io::stdout().lock().write_all(ready.lines(&state_dir.join(lab_user::FILE)).as_bytes());
            bound
                .serve(async move {
                    tokio::select! {
                        _ = terminated.recv() => {}
                        _ = interrupted.recv() => {}
                    }
                })
                .await?;
            Ok(())
        })
    }
}
