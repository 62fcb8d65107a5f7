//! Makes resources of pages that a site asks about and that nobody has made a resource of: reads the
//! page, once, as its property allows it, and takes what it says of itself.
//!
//! The visitor waits for that as long as it takes a page to load, and not longer; what is not done by
//! then is done by a job, and the visitor sees the page meanwhile.

mod made;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use wayleave_core::{
    CredentialId, Origin, OriginSet, PropertyId, Resource, ResourceId, Timestamp,
    check_resource_key,
};
use wayleave_protocol::page::{self, Page};
use wayleave_protocol::return_address::with_token;
use wayleave_store::{BoxFuture, Job, StoreError};

use crate::Refusal;
use crate::access::AccessQuestion;
use crate::content::HeldProperty;
use crate::engine::Engine;
use crate::job::{Attempt, JobKind, job_name};
use crate::ports::random;

/// How long a visitor waits for the reading of a page.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a job waits for it.
const LONGEST: Duration = Duration::from_secs(30);
/// How often a page may say that it is somewhere else.
const MOST_MOVES: usize = 3;
/// How many pages a node reads at once.
const AT_ONCE: usize = 16;
/// How often a job tries to read a page.
const MOST_ATTEMPTS: i64 = 6;
/// How long a page that became no resource is not read again because a visitor asks for it.
const PAUSE: Duration = Duration::from_secs(300);
/// How many such pages are remembered; more are forgotten together.
const MOST_PAUSED: usize = 10_000;

/// What an address answered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Fetched {
    /// A page, as text.
    Page(String),
    /// That it is at another address.
    Moved(String),
    /// Something that is no page, or another status; for people.
    NoPage(String),
}

/// Reads pages of content sites.
pub trait PageReader: Send + Sync {
    /// Asks an address for its page. It never reaches into this network, and reads no more than half a
    /// megabyte. Errors: it cannot be reached or read at present, for people.
    fn fetch<'a>(&'a self, url: &'a str) -> BoxFuture<'a, Result<Fetched, String>>;
}

/// A page that is to become a resource.
#[derive(Clone, Debug)]
pub(crate) struct UnknownPage {
    /// The key set with which the site asked.
    pub(crate) credential_id: CredentialId,
    pub(crate) property_id: PropertyId,
    pub(crate) key: String,
    pub(crate) url: String,
}

/// A page by its property and key.
type PageName = (PropertyId, String);

/// Who reads pages, and which ones not at present.
#[derive(Default)]
pub(crate) struct Spider {
    reader: OnceLock<Box<dyn PageReader>>,
    pages: Mutex<Pages>,
}

#[derive(Default)]
struct Pages {
    being_read: BTreeSet<PageName>,
    /// Until when.
    paused: HashMap<PageName, Timestamp>,
}

/// A page's turn: nobody else reads it meanwhile.
struct Turn<'s> {
    spider: &'s Spider,
    page: PageName,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.spider.pages.lock().being_read.remove(&self.page);
    }
}

impl Spider {
    /// A turn for a page; `None`: somebody reads it already, or too many are read.
    fn turn(&self, page: &UnknownPage) -> Option<Turn<'_>> {
        let page = page.name();
        let mut pages = self.pages.lock();
        let is_free = pages.being_read.len() < AT_ONCE && pages.being_read.insert(page.clone());
        is_free.then_some(Turn { spider: self, page })
    }

    fn is_paused(&self, page: &UnknownPage, now: Timestamp) -> bool {
        let pages = self.pages.lock();
        pages
            .paused
            .get(&page.name())
            .is_some_and(|until| now < *until)
    }

    fn pause(&self, page: &UnknownPage, now: Timestamp) {
        let mut pages = self.pages.lock();
        if pages.paused.len() >= MOST_PAUSED {
            pages.paused.clear();
        }
        pages.paused.insert(page.name(), now.plus(PAUSE));
    }
}

/// A page as its job keeps it, beside the property.
#[derive(Deserialize, Serialize)]
struct PageOfJob {
    credential: String,
    key: String,
    url: String,
}

impl UnknownPage {
    fn payload(&self) -> Result<String, StoreError> {
        let page = PageOfJob {
            credential: self.credential_id.to_string(),
            key: self.key.clone(),
            url: self.url.clone(),
        };
        serde_json::to_string(&page).map_err(|error| StoreError::corrupt("page", error))
    }

