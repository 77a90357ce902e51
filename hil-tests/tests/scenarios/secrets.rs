//! The activation code of a run, looked for everywhere it must not be.

use std::{fs, path::Path};

use crate::rig::rig;

/// Samples all command lines of the guest, one sample after the other, until it is stopped. One process a sample: with
/// one for each command line, an emulated guest would be too slow to see a registration.
const SAMPLER: &str = r"rm -f /run/sampled; while [ ! -e /run/sample-end ]; do head -c 4096 /proc/[0-9]*/cmdline 2>/dev/null; echo; done |
tr '\0' ' ' | sort -u >/run/sampled.part; mv /run/sampled.part /run/sampled";

#[test]
fn the_activation_code_is_nowhere_but_in_the_agents_own_arguments() {
    let rig = rig();
    rig.root("deb-1", &["systemd-run", "--quiet", "--unit=sampler", "sh", "-c", SAMPLER]);
    let at = |text: String| text[..text.match_indices("[[hosts]]").nth(1).unwrap().0].to_owned();
    let ran = rig.enrol(&rig.inventory(at)).expect_code(0);
    rig.root(
        "deb-1",
        &["sh", "-c", "touch /run/sample-end; while [ ! -e /run/sampled ]; do sleep 0.2; done"],
    );
    let samples = rig.root("deb-1", &["cat", "/run/sampled"]);

    let with_code: Vec<&str> = samples.lines().filter(|line| line.contains(" -code ")).collect();
    let own =
        |line: &&str| line.split(' ').next().is_some_and(|program| program.ends_with("amazon-ssm-agent"));
    assert!(!with_code.is_empty(), "the sampler missed the registration, so this test proves nothing");
    let mut words = with_code[0].split(' ').skip_while(|word| *word != "-code");
    let code = words.nth(1).unwrap().to_owned();
    assert!(code.len() >= 20, "{code:?} is no activation code");

    let elsewhere: Vec<_> =
        samples.lines().filter(|line| line.contains(&code)).filter(|line| !own(line)).collect();
    assert_eq!(elsewhere, Vec::<&str>::new(), "in the arguments of another program");
    assert!(!ran.stdout.contains(&code) && !ran.stderr.contains(&code), "in the output of bootstrap");
    assert_eq!(files_with(&rig.home(), &code), Vec::<String>::new(), "in files of the controller");
    assert!(
        !rig.root("deb-1", &["journalctl", "--no-pager", "-o", "export"]).contains(&code),
        "in the guest's journal"
    );
    let command = format!("grep -rlF {code} /var /etc /root /home /tmp /usr/local 2>/dev/null; true");
    assert_eq!(rig.root("deb-1", &["sh", "-c", &command]), "", "in files of the guest");
    let log = fs::read_to_string(rig.lab.paths().endpoint_log()).unwrap();
    assert!(!log.contains(&code), "in the endpoint's log");
}

fn files_with(directory: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(files_with(&path, text));
        } else if fs::read(&path).unwrap().windows(text.len()).any(|window| window == text.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}
