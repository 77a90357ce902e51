//! How a host is named and reached: names, addresses, users, host keys; what each may look like, and the remedy for
//! the usual mistakes. Pure.

use std::net::IpAddr;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};

use super::{
    model::{HostKeyPolicy, JumpHost},
    problems::{Findings, did_you_mean},
    ranges::is_bracketed_ipv6,
    spans::Strings,
    terms::{Refusal, refuse},
};

/// The name of a host: it ends up in reports, tags and the names of log files.
pub(super) fn host_name(text: &str) -> Result<(), Refusal> {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if text.len() <= 253 && text.split('.').all(is_label) {
        return Ok(());
    }
    let hint = if text.parse::<IpAddr>().is_ok() || is_bracketed_ipv6(text) {
        "give the host a name, and write this as its `address`"
    } else {
        "letters, digits, hyphens and underscores, in parts of up to 63 joined by dots"
    };
    refuse(format!("{text:?} can't be the name of a host"), hint)
}

/// A DNS name or an IP address; IPv6 also in brackets, which are taken off.
pub(super) fn address(text: &str) -> Result<String, Refusal> {
    if is_bracketed_ipv6(text) {
        return Ok(text.trim_matches(['[', ']']).to_owned());
    }
    // A link-local address needs its interface: fe80::1%eth0.
    let (ip, interface) = text.split_once('%').map_or((text, None), |(ip, interface)| (ip, Some(interface)));
    let is_interface = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    match ip.parse::<IpAddr>() {
        Ok(IpAddr::V6(_)) if interface.is_none_or(is_interface) => return Ok(text.to_owned()),
        Ok(IpAddr::V4(_)) if interface.is_none() => return Ok(text.to_owned()),
        _ => {}
    }
    let looks_like_ipv4 = text.split('.').next_back().is_some_and(|last| last.parse::<u64>().is_ok());
    if !looks_like_ipv4 && host_name(text).is_ok() {
        return Ok(text.to_owned());
    }
    let hint = if text.contains('@') {
        "write the login user as `user`"
    } else if text.matches(':').count() == 1 && !text.contains("//") {
        "write the port as `port`"
    } else {
        "a DNS name, an IPv4 address, or an IPv6 address such as fe80::1 or [fe80::1]"
    };
    refuse(format!("{text:?} is no address"), hint)
}

/// A login user.
pub(super) fn user(text: &str) -> Result<(), Refusal> {
    if text.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control() || c == ':') {
        return refuse(
            format!("{text:?} can't be a login user"),
            "write the name that `ssh USER@HOST` takes",
        );
    }
    Ok(())
}

/// Hosts on the way, or "none".
pub(super) fn jumps(texts: &Strings, findings: &mut Findings<'_>) -> Vec<JumpHost> {
    if let [only] = texts.items.as_slice()
        && only.value == "none"
    {
        return Vec::new();
    }
    let read = texts.items.iter().filter_map(|text| {
        let host = if text.value == "none" { not_alone() } else { jump(&text.value) };
        findings.accept(text.span, host)
    });
    read.collect()
}

fn not_alone() -> Result<JumpHost, Refusal> {
    refuse(
        "\"none\" is a way without jump hosts",
        "leave it out, or the others; a host of that name is `user@none` or `none:22`",
    )
}

/// `user@host:port`, user and port being optional.
fn jump(text: &str) -> Result<JumpHost, Refusal> {
    let (login, place) = match text.rsplit_once('@') {
        Some((login, place)) => (Some(login), place),
        None => (None, text),
    };
    let (name, port) = match place.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, "")) => (name, None),
        Some((name, rest)) => (name, Some(rest.strip_prefix(':').unwrap_or("none"))),
        // Two colons or more without brackets are an IPv6 address.
        None if place.matches(':').count() > 1 => (place, None),
        None => place.split_once(':').map_or((place, None), |(name, port)| (name, Some(port))),
    };
    let number = port.map(|port| port.parse().ok().filter(|port: &u16| *port > 0)).unwrap_or_default();
    if text.contains(',') || (port.is_some() && number.is_none()) {
        let hint = "write `host`, `user@host` or `user@host:port`, IPv6 as `[fd00::1]:22`; several as a list; or \"none\"";
        return refuse(format!("{text:?} is no jump host"), hint);
    }
    if let Some(login) = login {
        user(login)?;
    }
    Ok(JumpHost { user: login.map(str::to_owned), name: address(name)?, port: number })
}

