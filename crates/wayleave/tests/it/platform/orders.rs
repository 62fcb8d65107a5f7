//! The life of an order: every row of the table, and what may not be done twice.

use std::time::Duration;

use serde_json::{Value, json};
use wayleave_core::Environment;

use super::{Client, demo_line, instance_line, licences_line, line};
use crate::harness::{TestNode, on_both_databases};

const DAY: Duration = Duration::from_secs(24 * 3600);
const MEMBERS: [&str; 17] = [
    "orderId",
    "subTotal",
    "discount",
    "vat",
    "total",
    "rfStatus",
    "rfStatusId",
    "companyId",
    "orderDate",
    "billingEmail",
    "billingName",
    "company",
    "paymentType",
    "paymentTerms",
    "currency",
    "paymentLink",
    "purchaseOrderNumber",
];

fn monthly(name: &str) -> Value {
    let mut line = instance_line(name);
    line["productDetails"]["monthly_billing"] = json!(1);
    line
}

on_both_databases! {
    fn a_quotation_has_every_member_and_validating_stores_nothing(node: TestNode) {
        let client = Client::new(&node);
        let cart = json!([licences_line(2, None)]);
        let priced = client.cart("/user/cart/validate", &cart).expect(200).json();
        assert!(priced.get("orderId").is_none());
        assert_eq!(client.list("/user/orders", &[]).1, 0);
        let order = client.quote(licences_line(2, None));
        for member in MEMBERS {
            assert!(order.get(member).is_some(), "{member}");
        }
        assert_eq!(order["subTotal"], json!(48.0));
        assert_eq!(order["vat"], json!(9.6));
        assert_eq!(order["total"], json!(57.6));
        assert_eq!((&order["rfStatusId"], &order["rfStatus"]), (&json!(1), &json!("Quote")));
        assert_eq!(order["orderDate"], "2027-03-16 10:20:30");
        assert_eq!(order["currency"], "EUR");
        assert_eq!(order["paymentTerms"], 30);
        for member in ["subTotal", "discount", "vat", "total"] {
            assert_eq!(priced[member], order[member]);
        }
    }

    fn every_row_of_the_order_table(node: TestNode) {
        let client = Client::new(&node);
        // Free: complete at once, whatever autoPay says.
        for (place, auto_pay) in ["0", "1"].into_iter().enumerate() {
            let name = format!("apiFree{place}");
            let order = client.quote(demo_line(&name));
            let processed = client.process(&order, auto_pay).expect(200).json();
            assert_eq!(processed["state"], "complete");
            assert_eq!(client.instance(&name)["isDemo"], 1);
        }
        // Paid with no card, or with one that does not pay: an invoice.
        for card in [None, Some("declines"), Some("asks")] {
            card.inspect(|card| client.save_card(card));
            let order = client.quote(licences_line(2, None));
            let processed = client.process(&order, "1").expect(200).json();
            assert_eq!(processed["state"], "invoiced", "{card:?}");
            assert_eq!(processed["rfStatus"], "Invoiced");
            assert!(processed["paymentLink"].is_string());
            assert_eq!(processed["order"]["orderId"], order["orderId"]);
        }
        assert_eq!(client.list("/android", &[]).1, 0, "nothing is delivered before it is paid");
        // By the month with a card that is declined: refused, and still a quotation.
        let order = client.quote(monthly("apiMonth1"));
        let refused = client.process(&order, "1").expect(422).json();
        assert_eq!(refused["property"], "autoPay");
        let id = order["orderId"].to_string();
        let (found, _) = client.list("/user/orders", &[("orderId", &id)]);
        assert_eq!(found[0]["rfStatus"], "Quote");
        // The same with a card that pays, charged or by invoice.
        client.save_card("pays");
        assert_eq!(client.process(&order, "1").expect(200).json()["state"], "complete");
        assert_eq!(client.instance("apiMonth1")["isMonthly"], 1);
        let order = client.quote(monthly("apiMonth2"));
        assert_eq!(client.process(&order, "0").expect(200).json()["state"], "invoiced");
        // Paid and not charged: an invoice, whatever card there is.
        let order = client.quote(licences_line(2, None));
        assert_eq!(client.process(&order, "0").expect(200).json()["state"], "invoiced");
        // Paid and charged.
        let order = client.quote(licences_line(2, None));
        let processed = client.process(&order, "1").expect(200).json();
        assert_eq!(processed["state"], "complete");
        assert_eq!(processed["paymentType"], "Card");
        assert_eq!(client.list("/android", &[]).1, 1);
    }

    fn what_is_paid_by_the_month_needs_a_card_from_the_start(node: TestNode) {
        let client = Client::new(&node);
        for route in ["/user/cart/validate", "/user/checkout"] {
            let answer = client.cart(route, &json!([monthly("apiMonth1")])).expect(422);
            assert_eq!(answer.json()["property"], "monthly_billing");
        }
        let line = demo_line("apiMonth2");
        client.quote(line);
    }

    fn a_quotation_is_processed_once_and_expires(node: TestNode) {
        let client = Client::new(&node);
        let order = client.quote(demo_line("apiOnce1"));
        client.process(&order, "0").expect(200);
        let again = client.process(&order, "0").expect(409).json();
        assert_eq!(again["error"], 409);
        let late = client.quote(demo_line("apiLate1"));
        node.clock.advance(DAY * 30 + Duration::from_secs(1));
        let client = Client::with(&node, Environment::Test, client.keys().clone());
        let answer = client.process(&late, "0").expect(409).json();
        assert!(answer["message"].as_str().expect("text").contains("expired"), "{answer}");
    }

    fn a_bad_address_to_call_is_refused_by_its_name(node: TestNode) {
        let client = Client::new(&node);
        let order = client.quote(demo_line("apiHook1"));
        let route = format!("/shop/processquote/{}", order["orderId"]);
        for url in ["no address", "ftp://example.com/", "https://"] {
            let fields = [("autoPay", "1"), ("webHookUrl", url)];
            let answer = client.send("POST", &route, &fields).expect(422).json();
            assert_eq!(answer["property"], "webHookUrl", "{url}");
        }
        client.send("POST", &route, &[("autoPay", "1"), ("webHookUrl", "")]).expect(200);
    }

    fn a_customer_is_made_once_by_its_reference_and_keeps_its_name(node: TestNode) {
        let client = Client::new(&node);
        let named = |name: &str, customer: &str| {
            let mut line = demo_line(name);
            (line["apiRef"], line["customerName"]) = (json!("a-1"), json!(customer));
            line
        };
        for (name, customer) in [("apiOne1", "Pier"), ("apiTwo2", "Quay")] {
            let order = client.quote(named(name, customer));
            client.process(&order, "1").expect(200);
        }
        let (rows, total) = client.list("/cloud", &[("companyApiRef", "a-1")]);
        assert_eq!(total, 2);
        assert_eq!(rows[0]["company"], "Pier");
        assert_eq!((&rows[0]["companyId"], &rows[0]["company"]), (&rows[1]["companyId"], &rows[1]["company"]));
        let mut third = demo_line("apiThree3");
        third["companyId"] = rows[0]["companyId"].clone();
        let order = client.quote(third);
        client.process(&order, "1").expect(200);
        assert_eq!(client.list("/cloud", &[("companyApiRef", "a-1")]).1, 3);
        assert_eq!(client.list("/cloud", &[]).1, 0, "the partner's own");
    }

    fn a_demonstration_is_one_by_its_product_or_by_its_flag(node: TestNode) {
        let client = Client::new(&node);
        let mut by_flag = instance_line("apiFlag1");
        by_flag["productDetails"]["is_demo"] = json!(1);
        let order = client.quote(by_flag);
        assert_eq!(order["total"], json!(0.0));
        client.process(&order, "0").expect(200);
        assert_eq!(client.instance("apiFlag1")["isDemo"], 1);
        let yearly = client.quote(instance_line("apiPaid1"));
        assert_eq!(yearly["subTotal"], json!(90.0), "2 displays, 12 months, 3.75");
        let plan = client.quote(line(40, json!({ "months": 2 })));
        assert_eq!(plan["subTotal"], json!(98.0));
    }

    fn prices_of_a_client_are_not_looked_at(node: TestNode) {
        let client = Client::new(&node);
        let mut bold = licences_line(2, None);
        for name in ["total", "unitCost", "discount"] {
            bold[name] = json!(0);
        }
        let answer = client.send("POST", "/user/checkout", &[("lineItems", &json!([bold]).to_string()), ("total", "0")]);
        assert_eq!(answer.expect(200).json()["total"], json!(57.6));
        let mut bold = licences_line(2, None);
        bold["productDetails"]["unitCost"] = json!(0);
        client.cart("/user/checkout", &json!([bold])).expect(422);
    }
}
