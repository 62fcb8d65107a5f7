use serde::de::DeserializeOwned;
use wayleave_core::{
    GroupUntil, NamedValue, PropertyId, ReaderId, SubscriberId, SubscriberUpdate, Timestamp,
};

use crate::{Reader, ReaderSubscription, StoreError, Transaction, must_touch};

/// Somebody whose subscription is kept elsewhere, as stored.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subscriber {
    /// Its id.
    pub id: SubscriberId,
    /// The property that it subscribes to.
    pub property_id: PropertyId,
    /// By which it is known elsewhere.
    pub key: String,
    /// How many readers may be linked to it.
    pub most_linked: i64,
    /// How many are.
    pub linked: i64,
    /// What a reader must give to prove to be it.
    pub validation: Vec<NamedValue>,
    /// Which subscriptions its readers may buy.
    pub eligible: Vec<GroupUntil>,
    /// Which subscriptions its readers have.
    pub automatic: Vec<GroupUntil>,
    /// When it became known.
    pub created_at: Timestamp,
    /// When it was changed last, or a reader was linked to it.
    pub changed_at: Timestamp,
}

/// A subscriber that is to be added or changed.
#[derive(Clone, Debug)]
pub struct SubscriberChange {
    /// The id where it is new.
    pub id: SubscriberId,
    /// The property that it subscribes to.
    pub property_id: PropertyId,
    /// By which it is known elsewhere.
    pub key: String,
    /// What is to be known of it.
    pub update: SubscriberUpdate,
    /// By which it is found by what a reader gives, where that changes.
    pub fingerprint: Option<String>,
}

type Row = (
    String,
    String,
    String,
    i64,
    i64,
    String,
    String,
    String,
    i64,
    i64,
);

/// The columns of a [`Row`], in its order.
macro_rules! select_subscribers {
    ($rest:literal) => {
        concat!(
            "SELECT s.id, s.property_id, s.subscriber_key, s.most_linked, s.linked, s.validation,
                    s.eligible, s.automatic, s.created_at, s.changed_at
             FROM subscriber s ",
            $rest
        )
    };
}

fn from_row(row: Row) -> Result<Subscriber, StoreError> {
    Ok(Subscriber {
        id: StoreError::read("subscriber", &row.0)?,
        property_id: StoreError::read("subscriber", &row.1)?,
        key: row.2,
        most_linked: row.3,
        linked: row.4,
        validation: read_json(&row.5)?,
        eligible: read_json(&row.6)?,
        automatic: read_json(&row.7)?,
        created_at: Timestamp::from_micros(row.8),
        changed_at: Timestamp::from_micros(row.9),
    })
}

fn read_json<T: DeserializeOwned>(text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|error| StoreError::corrupt("subscriber", error))
}

fn write_json<T: serde::Serialize>(value: Option<&T>) -> Result<Option<String>, StoreError> {
    let written = value.map(serde_json::to_string).transpose();
    written.map_err(|error| StoreError::corrupt("subscriber", error))
}