/// "strict", "accept-new" or a fingerprint.
pub(super) fn host_key(text: &str) -> Result<HostKeyPolicy, Refusal> {
    const PRINT: &str = "`ssh-keygen -lf` prints a key's fingerprint";
    match text {
        "strict" => return Ok(HostKeyPolicy::Strict),
        "accept-new" => return Ok(HostKeyPolicy::AcceptNew),
        _ => {}
    }
    if let Some(digest) = text.strip_prefix("SHA256:") {
        // The decoder also refuses a last character that carries more than the 256 bits.
        if STANDARD_NO_PAD.decode(digest).is_ok_and(|bytes| bytes.len() == 32) {
            return Ok(HostKeyPolicy::Pinned(text.to_owned()));
        }
        let hint = if digest.ends_with('=') { "leave out the `=` at its end" } else { PRINT };
        return refuse("a fingerprint is `SHA256:` and 43 characters of base64", hint);
    }
    let hint = if ["MD5:", "ssh-", "ecdsa-"].iter().any(|start| text.starts_with(start)) {
        PRINT.to_owned()
    } else if ["no", "off", "ignore"].contains(&text) {
        "a host key is always checked; \"accept-new\" trusts a host on its first contact".to_owned()
    } else {
        did_you_mean(text, ["strict", "accept-new"])
            .unwrap_or_else(|| "write \"strict\", \"accept-new\" or \"SHA256:...\"".to_owned())
    };
    refuse(format!("{text:?} is no host key policy"), hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_dns_like() {
        for text in ["a", "pi-1", "rack_1.lab", "10.0.0.1", "A1", &"x".repeat(63)] {
            assert_eq!(host_name(text), Ok(()), "{text}");
        }
        for text in [
            "",
            ".",
            "a.",
            ".a",
            "a..b",
            "-a",
            "a-",
            "a b",
            "a/b",
            "..",
            "fe80::1",
            "ä",
            "a\n",
            &"x".repeat(64),
        ] {
            assert!(host_name(text).is_err(), "{text:?}");
        }
        assert!(host_name(&["abcd"; 51].join(".")).is_err(), "DNS names have at most 253 characters");
    }

    #[test]
    fn addresses_are_dns_names_and_ip_addresses() {
        let same = ["a.example.com", "10.0.0.1", "fe80::1", "fe80::1%eth0", "::1"];
        for text in same {
            assert_eq!(address(text).as_deref(), Ok(text));
        }
        assert_eq!(address("[fd00::1]").as_deref(), Ok("fd00::1"));
        for text in [
            "",
            "10.0.0.256",
            "10.0.1",
            "10.0.0.1%eth0",
            "fe80::1%",
            "[10.0.0.1]",
            "a:22",
            "pi@a",
            "http://a",
            "1.2.3.4.5",
        ] {
            assert!(address(text).is_err(), "{text}");
        }
    }

    #[test]
    fn jump_hosts_are_written_as_for_ssh() {
        for (text, user, name, port) in [
            ("gate", None, "gate", None),
            ("admin@gate.lab:2222", Some("admin"), "gate.lab", Some(2222)),
            ("[fd00::1]:22", None, "fd00::1", Some(22)),
            ("me@fe80::1%eth0", Some("me"), "fe80::1%eth0", None),
            ("a@b@10.0.0.1", Some("a@b"), "10.0.0.1", None),
        ] {
            let expected = JumpHost { user: user.map(str::to_owned), name: name.to_owned(), port };
            assert_eq!(jump(text), Ok(expected.clone()), "{text}");
            assert_eq!(jump(&expected.to_string()), Ok(expected), "{text}");
        }
        for text in ["", "gate:", "gate:0", "gate:ssh", "a,b", "@gate", "me@", "ssh://gate", "[fd00::1]22"] {
            assert!(jump(text).is_err(), "{text}");
        }
    }

    #[test]
    fn fingerprints_are_those_that_ssh_keygen_prints() {
        let good = "SHA256:uNiVztksCsDhcc0u9e8BrjJUCoWDLRBMwoAtyGlqB+o";
        assert_eq!(host_key(good), Ok(HostKeyPolicy::Pinned(good.to_owned())));
        for bad in [
            "SHA256:uNiVztksCsDhcc0u9e8BrjJUCoWDLRBMwoAtyGlqB+o=",
            "SHA256:uNiVztksCsDhcc0u9e8BrjJUCoWDLRBMwoAtyGlqB+p",
            "SHA256:uNiVztksCsDhcc0u9e8BrjJUCoWDLRBMwoAtyGlqB",
            "SHA256:",
            "sha256:uNiVztksCsDhcc0u9e8BrjJUCoWDLRBMwoAtyGlqB+o",
            "MD5:16:27:ac:a5:76:28:2d:36:63:1b:56:4d:eb:df:a6:48",
            "ssh-ed25519 AAAA",
            "no",
            "",
        ] {
            assert!(host_key(bad).is_err(), "{bad}");
        }
    }
}
