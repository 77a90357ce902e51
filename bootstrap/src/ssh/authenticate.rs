//! Logging in: what is shown, in which order, with which signatures, and a password where nothing else does. It begins when
//! the host has proven who it is.

use std::{sync::Arc, time::Duration};

use russh::{
    MethodKind, MethodSet, Signer,
    client::{AuthResult, Handle, KeyboardInteractiveAuthResponse, Prompt},
    keys::{
        Algorithm, Certificate, HashAlg, PrivateKey, PrivateKeyWithHashAlg, agent::AgentIdentity,
        signature::Signer as _, ssh_encoding::Encode, ssh_key::Signature,
    },
};

use super::{
    agent::{AgentSigner, SignFailure},
    client::{Client, End, Ledger, hung_up},
    connect::within,
    error::{ConnectError, Peer, Phase},
    fingerprint::Fingerprint,
    login::Method,
    password::{Password, Shown, Turn},
    ring::{Proof, Signing},
};

/// Keys shown to one server. Six refusals (`MaxAuthTries`) are as many as OpenSSH takes, and what follows would count against
/// us elsewhere: fail2ban.
const MOST_KEYS: usize = 6;
/// Rounds of questions that a server may ask.
const MOST_ROUNDS: usize = 8;
/// Proofs that a server may want one after the other, beyond the first.
const MOST_PARTS: usize = 3;

/// What we have for a host.
pub(super) struct Credentials<'a> {
    pub(super) user: &'a str,
    pub(super) proofs: Vec<Proof>,
    pub(super) methods: &'a [Method],
    pub(super) password: Option<&'a Password>,
}

/// Tries one method after the other until the server lets us in. The limit is for what happens between the server and us: who waits
/// for a turn with the password has it anew.
pub(super) async fn authenticate(
    handle: &mut Handle<Client>,
    ledger: &Ledger,
    peer: &Peer,
    credentials: &Credentials<'_>,
    limit: Duration,
) -> Result<(), ConnectError> {
    let mut attempt = Attempt {
        handle,
        peer,
        user: credentials.user,
        tried: Vec::new(),
        taken: 0,
        notes: Vec::new(),
        remaining: MethodSet::empty(),
        spent: Vec::new(),
        refused: 0,
        turn: None,
        shown: None,
        password_said: false,
    };
    let result = loop {
        let proving = async { Ok(attempt.all(credentials).await) };
        let result = within(limit, peer, Phase::Authentication, proving).await?;
        let (Ok(Progress::AtPassword), Some(password)) = (&result, credentials.password) else {
            break result;
        };
        attempt.has_turn(password.turn().await);
    };
    let result = match result {
        Err(error) if attempt.shown.is_some() && hung_up(&error) => {
            attempt.note("the password was answered by hanging up");
            Ok(Progress::Out)
        }
        result => result,
    };
    let Attempt { tried, taken, notes, remaining, .. } = attempt;
    match result {
        Ok(Progress::In) => Ok(()),
        Ok(_) => Err(ConnectError::AuthenticationRefused {
            peer: peer.clone(),
            user: credentials.user.to_owned(),
            tried,
            methods: remaining.iter().map(<&MethodKind as Into<&'static str>>::into).collect(),
            partly: taken > 0,
            notes,
        }),
        Err(error) => Err(interrupted(ledger, peer, error, tried)),
    }
}

/// How far the methods have led.
#[derive(PartialEq)]
enum Progress {
    In,
    Out,
    /// On to the password, which must wait for its turn.
    AtPassword,
}

struct Attempt<'h> {
    handle: &'h mut Handle<Client>,
    peer: &'h Peer,
    user: &'h str,
    tried: Vec<Fingerprint>,
    /// Proofs that the server took, and still wants more.
    taken: usize,
    notes: Vec<String>,
    /// What the server would go on with.
    remaining: MethodSet,
    /// Places of the keys that need not be shown again.
    spent: Vec<usize>,
    /// Keys that were refused.
    refused: usize,
    turn: Option<Turn<'h>>,
    /// The password, while the server thinks about it.
    shown: Option<Shown<'h>>,
    /// Whether the server has heard the password, or never shall.
    password_said: bool,
}

