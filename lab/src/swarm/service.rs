//! The endpoint as one agent reaches it: an HTTP client of the agent's own, Go's attempts, and a chunked body where the
//! node signs with its own key.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt as _;
use jiff::Timestamp;
use rand::Rng as _;
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, InvalidDnsNameError, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::de::DeserializeOwned;
use serde_json::Value;
use thiserror::Error;

use super::pace::Pace;
use super::signing::{Proof, SignError, Unsigned};
use crate::agent::AGENT_VERSION;

/// Go's programs give up a connection attempt and a call after as long.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const CALL_LIMIT: Duration = Duration::from_secs(20);
/// Go's HTTP client closes a connection that was idle for this long, so each heartbeat comes over a new one.
const IDLE_LIMIT: Duration = Duration::from_secs(90);
const LARGEST_ANSWER: usize = 1 << 20;
/// Pauses between the four attempts, as those of the stand-in agent; each varies by half.
const RETRY_PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(5)];

/// An endpoint nobody can be sent to.
#[derive(Debug, Error)]
pub enum AddressError {
    /// No URL.
    #[error("the endpoint `{0}` is no https URL; give the one `ssm-lab serve --tls-listen` prints")]
    Url(String),
    /// No host a certificate could have.
    #[error("the endpoint's host `{0}` is no name a certificate could have")]
    Name(String, #[source] InvalidDnsNameError),
    /// No certificate to trust.
    #[error("cannot read the certificate authority {}; give the ca.pem of the lab's state directory with --ca", path.display())]
    Authority { path: PathBuf, source: pem::Error },
    /// rustls refuses the certificate.
    #[error("cannot trust the certificate authority")]
    Tls(#[from] rustls::Error),
}

/// Where the endpoint is, and whom to trust there.
#[derive(Debug, Clone)]
pub struct Address {
    pub(super) authority: String,
    pub(super) socket: (String, u16),
    pub(super) name: ServerName<'static>,
    pub(super) region: String,
    pub(super) tls: Arc<ClientConfig>,
}

impl Address {
    /// Reads an `https` URL and the PEM file of the authority behind it.
    pub fn new(url: &str, region: &str, authority: &Path) -> Result<Self, AddressError> {
        let bad = || AddressError::Url(url.to_owned());
        let parsed = reqwest::Url::parse(url).map_err(|_| bad())?;
        let host = parsed.host_str().filter(|_| parsed.scheme() == "https").ok_or_else(bad)?.to_owned();
        // A literal IPv6 address is bracketed in URLs only.
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name =
            ServerName::try_from(bare.clone()).map_err(|source| AddressError::Name(bare.clone(), source))?;
        let port = parsed.port_or_known_default().unwrap_or(443);
        Ok(Self {
            authority: parsed.port().map_or(host.clone(), |port| format!("{host}:{port}")),
            socket: (bare, port),
            name,
            region: region.to_owned(),
            tls: Arc::new(tls_config(authority)?),
        })
    }
}

fn tls_config(path: &Path) -> Result<ClientConfig, AddressError> {
    let unreadable = |source| AddressError::Authority { path: path.to_owned(), source };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        roots.add(certificate.map_err(unreadable)?)?;
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // Go resumes no sessions unless told to; and what one agent was given is not another's to use.
    config.resumption = Resumption::disabled();
    Ok(config)
}

/// Why a call came to nothing.
#[derive(Debug, Error)]
pub enum CallError {
    /// The endpoint refused.
    #[error("{operation}: {code} (HTTP {status})")]
    Refused { operation: String, status: u16, code: String },
    /// The endpoint did not answer.
    #[error("the endpoint did not answer")]
    Transport(#[source] reqwest::Error),
    /// The answer has no end.
    #[error("the endpoint's answer is larger than {LARGEST_ANSWER} bytes")]
    Endless,
    /// The answer is not what the API promises. What the parser says is left out: it may quote a secret.
    #[error("the endpoint's answer is not the one of {0}")]
    Answer(String),
    /// No signature.
    #[error(transparent)]
    Sign(#[from] SignError),
}

impl CallError {
    /// AWS's name of the error, if the endpoint refused.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Refused { code, .. } => Some(code),
            _ => None,
        }
    }

    /// Whether the same call may go well later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Refused { status, code, .. } => {
                *status >= 500
                    || ["ThrottlingException", "Throttling", "TooManyUpdates"].contains(&code.as_str())
            }
            Self::Transport(_) => true,
            _ => false,
        }
    }
}

