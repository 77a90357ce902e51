//! An HTTP server on the loopback device that answers as its test says and remembers what it was asked,
//! and the environment and client that lead to it.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use aws_sdk_ssm::config::{Credentials, SharedCredentialsProvider};
use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, task::JoinHandle};

use super::{AwsControlPlane, connect::Patience};
use crate::{inventory::Environment, ssm::fake};

pub(super) const REGION: &str = "eu-central-1";
pub(super) const ACCESS_KEY: &str = "AKIDEXAMPLE";

/// A request as it came.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

impl Asked {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(super) fn operation(&self) -> &str {
        self.header("x-amz-target")
    }
}

/// An HTTP status and a body.
pub(super) type Reply = (u16, Value);

/// An error as AWS's JSON protocol says it.
pub(super) fn error(status: u16, code: &str, message: &str) -> Reply {
    (status, json!({ "__type": code, "message": message }))
}

#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    server: JoinHandle<()>,
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Endpoint {
    pub(super) async fn start(reply: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self::serve(listener, address, move |asked| std::future::ready(reply(&asked)))
    }

    /// On a listener of the test's own, and with answers that may take their time.
    pub(super) fn serve<L, F, T>(listener: L, address: SocketAddr, reply: F) -> Self
    where
        L: axum::serve::Listener,
        L::Addr: std::fmt::Debug,
        F: Fn(Asked) -> T + Send + Sync + 'static,
        T: Future<Output = Reply> + Send,
    {
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, reply) = (Arc::clone(&asked), Arc::new(reply));
        let answer = move |headers: HeaderMap, body: Bytes| {
            let asked = Asked { headers, body: serde_json::from_slice(&body).unwrap() };
            seen.lock().unwrap().push(asked.clone());
            let reply = Arc::clone(&reply);
            async move {
                let (status, body) = reply(asked).await;
                let body = body.as_str().map_or_else(|| body.to_string(), str::to_owned);
                (
                    StatusCode::from_u16(status).unwrap(),
                    [("content-type", "application/x-amz-json-1.1")],
                    body,
                )
            }
        };
        let router = Router::new().route("/", post(answer));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, asked, server }
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(super) async fn control_plane(&self) -> AwsControlPlane {
        control_plane(&environment(&self.url())).await
    }
}

pub(super) fn environment(endpoint: &str) -> Environment {
    Environment { region: REGION.to_owned(), endpoint: Some(endpoint.to_owned()), ..fake::environment("dev") }
}

/// Long enough for a busy machine, short enough for a test that waits it out.
pub(super) const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(5),
    attempt: Duration::from_secs(10),
    operation: Duration::from_secs(30),
    attempts: 3,
    first_backoff: Duration::from_millis(1),
};

pub(super) fn credentials() -> SharedCredentialsProvider {
    SharedCredentialsProvider::new(Credentials::new(ACCESS_KEY, "secret-key", None, None, "tests"))
}

pub(super) async fn control_plane(environment: &Environment) -> AwsControlPlane {
    AwsControlPlane::connect(environment, &PATIENCE, Some(credentials())).await.unwrap()
}
