//! Every keyword of OpenSSH's client and what it means here: one table, so that nothing is passed over by accident.
//! What is in none of its rows, `ssh` refuses, and so do we.

/// What a keyword means here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It is followed.
    Followed(Keyword),
    /// It could change where we get to, whom we trust or what we may use, and is not followed; unless its value is one of these,
    /// by which we go anyway. It is spelled like this.
    Unsupported(&'static str, &'static [&'static str]),
    /// It changes nothing for bootstrap, or OpenSSH itself has given it up.
    Harmless,
}

macro_rules! keywords {
    ($($keyword:ident),+ $(,)?) => {
        /// The keywords that are followed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Keyword { $($keyword),+ }

        const FOLLOWED: &[(&str, Keyword)] = &[$((stringify!($keyword), Keyword::$keyword)),+];
    };
}

keywords!(
    AddressFamily,
    CertificateFile,
    Compression,
    ConnectTimeout,
    ConnectionAttempts,
    GlobalKnownHostsFile,
    Host,
    HostKeyAlias,
    HostName,
    IdentitiesOnly,
    IdentityAgent,
    IdentityFile,
    IgnoreUnknown,
    Include,
    KbdInteractiveAuthentication,
    Match,
    PasswordAuthentication,
    Port,
    PreferredAuthentications,
    ProxyCommand,
    ProxyJump,
    PubkeyAuthentication,
    RefuseConnection,
    ServerAliveCountMax,
    ServerAliveInterval,
    StrictHostKeyChecking,
    Tag,
    User,
    UserKnownHostsFile,
);

/// Old names.
const ALIASES: &[(&str, Keyword)] = &[
    ("ChallengeResponseAuthentication", Keyword::KbdInteractiveAuthentication),
    ("DSAAuthentication", Keyword::PubkeyAuthentication),
    ("IdentityFile2", Keyword::IdentityFile),
    ("SKeyAuthentication", Keyword::KbdInteractiveAuthentication),
    ("TISAuthentication", Keyword::KbdInteractiveAuthentication),
];

const NO: &[&str] = &["no", "false"];
const NONE: &[&str] = &["none"];

const UNSUPPORTED: &[(&str, &[&str])] = &[
    ("BindAddress", &[]),
    ("BindInterface", &[]),
    ("CASignatureAlgorithms", &[]),
    ("CanonicalizeHostname", NO),
    ("CanonicalizePermittedCNAMEs", NONE),
    ("Ciphers", &[]),
    ("HostKeyAlgorithms", &[]),
    ("HostbasedAuthentication", NO),
    ("KexAlgorithms", &[]),
    ("KnownHostsCommand", NONE),
    ("MACs", &[]),
    ("NoHostAuthenticationForLocalhost", NO),
    ("PKCS11Provider", NONE),
    ("PermitLocalCommand", NO),
    ("PubkeyAcceptedAlgorithms", &[]),
    ("PubkeyAcceptedKeyTypes", &[]),
    ("RSAMinSize", &[]),
    ("RekeyLimit", &["default"]),
    ("RequiredRSASize", &[]),
    ("RevokedHostKeys", NONE),
    ("SecurityKeyProvider", &["internal", "none"]),
    ("SmartcardDevice", NONE),
    ("VerifyHostKeyDNS", NO),
];

/// Terminals, forwardings, multiplexing, logs, what is recorded in `known_hosts`; and the GSSAPI settings that
/// distributions ship for everybody, with and without their patches.
const HARMLESS: &[&str] = &[
    "AddKeysToAgent",
    "BatchMode",
    "CanonicalDomains",
    "CanonicalizeFallbackLocal",
    "CanonicalizeMaxDots",
    "ChannelTimeout",
    "CheckHostIP",
    "ClearAllForwardings",
    "ControlMaster",
    "ControlPath",
    "ControlPersist",
    "DynamicForward",
    "EnableEscapeCommandline",
    "EnableSSHKeysign",
    "EscapeChar",
    "ExitOnForwardFailure",
    "FingerprintHash",
    "ForkAfterAuthentication",
    "ForwardAgent",
    "ForwardX11",
    "ForwardX11Timeout",
    "ForwardX11Trusted",
    "GSSAPIAuthentication",
    "GSSAPIClientIdentity",
    "GSSAPIDelegateCredentials",
    "GSSAPIKexAlgorithms",
    "GSSAPIKeyExchange",
    "GSSAPIRenewalForcesRekey",
    "GSSAPIServerIdentity",
    "GSSAPITrustDns",
    "GatewayPorts",
    "HashKnownHosts",
    "HostbasedAcceptedAlgorithms",
    "HostbasedKeyTypes",
    "IPQoS",
    "KbdInteractiveDevices",
    "KeepAlive",
    "LocalCommand",
    "LocalForward",
    "LogLevel",
    "LogVerbose",
    "NumberOfPasswordPrompts",
    "ObscureKeystrokeTiming",
    "PermitRemoteOpen",
    "ProtocolKeepAlives",
    "ProxyUseFdpass",
    "RemoteCommand",
    "RemoteForward",
    "RequestTTY",
    "SendEnv",
    "SessionType",
    "SetEnv",
    "SetupTimeOut",
    "StdinNull",
    "StreamLocalBindMask",
    "StreamLocalBindUnlink",
    "SyslogFacility",
    "TCPKeepAlive",
    "Tunnel",
    "TunnelDevice",
    "UpdateHostKeys",
    "VersionAddendum",
    "VisualHostKey",
    "WarnWeakCrypto",
    "XAuthLocation",
    // Given up by OpenSSH.
    "AFSTokenPassing",
    "Cipher",
    "CompressionLevel",
    "FallBackToRsh",
    "GlobalKnownHostsFile2",
    "KerberosAuthentication",
    "KerberosTgtPassing",
    "Protocol",
    "RSAAuthentication",
    "RhostsAuthentication",
    "RhostsRSAAuthentication",
    "UsePrivilegedPort",
    "UseRoaming",
    "UseRsh",
    "UserKnownHostsFile2",
];

/// What a keyword means; `None` if it is none. Case is no part of it.
pub(super) fn meaning(keyword: &str) -> Option<Meaning> {
    let is = |name: &str| name.eq_ignore_ascii_case(keyword);
    let followed = FOLLOWED.iter().chain(ALIASES).find(|(name, _)| is(name));
    let unsupported = UNSUPPORTED.iter().find(|(name, _)| is(name));
    followed
        .map(|(_, keyword)| Meaning::Followed(*keyword))
        .or_else(|| unsupported.map(|(name, harmless)| Meaning::Unsupported(name, harmless)))
        .or_else(|| HARMLESS.iter().any(|name| is(name)).then_some(Meaning::Harmless))
}
