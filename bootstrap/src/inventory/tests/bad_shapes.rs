//! What is said about files that are not TOML, or not of the schema's shape.

use insta::assert_snapshot;

use super::{Room, with};
use crate::inventory::Inventory;

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let room = Room::new();
    let missing = Inventory::load(&room.path("none.toml")).unwrap_err().to_string();
    assert_snapshot!(missing.replace(room.0.path().to_str().unwrap(), "ROOM"), @r#"
    ROOM/none.toml: error: can't be read: No such file or directory (os error 2)
      hint: name your inventory with --inventory FILE
    "#);
    std::fs::write(room.path("latin1.toml"), b"[defaults]\nuser = \"\xe4\"\n").unwrap();
    let latin1 = Inventory::load(&room.path("latin1.toml")).unwrap_err().to_string();
    assert_snapshot!(latin1.replace(room.0.path().to_str().unwrap(), "ROOM"), @r#"
    ROOM/latin1.toml: error: line 2 is not UTF-8
      hint: save the file as UTF-8
    "#);
}

#[test]
fn an_inventory_without_hosts_is_a_problem() {
    assert_snapshot!(Room::new().problems(""), @r#"
    hosts.toml: error: there are no hosts
      hint: add some: [[hosts]] with `name` and `address`
    "#);
}

#[test]
fn a_text_that_is_not_toml_is_shown_where_it_stops_being_toml() {
    assert_snapshot!(Room::new().problems("[defaults]\nuser = pi\n[[hosts]\nname = 1\n"), @r#"
    hosts.toml:2:8: error: not TOML: string values must be quoted, expected literal string
         2 | user = pi
           |        ^^
    "#);
    assert_snapshot!(Room::new().problems("[defaults]\nuser = \"pi\"\nport = 22\nuser = \"x\"\n"), @r#"
    hosts.toml:4:1: error: not TOML: duplicate key
         4 | user = "x"
           | ^^^^
    "#);
}

#[test]
fn unknown_keys_come_with_what_was_meant_or_where_they_belong() {
    let text = "concurency = 3\nzzz = 1\n[[hosts]]\nname = \"a\"\nprot = 2222\nregion = \"x\"\nlimits = { hots = \"1m\" }\n";
    assert_snapshot!(Room::new().problems(&format!("{text}{}", with(""))), @r#"
    hosts.toml:1:1: error: unknown key `concurency` at the top level
         1 | concurency = 3
           | ^^^^^^^^^^
      hint: did you mean `concurrency`? It belongs in [defaults]

    hosts.toml:2:1: error: unknown key `zzz` at the top level
         2 | zzz = 1
           | ^^^
      hint: known keys: defaults, package, environments, groups, hosts

    hosts.toml:5:1: error: unknown key `prot` in [[hosts]]
         5 | prot = 2222
           | ^^^^
      hint: did you mean `port`?

    hosts.toml:6:1: error: unknown key `region` in [[hosts]]
         6 | region = "x"
           | ^^^^^^
      hint: `region` belongs in [environments.NAME]

    hosts.toml:7:12: error: unknown key `hots` in [hosts.limits]
         7 | limits = { hots = "1m" }
           |            ^^^^
      hint: did you mean `host`?
    "#);
}

#[test]
fn missing_keys_are_named_with_their_meaning() {
    assert_snapshot!(Room::new().problems("[environments.dev]\n[[hosts]]\naddress = \"a\"\n"), @r#"
    hosts.toml:1:1: error: no `region` in [environments.dev]
         1 | [environments.dev]
           | ^^^^^^^^^^^^^^^^^^
      hint: add `region`. AWS Region, such as "eu-central-1".

    hosts.toml:1:1: error: no `role` in [environments.dev]
         1 | [environments.dev]
           | ^^^^^^^^^^^^^^^^^^
      hint: add `role`. IAM service role of the managed nodes: its name, or path and name ("service-role/NAME"); no ARN.

    hosts.toml:2:1: error: no `name` in [[hosts]]
         2 | [[hosts]]
           | ^^^^^^^^^
      hint: add `name`. Its name, or a range of names (`rack1-[01:20]`).
    "#);
}

#[test]
fn wrong_types_words_and_numbers_come_with_what_to_write() {
    let room = Room::new();
    let text = r#"
[environments.dev]
region = "eu-central-1"
role = "SSM"
tags = { rack = 1 }
package = { verify = "always" }
[defaults]
user = true
port = "22"
identity = []
become = "sude"
concurrency = 0
known_hosts = ["known_hosts", 5]
[hosts]
name = "a"
[groups.g]
hosts = "a"
port = 70000
limits = 5
"#;
    assert_snapshot!(room.problems(text), @r#"
    hosts.toml:5:17: error: `rack` must be a string, not an integer
         5 | tags = { rack = 1 }
           |                 ^
      hint: put it in quotes

    hosts.toml:6:22: error: `verify` must be "required", "if-present" or "off", not "always"
         6 | package = { verify = "always" }
           |                      ^^^^^^^^

    hosts.toml:8:8: error: `user` must be a string, not a boolean
         8 | user = true
           |        ^^^^
      hint: put it in quotes

    hosts.toml:9:8: error: `port` must be an integer, not a string
         9 | port = "22"
           |        ^^^^
      hint: write 22, without quotes

    hosts.toml:10:12: error: `identity` is empty
        10 | identity = []
           |            ^^
      hint: leave it out, or fill it

    hosts.toml:11:10: error: `become` must be "sudo", "doas" or "none", not "sude"
        11 | become = "sude"
           |          ^^^^^^
      hint: did you mean `sudo`?

    hosts.toml:12:15: error: `concurrency` must be from 1 to 10000
        12 | concurrency = 0
           |               ^

    hosts.toml:13:31: error: each of `known_hosts` must be a string, not an integer
        13 | known_hosts = ["known_hosts", 5]
           |                               ^
      hint: put it in quotes

    hosts.toml:14:1: error: `hosts` must be a list, not a table
        14 | [hosts]
           | ^^^^^^^
      hint: write [[hosts]], with two brackets, for each

    hosts.toml:17:9: error: `hosts` must be a list, not a string
        17 | hosts = "a"
           |         ^^^
      hint: write ["a"]

    hosts.toml:18:8: error: `port` must be from 1 to 65535
        18 | port = 70000
           |        ^^^^^

    hosts.toml:19:10: error: `limits` must be a table, not an integer
        19 | limits = 5
           |          ^
    "#);
}

#[test]
fn a_number_where_a_duration_belongs_lacks_its_unit() {
    let text = with("[[hosts]]\nname = \"a\"\nlimits = { connect = 15 }\n");
    let problems = Room::new().problems(&text);
    assert!(problems.contains("`connect` must be a string, not an integer"), "{problems}");
    assert!(problems.contains(r#"hint: name the unit, in quotes: "15s" or "15m""#), "{problems}");
}

#[test]
fn an_activation_code_in_the_inventory_is_refused_with_the_remedy() {
    let text = with(
        "activation = { id = \"6dd0f9c4-8d0c-4e2b-9a3e-3f1f0f4f7a11\", code = \"hunter2\" }\n[[hosts]]\nname = \"a\"\n",
    );
    assert_snapshot!(Room::new().problems(&text), @r#"
    hosts.toml:7:61: error: `code` is not taken in [environments.dev.activation]
         7 | activation = { id = "6dd0f9c4-8d0c-4e2b-9a3e-3f1f0f4f7a11", code = ********* }
           |                                                             ^^^^
      hint: Never written here: it is a secret, and inventories are committed and mailed. Put the code into a file and name that with `code_file`, or into an environment variable and name that with `code_env`.
    "#);
}
