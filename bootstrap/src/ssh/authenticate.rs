//! Logging in: what is shown, in which order, with which signatures, and a password where nothing else does. It begins when
//! the host has proven who it is.

use std::{collections::VecDeque, sync::Arc};

use russh::{
    MethodKind, MethodSet, Signer,
    client::{AuthResult, Handle, KeyboardInteractiveAuthResponse, Prompt},
    keys::{
        Algorithm, Certificate, HashAlg, PrivateKey, PrivateKeyWithHashAlg, agent::AgentIdentity,
        signature::Signer as _, ssh_encoding::Encode, ssh_key::Signature,
    },
};
use secrecy::{ExposeSecret, SecretString};

use super::{
    agent::{AgentSigner, SignFailure},
    client::{Client, End, Ledger, hung_up},
    error::{ConnectError, Peer, Phase},
    fingerprint::Fingerprint,
    login::Method,
    ring::{Proof, Signing},
};

/// Keys shown to one server. Six refusals (`MaxAuthTries`) are as many as OpenSSH takes, and what follows would count against
/// us elsewhere: fail2ban.
const MOST_KEYS: usize = 6;
/// Rounds of questions that a server may ask.
const MOST_ROUNDS: usize = 8;

/// What we have for a host.
pub(super) struct Credentials<'a> {
    pub(super) user: &'a str,
    pub(super) proofs: Vec<Proof>,
    pub(super) methods: &'a [Method],
    pub(super) password: Option<&'a SecretString>,
}

/// Tries one method after the other until the server lets us in.
pub(super) async fn authenticate(
    handle: &mut Handle<Client>,
    ledger: &Ledger,
    peer: &Peer,
    credentials: &Credentials<'_>,
) -> Result<(), ConnectError> {
    let mut attempt = Attempt {
        handle,
        user: credentials.user,
        tried: Vec::new(),
        partly: false,
        notes: Vec::new(),
        remaining: MethodSet::empty(),
        password_taken: false,
    };
    let result = attempt.all(credentials).await;
    let Attempt { tried, partly, notes, remaining, .. } = attempt;
    match result {
        Ok(true) => Ok(()),
        Ok(false) => Err(ConnectError::AuthenticationRefused {
            peer: peer.clone(),
            user: credentials.user.to_owned(),
            tried,
            methods: remaining.iter().map(<&MethodKind as Into<&'static str>>::into).collect(),
            partly,
            notes,
        }),
        Err(error) => Err(interrupted(ledger, peer, error, tried)),
    }
}

struct Attempt<'h> {
    handle: &'h mut Handle<Client>,
    user: &'h str,
    tried: Vec<Fingerprint>,
    partly: bool,
    notes: Vec<String>,
    /// What the server would go on with.
    remaining: MethodSet,
    password_taken: bool,
}

