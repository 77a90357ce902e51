//! A host's own way to the world: the proxy that its agent needs, and whether it fetches its package there. Apart from how a
//! host is reached, since that is the controller's way to the host.

use std::net::IpAddr;

use super::{
    problems::Findings,
    spans::Strings,
    terms::{self, Refusal, refuse, refuse_unseen},
};

/// How the package comes to a host (`deliver` in the file).
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// Over the connection to the host.
    Push,
    /// The host downloads it by itself.
    Pull,
}

/// Never asked for by a proxy: the metadata service of clouds, which only answers the machine itself.
const METADATA_SERVICE: &str = "169.254.169.254";

/// The proxy of a host (`proxy` and `no_proxy` in the file). There are no credentials in it, and nothing that a shell, systemd or
/// upstart would not take literally in double quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proxy {
    url: String,
    /// What is reached without it.
    except: Vec<String>,
}

impl Proxy {
    pub(super) fn new(url: String, except: Vec<String>) -> Self {
        Self { url, except }
    }

    /// A proxy for tests; the product's only come out of an inventory.
    #[cfg(test)]
    pub(crate) fn sample(url: &str, except: &[&str]) -> Self {
        Self::new(url.to_owned(), except.iter().map(|item| (*item).to_owned()).collect())
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What the inventory wants to be reached without it.
    #[must_use]
    pub fn except(&self) -> &[String] {
        &self.except
    }

    /// The value of `no_proxy`.
    #[must_use]
    pub fn no_proxy(&self) -> String {
        let others = self.except.iter().map(String::as_str).filter(|item| *item != METADATA_SERVICE);
        std::iter::once(METADATA_SERVICE).chain(others).collect::<Vec<_>>().join(",")
    }

    /// What `with_proxy` of the scripts is told: where it is, and what is reached without it; nothing for none.
    pub(crate) fn words(proxy: Option<&Self>) -> [String; 2] {
        proxy.map(|proxy| [proxy.url.clone(), proxy.no_proxy()]).unwrap_or_default()
    }

    /// The environment that tells programs of it. Some read lower case alone; Go's, and the agent is one, read upper case
    /// first, which somebody may have set to another proxy.
    #[must_use]
    pub fn variables(&self) -> [(&'static str, String); 6] {
        [
            ("http_proxy", self.url.clone()),
            ("https_proxy", self.url.clone()),
            ("no_proxy", self.no_proxy()),
            ("HTTP_PROXY", self.url.clone()),
            ("HTTPS_PROXY", self.url.clone()),
            ("NO_PROXY", self.no_proxy()),
        ]
    }
}

/// A proxy's URL, without the last `/`; `None` for "none".
pub(super) fn proxy(text: &str) -> Result<Option<String>, Refusal> {
    if text == "none" {
        return Ok(None);
    }
    if text.contains('@') {
        return refuse_unseen(
            "a proxy with a user or a password",
            "every user of the host could read them with `systemctl show`; leave them out, and let the proxy know the host by its address",
        );
    }
    let Some((_, rest)) = text.split_once("://").filter(|(scheme, _)| ["http", "https"].contains(scheme))
    else {
        let hint = match text.split_once("://") {
            Some((_, rest)) => format!("write \"http://{rest}\", if it is an HTTP proxy, too"),
            None => format!("write \"http://{text}\", or \"none\" for no proxy"),
        };
        return refuse(format!("{text:?} is no http(s) URL of a proxy"), hint);
    };
    terms::url(text)?;
    let place = rest.trim_end_matches('/');
    if place.contains(['/', '%']) {
        return refuse(
            format!("{text:?} has more than a scheme, a host and a port"),
            "write \"http://HOST:PORT\"",
        );
    }
    Ok(Some(text.trim_end_matches('/').to_owned()))
}

/// What is reached without the proxy.
pub(super) fn exceptions(texts: &Strings, findings: &mut Findings<'_>) -> Vec<String> {
    let read = texts.items.iter().filter_map(|text| findings.accept(text.span, exception(&text.value)));
    read.collect()
}

fn exception(text: &str) -> Result<String, Refusal> {
    let is_fine = |byte: u8| byte.is_ascii_alphanumeric() || b".-_*:/[]".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_fine) && text.split_once('/').is_none_or(is_network) {
        return Ok(text.to_owned());
    }
    let hint = if text.contains([',', ' ']) {
        "write a list: [\"10.0.0.0/8\", \".lan\"]"
    } else {
        "write an address, a network such as 10.0.0.0/8, a host, or a domain such as .lan"
    };
    refuse(format!("{text:?} is nothing that can be reached without a proxy"), hint)
}

/// An address, and how many of its bits are the network's.
fn is_network((address, bits): (&str, &str)) -> bool {
    let most = address.parse().map(|address: IpAddr| if address.is_ipv4() { 32 } else { 128 });
    most.is_ok_and(|most| bits.parse().is_ok_and(|bits: u8| bits <= most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_a_scheme_a_host_and_a_port() {
        for (text, url) in [
            ("http://proxy.example:3128", "http://proxy.example:3128"),
            ("http://proxy.example:3128/", "http://proxy.example:3128"),
            ("https://[fd00::1]:8080", "https://[fd00::1]:8080"),
        ] {
            assert_eq!(proxy(text), Ok(Some(url.to_owned())), "{text}");
        }
        assert_eq!(proxy("none"), Ok(None));
        for text in [
            "",
            "proxy.example:3128",
            "socks5://proxy.example:1080",
            "http://",
            "http://proxy.example:0",
            "http://proxy.example:3128/path",
            "http://[fe80::1%eth0]:3128",
            "http://a\"b:1",
            "http://a b",
        ] {
            assert!(proxy(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_password_in_a_proxy_is_refused_and_not_shown() {
        for text in
            ["http://me:hunter2@proxy.example:3128", "me:hunter2@proxy.example", "http://me:hun/ter2@p"]
        {
            let refusal = proxy(text).unwrap_err();
            assert!(refusal.may_be_secret && refusal.hint.contains("systemctl show"), "{refusal:?}");
            assert!(!format!("{refusal:?}").contains("ter2"), "{refusal:?}");
        }
    }

    #[test]
    fn exceptions_are_single_places_and_the_metadata_service_is_always_one() {
        for text in
            ["10.0.0.0/8", "10.0.0.1/32", ".lan", "*.lan", "ssm.example.com:443", "[fd00::1]", "fd00::/8"]
        {
            assert_eq!(exception(text), Ok(text.to_owned()), "{text}");
        }
        let no_networks = ["10.0.0.0/99", "10.0.0.0/", "10.0.0/8", "fd00::/129", "lan/8"];
        for text in ["", "a,b", "a b", "http://a", "a\"", "$a", "50%"].into_iter().chain(no_networks) {
            assert!(exception(text).is_err(), "{text}");
        }
        let except = vec![".lan".to_owned(), METADATA_SERVICE.to_owned()];
        let proxy = Proxy::new("http://proxy.example:3128".to_owned(), except);
        assert_eq!(proxy.no_proxy(), "169.254.169.254,.lan");
    }
}
