//! A node with a partner that has very many orders, for the platform API to be asked.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use wayleave_core::{
    Admission, Audience, AudienceSet, CartLine, Environment, LineDetails, OrderId, Recipient,
    Scheme, SchemeSet, ScopeSet,
};
use wayleave_engine::{
    Actor, Buyer, Engine, Evidence, NewCredential, Operators, Order, OrderLine, StoreRuntime,
};
use wayleave_store::NewOrder;

use super::{Failure, open, waiting};

const CATALOGUE: &str = include_str!("../src/demo_catalogue.json");
const WRITTEN_AT_ONCE: usize = 5_000;
/// Generated orders have numbers from here on, which no node has given yet.
const FIRST_NUMBER: i64 = 1_000_000_000;

/// Fills a database and serves it; tells where, and with which token its partner calls.
pub(crate) fn serve(folder: &Path, count: usize, database: &str) -> Result<Value, Failure> {
    let node = open(folder, database, &StoreRuntime::start()?)?;
    let engine = node.engine(Environment::Test).clone();
    let address = node.address(Environment::Test);
    let token = waiting()?.block_on(async {
        let catalogue = serde_json::from_str(CATALOGUE)?;
        engine.put_catalogue(&Actor::system(), catalogue).await?;
        let (buyer, token) = buyer(&engine).await?;
        let pattern = engine.checkout(buyer, &[line()]).await?;
        fill(&engine, &(pattern.order, pattern.lines), 1..count).await?;
        Ok::<String, Failure>(token)
    })?;
    // It serves until the process ends.
    std::mem::forget(node.start(Operators::new(Vec::new()), Vec::new())?);
    Ok(json!({ "address": address.to_string(), "token": token }))
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

/// A new partner that may buy, proven by a token as any other, and that token.
async fn buyer(engine: &Engine) -> Result<(Buyer, String), Failure> {
    let by = Actor::system();
    let partner = engine.create_partner(&by, "Benchmark").await?.id;
    let integration = engine.create_integration(&by, partner, "Benchmark").await?;
    let new = NewCredential::usual(integration.id, Audience::Platform);
    let issued = engine.create_credential(&by, new).await?;
    let public_id = issued.credential.credential.public_id.to_string();
    let secret = issued.secret.ok_or("the credential has no secret")?;
    let pairs = [(public_id, secret)];
    let source = [127, 0, 0, 1].into();
    let token = engine.issue_token(Audience::Platform, &pairs, None, source);
    let token = token.await?.text;
    let authorization = format!("Bearer {token}");
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
    let buyer = Buyer::of(&admitted.map_err(|_| "the caller may not pass")?);
    Ok((buyer, token))
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
