//! A token that counts once, and a node that ends between using it up and the answer.
//!
//! The question is dropped at one of the places where it waits for the database, or its answer is
//! never sent; then the engine and its runtime are dropped, and others are opened on the same database.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use wayleave_core::{AdBlocker, CredentialId, PropertyId, ReaderId};
use wayleave_engine::{
    AccessQuestion, Actor, Engine, Outside, PretendProcessor, PretendProvisioner, SignIn,
    VisitorProof,
};
use wayleave_testkit::{DatabaseKind, RawSql};

use super::*;
use crate::bare_engine::BareEngine;
use crate::shop::wait;

/// How often it has to be cut at the point in question.
const CUTS: usize = 100;
/// How many tokens are redeemed before each end.
const TOKENS_OF_ONE_END: usize = 40;

struct Stage {
    paper: Paper,
    property_id: PropertyId,
    credential_id: CredentialId,
    reader: ReaderId,
    /// How many pages there are that nobody asked about yet.
    pages_left: std::ops::Range<usize>,
}

/// What became of a token: its text, the page, and whether the reader was let in by it.
struct Redeemed {
    token: String,
    page: String,
    was_answered: bool,
}

impl Stage {
    fn new(node: TestNode) -> Self {
        let mut paper = Paper::open_with(node, |settings| {
            settings["quota"]["allowed"] = json!(1_000);
        });
        at_once::add_pages(&mut paper, 4 * CUTS);
        let reader = paper.reader("areader");
        paper.buy(&reader, "Story-2").expect(201);
        paper.site.node.halt();
        Stage {
            property_id: paper.site.property.parse().expect("an id"),
            credential_id: paper.site.access.credential.parse().expect("an id"),
            reader: reader.parse().expect("an id"),
            pages_left: 10_000..10_000 + 4 * CUTS,
            paper,
        }
    }

    fn open(&self) -> BareEngine {
        BareEngine::open(&self.paper.site.node, || Outside {
            processor: Box::new(PretendProcessor::default()),
            provisioner: Arc::<PretendProvisioner>::default(),
        })
    }

    async fn sign_in(&self, engine: &Engine) -> String {
        let sign_in = SignIn {
            credential_id: self.credential_id,
            user_token: None,
            is_remembered: true,
        };
        let (by, whose) = (Actor::system(), (self.property_id, self.reader));
        let made = engine.sign_reader_in(&by, whose, sign_in);
        made.await.expect("a token").0
    }

    fn question<'a>(&self, key: &'a str, proof: VisitorProof<'a>) -> AccessQuestion<'a> {
        AccessQuestion {
            credential_id: self.credential_id,
            property_id: self.property_id,
            key,
            proof,
            page_url: "",
            ad_blocker: AdBlocker::Unknown,
            is_verified_crawler: false,
        }
    }

    /// Whether a token lets the reader in, and how many waits that takes at most.
    async fn redeem(&self, engine: &Engine, (page, token): (&str, &str), waits: usize) -> Cut {
        let question = self.question(page, VisitorProof::TemporaryToken(token));
        match cut(engine.ask_for_access(&question), waits).await {
            Ok((answer, waited)) => Cut::Answered {
                is_known: answer.expect("an answer").names.is_some(),
                waited,
            },
            Err(Dropped) => Cut::Dropped,
        }
    }

    /// Signs in and redeems, which is cut after so many waits; where it would come to its end, its
    /// answer is thrown away but for one in five.
    async fn cut_one(&mut self, engine: &Engine, number: usize, most_waits: usize) -> Redeemed {
        let page = format!("P{}", self.pages_left.next().expect("a page"));
        let token = self.sign_in(engine).await;
        let waits = number % (most_waits + 1);
        let outcome = self.redeem(engine, (&page, &token), waits).await;
        let is_sent = number.is_multiple_of(5);
        Redeemed {
            was_answered: is_sent && matches!(outcome, Cut::Answered { is_known: true, .. }),
            token,
            page,
        }
    }
}

