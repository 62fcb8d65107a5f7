//! External subscribers: what is known of them, which readers proved to be them, and what these have by
//! that.

use std::sync::Arc;

use serde_json::json;
use sha2::{Digest, Sha256};
use wayleave_core::{
    Fulfilment, GroupUntil, LinkedUser, LinkedUsers, NamedValue, PropertyId, PropertySettings,
    ReaderId, SubscriberId, SubscriberUpdate, Timestamp, check_subscriber_key, validation_text,
};
use wayleave_protocol::{guid, hex};
use wayleave_store::{
    BoxFuture, Callback, CallbackKind, Reader, ReaderAccount, ReaderSubscription, StoreError,
    Subscriber, SubscriberChange, Transaction,
};

use crate::Refusal;
use crate::audit::{Act, Actor};
use crate::callback::{piece, raise};
use crate::content::HeldProperty;
use crate::directory::LookupId;
use crate::engine::Engine;
use crate::partner::not_found;
use crate::ports::random;

const NOT_PROVED: &str =
    "these values prove no subscriber of the property: compare them with its validation fields";
const SEVERAL: Refusal = Refusal::Forbidden {
    why: "these values prove more than one subscriber: say the key of the subscriber too",
};

/// How a reader proves to be a subscriber.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkClaim {
    /// Who is to be linked.
    pub reader_id: ReaderId,
    /// Which subscriber it is, where the values alone do not say.
    pub key: Option<String>,
    /// Its validation fields, every one.
    pub values: Vec<NamedValue>,
}

impl Engine {
    /// Adds a subscriber of a property, or changes the one of this key; what is not said stays. Readers
    /// that are linked to it have at once what it gives them.
    pub async fn put_subscriber(
        &self,
        property_id: PropertyId,
        key: &str,
        update: SubscriberUpdate,
    ) -> Result<Subscriber, Refusal> {
        let held = self.property_held(property_id)?;
        let change = self.subscriber_change(property_id, &held.settings, key, update);
        let change = change.map_err(|why| Refusal::Invalid {
            field: "subscriber",
            why,
        })?;
        let now = self.now();
        let written = self.store.write(now, move |transaction| {
            Box::pin(async move {
                let put = transaction.put_subscriber(&change, now).await?;
                grant_automatic(transaction, &held.settings, &put, now).await?;
                Ok(put)
            })
        });
        let put = written.await?;
        self.catch_up_soon().await;
        Ok(put)
    }

    /// Errors: why it cannot be, for whoever sent it.
    pub(crate) fn subscriber_change(
        &self,
        property_id: PropertyId,
        settings: &PropertySettings,
        key: &str,
        update: SubscriberUpdate,
    ) -> Result<SubscriberChange, String> {
        check_subscriber_key(key).map_err(|error| error.to_string())?;
        update.check().map_err(|error| error.to_string())?;
        let is_unknown = |key: &&str| settings.subscription_group(key).is_none();
        if let Some(unknown) = update.groups().find(is_unknown) {
            return Err(format!(
                "the property has no subscription group of the key {unknown}"
            ));
        }
        let fingerprint = update.validation.as_deref().map(fingerprint);
        Ok(SubscriberChange {
            id: SubscriberId::new(self.now(), random(&*self.randomness)),
            property_id,
            key: key.to_owned(),
            update,
            fingerprint,
        })
    }

    /// The readers that are linked to a subscriber of a property.
    pub async fn linked_users(
        &self,
        property_id: PropertyId,
        key: &str,
    ) -> Result<LinkedUsers, Refusal> {
        let (key, held) = (key.to_owned(), self.property_held(property_id)?);
        let read = self.store.read(move |reader| {
            Box::pin(async move {
                let Some(found) = reader.subscriber_of_key(property_id, &key).await? else {
                    return Ok(None);
                };
                linked_users_of(reader, &held.settings, &found)
                    .await
                    .map(Some)
            })
        });
        read.await?.ok_or(Refusal::NotFound { noun: "subscriber" })
    }

