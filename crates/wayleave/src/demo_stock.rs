//! What the demonstration sells, and what its partner has bought already: an account with a card, an
//! instance, and licences of which a device uses one.

use wayleave_core::{
    CartLine, Catalogue, LineDetails, NewInstance, PartnerId, ProductKind, Recipient,
};
use wayleave_engine::{
    Acceptance, AccountChange, Actor, Engine, NewDevice, OrderRefusal, Refusal, pretended_card,
};

/// What is sold in both environments.
const CATALOGUE: &str = include_str!("demo_catalogue.json");
/// The scope that the plan of the catalogue grants.
pub(crate) const PLAN_SCOPE: &str = "reports:read";

/// Why the demonstration has nothing to sell.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StockError {
    /// The catalogue cannot be read.
    #[error("the catalogue of the demonstration: {0}")]
    Catalogue(#[from] serde_json::Error),
    /// The store, or a rule.
    #[error(transparent)]
    Refusal(#[from] Refusal),
    /// An order that was not taken.
    #[error("the first order of the demonstration: {0}")]
    Order(#[from] OrderRefusal),
}

/// Puts the catalogue where there is none, and has the partner buy where it has bought nothing.
pub(crate) async fn stock(engine: &Engine, partner: PartnerId) -> Result<(), StockError> {
    let by = Actor::system();
    if engine.catalogue().version == 0 {
        engine
            .put_catalogue(&by, serde_json::from_str(CATALOGUE)?)
            .await?;
    }
    let account = engine.account(partner).await?;
    if account.orders == 0 {
        let change = AccountChange {
            billing_email: Some("billing@demo.example".to_owned()),
            card: pretended_card("pays").map(Some),
            ..AccountChange::default()
        };
        engine.change_account(&by, partner, change).await?;
        let acceptance = Acceptance {
            auto_pay: true,
            ..Acceptance::default()
        };
        let lines = first_lines(&engine.catalogue().catalogue);
        engine.place_order(&by, partner, &lines, acceptance).await?;
    }
    // Nothing else was ordered yet: a device that somebody removed later does not come back.
    if account.orders <= 1 {
        add_device(engine, &by, partner).await?;
    }
    Ok(())
}

/// One of each of those products that the catalogue has: an operator may have put another one.
fn first_lines(catalogue: &Catalogue) -> Vec<CartLine> {
    let instance = LineDetails::NewInstance(NewInstance {
        account_name: "harbour".to_owned(),
        displays: 5,
        is_monthly: false,
        renews: true,
        region: None,
        domain: None,
        theme: None,
        version: None,
    });
    let licences = LineDetails::Licences {
        email: "players@demo.example".to_owned(),
        version: catalogue
            .licence_versions
            .first()
            .map(|oldest| oldest.name.clone()),
        count: 10,
    };
    let lines = [
        (ProductKind::HostedInstance, instance),
        (ProductKind::LicencePool, licences),
    ];
    let known = lines.into_iter().filter_map(|(kind, details)| {
        let mut products = catalogue.products.iter();
        Some(CartLine {
            recipient: Recipient::Own,
            product: products.find(|product| product.kind == kind)?.number,
            details,
        })
    });
    known.collect()
}

async fn add_device(engine: &Engine, by: &Actor, partner: PartnerId) -> Result<(), Refusal> {
    let pools = engine
        .store()
        .read(move |reader| Box::pin(reader.pools_after(Some(partner), None, 1)))
        .await?;
    let Some(row) = pools.first().filter(|row| row.devices == 0) else {
        return Ok(());
    };
    let device = NewDevice {
        version: None,
        hardware: "02:00:00:00:00:01".to_owned(),
        name: "Shop window".to_owned(),
        model: "Model One".to_owned(),
        manufacturer: "Acme".to_owned(),
        version_code: 107,
    };
    engine.add_device(by, row.pool.id, device).await.map(drop)
}

#[cfg(test)]
mod tests {
    use wayleave_core::ScopeSet;

    use super::*;

    #[test]
    fn the_catalogue_holds_and_sells_the_scope_of_the_demonstrations_route() {
        let catalogue: Catalogue = serde_json::from_str(CATALOGUE).expect("a catalogue");
        assert_eq!(catalogue.check(), Ok(()));
        assert_eq!(first_lines(&catalogue).len(), 2);
        let wanted: ScopeSet = PLAN_SCOPE.parse().expect("a scope");
        let mut grants = catalogue.plans().map(|(_, grants)| grants.scopes());
        assert!(grants.any(|scopes| scopes == Ok(wanted.clone())));
    }
}
