//! The way through jump hosts.

use super::{
    super::{ConfigError, Given, HostOptions, IdentityAgent, Local, Resolved, Route},
    Home, options, refused, resolved,
};

fn way(resolved: &Resolved) -> Vec<String> {
    let place = |host: &HostOptions| {
        let user = host.user.as_deref().unwrap_or("-");
        format!("{user}@{}:{}", host.host_name, host.port.unwrap_or(22))
    };
    match &resolved.route {
        Route::Direct => Vec::new(),
        Route::Jumps(jumps) => jumps.iter().map(place).collect(),
        Route::Command(place) => panic!("{place}"),
    }
}

#[test]
fn every_jump_host_is_a_host_of_the_configuration() {
    let config = "Host target\n  ProxyJump one,root@two:2222\n\
                  Host one\n  HostName one.example\n  User first\n  IdentityFile /one\n\
                  Host two\n  HostName two.example\n  User second\n  Port 2201\n";
    let resolved = resolved(config, "target");
    assert_eq!(way(&resolved), ["first@one.example:22", "root@two.example:2222"]);
    let Route::Jumps(jumps) = resolved.route else { panic!() };
    assert_eq!(jumps[0].identity_files.as_deref(), Some(["/one".into()].as_slice()));
    assert_eq!(jumps[0].alias, "one");
}

#[test]
fn a_chain_with_blanks_in_it_is_refused() {
    for chain in ["a, b", "a ,b", "a b", "u v@a"] {
        let (what, hint) = refused(&format!("Host target\n  ProxyJump {chain}\n"), "target");
        assert!(what.contains("is not a jump host") && hint.contains("without blanks"), "{what}: {hint}");
    }
    assert_eq!(way(&resolved("Host target\r\n  ProxyJump a,b  # both\r\n", "target")), ["-@a:22", "-@b:22"]);
}

// As `ssh -v` shows it: it starts `ssh -J one -W ... two`, whose own ProxyJump therefore does not count, and for `one`
// a plain `ssh`, whose does.
#[test]
fn only_the_first_of_a_chain_is_asked_for_its_own_way() {
    let config =
        "Host target\n  ProxyJump one,two\nHost one\n  ProxyJump zero\nHost two\n  ProxyJump never\n";
    assert_eq!(way(&resolved(config, "target")), ["-@zero:22", "-@one:22", "-@two:22"]);
}

#[test]
fn a_jump_host_may_be_exempt_from_jumping() {
    let config = "Host gate\n  ProxyJump none\nHost *\n  ProxyJump gate\n";
    assert_eq!(way(&resolved(config, "a")), ["-@gate:22"]);
    assert!(way(&resolved(config, "gate")).is_empty());
}

#[test]
fn a_jump_host_that_jumps_through_itself_is_a_loop() {
    let (what, hint) = refused("Host *\n  ProxyJump gate\n", "a");
    assert_eq!(what, "jump hosts go round in circles: a -> gate -> gate");
    assert!(hint.contains("`Host gate` with `ProxyJump none`"), "{hint}");
}

#[test]
fn loops_of_several_hosts_are_found() {
    let config = "Host a\n  ProxyJump b\nHost b\n  ProxyJump c\nHost c\n  ProxyJump a\n";
    assert_eq!(refused(config, "a").0, "jump hosts go round in circles: a -> b -> c -> a");
    let by_address = "Host a\n  HostName 10.0.0.1\n  ProxyJump b,c\nHost c\n  HostName 10.0.0.1\n";
    assert_eq!(refused(by_address, "a").0, "jump hosts go round in circles: a -> c");
}

#[test]
fn ways_have_an_end() {
    let endless = refused("ProxyJump x%h\n", "a").0;
    assert_eq!(endless, "the way to `a` has more than 16 jump hosts");
    let hosts: Vec<String> = (1..=17).map(|number| format!("h{number}")).collect();
    let home = Home::with(&format!("Host a\n  ProxyJump {}\n", hosts.join(",")));
    let error = home.load().unwrap().resolve("a", Given::default()).unwrap_err();
    assert!(matches!(error, ConfigError::TooManyJumps { limit: 16, .. }), "{error}");
}

