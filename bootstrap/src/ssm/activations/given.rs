//! An activation the operator made: its id and code are read once, when the first host needs them, and
//! it is never deleted by us. Stands apart because it has files and variables to fail on, and no AWS.

use std::{io, path::PathBuf, sync::Arc};

use secrecy::{ExposeSecret, SecretString};
use tokio::sync::OnceCell;

use super::Handout;
use crate::{
    inventory::TextSource,
    ssm::{ActivationId, InvalidActivationId},
};

/// AWS's own limits for a code.
const CODE_LENGTH: std::ops::RangeInclusive<usize> = 20..=250;

/// Why a given activation cannot be used. Never tells what was read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum GivenError {
    /// The file cannot be read.
    #[error("cannot read the activation's {what} from {}", path.display())]
    Read {
        /// `id` or `code`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: Arc<io::Error>,
    },
    /// The variable is not there or is not text.
    #[error("the activation's {what} should be in the variable {name}, which is {state}")]
    Variable {
        /// `id` or `code`.
        what: &'static str,
        /// The variable.
        name: String,
        /// `not set` or `not UTF-8`.
        state: &'static str,
    },
    /// There is nothing in it.
    #[error("the activation's {what} from {origin} is empty")]
    Empty {
        /// `id` or `code`.
        what: &'static str,
        /// The file or variable.
        origin: String,
    },
    /// The id is none.
    #[error("the activation's id from {origin} is wrong")]
    Id {
        /// The file or variable.
        origin: String,
        /// Why.
        source: InvalidActivationId,
    },
    /// The code is too short or too long.
    #[error("the activation's code from {origin} has {length} characters; AWS's have 20 to 250")]
    Code {
        /// The file or variable.
        origin: String,
        /// How many it has.
        length: usize,
    },
}

impl GivenError {
    /// What the operator can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Read { what, .. } => format!("correct the activation's `{what}` in the inventory, or the file's permissions"),
            Self::Variable { name, .. } => format!("export {name} in the shell that runs bootstrap"),
            Self::Empty { what, .. } => format!("put the activation's {what} there, on the first line"),
            Self::Id { .. } | Self::Code { .. } => {
                "CreateActivation returned both: the id is a UUID, the code is shown only once; are they swapped?".to_owned()
            }
        }
    }
}

/// Where it is, and what was read there.
#[derive(Debug)]
pub(super) struct Given {
    id: TextSource,
    code: TextSource,
    read: OnceCell<Handout>,
}

impl Given {
    pub(super) fn new(id: TextSource, code: TextSource) -> Self {
        Self { id, code, read: OnceCell::new() }
    }

    /// The activation. Once it could be read it is kept, so that all hosts of a run get the same.
    pub(super) async fn handout(&self) -> Result<Handout, GivenError> {
        self.read.get_or_try_init(|| self.read()).await.cloned()
    }

    async fn read(&self) -> Result<Handout, GivenError> {
        let id = text(&self.id, "id").await?;
        let id = id.expose_secret().parse::<ActivationId>();
        let id = id.map_err(|source| GivenError::Id { origin: origin(&self.id), source })?;
        let code = text(&self.code, "code").await?;
        let length = code.expose_secret().chars().count();
        if !CODE_LENGTH.contains(&length) {
            return Err(GivenError::Code { origin: origin(&self.code), length });
        }
        Ok(Handout { id, code })
    }
}

fn origin(source: &TextSource) -> String {
    match source {
        TextSource::Plain(_) => "the inventory".to_owned(),
        TextSource::File(path) => path.display().to_string(),
        TextSource::Variable(name) => format!("the variable {name}"),
    }
}

/// The first line, without the blanks around it.
async fn text(source: &TextSource, what: &'static str) -> Result<SecretString, GivenError> {
    let whole: SecretString = match source {
        TextSource::Plain(text) => text.clone().into(),
        TextSource::File(path) => {
            let read = tokio::fs::read_to_string(path).await;
            let failed = |source| GivenError::Read { what, path: path.clone(), source: Arc::new(source) };
            read.map_err(failed)?.into()
        }
        TextSource::Variable(name) => {
            let missing = |state| GivenError::Variable { what, name: name.clone(), state };
            let value = std::env::var_os(name).ok_or_else(|| missing("not set"))?;
            value.into_string().map_err(|_| missing("not UTF-8"))?.into()
        }
    };
    let line = whole.expose_secret().lines().next().unwrap_or_default().trim();
    if line.is_empty() { Err(GivenError::Empty { what, origin: origin(source) }) } else { Ok(line.into()) }
}
