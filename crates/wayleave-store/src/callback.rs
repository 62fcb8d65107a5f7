use std::str::FromStr;

use wayleave_core::{CredentialId, PropertyId, PublicId, Timestamp, UnknownWord};

use crate::{Reader, StoreError, Transaction};

/// What a property is told of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CallbackKind {
    /// A reader proved to be a subscriber.
    SubscriberLinked,
    /// A reader bought a subscription that its subscriber made it eligible for.
    EligiblePurchased,
    /// Subscribers were taken over.
    Imported,
    /// It was written down which subscribers changed.
    Exported,
    /// It was written down who has a subscription.
    FulfilmentExported,
    /// A reader bought a subscription that is fulfilled elsewhere.
    FulfilmentPurchased,
}

impl CallbackKind {
    /// Every kind.
    pub const ALL: [CallbackKind; 6] = [
        CallbackKind::SubscriberLinked,
        CallbackKind::EligiblePurchased,
        CallbackKind::Imported,
        CallbackKind::Exported,
        CallbackKind::FulfilmentExported,
        CallbackKind::FulfilmentPurchased,
    ];

    /// The stored and sent word.
    pub fn as_str(self) -> &'static str {
        match self {
            CallbackKind::SubscriberLinked => "ExternalSubscriberLinked",
            CallbackKind::EligiblePurchased => "EligibleSubscriptionPurchased",
            CallbackKind::Imported => "ExternalSubscriberImportCompleted",
            CallbackKind::Exported => "ExternalSubscriberExportCompleted",
            CallbackKind::FulfilmentExported => "ExternalFulfillmentSubscriptionExport",
            CallbackKind::FulfilmentPurchased => "ExternalFulfillmentSubscriptionPurchased",
        }
    }
}

impl FromStr for CallbackKind {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        CallbackKind::ALL
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(UnknownWord {
                noun: "callback",
                known: "those of CallbackKind",
            })
    }
}

/// An event that a property is told of, as stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Callback {
    /// By which its result is fetched: a GUID in small letters.
    pub token: String,
    /// Which property is told.
    pub property_id: PropertyId,
    /// What happened.
    pub kind: CallbackKind,
    /// The id of the import or export that is done.
    pub queued_id: Option<String>,
    /// When it happened.
    pub created_at: Timestamp,
}

/// A key set whose callback URL is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallbackKey {
    /// The key set.
    pub credential_id: CredentialId,
    /// Its access key.
    pub public_id: PublicId,
    /// Where it is told.
    pub url: String,
}

type Row = (String, String, String, Option<String>, i64);

fn from_row((token, property, kind, queued_id, created): Row) -> Result<Callback, StoreError> {
    Ok(Callback {
        token,
        property_id: StoreError::read("callback", &property)?,
        kind: StoreError::read("callback", &kind)?,
        queued_id,
        created_at: Timestamp::from_micros(created),
    })
}

impl Reader {
    /// One event.
    pub async fn callback(&mut self, token: &str) -> Result<Option<Callback>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            "SELECT token, property_id, kind, queued_id, created_at FROM callback WHERE token = $1",
            token
        )?;
        rows.into_iter().next().map(from_row).transpose()
    }

    /// A page of the pieces of a result in their order, after a place; the first is 0.
    pub async fn callback_result(
        &mut self,
        token: &str,
        after: i64,
        limit: i64,
    ) -> Result<Vec<(i64, String)>, StoreError> {
        fetch_all!(
            &mut self.link,
            (i64, String),
            "SELECT place, document FROM callback_result WHERE token = $1 AND place > $2
             ORDER BY place LIMIT $3",
            token,
            after,
            limit
        )
    }

    /// The key sets of a property that count and have a callback URL.
    pub async fn callback_keys(
        &mut self,
        property_id: PropertyId,
    ) -> Result<Vec<CallbackKey>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            (String, String, String, String),
            "SELECT id, public_id, audience, callback_url FROM credential
             WHERE property_id = $1 AND state = 'active' AND callback_url IS NOT NULL ORDER BY id",
            property_id.to_string()
        )?;
        let key = |(id, public_id, audience, url): (String, String, String, String)| {
            let audience = StoreError::read("credential", &audience)?;
            Ok(CallbackKey {
                credential_id: StoreError::read("credential", &id)?,
                public_id: PublicId::parse(&public_id, audience)
                    .map_err(|error| StoreError::corrupt("credential", error))?,
                url,
            })
        };
        rows.into_iter().map(key).collect()
    }
}

impl Transaction {
    /// Notes an event; its result can be fetched from then on.
    pub async fn add_callback(&mut self, callback: &Callback) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "INSERT INTO callback (token, property_id, kind, queued_id, created_at)
             VALUES ($1, $2, $3, $4, $5)",
            &callback.token,
            callback.property_id.to_string(),
            callback.kind.as_str(),
            callback.queued_id.as_deref(),
            callback.created_at.micros()
        )
        .map(drop)
    }

    /// Adds the next piece of a result.
    pub async fn add_callback_result(
        &mut self,
        token: &str,
        document: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "INSERT INTO callback_result (token, place, document, created_at)
             SELECT $1, COALESCE(MAX(place), -1) + 1, $2, $3 FROM callback_result WHERE token = $1",
            token,
            document,
            now.micros()
        )
        .map(drop)
    }

    /// Forgets events and results from before a moment, and how telling them ended.
    pub async fn forget_callbacks(&mut self, before: Timestamp) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "DELETE FROM callback_result WHERE created_at < $1 AND NOT EXISTS
                 (SELECT 1 FROM callback c
                  WHERE c.token = callback_result.token AND c.created_at >= $1)",
            before.micros()
        )?;
        execute!(
            self.link(),
            "DELETE FROM callback WHERE created_at < $1",
            before.micros()
        )?;
        execute!(
            self.link(),
            "DELETE FROM job WHERE kind = 'callback' AND state <> 'waiting' AND created_at < $1",
            before.micros()
        )
        .map(drop)
    }
}