impl Reader {
    /// One subscriber of a property, by its key.
    pub async fn subscriber_of_key(
        &mut self,
        property_id: PropertyId,
        key: &str,
    ) -> Result<Option<Subscriber>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_subscribers!("WHERE s.property_id = $1 AND s.subscriber_key = $2"),
            property_id.to_string(),
            key
        )?;
        rows.into_iter().next().map(from_row).transpose()
    }

    /// At most two of those that a reader who gives the right values may be.
    pub async fn subscribers_of_fingerprint(
        &mut self,
        property_id: PropertyId,
        fingerprint: &str,
    ) -> Result<Vec<Subscriber>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_subscribers!(
                "WHERE s.property_id = $1 AND s.fingerprint = $2 ORDER BY s.id LIMIT 2"
            ),
            property_id.to_string(),
            fingerprint
        )?;
        rows.into_iter().map(from_row).collect()
    }

    /// A page of a property's subscribers in the order of their keys, after one.
    pub async fn subscribers_after(
        &mut self,
        property_id: PropertyId,
        after: &str,
        limit: i64,
    ) -> Result<Vec<Subscriber>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_subscribers!(
                "WHERE s.property_id = $1 AND s.subscriber_key > $2
                 ORDER BY s.subscriber_key LIMIT $3"
            ),
            property_id.to_string(),
            after,
            limit
        )?;
        rows.into_iter().map(from_row).collect()
    }

    /// A page of those that changed within half-open bounds, in the order of their ids, after one.
    pub async fn subscribers_changed(
        &mut self,
        property_id: PropertyId,
        (from, to): (Timestamp, Timestamp),
        after: &str,
        limit: i64,
    ) -> Result<Vec<Subscriber>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_subscribers!(
                "WHERE s.property_id = $1 AND s.changed_at >= $2 AND s.changed_at < $3 AND s.id > $4
                 ORDER BY s.id LIMIT $5"
            ),
            property_id.to_string(),
            from.micros(),
            to.micros(),
            after,
            limit
        )?;
        rows.into_iter().map(from_row).collect()
    }

    /// The subscribers of a property that a reader is linked to.
    pub async fn subscribers_of_reader(
        &mut self,
        property_id: PropertyId,
        reader_id: ReaderId,
    ) -> Result<Vec<Subscriber>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            Row,
            select_subscribers!(
                "JOIN subscriber_link l ON l.subscriber_id = s.id
                 WHERE l.reader_id = $2 AND s.property_id = $1 ORDER BY s.id"
            ),
            property_id.to_string(),
            reader_id.to_string()
        )?;
        rows.into_iter().map(from_row).collect()
    }

    /// The ids of the readers that are linked to a subscriber, those linked first before others.
    pub async fn linked_readers(&mut self, id: SubscriberId) -> Result<Vec<ReaderId>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            (String,),
            "SELECT reader_id FROM subscriber_link WHERE subscriber_id = $1
             ORDER BY linked_at, reader_id",
            id.to_string()
        )?;
        rows.iter()
            .map(|(reader,)| StoreError::read("subscriber", reader))
            .collect()
    }

    /// What else is known of a reader.
    pub async fn reader_details(&mut self, id: ReaderId) -> Result<Vec<NamedValue>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            (String,),
            "SELECT details FROM reader_detail WHERE reader_id = $1",
            id.to_string()
        )?;
        rows.first()
            .map_or(Ok(Vec::new()), |(text,)| read_json(text))
    }

    /// A page of those who have a subscription group at a moment, in the order of the readers' ids,
    /// after one.
    pub async fn subscriptions_of_group(
        &mut self,
        group_id: &str,
        at: Timestamp,
        after: &str,
        limit: i64,
    ) -> Result<Vec<ReaderSubscription>, StoreError> {
        let rows = fetch_all!(
            &mut self.link,
            (String, i64, i64),
            "SELECT reader_id, expires_at, changed_at FROM reader_subscription
             WHERE group_id = $1 AND expires_at > $2 AND reader_id > $3 ORDER BY reader_id LIMIT $4",
            group_id,
            at.micros(),
            after,
            limit
        )?;
        rows.into_iter()
            .map(|(reader, expires, changed)| {
                Ok(ReaderSubscription {
                    reader_id: StoreError::read("subscription", &reader)?,
                    group_id: group_id.to_owned(),
                    expires_at: Timestamp::from_micros(expires),
                    changed_at: Timestamp::from_micros(changed),
                })
            })
            .collect()
    }
}

