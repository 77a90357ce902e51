//! Ways of a host to the world that lead nowhere: proxies, and packages that it can't reach.

use insta::assert_snapshot;

use super::{Room, with};
use crate::inventory::Delivery;

#[test]
fn a_proxy_has_no_password_and_its_exceptions_are_a_list() {
    let text = with(
        "[[hosts]]\nname = \"a\"\nproxy = \"http://me:hunter2@proxy.example:3128\"\nno_proxy = \"10.0.0.0/8, .lan\"\n\
        [[hosts]]\nname = \"b\"\nproxy = \"proxy.example:3128\"\n",
    );
    assert_snapshot!(Room::new().problems(&text), @r#"
    hosts.toml:9:9: error: a proxy with a user or a password
         9 | proxy = **************************************
           |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
      hint: every user of the host could read them with `systemctl show`; leave them out, and let the proxy know the host by its address

    hosts.toml:10:12: error: "10.0.0.0/8, .lan" is nothing that can be reached without a proxy
        10 | no_proxy = "10.0.0.0/8, .lan"
           |            ^^^^^^^^^^^^^^^^^^
      hint: write a list: ["10.0.0.0/8", ".lan"]

    hosts.toml:13:9: error: "proxy.example:3128" is no http(s) URL of a proxy
        13 | proxy = "proxy.example:3128"
           |         ^^^^^^^^^^^^^^^^^^^^
      hint: write "http://proxy.example:3128", or "none" for no proxy
    "#);
}

#[test]
fn a_host_can_only_pull_what_it_can_reach() {
    let hosts = "[[hosts]]\nname = \"a\"\ndeliver = \"pull\"\n";
    let package = "[package]\nsource = \"packages\"\n";
    assert_snapshot!(Room::new().problems(&with(&format!("{package}{hosts}"))), @r#"
    hosts.toml:11:11: error: host `a` is to download its package, but "ROOM/packages" is on this machine
        11 | deliver = "pull"
           |           ^^^^^^
      hint: name a `source` that it can reach, "aws" or a URL, in [package] or its environment, or let `deliver` be "push"
    "#);
    assert_eq!(Room::new().read(&with(hosts)).hosts[0].deliver, Delivery::Pull);
}

#[test]
fn a_straight_way_has_no_jump_hosts_besides() {
    let text = with("[[hosts]]\nname = \"a\"\njump = [\"gate.example\", \"none\"]\n");
    assert_snapshot!(Room::new().problems(&text), @r#"
    hosts.toml:9:25: error: "none" is a way without jump hosts
         9 | jump = ["gate.example", "none"]
           |                         ^^^^^^
      hint: leave it out, or the others; a host of that name is `user@none` or `none:22`
    "#);
}

#[test]
fn ways_that_lead_through_themselves_are_told_once_each() {
    let text = with(
        "[[hosts]]\nname = \"self\"\njump = \"self\"\n\
        [[hosts]]\nname = \"behind\"\njump = \"one\"\n\
        [[hosts]]\nname = \"one\"\njump = \"two\"\n\
        [[hosts]]\nname = \"two\"\njump = [\"gate.example\", \"admin@one:2222\"]\nenrol = false\n\
        [[hosts]]\nname = \"fine\"\njump = [\"gate.example\", \"fine-too\"]\n\
        [[hosts]]\nname = \"fine-too\"\njump = \"gate.example\"\n",
    );
    assert_snapshot!(Room::new().problems(&text), @r#"
    hosts.toml:8:8: error: jump hosts go round in circles: self -> self
         8 | name = "self"
           |        ^^^^^^
      hint: give `self` a way of its own: `jump = "none"`

    hosts.toml:14:8: error: jump hosts go round in circles: one -> two -> one
        14 | name = "one"
           |        ^^^^^
      hint: give `one` a way of its own: `jump = "none"`
    "#);
}
