//! Prices that move until the wanted part of the views is paid for.

use serde_json::json;
use wayleave_engine::Operators;
use wayleave_testkit::{Address, DatabaseKind};

use super::*;
use crate::harness::{on_both_databases, wait_for};
use crate::storage::open_beside;

const PAGE: &str = "Story-1";
/// The views after which the price is looked at again.
const PERIOD: usize = 4;

/// A paper with a page at 50 cents, of which half the views are to be paid for.
fn moving(node: TestNode) -> Paper {
    let paper = Paper::open_with(node, |settings| settings["quota"]["enabled"] = json!(false));
    let pricing = json!({
        "PricingModel": "TargetConversion", "Price": 0.5, "TargetConversionRate": 0.5,
        "TargetConversionPriceFloor": 0.4, "TargetConversionHitsPerRecalculationPeriod": PERIOD,
    });
    paper.site.put(PAGE, pricing).expect(200);
    paper
}

impl Paper {
    /// Visitors who look at the page, until its price is looked at again.
    fn looked_at(&self, views: usize) {
        for _ in 0..views {
            self.ask(PAGE, "");
        }
        let engine = self.site.node.engine(self.site.environment);
        wait_for(engine.write_views()).expect("written");
    }

    /// What somebody new pays for the page.
    fn paid_by(&self, reader: &str) -> String {
        let order = self.buy(&self.reader(reader), PAGE).expect(201).json();
        word(&order, "total").to_owned()
    }
}

on_both_databases! {
    fn a_price_falls_where_too_few_pay_and_rises_where_many_do(node: TestNode) {
        let mut paper = moving(node);
        paper.looked_at(PERIOD - 1);
        assert_eq!(paper.paid_by("one"), "0.50", "before a period is over");
        paper.looked_at(1);
        assert_eq!(paper.paid_by("two"), "0.45", "one of four views was paid for");
        paper.looked_at(PERIOD - 1);
        // Written, and then read by a node that knows nothing of it.
        paper.site.node.restart();
        assert_eq!(paper.paid_by("three"), "0.45");
        paper.looked_at(1);
        assert_eq!(paper.paid_by("four"), "0.45", "two of four: as wanted");
        for reader in ["five", "six"] {
            paper.paid_by(reader);
        }
        paper.looked_at(PERIOD);
        assert_eq!(paper.paid_by("seven"), "0.49", "three of four");
        for _ in 0..4 {
            paper.looked_at(PERIOD);
        }
        assert_eq!(paper.paid_by("eight"), "0.40", "the floor");
        // What was set is what is shown; a new price begins anew, on a page that is in memory, too.
        let shown = || paper.site.manage("GET", &format!("/Resource/{PAGE}"), None).expect(200).json();
        assert_eq!(shown()["Price"], json!(0.5));
        paper.site.put(PAGE, json!({ "Price": 2 })).expect(200);
        assert_eq!(paper.paid_by("nine"), "2.00");
        for _ in 0..2 {
            paper.looked_at(PERIOD);
        }
        assert_eq!(paper.paid_by("ten"), "1.80", "two of four, and then none");
    }
}

#[test]
fn two_nodes_move_a_price_once_for_a_period() {
    if !DatabaseKind::Postgres.is_available() {
        return;
    }
    let paper = moving(TestNode::start(DatabaseKind::Postgres));
    let site = &paper.site;
    let beside = open_beside(&site.node, |_| {}).expect("a second node");
    let address = Address::at(beside.address(site.environment));
    let other = beside.engine(site.environment).clone();
    let running = beside
        .start(Operators::default(), Vec::new())
        .expect("it serves");
    for _ in 0..PERIOD / 2 {
        paper.ask(PAGE, "");
        let target = format!("/api/Resource/{}/{PAGE}?UserToken=", site.access.public_id);
        let call = site
            .access
            .signer()
            .call(address, "GET", &target, site.now_s());
        call.send().expect(200);
    }
    let own = site.node.engine(site.environment);
    let written = async { tokio::join!(own.write_views(), other.write_views()) };
    let (own, other) = wait_for(written);
    own.and(other).expect("written");
    assert_eq!(paper.paid_by("one"), "0.45");
    running.stop();
}
