//! The listeners: plain, TLS and admin, bound before anything is announced and ended together.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use super::connection::{self, Limits, Terms};
use super::origin::Listener;
use super::sessions::clockwork;
use super::tls::{Acceptors, Authority, TlsError};
use super::{Endpoint, admin, intake, wire};

/// How long calls in flight get once the endpoint is told to stop.
const LAST_CALLS: Duration = Duration::from_secs(3);
const AFTER_FAILED_ACCEPT: Duration = Duration::from_millis(100);
const ADMIN_CONNECTIONS: usize = 64;

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
    /// A listener does not know its address.
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
    pub async fn serve(
        self,
        limits: Limits,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ServeError> {
        let (sender, stopped) = watch::channel(false);
        let terms = |router| Terms {
            limits,
            router,
            room: Arc::new(Semaphore::new(intake::ROOM)),
            stop: stopped.clone(),
        };
        let api = terms(wire::router(Arc::clone(&self.endpoint)));
        let admin = terms(admin::router(Arc::clone(&self.endpoint)));
        let seats = Arc::new(Semaphore::new(limits.connections));
        let tls = match self.https {
            Some((listener, authority)) => Some(Door {
                listener,
                transport: Transport::Tls(Arc::clone(&self.endpoint), authority.acceptors()?),
                terms: api.clone(),
                seats: Arc::clone(&seats),
            }),
            None => None,
        };
        let http = Door { listener: self.http, transport: Transport::Plain, terms: api, seats };
        // Its own seats, so that faults can be cleared however many crowd at the API.
        let admin_seats = Arc::new(Semaphore::new(ADMIN_CONNECTIONS));
        let admin =
            Door { listener: self.admin, transport: Transport::Plain, terms: admin, seats: admin_seats };

        let overdue = async {
            stop.await;
            let _ = sender.send(true);
            // These would go on for hours.
            self.endpoint.channels.end_all();
            tokio::time::sleep(LAST_CALLS).await;
        };
        let all = async {
            tokio::join!(http.keep(), admin.keep(), async {
                if let Some(door) = tls {
                    door.keep().await;
                }
            })
        };
        tokio::select! {
            _ = all => {}
            () = overdue => {}
            () = clockwork::run(Arc::clone(&self.endpoint)) => {}
        }
        Ok(())
    }
}

/// How a listener's connections speak.
#[derive(Clone)]
enum Transport {
    Plain,
    Tls(Arc<Endpoint>, Acceptors),
}

/// A listener and the connections that came by it.
struct Door {
    listener: TcpListener,
    transport: Transport,
    terms: Terms,
    seats: Arc<Semaphore>,
}

impl Door {
    /// Lets connections in until it is told to stop, then waits for them to end; whoever drops this ends them.
    async fn keep(self) {
        let Self { listener, transport, terms, seats } = self;
        let mut stop = terms.stop.clone();
        let mut open = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, peer)) => {
                        // Without a seat the connection is closed at once: the client learns it, and nobody waits.
                        if let Ok(seat) = Arc::clone(&seats).try_acquire_owned() {
                            open.spawn(receive(stream, peer, transport.clone(), terms.clone(), seat));
                        }
                    }
                    // A client that was gone again, or no file descriptors left: others may end meanwhile.
                    Err(_) => tokio::time::sleep(AFTER_FAILED_ACCEPT).await,
                },
                Some(_) = open.join_next(), if !open.is_empty() => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        drop(listener);
        while open.join_next().await.is_some() {}
    }
}

async fn receive(
    stream: TcpStream,
    peer: SocketAddr,
    transport: Transport,
    terms: Terms,
    seat: OwnedSemaphorePermit,
) {
    // Answers are written whole; a kernel that refuses only makes them later.
    let _ = stream.set_nodelay(true);
    match transport {
        Transport::Plain => connection::serve(stream, peer, Listener::Plain, terms, seat).await,
        Transport::Tls(endpoint, acceptors) => {
            let wrong = endpoint.faults().certificate();
            let handshake = acceptors.showing(wrong).accept(stream);
            // A failed handshake is the client's affair; it sees the alert.
            if let Ok(Ok(stream)) = tokio::time::timeout(terms.limits.handshake, handshake).await {
                connection::serve(stream, peer, Listener::Tls, terms, seat).await;
            }
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
