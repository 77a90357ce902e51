//! What the agent tells of its host, and the nine values it knows a machine again by.

use std::collections::BTreeMap;
use std::fs;
use std::net::UdpSocket;

use sha2::{Digest as _, Sha256};

use super::paths::Paths;

/// What `UpdateInstanceInformation` reports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as AWS names them")]
pub struct HostInformation {
    pub computer_name: String,
    pub ip_address: String,
    pub platform_name: String,
    pub platform_version: String,
}

impl HostInformation {
    /// Asks the host.
    #[must_use]
    pub fn observe(paths: &Paths) -> Self {
        let os_release = fs::read_to_string(paths.host_file("/etc/os-release"))
            .or_else(|_| fs::read_to_string(paths.host_file("/usr/lib/os-release")))
            .unwrap_or_default();
        Self {
            computer_name: computer_name(),
            ip_address: ip_address(),
            platform_name: os_release_value(&os_release, "NAME").unwrap_or_default(),
            platform_version: os_release_value(&os_release, "VERSION_ID").unwrap_or_default(),
        }
    }
}

/// The nine hardware values; those a host does not have are empty.
#[must_use]
pub fn hardware(paths: &Paths) -> BTreeMap<String, String> {
    let read = |path: &str| fs::read_to_string(paths.host_file(path)).unwrap_or_default().trim().to_owned();
    let lines = |path: &str, start: &str| {
        read(path)
            .lines()
            .filter(|line| line.starts_with(start))
            .map(str::to_owned)
            .collect::<Vec<_>>()
            .join("\n")
    };
    let machine_id = Some(read("/etc/machine-id"))
        .filter(|id| !id.is_empty())
        .unwrap_or_else(|| read("/var/lib/dbus/machine-id"));
    let dmi = |names: &[&str]| {
        names.iter().map(|name| read(&format!("/sys/class/dmi/id/{name}"))).collect::<String>()
    };
    let addresses: Vec<String> = entries(paths, "/sys/class/net")
        .iter()
        .map(|name| read(&format!("/sys/class/net/{name}/address")))
        .collect();
    [
        ("machine-id", machine_id),
        ("processor-hash", digest(&lines("/proc/cpuinfo", "model name"))),
        ("memory-hash", digest(&lines("/proc/meminfo", "MemTotal"))),
        ("bios-hash", digest(&dmi(&["bios_vendor", "bios_version", "bios_date"]))),
        ("system-hash", digest(&dmi(&["sys_vendor", "product_name", "product_version"]))),
        ("hostname-info", computer_name()),
        ("ipaddress-info", ip_address()),
        ("macaddr-info", digest(&addresses.join("\n"))),
        ("disk-info", digest(&entries(paths, "/sys/block").join("\n"))),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

fn entries(paths: &Paths, dir: &str) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(paths.host_file(dir))
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

fn digest(text: &str) -> String {
    if text.is_empty() { String::new() } else { hex::encode(Sha256::digest(text)) }
}

fn computer_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The address the default route starts from. Connecting a datagram socket sends nothing.
fn ip_address() -> String {
    UdpSocket::bind("0.0.0.0:0")
        .and_then(|socket| {
            socket.connect("192.0.2.1:9")?;
            socket.local_addr()
        })
        .map(|address| address.ip().to_string())
        .unwrap_or_default()
}

fn os_release_value(text: &str, key: &str) -> Option<String> {
    text.lines()
        .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
        .map(|value| value.trim_matches(['"', '\'']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::{HostInformation, Paths, hardware, os_release_value};

    #[test]
    fn os_release_values_lose_their_quotes() {
        let text =
            "PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=\"Debian GNU/Linux\"\nVERSION_ID=\"12\"\n";
        assert_eq!(os_release_value(text, "NAME").as_deref(), Some("Debian GNU/Linux"));
        assert_eq!(os_release_value(text, "VERSION_ID").as_deref(), Some("12"));
        assert_eq!(os_release_value(text, "ID"), None);
    }

    #[test]
    fn a_host_has_nine_values_whatever_it_lacks() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::new(root.path());
        assert_eq!(hardware(&paths).len(), 9);
        assert_eq!(HostInformation::observe(&paths).platform_name, "");
    }
}