#[test]
fn tokens_of_a_jump_are_those_of_the_target() {
    let config = "Host a\n  HostName a.example\n  User u\n  Port 2201\n  ProxyJump %r-%n@gate-%h:2202\n";
    assert_eq!(way(&resolved(config, "a")), ["u-a@gate-a.example:2202"]);
}

#[test]
fn a_command_is_a_way_we_do_not_know() {
    let config =
        "Host a\n  ProxyCommand ssh -W %h:%p gate\nHost b\n  ProxyJump a\nHost c\n  ProxyCommand none\n";
    for alias in ["a", "b"] {
        let resolved = resolved(config, alias);
        assert!(matches!(&resolved.route, Route::Command(place) if place.line == 2), "{resolved:?}");
        assert_eq!(resolved.unsupported[0].keyword, "ProxyCommand");
    }
    assert_eq!(resolved(config, "c").route, Route::Direct);
}

#[test]
fn what_the_caller_says_wins_and_is_seen_by_conditions() {
    let home = Home::with(
        "Match user ops\n  Port 2201\nMatch host 10.0.0.9\n  ConnectTimeout 5\nMatch all\nUser %u\nHostName x\n",
    );
    let config = home.load().unwrap();
    let given = Given { user: Some("ops"), port: None, host_name: Some("10.0.0.9") };
    let options = config.resolve("a", given).unwrap().options;
    assert_eq!(
        (options.user.as_deref(), options.port, options.host_name.as_str()),
        (Some("ops"), Some(2201), "10.0.0.9")
    );
    assert!(options.connect_timeout.is_some());
    let given = Given { user: Some("100%"), port: Some(2299), host_name: Some("fe80::1%eth0") };
    let options = config.resolve("a", given).unwrap().options;
    assert_eq!((options.user.as_deref(), options.port), (Some("100%"), Some(2299)));
    assert_eq!(options.host_name, "fe80::1%eth0");
    // Only what nobody has said is from the file, tokens filled in.
    assert_eq!(config.resolve("a", Given::default()).unwrap().options.user.as_deref(), Some("me"));
}

#[test]
fn the_agent_is_named_by_a_path_or_a_variable() {
    let agent = |line: &str| {
        let mut home = Home::with(&format!("IdentityAgent {line}\n"));
        let variables = [("SSH_AUTH_SOCK", "/run/agent"), ("MINE", "/run/mine")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        home.local = Local { variables: variables.into_iter().collect(), ..home.local.clone() };
        home.load().unwrap().resolve("a", Given::default()).unwrap().options.identity_agent.unwrap()
    };
    let socket = |path: &str| IdentityAgent::Socket(path.into());
    assert_eq!(agent("none"), IdentityAgent::None);
    assert_eq!(agent("SSH_AUTH_SOCK"), socket("/run/agent"));
    assert_eq!(agent("$MINE"), socket("/run/mine"));
    assert_eq!(agent("$NOBODYS"), IdentityAgent::None);
    assert_eq!(agent("${MINE}.2"), socket("/run/mine.2"));
    assert_eq!(agent("/run/%u"), socket("/run/me"));
}

#[test]
fn nothing_said_and_none_are_two_things() {
    assert_eq!(options("", "a").identity_files, None);
    assert_eq!(options("IdentityFile none", "a").identity_files, Some(Vec::new()));
    assert_eq!(options("", "a").user_known_hosts, None);
    assert_eq!(options("UserKnownHostsFile none", "a").user_known_hosts, Some(Vec::new()));
}

#[test]
fn secrets_of_the_environment_are_never_shown() {
    let mut home = Home::with("Port 2201\n");
    home.local.variables = [("AWS_SECRET_ACCESS_KEY".to_owned(), "hunter2".to_owned())].into_iter().collect();
    assert!(!format!("{:?}", home.load().unwrap()).contains("hunter2"));
}
