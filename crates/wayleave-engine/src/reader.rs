//! Readers of properties: their accounts, sign-in by tokens that count once, what they have, and its
//! end.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use sha2::{Digest, Sha256};
use wayleave_core::{
    Audience, CredentialId, CredentialState, PropertyId, ReaderId, ReaderRole, Timestamp,
};
use wayleave_protocol::hex;
use wayleave_store::{
    Card, Hit, HitWindow, Order, Purchase, ReaderAccount, ReaderSubscription, StoreError,
    TemporaryToken,
};

use crate::Refusal;
use crate::audit::{Act, Actor};
use crate::engine::Engine;
use crate::partner::{must_be_name, not_found};
use crate::ports::random;
use crate::reader_memory::{KnownAccount, KnownReader, Window, page_word};

/// The name of the key of readers' tokens.
pub(crate) const TOKEN_KEY_NAME: &str = "reader token key";
/// How long a token that counts once does.
pub const TEMPORARY_TOKEN_LIFE: Duration = Duration::from_secs(10 * 60);
/// How long tokens are kept that are over: clocks of nodes may differ.
const TOKENS_KEPT: Duration = Duration::from_secs(3600);
/// The longest name by which a reader is greeted, and address for mail, in bytes.
const LONGEST_TEXT: usize = 254;
/// Crockford's base 32 in lower case.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
const TOKEN_LETTERS: usize = 32;

/// A reader who is to be there.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct NewReader {
    /// The name under which they sign in.
    pub user_name: String,
    /// The name by which they are greeted.
    pub first_name: String,
    /// Where they get mail.
    pub email: String,
    /// What they are for the property.
    pub role: Option<ReaderRole>,
}

/// What may change of a reader; `None` leaves it.
#[derive(Clone, Default, Debug)]
pub struct ReaderChange {
    /// The name by which they are greeted.
    pub first_name: Option<String>,
    /// Where they get mail.
    pub email: Option<String>,
    /// What they are for the property; `Some(None)`: a reader and no more.
    pub role: Option<Option<ReaderRole>>,
    /// The saved card; `Some(None)` takes it away.
    pub card: Option<Option<Card>>,
}

/// How a reader signs in.
#[derive(Clone, Debug)]
pub struct SignIn {
    /// The Access key set at which the token counts.
    pub credential_id: CredentialId,
    /// The token that they had before, whose pages they keep.
    pub user_token: Option<String>,
    /// Whether they want to be known for longer than a session.
    pub is_remembered: bool,
}

/// Everything that is kept about a reader.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReaderData {
    /// The account.
    pub account: ReaderAccount,
    /// What they have seen, as far as it counts.
    pub hits: Vec<Hit>,
    /// What they have bought.
    pub purchases: Vec<Purchase>,
    /// What they subscribe to.
    pub subscriptions: Vec<ReaderSubscription>,
    /// What they have ordered.
    pub orders: Vec<Order>,
}

fn must_be_short(field: &'static str, text: &str) -> Result<(), Refusal> {
    let is_fine = text.len() <= LONGEST_TEXT && !text.chars().any(char::is_control);
    is_fine.then_some(()).ok_or(Refusal::Invalid {
        field,
        why: format!("it has at most {LONGEST_TEXT} bytes and no control characters"),
    })
}

/// The hash of a token. A token is 160 random bits, so a fast hash is enough.
fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn is_temporary_token(text: &str) -> bool {
    text.len() == TOKEN_LETTERS && text.bytes().all(|byte| ALPHABET.contains(&byte))
}

impl Engine {
    /// Makes a reader of a property.
    ///
    /// Errors: [`Refusal::Taken`] where the property has one of this name.
    pub async fn create_reader(
        &self,
        by: &Actor,
        property_id: PropertyId,
        new: NewReader,
    ) -> Result<ReaderAccount, Refusal> {
        must_be_name(&new.user_name)?;
        must_be_short("first_name", &new.first_name)?;
        must_be_short("email", &new.email)?;
        let now = self.now();
        let account = ReaderAccount {
            id: ReaderId::new(now, random(&*self.randomness)),
            property_id,
            user_name: new.user_name,
            first_name: new.first_name,
            email: new.email,
            role: new.role,
            card: None,
            created_at: now,
        };
        let added = account.clone();
        // Names of people stay out of the trail, which is never erased.
        let act = Act::new("reader.create", account.id).with(json!({
            "property": property_id.to_string(),
            "role": new.role.map(ReaderRole::as_str),
        }));
        let written = self.audited(by, act, move |transaction| {
            Box::pin(async move { transaction.add_reader_account(&added).await })
        });
        match written.await {
            Err(StoreError::Conflict) => Err(Refusal::Taken { noun: "user name" }),
            written => written.map_err(not_found("property")).map(|()| account),
        }
    }