impl Transaction {
    /// Adds a subscriber or changes the one of this key; gives it as it is then.
    pub async fn put_subscriber(
        &mut self,
        change: &SubscriberChange,
        now: Timestamp,
    ) -> Result<Subscriber, StoreError> {
        let update = &change.update;
        let rows = fetch_all!(
            self.link(),
            Row,
            "INSERT INTO subscriber (id, property_id, subscriber_key, most_linked, linked, validation,
                 eligible, automatic, fingerprint, created_at, changed_at)
             VALUES ($1, $2, $3, COALESCE($4, 1), 0, COALESCE($5, '[]'), COALESCE($6, '[]'),
                 COALESCE($7, '[]'), COALESCE($8, ''), $9, $9)
             ON CONFLICT (property_id, subscriber_key) DO UPDATE SET
                 most_linked = COALESCE($4, subscriber.most_linked),
                 validation = COALESCE($5, subscriber.validation),
                 eligible = COALESCE($6, subscriber.eligible),
                 automatic = COALESCE($7, subscriber.automatic),
                 fingerprint = COALESCE($8, subscriber.fingerprint),
                 changed_at = $9
             RETURNING id, property_id, subscriber_key, most_linked, linked, validation, eligible,
                 automatic, created_at, changed_at",
            change.id.to_string(),
            change.property_id.to_string(),
            &change.key,
            update.most_linked,
            write_json(update.validation.as_ref())?,
            write_json(update.eligible.as_ref())?,
            write_json(update.automatic.as_ref())?,
            change.fingerprint.as_deref(),
            now.micros()
        )?;
        let row = rows.into_iter().next().ok_or(StoreError::NotFound)?;
        from_row(row)
    }

    /// Links a reader to a subscriber; `false`: it was already. [`StoreError::Refused`] when as many
    /// are as may be.
    pub async fn link_subscriber(
        &mut self,
        id: SubscriberId,
        reader_id: ReaderId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let added = execute!(
            self.link(),
            "INSERT INTO subscriber_link (subscriber_id, reader_id, linked_at) VALUES ($1, $2, $3)
             ON CONFLICT (subscriber_id, reader_id) DO NOTHING",
            id.to_string(),
            reader_id.to_string(),
            now.micros()
        )?;
        if added == 0 {
            return Ok(false);
        }
        let counted = execute!(
            self.link(),
            "UPDATE subscriber SET linked = linked + 1, changed_at = $2
             WHERE id = $1 AND linked < most_linked",
            id.to_string(),
            now.micros()
        )?;
        let full = "as many readers are linked to this subscriber as may be: raise its MaximumLinkedUsers, or unlink one";
        must_touch(counted, StoreError::Refused(full))?;
        Ok(true)
    }

    /// Unlinks a reader from a subscriber; [`StoreError::NotFound`] when it is not linked.
    pub async fn unlink_subscriber(
        &mut self,
        id: SubscriberId,
        reader_id: ReaderId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let removed = execute!(
            self.link(),
            "DELETE FROM subscriber_link WHERE subscriber_id = $1 AND reader_id = $2",
            id.to_string(),
            reader_id.to_string()
        )?;
        must_touch(removed, StoreError::NotFound)?;
        execute!(
            self.link(),
            "UPDATE subscriber SET linked = linked - 1, changed_at = $2 WHERE id = $1",
            id.to_string(),
            now.micros()
        )
        .map(drop)
    }

    /// Gives a reader a subscription until a moment; one that lasts longer stays.
    pub async fn grant_subscription(
        &mut self,
        granted: &ReaderSubscription,
    ) -> Result<(), StoreError> {
        execute!(
            self.link(),
            "INSERT INTO reader_subscription (reader_id, group_id, expires_at, changed_at)
             VALUES ($1, $2, $3, $4)
             ON CONFLICT (reader_id, group_id) DO UPDATE SET expires_at = $3, changed_at = $4
             WHERE reader_subscription.expires_at < $3",
            granted.reader_id.to_string(),
            &granted.group_id,
            granted.expires_at.micros(),
            granted.changed_at.micros()
        )?;
        self.reader_changed(granted.reader_id);
        Ok(())
    }

    /// Says what else is known of a reader, instead of what was.
    pub async fn set_reader_details(
        &mut self,
        id: ReaderId,
        details: &[NamedValue],
    ) -> Result<(), StoreError> {
        let document =
            serde_json::to_string(details).map_err(|error| StoreError::corrupt("reader", error))?;
        execute!(
            self.link(),
            "INSERT INTO reader_detail (reader_id, details) VALUES ($1, $2)
             ON CONFLICT (reader_id) DO UPDATE SET details = $2",
            id.to_string(),
            document
        )
        .map(drop)
    }

    /// Forgets what a reader is linked to and what else is known of it.
    pub async fn forget_subscriber_reader(
        &mut self,
        id: ReaderId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let text = id.to_string();
        execute!(
            self.link(),
            "UPDATE subscriber SET linked = linked - 1, changed_at = $2
             WHERE id IN (SELECT subscriber_id FROM subscriber_link WHERE reader_id = $1)",
            &text,
            now.micros()
        )?;
        for statement in [
            "DELETE FROM subscriber_link WHERE reader_id = $1",
            "DELETE FROM reader_detail WHERE reader_id = $1",
        ] {
            execute!(self.link(), statement, &text)?;
        }
        Ok(())
    }
}