    fn of_job(job: &Job) -> Result<Self, StoreError> {
        let page = serde_json::from_str(&job.payload);
        let page: PageOfJob = page.map_err(|error| StoreError::corrupt("page", error))?;
        let (id, property_id) = (page.credential.parse(), job.object.parse());
        Ok(UnknownPage {
            credential_id: id.map_err(|error| StoreError::corrupt("page", error))?,
            property_id: property_id.map_err(|error| StoreError::corrupt("page", error))?,
            key: page.key,
            url: page.url,
        })
    }

    fn name(&self) -> PageName {
        (self.property_id, self.key.clone())
    }
}

/// Why a page is no resource.
#[derive(Debug)]
enum NotMade {
    /// It may become one later.
    Yet(String),
    /// It is none, and trying again would not help.
    Ever(String),
}

impl From<Refusal> for NotMade {
    fn from(refusal: Refusal) -> Self {
        NotMade::Yet(refusal.to_string())
    }
}

impl Engine {
    /// Says how pages are read; before that none can be.
    pub fn set_page_reader(&self, reader: Box<dyn PageReader>) {
        let _ = self.spider.reader.set(reader);
    }

    /// The resource that a page becomes of which a site asks and that is none; `None`: the property
    /// does not want that, or it became none, at least not yet.
    pub(crate) async fn page_asked_about(
        &self,
        question: &AccessQuestion<'_>,
        property: &HeldProperty,
    ) -> Option<Arc<Resource>> {
        if !property.settings.dynamic_creation || check_resource_key(question.key).is_err() {
            return None;
        }
        let page = UnknownPage {
            credential_id: question.credential_id,
            property_id: property.id,
            key: question.key.to_owned(),
            url: question.page_url.to_owned(),
        };
        if !is_at(&page.url, &property.origins) || self.spider.is_paused(&page, self.now()) {
            return None;
        }
        let _turn = self.spider.turn(&page)?;
        let making = self.make_of_page(&page, property);
        let why = match tokio::time::timeout(PATIENCE, making).await {
            Ok(Ok(resource)) => return Some(resource),
            Ok(Err(NotMade::Ever(why))) => {
                tracing::debug!(property = %page.property_id, why, "a page became no resource");
                self.spider.pause(&page, self.now());
                return None;
            }
            Ok(Err(NotMade::Yet(why))) => why,
            Err(_) => format!("it takes longer than {} s", PATIENCE.as_secs()),
        };
        self.spider.pause(&page, self.now());
        if let Err(error) = self.read_page_later(&page, property, &why).await {
            tracing::warn!(property = %page.property_id, %error, "a page cannot be noted for later");
        }
        None
    }

    /// Notes that a page is to be read once more.
    async fn read_page_later(
        &self,
        page: &UnknownPage,
        property: &HeldProperty,
        why: &str,
    ) -> Result<(), Refusal> {
        let (kind, now) = (JobKind::ReadPage, self.now());
        let again_at = now.plus(crate::job::wait_after(0));
        let job = Job {
            name: job_name(kind, format!("{} {}", page.property_id, page.key)),
            payload: page.payload()?,
            last_error: Some(why.to_owned()),
            ..self.job(kind, property.partner_id, page.property_id, again_at)
        };
        let noted = self.store.write(now, move |transaction| {
            Box::pin(async move { transaction.add_job(&job).await })
        });
        noted.await.map_err(Refusal::Store)
    }

    /// Reads a page for which no visitor waited long enough.
    pub(crate) async fn attempt_to_read_page(&self, job: &Job) -> Result<Attempt, Refusal> {
        let page = UnknownPage::of_job(job)?;
        let property = self.property_held(page.property_id)?;
        if !property.settings.dynamic_creation {
            return Ok(Attempt::Done);
        }
        let Some(_turn) = self.spider.turn(&page) else {
            return Ok(Attempt::Again(
                "too many pages are read at present".to_owned(),
            ));
        };
        let making = self.make_of_page(&page, &property);
        let why = match tokio::time::timeout(LONGEST, making).await {
            Ok(Ok(_) | Err(NotMade::Ever(_))) => return Ok(Attempt::Done),
            Ok(Err(NotMade::Yet(why))) => why,
            Err(_) => format!("it takes longer than {} s", LONGEST.as_secs()),
        };
        match job.attempts < MOST_ATTEMPTS {
            true => Ok(Attempt::Again(why)),
            // The next visitor who asks for the page has it read again.
            false => Ok(Attempt::Done),
        }
    }