    /// A reader of a property.
    pub async fn reader(
        &self,
        property_id: PropertyId,
        id: ReaderId,
    ) -> Result<ReaderAccount, Refusal> {
        let found = self.reader_account(id).await?;
        found
            .filter(|account| account.property_id == property_id)
            .ok_or(Refusal::NotFound { noun: "reader" })
    }

    /// A reader of whichever property.
    pub(crate) async fn reader_account(
        &self,
        id: ReaderId,
    ) -> Result<Option<ReaderAccount>, StoreError> {
        self.store
            .read(move |reader| Box::pin(reader.reader_account(id)))
            .await
    }

    /// Changes a reader.
    pub async fn change_reader(
        &self,
        by: &Actor,
        (property_id, id): (PropertyId, ReaderId),
        change: ReaderChange,
    ) -> Result<ReaderAccount, Refusal> {
        let mut account = self.reader(property_id, id).await?;
        account.first_name = change.first_name.unwrap_or(account.first_name);
        account.email = change.email.unwrap_or(account.email);
        account.role = change.role.unwrap_or(account.role);
        account.card = change.card.unwrap_or(account.card);
        must_be_short("first_name", &account.first_name)?;
        must_be_short("email", &account.email)?;
        let act = Act::new("reader.change", id).with(json!({
            "role": account.role.map(ReaderRole::as_str),
            "card": account.card.as_ref().map(|card| card.label.clone()),
        }));
        let changed = account.clone();
        let written = self.audited(by, act, move |transaction| {
            Box::pin(async move { transaction.change_reader_account(&changed).await })
        });
        written.await.map_err(not_found("reader"))?;
        self.catch_up_soon().await;
        Ok(account)
    }

    /// Signs a reader in: makes a token that counts once, within ten minutes, at one Access key set of
    /// the property. What somebody saw before they signed in, by their token, is theirs from then on.
    ///
    /// Errors: [`Refusal::Forbidden`] where the key set is none of the property's, or does not count.
    pub async fn sign_reader_in(
        &self,
        by: &Actor,
        (property_id, id): (PropertyId, ReaderId),
        sign_in: SignIn,
    ) -> Result<(String, Timestamp), Refusal> {
        self.reader(property_id, id).await?;
        self.must_be_access_key(property_id, sign_in.credential_id)
            .await?;
        let from = self.window_before(property_id, id, sign_in.user_token.as_deref());
        let from = from.await?;
        let (text, token) = self.new_temporary_token(id, &sign_in, None);
        let (now, expires_at) = (self.now(), token.expires_at);
        let act = Act::new("reader.sign-in", id).with(json!({
            "credential": sign_in.credential_id.to_string(),
        }));
        let written = self.audited(by, act, move |transaction| {
            Box::pin(async move {
                if let Some(from) = from {
                    transaction.unite_hits(from, id, now).await?;
                }
                transaction.add_temporary_token(&token).await
            })
        });
        written.await?;
        self.catch_up_soon().await;
        Ok((text, expires_at))
    }

    /// A token with which our own reading of a page is let in by the page's site.
    pub async fn make_spider_token(
        &self,
        credential_id: CredentialId,
        key: &str,
    ) -> Result<String, Refusal> {
        let now = self.now();
        let id = ReaderId::new(now, random(&*self.randomness));
        let sign_in = SignIn {
            credential_id,
            user_token: None,
            is_remembered: false,
        };
        let (text, token) = self.new_temporary_token(id, &sign_in, Some(key.to_owned()));
        let written = self.store.write(now, move |transaction| {
            Box::pin(async move { transaction.add_temporary_token(&token).await })
        });
        written.await?;
        Ok(text)
    }

