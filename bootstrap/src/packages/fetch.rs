//! Downloads one URL to one file: with limits of bytes and time, tried again where a failure can heal, and
//! conditionally where the file is there already.

use super::source::shown;
use super::{Limits, PackageError};
use reqwest::header::{ETAG, HeaderMap, HeaderName, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED};
use reqwest::{Client, Response, StatusCode, Url};
use serde::{Deserialize, Serialize};
use std::path::Path;
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

/// What a server says of the state of a file, to be asked about changes later.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Validators {
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
}

/// How a download ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Download {
    /// The file is there, complete.
    Fresh(Validators),
    /// What the validators stand for is still right.
    NotModified,
    /// The server has no such file. S3 says 403 where listing is not allowed.
    Absent(u16),
}

enum Failure {
    Heals(PackageError),
    Stays(PackageError),
}

/// A client with the system's certificates and proxies, and further certificates (PEM) where given. On a machine that has
/// none at all it trusts nobody, which is enough for `http://` and for files.
///
/// Installs ring as the process's TLS provider if none is installed yet.
pub fn http_client(ca_bundle: Option<&[u8]>) -> Result<Client, PackageError> {
    // An error means that there is a provider already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client_error = |error| PackageError::Client(Box::new(error));
    let builder = || {
        Client::builder()
            .user_agent(concat!("ssm-bootstrap/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(std::time::Duration::from_secs(10))
    };
    match ca_bundle {
        Some(pem) => {
            let certificates = reqwest::Certificate::from_pem_bundle(pem).map_err(client_error)?;
            builder().tls_certs_merge(certificates).build()
        }
        // If it is not the authorities that are lacking, the first error says what is.
        None => builder().build().or_else(|first| builder().tls_certs_only([]).build().map_err(|_| first)),
    }
    .map_err(client_error)
}

/// Downloads files.
#[derive(Debug, Clone)]
pub(super) struct Fetcher {
    pub(super) client: Client,
    pub(super) limits: Limits,
}

impl Fetcher {
    /// Downloads `url` to `path`, which is overwritten, unless `known` still holds.
    pub(super) async fn download(
        &self,
        url: &Url,
        known: &Validators,
        max_bytes: u64,
        path: &Path,
    ) -> Result<Download, PackageError> {
        let limit = self.limits.total;
        tokio::time::timeout(limit, self.try_repeatedly(url, known, max_bytes, path))
            .await
            .unwrap_or_else(|_| Err(PackageError::TimedOut { url: shown(url), limit }))
    }

    async fn try_repeatedly(
        &self,
        url: &Url,
        known: &Validators,
        max_bytes: u64,
        path: &Path,
    ) -> Result<Download, PackageError> {
        let mut tries = 1;
        let mut wait = self.limits.back_off;
        loop {
            match self.try_once(url, known, max_bytes, path, tries).await {
                Ok(download) => return Ok(download),
                Err(Failure::Heals(_)) if tries < self.limits.tries => {}
                Err(Failure::Heals(error) | Failure::Stays(error)) => return Err(error),
            }
            tokio::time::sleep(wait).await;
            tries += 1;
            wait = wait.saturating_mul(2);
        }
    }

    async fn try_once(
        &self,
        url: &Url,
        known: &Validators,
        max_bytes: u64,
        path: &Path,
        tries: u32,
    ) -> Result<Download, Failure> {
        let mut request = self.client.get(url.clone());
        for (name, value) in [(IF_NONE_MATCH, &known.etag), (IF_MODIFIED_SINCE, &known.last_modified)] {
            if let Some(value) = value {
                request = request.header(name, value);
            }
        }
        let response = self.in_time(url, tries, request.send()).await?;
        let status = response.status();
        match status {
            StatusCode::NOT_MODIFIED => return Ok(Download::NotModified),
            StatusCode::NOT_FOUND | StatusCode::FORBIDDEN | StatusCode::GONE => {
                return Ok(Download::Absent(status.as_u16()));
            }
            _ if status == StatusCode::OK => {}
            _ => {
                let error = PackageError::Http { url: shown(url), status: status.as_u16() };
                let heals = status.is_server_error()
                    || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
                return Err(if heals { Failure::Heals(error) } else { Failure::Stays(error) });
            }
        }
        let validators = validators(response.headers());
        self.save(url, response, max_bytes, path, tries).await?;
        Ok(Download::Fresh(validators))
    }

    async fn save(
        &self,
        url: &Url,
        mut response: Response,
        max_bytes: u64,
        path: &Path,
        tries: u32,
    ) -> Result<(), Failure> {
        let too_large = || Failure::Stays(PackageError::TooLarge { file: shown(url), limit: max_bytes });
        if response.content_length().is_some_and(|length| length > max_bytes) {
            return Err(too_large());
        }
        let io = |source| Failure::Stays(PackageError::Io { what: "write", path: path.to_owned(), source });
        let mut file = File::create(path).await.map_err(io)?;
        let mut left = max_bytes;
        while let Some(chunk) = self.in_time(url, tries, response.chunk()).await? {
            left = left.checked_sub(chunk.len() as u64).ok_or_else(too_large)?;
            file.write_all(&chunk).await.map_err(io)?;
        }
        file.flush().await.map_err(io)
    }

    async fn in_time<T>(
        &self,
        url: &Url,
        tries: u32,
        answer: impl Future<Output = Result<T, reqwest::Error>>,
    ) -> Result<T, Failure> {
        let limit = self.limits.idle;
        match tokio::time::timeout(limit, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) if error.is_builder() || error.is_redirect() => {
                Err(Failure::Stays(network(url, tries, error)))
            }
            Ok(Err(error)) => Err(Failure::Heals(network(url, tries, error))),
            Err(_) => Err(Failure::Heals(PackageError::TimedOut { url: shown(url), limit })),
        }
    }
}

/// The URL is in our own error already, without credentials; the client's would show them.
fn network(url: &Url, tries: u32, error: reqwest::Error) -> PackageError {
    PackageError::Network { url: shown(url), tries, source: Box::new(error.without_url()) }
}

fn validators(headers: &HeaderMap) -> Validators {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    Validators { etag: text(ETAG), last_modified: text(LAST_MODIFIED) }
}
