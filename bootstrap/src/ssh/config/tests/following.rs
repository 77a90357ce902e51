//! Configurations that are easy to get wrong, each answered as `ssh` answers it.

use super::{super::Given, oracle::Oracle};

/// Compares many configurations for a few hosts each.
fn agree(cases: &[(&str, &[&str])]) {
    let oracle = Oracle::new();
    for (text, aliases) in cases {
        for alias in *aliases {
            oracle.compare(text, alias, Given::default());
        }
    }
}

#[test]
fn lines_are_cut_as_ssh_cuts_them() {
    agree(&[
        ("HostName=one.example\nPort = 2201\nUser\tadmin", &["a"]),
        ("  hostname   one.example  \n\n\t# a comment\n#Port 1\nPORT 2202\n", &["a"]),
        ("HostName one.example\r\nPort 2203\r\n", &["a"]),
        ("User \"John Doe\"\nHostName one.example # behind it", &["a"]),
        ("User John\\ Doe\nIdentityFile \"/keys/a key\"\nIdentityFile '/keys/b key'", &["a"]),
        ("User say\\\"hi\\\"\nIdentityFile \"/a\\\\b\"", &["a"]),
        ("User me#you\nIdentityFile /a#b", &["a"]),
        ("\"HostName\" one.example\nUser dom\\user", &["a"]),
        ("IdentityFile /a\"b c\"d", &["a"]),
        ("UserKnownHostsFile \"/k/one two\" /k/three", &["a"]),
        ("HostName one.example\x0c\nUser x", &["a"]),
    ]);
}

#[test]
fn lines_of_other_systems_and_other_tastes_are_read_as_ssh_reads_them() {
    agree(&[
        ("Host a\r\n  Port 3\r\n  User x\r\nMatch host b\r\n  Port 4\r\n", &["a", "b"]),
        ("ProxyJump none\r\nProxyCommand none\r\nIdentityFile /x\r\nUserKnownHostsFile /x /y\r\n", &["a"]),
        ("StrictHostKeyChecking no\r\nHostKeyAlias x\r\nIgnoreUnknown q,r\r\nr 1\r\n\r\n# end\r\n", &["a"]),
        ("ProxyJump g \r\n", &["a"]),
        ("Host=a\nPort=\"2201\"\nHost = b\nPort = 2202", &["a", "b"]),
        ("\"Port\" = 3\nUser = \"x y\"", &["a"]),
        ("Port == 3", &["a"]),
        ("Port 3;", &["a"]),
        ("Port 022\nUser a'b'\"c\"", &["a"]),
        ("User \"a", &["a"]),
        ("User a\\ ", &["a"]),
        ("User a\rb\nPort 3\x0b", &["a"]),
        ("Port #3", &["a"]),
        ("IgnoreUnknown frob*,!frobx\nFrobx 1", &["a"]),
        ("Host other\n  IgnoreUnknown frob\nHost *\n  Frob 1", &["a", "other"]),
    ]);
}

#[test]
fn odd_patterns_addresses_and_chains_mean_what_they_mean_to_ssh() {
    agree(&[
        ("Host !!a *\n  Port 3\nHost !\n  Port 4\nHost ** !b\n  Port 5\nHost \"\"\n  User x", &["a", "b"]),
        ("Host [a] a,b\n  Port 3\nHost #a\n  Port 4", &["a"]),
        ("Match host ,a,,b\n  Port 3\nMatch host=\"*,!a\" user root # c\n  User y", &["a", "b"]),
        ("Match host a # all\n  Port 3", &["a"]),
        ("Match host a, \n  Port 3\nMatch !all\n  Port 4", &["a"]),
        ("HostName B\nMatch host b\n  Port 3\nMatch final host B\n  User z", &["a"]),
        ("HostName %h%%.%h", &["a"]),
        ("HostName 100%", &["a"]),
        ("HostName 0:0:0:0:0:0:0:1\nHostKeyAlias A", &["a"]),
        ("HostName FE80::A%Eth0", &["a"]),
        ("ProxyJump u@[fe80::1%%eth0]:23,b", &["a"]),
        ("ProxyJump u@v@h:7", &["a"]),
        ("ProxyJump a:22:33", &["b"]),
        ("ProxyJump x, b", &["a"]),
        ("ProxyJump x,", &["a"]),
        ("ProxyJump none # not\nProxyJump x", &["a"]),
        ("ProxyCommand NONE\nProxyJump x", &["a"]),
        ("UserKnownHostsFile none /x", &["a"]),
        ("GlobalKnownHostsFile /a /b\nGlobalKnownHostsFile none", &["a"]),
        ("CertificateFile /a\nCertificateFile none\nIdentityFile none\nIdentityFile /x", &["a"]),
    ]);
}