    pub(crate) fn new_temporary_token(
        &self,
        reader_id: ReaderId,
        sign_in: &SignIn,
        spider_page: Option<String>,
    ) -> (String, TemporaryToken) {
        let drawn = random::<TOKEN_LETTERS>(&*self.randomness);
        let letter = |byte: &u8| char::from(ALPHABET[usize::from(byte % 32)]);
        let text: String = drawn.iter().map(letter).collect();
        let token = TemporaryToken {
            hash: hex::lower(&token_hash(&text)),
            credential_id: sign_in.credential_id,
            reader_id,
            spider_page,
            is_remembered: sign_in.is_remembered,
            expires_at: self.now().plus(TEMPORARY_TOKEN_LIFE),
        };
        (text, token)
    }

    /// What an anonymous visitor has of the quota that a reader is to keep.
    async fn window_before(
        &self,
        property_id: PropertyId,
        id: ReaderId,
        user_token: Option<&str>,
    ) -> Result<Option<HitWindow>, Refusal> {
        let now = self.now();
        let token = user_token.and_then(|text| self.read_user_token(property_id, text, now));
        let Some(token) = token else { return Ok(None) };
        let before = ReaderId::from_number(u128::from_be_bytes(token.reader));
        // Nobody takes over the pages of another reader who has signed in.
        if before == id || self.reader_account(before).await?.is_some() {
            return Ok(None);
        }
        let period = self.property_held(property_id)?.settings.quota.period;
        Ok(Some(HitWindow {
            reader_id: before,
            period,
            starts_at: period.start(now),
        }))
    }

    /// The credential of a public id, such as an access key.
    pub fn credential_of(&self, public_id: &str) -> Option<CredentialId> {
        let lookup = crate::directory::LookupId::of(public_id);
        self.directory.with(lookup, |record| record.credential_id)
    }

    async fn must_be_access_key(
        &self,
        property_id: PropertyId,
        id: CredentialId,
    ) -> Result<(), Refusal> {
        let read = self
            .store
            .read(move |reader| Box::pin(reader.credential(id)));
        let found = read.await?.map(|found| found.credential);
        let is_fine = found.is_some_and(|credential| {
            credential.property_id == Some(property_id)
                && credential.audience == Audience::Access
                && credential.state == CredentialState::Active
        });
        is_fine.then_some(()).ok_or(Refusal::Forbidden {
            why: "a reader signs in at an Access key set of the property that counts",
        })
    }

    /// Uses a token up that counts once; `None`: it does not count, or whether it does cannot be found
    /// out. The statement that uses it up decides who comes first; who comes to this node later, or
    /// meanwhile, does not get as far.
    pub(crate) async fn redeem(
        &self,
        credential_id: CredentialId,
        text: &str,
    ) -> Option<TemporaryToken> {
        if !is_temporary_token(text) {
            return None;
        }
        let (hash, now) = (token_hash(text), self.now());
        let presenting = self.presented.claim(hash, credential_id)?;
        let hash = hex::lower(&hash);
        let wanted = hash.clone();
        // Most that are presented a second time are turned away by a reading.
        let good = self.store.read(move |reader| {
            Box::pin(async move {
                reader
                    .is_temporary_token_good(&wanted, credential_id, now)
                    .await
            })
        });
        if matches!(good.await, Ok(false)) {
            presenting.settle();
            return None;
        }
        let redeemed = self.store.write(now, move |transaction| {
            Box::pin(async move {
                transaction
                    .redeem_temporary_token(&hash, credential_id, now)
                    .await
            })
        });
        match redeemed.await {
            Ok(redeemed) => {
                presenting.settle();
                redeemed
            }
            Err(error) => {
                tracing::warn!(environment = %self.environment(), %error, "a temporary token could not be used up");
                None
            }
        }
    }

