//! Which files are read, and which are refused.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use super::{
    super::{ConfigError, Given, Local, SshConfig},
    Home, refused,
};

fn port(config: &SshConfig, alias: &str) -> Option<u16> {
    config.resolve(alias, Given::default()).unwrap().options.port
}

fn allow(home: &Home, below: &str, mode: u32) {
    fs::set_permissions(home.path(below), fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn the_users_file_has_its_say_before_the_machines() {
    let home = Home::with("Host a\n  Port 2201\n  IdentityFile /mine\n");
    home.write("ssh_config", "Port 2202\nIdentityFile /everybodys\n");
    let config = SshConfig::read(
        Some(&home.path(".ssh/config")),
        Some(&home.path("ssh_config")),
        true,
        home.local.clone(),
    );
    let config = config.unwrap();
    assert_eq!((port(&config, "a"), port(&config, "b")), (Some(2201), Some(2202)));
    let files = config.resolve("a", Given::default()).unwrap().options.identity_files.unwrap();
    assert_eq!(files, [Path::new("/mine"), Path::new("/everybodys")]);
}

#[test]
fn no_file_is_no_error() {
    let home = Home::new();
    assert_eq!(port(&home.load().unwrap(), "a"), None);
    // There is no home either.
    let local = Local { home: None, ..home.local.clone() };
    assert!(SshConfig::load(local).is_ok());
}

#[test]
fn a_file_that_others_can_write_is_refused() {
    for (mode, is_fine) in [(0o600, true), (0o644, true), (0o664, false), (0o646, false)] {
        let home = Home::with("Port 2201\n");
        allow(&home, ".ssh/config", mode);
        match home.load() {
            Ok(_) => assert!(is_fine, "{mode:o}"),
            Err(error) => {
                assert!(!is_fine, "{mode:o}");
                assert!(error.to_string().contains(&format!("{mode:04o}")), "{error}");
                assert!(error.hint().contains("chmod go-w"), "{}", error.hint());
            }
        }
    }
}

#[test]
fn a_file_of_somebody_elses_is_refused() {
    let home = Home::with("Port 2201\n");
    let local = Local { uid: home.local.uid + 1, ..home.local.clone() };
    let read = SshConfig::read(Some(&home.path(".ssh/config")), None, true, local);
    // Root's files are anybody's to read.
    assert_eq!(read.is_ok(), home.local.uid == 0);
    if let Err(error) = read {
        assert!(error.to_string().contains(&format!("belongs to user number {}", home.local.uid)), "{error}");
    }
}

#[test]
fn an_included_file_that_others_can_write_is_refused() {
    let home = Home::with("Include more\n");
    home.write(".ssh/more", "Port 2201\n");
    allow(&home, ".ssh/more", 0o666);
    assert!(matches!(home.load(), Err(ConfigError::Exposed { file, .. }) if file == home.path(".ssh/more")));
}

#[test]
fn relative_and_home_paths_of_includes_start_where_ssh_starts_them() {
    let home = Home::with("Include relative\nInclude ~/below-home\nInclude ${KEYS}/x %d/%u.conf\n");
    home.write(".ssh/relative", "Host a\n  Port 2201\n");
    home.write("below-home", "Host b\n  Port 2202\n");
    home.write("me.conf", "Host c\n  Port 2203\n");
    let config = home.load().unwrap();
    assert_eq!(
        ["a", "b", "c", "d"].map(|alias| port(&config, alias)),
        [Some(2201), Some(2202), Some(2203), None]
    );
}

#[test]
fn the_machines_file_cannot_include_from_a_home() {
    let home = Home::new();
    home.write("ssh_config", "Include ~/more\n");
    let read = SshConfig::read(None, Some(&home.path("ssh_config")), true, home.local.clone());
    assert!(read.unwrap_err().to_string().contains("ssh_config:1: `~/more`"));
}

#[test]
fn directories_that_a_pattern_fits_hold_nothing() {
    let home = Home::with("Include conf.d/*\nPort 2209\n");
    home.write(".ssh/conf.d/deeper/x", "Port 2201\n");
    assert_eq!(port(&home.load().unwrap(), "a"), Some(2209));
}

#[test]
fn a_pipe_is_not_waited_for() {
    let home = Home::new();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        home.path(".ssh/config"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .unwrap();
    let error = home.load().unwrap_err();
    assert!(matches!(&error, ConfigError::Unreadable { .. }), "{error}");
}

#[test]
fn files_that_include_each_other_come_to_an_end() {
    let home = Home::with("Include config config config\n");
    let error = home.load().unwrap_err();
    assert!(matches!(&error, ConfigError::TooManyFiles { .. }), "{error}");
}

#[test]
fn a_bad_line_is_named_with_its_file_and_a_remedy() {
    let home = Home::with("Host a\n  Include more\n");
    home.write(".ssh/more", "# one\n\nPort ssh\n");
    let error = home.load().unwrap_err();
    assert_eq!(error.to_string(), format!("{}:3: `ssh` is not a port", home.path(".ssh/more").display()));
    assert_eq!(error.hint(), "write a number from 1 to 65535");
}

#[test]
fn each_fault_says_what_to_do() {
    let cases = [
        ("UseKeychain yes", "OpenSSH has no keyword `UseKeychain`", "IgnoreUnknown UseKeychain"),
        ("IdentityFile ${NO_SUCH}/x", "variable `NO_SUCH` is not set", "export NO_SUCH"),
        ("IdentityFile ~other/key", "another user's home", "in full"),
        ("IdentityFile %z", "`%z`", "`%h`"),
        ("RefuseConnection \"gone to the museum\"", "gone to the museum", "take the host out"),
        ("User \u{fe}\nPort x", "`x` is not a port", "number"),
    ];
    for (config, what, hint) in cases {
        let said = refused(config, "a");
        assert!(said.0.starts_with("~/.ssh/config:"), "{said:?}");
        assert!(said.0.contains(what) && said.1.contains(hint), "{said:?}");
    }
}

#[test]
fn comments_may_be_in_any_encoding_and_values_may_not() {
    let home = Home::new();
    home.write(".ssh/config", "");
    fs::write(home.path(".ssh/config"), b"# caf\xe9\nPort 2201\n").unwrap();
    assert_eq!(port(&home.load().unwrap(), "a"), Some(2201));
    fs::write(home.path(".ssh/config"), b"User caf\xe9\n").unwrap();
    assert!(home.load().unwrap_err().to_string().ends_with("config:1: the line is not UTF-8"));
}
