//! What is said about single values: every kind of refusal, in inventories that are fine otherwise.

use insta::assert_snapshot;

use super::{Room, with};

#[test]
fn an_activation_is_either_made_or_given() {
    let activations = [
        "{}",
        "{ id_env = \"I\" }",
        "{ code_env = \"C\" }",
        "{ expires_in = \"4h\", code_env = \"C\" }",
        "{ id_env = \"I\", code_env = \"C\", code_file = \"code\" }",
        "{ expires_in = \"59m\" }",
        "{ expires_in = \"31d\" }",
        "{ id = \"ab\", code_env = \"$C\" }",
        "{ id_file = \"none\", code_file = \"packages\" }",
    ];
    let environments: Vec<_> = (activations.iter().enumerate())
        .map(|(index, activation)| {
            format!(
                "[environments.e{index}]\nregion = \"eu-west-1\"\nrole = \"r\"\nactivation = {activation}\n"
            )
        })
        .collect();
    let environments = environments.concat();
    assert_snapshot!(Room::new().problems(&with(&format!("[[hosts]]\nname = \"a\"\nenvironment = \"e0\"\n{environments}"))), @r#"
    hosts.toml:13:14: error: an activation neither made nor given
        13 | activation = {}
           |              ^^
      hint: write { expires_in = "4h" } for one made by the run, or { id = "...", code_file = "..." } for one of yours

    hosts.toml:17:14: error: an activation's id without its code
        17 | activation = { id_env = "I" }
           |              ^^^^^^^^^^^^^^^^
      hint: write { expires_in = "4h" } for one made by the run, or { id = "...", code_file = "..." } for one of yours

    hosts.toml:21:14: error: an activation's code without its id
        21 | activation = { code_env = "C" }
           |              ^^^^^^^^^^^^^^^^^^
      hint: write { expires_in = "4h" } for one made by the run, or { id = "...", code_file = "..." } for one of yours

    hosts.toml:25:14: error: an activation can't be both made by the run and given
        25 | activation = { expires_in = "4h", code_env = "C" }
           |              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      hint: write { expires_in = "4h" } for one made by the run, or { id = "...", code_file = "..." } for one of yours

    hosts.toml:29:14: error: an activation's id or code from more than one place
        29 | activation = { id_env = "I", code_env = "C", code_file = "code" }
           |              ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      hint: write { expires_in = "4h" } for one made by the run, or { id = "...", code_file = "..." } for one of yours

    hosts.toml:33:29: error: an activation lives 1 hour to 30 days
        33 | activation = { expires_in = "59m" }
           |                             ^^^^^
      hint: write "1h" to "30d"

    hosts.toml:37:29: error: an activation lives 1 hour to 30 days
        37 | activation = { expires_in = "31d" }
           |                             ^^^^^
      hint: write "1h" to "30d"

    hosts.toml:41:21: error: this is no activation id
        41 | activation = { id = ****, code_env = **** }
           |                     ^^^^
      hint: an id looks like 6dd0f9c4-8d0c-4e2b-9a3e-3f1f0f4f7a11

    hosts.toml:41:38: error: this is no name of an environment variable
        41 | activation = { id = ****, code_env = **** }
           |                                      ^^^^
      hint: write the variable's name (letters, digits, underscores), without `$`; its value stays outside

    hosts.toml:45:26: error: file of the activation id ROOM/none does not exist
        45 | activation = { id_file = "none", code_file = "packages" }
           |                          ^^^^^^
      hint: check its name, or create it

    hosts.toml:45:46: error: file of the activation code ROOM/packages is not a file
        45 | activation = { id_file = "none", code_file = "packages" }
           |                                              ^^^^^^^^^^
      hint: name the file itself
    "#);
}

#[test]
fn values_of_environments_are_checked() {
    let text = r#"
[package]
source = "none"
sha256 = "abc"
keys = ["none.asc"]
[environments.Prod]
region = "eu-central-1a"
role = "arn:aws:iam::123456789012:role/service-role/SSM"
profile = ""
instance_name = "{hots}"
endpoint = "ssm.example.com"
agent_endpoint = "https://ssm.example.com:0/"
ca_bundle = "none.pem"
online_within = "5"
tags = { "aws:x" = "1", "bootstrap:run" = "2", Name = "3", "" = "4", k = "a;b" }
package = { source = "s3://bucket/x" }
[[hosts]]
name = "a"
environment = "Prod"
[defaults]
user = "pi"
identity = "key"
"#;
    assert_snapshot!(Room::new().problems(text), @r#"
    hosts.toml:3:10: error: package ROOM/none can't be read: No such file or directory (os error 2)
         3 | source = "none"
           |          ^^^^^^
      hint: name a package, a directory of packages, or an https:// URL

    hosts.toml:4:10: error: a SHA-256 digest is 64 hex digits
         4 | sha256 = "abc"
           |          ^^^^^
      hint: `sha256sum FILE` prints it

    hosts.toml:5:9: error: public key ROOM/none.asc does not exist
         5 | keys = ["none.asc"]
           |         ^^^^^^^^^^
      hint: check its name, or create it

    hosts.toml:6:15: error: "Prod" can't be the name of an environment
         6 | [environments.Prod]
           |               ^^^^
      hint: up to 64 lower-case letters, digits and hyphens, such as "prod"

    hosts.toml:7:10: error: "eu-central-1a" is no AWS Region
         7 | region = "eu-central-1a"
           |          ^^^^^^^^^^^^^^^
      hint: did you mean "eu-central-1"?

    hosts.toml:8:8: error: an ARN is not taken for `role`
         8 | role = "arn:aws:iam::123456789012:role/service-role/SSM"
           |        ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      hint: write "service-role/SSM"

    hosts.toml:9:11: error: a profile without a name
         9 | profile = ""
           |           ^^
      hint: leave `profile` out for the usual chain of the AWS SDKs

    hosts.toml:10:17: error: unknown placeholder `{hots}`
        10 | instance_name = "{hots}"
           |                 ^^^^^^^^
      hint: did you mean `{host}`?

    hosts.toml:11:12: error: "ssm.example.com" is no http(s) URL
        11 | endpoint = "ssm.example.com"
           |            ^^^^^^^^^^^^^^^^^
      hint: write "https://ssm.example.com"

    hosts.toml:12:18: error: the port of "https://ssm.example.com:0/" is no port
        12 | agent_endpoint = "https://ssm.example.com:0/"
           |                  ^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      hint: a number from 1 to 65535

    hosts.toml:13:13: error: CA bundle ROOM/none.pem does not exist
        13 | ca_bundle = "none.pem"
           |             ^^^^^^^^^^
      hint: check its name, or create it

    hosts.toml:14:17: error: "5" is no duration
        14 | online_within = "5"
           |                 ^^^
      hint: name the unit: "5s" or "5m"

    hosts.toml:15:10: error: tag `aws:x`: AWS keeps `aws:` for itself
        15 | tags = { "aws:x" = "1", "bootstrap:run" = "2", Name = "3", "" = "4", k = "a;b" }
           |          ^^^^^^^
      hint: choose another prefix

    hosts.toml:15:25: error: tag `bootstrap:run`: `bootstrap:` is reserved for this tool
        15 | tags = { "aws:x" = "1", "bootstrap:run" = "2", Name = "3", "" = "4", k = "a;b" }
           |                         ^^^^^^^^^^^^^^^
      hint: choose another prefix

    hosts.toml:15:48: error: tag `Name` is set from `instance_name`
        15 | tags = { "aws:x" = "1", "bootstrap:run" = "2", Name = "3", "" = "4", k = "a;b" }
           |                                                ^^^^
      hint: set `instance_name` in the environment

    hosts.toml:15:60: error: a tag without a key
        15 | tags = { "aws:x" = "1", "bootstrap:run" = "2", Name = "3", "" = "4", k = "a;b" }
           |                                                            ^^
      hint: name it, or take it out

    hosts.toml:15:74: error: a tag's value with ';' in it
        15 | tags = { "aws:x" = "1", "bootstrap:run" = "2", Name = "3", "" = "4", k = "a;b" }
           |                                                                          ^^^^^
      hint: AWS takes letters, digits, spaces and `_.:/=+-@`

    hosts.toml:16:22: error: "s3://bucket/x" is no http(s) URL
        16 | package = { source = "s3://bucket/x" }
           |                      ^^^^^^^^^^^^^^^
      hint: write the bucket's https:// URL
    "#);
}

#[test]
fn values_of_hosts_are_checked() {
    let text = with(
        r#"
[[hosts]]
name = "größe"
[[hosts]]
name = "10.0.0.256"
[[hosts]]
name = "fe80::1"
[[hosts]]
name = "日本-host"
user = "a b"
[[hosts]]
name = "a"
address = "pi@10.0.0.1"
host_key = "SHA256:abc"
[[hosts]]
name = "b"
address = "10.0.0.2:2222"
host_key = "acept-new"
limits = { connect = "0s", command = "soon" }
"#,
    );
    assert_snapshot!(Room::new().problems(&text), @r#"
    hosts.toml:9:8: error: "größe" can't be the name of a host
         9 | name = "größe"
           |        ^^^^^^^
      hint: letters, digits, hyphens and underscores, in parts of up to 63 joined by dots

    hosts.toml:11:8: error: "10.0.0.256" is no address
        11 | name = "10.0.0.256"
           |        ^^^^^^^^^^^^
      hint: a DNS name, an IPv4 address, or an IPv6 address such as fe80::1 or [fe80::1]

    hosts.toml:13:8: error: "fe80::1" can't be the name of a host
        13 | name = "fe80::1"
           |        ^^^^^^^^^
      hint: give the host a name, and write this as its `address`

    hosts.toml:15:8: error: "日本-host" can't be the name of a host
        15 | name = "日本-host"
           |        ^^^^^^^^^^^
      hint: letters, digits, hyphens and underscores, in parts of up to 63 joined by dots

    hosts.toml:16:8: error: "a b" can't be a login user
        16 | user = "a b"
           |        ^^^^^
      hint: write the name that `ssh USER@HOST` takes

    hosts.toml:19:11: error: "pi@10.0.0.1" is no address
        19 | address = "pi@10.0.0.1"
           |           ^^^^^^^^^^^^^
      hint: write the login user as `user`

    hosts.toml:20:12: error: a fingerprint is `SHA256:` and 43 characters of base64
        20 | host_key = "SHA256:abc"
           |            ^^^^^^^^^^^^
      hint: `ssh-keygen -lf` prints a key's fingerprint

    hosts.toml:23:11: error: "10.0.0.2:2222" is no address
        23 | address = "10.0.0.2:2222"
           |           ^^^^^^^^^^^^^^^
      hint: write the port as `port`

    hosts.toml:24:12: error: "acept-new" is no host key policy
        24 | host_key = "acept-new"
           |            ^^^^^^^^^^^
      hint: did you mean `accept-new`?

    hosts.toml:25:22: error: a limit of no time at all
        25 | limits = { connect = "0s", command = "soon" }
           |                      ^^^^
      hint: write how long, such as "90s"

    hosts.toml:25:38: error: "soon" is no duration
        25 | limits = { connect = "0s", command = "soon" }
           |                                      ^^^^^^
      hint: write a number and a unit, such as "90s", "5m", "1h30m" or "2d"
    "#);
}

#[test]
fn ranges_that_make_no_sense_are_refused() {
    let text = with(
        r#"
[[hosts]]
name = "a[3:1]"
[[hosts]]
name = "b[1-3]"
[[hosts]]
name = "c[01:3]"
[[hosts]]
name = "d[0:65536]"
[[hosts]]
name = "e[1:3]"
address = "10.0.0.[1:2]"
[[hosts]]
name = "f[1:40000]"
[groups.g]
hosts = ["g[1:40000]", "h["]
"#,
    );
    assert_snapshot!(Room::new().problems(&text), @r#"
    hosts.toml:9:8: error: range `[3:1]` runs backwards
         9 | name = "a[3:1]"
           |        ^^^^^^^^
      hint: write `[1:3]`

    hosts.toml:11:8: error: `[1-3]` is no range
        11 | name = "b[1-3]"
           |        ^^^^^^^^
      hint: a range is two numbers: [01:20]

    hosts.toml:13:8: error: the ends of range `[01:3]` are padded differently
        13 | name = "c[01:3]"
           |        ^^^^^^^^^
      hint: write both with the same number of digits: `[01:03]`

    hosts.toml:15:8: error: these are more than 65536 hosts
        15 | name = "d[0:65536]"
           |        ^^^^^^^^^^^^
      hint: is a digit too many? Else split the inventory

    hosts.toml:18:11: error: 2 addresses for 3 names
        18 | address = "10.0.0.[1:2]"
           |           ^^^^^^^^^^^^^^
      hint: give `address` a range as long as that of `name`

    hosts.toml:22:10: error: with these, there are more than 65536 hosts
        22 | hosts = ["g[1:40000]", "h["]
           |          ^^^^^^^^^^^^
      hint: split the inventory

    hosts.toml:22:24: error: `[` is no range
        22 | hosts = ["g[1:40000]", "h["]
           |                        ^^^^
      hint: a range is two numbers: [01:20]
    "#);
}

#[test]
fn tags_and_names_keep_within_the_limits_of_aws() {
    let tags = (0..48).map(|index| format!("t{index} = \"\"\n")).collect::<Vec<_>>().concat();
    let long = "x".repeat(129);
    let name = "n".repeat(240);
    let text = with(&format!(
        "instance_name = \"{name}-{{host}}\"\n[[hosts]]\nname = \"a\"\n[hosts.tags]\n{tags}[[hosts]]\nname = \"bbbbbbbbbbbbbbbbbbbb\"\ntags = {{ {long} = \"{long}{long}\" }}\n"
    ));
    assert_snapshot!(Room::new().problems(&text).replace(&long, "LONG").replace(&"^".repeat(129), "^^^").replace(&"^".repeat(100), "^"), @r#"
    hosts.toml:9:8: error: host `a` gets 48 tags
         9 | name = "a"
           |        ^^^
      hint: AWS takes 50, of which 47 are yours; take some out

    hosts.toml:60:8: error: the `Name` of host `bbbbbbbbbbbbbbbbbbbb`: a tag's value of 261 characters
        60 | name = "bbbbbbbbbbbbbbbbbbbb"
           |        ^^^^^^^^^^^^^^^^^^^^^^
      hint: change `instance_name` in [environments.dev]: AWS takes at most 256; shorten it

    hosts.toml:61:10: error: a tag's key of 129 characters
        61 | tags = { LONG = "LONGLONG" }
           |          ^^^
      hint: AWS takes at most 128; shorten it

    hosts.toml:61:142: error: a tag's value of 258 characters
        61 | tags = { LONG = "LONGLONG" }
           |                                                                                                                                              ^^^^^^^^
      hint: AWS takes at most 256; shorten it
    "#);
}