    /// Everything that is kept about a reader.
    pub async fn reader_data(
        &self,
        property_id: PropertyId,
        id: ReaderId,
    ) -> Result<ReaderData, Refusal> {
        let account = self.reader(property_id, id).await?;
        let read = self.store.read(move |reader| {
            Box::pin(async move {
                Ok(ReaderData {
                    account,
                    hits: reader.hits_of(id).await?,
                    purchases: reader.purchases_of(id).await?,
                    subscriptions: reader.subscriptions_of(id).await?,
                    orders: reader.orders_of_reader(id).await?,
                })
            })
        });
        Ok(read.await?)
    }

    /// Erases a reader; their orders stay as records of money that name nobody.
    pub async fn erase_reader(
        &self,
        by: &Actor,
        (property_id, id): (PropertyId, ReaderId),
    ) -> Result<(), Refusal> {
        self.reader(property_id, id).await?;
        let now = self.now();
        let act = Act::new("reader.erase", id).with(json!({
            "property": property_id.to_string(),
        }));
        let written = self.audited(by, act, move |transaction| {
            Box::pin(async move {
                transaction.forget_subscriber_reader(id, now).await?;
                transaction.erase_reader(id).await
            })
        });
        written.await.map_err(not_found("reader"))?;
        self.catch_up_soon().await;
        Ok(())
    }

    /// Reads what memory keeps of a reader.
    pub(crate) async fn read_reader(
        &self,
        id: ReaderId,
        window: Window,
    ) -> Result<KnownReader, Refusal> {
        let read_at = self.now();
        let wanted = HitWindow {
            reader_id: id,
            period: window.period,
            starts_at: window.starts_at,
        };
        let read = self.store.read(move |reader| {
            Box::pin(async move {
                let hits = reader.hits_in(wanted).await?;
                let Some(account) = reader.reader_account(id).await? else {
                    return Ok((hits, None));
                };
                let purchases = reader.purchases_of(id).await?;
                let subscriptions = reader.subscriptions_of(id).await?;
                Ok((hits, Some((account, purchases, subscriptions))))
            })
        });
        let (hits, account) = read.await?;
        let count = hits.last().map_or(0, |hit| hit.slot);
        let mut pages: Vec<u64> = hits.iter().map(|hit| page_word(hit.resource_id)).collect();
        pages.sort_unstable();
        Ok(KnownReader {
            account: account.map(|(account, purchases, subscriptions)| {
                Arc::new(known_account(account, &purchases, subscriptions))
            }),
            window,
            pages,
            hits: u32::try_from(count).unwrap_or(u32::MAX),
            read_at,
        })
    }

    /// Drops what memory has of a reader who changed.
    pub(crate) fn apply_reader(&self, id: &str) -> Result<(), Refusal> {
        let id = id
            .parse()
            .map_err(|error: wayleave_core::IdError| StoreError::corrupt("change", error))?;
        self.readers.drop_reader(id);
        Ok(())
    }

    /// Forgets tokens that are over, and hits of periods before the last.
    pub(crate) async fn forget_readers_past(&self) -> Result<(), Refusal> {
        let now = self.now();
        let over = now.minus(TOKENS_KEPT);
        let forgotten = self.store.write(now, move |transaction| {
            Box::pin(async move { transaction.forget_temporary_tokens(over).await })
        });
        forgotten.await?;
        if self.clock_was_set() {
            return Ok(());
        }
        for period in wayleave_core::CalendarPeriod::ALL {
            let last = period.start(period.start(now).minus(Duration::from_secs(1)));
            loop {
                let forgotten = self.store.write(now, move |transaction| {
                    Box::pin(async move { transaction.forget_hits(period, last).await })
                });
                if !forgotten.await? {
                    break;
                }
            }
        }
        Ok(())
    }
}

fn known_account(
    account: ReaderAccount,
    purchases: &[Purchase],
    subscriptions: Vec<ReaderSubscription>,
) -> KnownAccount {
    let bought = |purchase: &Purchase| (page_word(purchase.resource_id), purchase.expires_at);
    let mut purchases: Vec<_> = purchases.iter().map(bought).collect();
    purchases.sort_unstable();
    let until = |known: ReaderSubscription| (known.group_id, known.expires_at);
    KnownAccount {
        user_name: account.user_name,
        first_name: account.first_name,
        role: account.role,
        purchases,
        subscriptions: subscriptions.into_iter().map(until).collect(),
    }
}