    /// Links a reader to the subscriber that its values prove: the reader has the automatic
    /// subscriptions at once, and the property is told. One that is linked already stays so.
    ///
    /// Errors: [`Refusal::Forbidden`] where the values prove none or several, or as many readers are
    /// linked as may be; [`Refusal::TooManyGuesses`] where too many were wrong in a minute: of this
    /// reader, or of all for this subscriber (without its key: this property) and one of this reader.
    pub async fn link_reader(
        &self,
        by: &Actor,
        property_id: PropertyId,
        claim: LinkClaim,
    ) -> Result<Subscriber, Refusal> {
        let account = self.reader(property_id, claim.reader_id).await?;
        let found = self.proved_in_time(property_id, &claim).await?;
        let (held, now) = (self.property_held(property_id)?, self.now());
        let event = self.event(property_id, CallbackKind::SubscriberLinked, now);
        let act = Act::new("subscriber.link", found.id).with(json!({
            "property": property_id.to_string(),
            "reader": claim.reader_id.to_string(),
        }));
        let written = self.audited(by, act, move |transaction| {
            Box::pin(async move {
                let is_new = transaction.link_subscriber(found.id, account.id, now);
                let is_new = is_new.await?;
                let read = transaction.reader();
                let linked = read.subscriber_of_key(property_id, &found.key).await?;
                let linked = linked.ok_or(StoreError::NotFound)?;
                if is_new {
                    grant_automatic(transaction, &held.settings, &linked, now).await?;
                    tell_of_link(transaction, &event, &linked, &account).await?;
                }
                Ok(linked)
            })
        });
        let linked = written.await.map_err(not_found("subscriber"))?;
        self.catch_up_soon().await;
        Ok(linked)
    }

    /// Unlinks a reader from a subscriber. What it got by that, it has until its end.
    pub async fn unlink_reader(
        &self,
        by: &Actor,
        property_id: PropertyId,
        key: &str,
        reader_id: ReaderId,
    ) -> Result<Subscriber, Refusal> {
        let (sought, now) = (key.to_owned(), self.now());
        let read = self.store.read(move |reader| {
            Box::pin(async move { reader.subscriber_of_key(property_id, &sought).await })
        });
        let found = read
            .await?
            .ok_or(Refusal::NotFound { noun: "subscriber" })?;
        let act = Act::new("subscriber.unlink", found.id).with(json!({
            "property": property_id.to_string(),
            "reader": reader_id.to_string(),
        }));
        let written = self.audited(by, act, move |transaction| {
            Box::pin(async move {
                transaction
                    .unlink_subscriber(found.id, reader_id, now)
                    .await?;
                let read = transaction
                    .reader()
                    .subscriber_of_key(property_id, &found.key);
                read.await?.ok_or(StoreError::NotFound)
            })
        });
        written.await.map_err(not_found("subscriber"))
    }

    /// The same as [`Engine::proved`], where values that were wrong are counted.
    async fn proved_in_time(
        &self,
        property_id: PropertyId,
        claim: &LinkClaim,
    ) -> Result<Subscriber, Refusal> {
        let of_subscriber = claim.key.as_deref().unwrap_or_default();
        let guessed = LookupId::of(&format!("{property_id} {of_subscriber}"));
        let (reader, now) = (claim.reader_id, self.now());
        if let Some(retry_after_s) = self.wrong_claims.must_wait_s(guessed, reader, now) {
            return Err(Refusal::TooManyGuesses { retry_after_s });
        }
        let proved = self.proved(property_id, claim).await;
        if matches!(proved, Err(Refusal::Forbidden { why: NOT_PROVED })) {
            self.wrong_claims.count(guessed, reader, now);
        }
        proved
    }

    /// The one subscriber that the values of a claim prove.
    async fn proved(
        &self,
        property_id: PropertyId,
        claim: &LinkClaim,
    ) -> Result<Subscriber, Refusal> {
        let proof = fingerprint(&claim.values);
        if proof.is_empty() {
            return Err(Refusal::Forbidden { why: NOT_PROVED });
        }
        let wanted = claim.key.clone();
        let read = self.store.read(move |reader| {
            Box::pin(async move {
                match wanted {
                    Some(key) => {
                        let found = reader.subscriber_of_key(property_id, &key).await?;
                        let is_proved =
                            |found: &Subscriber| fingerprint(&found.validation) == proof;
                        Ok(found.into_iter().filter(is_proved).collect())
                    }
                    None => reader.subscribers_of_fingerprint(property_id, &proof).await,
                }
            })
        });
        let mut found: Vec<Subscriber> = read.await?;
        match (found.pop(), found.is_empty()) {
            (Some(only), true) => Ok(only),
            (Some(_), false) => Err(SEVERAL),
            (None, _) => Err(Refusal::Forbidden { why: NOT_PROVED }),
        }
    }

