//! The host fetches the package by itself: where the way from the controller is narrow, and the host's own is not. What it
//! gets is checked as an upload is, against the digest of what the controller has verified.

use super::Upload;
use crate::inventory::Proxy;

/// Lets the host download the package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Download {
    /// What it is.
    pub file: Upload,
    /// From where, without credentials.
    pub origin: String,
    /// By which it is reached.
    pub proxy: Option<Proxy>,
}

impl Download {
    pub(super) fn sentence(&self) -> String {
        format!("let it download {}, from {}", self.file.what(), self.origin)
    }

    pub(super) fn shell_arguments(&self) -> Vec<String> {
        let [url, except] = Proxy::words(self.proxy.as_ref());
        let Upload { file_name, sha256, size } = &self.file;
        vec!["download".to_owned(), file_name.clone(), sha256.clone(), size.to_string(), url, except]
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

    /// `printf hello | sha256sum`
    const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    /// The function on a host whose programs are those of the test and, by name, some of this machine's.
    fn download(host: &Path) -> (Option<i32>, String) {
        let bin = host.join("bin");
        for tool in ["cat", "cut", "find", "head", "mkdir", "mv", "rm", "sha256sum", "sync", "wc"] {
            let real = ["/usr/bin", "/bin"].map(|place| Path::new(place).join(tool));
            let real = real.iter().find(|path| path.exists()).unwrap();
            let _ = std::os::unix::fs::symlink(real, bin.join(tool));
        }
        let functions = [include_str!("upload.sh"), include_str!("download.sh"), include_str!("proxy.sh")];
        let text = functions.concat().replace("/var/lib/bootstrap", host.join("sent").to_str().unwrap());
        let call = format!(
            "package_url='http://me:hunter2@x/a.deb?b'\nstep_download x.deb {HELLO} 5 http://p:1 .lan 2>&1\n"
        );
        let output = Command::new("/bin/sh")
            .args(["-c", &(text + &call)])
            .env_clear()
            .env("PATH", &bin)
            .output()
            .unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    }

    fn host(programs: &[(&str, &str)]) -> tempfile::TempDir {
        let host = tempfile::tempdir().unwrap();
        fs::create_dir(host.path().join("bin")).unwrap();
        for (name, body) in programs.iter().chain(&[("sleep", "echo \"slept $*\"")]) {
            let file = host.path().join("bin").join(name);
            let here = host.path().display();
            let text = format!(
                "#!/bin/sh\nhere={here}\necho \"{name} $* $https_proxy $no_proxy\" >>$here/calls\n{body}\n"
            );
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }
        host
    }

    fn calls(host: &Path) -> String {
        fs::read_to_string(host.join("calls")).unwrap()
    }

    fn kept(host: &Path) -> Option<Vec<u8>> {
        assert!(fs::read_dir(host.join("sent")).unwrap().count() <= 1, "a part is left");
        fs::read(host.join("sent/x.deb")).ok()
    }

    #[test]
    fn curl_and_wget_get_the_url_on_stdin_and_the_proxy() {
        let curl = "grep -q 'url = \"http://me:hunter2@x/a.deb?b\"' && printf hello";
        let wget = "[ \"$*\" = --version ] || { grep -q '^http://me:hunter2@x/a.deb?b$' && printf hello; }";
        for programs in [[("curl", curl), ("wget", "exit 1")], [("wget", wget), ("other", "")]] {
            let host = host(&programs);
            std::os::unix::fs::symlink("/bin/grep", host.path().join("bin/grep")).unwrap();
            assert_eq!(download(host.path()), (Some(0), String::new()));
            assert_eq!(kept(host.path()).unwrap(), b"hello");
            let calls = calls(host.path());
            assert!(calls.contains("http://p:1 .lan") && !calls.contains("hunter2"), "{calls}");
        }
    }

    #[test]
    fn the_wget_of_busybox_gets_it_as_an_argument_because_it_reads_no_list() {
        let host = host(&[("wget", "[ \"$*\" != --version ] || exit 1\nprintf hello")]);
        assert_eq!(download(host.path()).0, Some(0));
        assert!(calls(host.path()).contains("-O - http://me:hunter2@x/a.deb?b"));
    }

    #[test]
    fn wget_is_told_to_say_nothing_because_it_names_urls_with_their_passwords() {
        let wget = "[ \"$*\" != --version ] || exit 0
            case \" $* \" in *' -q '*) ;; *) cat >&2 ;; esac
            exit 8";
        let (code, said) = download(host(&[("wget", wget)]).path());
        assert_eq!(code, Some(4));
        assert!(said.contains("wget ended with exit code 8: the server answered with an error"), "{said}");
        assert!(!said.contains("hunter2"), "{said}");
    }

    #[test]
    fn a_host_without_either_says_so() {
        let (code, said) = download(host(&[]).path());
        assert_eq!((code, said.trim()), (Some(6), "the host has neither curl nor wget"));
    }

    #[test]
    fn what_is_cut_off_is_tried_again_and_what_is_wrong_is_not() {
        let once = "if [ -e $here/second ]; then printf hello; else : >$here/second; printf he; exit 18; fi";
        let cut = host(&[("curl", once)]);
        let (code, said) = download(cut.path());
        assert_eq!((code, kept(cut.path()).as_deref()), (Some(0), Some(&b"hello"[..])));
        assert!(said.contains("only 2 of 5 bytes arrived\ntrying again in 5 s"), "{said}");
        let refused = host(&[("curl", "echo 'curl: (22) 404' >&2; exit 22")]);
        let (code, said) = download(refused.path());
        assert_eq!((code, said.matches("(22) 404").count()), (Some(4), 3), "{said}");
        for wrong in ["jello", "hello and much more"] {
            let host = host(&[("curl", &format!("printf '{wrong}'"))]);
            let (code, said) = download(host.path());
            assert!(code == Some(5) && !said.contains("again"), "{said}");
            assert!(kept(host.path()).is_none());
        }
    }
}
