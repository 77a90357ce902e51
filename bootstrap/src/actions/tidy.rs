//! A package that was sent, whole or by halves, and is not wanted any more: a power cut came while it was sent, or after the
//! installation and before its removal was on the disk, or another run installed by other means. An installation removes what was sent by itself.

/// Removes packages that were sent and are not to be installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tidy {
    /// How many there are.
    pub packages: usize,
}

impl Tidy {
    pub(super) fn sentence(&self) -> String {
        match self.packages {
            1 => "remove a package that an interrupted run had sent".to_owned(),
            packages => format!("remove {packages} packages that interrupted runs had sent"),
        }
    }

    pub(super) fn shell_arguments() -> Vec<String> {
        vec!["tidy".to_owned()]
    }
}