/// How a redemption went.
enum Cut {
    Answered { is_known: bool, waited: usize },
    Dropped,
}

struct Dropped;

/// Goes on with something as long as it waits so many times at most; gives how often it did.
async fn cut<T>(work: impl Future<Output = T>, waits: usize) -> Result<(T, usize), Dropped> {
    let (mut work, mut waited) = (pin!(work), 0);
    std::future::poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Ok((done, waited))),
        Poll::Pending if waited == waits => Poll::Ready(Err(Dropped)),
        Poll::Pending => {
            waited += 1;
            Poll::Pending
        }
    })
    .await
}

impl Stage {
    /// How often a whole redemption waits.
    async fn most_waits(&mut self, engine: &Engine) -> usize {
        let page = format!("P{}", self.pages_left.next().expect("a page"));
        let token = self.sign_in(engine).await;
        match self.redeem(engine, (&page, &token), usize::MAX).await {
            Cut::Answered {
                is_known: true,
                waited,
            } => waited,
            _ => panic!("it is not redeemed"),
        }
    }

    /// What a reader finds who comes back after an end: no token counts twice, and with a new one
    /// everything is there. Gives how many tokens were used up without an answer.
    async fn come_back(&self, engine: &Engine, redeemed: &[Redeemed]) -> usize {
        let mut at_the_point = 0;
        for one in redeemed {
            let mut counted = usize::from(one.was_answered);
            for _ in 0..2 {
                let again = self.redeem(engine, (&one.page, &one.token), usize::MAX);
                if let Cut::Answered { is_known: true, .. } = again.await {
                    counted += 1;
                }
            }
            assert!(counted <= 1, "a token counted {counted} times");
            at_the_point += usize::from(counted == 0);
        }
        let temporary = self.sign_in(engine).await;
        let question = self.question("Story-2", VisitorProof::TemporaryToken(&temporary));
        let back = engine.ask_for_access(&question).await.expect("an answer");
        assert!(back.names.is_some() && back.is_bought, "{back:?}");
        for one in redeemed {
            let question = self.question(&one.page, VisitorProof::UserToken(&back.user_token));
            let page = engine.ask_for_access(&question).await.expect("an answer");
            assert!(page.names.is_some() && page.decision.is_granted());
        }
        at_the_point
    }
}

fn check(kind: DatabaseKind) {
    let mut stage = Stage::new(TestNode::start(kind));
    let mut open = stage.open();
    let most_waits = wait(stage.most_waits(&open.engine));
    assert!(most_waits >= 3, "it waits {most_waits} times");
    let (mut at_the_point, mut number) = (0, 0);
    while at_the_point < CUTS {
        let mut redeemed = Vec::new();
        for _ in 0..TOKENS_OF_ONE_END {
            let one = wait(stage.cut_one(&open.engine, number, most_waits));
            redeemed.push(one);
            number += 1;
        }
        drop(open);
        open = stage.open();
        at_the_point += wait(stage.come_back(&open.engine, &redeemed));
    }
    let settings = &stage.paper.site.node.settings().environments[1];
    let hits =
        "SELECT COUNT(DISTINCT resource_id) || ' ' || COUNT(*) FROM reader_hit WHERE reader_id =";
    let counted = RawSql::open(&settings.database).texts(&format!("{hits} '{}'", stage.reader));
    // Each page once, and that of the first look.
    assert_eq!(counted, [format!("{0} {0}", number + 1)]);
}

#[test]
fn a_token_used_up_before_a_crash_never_counts_again_on_sqlite() {
    check(DatabaseKind::Sqlite);
}

#[test]
fn a_token_used_up_before_a_crash_never_counts_again_on_postgres() {
    if DatabaseKind::Postgres.is_available() {
        check(DatabaseKind::Postgres);
    }
}