    /// What telling of a purchase of a reader needs.
    pub(crate) async fn purchase_telling(
        &self,
        reader_id: ReaderId,
    ) -> Result<PurchaseTelling, Refusal> {
        let account = self.reader_account(reader_id).await?;
        let account = account.ok_or(Refusal::NotFound { noun: "reader" })?;
        Ok(PurchaseTelling {
            held: self.property_held(account.property_id)?,
            account,
            tokens: [self.new_guid(), self.new_guid()],
        })
    }

    /// Says what else a property is to know of a reader, such as an address: all of it anew.
    pub async fn set_reader_details(
        &self,
        by: &Actor,
        property_id: PropertyId,
        reader_id: ReaderId,
        details: Vec<NamedValue>,
    ) -> Result<(), Refusal> {
        let checked = SubscriberUpdate {
            validation: Some(details.clone()),
            ..SubscriberUpdate::default()
        };
        checked.check().map_err(|_| Refusal::Invalid {
            field: "details",
            why: "at most 16, each with a name of 1 to 50 characters, no name twice, and a value of 1 to 200".to_owned(),
        })?;
        self.reader(property_id, reader_id).await?;
        let act = Act::new("reader.details", reader_id)
            .with(json!({ "names": details.iter().map(|one| &one.name).collect::<Vec<_>>() }));
        let written = self.audited(by, act, move |transaction| {
            Box::pin(async move { transaction.set_reader_details(reader_id, &details).await })
        });
        Ok(written.await?)
    }

    /// Writes as an operator's act, which the audit trail records, or as the property's own.
    pub(crate) async fn written_by<T, F>(
        &self,
        by: Option<&Actor>,
        act: Act,
        work: F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Transaction) -> BoxFuture<'t, Result<T, StoreError>>
            + Send
            + 'static,
    {
        match by {
            Some(by) => self.audited(by, act, work).await,
            None => self.store.write(self.now(), work).await,
        }
    }
}

/// By which a subscriber is found by what a reader gives; empty where nobody can prove to be it.
fn fingerprint(fields: &[NamedValue]) -> String {
    let text = validation_text(fields);
    if text.is_empty() {
        return text;
    }
    hex::lower(&Sha256::digest(text.as_bytes()))
}

/// A subscription as a property knows it: a GUID that is always the same.
pub(crate) fn subscription_guid(reader_id: ReaderId, group_id: &str) -> String {
    let digest = Sha256::digest(format!("{reader_id} {group_id}").as_bytes());
    let mut half = [0; 16];
    half.copy_from_slice(&digest[..16]);
    guid::format_lower(&guid::v4(half))
}

/// Gives every reader that is linked to a subscriber its automatic subscriptions; one that lasts longer
/// already stays.
pub(crate) async fn grant_automatic(
    transaction: &mut Transaction,
    settings: &PropertySettings,
    subscriber: &Subscriber,
    now: Timestamp,
) -> Result<(), StoreError> {
    if subscriber.linked == 0 || subscriber.automatic.is_empty() {
        return Ok(());
    }
    let readers = transaction.reader().linked_readers(subscriber.id).await?;
    for granted in &subscriber.automatic {
        let Some(group) = settings.subscription_group(&granted.group) else {
            continue;
        };
        if granted.until() <= now {
            continue;
        }
        for reader_id in readers.iter().copied() {
            let subscription = ReaderSubscription {
                reader_id,
                group_id: group.id.clone(),
                expires_at: granted.until(),
                changed_at: now,
            };
            transaction.grant_subscription(&subscription).await?;
        }
    }
    Ok(())
}

async fn tell_of_link(
    transaction: &mut Transaction,
    event: &Callback,
    subscriber: &Subscriber,
    account: &ReaderAccount,
) -> Result<(), StoreError> {
    let details = transaction.reader().reader_details(account.id).await?;
    let told = LinkedUsers {
        subscriber_key: subscriber.key.clone(),
        users: vec![LinkedUser {
            user: reader_guid(account.id),
            details: told_details(account, details),
            subscriptions: Vec::new(),
        }],
    };
    raise(transaction, event, &[piece(&told)?]).await
}

/// Who is told of a subscription that a reader bought.
pub(crate) struct PurchaseTelling {
    account: ReaderAccount,
    held: Arc<HeldProperty>,
    /// Of the two events that it may be.
    tokens: [String; 2],
}