impl<'h> Attempt<'h> {
    /// Goes on with the password if there is a turn for it, and without it if not.
    fn has_turn(&mut self, turn: Result<Turn<'h>, String>) {
        match turn {
            Ok(turn) => self.turn = Some(turn),
            Err(why_not) => {
                self.password_said = true;
                self.note(why_not);
            }
        }
    }

    fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Begins, or goes on after it was [at the password](Progress::AtPassword).
    async fn all(&mut self, credentials: &Credentials<'h>) -> Result<Progress, russh::Error> {
        let begins_with_keys =
            credentials.methods.first() == Some(&Method::PublicKey) && !credentials.proofs.is_empty();
        // Without a key to show, the question alone tells which methods there are.
        if !begins_with_keys && self.remaining.is_empty() {
            let answer = self.handle.authenticate_none(self.user).await?;
            if self.is_in(&answer)? {
                return Ok(Progress::In);
            }
        }
        loop {
            let taken = self.taken;
            let progress = self.round(credentials).await?;
            // What it took has opened the way for what it did not want before (`AuthenticationMethods`).
            if progress != Progress::Out || self.taken == taken || self.taken > MOST_PARTS {
                return Ok(progress);
            }
        }
    }

    /// Tries one method after the other, until we are in or the server takes a proof and wants more.
    async fn round(&mut self, credentials: &Credentials<'h>) -> Result<Progress, russh::Error> {
        let taken = self.taken;
        let has_password = credentials.password.is_some();
        for method in credentials.methods {
            let is_in = match method {
                Method::PublicKey if self.remaining.is_empty() || self.offers(MethodKind::PublicKey) => {
                    self.keys(&credentials.proofs, has_password).await?
                }
                Method::KeyboardInteractive
                    if has_password && self.may_say_it(MethodKind::KeyboardInteractive) =>
                {
                    let Some(turn) = self.turn.take() else { return Ok(Progress::AtPassword) };
                    self.questions(turn).await?
                }
                Method::Password if has_password && self.may_say_it(MethodKind::Password) => {
                    let Some(turn) = self.turn.take() else { return Ok(Progress::AtPassword) };
                    self.password(turn).await?
                }
                _ => false,
            };
            if is_in {
                return Ok(Progress::In);
            }
            if self.taken > taken {
                break;
            }
        }
        Ok(Progress::Out)
    }

    /// The same password again would only count as another failure.
    fn may_say_it(&self, method: MethodKind) -> bool {
        !self.password_said && self.offers(method)
    }

    /// The password, on its way to the server.
    fn say(&mut self, turn: Turn<'h>) -> String {
        let (secret, shown) = turn.show(self.peer);
        (self.shown, self.password_said) = (Some(shown), true);
        secret
    }

    /// Takes note of what the server says of the password that it was shown.
    fn judged(&mut self, taken: bool) {
        match self.shown.take() {
            Some(shown) if taken => shown.taken(),
            Some(_) => self.note("the password was refused"),
            None => {}
        }
    }

    async fn password(&mut self, turn: Turn<'h>) -> Result<bool, russh::Error> {
        let taken = self.taken;
        let secret = self.say(turn);
        let answer = self.handle.authenticate_password(self.user, secret).await?;
        let is_in = self.is_in(&answer)?;
        self.judged(is_in || self.taken > taken);
        Ok(is_in)
    }

    fn offers(&self, method: MethodKind) -> bool {
        self.remaining.contains(&method)
    }

