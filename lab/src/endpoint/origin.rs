//! Where a call came in, as the caller sees it: what the endpoint answers may have to lead back there.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::header::HOST;
use axum::http::request::Parts;

use super::iam::Context;

/// The listener a call came in on; the TLS listener's application carries it as an extension.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Listener {
    /// Plain HTTP.
    #[default]
    Plain,
    /// HTTPS.
    Tls,
}

/// A listener and the name the caller has for it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    listener: Listener,
    host: String,
    source: Option<IpAddr>,
}

impl Origin {
    /// The origin of a request.
    #[must_use]
    pub fn of(parts: &Parts) -> Self {
        let named = parts.headers.get(HOST).and_then(|host| host.to_str().ok());
        Self {
            listener: parts.extensions.get().copied().unwrap_or_default(),
            host: named.unwrap_or("localhost").to_owned(),
            source: peer(parts),
        }
    }

    /// What policies may ask of where a call came from.
    #[must_use]
    pub fn known_to_policies(&self, context: Context) -> Context {
        let secure = context.with("aws:SecureTransport", (self.listener == Listener::Tls).to_string());
        match self.source {
            Some(source) => secure.with("aws:SourceIp", source.to_string()),
            None => secure,
        }
    }

    /// The URL of a websocket at the same origin; `path` begins with a slash.
    #[must_use]
    pub fn websocket(&self, path: &str) -> String {
        let scheme = match self.listener {
            Listener::Plain => "ws",
            Listener::Tls => "wss",
        };
        format!("{scheme}://{}{path}", self.host)
    }
}

/// The address a request came from; its listener puts it there.
#[must_use]
pub fn peer(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip())
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::{Listener, Origin};

    #[test]
    fn a_websocket_leads_back_to_where_the_call_came_in() {
        let (mut parts, ()) =
            Request::get("/").header("host", "10.0.2.2:8443").body(()).unwrap().into_parts();
        assert_eq!(Origin::of(&parts).websocket("/v1"), "ws://10.0.2.2:8443/v1");
        parts.extensions.insert(Listener::Tls);
        assert_eq!(Origin::of(&parts).websocket("/v1"), "wss://10.0.2.2:8443/v1");
    }
}
