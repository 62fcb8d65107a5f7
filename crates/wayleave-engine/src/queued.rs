//! Imports and exports of a property, done later, piece by piece: each piece is one transaction with the
//! note of how far it has come, so that another node goes on where one ended.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::json;
use wayleave_core::{
    Fulfilment, GroupUntil, ImportOutcome, LinkedUsers, PropertyId, PropertySettings,
    SubscriberUpdate, Timestamp,
};
use wayleave_protocol::ticks;
use wayleave_store::{
    Callback, CallbackKind, Queued, QueuedKind, QueuedState, QueuedStep, Reader, StoreError,
    SubscriberChange, Transaction,
};

use crate::Refusal;
use crate::audit::{Act, Actor};
use crate::callback::{piece, raise};
use crate::engine::Engine;
use crate::job::{Attempt, JobKind};
use crate::subscriber::{grant_automatic, key_of, linked_users_of, subscription_guid, user_of};

/// How many subscribers are done at once.
const PIECE: usize = 500;
/// How many an import may have.
pub const MOST_IMPORTED_SUBSCRIBERS: usize = 200_000;
/// How long a job works before others have their turn; well below its lease.
const STRETCH: Duration = Duration::from_secs(20);
/// How many errors the result of an import has.
const ERRORS_TOLD: i64 = 1_000;

/// A subscriber of an import: what is to be known of it, or why that could not be read.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct ImportLine {
    /// By which it is known elsewhere.
    pub key: String,
    /// What is to be known of it.
    pub update: Result<SubscriberUpdate, String>,
}

/// The subscribers of an import, written down piece by piece as they are read.
#[derive(Default, Debug)]
pub struct ImportLines {
    pieces: Vec<String>,
    /// Of the next piece.
    lines: Vec<ImportLine>,
    count: usize,
}

impl ImportLines {
    /// Adds one. What is beyond [`MOST_IMPORTED_SUBSCRIBERS`] is counted and not kept.
    pub fn push(&mut self, line: ImportLine) -> Result<(), StoreError> {
        self.count += 1;
        if self.count <= MOST_IMPORTED_SUBSCRIBERS {
            self.lines.push(line);
        }
        match self.lines.len() {
            PIECE => self.write_piece(),
            _ => Ok(()),
        }
    }

    fn write_piece(&mut self) -> Result<(), StoreError> {
        self.pieces.push(piece(&self.lines)?);
        self.lines.clear();
        Ok(())
    }

    /// Every one that was added.
    pub fn all(self) -> Vec<ImportLine> {
        let written = self.pieces.iter();
        let read = written.flat_map(|piece| -> Vec<ImportLine> {
            serde_json::from_str(piece).unwrap_or_default()
        });
        read.chain(self.lines.iter().cloned()).collect()
    }

    /// All of it, as it is kept.
    fn finish(mut self) -> Result<Vec<String>, StoreError> {
        if !self.lines.is_empty() {
            self.write_piece()?;
        }
        Ok(self.pieces)
    }
}

/// What an export is of.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct ExportRequest {
    from_us: i64,
    to_us: i64,
}

/// What a fulfilment export is of.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct FulfilmentRequest {
    /// The GUID of the subscription group.
    pub group_id: String,
    as_of_us: i64,
    /// Who wants mail about it; nobody gets any.
    pub email: Option<String>,
}

impl ExportRequest {
    /// Reads what was asked for.
    pub fn of(queued: &Queued) -> Result<Self, StoreError> {
        read_request(queued)
    }

    /// From when to when subscribers changed; half-open.
    pub fn window(&self) -> (Timestamp, Timestamp) {
        (
            Timestamp::from_micros(self.from_us),
            Timestamp::from_micros(self.to_us),
        )
    }
}

impl FulfilmentRequest {
    /// Reads what was asked for.
    pub fn of(queued: &Queued) -> Result<Self, StoreError> {
        read_request(queued)
    }

    /// At which moment the subscriptions count.
    pub fn as_of(&self) -> Timestamp {
        Timestamp::from_micros(self.as_of_us)
    }
}

fn read_request<T: DeserializeOwned>(queued: &Queued) -> Result<T, StoreError> {
    serde_json::from_str(&queued.request)
        .map_err(|error| StoreError::corrupt("import or export", error))
}