// Up to 10.0 it did; `ssh -G` of such a version shows it.
#[test]
fn not_final_asks_for_no_final_pass_as_in_openssh_since_10_1() {
    let text =
        "Match !final\n  Port 2201\nHost short\n  HostName long.example\nHost long.example\n  User late\n";
    let options = super::options(text, "short");
    assert_eq!((options.port, options.user), (Some(2201), None));
}

#[test]
fn the_first_value_wins_and_key_files_add_up() {
    let text = "Host a b\n  Port 2201\n  IdentityFile /keys/one\n  IdentityFile /keys/two\n\
                Host a\n  Port 2202\n  User late\n  IdentityFile /keys/one\n  CertificateFile /keys/c1\n\
                Host *\n  Port 2203\n  User last\n  IdentityFile /keys/three\n  CertificateFile /keys/c2\n\
                  UserKnownHostsFile /k/one /k/two\n  UserKnownHostsFile /k/three\n  IdentityFile none";
    agree(&[(text, &["a", "b", "c", "A"])]);
    agree(&[
        ("ServerAliveInterval none\nServerAliveInterval 5\nConnectTimeout none\nConnectTimeout 7", &["a"]),
        ("ServerAliveInterval 0\nServerAliveInterval 5\nServerAliveCountMax 0", &["a"]),
    ]);
}

#[test]
fn patterns_of_hosts_match_as_in_ssh() {
    let text = "Host web?.example !web3.example\n  Port 2201\n\
                Host !web1.example\n  User nobody-ever\n\
                Host * !*.example\n  User outside\n\
                Host 10.0.*.1? fd00::*\n  Port 2202\n\
                Host \"with quotes\" we*.exa*ple\n  ConnectionAttempts 3\n\
                Host #nothing\n  ConnectionAttempts 4\n\
                Host a,b\n  ConnectionAttempts 5";
    let hosts = [
        "web1.example",
        "web3.example",
        "web12.example",
        "10.0.3.15",
        "10.0.3.5",
        "fd00::1",
        "a",
        "WEB1.example",
    ];
    agree(&[(text, &hosts)]);
}

#[test]
fn match_lines_hold_as_in_ssh() {
    let oracle = Oracle::new();
    let text = "Host alias\n  HostName Real.Example\n  User deploy\n\
                Match host real.*,!x\n  Port 2201\n\
                Match host alias\n  Port 2202\n\
                Match originalhost ALIAS\n  ConnectionAttempts 2\n\
                Match !originalhost alias host *.example\n  ConnectionAttempts 3\n\
                Match user deploy,root !localuser nobody\n  ConnectTimeout 10\n\
                Match user \"somebody else\"\n  ConnectTimeout 11\n\
                Match all\n  ServerAliveInterval 12\n\
                Match !all\n  ServerAliveCountMax 13";
    for alias in ["alias", "real.example", "other.example", "x"] {
        oracle.compare(text, alias, Given::default());
        oracle.compare(text, alias, Given { user: Some("somebody else"), ..Given::default() });
        oracle.compare(text, alias, Given { user: Some("deploy"), port: Some(99), ..Given::default() });
    }
}

