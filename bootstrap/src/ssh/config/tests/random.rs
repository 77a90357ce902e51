//! Any text is read without a panic, and any sensible one as `ssh` reads it.

use proptest::prelude::*;

use super::{
    super::{Given, statement::Statement},
    Home,
    oracle::Oracle,
};

/// Lines that are likely to mean something together.
fn line() -> impl Strategy<Value = String> {
    let host =
        prop::sample::select(vec!["a", "b", "*", "!a", "a*", "?", "b.example", "*.example", "!*.example"]);
    let hosts = prop::collection::vec(host, 1..3);
    let setting = prop::sample::select(vec![
        "Port 2201",
        "Port=2202",
        "User one",
        "User \"two words\"",
        "HostName %h.example",
        "HostName B.Example",
        "IdentityFile /one",
        "IdentityFile /two",
        "IdentityFile none",
        "ProxyJump gate",
        "ProxyJump u@x:23,y",
        "ProxyJump none",
        "ProxyCommand none",
        "ProxyCommand nc x y",
        "ConnectTimeout 1m5s",
        "ConnectTimeout none",
        "UserKnownHostsFile ~/%h/%r /x",
        "UserKnownHostsFile none",
        "StrictHostKeyChecking accept-new",
        "StrictHostKeyChecking no",
        "HostKeyAlias Alias",
        "IdentityAgent ~/%k.sock",
        "IgnoreUnknown frob*",
        "Frobnicate yes",
        "ServerAliveInterval 5 # five",
        "Port 22 23",
        "",
    ]);
    let condition = prop::sample::select(vec![
        "all",
        "final all",
        "final",
        "canonical",
        "host a,b.example",
        "host !a*,*",
        "!host b*",
        "originalhost a",
        "user one",
        "!user one",
        "originalhost b user root,two*",
        "host *.example final",
    ]);
    prop_oneof![
        2 => hosts.prop_map(|hosts| format!("Host {}", hosts.join(" "))),
        2 => condition.prop_map(|condition| format!("Match {condition}")),
        5 => setting.prop_map(|setting| format!("  {setting}")),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn sensible_configurations_mean_what_they_mean_to_ssh(lines in prop::collection::vec(line(), 1..12)) {
        thread_local!(static ORACLE: Oracle = Oracle::new());
        let text = lines.join("\n");
        ORACLE.with(|oracle| {
            for alias in ["a", "b"] {
                oracle.compare(&text, alias, Given::default());
            }
        });
    }
}

proptest! {
    #[test]
    fn no_line_makes_the_parser_panic(line in any::<Vec<u8>>()) {
        let _ = Statement::parse(&line);
    }

    #[test]
    fn no_value_makes_the_parser_panic(keyword in "(Host|Match|Include|ProxyJump|ConnectTimeout|Port|IdentityFile)", value in "[ -~é\t]{0,40}") {
        let _ = Statement::parse(format!("{keyword} {value}").as_bytes());
    }

    #[test]
    fn a_host_is_always_resolved_in_the_same_way(
        lines in prop::collection::vec(prop_oneof![line(), "[ -~]{0,30}", "(HostName|ProxyJump|User|IdentityFile) [ -~]{1,9}"], 0..10),
    ) {
        let home = Home::with(&lines.join("\n"));
        let answer = || home.load().and_then(|config| config.resolve("a", Given::default())).map_err(|error| error.to_string());
        prop_assert_eq!(answer(), answer());
    }
}
