//! How each host is reached: by SSH, and then where and as whom, or not at all because it is this machine. Two hosts
//! with one place would be enrolled twice.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
};

use super::{
    hosts::Built,
    model::{Connection, JumpHost},
    problems::Findings,
    roster::Draft,
    settings::{Layers, Settings},
    spans::Span,
};

const SSH_PORT: u16 = 22;

/// Where a host is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// Where its SSH server listens, in one spelling per address, and the jump hosts on the way, since sites have the same
    /// private addresses; as far as that can be told without asking DNS or the SSH configuration.
    Ssh(String, u16, Vec<JumpHost>),
    /// Here.
    Local,
}

impl Place {
    /// Where a host is, by its own word and that of its layers.
    pub(super) fn of(draft: &Draft<'_>, layers: &mut Layers<'_>, findings: &mut Findings<'_>) -> Self {
        match connection(draft, layers, findings) {
            Connection::Local => Self::Local,
            Connection::Ssh => {
                let port = layers.pick("port", |settings| settings.port.as_ref());
                let address = match draft.address.parse::<IpAddr>() {
                    Ok(ip) => ip.to_canonical().to_string(),
                    Err(_) => draft.address.to_ascii_lowercase(),
                };
                let jump = layers.pick("jump", |settings| settings.jump.as_ref());
                let jump = jump.map(|jump| jump.value.clone()).unwrap_or_default();
                Self::Ssh(address, port.map_or(SSH_PORT, |port| port.value), jump)
            }
        }
    }
}

fn connection(draft: &Draft<'_>, layers: &mut Layers<'_>, findings: &mut Findings<'_>) -> Connection {
    let Some(said) = layers.pick("connection", |settings| settings.connection.as_ref()) else {
        return Connection::Ssh;
    };
    if said.value == Connection::Local {
        // What others say of SSH is for other hosts; what the host itself says, or who says "local", is for this one.
        let says_local =
            |layer: &&Settings<'_>| layer.connection.as_ref().is_some_and(|own| own.span == said.span);
        let own = layers.host.into_iter().chain(layers.all().filter(says_local));
        let address = Some(("address", draft.address_origin)).filter(|(_, span)| *span != draft.origin.span);
        for (key, span) in own.flat_map(Settings::about_ssh).chain(address) {
            let what = format!("`{key}` is about SSH, and host `{}` is local", draft.origin.value);
            findings.add(span, what, format!("leave `{key}` out, or `connection = \"local\"`"));
        }
    }
    said.value
}

/// The places that are taken.
#[derive(Debug, Default)]
pub(super) struct Unique<'d> {
    taken: HashMap<Place, &'d Draft<'d>>,
    repeated: BTreeSet<(Span, Span)>,
}

impl<'d> Unique<'d> {
    /// Reports a host in a place that another one has.
    pub(super) fn check(&mut self, place: &Place, draft: &'d Draft<'d>, findings: &mut Findings<'_>) {
        let other = *self.taken.entry(place.clone()).or_insert(draft);
        // One line for a range that overlaps another in many addresses.
        if std::ptr::eq(other, draft) || !self.repeated.insert((other.origin.span, draft.origin.span)) {
            return;
        }
        let line = findings.line(other.origin.span);
        match place {
            Place::Ssh(_, port, _) => findings.add(
                draft.address_origin,
                format!(
                    "host `{}` has the address of `{}` in line {line}: {} port {port}",
                    draft.name, other.name, draft.address
                ),
                "one host would be enrolled twice: remove one, or correct its address",
            ),
            Place::Local => findings.add(
                draft.origin.span,
                format!("host `{}` is local, as `{}` in line {line} is", draft.name, other.name),
                "there is one machine that bootstrap runs on: remove one, or set its `connection` to \"ssh\"",
            ),
        }
    }
}

/// Reports ways that lead through themselves, each circle once, at the first of its hosts in the file.
pub(super) fn check_ways(built: &Built, drafts: &[Draft<'_>], findings: &mut Findings<'_>) {
    let hosts = || built.hosts.iter().chain(&built.gates);
    let ways: HashMap<&str, &[JumpHost]> =
        hosts().filter_map(|host| Some((host.name.as_str(), host.jump.as_deref()?))).collect();
    let mut told = BTreeSet::new();
    for host in hosts() {
        let Some(circle) = circle_from(host.name.as_str(), &ways) else { continue };
        if !told.insert(circle.iter().copied().collect::<BTreeSet<_>>()) {
            continue;
        }
        let Some(first) = drafts.iter().find(|draft| circle.contains(&draft.name.as_str())) else { continue };
        findings.add(
            first.origin.span,
            format!("jump hosts go round in circles: {}", circle.join(" -> ")),
            format!("give `{}` a way of its own: `jump = \"none\"`", first.name),
        );
    }
}

/// The circle that the way to a host comes to, from one of its hosts to the same one. As with `ssh -J`, only the first of
/// several jump hosts is reached by its own way.
fn circle_from<'h>(host: &'h str, ways: &HashMap<&'h str, &'h [JumpHost]>) -> Option<Vec<&'h str>> {
    let mut trail = vec![host];
    while let Some([first, others @ ..]) = trail.last().and_then(|last| ways.get(last)) {
        for jump in [first].into_iter().chain(others) {
            if let Some(began) = trail.iter().position(|name| *name == jump.name) {
                trail.drain(..began);
                trail.push(jump.name.as_str());
                return Some(trail);
            }
        }
        trail.push(first.name.as_str());
    }
    None
}