impl PurchaseTelling {
    /// Tells, in the transaction of the purchase, that the reader's subscriber made them eligible for it,
    /// and that it is fulfilled elsewhere.
    pub(crate) async fn tell(
        &self,
        transaction: &mut Transaction,
        bought: &ReaderSubscription,
    ) -> Result<(), StoreError> {
        let settings = &self.held.settings;
        let Some(group) = settings.subscription_group_of_id(&bought.group_id) else {
            return Ok(());
        };
        let until = GroupUntil::new(group.key.clone(), bought.expires_at);
        let details = transaction.reader().reader_details(self.account.id).await?;
        let user = LinkedUser {
            user: reader_guid(self.account.id),
            details: told_details(&self.account, details),
            subscriptions: vec![until.clone()],
        };
        let (property, reader) = (self.account.property_id, self.account.id);
        let linked = transaction.reader().subscribers_of_reader(property, reader);
        let is_eligible = |subscriber: &Subscriber| {
            let mut groups = subscriber.eligible.iter();
            groups.any(|one| one.group == group.key && bought.changed_at < one.until())
        };
        if let Some(subscriber) = linked.await?.into_iter().find(is_eligible) {
            let told = LinkedUsers {
                subscriber_key: subscriber.key,
                users: vec![user.clone()],
            };
            let event = self.event(0, CallbackKind::EligiblePurchased, bought);
            raise(transaction, &event, &[piece(&told)?]).await?;
        }
        if group.fulfilled_outside {
            let told = Fulfilment {
                subscription: subscription_guid(reader, &group.id),
                user: user.user,
                until,
                details: user.details,
            };
            let event = self.event(1, CallbackKind::FulfilmentPurchased, bought);
            raise(transaction, &event, &[piece(&told)?]).await?;
        }
        Ok(())
    }

    fn event(&self, place: usize, kind: CallbackKind, bought: &ReaderSubscription) -> Callback {
        Callback {
            token: self.tokens[place].clone(),
            property_id: self.account.property_id,
            kind,
            queued_id: None,
            created_at: bought.changed_at,
        }
    }
}

/// A subscriber with its readers as its property sees them.
pub(crate) async fn linked_users_of(
    reader: &mut Reader,
    settings: &PropertySettings,
    subscriber: &Subscriber,
) -> Result<LinkedUsers, StoreError> {
    let mut users = Vec::new();
    if subscriber.linked > 0 {
        for id in reader.linked_readers(subscriber.id).await? {
            users.extend(user_of(reader, settings, id).await?);
        }
    }
    Ok(LinkedUsers {
        subscriber_key: subscriber.key.clone(),
        users,
    })
}

/// A reader as its property sees it; `None`: it is gone.
pub(crate) async fn user_of(
    reader: &mut Reader,
    settings: &PropertySettings,
    id: ReaderId,
) -> Result<Option<LinkedUser>, StoreError> {
    let Some(account) = reader.reader_account(id).await? else {
        return Ok(None);
    };
    let details = reader.reader_details(id).await?;
    let subscriptions = reader.subscriptions_of(id).await?;
    Ok(Some(LinkedUser {
        user: reader_guid(id),
        details: told_details(&account, details),
        subscriptions: subscriptions
            .into_iter()
            .map(|one| GroupUntil::new(key_of(settings, &one.group_id), one.expires_at))
            .collect(),
    }))
}

/// The key of a group; its GUID where the group is gone.
pub(crate) fn key_of(settings: &PropertySettings, group_id: &str) -> String {
    let found = settings.subscription_group_of_id(group_id);
    found.map_or_else(|| group_id.to_owned(), |group| group.key.clone())
}

fn reader_guid(id: ReaderId) -> String {
    guid::format_lower(&id.number().to_be_bytes())
}

/// What is known of a reader, with what everybody is told of at the beginning.
fn told_details(account: &ReaderAccount, details: Vec<NamedValue>) -> Vec<NamedValue> {
    const EMAIL: &str = "EmailAddress";
    const PHONE: &str = "PhoneNumber";
    let named = |name: &str| details.iter().find(|one| one.name == name);
    let phone = named(PHONE).map_or(String::new(), |one| one.value.clone());
    let first = [(EMAIL, account.email.clone()), (PHONE, phone)];
    let first = first.map(|(name, value)| NamedValue {
        name: name.to_owned(),
        value,
    });
    let rest = details
        .iter()
        .filter(|one| one.name != EMAIL && one.name != PHONE);
    first.into_iter().chain(rest.cloned()).collect()
}