    async fn keys(&mut self, proofs: &[Proof], leaves_room: bool) -> Result<bool, russh::Error> {
        // The last attempt is the password's.
        let most = if leaves_room { MOST_KEYS - 1 } else { MOST_KEYS };
        let waiting: Vec<_> =
            proofs.iter().enumerate().filter(|(place, _)| !self.spent.contains(place)).collect();
        let taken = self.taken;
        for (rank, (place, proof)) in waiting.iter().enumerate() {
            if self.refused == most {
                self.note(format!("{} more keys were not tried", waiting.len() - rank));
                break;
            }
            for hash in self.hashes(proof).await? {
                let answer = match self.show(proof, hash).await? {
                    Ok(answer) => answer,
                    Err(SignFailure(why)) => {
                        let key = Fingerprint::of(&proof.key);
                        self.note(format!("the SSH agent did not sign with {key}: {why}"));
                        continue;
                    }
                };
                if self.is_in(&answer)? {
                    return Ok(true);
                }
                if self.taken > taken {
                    self.spent.push(*place);
                    return Ok(false);
                }
                // It was not the key that it did not want.
                if !self.offers(MethodKind::PublicKey) {
                    self.refused += 1;
                    return Ok(false);
                }
            }
            self.spent.push(*place);
            self.refused += 1;
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

    /// Answers a server that asks for a password in its own words. What else it asks gets an empty answer, as by OpenSSH's
    /// client that has nobody to ask: it waits for one before it hears anything else.
    async fn questions(&mut self, turn: Turn<'h>) -> Result<bool, russh::Error> {
        let mut answer = self.handle.authenticate_keyboard_interactive_start(self.user, None).await?;
        let mut turn = Some(turn);
        // The password, once the server has gone on to other questions: what it refuses then need not be that.
        let mut earlier: Option<Shown> = None;
        for _ in 0..MOST_ROUNDS {
            let prompts = match answer {
                KeyboardInteractiveAuthResponse::Success => {
                    earlier.into_iter().for_each(Shown::taken);
                    self.judged(true);
                    return Ok(true);
                }
                KeyboardInteractiveAuthResponse::Failure { remaining_methods, partial_success } => {
                    let is_in = self.is_in(&AuthResult::Failure { remaining_methods, partial_success })?;
                    earlier.into_iter().filter(|_| partial_success).for_each(Shown::taken);
                    self.judged(partial_success);
                    self.turn = turn;
                    return Ok(is_in);
                }
                KeyboardInteractiveAuthResponse::InfoRequest { prompts, .. } => prompts,
            };
            let answers = match prompts.as_slice() {
                [] => Vec::new(),
                [Prompt { echo: false, .. }] if let Some(turn) = turn.take() => vec![self.say(turn)],
                _ => {
                    earlier = earlier.or(self.shown.take());
                    self.note_unanswered(&prompts);
                    vec![String::new(); prompts.len()]
                }
            };
            answer = self.handle.authenticate_keyboard_interactive_respond(answers).await?;
        }
        // It would hear nothing but an answer.
        Err(russh::Error::Inconsistent)
    }

    fn note_unanswered(&mut self, prompts: &[Prompt]) {
        let asked: Vec<&str> = prompts.iter().map(|prompt| prompt.prompt.trim()).collect();
        let asked = asked.join(" ");
        self.note(format!("the server asks `{}`, which cannot be answered", crate::display::clean(&asked)));
    }

    /// Takes note of an answer; tells whether we are in.
    fn is_in(&mut self, answer: &AuthResult) -> Result<bool, russh::Error> {
        match answer {
            AuthResult::Success => Ok(true),
            // The library reports a server that hangs up as one that refuses.
            AuthResult::Failure { .. } if self.handle.is_closed() => Err(russh::Error::Disconnect),
            AuthResult::Failure { remaining_methods, partial_success } => {
                self.remaining = remaining_methods.clone();
                if *partial_success {
                    self.taken += 1;
                    // It was the right one: another method may ask for it again.
                    self.password_said = false;
                }
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
