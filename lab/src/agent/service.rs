//! The JSON services, SSM and message delivery, as the real agent calls them: Go's retries, and a chunked body where
//! it signs with its own key.

use std::io::Cursor;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use thiserror::Error;
use ureq::SendBody;

use super::AGENT_VERSION;
use super::config::Config;
use super::proof::{Proof, Unsigned};
use super::time::Time;
use super::tls::{Bundle, PoolError, client_config};
use crate::node_key::KeyError;
use crate::sigv4::amz_date;

const CALL_LIMIT: Duration = Duration::from_secs(20);
const LARGEST_ANSWER: u64 = 1 << 20;
/// Pauses between the four attempts: a dead endpoint was given up after 9 seconds.
const RETRY_PAUSES: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(5)];

/// Why a call came to nothing.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// SSM answered with an error.
    #[error("{code}: {message}")]
    Api { status: u16, code: String, message: String },
    /// SSM did not answer.
    #[error("RequestError: send request failed")]
    Transport(#[from] ureq::Error),
    /// The answer is not what the API promises.
    #[error("SerializationError: failed decoding the response")]
    Answer(#[from] serde_json::Error),
    /// The node key does not sign.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Nobody to trust.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The agent was stopped between two attempts.
    #[error("RequestCanceled: the agent was stopped")]
    Ended,
}

impl ServiceError {
    /// AWS's error name, if it was AWS that refused.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Api { code, .. } => Some(code),
            _ => None,
        }
    }

    fn is_worth_retrying(&self) -> bool {
        match self {
            Self::Api { status, code, .. } => {
                *status >= 500
                    || ["ThrottlingException", "Throttling", "TooManyUpdates"].contains(&code.as_str())
            }
            Self::Transport(_) => true,
            _ => false,
        }
    }

    /// The error and what caused it, on one line, as the agent logs it.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            line = format!("{line}, caused by: {}", in_gos_words(error));
            cause = error.source();
        }
        line
    }
}

/// What installers look for in the agent's output are Go's words, not those of this program's libraries.
fn in_gos_words(error: &dyn std::error::Error) -> String {
    let text = error.to_string();
    if text.contains("invalid peer certificate") {
        return "tls: failed to verify certificate: x509: certificate signed by unknown authority".to_owned();
    }
    text
}

/// One of AWS's JSON services.
#[derive(Debug, Clone, Copy)]
struct Api {
    signing_name: &'static str,
    target: &'static str,
}

const SSM: Api = Api { signing_name: "ssm", target: "AmazonSSM" };

/// One service at one URL, for one region.
#[derive(Debug)]
pub struct Service {
    api: Api,
    url: String,
    host: String,
    region: String,
    client: ureq::Agent,
}

impl Service {
    /// SSM as configured.
    pub fn ssm(config: &Config, region: &str) -> Result<Self, ServiceError> {
        Self::new(SSM, &config.ssm_url(region), region, Bundle::Ignored)
    }

    /// SSM as configured, for the role's credentials.
    pub fn role(config: &Config, region: &str) -> Result<Self, ServiceError> {
        Self::new(SSM, &config.ssm_url(region), region, Bundle::Trusted)
    }

    /// The message delivery service as configured.
    pub fn messages(config: &Config, region: &str) -> Result<Self, ServiceError> {
        let api = Api { signing_name: "ec2messages", target: "EC2WindowsMessageDeliveryService" };
        Self::new(api, &config.mds_url(region), region, Bundle::Ignored)
    }

    fn new(api: Api, url: &str, region: &str, bundle: Bundle) -> Result<Self, ServiceError> {
        let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
        let host = authority.split('/').next().unwrap_or_default().to_owned();
        let client = http_client(&host, bundle)?;
        Ok(Self { api, url: format!("{url}/"), client, host, region: region.to_owned() })
    }

    /// Calls an operation, up to four times if that may help.
    pub fn call(
        &self,
        time: &Time,
        operation: &str,
        body: &Value,
        proof: Proof<'_>,
    ) -> Result<Value, ServiceError> {
        let body = body.to_string();
        for pause in RETRY_PAUSES {
            match self.attempt(time.now(), operation, &body, proof) {
                Err(error) if error.is_worth_retrying() => {
                    time.pause(pause).map_err(|_| ServiceError::Ended)?;
                }
                done => return done,
            }
        }
        self.attempt(time.now(), operation, &body, proof)
    }

    fn attempt(
        &self,
        now: Timestamp,
        operation: &str,
        body: &str,
        proof: Proof<'_>,
    ) -> Result<Value, ServiceError> {
        let headers = Unsigned {
            method: "POST",
            path: "/",
            query: "",
            headers: vec![
                ("content-type".to_owned(), "application/x-amz-json-1.1".to_owned()),
                ("host".to_owned(), self.host.clone()),
                ("x-amz-date".to_owned(), amz_date(now)),
                ("x-amz-target".to_owned(), format!("{}.{operation}", self.api.target)),
            ],
            body: body.as_bytes(),
            region: &self.region,
            service: self.api.signing_name,
        }
        .sign(proof)?;
        let mut request = self.client.post(&self.url);
        for (name, value) in headers.iter().filter(|(name, _)| name != "host") {
            request = request.header(name, value);
        }
        let mut response = match proof {
            Proof::Key(..) => request.send(SendBody::from_owned_reader(Cursor::new(body.to_owned())))?,
            _ => request.send(body.as_bytes())?,
        };
        let status = response.status().as_u16();
        let bytes = response.body_mut().with_config().limit(LARGEST_ANSWER).read_to_vec()?;
        if status == 200 {
            return Ok(serde_json::from_slice(&bytes)?);
        }
        Err(api_error(status, &bytes))
    }
}

/// A client with the agent's limits and trust, for calls to `host`.
pub fn http_client(host: &str, bundle: Bundle) -> Result<ureq::Agent, PoolError> {
    let mut settings = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(CALL_LIMIT))
        .tls_config(client_config(bundle)?)
        .user_agent(format!("aws-sdk-go/1.51.20 (lab; linux) amazon-ssm-agent/{AGENT_VERSION}"));
    // Go's programs never send loopback traffic through a proxy.
    if ["localhost", "127."].iter().any(|loopback| host.starts_with(loopback)) {
        settings = settings.proxy(None);
    }
    Ok(settings.build().new_agent())
}

fn api_error(status: u16, body: &[u8]) -> ServiceError {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    // Some of AWS's services put a namespace before the name.
    let code = text("__type").map_or("UnknownError", |code| code.rsplit('#').next().unwrap_or(code));
    let message = text("message").or_else(|| text("Message")).unwrap_or_default();
    ServiceError::Api { status, code: code.to_owned(), message: message.to_owned() }
}
