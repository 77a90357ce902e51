//! No text makes the reader panic, and every problem points into the file.

use std::{fs, path::Path, sync::LazyLock};

use proptest::prelude::*;

use super::Room;
use crate::inventory::{Inventory, Problems};

const GOOD: &str = r#"
[defaults]
user = "pi"
identity = "key"
limits = { connect = "1h30m" }
tags = { "größe" = "日本" }
[package]
source = "https://a.b/c"
[environments.dev]
region = "eu-central-1"
role = "service-role/x"
instance_name = "{environment}-{host}"
activation = { id = "6dd0f9c4-8d0c-4e2b-9a3e-3f1f0f4f7a11", code_env = "C" }
[groups.rack]
hosts = ["r[1:3]", "solo"]
environment = "dev"
[[hosts]]
name = "r[1:3]"
address = "fd00::[1:3]"
groups = ["rack"]
host_key = "accept-new"
"#;

static ROOM: LazyLock<Room> = LazyLock::new(Room::new);

fn check(text: &str) {
    let read = Inventory::parse(text, Path::new("hosts.toml"), &ROOM.base());
    let lines: Vec<_> = text.split('\n').collect();
    let problems = read.as_ref().err().into_iter().flat_map(Problems::as_slice);
    for place in problems.filter_map(|problem| problem.place.as_ref()) {
        let line = lines[place.line - 1];
        assert!(place.column <= line.chars().count() + 1, "{place:?}");
    }
    match read {
        Ok(inventory) => assert!(!(inventory.to_text() + &inventory.to_json().to_string()).is_empty()),
        Err(problems) => assert!(problems.to_string().contains("error: ")),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn arbitrary_text_never_panics(text in any::<String>()) {
        check(&text);
    }

    #[test]
    fn arbitrary_bytes_in_a_file_never_panic(bytes in any::<Vec<u8>>()) {
        let path = ROOM.path("hosts.toml");
        fs::write(&path, &bytes).unwrap();
        drop(Inventory::load(&path));
    }

    #[test]
    fn a_good_inventory_with_a_piece_replaced_never_panics(
        start in 0..GOOD.chars().count(),
        length in 0_usize..40,
        piece in prop_oneof![
            "[\\[\\]{}=\",.:#\n a-z0-9]{0,12}",
            any::<String>(),
            prop::sample::select(vec!["[0:65536]", "[1:2]", "{host", "ß", "\r\n", "= 5\n", "\"\"", "[]", "{}", "0x", "1e9", "\u{0}"])
                .prop_map(str::to_owned),
        ],
    ) {
        let text: String =
            GOOD.chars().take(start).chain(piece.chars()).chain(GOOD.chars().skip(start + length)).collect();
        check(&text);
    }

    #[test]
    fn a_good_inventory_with_its_lines_shuffled_never_panics(
        lines in Just(GOOD.lines().collect::<Vec<_>>()).prop_shuffle(),
        take in 0_usize..25,
    ) {
        check(&lines.into_iter().take(take).collect::<Vec<_>>().join("\n"));
    }
}
