//! How calls to AWS are made: credentials, endpoint, trust, time limits and retries of one environment.
//! Everything that a wrong inventory or a bare machine can spoil is found here, before the first call.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use aws_config::{
    BehaviorVersion, Region, SdkConfig, identity::IdentityCache, profile::ProfileFileCredentialsProvider,
    provider_config::ProviderConfig,
};
use aws_sdk_ssm::{
    Client,
    config::{
        FrameworkMetadata, RuntimeComponents, SharedCredentialsProvider, SharedHttpClient,
        endpoint::{DefaultResolver, Params, ResolveEndpoint},
        retry::{RetryConfig, RetryPartition, TokenBucket},
        timeout::TimeoutConfig,
    },
};
use aws_smithy_http_client::{
    Builder, ConnectorBuilder,
    proxy::ProxyConfig,
    tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode},
};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::{AwsControlPlane, Clock, Place};
use crate::inventory::Environment;

/// Why SSM cannot even be called.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The file cannot be read.
    #[error("cannot read ca_bundle {}", path.display())]
    ReadBundle {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file holds something else.
    #[error("ca_bundle {} holds no PEM certificate", .0.display())]
    EmptyBundle(PathBuf),
    /// One of its certificates is broken.
    #[error("certificate {number} of ca_bundle {} is broken: {reason}", path.display())]
    BrokenCertificate {
        /// The file.
        path: PathBuf,
        /// Which one, from 1.
        number: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// Neither the machine nor the inventory trusts anyone.
    #[error("this machine has no trusted certificate authorities, so {endpoint} cannot be trusted")]
    NoRoots {
        /// The endpoint.
        endpoint: String,
    },
    /// The SDK knows no endpoint for the Region, or none of the wanted sort.
    #[error("environment {environment}: no SSM endpoint for region {region:?}: {reason}")]
    NoEndpoint {
        /// The environment.
        environment: String,
        /// Its Region.
        region: String,
        /// What the SDK says.
        reason: String,
    },
    /// The SDK refuses what we tell it.
    #[error("the AWS SDK refuses its configuration: {0}")]
    Refused(String),
}

impl ConnectError {
    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::ReadBundle { .. } => "correct the environment's `ca_bundle`, or the file's permissions".to_owned(),
            Self::EmptyBundle(_) => {
                "a PEM file has `-----BEGIN CERTIFICATE-----` in it; convert DER with `openssl x509 -inform der`".to_owned()
            }
            Self::BrokenCertificate { .. } => "copy the certificate again; check it with `openssl x509 -text`".to_owned(),
            Self::NoRoots { .. } => {
                "install the package ca-certificates, or name a PEM file as the environment's `ca_bundle`".to_owned()
            }
            Self::NoEndpoint { .. } => {
                "correct the environment's `region`, such as eu-central-1; AWS_USE_FIPS_ENDPOINT and \
                 AWS_USE_DUALSTACK_ENDPOINT count too"
                    .to_owned()
            }
            Self::Refused(_) => "this is a fault of bootstrap; report it".to_owned(),
        }
    }
}

/// How patient we are. Tests are less so.
#[derive(Clone, Debug)]
pub(super) struct Patience {
    pub(super) connect: Duration,
    pub(super) attempt: Duration,
    pub(super) operation: Duration,
    pub(super) attempts: u32,
    pub(super) first_backoff: Duration,
}

/// An answer of SSM takes well under a second. Ten attempts, some 30 seconds in all, outlast a burst
/// of throttling; where every second call is throttled, one in a thousand fails.
const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(5),
    attempt: Duration::from_secs(15),
    operation: Duration::from_mins(1),
    attempts: 10,
    first_backoff: Duration::from_millis(500),
};

const LONGEST_BACKOFF: Duration = Duration::from_secs(10);

/// `credential_process` and SSO may ask a slow server, or the operator.
const CREDENTIALS_WITHIN: Duration = Duration::from_secs(30);

impl AwsControlPlane {
    /// SSM as this environment says, with its profile's credentials or else the SDK's default chain.
    /// Nothing is sent yet.
    pub async fn for_environment(environment: &Environment) -> Result<Self, ConnectError> {
        Self::connect(environment, &PATIENCE, None).await
    }

    pub(super) async fn connect(
        environment: &Environment,
        patience: &Patience,
        credentials: Option<SharedCredentialsProvider>,
    ) -> Result<Self, ConnectError> {
        let http = http_client(environment).await?;
        let sdk = sdk_config(environment, patience, http, credentials).await?;
        let endpoint = endpoint(environment, &sdk).await?;
        let clock = Clock::default();
        let config = aws_sdk_ssm::config::Builder::from(&sdk)
            .endpoint_url(&endpoint)
            // Already in the URL; the SDK refuses them beside one.
            .use_fips(false)
            .use_dual_stack(false)
            .interceptor(clock.clone())
            // The SDK's quota is a hundred retries a process, after which it gives up at the first throttling. Ours
            // are bounded anyway: by the hosts worked on at once, and by the attempts of each call.
            .retry_partition(
                RetryPartition::custom("bootstrap").token_bucket(TokenBucket::unlimited()).build(),
            )
            .build();
        let place =
            Place { region: environment.region.clone(), endpoint, profile: environment.profile.clone() };
        Ok(Self { client: Client::from_conf(config), place, clock })
    }
}