    async fn make_of_page(
        &self,
        page: &UnknownPage,
        property: &HeldProperty,
    ) -> Result<Arc<Resource>, NotMade> {
        let found = self.read_site_page(page, &property.origins).await?;
        let now = self.now();
        let id = ResourceId::new(now, random(&*self.randomness));
        let resource = made::resource_of(page, &found, &property.settings, (id, now));
        let resource = resource.map_err(|error| NotMade::Ever(error.to_string()))?;
        let added = self.store.write(now, move |transaction| {
            Box::pin(async move { transaction.add_resource(&resource).await })
        });
        match added.await {
            // Somebody else was there first, and that counts.
            Ok(()) | Err(StoreError::Conflict) => {}
            Err(error) => return Err(Refusal::Store(error).into()),
        }
        self.catch_up_soon().await;
        let made = self.resource(page.property_id, &page.key).await;
        made.map_err(Refusal::Store)?
            .ok_or_else(|| NotMade::Yet("it was removed at once".to_owned()))
    }

    /// Reads a page, or the one that it says to be a copy of.
    async fn read_site_page(&self, page: &UnknownPage, known: &OriginSet) -> Result<Page, NotMade> {
        let found = page::read(&self.fetch_page(page, &page.url, known).await?);
        let canonical = found.canonical.as_deref();
        let Some(canonical) = canonical.filter(|url| *url != page.url && is_at(url, known)) else {
            return Ok(found);
        };
        match self.fetch_page(page, canonical, known).await {
            Ok(html) => Ok(page::read(&html)),
            Err(_) => Ok(found),
        }
    }

    /// Asks for a page, with a token that lets it through the site's own protection, and follows where
    /// it has moved within the property.
    async fn fetch_page(
        &self,
        page: &UnknownPage,
        url: &str,
        known: &OriginSet,
    ) -> Result<String, NotMade> {
        let Some(reader) = self.spider.reader.get() else {
            return Err(NotMade::Ever("this node reads no pages".to_owned()));
        };
        let mut url = url.to_owned();
        for _ in 0..=MOST_MOVES {
            if !is_at(&url, known) {
                return Err(NotMade::Ever(format!("{url} is not of the property")));
            }
            let token = self
                .make_spider_token(page.credential_id, &page.key)
                .await?;
            let asked = with_token(&url, &token);
            let asked = asked.ok_or_else(|| NotMade::Ever(format!("{url} is no address")))?;
            match reader.fetch(&asked).await {
                Ok(Fetched::Page(html)) => return Ok(html),
                Ok(Fetched::Moved(to)) => url = moved_to(&url, &to),
                Ok(Fetched::NoPage(why)) => return Err(NotMade::Ever(why)),
                Err(why) => return Err(NotMade::Yet(why)),
            }
        }
        Err(NotMade::Ever("it has moved too often".to_owned()))
    }
}

/// Whether an address is at one of the places of a property.
fn is_at(url: &str, known: &OriginSet) -> bool {
    let origin = origin_of(url).parse::<Origin>();
    origin.is_ok_and(|origin| known.iter().any(|known| *known == origin))
}

/// Scheme, host and port of an address, as they stand.
fn origin_of(url: &str) -> &str {
    let authority = url.find("://").map_or(0, |at| at + 3);
    let length = url[authority..].find(['/', '\\', '?', '#']);
    &url[..length.map_or(url.len(), |length| authority + length)]
}

/// The address that an address names as its new one: whole, or on the same site.
fn moved_to(from: &str, to: &str) -> String {
    match to.starts_with('/') && !to.starts_with("//") {
        true => format!("{}{to}", origin_of(from)),
        false => to.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_places_of_the_property_are_read() {
        let known: OriginSet = "https://news.example https://news.example:8443"
            .parse()
            .expect("origins");
        for url in [
            "https://news.example/a",
            "https://News.Example?x",
            "https://news.example:443/",
            "https://news.example:8443#x",
        ] {
            assert!(is_at(url, &known), "{url}");
        }
        for url in [
            "",
            "a",
            "//news.example/a",
            "http://news.example/a",
            "https://news.example.evil.example/",
            "https://news.example@evil.example/",
            "https://evil.example\\@news.example/",
            "https://evil.example/https://news.example/",
            "https://127.0.0.1/",
        ] {
            assert!(!is_at(url, &known), "{url}");
        }
    }

    #[test]
    fn a_page_moves_to_another_address_or_within_its_site() {
        let from = "https://news.example:8443/a?b";
        assert_eq!(moved_to(from, "/c?d"), "https://news.example:8443/c?d");
        assert_eq!(moved_to(from, "https://x.example/"), "https://x.example/");
        assert_eq!(moved_to(from, "//x.example/"), "//x.example/");
        assert_eq!(moved_to(from, "c"), "c");
    }
}
