//! Logging in with keys: which are shown, in which order, with which signatures.

use std::sync::Arc;

use russh::{
    MethodKind,
    client::{AuthResult, Handle},
    keys::{Algorithm, HashAlg, PrivateKey, PrivateKeyWithHashAlg},
};

use super::{
    client::{Client, End, Ledger, hung_up},
    error::{ConnectError, Peer, Phase},
    fingerprint::Fingerprint,
};

/// Shows one key after the other until the server takes one.
pub(super) async fn authenticate(
    handle: &mut Handle<Client>,
    ledger: &Ledger,
    peer: &Peer,
    user: &str,
    keys: &[Arc<PrivateKey>],
) -> Result<(), ConnectError> {
    let failed = |error| interrupted(ledger, peer, error);
    let (mut tried, mut partly) = (Vec::new(), false);
    // Without a key, the question alone tells which methods there are.
    let mut last =
        if keys.is_empty() { handle.authenticate_none(user).await.map_err(failed)? } else { refused() };
    for key in keys {
        for hash in hashes(handle, key).await.map_err(failed)? {
            let key = PrivateKeyWithHashAlg::new(Arc::clone(key), hash);
            last = handle.authenticate_publickey(user, key).await.map_err(failed)?;
            // russh reports a server that hangs up as one that refuses.
            if handle.is_closed() {
                return Err(failed(russh::Error::Disconnect));
            }
            match &last {
                AuthResult::Success => return Ok(()),
                AuthResult::Failure { partial_success, .. } => partly |= partial_success,
            }
        }
        tried.push(Fingerprint::of(key.public_key()));
    }
    match last {
        AuthResult::Success => Ok(()),
        AuthResult::Failure { remaining_methods, .. } => Err(ConnectError::AuthenticationRefused {
            peer: peer.clone(),
            user: user.to_owned(),
            tried,
            methods: remaining_methods.iter().map(<&MethodKind as Into<&'static str>>::into).collect(),
            partly,
        }),
    }
}

fn refused() -> AuthResult {
    AuthResult::Failure { remaining_methods: russh::MethodSet::empty(), partial_success: false }
}

/// The signature hashes to try with a key: only RSA has a choice. A server that names none may still
/// know one; SHA-1 is never used.
async fn hashes(handle: &Handle<Client>, key: &PrivateKey) -> Result<Vec<Option<HashAlg>>, russh::Error> {
    if !matches!(key.algorithm(), Algorithm::Rsa { .. }) {
        return Ok(vec![None]);
    }
    Ok(match handle.best_supported_rsa_hash().await? {
        Some(Some(best)) => vec![Some(best)],
        _ => vec![Some(HashAlg::Sha512), Some(HashAlg::Sha256)],
    })
}

fn interrupted(ledger: &Ledger, peer: &Peer, error: russh::Error) -> ConnectError {
    let (peer, phase) = (peer.clone(), Phase::Authentication);
    match (ledger.take(), error) {
        (Some(End::Farewell(said)), _) => ConnectError::Closed { peer, phase, said: Some(said) },
        (None, source) if !hung_up(&source) => ConnectError::Protocol { peer, phase, source },
        _ => ConnectError::Closed { peer, phase, said: None },
    }
}