#[test]
fn a_final_pass_reads_everything_again_for_the_real_name() {
    agree(&[
        (
            "Host short\n  HostName Long.Example\nHost long.example\n  Port 2201\nMatch final all\n  User late",
            &["short"],
        ),
        (
            "Host short\n  HostName long.example\nHost long.example\n  Port 2201\nMatch canonical all\n  User late",
            &["short"],
        ),
        (
            "Match final host long.example\n  Port 2203\nMatch host short\n  HostName long.example",
            &["short", "x"],
        ),
        ("Match final\n  IdentityFile /late\nHost *\n  IdentityFile /early", &["short"]),
        (
            "Host never\n  Match final\n  Port 2\nHost short\n  HostName %h.example\nHost short.example\n  Port 3",
            &["short"],
        ),
    ]);
}

#[test]
fn values_are_read_as_ssh_reads_them() {
    agree(&[
        ("ConnectTimeout 1m30s\nServerAliveInterval 2H", &["a"]),
        ("ConnectTimeout 1d2h3m4\nServerAliveInterval 1w", &["a"]),
        ("StrictHostKeyChecking off", &["a"]),
        ("StrictHostKeyChecking ACCEPT-NEW\nCompression yes\nAddressFamily inet6", &["a"]),
        ("StrictHostKeyChecking false\nPubkeyAuthentication no\nPasswordAuthentication true", &["a"]),
        (
            "ChallengeResponseAuthentication no\nPreferredAuthentications publickey,keyboard-interactive",
            &["a"],
        ),
        ("HostKeyAlias Some.Alias\nIdentitiesOnly yes", &["a"]),
        ("UserKnownHostsFile none\nGlobalKnownHostsFile NONE\nIdentityAgent none", &["a"]),
        ("GlobalKnownHostsFile /etc/a \"/etc/b c\"", &["a"]),
        ("HostName FD00:0:0::00A1\nUser x", &["a", "FD00::0002", "10.0.0.1"]),
    ]);
}

#[test]
fn tokens_and_variables_are_filled_in_as_in_ssh() {
    agree(&[
        ("HostName x%%y.%h\nUser u", &["a"]),
        ("HostName %h.Example\nUserKnownHostsFile ~/.ssh/known-%h-%n-%r-%p-%u /%L/%i/%k%%", &["Short"]),
        (
            "Host a\n  HostName b\n  Port 2201\n  User u\n  HostKeyAlias K\n  UserKnownHostsFile %d/%h/%n/%p/%r/%k",
            &["a"],
        ),
        ("IdentityAgent ~/agent-%r\nUserKnownHostsFile ${BOOTSTRAP_TEST_KEYS}/%l/a", &["a"]),
        ("IdentityAgent ${BOOTSTRAP_TEST_KEYS}/%n.sock\nUserKnownHostsFile ~ ~/ ~//x", &["a"]),
    ]);
}

#[test]
fn private_keys_are_those_ssh_looks_for() {
    let oracle = Oracle::new();
    let text = "Host a\n  HostName b.example\n  User deploy\n  Port 2201\nHost *\n\
                IdentityFile ~/.ssh/%r@%h\nIdentityFile ${BOOTSTRAP_TEST_KEYS}/%n-%p-%u-%i-%L-%l\n\
                IdentityFile none\nIdentityFile %d/100%%\nIdentityFile relative/key";
    for alias in ["a", "Other"] {
        let ours = oracle.resolve(text, alias).identity_files.unwrap();
        assert_eq!(ours.len(), 4);
        assert_eq!(ours, oracle.identities(text, alias));
    }
}

#[test]
fn jump_hosts_and_commands_compete_as_in_ssh() {
    agree(&[
        ("ProxyJump gate", &["a"]),
        ("ProxyJump u@first:2201,second,v@[fd00::1]:2202", &["a"]),
        ("ProxyJump second,ssh://u%40x@first:2201/ # and more", &["a"]),
        ("ProxyJump=gate\nProxyJump other", &["a"]),
        ("Host a\n  ProxyJump none\nHost *\n  ProxyJump gate", &["a", "b"]),
        ("ProxyCommand none\nProxyJump gate", &["a"]),
        ("ProxyCommand nc %h %p\nProxyJump gate", &["a"]),
        ("ProxyJump dom@user@gate", &["a"]),
    ]);
}

