//! Where the hosts of a fleet listen: on loopback, or behind a pair of virtual cables on which packets take their time.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// Addresses of one network.
pub const MOST: usize = 250 * 250;
/// Unprivileged, and nobody's.
const PORT: u16 = 2022;

/// The network that a fleet is in.
#[derive(Debug)]
pub struct Network {
    prefix: [u8; 2],
    namespace: Option<Cable>,
}

/// A network namespace and the cable to it. It goes when this is dropped.
#[derive(Debug)]
struct Cable {
    name: String,
}

impl Network {
    /// Addresses of this machine alone; which of its 127 networks depends on this process, so that two fleets don't meet.
    #[must_use]
    pub fn loopback() -> Self {
        let own = u8::try_from(std::process::id() % 200).unwrap_or_default();
        Self { prefix: [127, 20 + own], namespace: None }
    }

    /// A network namespace of its own, `round_trip` away.
    pub fn distant(round_trip: Duration) -> Result<Self> {
        let number = std::process::id() % 200;
        let cable = Cable { name: name_of(&std::process::id().to_string()) };
        let network = u8::try_from(number).unwrap_or_default();
        let (name, here, there) = (&cable.name, format!("fh{number}"), format!("ft{number}"));
        // Each side holds its packets for half of the time. A queue as long as what is on the way.
        let delay = format!("{}us", round_trip.as_micros() / 2);
        let inside = format!("ip netns exec {name}");
        for line in [
            format!("ip netns add {name}"),
            format!("ip link add {here} type veth peer name {there} netns {name}"),
            format!("ip addr add 10.{network}.255.1/16 dev {here}"),
            format!("ip link set {here} up"),
            format!("{inside} ip link set lo up"),
            format!("{inside} ip addr add 10.{network}.255.2/16 dev {there}"),
            format!("{inside} ip link set {there} up"),
            // All other addresses of the network are its own, too.
            format!("{inside} ip route add local 10.{network}.0.0/17 dev lo"),
            format!("ip route add 10.{network}.0.0/17 via 10.{network}.255.2"),
            format!("tc qdisc add dev {here} root netem delay {delay} limit 100000"),
            format!("{inside} tc qdisc add dev {there} root netem delay {delay} limit 100000"),
        ] {
            run(&line)?;
        }
        Ok(Self { prefix: [10, network], namespace: Some(cable) })
    }

    /// Where the controller's side of it is: what hosts reach of this machine.
    #[must_use]
    pub fn controller(&self) -> IpAddr {
        match self.namespace {
            Some(_) => Ipv4Addr::new(self.prefix[0], self.prefix[1], 255, 1).into(),
            None => Ipv4Addr::LOCALHOST.into(),
        }
    }

    /// Where host number `number` listens.
    #[must_use]
    pub fn address(&self, number: usize) -> SocketAddr {
        let part = |value: usize| u8::try_from(value).unwrap_or(u8::MAX);
        let [first, second] = self.prefix;
        // Half of 250 networks of 250 hosts each is more than the routed half of a distant network has.
        let address = Ipv4Addr::new(first, second, part(number / 250), part(1 + number % 250));
        SocketAddr::new(address.into(), PORT)
    }

    /// A program among its hosts.
    pub(super) fn command(&self, program: &str) -> Command {
        match &self.namespace {
            Some(cable) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", &cable.name, program]);
                command
            }
            None => Command::new(program),
        }
    }
}

fn name_of(process: &str) -> String {
    format!("fleet{process}")
}

/// Removes the network of a program that was killed, if it had one.
pub(crate) fn remove_network_of(process: &str) {
    let name = name_of(process);
    if std::path::Path::new("/run/netns").join(&name).exists() {
        drop(Cable { name });
    }
}

fn run(line: &str) -> Result<()> {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().unwrap_or_default());
    let output = command.args(words).output();
    let output = output.context("can't run ip or tc; on Debian or Ubuntu: apt-get install iproute2")?;
    if !output.status.success() {
        bail!("`{line}` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}

impl Drop for Cable {
    fn drop(&mut self) {
        // Takes the cable's other end with it. One that is left is in nobody's way: the next has another name.
        let _ = Command::new("ip").args(["netns", "del", &self.name]).output();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_host_has_an_address_of_its_own() {
        let network = Network::loopback();
        let mut seen = std::collections::HashSet::new();
        for number in 0..MOST {
            assert!(seen.insert(network.address(number)), "{number}");
        }
        assert!(seen.iter().all(|address| address.ip().is_loopback()));
    }
}
