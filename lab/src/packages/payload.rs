//! What is inside the packages: the agent, its configuration templates, its units and its maintainer scripts. The two
//! formats differ in where the unit lies and in how scripts are called.

use sha2::{Digest as _, Sha256};
use targets::Arch;

pub(super) const UNIT: &str = include_str!("../../packaging/amazon-ssm-agent.service");
pub(super) const UPSTART: &str = include_str!("../../packaging/amazon-ssm-agent.conf");
pub(super) const PREINST: &str = include_str!("../../packaging/preinst");
pub(super) const POSTINST: &str = include_str!("../../packaging/postinst");
pub(super) const PRERM: &str = include_str!("../../packaging/prerm");
/// Of the .deb. As in AWS's: the unit is one, so dpkg leaves out a unit that somebody removed; and the live configuration, which
/// is in no package.
pub(super) const CONFFILES: &str = "/etc/init/amazon-ssm-agent.conf\n/etc/amazon/ssm/amazon-ssm-agent.json\n\
    /etc/amazon/ssm/seelog.xml\n/lib/systemd/system/amazon-ssm-agent.service\n";
pub(super) const PRETRANS: &str = include_str!("../../packaging/pretrans");
pub(super) const PREUN: &str = include_str!("../../packaging/preun");
pub(super) const POSTTRANS: &str = include_str!("../../packaging/posttrans");
const CONFIG_TEMPLATE: &str = include_str!("../../packaging/amazon-ssm-agent.json.template");
const LOG_TEMPLATE: &str = include_str!("../../packaging/seelog.xml.template");
const README: &str = include_str!("../../packaging/README.md");

/// The package's name, in both formats.
pub(super) const NAME: &str = "amazon-ssm-agent";
pub(super) const SUMMARY: &str = "Stand-in for the Amazon SSM Agent, for rehearsals";
pub(super) const AGENT_PATH: &str = "/usr/bin/amazon-ssm-agent";
pub(super) const CLI_PATH: &str = "/usr/bin/ssm-cli";
/// `ssm-cli` is the agent under another name.
pub(super) const CLI_TARGET: &str = "amazon-ssm-agent";

/// The input of a build.
#[derive(Debug, Clone, Copy)]
pub struct Payload<'a> {
    /// The agent's binary.
    pub agent: &'a [u8],
    /// The version.
    pub version: &'a str,
    /// The architecture.
    pub architecture: Arch,
}

/// Files both formats carry, by absolute path.
pub(super) fn documents() -> [(&'static str, &'static str); 5] {
    [
        ("/etc/amazon/ssm/amazon-ssm-agent.json.template", CONFIG_TEMPLATE),
        ("/etc/amazon/ssm/seelog.xml.template", LOG_TEMPLATE),
        ("/etc/amazon/ssm/README.md", README),
        ("/etc/amazon/ssm/RELEASENOTES.md", "# Release notes\n\nOf the stand-in; see its version.\n"),
        ("/etc/amazon/ssm/NOTICE.md", "# Notice\n\nThis is a stand-in, not AWS's software.\n"),
    ]
}

impl Payload<'_> {
    /// A digest of everything that goes into the packages, this program's version included.
    #[must_use]
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let texts = [UNIT, UPSTART, CONFFILES, PREINST, POSTINST, PRERM, PRETRANS, PREUN, POSTTRANS];
        for text in texts.into_iter().chain(documents().map(|(_, text)| text)) {
            hash.update(Sha256::digest(text));
        }
        hash.update(Sha256::digest(self.agent));
        hash.update(format!("{} {} {}", self.version, self.architecture, env!("CARGO_PKG_VERSION")));
        hex::encode(hash.finalize())
    }
}