#[test]
fn included_files_count_where_they_are_included() {
    let oracle = Oracle::new();
    oracle.include("one.conf", "Port 2201\nHost a\n  User of-a\nMatch final host b\n  ConnectTimeout 9\n");
    oracle.include("two.conf", "User of-two\nIdentityFile /two\n");
    oracle.include(".hidden.conf", "ConnectionAttempts 7\n");
    let directory = oracle.include("sub/three.conf", "Compression yes\n");
    let here = directory.parent().unwrap().parent().unwrap().display();
    for text in [
        format!("Include {here}/one.conf\nPort 2299"),
        format!("Host b\n  Include {here}/one.conf {here}/two.conf\n  ConnectTimeout 3\nHost *\n  Port 2299"),
        format!("Include {here}/*.conf {here}/none*\nPort 2299"),
        format!("Include {here}/*\nInclude {here}/*/three.[c]onf"),
        format!("Match host a\n  Include {here}/t?o.conf\n  Port 1\nHost *\n  User late"),
    ] {
        // The third would include the configuration itself, which is among all files.
        let text = if text.contains("/*\n") { text.replace("/*\n", "/s*\n") } else { text };
        for alias in ["a", "b", "c"] {
            oracle.compare(&text, alias, Given::default());
        }
    }
}

#[test]
fn what_ssh_refuses_is_refused() {
    let oracle = Oracle::new();
    oracle.include("loop.conf", &format!("Include {}\n", oracle.path("loop.conf").display()));
    oracle.include("broken.conf", "Host nobody\n  Port none\n");
    let loops = format!("Include {}", oracle.path("loop.conf").display());
    let broken = format!("Host other\n  Include {}", oracle.path("broken.conf").display());
    let broken = [loops.as_str(), &broken];
    let lines = [
        "Frobnicate yes",
        "Host other\n  Frobnicate yes",
        "Host other\n  IgnoreUnknown frob*\nHost *\n  Frobnicate yes",
        "Frobnicate yes\nIgnoreUnknown frob*",
        "IgnoreUnknown a*\nIgnoreUnknown frob*\nFrobnicate yes",
        "Port",
        "Port 0",
        "Port 65536",
        "Port 22 23",
        "User \"open",
        "ProxyCommand say \"open",
        "Host \"\"",
        "Host other\n  StrictHostKeyChecking maybe",
        "Compression true",
        "ConnectTimeout 5 minutes",
        "ConnectTimeout 5x",
        "ConnectTimeout m",
        "ConnectTimeout 99999999999",
        "ConnectionAttempts x",
        "ConnectionAttempts 0",
        "IdentityFile \"\"",
        "UserKnownHostsFile /a none",
        "UserKnownHostsFile ${BOOTSTRAP_TEST_NOT_SET}/x",
        "UserKnownHostsFile %y",
        "UserKnownHostsFile x%",
        "HostName %n",
        "HostName %p.example\nMatch host x\n",
        "ProxyJump @gate",
        "ProxyJump gate:port",
        "ProxyJump one,,two",
        "ProxyJump ,",
        "ProxyJump [fd00::1",
        "Match",
        "Match host",
        "Match sunshine yes",
        "Match host a all",
        "Match all host a",
        "Match all all",
    ];
    for text in broken.into_iter().chain(lines) {
        oracle.compare(text, "a", Given::default());
    }
    let accepted = [
        "IgnoreUnknown frob*,!other\nFrobnicate yes",
        "IgnoreUnknown FrobniCATE\nfrobnicate",
        "Host a\n  IgnoreUnknown frob*\nFrobnicate yes",
        "Protocol 2\nCipher blowfish",
        "Host\tother\n  ProxyJump fine",
    ];
    for text in accepted {
        oracle.compare(text, "a", Given::default());
    }
}
