//! Telling content sites of events: a signed GET to the callback URL of each of their key sets for
//! management, and the result that is fetched with the token in it.
//!
//! An event and the jobs that tell of it are written in the transaction of what happened.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use wayleave_core::{
    CredentialId, CredentialState, Fulfilment, ImportOutcome, LinkedUsers, PartnerId, PropertyId,
    Timestamp,
};
use wayleave_protocol::callback::{self, CallbackRequest};
use wayleave_protocol::guid;
use wayleave_store::{
    Callback, CallbackKey, CallbackKind, CredentialWithSecrets, Job, Queued, Store, StoreError,
    Transaction,
};

use crate::Refusal;
use crate::directory::LookupId;
use crate::engine::Engine;
use crate::job::{Attempt, JobKind, job_name, new_job};
use crate::ports::random;
use crate::queued::shown_id;

/// How long is waited after each try that failed; after the last one it is given up.
const WAITS: [Duration; 2] = [Duration::from_secs(20), Duration::from_secs(90)];
/// How long a result can be fetched.
pub const RESULT_KEPT: Duration = Duration::from_secs(24 * 3600);
/// How many pieces of a result are read at once.
const PIECES_AT_ONCE: i64 = 20;

/// A result as it was kept, in pieces.
pub struct CallbackResult {
    /// What happened.
    pub kind: CallbackKind,
    store: Store,
    token: String,
    after: i64,
    read: VecDeque<String>,
}

/// A piece of a result.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ResultPiece {
    /// A subscriber with a reader: the only piece.
    Linked(LinkedUsers),
    /// How an import ended: the only piece.
    Imported(ImportOutcome),
    /// A subscription: the only piece.
    Fulfilment(Fulfilment),
    /// Some of the subscribers of an export.
    SomeLinked(Vec<LinkedUsers>),
    /// Some of the subscriptions of an export.
    SomeFulfilments(Vec<Fulfilment>),
}

impl CallbackResult {
    /// The next piece, of the kind of what happened; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<ResultPiece>, StoreError> {
        if self.read.is_empty() {
            self.read_on().await?;
        }
        let piece = self.read.pop_front();
        piece.map(|text| self.parse(&text)).transpose()
    }

    async fn read_on(&mut self) -> Result<(), StoreError> {
        let (token, after) = (self.token.clone(), self.after);
        let read = self.store.read(move |reader| {
            Box::pin(async move { reader.callback_result(&token, after, PIECES_AT_ONCE).await })
        });
        for (place, piece) in read.await? {
            self.after = place;
            self.read.push_back(piece);
        }
        Ok(())
    }

    fn parse(&self, text: &str) -> Result<ResultPiece, StoreError> {
        match self.kind {
            CallbackKind::SubscriberLinked | CallbackKind::EligiblePurchased => {
                parse(text, ResultPiece::Linked)
            }
            CallbackKind::Imported => parse(text, ResultPiece::Imported),
            CallbackKind::FulfilmentPurchased => parse(text, ResultPiece::Fulfilment),
            CallbackKind::Exported => parse(text, ResultPiece::SomeLinked),
            CallbackKind::FulfilmentExported => parse(text, ResultPiece::SomeFulfilments),
        }
    }
}

fn parse<T: DeserializeOwned>(
    text: &str,
    piece: fn(T) -> ResultPiece,
) -> Result<ResultPiece, StoreError> {
    let read = serde_json::from_str(text);
    read.map(piece)
        .map_err(|error| StoreError::corrupt("result", error))
}

/// A piece of a result as it is kept.
pub(crate) fn piece<T: Serialize>(result: &T) -> Result<String, StoreError> {
    serde_json::to_string(result).map_err(|error| StoreError::corrupt("result", error))
}

/// Notes an event and has everybody told who is to be. `result`: its pieces; those of an export are
/// there already. Where nobody is told and nobody waits, nothing is kept.
pub(crate) async fn raise(
    transaction: &mut Transaction,
    event: &Callback,
    result: &[String],
) -> Result<(), StoreError> {
    let keys = transaction
        .reader()
        .callback_keys(event.property_id)
        .await?;
    if keys.is_empty() && event.queued_id.is_none() {
        return Ok(());
    }
    let property = transaction.reader().property(event.property_id).await?;
    let property = property.ok_or(StoreError::NotFound)?;
    for piece in result {
        transaction
            .add_callback_result(&event.token, piece, event.created_at)
            .await?;
    }
    transaction.add_callback(event).await?;
    for key in &keys {
        transaction
            .add_job(&telling(event, key, property.partner_id))
            .await?;
    }
    Ok(())
}

/// The job that tells one key set of an event.
fn telling(event: &Callback, key: &CallbackKey, partner_id: PartnerId) -> Job {
    let (kind, at) = (JobKind::Callback, event.created_at);
    Job {
        name: job_name(kind, format!("{} {}", event.token, key.credential_id)),
        payload: json!({ "token": event.token }).to_string(),
        ..new_job(kind, partner_id, key.credential_id, (at, at))
    }
}

/// Which event a job tells of.
fn told_token(job: &Job) -> Option<String> {
    let payload: Value = serde_json::from_str(&job.payload).ok()?;
    payload.get("token")?.as_str().map(str::to_owned)
}

/// The parameter with the id of what is done.
fn id_parameter(kind: CallbackKind) -> Option<&'static str> {
    match kind {
        CallbackKind::Imported => Some("ExternalSubscriberImportID"),
        CallbackKind::Exported => Some("ExternalSubscriberExportID"),
        CallbackKind::FulfilmentExported => Some("ExternalFulfillmentSubscriptionExportID"),
        CallbackKind::SubscriberLinked
        | CallbackKind::EligiblePurchased
        | CallbackKind::FulfilmentPurchased => None,
    }
}

