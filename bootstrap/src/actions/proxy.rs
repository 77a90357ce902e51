//! The agent's way out: a service inherits no shell's environment, so the proxy is told to its service manager, in a file
//! of our own. A file of somebody else in that place is left alone.

use secrecy::SecretString;
use targets::{ServiceManager, agent::Installation};

use crate::inventory::Proxy;

/// The first line of a file that is ours.
const MARK: &str = "# Written by bootstrap, which changes and removes it as the inventory's `proxy` says.\n";

/// Writes or removes what tells the agent's service of a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetProxy {
    path: &'static str,
    /// The whole file; `None` for none.
    content: Option<String>,
}

/// A file of somebody else where ours must be.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0} is there, and was not written by bootstrap")]
pub struct NotOurs(pub &'static str);

impl SetProxy {
    /// What must be done, if anything: `current` is the file on the host.
    pub fn wanted(
        current: Option<&str>,
        proxy: Option<&Proxy>,
        agent: &Installation,
    ) -> Result<Option<Self>, NotOurs> {
        let path = agent.environment;
        let current = current.filter(|text| !text.trim().is_empty());
        let is_ours = current.is_none_or(|text| text.starts_with(MARK));
        let content = proxy.map(|proxy| content(proxy, agent.manager));
        match (current, &content) {
            (Some(_), Some(_)) if !is_ours => Err(NotOurs(path)),
            (Some(_), None) if !is_ours => Ok(None),
            (current, wanted) if current == wanted.as_deref() => Ok(None),
            _ => Ok(Some(Self { path, content })),
        }
    }

    pub(super) fn sentence(&self) -> String {
        let verb = if self.content.is_some() { "write" } else { "remove" };
        format!("{verb} {}", self.path)
    }

    pub(super) fn shell_arguments(&self) -> Vec<String> {
        let verb = if self.content.is_some() { "write" } else { "remove" };
        ["proxy", verb, self.path].map(str::to_owned).to_vec()
    }

    pub(super) fn shell_variables(&self) -> Vec<(&'static str, SecretString)> {
        self.content.iter().map(|content| ("environment_file", content.clone().into())).collect()
    }
}

// A proxy holds no character that either of them would not take literally.
fn content(proxy: &Proxy, manager: ServiceManager) -> String {
    let variables = proxy.variables();
    let lines: Vec<_> = match manager {
        ServiceManager::Upstart => {
            variables.map(|(name, value)| format!("env {name}=\"{value}\"\n")).to_vec()
        }
        _ => std::iter::once("[Service]\n".to_owned())
            .chain(variables.map(|(name, value)| format!("Environment=\"{name}={value}\"\n")))
            .collect(),
    };
    format!("{MARK}{}", lines.concat())
}

#[cfg(test)]
mod tests {
    use targets::agent::{PACKAGED, UPSTART};

    use super::*;

    fn proxy() -> Proxy {
        Proxy::sample("http://proxy.example:3128", &["10.0.0.0/8", ".lan"])
    }

    #[test]
    fn systemd_and_upstart_are_told_each_in_its_own_words() {
        let written = |agent: &Installation| {
            SetProxy::wanted(None, Some(&proxy()), agent).unwrap().unwrap().content.unwrap()
        };
        let of_systemd = written(&PACKAGED);
        let (mark, rest) = of_systemd.split_once('\n').unwrap();
        assert!(mark.starts_with("# Written by bootstrap"));
        assert_eq!(
            rest,
            "[Service]\nEnvironment=\"http_proxy=http://proxy.example:3128\"\nEnvironment=\"https_proxy=http://proxy.example:3128\"\n\
            Environment=\"no_proxy=169.254.169.254,10.0.0.0/8,.lan\"\n\
            Environment=\"HTTP_PROXY=http://proxy.example:3128\"\nEnvironment=\"HTTPS_PROXY=http://proxy.example:3128\"\n\
            Environment=\"NO_PROXY=169.254.169.254,10.0.0.0/8,.lan\"\n"
        );
        let of_upstart = written(&UPSTART);
        assert_eq!(
            of_upstart.split_once('\n').unwrap().1,
            "env http_proxy=\"http://proxy.example:3128\"\nenv https_proxy=\"http://proxy.example:3128\"\n\
            env no_proxy=\"169.254.169.254,10.0.0.0/8,.lan\"\n\
            env HTTP_PROXY=\"http://proxy.example:3128\"\nenv HTTPS_PROXY=\"http://proxy.example:3128\"\n\
            env NO_PROXY=\"169.254.169.254,10.0.0.0/8,.lan\"\n"
        );
    }

    #[test]
    fn what_is_there_already_is_not_written_again_and_what_is_not_wanted_any_more_goes() {
        let first = SetProxy::wanted(None, Some(&proxy()), &PACKAGED).unwrap().unwrap();
        assert_eq!(
            first.sentence(),
            "write /etc/systemd/system/amazon-ssm-agent.service.d/zz-bootstrap-proxy.conf"
        );
        let there = first.content.unwrap();
        assert_eq!(SetProxy::wanted(Some(&there), Some(&proxy()), &PACKAGED), Ok(None));
        let other = Proxy::sample("http://proxy.example:3129", &[]);
        let changed = SetProxy::wanted(Some(&there), Some(&other), &PACKAGED).unwrap().unwrap();
        assert!(changed.sentence().starts_with("write "));
        let gone = SetProxy::wanted(Some(&there), None, &PACKAGED).unwrap().unwrap();
        assert!(gone.sentence().starts_with("remove "));
        assert_eq!(SetProxy::wanted(None, None, &PACKAGED), Ok(None));
    }

    #[test]
    fn a_file_of_somebody_else_is_never_touched() {
        let theirs = "env http_proxy=http://theirs:1\n";
        assert_eq!(SetProxy::wanted(Some(theirs), None, &UPSTART), Ok(None));
        let refused = SetProxy::wanted(Some(theirs), Some(&proxy()), &UPSTART);
        assert_eq!(refused, Err(NotOurs("/etc/init/amazon-ssm-agent.override")));
        // What a power cut emptied is nobody's.
        assert!(SetProxy::wanted(Some("\n"), Some(&proxy()), &UPSTART).unwrap().is_some());
    }
}
