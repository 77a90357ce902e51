//! The listeners: plain, TLS and admin, bound before anything is announced and ended together.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::tls::{Authority, TlsError, TlsListener};
use super::{Endpoint, admin, wire};

/// How long calls in flight get once the endpoint is told to stop.
const LAST_CALLS: Duration = Duration::from_secs(3);

/// Where to listen.
#[derive(Debug, Clone)]
pub struct Addresses {
    /// Plain HTTP.
    pub http: SocketAddr,
    /// HTTPS, if wanted.
    pub https: Option<SocketAddr>,
    /// The admin API.
    pub admin: SocketAddr,
}

/// Why the endpoint does not serve.
#[derive(Debug, Error)]
pub enum ServeError {
    /// An address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: io::Error },
    /// TLS is not to be had.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A listener broke down.
    #[error("a listener failed")]
    Serve(#[source] io::Error),
}

/// An endpoint whose listeners are bound.
#[derive(Debug)]
pub struct Bound {
    endpoint: Arc<Endpoint>,
    http: TcpListener,
    https: Option<(TcpListener, Authority)>,
    admin: TcpListener,
}

impl Bound {
    /// Binds all listeners; `authority` is asked for only when HTTPS is wanted.
    pub async fn bind(
        endpoint: Arc<Endpoint>,
        addresses: &Addresses,
        authority: impl FnOnce() -> Result<Authority, TlsError>,
    ) -> Result<Self, ServeError> {
        let https = match addresses.https {
            Some(address) => Some((listen(address).await?, authority()?)),
            None => None,
        };
        Ok(Self {
            endpoint,
            http: listen(addresses.http).await?,
            https,
            admin: listen(addresses.admin).await?,
        })
    }

    /// The plain endpoint's URL.
    pub fn http_url(&self) -> Result<String, ServeError> {
        url("http", &self.http)
    }

    /// The TLS endpoint's URL.
    pub fn https_url(&self) -> Result<Option<String>, ServeError> {
        self.https.as_ref().map(|(listener, _)| url("https", listener)).transpose()
    }

    /// The admin API's URL.
    pub fn admin_url(&self) -> Result<String, ServeError> {
        url("http", &self.admin)
    }

    /// The certificate clients of the TLS endpoint have to trust.
    #[must_use]
    pub fn ca(&self) -> Option<PathBuf> {
        self.https.as_ref().map(|(_, authority)| authority.certificate.clone())
    }

    /// Serves until `stop` is done; calls in flight get a few seconds to be answered.
    pub async fn serve(self, stop: impl Future<Output = ()> + Send + 'static) -> Result<(), ServeError> {
        let (sender, receiver) = watch::channel(false);
        tokio::spawn(async move {
            stop.await;
            let _ = sender.send(true);
        });
        let stopped = || {
            let mut receiver = receiver.clone();
            async move {
                let _ = receiver.wait_for(|stop| *stop).await;
            }
        };
        let api = wire::router(Arc::clone(&self.endpoint));
        let tls = match self.https {
            Some((listener, authority)) => {
                let listener =
                    TlsListener::start(listener, authority.server_config()?).map_err(ServeError::Serve)?;
                Some(axum::serve(listener, api.clone()).with_graceful_shutdown(stopped()).into_future())
            }
            None => None,
        };
        let tls = async {
            match tls {
                Some(server) => server.await,
                None => Ok(()),
            }
        };
        let http = axum::serve(self.http, api).with_graceful_shutdown(stopped()).into_future();
        let admin = axum::serve(self.admin, admin::router(self.endpoint))
            .with_graceful_shutdown(stopped())
            .into_future();
        let overdue = async {
            stopped().await;
            tokio::time::sleep(LAST_CALLS).await;
        };
        tokio::select! {
            served = async { tokio::try_join!(http, tls, admin) } => served.map(|_| ()).map_err(ServeError::Serve),
            () = overdue => Ok(()),
        }
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Listen { address, source })
}

fn url(scheme: &str, listener: &TcpListener) -> Result<String, ServeError> {
    let address = listener.local_addr().map_err(ServeError::Serve)?;
    Ok(format!("{scheme}://{address}"))
}