/// Everything that telling one key set of an event needs.
struct Telling {
    event: Callback,
    queued: Option<Queued>,
    key: CredentialWithSecrets,
}

impl Engine {
    /// A new GUID in small letters.
    pub(crate) fn new_guid(&self) -> String {
        let bytes = guid::v4(random(&*self.randomness));
        guid::format_lower(&bytes)
    }

    /// An event of a property that happens now.
    pub(crate) fn event(
        &self,
        property_id: PropertyId,
        kind: CallbackKind,
        now: Timestamp,
    ) -> Callback {
        Callback {
            token: self.new_guid(),
            property_id,
            kind,
            queued_id: None,
            created_at: now,
        }
    }

    /// Whether a URL can be told of events.
    ///
    /// # Errors
    /// [`Refusal::Invalid`] says why not.
    pub fn check_callback_url(&self, url: &str) -> Result<(), Refusal> {
        let invalid = |why: String| Refusal::Invalid {
            field: "callback_url",
            why,
        };
        self.check_hook(url).map_err(invalid)?;
        callback::check_url(url).map_err(|_| {
            invalid("its query has a name twice, one that we add, or a control character, so it cannot be signed".to_owned())
        })
    }

    /// The result of an event of a property, for 24 hours from when it happened. `token`: in any
    /// letter case. `None`: there is none, or no longer.
    pub async fn callback_result(
        &self,
        property_id: PropertyId,
        token: &str,
    ) -> Result<Option<CallbackResult>, Refusal> {
        let token = token.to_ascii_lowercase();
        let sought = token.clone();
        let read = self
            .store
            .read(move |reader| Box::pin(async move { reader.callback(&sought).await }));
        let is_there = |event: &Callback| {
            event.property_id == property_id && self.now() < event.created_at.plus(RESULT_KEPT)
        };
        Ok(read.await?.filter(is_there).map(|event| CallbackResult {
            kind: event.kind,
            store: self.store.clone(),
            token,
            after: -1,
            read: VecDeque::new(),
        }))
    }

    pub(crate) async fn attempt_callback(
        &self,
        job: &Job,
        key: CredentialId,
    ) -> Result<Attempt, Refusal> {
        let Some(telling) = self.read_telling(job, key).await? else {
            return Ok(Attempt::Done);
        };
        let Some(request) = self.sign_telling(&telling) else {
            return Ok(Attempt::Done);
        };
        let Some(hooks) = self.hooks.get() else {
            return Ok(Attempt::Again(
                "this node calls no addresses yet".to_owned(),
            ));
        };
        let Err(why) = hooks.tell(&request).await else {
            return Ok(Attempt::Done);
        };
        let failed = usize::try_from(job.attempts).unwrap_or(usize::MAX);
        Ok(match WAITS.get(failed) {
            Some(wait) => Attempt::AgainAt(self.now().plus(*wait), why),
            None => Attempt::GivenUp(why),
        })
    }

    /// `None`: the event is gone, or the key set counts no longer.
    async fn read_telling(&self, job: &Job, key: CredentialId) -> Result<Option<Telling>, Refusal> {
        let Some(token) = told_token(job) else {
            return Ok(None);
        };
        let read = self.store.read(move |reader| {
            Box::pin(async move {
                let Some(event) = reader.callback(&token).await? else {
                    return Ok(None);
                };
                let queued = match &event.queued_id {
                    Some(id) => reader.queued(id).await?,
                    None => None,
                };
                let key = reader.credential(key).await?;
                Ok(key.map(|key| Telling { event, queued, key }))
            })
        });
        let counts = |telling: &Telling| {
            let credential = &telling.key.credential;
            credential.state == CredentialState::Active
                && credential.expires_at.is_none_or(|end| self.now() < end)
        };
        Ok(read.await?.filter(counts))
    }

    /// `None`: the key set has no callback URL any more, or no secret.
    fn sign_telling(&self, telling: &Telling) -> Option<CallbackRequest> {
        let credential = &telling.key.credential;
        let url = credential.callback_url.as_deref()?;
        let shown = telling.queued.as_ref().map(shown_id);
        let mut parameters = vec![
            (callback::TYPE, telling.event.kind.as_str()),
            (callback::TOKEN, telling.event.token.as_str()),
        ];
        if let (Some(name), Some(id)) = (id_parameter(telling.event.kind), &shown) {
            parameters.push((name, id));
        }
        let (public_id, now_s) = (credential.public_id.as_str(), self.now().unix_s());
        let signed = self.directory.with(LookupId::of(public_id), |record| {
            let secret = record
                .live_secrets(now_s)
                .find_map(|secret| secret.signing_text())?;
            callback::compose(url, &parameters, public_id, secret, now_s).ok()
        });
        signed.flatten()
    }

    /// Forgets events and their results after a day, and what was queued after a month.
    pub(crate) async fn forget_callbacks(&self) -> Result<(), Refusal> {
        const QUEUED_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
        let now = self.now();
        let forgotten = self.store.write(now, move |transaction| {
            Box::pin(async move {
                transaction.forget_callbacks(now.minus(RESULT_KEPT)).await?;
                transaction.forget_done_queued(now.minus(QUEUED_KEPT)).await
            })
        });
        Ok(forgotten.await?)
    }
}
