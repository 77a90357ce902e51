//! A failed registration empties the agent's vault before it talks to anyone, so [`register`](super::register)
//! saves the vault first. Where a power cut came in between, the saved vault is still there: put back if the
//! vault names no instance, thrown away if it does.

/// Clears up after a registration that was cut off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettleVault {
    /// The saved registration is put back; else it is only removed.
    pub restore: bool,
}

impl SettleVault {
    pub(super) fn sentence(&self) -> String {
        if self.restore {
            "put back the registration that an interrupted run had saved".to_owned()
        } else {
            "remove the vault that an interrupted run had saved".to_owned()
        }
    }

    pub(super) fn shell_arguments() -> Vec<String> {
        vec!["settle-vault".to_owned()]
    }
}
