//! Nobody's mistake spreads a secret to a terminal or a log.

use super::{Room, with};

#[test]
fn a_secret_is_never_shown_wherever_it_was_written() {
    let room = Room::new();
    let secret = "Tr0ub4dor/3xAMPLE+sEcReT";
    let id = "6dd0f9c4-8d0c-4e2b-9a3e-3f1f0f4f7a11";
    let places = [
        format!("[environments.prod]\nactivation = {{ id = \"{id}\", code = \"{secret}\" }}\n"),
        format!("[environments.prod]\nactivation = {{ id = \"{secret}\", code_env = \"C\" }}\n"),
        format!("[environments.prod]\nactivation = {{ id = \"{id}\", code_env = \"{secret}\" }}\n"),
        format!("[environments.prod]\nactivation = {{ id = \"{id}\", cdoe = \"{secret}\" }}\n"),
        format!("[environments.prod]\nactivation = {{ id = \"{id}\", code = [\n\"{secret}\"], x = 1 }}\n"),
        format!("[environments.prod]\nactivation = {{ id = \"{id}\", code = \"{secret}\"\n"),
        format!("[environments.prod]\nactivation = {{ \"code\" = '{secret}'\n"),
        format!("[environments.prod]\nendpoint = \"https://user:{secret}@host\"\n"),
        format!("[[hosts]]\nname = \"a\"\nsudo_password = \"{secret}\"\n"),
        format!("[[hosts]]\nname = \"a\"\npassphrase = {{ x = \"{secret}\" }}\n"),
        format!("[[hosts]]\nname = \"a\"\npwd = \"{secret}\"\n"),
        format!("[[hosts]]\nname = \"a\"\nssh_password = \"{secret}\"\n"),
        format!("[[hosts]]\nname = \"a\"\nssh_password = [\"{secret}\"]\n"),
        format!("[environments.prod]\nactivation = \"{secret}\"\n"),
        format!("[environments.prod]\nactivation = [\"{secret}\"]\n"),
        format!("[environments.prod]\nactivation = {{ id = \"{id}\", code_env = [\"{secret}\"] }}\n"),
    ];
    for place in places {
        let shown = room.problems(&with(&place));
        assert!(!shown.contains("Tr0ub4dor"), "{shown}");
        let problems =
            super::Inventory::parse(&with(&place), "hosts.toml".as_ref(), &room.base()).unwrap_err();
        assert!(!serde_json::to_string(&problems).unwrap().contains("Tr0ub4dor"));
        assert!(!format!("{problems:?}").contains("Tr0ub4dor"));
    }
}

#[test]
fn a_password_where_none_belongs_is_told_how_it_is_asked_for() {
    for key in ["password", "ansible_become_pass", "ssh_pwd"] {
        let shown = Room::new().problems(&with(&format!("[[hosts]]\nname = \"a\"\n{key} = \"hunter2\"\n")));
        assert!(shown.contains(&format!("unknown key `{key}`")), "{shown}");
        assert!(shown.contains("`ssh_password = \"ask\"`") && !shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn a_password_of_digits_is_a_password() {
    let room = Room::new();
    let shown = room.problems(&with("[[hosts]]\nname = \"a\"\nssh_password = 8675309\n"));
    assert!(shown.contains("ssh_password") && !shown.contains("8675309"), "{shown}");
}