/// One caller's way to the endpoint.
#[derive(Debug)]
pub struct Service {
    pub(super) address: Arc<Address>,
    pace: Pace,
    http: reqwest::Client,
}

/// An HTTP answer.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Service {
    /// A client with connections of its own.
    pub fn new(address: Arc<Address>, pace: Pace) -> Result<Self, CallError> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(ClientConfig::clone(&address.tls))
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .connect_timeout(CONNECT_LIMIT)
            .timeout(CALL_LIMIT)
            .pool_idle_timeout(IDLE_LIMIT)
            .pool_max_idle_per_host(1)
            .user_agent(format!("aws-sdk-go/1.51.20 (lab; linux) amazon-ssm-agent/{AGENT_VERSION}"))
            .build()
            .map_err(CallError::Transport)?;
        Ok(Self { address, pace, http })
    }

    /// Calls an operation of SSM, up to four times if that may help.
    pub(super) async fn call<T: DeserializeOwned>(
        &self,
        operation: &str,
        body: &Value,
        proof: Proof<'_>,
    ) -> Result<T, CallError> {
        let body = Bytes::from(body.to_string());
        for pause in RETRY_PAUSES {
            match self.attempt(operation, &body, proof).await {
                Err(error) if error.is_passing() => {
                    self.pace.pause(varied(pause)).await;
                }
                done => return done,
            }
        }
        self.attempt(operation, &body, proof).await
    }

    async fn attempt<T: DeserializeOwned>(
        &self,
        operation: &str,
        body: &Bytes,
        proof: Proof<'_>,
    ) -> Result<T, CallError> {
        let headers = vec![
            ("content-type".to_owned(), "application/x-amz-json-1.1".to_owned()),
            ("host".to_owned(), self.address.authority.clone()),
            ("x-amz-target".to_owned(), format!("AmazonSSM.{operation}")),
        ];
        let region = &self.address.region;
        let request =
            Unsigned { method: "POST", path: "/", query: "", headers, body, region, service: "ssm" };
        let headers = request.sign(proof, Timestamp::now()).await?;
        let chunked = matches!(proof, Proof::Node(..));
        let answer = self.post("/", &headers, body.clone(), chunked).await?;
        if answer.status == 200 {
            return serde_json::from_slice(&answer.body).map_err(|_| CallError::Answer(operation.to_owned()));
        }
        let error: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let code = error.get("__type").and_then(Value::as_str).unwrap_or("UnknownError");
        Err(CallError::Refused {
            operation: operation.to_owned(),
            status: answer.status,
            // Some of AWS's services put a namespace before the name.
            code: code.rsplit('#').next().unwrap_or(code).to_owned(),
        })
    }

    /// Sends what is signed already.
    pub(super) async fn post(
        &self,
        path: &str,
        headers: &[(String, String)],
        body: Bytes,
        chunked: bool,
    ) -> Result<Answer, CallError> {
        let mut request = self.http.post(format!("https://{}{path}", self.address.authority));
        for (name, value) in headers.iter().filter(|(name, _)| name != "host") {
            request = request.header(name, value);
        }
        let body = if chunked {
            reqwest::Body::wrap_stream(async { Ok::<_, io::Error>(body) }.into_stream())
        } else {
            body.into()
        };
        let mut response = request.body(body).send().await.map_err(transport)?;
        let mut answer = Answer { status: response.status().as_u16(), body: Vec::new() };
        while let Some(chunk) = response.chunk().await.map_err(transport)? {
            if answer.body.len() + chunk.len() > LARGEST_ANSWER {
                return Err(CallError::Endless);
            }
            answer.body.extend_from_slice(&chunk);
        }
        Ok(answer)
    }
}

fn varied(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(0.5..1.5))
}

/// The address is the same for all agents, so a complaint counts alike without it.
fn transport(error: reqwest::Error) -> CallError {
    CallError::Transport(error.without_url())
}