/// The id by which a property knows what it had queued: a GUID, but for exports of subscribers with the
/// ticks of when it was asked for.
pub fn shown_id(queued: &Queued) -> String {
    match queued.kind {
        QueuedKind::Export => queued.id.clone(),
        QueuedKind::Import | QueuedKind::FulfilmentExport => {
            let ticks = ticks::from_unix_micros(queued.created_at.micros());
            format!("{}|{ticks:019}", queued.id)
        }
    }
}

/// The event that tells of the end of something queued.
fn end_of(queued: &Queued, now: Timestamp) -> Callback {
    Callback {
        token: queued.token.clone(),
        property_id: queued.property_id,
        kind: match queued.kind {
            QueuedKind::Import => CallbackKind::Imported,
            QueuedKind::Export => CallbackKind::Exported,
            QueuedKind::FulfilmentExport => CallbackKind::FulfilmentExported,
        },
        queued_id: Some(queued.id.clone()),
        created_at: now,
    }
}

impl Engine {
    /// Has subscribers taken over, after everything that was imported before. `by`: the operator;
    /// `None`: the property itself.
    pub async fn queue_import(
        &self,
        by: Option<&Actor>,
        property_id: PropertyId,
        lines: ImportLines,
    ) -> Result<Queued, Refusal> {
        if lines.count == 0 || lines.count > MOST_IMPORTED_SUBSCRIBERS {
            return Err(Refusal::Invalid {
                field: "Subscribers",
                why: format!(
                    "an import has 1 to {MOST_IMPORTED_SUBSCRIBERS} subscribers: send several imports"
                ),
            });
        }
        let mut queued = self.new_queued(property_id, QueuedKind::Import);
        queued.total = i64::try_from(lines.count).ok();
        self.add_queued(by, queued, lines.finish()?).await
    }

