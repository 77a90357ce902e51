//! What has to be known of logins before a run begins: the SSH configuration, keys, agents, the password. All questions to the
//! operator are asked here, once.

use std::{error::Error, path::PathBuf, sync::Arc};

use super::{interrupts, prompt::AskPassphrase};
use crate::{
    cli::warn,
    failure::{Exit, Failure, with_sources},
    inventory::HostSpec,
    ssh::{
        Agents, FromDescriptor, HANDSHAKES, KeyRing, Logins, PassphraseError, PassphraseSource, SshConnector,
        config::{Local, SshConfig},
    },
};

#[derive(Debug, clap::Args)]
pub(super) struct LoginArgs {
    /// Read this SSH configuration instead of yours (`~/.ssh/config`) and the machine's, as `ssh -F` does; `none` for none
    #[arg(long, value_name = "FILE|none")]
    ssh_config: Option<PathBuf>,
    /// Ask for a password, once, for hosts that take none of the keys
    #[arg(long)]
    ask_password: bool,
    /// Read the passphrases of encrypted private keys from this file descriptor, one a line; with a password, its line is the
    /// first
    #[arg(long, value_name = "N")]
    passphrase_fd: Option<u32>,
}

/// Finds out how each host is logged in to; `all` are those of the whole inventory, which may be jump hosts.
pub(super) async fn prepare(
    args: &LoginArgs,
    chosen: &[Arc<HostSpec>],
    all: &[Arc<HostSpec>],
) -> Result<(SshConnector, Vec<Arc<HostSpec>>), Failure> {
    let config = read_config(args)?;
    let mut hosts = chosen.to_vec();
    if args.ask_password {
        for host in &mut hosts {
            Arc::make_mut(host).password = true;
        }
    }
    let logins = Logins::find(&config, &hosts, all);
    logins.unsupported().iter().for_each(warn);
    let agents = Agents::ask(&logins).await;
    let mut source = passphrases(args.passphrase_fd)?;
    let password = if logins.want_password() {
        let answer = source.password("SSH password, for hosts that take no key");
        answer.map_err(|error| {
            let failure = Failure::new(Exit::CannotStart, "the SSH password cannot be had");
            unless_interrupted(&error, failure.because(with_sources(&error)).hint(error.hint()))
        })?
    } else {
        None
    };
    let keys = KeyRing::gather(&logins, agents, source.as_mut()).map_err(|error| {
        let failure = Failure::new(Exit::CannotStart, with_sources(&error)).hint(error.hint());
        unless_interrupted(&error, failure)
    })?;
    keys.warnings().iter().for_each(warn);
    Ok((SshConnector::new(logins, keys, password, HANDSHAKES), hosts))
}

/// The failure, unless its cause is a Ctrl-C at a question.
fn unless_interrupted(error: &(dyn Error + 'static), failure: Failure) -> Failure {
    let mut causes = std::iter::successors(Some(error), |&error| error.source());
    let is_interrupted =
        causes.any(|cause| matches!(cause.downcast_ref(), Some(PassphraseError::Interrupted)));
    if is_interrupted { interrupts::early() } else { failure }
}

fn read_config(args: &LoginArgs) -> Result<SshConfig, Failure> {
    let local = Local::here();
    let read = match &args.ssh_config {
        None => SshConfig::load(local),
        Some(file) if file.as_os_str() == "none" => Ok(SshConfig::empty(local)),
        // Who names a file means one that is there.
        Some(file) if !file.exists() => {
            let what = format!("SSH configuration {} does not exist", file.display());
            return Err(Failure::new(Exit::Usage, what).hint("`--ssh-config` takes a file, or `none`"));
        }
        Some(file) => SshConfig::load_file(file, local),
    };
    read.map_err(|error| Failure::new(Exit::CannotStart, with_sources(&error)).hint(error.hint()))
}

fn passphrases(descriptor: Option<u32>) -> Result<Box<dyn PassphraseSource>, Failure> {
    Ok(match descriptor {
        Some(number) => Box::new(
            FromDescriptor::read("--passphrase-fd", number)
                .map_err(|error| Failure::new(Exit::CannotStart, with_sources(&error)).hint(error.hint()))?,
        ),
        None => Box::new(AskPassphrase),
    })
}
