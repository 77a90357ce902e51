//! What is not followed is said, once, and only where it matters.

use super::{
    super::{Given, Unsupported},
    Home, resolved,
};

/// Keywords and lines.
fn said(config: &str, alias: &str) -> Vec<(String, usize)> {
    resolved(config, alias).unsupported.into_iter().map(|one| (one.keyword, one.place.line)).collect()
}

fn keywords(config: &str, alias: &str) -> Vec<String> {
    said(config, alias).into_iter().map(|(keyword, _)| keyword).collect()
}

#[test]
fn a_keyword_is_said_where_it_applies() {
    let config = "Host a\n  ciphers aes128-ctr\nHost *\n  BindAddress 10.0.0.1\n  Ciphers aes256-ctr\n";
    assert_eq!(said(config, "a"), [("Ciphers".to_owned(), 2), ("BindAddress".to_owned(), 4)]);
    assert_eq!(said(config, "b"), [("BindAddress".to_owned(), 4), ("Ciphers".to_owned(), 5)]);
}

#[test]
fn a_value_by_which_we_go_anyway_is_not_worth_a_word() {
    assert!(
        keywords(
            "CanonicalizeHostname no\nVerifyHostKeyDNS NO\nRevokedHostKeys none\nRekeyLimit default",
            "a"
        )
        .is_empty()
    );
    assert_eq!(keywords("VerifyHostKeyDNS ask\nRekeyLimit 1G 1h", "a"), ["VerifyHostKeyDNS", "RekeyLimit"]);
    // The first value is the one that counts.
    let config = "Host a\n  CanonicalizeHostname no\nHost *\n  CanonicalizeHostname yes";
    assert!(keywords(config, "a").is_empty());
    assert_eq!(keywords(config, "b"), ["CanonicalizeHostname"]);
}

// What Debian and Fedora ship in /etc/ssh must not be a nuisance to everybody, apart from the policies on algorithms.
#[test]
fn the_defaults_of_distributions_are_silent() {
    let debian = "Host *\n  SendEnv LANG LC_*\n  HashKnownHosts yes\n  GSSAPIAuthentication yes\n";
    let fedora = "Match final all\n  GSSAPIAuthentication yes\n  ForwardX11Trusted yes\n  SendEnv LANG\n  GSSAPIKexAlgorithms a,b\n";
    assert!(keywords(debian, "a").is_empty() && keywords(fedora, "a").is_empty());
}

#[test]
fn a_match_that_hangs_on_a_program_does_not_apply_and_is_said() {
    let config = "Match host a exec \"true\"\n  Port 2201\nMatch !exec true\n  Port 2202\nMatch exec \"true\" host b\n  Port 2203\n\
                  Match localnetwork 10.0.0.0/8\n  Port 2204\nMatch command x\n  Port 2205\n";
    let resolved = resolved(config, "a");
    assert_eq!(resolved.options.port, None);
    let said: Vec<_> =
        resolved.unsupported.iter().map(|one| (one.keyword.as_str(), one.place.line)).collect();
    assert_eq!(said, [("Match exec", 1), ("Match localnetwork", 7), ("Match command", 9)]);
    let text = resolved.unsupported[0].to_string();
    assert!(
        text.ends_with("config:1: `Match exec` is not supported: the lines below it are left out"),
        "{text}"
    );
}

#[test]
fn no_program_is_run() {
    let home = Home::new();
    let trace = home.path("trace");
    home.write(
        ".ssh/config",
        &format!("Match exec \"touch {0}\"\n  User x\nProxyCommand touch {0}\n", trace.display()),
    );
    home.load().unwrap().resolve("a", Given::default()).unwrap();
    assert!(!trace.exists());
}

#[test]
fn an_include_that_depends_on_the_host_is_left_out_and_said() {
    let home = Home::with("Include hosts/%h\nInclude hosts/100%%h\n");
    home.write(".ssh/hosts/a", "Port 2201\n");
    home.write(".ssh/hosts/100%h", "ConnectionAttempts 4\n");
    let resolved = home.load().unwrap().resolve("a", Given::default()).unwrap();
    assert_eq!((resolved.options.port, resolved.options.connection_attempts), (None, Some(4)));
    assert_eq!(resolved.unsupported[0].keyword, "Include");
}

#[test]
fn a_fleet_says_each_keyword_once_per_file() {
    let home = Home::with("Host a\n  Ciphers x\nHost b\n  Ciphers y\n  MACs z\nHost c\n  ProxyJump a\n");
    let config = home.load().unwrap();
    let all = ["a", "b", "c"].map(|alias| config.resolve(alias, Given::default()).unwrap().unsupported);
    let said: Vec<_> = Unsupported::once_per_file(all.concat())
        .into_iter()
        .map(|one| (one.keyword, one.place.line))
        .collect();
    assert_eq!(said, [("Ciphers".to_owned(), 2), ("MACs".to_owned(), 5)]);
}

#[test]
fn conditions_on_tags_and_kinds_of_sessions_are_followed() {
    let config = "Match tagged \"\"\n  ConnectionAttempts 9\nTag lab\nMatch tagged prod,lab\n  Port 2201\nMatch sessiontype exec\n  User x\n";
    let resolved = resolved(config, "a");
    let options = resolved.options;
    assert_eq!(
        (options.connection_attempts, options.port, options.user.as_deref()),
        (Some(9), Some(2201), Some("x"))
    );
    assert!(resolved.unsupported.is_empty());
}