    /// Has it written down which subscribers changed within half-open bounds, with the readers that
    /// are linked to them.
    pub async fn queue_export(
        &self,
        by: Option<&Actor>,
        property_id: PropertyId,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<Queued, Refusal> {
        if to < from {
            return Err(Refusal::Invalid {
                field: "EndDate",
                why: "is before StartDate".to_owned(),
            });
        }
        let mut queued = self.new_queued(property_id, QueuedKind::Export);
        queued.request = piece(&ExportRequest {
            from_us: from.micros(),
            to_us: to.micros(),
        })?;
        self.add_queued(by, queued, Vec::new()).await
    }

    /// Has it written down who has a subscription at a moment. `email`: who wanted mail about it.
    pub async fn queue_fulfilment_export(
        &self,
        by: Option<&Actor>,
        property_id: PropertyId,
        group_id: &str,
        as_of: Timestamp,
        email: Option<String>,
    ) -> Result<Queued, Refusal> {
        let group_id = group_id.to_ascii_lowercase();
        let held = self.property_held(property_id)?;
        let group = held.settings.subscription_group_of_id(&group_id);
        if group.is_none() {
            return Err(Refusal::Invalid {
                field: "SubscriptionGroupID",
                why: "the property has no such subscription group".to_owned(),
            });
        }
        let mut queued = self.new_queued(property_id, QueuedKind::FulfilmentExport);
        queued.request = piece(&FulfilmentRequest {
            group_id,
            as_of_us: as_of.micros(),
            email,
        })?;
        self.add_queued(by, queued, Vec::new()).await
    }

    fn new_queued(&self, property_id: PropertyId, kind: QueuedKind) -> Queued {
        let now = self.now();
        Queued {
            id: self.new_guid(),
            property_id,
            kind,
            state: QueuedState::Queued,
            request: "{}".to_owned(),
            token: self.new_guid(),
            total: None,
            done: 0,
            failed: 0,
            at_subscriber: String::new(),
            created_at: now,
            changed_at: now,
        }
    }

    async fn add_queued(
        &self,
        by: Option<&Actor>,
        queued: Queued,
        pieces: Vec<String>,
    ) -> Result<Queued, Refusal> {
        let property_id = queued.property_id;
        let read = self
            .store
            .read(move |reader| Box::pin(reader.property(property_id)));
        let property = read.await?.ok_or(Refusal::NotFound { noun: "property" })?;
        let job = self.job(
            JobKind::Queued,
            property.partner_id,
            &queued.id,
            queued.created_at,
        );
        let act = Act::new("subscriber.queue", &queued.id).with(json!({
            "property": property_id.to_string(),
            "kind": queued.kind.as_str(),
            "subscribers": queued.total,
        }));
        let added = queued.clone();
        let written = self.written_by(by, act, move |transaction| {
            Box::pin(async move {
                transaction.add_queued(&added, &pieces).await?;
                transaction.add_job(&job).await
            })
        });
        written.await?;
        Ok(queued)
    }

    /// Goes on with an import or export for a while.
    pub(crate) async fn work_at_queued(&self, id: &str) -> Result<Attempt, Refusal> {
        let until = self.now().plus(STRETCH);
        loop {
            let sought = id.to_owned();
            let read = self
                .store
                .read(move |reader| Box::pin(async move { reader.queued(&sought).await }));
            let Some(queued) = read.await? else {
                return Ok(Attempt::Done);
            };
            if queued.state == QueuedState::Done {
                return Ok(Attempt::Done);
            }
            let went_on = match queued.kind {
                QueuedKind::Import => self.import_piece(&queued).await?,
                QueuedKind::Export => self.export_page(&queued).await?,
                QueuedKind::FulfilmentExport => self.fulfilment_page(&queued).await?,
            };
            match went_on {
                true if self.now() < until => {}
                _ => return Ok(Attempt::Later(self.now())),
            }
        }
    }

    /// Takes the next piece of an import over, or ends it; whether there is more to do at once.
    async fn import_piece(&self, queued: &Queued) -> Result<bool, Refusal> {
        let asked = queued.clone();
        let read = self.store.read(move |reader| {
            Box::pin(async move {
                let must_wait = reader.has_earlier_import(&asked).await?;
                Ok((must_wait, reader.next_piece(&asked.id).await?))
            })
        });
        match read.await? {
            (true, _) => Ok(false),
            (false, Some((place, document))) => {
                self.take_over(queued.clone(), place, &document).await?;
                Ok(true)
            }
            (false, None) => self.end_queued(queued).await,
        }
    }

    async fn take_over(&self, queued: Queued, place: i64, document: &str) -> Result<(), Refusal> {
        let lines: Vec<ImportLine> = serde_json::from_str(document)
            .map_err(|error| StoreError::corrupt("piece of an import", error))?;
        let held = self.property_held(queued.property_id)?;
        let changes: Vec<Result<SubscriberChange, String>> = lines
            .into_iter()
            .map(|line| self.import_change(queued.property_id, &held.settings, line))
            .collect();
        let now = self.now();
        let written = self.store.write(now, move |transaction| {
            Box::pin(async move {
                if transaction.take_piece(&queued.id, place).await? {
                    let step =
                        put_all(transaction, &queued, place, &changes, (&held.settings, now));
                    let step = step.await?;
                    transaction.note_step(&queued, &step, now).await?;
                }
                Ok(())
            })
        });
        written.await?;
        self.catch_up_soon().await;
        Ok(())
    }

    /// Errors: why a subscriber is not taken, with its key.
    fn import_change(
        &self,
        property_id: PropertyId,
        settings: &PropertySettings,
        line: ImportLine,
    ) -> Result<SubscriberChange, String> {
        let change = line
            .update
            .and_then(|update| self.subscriber_change(property_id, settings, &line.key, update));
        change.map_err(|why| match line.key.is_empty() {
            true => why,
            false => format!("{}: {why}", line.key),
        })
    }

    /// Writes down the next subscribers that changed, or ends.
    async fn export_page(&self, queued: &Queued) -> Result<bool, Refusal> {
        let held = self.property_held(queued.property_id)?;
        let window = ExportRequest::of(queued)?.window();
        let asked = queued.clone();
        let read = self.store.read(move |reader| {
            Box::pin(async move { read_page(reader, &held.settings, &asked, window).await })
        });
        let (page, last) = read.await?;
        self.write_page(queued, &page, last).await
    }

    /// Writes down the next readers that have a subscription, or ends.
    async fn fulfilment_page(&self, queued: &Queued) -> Result<bool, Refusal> {
        let held = self.property_held(queued.property_id)?;
        let request = FulfilmentRequest::of(queued)?;
        let asked = queued.clone();
        let read = self.store.read(move |reader| {
            Box::pin(
                async move { read_fulfilments(reader, &held.settings, &asked, &request).await },
            )
        });
        let (page, last) = read.await?;
        self.write_page(queued, &page, last).await
    }

    /// `last`: where the page came to; `None`: there was nothing more.
    async fn write_page<T: Serialize>(
        &self,
        queued: &Queued,
        page: &[T],
        last: Option<String>,
    ) -> Result<bool, Refusal> {
        let Some(last) = last else {
            return self.end_queued(queued).await;
        };
        let (now, document, stood) = (self.now(), piece(&page)?, queued.clone());
        let step = QueuedStep {
            done: i64::try_from(page.len()).unwrap_or(i64::MAX),
            failed: 0,
            at_subscriber: last,
        };
        let written = self.store.write(now, move |transaction| {
            Box::pin(async move {
                if transaction.note_step(&stood, &step, now).await? {
                    let token = &stood.token;
                    transaction
                        .add_callback_result(token, &document, now)
                        .await?;
                }
                Ok(())
            })
        });
        written.await?;
        Ok(true)
    }

    /// Ends it, and tells of that; there is nothing more to do.
    async fn end_queued(&self, queued: &Queued) -> Result<bool, Refusal> {
        let (now, ended) = (self.now(), queued.clone());
        let written = self.store.write(now, move |transaction| {
            Box::pin(async move {
                transaction.end_queued(&ended.id, now).await?;
                let result = match ended.kind {
                    QueuedKind::Import => vec![piece(&outcome(transaction, &ended.id).await?)?],
                    QueuedKind::Export | QueuedKind::FulfilmentExport => Vec::new(),
                };
                raise(transaction, &end_of(&ended, now), &result).await
            })
        });
        match written.await {
            // Another node ended it meanwhile.
            Ok(()) | Err(StoreError::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

async fn outcome(transaction: &mut Transaction, id: &str) -> Result<ImportOutcome, StoreError> {
    let reader = transaction.reader();
    let queued = reader.queued(id).await?.ok_or(StoreError::NotFound)?;
    Ok(ImportOutcome {
        errors: reader.queued_errors(id, ERRORS_TOLD).await?,
        succeeded: queued.done - queued.failed,
        failed: queued.failed,
    })
}

/// Takes the subscribers of a piece over; what its readers have by that, they have at once.
async fn put_all(
    transaction: &mut Transaction,
    queued: &Queued,
    place: i64,
    changes: &[Result<SubscriberChange, String>],
    (settings, now): (&PropertySettings, Timestamp),
) -> Result<QueuedStep, StoreError> {
    let mut failed = 0;
    let first = place * PIECE as i64;
    for (number, change) in (first..).zip(changes) {
        match change {
            Ok(change) => {
                let put = transaction.put_subscriber(change, now).await?;
                grant_automatic(transaction, settings, &put, now).await?;
            }
            Err(why) => {
                failed += 1;
                transaction
                    .add_queued_error(&queued.id, number, why)
                    .await?;
            }
        }
    }
    Ok(QueuedStep {
        done: i64::try_from(changes.len()).unwrap_or(i64::MAX),
        failed,
        at_subscriber: String::new(),
    })
}

async fn read_page(
    reader: &mut Reader,
    settings: &PropertySettings,
    queued: &Queued,
    window: (Timestamp, Timestamp),
) -> Result<(Vec<LinkedUsers>, Option<String>), StoreError> {
    let found = reader
        .subscribers_changed(
            queued.property_id,
            window,
            &queued.at_subscriber,
            PIECE as i64,
        )
        .await?;
    let mut page = Vec::with_capacity(found.len());
    for subscriber in &found {
        page.push(linked_users_of(reader, settings, subscriber).await?);
    }
    Ok((page, found.last().map(|last| last.id.to_string())))
}

async fn read_fulfilments(
    reader: &mut Reader,
    settings: &PropertySettings,
    queued: &Queued,
    request: &FulfilmentRequest,
) -> Result<(Vec<Fulfilment>, Option<String>), StoreError> {
    let found = reader
        .subscriptions_of_group(
            &request.group_id,
            request.as_of(),
            &queued.at_subscriber,
            PIECE as i64,
        )
        .await?;
    let mut page = Vec::with_capacity(found.len());
    for subscription in &found {
        let Some(user) = user_of(reader, settings, subscription.reader_id).await? else {
            continue;
        };
        let key = key_of(settings, &request.group_id);
        page.push(Fulfilment {
            subscription: subscription_guid(subscription.reader_id, &request.group_id),
            until: GroupUntil::new(key, subscription.expires_at),
            user: user.user,
            details: user.details,
        });
    }
    let last = found.last().map(|last| last.reader_id.to_string());
    Ok((page, last))
}