async fn sdk_config(
    environment: &Environment,
    patience: &Patience,
    http: SharedHttpClient,
    credentials: Option<SharedCredentialsProvider>,
) -> Result<SdkConfig, ConnectError> {
    let region = Region::new(environment.region.clone());
    let us = FrameworkMetadata::new("bootstrap", Some(env!("CARGO_PKG_VERSION")))
        .map_err(|error| ConnectError::Refused(error.to_string()))?;
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .region(region.clone())
        .http_client(http.clone())
        .framework_metadata(us)
        .identity_cache(IdentityCache::lazy().load_timeout(CREDENTIALS_WITHIN).build())
        // Not adaptive: once throttled, that lets one retry through in ten seconds, for all hosts together.
        .retry_config(
            RetryConfig::standard()
                .with_max_attempts(patience.attempts)
                .with_initial_backoff(patience.first_backoff)
                .with_max_backoff(LONGEST_BACKOFF),
        )
        .timeout_config(
            TimeoutConfig::builder()
                .connect_timeout(patience.connect)
                .operation_attempt_timeout(patience.attempt)
                .operation_timeout(patience.operation)
                .build(),
        );
    if let Some(profile) = &environment.profile {
        // In the SDK's default chain AWS_ACCESS_KEY_ID wins over a profile, even over one asked for by name:
        // hosts of `prod` would be registered in whatever account the shell is logged in to.
        let provider = ProviderConfig::without_region()
            .with_region(Some(region))
            .with_http_client(http)
            .with_behavior_version(Some(BehaviorVersion::latest()));
        loader = loader.profile_name(profile).credentials_provider(
            ProfileFileCredentialsProvider::builder().configure(&provider).profile_name(profile).build(),
        );
    }
    if let Some(credentials) = credentials {
        loader = loader.credentials_provider(credentials);
    }
    Ok(loader.load().await)
}

/// The endpoint's URL: the inventory's, else AWS's own. Not `AWS_ENDPOINT_URL`, because the hosts would
/// know nothing of it.
pub(super) async fn endpoint(environment: &Environment, sdk: &SdkConfig) -> Result<String, ConnectError> {
    if let Some(endpoint) = &environment.endpoint {
        return Ok(endpoint.clone());
    }
    let unknown = |reason: String| ConnectError::NoEndpoint {
        environment: environment.name.to_string(),
        region: environment.region.clone(),
        reason,
    };
    let wish = Params::builder()
        .region(&environment.region)
        .set_use_fips(sdk.use_fips())
        .set_use_dual_stack(sdk.use_dual_stack())
        .build()
        .map_err(|error| unknown(error.to_string()))?;
    let resolver = DefaultResolver::new();
    let endpoint = ResolveEndpoint::resolve_endpoint(&resolver, &wish).await;
    endpoint.map(|endpoint| endpoint.url().to_owned()).map_err(|error| unknown(error.to_string()))
}

/// HTTPS by rustls on ring, through the proxy of the environment variables, if any.
async fn http_client(environment: &Environment) -> Result<SharedHttpClient, ConnectError> {
    let trust = trust_store(environment).await?;
    let tls = TlsContext::builder().with_trust_store(trust).build();
    let tls = tls.map_err(|error| ConnectError::Refused(error.to_string()))?;
    let local = environment.endpoint.as_deref().is_some_and(is_loopback);
    let proxy = if local { ProxyConfig::disabled() } else { ProxyConfig::from_env() };
    // The builder's plain `build_https` knows no proxy.
    Ok(Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector = ConnectorBuilder::default()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .tls_context(tls.clone())
            .proxy_config(proxy.clone());
        connector.set_connector_settings(settings.cloned());
        connector.set_sleep_impl(components.and_then(RuntimeComponents::sleep_impl));
        connector.build()
    }))
}

/// A loopback address means this machine, which a proxy cannot reach. The agent, being Go, sees it the same way.
pub(super) fn is_loopback(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let address = authority.parse::<SocketAddr>().map(|address| address.ip()).or_else(|_| authority.parse());
    match address {
        Ok(address) => address.is_loopback(),
        Err(_) => authority.split(':').next() == Some("localhost"),
    }
}

/// The machine's own authorities and those of `ca_bundle`.
async fn trust_store(environment: &Environment) -> Result<TrustStore, ConnectError> {
    let (usable, _) =
        RootCertStore::empty().add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    // A trust store that is told to use native roots and finds none panics in debug builds.
    let mut trust = TrustStore::empty().with_native_roots(usable > 0);
    match &environment.ca_bundle {
        Some(path) => trust = trust.with_pem_certificate(checked_bundle(path).await?),
        None if usable == 0
            && !environment.endpoint.as_deref().is_some_and(|url| url.starts_with("http://")) =>
        {
            let endpoint = environment.endpoint.clone();
            let endpoint = endpoint.unwrap_or_else(|| format!("SSM in {}", environment.region));
            return Err(ConnectError::NoRoots { endpoint });
        }
        None => {}
    }
    Ok(trust)
}

/// The file's content, once it is sure that the SDK can take it: it panics on a broken certificate.
async fn checked_bundle(path: &Path) -> Result<Vec<u8>, ConnectError> {
    let path = path.to_owned();
    let content = match tokio::fs::read(&path).await {
        Ok(content) => content,
        Err(source) => return Err(ConnectError::ReadBundle { path, source }),
    };
    let mut roots = RootCertStore::empty();
    for (number, certificate) in (1..).zip(CertificateDer::pem_slice_iter(&content)) {
        let checked = certificate.map_err(|error| error.to_string());
        let checked =
            checked.and_then(|certificate| roots.add(certificate).map_err(|error| error.to_string()));
        if let Err(reason) = checked {
            return Err(ConnectError::BrokenCertificate { path, number, reason });
        }
    }
    if roots.is_empty() { Err(ConnectError::EmptyBundle(path)) } else { Ok(content) }
}