impl Attempt<'_> {
    async fn all(&mut self, credentials: &Credentials<'_>) -> Result<bool, russh::Error> {
        let has_keys = credentials.methods.contains(&Method::PublicKey) && !credentials.proofs.is_empty();
        // Without a key, the question alone tells which methods there are.
        if !has_keys {
            let answer = self.handle.authenticate_none(self.user).await?;
            if self.is_in(&answer)? {
                return Ok(true);
            }
        }
        for method in credentials.methods {
            let is_in = match (method, credentials.password) {
                (Method::PublicKey, password) => self.keys(&credentials.proofs, password.is_some()).await?,
                (Method::KeyboardInteractive, Some(password))
                    if self.offers(MethodKind::KeyboardInteractive) =>
                {
                    self.questions(password).await?
                }
                // The same password again would only count as another failure.
                (Method::Password, Some(password))
                    if self.offers(MethodKind::Password) && !self.password_taken =>
                {
                    let secret = password.expose_secret().to_owned();
                    let answer = self.handle.authenticate_password(self.user, secret).await?;
                    self.password_taken = true;
                    let is_in = self.is_in(&answer)?;
                    if !is_in && !matches!(answer, AuthResult::Failure { partial_success: true, .. }) {
                        self.notes.push("the password was refused".to_owned());
                    }
                    is_in
                }
                _ => false,
            };
            if is_in {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn offers(&self, method: MethodKind) -> bool {
        self.remaining.contains(&method)
    }

    async fn keys(&mut self, proofs: &[Proof], leaves_room: bool) -> Result<bool, russh::Error> {
        // The last attempt is the password's.
        let most = if leaves_room { MOST_KEYS - 1 } else { MOST_KEYS };
        let mut waiting: VecDeque<&Proof> = proofs.iter().collect();
        let mut shown = 0;
        while let Some(proof) = waiting.pop_front() {
            if shown == most {
                self.notes.push(format!("{} more keys were not tried", waiting.len() + 1));
                break;
            }
            for hash in self.hashes(proof).await? {
                let answer = match self.show(proof, hash).await? {
                    Ok(answer) => answer,
                    Err(SignFailure(why)) => {
                        let key = Fingerprint::of(&proof.key);
                        self.notes.push(format!("the SSH agent did not sign with {key}: {why}"));
                        continue;
                    }
                };
                if self.is_in(&answer)? {
                    return Ok(true);
                }
                if !self.remaining.is_empty() && !self.offers(MethodKind::PublicKey) {
                    return Ok(false);
                }
            }
            shown += 1;
            let key = Fingerprint::of(&proof.key);
            if !self.tried.contains(&key) {
                self.tried.push(key);
            }
        }
        Ok(false)
    }

    async fn show(
        &mut self,
        proof: &Proof,
        hash: Option<HashAlg>,
    ) -> Result<Result<AuthResult, SignFailure>, russh::Error> {
        let Proof { key, certificate, signing } = proof;
        match (signing, certificate) {
            (Signing::Ourselves(private), None) => {
                let key = PrivateKeyWithHashAlg::new(Arc::clone(private), hash);
                self.handle.authenticate_publickey(self.user, key).await.map(Ok)
            }
            (Signing::Ourselves(private), Some(certificate)) => {
                let mut signer = OwnSigner(Arc::clone(private));
                Ok(self.certified(certificate, hash, &mut signer).await)
            }
            (Signing::Agent(socket, identity), _) => {
                let binding = self.handle.agent_session_binding().cloned();
                let mut signer = match AgentSigner::connect(socket, identity, binding.as_ref()).await {
                    Ok(signer) => signer,
                    Err(failure) => return Ok(Err(failure)),
                };
                if let Some(certificate) = certificate {
                    return Ok(self.certified(certificate, hash, &mut signer).await);
                }
                let key = key.clone();
                Ok(self.handle.authenticate_publickey_with(self.user, key, hash, &mut signer).await)
            }
        }
    }

    async fn certified<S: Signer<Error = SignFailure>>(
        &mut self,
        certificate: &Certificate,
        hash: Option<HashAlg>,
        signer: &mut S,
    ) -> Result<AuthResult, SignFailure> {
        self.handle.authenticate_certificate_with(self.user, certificate.clone(), hash, signer).await
    }

    /// The signature hashes to try with a key: only RSA has a choice. A server that names none may still
    /// know one; SHA-1 is never used.
    async fn hashes(&self, proof: &Proof) -> Result<Vec<Option<HashAlg>>, russh::Error> {
        if !matches!(proof.key.algorithm(), Algorithm::Rsa { .. }) {
            return Ok(vec![None]);
        }
        // Every server that knows certificates and RSA with SHA-2 knows this one.
        if proof.certificate.is_some() {
            return Ok(vec![Some(HashAlg::Sha512)]);
        }
        Ok(match self.handle.best_supported_rsa_hash().await? {
            Some(Some(best)) => vec![Some(best)],
            _ => vec![Some(HashAlg::Sha512), Some(HashAlg::Sha256)],
        })
    }

    /// Answers a server that asks for a password in its own words; nothing else can be answered.
    async fn questions(&mut self, password: &SecretString) -> Result<bool, russh::Error> {
        let mut answer = self.handle.authenticate_keyboard_interactive_start(self.user, None).await?;
        for _ in 0..MOST_ROUNDS {
            let prompts = match answer {
                KeyboardInteractiveAuthResponse::Success => return Ok(true),
                KeyboardInteractiveAuthResponse::Failure { remaining_methods, partial_success } => {
                    if self.password_taken && !partial_success {
                        self.notes.push("the password was refused".to_owned());
                    }
                    return self.is_in(&AuthResult::Failure { remaining_methods, partial_success });
                }
                KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => prompts,
            };
            let answers = match prompts.as_slice() {
                [] => Vec::new(),
                [Prompt { echo: false, .. }] if !self.password_taken => {
                    self.password_taken = true;
                    vec![password.expose_secret().to_owned()]
                }
                _ => {
                    let asked: Vec<&str> = prompts.iter().map(|prompt| prompt.prompt.trim()).collect();
                    let asked = asked.join(" ");
                    let asked = crate::display::clean(&asked);
                    self.notes.push(format!("the server asks `{asked}`, which cannot be answered"));
                    return Ok(false);
                }
            };
            answer = self.handle.authenticate_keyboard_interactive_respond(answers).await?;
        }
        Ok(false)
    }

    /// Takes note of an answer; tells whether we are in.
    fn is_in(&mut self, answer: &AuthResult) -> Result<bool, russh::Error> {
        match answer {
            AuthResult::Success => Ok(true),
            // The library reports a server that hangs up as one that refuses.
            AuthResult::Failure { .. } if self.handle.is_closed() => Err(russh::Error::Disconnect),
            AuthResult::Failure { remaining_methods, partial_success } => {
                self.partly |= partial_success;
                self.remaining = remaining_methods.clone();
                Ok(false)
            }
        }
    }
}

/// A key of ours where the library wants somebody else's: it knows certificates by RSA keys only so.
struct OwnSigner(Arc<PrivateKey>);

impl Signer for OwnSigner {
    type Error = SignFailure;

    async fn auth_sign(
        &mut self,
        _key: &AgentIdentity,
        _hash: Option<HashAlg>,
        mut data: Vec<u8>,
    ) -> Result<Vec<u8>, SignFailure> {
        let failed = |error: &dyn std::fmt::Display| SignFailure(error.to_string());
        // RSA keys sign with SHA-512, which is what we announce.
        let signature: Signature = self.0.try_sign(&data).map_err(|error| failed(&error))?;
        let mut blob = Vec::new();
        signature.encode(&mut blob).map_err(|error| failed(&error))?;
        blob.encode(&mut data).map_err(|error| failed(&error))?;
        Ok(data)
    }
}

fn interrupted(ledger: &Ledger, peer: &Peer, error: russh::Error, tried: Vec<Fingerprint>) -> ConnectError {
    let (peer, phase) = (peer.clone(), Phase::Authentication);
    match (ledger.take(), error) {
        (Some(End::Farewell(said)), _) if said.contains("Too many authentication failures") => {
            ConnectError::TooManyKeys { peer, said, tried }
        }
        (Some(End::Silent(limit)), _) => ConnectError::TimedOut { peer, phase, limit },
        (Some(End::Farewell(said)), _) => ConnectError::Closed { peer, phase, said: Some(said) },
        (None, source) if !hung_up(&source) => ConnectError::Protocol { peer, phase, source },
        _ => ConnectError::Closed { peer, phase, said: None },
    }
}
