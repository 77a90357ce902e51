//! Where the agent lives on a host: package, unit, files. The names are AWS's and the same everywhere, except
//! that the snap has a unit and a binary of its own, and that upstart calls units jobs.

use crate::ServiceManager;

/// Name of the package in dpkg, rpm and snap.
pub const PACKAGE: &str = "amazon-ssm-agent";

/// The agent's configuration; absent after an installation, only its `.template` is there.
pub const CONFIG: &str = "/etc/amazon/ssm/amazon-ssm-agent.json";

/// Directory of the configuration and of its templates.
pub const CONFIG_DIRECTORY: &str = "/etc/amazon/ssm";

/// Everything that the agent keeps.
pub const STATE_DIRECTORY: &str = "/var/lib/amazon/ssm";

/// The vault: who this host is. Directory of mode 0600.
pub const VAULT: &str = "/var/lib/amazon/ssm/Vault";

/// Index of the vault's entries (JSON).
pub const VAULT_MANIFEST: &str = "/var/lib/amazon/ssm/Vault/Manifest";

/// The registration itself (JSON); its `instanceID` is the truth, and empty after a failed registration.
pub const REGISTRATION_KEY: &str = "/var/lib/amazon/ssm/Vault/Store/RegistrationKey";

/// The fingerprint that the service compares (JSON).
pub const INSTANCE_FINGERPRINT: &str = "/var/lib/amazon/ssm/Vault/Store/InstanceFingerprint";

/// The agent's note of its last registration (JSON). Stale after a failed one: never the truth.
pub const REGISTRATION: &str = "/var/lib/amazon/ssm/registration";

/// The agent's log.
pub const LOG: &str = "/var/log/amazon/ssm/amazon-ssm-agent.log";

/// How the agent came to a host, and what is called differently for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Installation {
    /// What starts and stops it.
    pub manager: ServiceManager,
    /// Unit of systemd, or job of upstart.
    pub unit: &'static str,
    /// The agent, which also registers.
    pub binary: &'static str,
    /// The agent's inspection tool.
    pub cli: &'static str,
    /// The vault. The snap is confined classically, so it writes to the host's own.
    pub vault: &'static str,
    /// The configuration that is read.
    pub config: &'static str,
    /// What adds to its environment: a drop-in of our own for the unit, whose name sorts behind `override.conf`, that of
    /// `systemctl edit`; an override, of which a job has only one.
    pub environment: &'static str,
}

/// Installed from a .deb or .rpm.
pub const PACKAGED: Installation = Installation {
    manager: ServiceManager::Systemd,
    unit: "amazon-ssm-agent.service",
    binary: "/usr/bin/amazon-ssm-agent",
    cli: "/usr/bin/ssm-cli",
    vault: VAULT,
    config: CONFIG,
    environment: "/etc/systemd/system/amazon-ssm-agent.service.d/zz-bootstrap-proxy.conf",
};

/// Installed from a .deb or .rpm on a host with upstart, as on Amazon Linux 1.
pub const UPSTART: Installation = Installation {
    manager: ServiceManager::Upstart,
    unit: "amazon-ssm-agent",
    environment: "/etc/init/amazon-ssm-agent.override",
    ..PACKAGED
};

/// Installed as a snap, as on Ubuntu's own images. The .deb refuses to be installed beside it.
///
/// AWS: configuration that is to be changed lies in /etc/amazon/ssm; state and logs are where they always are.
pub const SNAP: Installation = Installation {
    manager: ServiceManager::Systemd,
    unit: "snap.amazon-ssm-agent.amazon-ssm-agent.service",
    binary: "/snap/amazon-ssm-agent/current/amazon-ssm-agent",
    cli: "/snap/amazon-ssm-agent/current/ssm-cli",
    vault: VAULT,
    config: CONFIG,
    environment: "/etc/systemd/system/snap.amazon-ssm-agent.amazon-ssm-agent.service.d/zz-bootstrap-proxy.conf",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_of_the_vault_are_in_it() {
        for path in [VAULT_MANIFEST, REGISTRATION_KEY, INSTANCE_FINGERPRINT] {
            assert!(path.strip_prefix(VAULT).is_some_and(|rest| rest.starts_with('/')), "{path}");
        }
        assert!(!REGISTRATION.starts_with(VAULT));
        assert!(CONFIG.starts_with(CONFIG_DIRECTORY) && VAULT.starts_with(STATE_DIRECTORY));
    }

    #[test]
    fn upstart_has_a_job_and_systemd_a_unit_for_the_same_binary() {
        assert_eq!(UPSTART.unit, PACKAGE);
        assert_eq!(PACKAGED.unit, format!("{PACKAGE}.service"));
        assert_eq!((UPSTART.binary, UPSTART.vault), (PACKAGED.binary, PACKAGED.vault));
    }

    #[test]
    fn what_adds_to_the_environment_lies_where_the_service_manager_looks_for_it() {
        for Installation { unit, environment, .. } in [PACKAGED, SNAP] {
            assert_eq!(environment, format!("/etc/systemd/system/{unit}.d/zz-bootstrap-proxy.conf"));
            assert!(
                environment.rsplit('/').next() > Some("override.conf"),
                "of two drop-ins the last one wins"
            );
        }
        assert_eq!(UPSTART.environment, format!("/etc/init/{}.override", UPSTART.unit));
    }

    #[test]
    fn units_and_binaries_of_package_and_snap_differ() {
        assert_ne!(PACKAGED.unit, SNAP.unit);
        assert_ne!(PACKAGED.binary, SNAP.binary);
        for installation in [PACKAGED, SNAP] {
            assert!(installation.unit.ends_with("amazon-ssm-agent.service"));
            assert!(installation.binary.ends_with(PACKAGE));
        }
    }
}
