//! How many quotes are made in a second, and what a page of a partner's orders takes when it has few and
//! when it has very many. Without HTTP: what the engine and its database do.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use wayleave::ports::SystemClock;
use wayleave_core::{
    Admission, Audience, AudienceSet, CartLine, Environment, LineDetails, OrderId, PartnerId,
    Recipient, Scheme, SchemeSet, ScopeSet,
};
use wayleave_engine::{
    Actor, Buyer, Clock, Engine, Evidence, NewCredential, Order, OrderLine, StoreError,
    StoreRuntime,
};
use wayleave_store::NewOrder;

use super::{Failure, open, waiting};

const CATALOGUE: &str = include_str!("../src/demo_catalogue.json");
/// How long quotes are made.
const SPAN: Duration = Duration::from_secs(3);
/// How many clients there are at once, where there is more than one.
const AT_ONCE: usize = 64;
/// The few orders that a page is compared with.
const FEW: usize = 1_000;
/// What is asked for at once where nothing else is said.
const PAGE: i64 = 50;
/// How many pages are read.
const PAGES: usize = 400;
const WRITTEN_AT_ONCE: usize = 5_000;
/// Generated orders have numbers from here on, which no node has given yet.
const FIRST_NUMBER: i64 = 1_000_000_000;

/// Measures on a database; `count`: how many orders there are at the end.
pub(crate) fn measure(folder: &Path, count: usize, database: &str) -> Result<Value, Failure> {
    let store_runtime = StoreRuntime::start()?;
    let node = open(folder, database, &store_runtime)?;
    let engine = node.engine(Environment::Test).clone();
    waiting()?.block_on(async {
        let catalogue = serde_json::from_str(CATALOGUE)?;
        engine.put_catalogue(&Actor::system(), catalogue).await?;
        let alone = checkouts(&engine, buyer(&engine).await?, 1).await?;
        let together = checkouts(&engine, buyer(&engine).await?, AT_ONCE).await?;
        let lister = buyer(&engine).await?;
        let pattern = engine.checkout(lister, &[line()]).await?;
        let pattern = (pattern.order, pattern.lines);
        fill(&engine, &pattern, 1..FEW).await?;
        let few_us = page_us(&engine, lister.partner_id()).await?;
        fill(&engine, &pattern, FEW..count).await?;
        let many_us = page_us(&engine, lister.partner_id()).await?;
        Ok(json!({
            "checkouts_per_s": alone,
            "checkouts_per_s_at_once": together,
            "page_of_few_us": few_us,
            "page_of_many_us": many_us,
        }))
    })
}

fn line() -> CartLine {
    CartLine {
        recipient: Recipient::Own,
        product: 1,
        details: LineDetails::Licences {
            email: "bench@partner.example".to_owned(),
            version: None,
            count: 3,
        },
    }
}

/// A new partner that may buy, proven by a token as any other.
async fn buyer(engine: &Engine) -> Result<Buyer, Failure> {
    let by = Actor::system();
    let partner = engine.create_partner(&by, "Benchmark").await?.id;
    let integration = engine.create_integration(&by, partner, "Benchmark").await?;
    let new = NewCredential {
        integration_id: integration.id,
        property_id: None,
        customer_id: None,
        name: String::new(),
        audience: Audience::Platform,
        schemes: None,
        scopes: ScopeSet::default(),
        expires_at: None,
        imported: None,
        public_key: None,
    };
    let issued = engine.create_credential(&by, new).await?;
    let public_id = issued.credential.credential.public_id.to_string();
    let secret = issued.secret.ok_or("the credential has no secret")?;
    let pairs = [(public_id, secret)];
    let source = [127, 0, 0, 1].into();
    let token = engine.issue_token(Audience::Platform, &pairs, None, source);
    let authorization = format!("Bearer {}", token.await?.text);
    let evidence = Evidence {
        method: "POST",
        authorization: Some(authorization.as_bytes()),
        ..Evidence::default()
    };
    let proven = engine.authenticate(&evidence);
    let proven = proven.map_err(|_| "the token proves nothing")?;
    let accepted = engine.accept(proven).await;
    let (caller, _) = accepted.map_err(|_| "the token is not taken")?;
    let admission = Admission {
        audiences: AudienceSet::of(&[Audience::Platform]),
        schemes: SchemeSet::of(&[Scheme::Bearer]),
        scopes: ScopeSet::default(),
    };
    let admitted = caller.admit(&admission);
    Ok(Buyer::of(&admitted.map_err(|_| "the caller may not pass")?))
}

/// Quotes by the second, made by so many clients at once.
async fn checkouts(engine: &Arc<Engine>, buyer: Buyer, at_once: usize) -> Result<f64, Failure> {
    let begun_ns = SystemClock.steady_ns();
    let end_ns = begun_ns + SPAN.as_nanos() as u64;
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..at_once {
        let engine = engine.clone();
        clients.spawn(async move {
            let mut made = 0_u32;
            while SystemClock.steady_ns() < end_ns {
                let quote = engine.checkout(buyer, &[line()]).await;
                quote.map_err(|error| error.to_string())?;
                made += 1;
            }
            Ok::<u32, String>(made)
        });
    }
    let mut made = 0;
    while let Some(client) = clients.join_next().await {
        made += client??;
    }
    let took_s = (SystemClock.steady_ns() - begun_ns) as f64 / 1e9;
    Ok(f64::from(made) / took_s)
}

/// Writes orders like one that is there, under other ids and numbers.
async fn fill(
    engine: &Engine,
    (order, lines): &(Order, Vec<OrderLine>),
    numbers: std::ops::Range<usize>,
) -> Result<(), Failure> {
    let numbers: Vec<usize> = numbers.collect();
    for some in numbers.chunks(WRITTEN_AT_ONCE) {
        let like = |number: &usize| {
            let at = order.created_at.plus(Duration::from_micros(*number as u64));
            let mut random = [0; 10];
            random[..8].copy_from_slice(&(*number as u64).to_be_bytes());
            NewOrder {
                order: Order {
                    id: OrderId::new(at, random),
                    number: FIRST_NUMBER + *number as i64,
                    created_at: at,
                    changed_at: at,
                    ..order.clone()
                },
                lines: lines.clone(),
            }
        };
        let batch: Vec<NewOrder> = some.iter().map(like).collect();
        let written = engine.store().write(engine.now(), move |transaction| {
            Box::pin(async move {
                for new in &batch {
                    transaction.add_order(new).await?;
                }
                Ok(())
            })
        });
        written.await?;
    }
    Ok(())
}

/// What a page of the newest orders with their lines takes, in microseconds: the median.
async fn page_us(engine: &Engine, partner: PartnerId) -> Result<f64, Failure> {
    let mut times_ns = Vec::with_capacity(PAGES);
    for _ in 0..PAGES {
        let begun_ns = SystemClock.steady_ns();
        let read = engine.store().read(move |reader| {
            Box::pin(async move {
                let orders = reader.orders_of(partner, 0, PAGE).await?;
                for order in &orders {
                    reader.order_lines(order.id).await?;
                }
                Ok::<usize, StoreError>(orders.len())
            })
        });
        if read.await? != PAGE as usize {
            return Err("a page is not full".into());
        }
        times_ns.push(SystemClock.steady_ns() - begun_ns);
    }
    times_ns.sort_unstable();
    Ok(times_ns[PAGES / 2] as f64 / 1e3)
}
