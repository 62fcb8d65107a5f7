//! Lists: pages, whose things they show, and what `search` finds.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Client, demo_line, licences_line};
use crate::harness::{TestNode, on_both_databases};

fn names(rows: &[Value]) -> Vec<&str> {
    rows.iter()
        .map(|row| row["accountName"].as_str().expect("a name"))
        .collect()
}

on_both_databases! {
    fn every_list_is_paged_and_says_how_many_there_are(node: TestNode) {
        let client = Client::new(&node);
        for number in 0..3 {
            client.demo(&format!("apiPage{number}"));
        }
        for (route, all) in [
            ("/cloud", 3), ("/cloud/region", 3), ("/cloud/domain", 3), ("/theme", 2),
            ("/cloud/version", 3), ("/user/orders", 3),
        ] {
            let (rows, total) = client.list(route, &[]);
            assert_eq!((rows.len() as i64, total), (all, all), "{route}");
            let (page, total) = client.list(route, &[("start", "1"), ("length", "1")]);
            assert_eq!((&page[..], total), (&rows[1..2], all), "{route}");
            assert_eq!(client.list(route, &[("length", "0")]), (Vec::new(), all));
            assert_eq!(client.list(route, &[("start", "9")]).0, Vec::<Value>::new());
            assert_eq!(client.list(route, &[("length", "9999")]).1, all);
            for bad in [("start", "-1"), ("length", "x")] {
                let answer = client.get(route, &[bad]).expect(422).json();
                assert_eq!(answer["property"], bad.0, "{route}");
            }
        }
        let answer = client.get("/cloud", &[]);
        assert_eq!(answer.header("access-control-expose-headers"), Some("X-Total-Count"));
    }

    fn a_page_has_fifty_unless_more_are_asked_for_and_never_over_five_hundred(node: TestNode) {
        let client = Client::new(&node);
        let partner = client.keys().partner.clone();
        client.quote(licences_line(1, None));
        let database = node.database(wayleave_core::Environment::Test);
        // As many orders as a page is to have, by copies of the first with numbers of their own.
        database.run(
            "INSERT INTO sales_order (id, number, partner_id, state, catalogue_version, currency,
                 subtotal_minor, discount_minor, tax_minor, total_minor, auto_pay, hook_url,
                 payment_link, created_at, changed_at, expires_at)
             SELECT 'ord_' || substr(s.id, 5, 20) || counted.t,
                 1000000 + counted.n, partner_id, state, catalogue_version, currency,
                 subtotal_minor, discount_minor, tax_minor, total_minor, auto_pay, hook_url,
                 payment_link, created_at, changed_at, expires_at
             FROM sales_order s, (
                 WITH RECURSIVE numbers(n) AS
                     (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 600)
                 SELECT n, substr(CAST(1000000 + n AS TEXT), 2) AS t FROM numbers) AS counted",
        );
        database.run(&format!("UPDATE account SET orders = 601 WHERE partner_id = '{partner}'"));
        for (query, length) in [(&[][..], 50), (&[("length", "100")], 100), (&[("length", "9999")], 500)] {
            let (rows, total) = client.list("/user/orders", query);
            assert_eq!((rows.len(), total), (length, 601));
        }
    }

    fn orders_come_newest_first_and_one_is_found_by_its_number(node: TestNode) {
        let client = Client::new(&node);
        let orders: Vec<Value> = (0..3)
            .map(|_| {
                node.clock.advance(Duration::from_secs(1));
                client.quote(licences_line(1, None))["orderId"].clone()
            })
            .collect();
        let (rows, _) = client.list("/user/orders", &[]);
        let found: Vec<Value> = rows.iter().map(|row| row["orderId"].clone()).rev().collect();
        assert_eq!(found, orders);
        let id = orders[1].to_string();
        let (rows, total) = client.list("/user/orders", &[("orderId", &id)]);
        assert_eq!((rows[0]["orderId"].clone(), total), (orders[1].clone(), 1));
        assert_eq!(client.list("/user/orders", &[("orderId", "1")]), (Vec::new(), 0));
        client.get("/user/orders", &[("orderId", "ORD-12")]).expect(422);
    }

    fn children_are_shown_when_they_are_asked_for(node: TestNode) {
        let client = Client::new(&node);
        client.save_card("pays");
        for (name, reference) in [("apiOwn1", None), ("apiChild1", Some("a-1")), ("apiChild2", Some("b-2"))] {
            let mut lines = [demo_line(name), licences_line(1, None)];
            for line in &mut lines {
                line["apiRef"] = json!(reference);
                line["customerName"] = json!(reference.map(|_| "Pier"));
            }
            let order = client.cart("/user/checkout", &json!(lines)).expect(200).json();
            client.process(&order, "1").expect(200);
        }
        for route in ["/cloud", "/android"] {
            for (query, count) in [
                (&[][..], 1),
                (&[("includeChildCompanies", "0")], 1),
                (&[("includeChildCompanies", "1")], 3),
                (&[("companyApiRef", "a-1")], 1),
                (&[("companyApiRef", "a-1"), ("includeChildCompanies", "1")], 1),
                (&[("companyApiRef", "a-1"), ("includeChildCompanies", "0")], 1),
                (&[("companyApiRef", "unknown")], 0),
            ] {
                let (rows, total) = client.list(route, query);
                assert_eq!((rows.len() as i64, total), (count, count), "{route} {query:?}");
            }
            let answer = client.get(route, &[("includeChildCompanies", "maybe")]).expect(422);
            assert_eq!(answer.json()["property"], "includeChildCompanies");
        }
        let other = Client::another(&node);
        assert_eq!(other.list("/cloud", &[("companyApiRef", "a-1")]).1, 0);
        assert_eq!(other.list("/android", &[("includeChildCompanies", "1")]).1, 0);
    }

    fn instances_are_searched_by_number_and_name(node: TestNode) {
        let client = Client::new(&node);
        for name in ["apiX1y2Zlong", "apiX1y2Z", "other-one"] {
            client.demo(name);
        }
        let id = client.instance("other-one")["hostingId"].to_string();
        let find = |search: &str| client.list("/cloud", &[("search", search)]);
        let (rows, total) = find("accountName|apiX1y2Z");
        assert_eq!((names(&rows), total), (vec!["apiX1y2Z", "apiX1y2Zlong"], 2), "exact ones first");
        assert_eq!(names(&find("accountname|APIX1Y2Z").0).len(), 2);
        assert_eq!(names(&find(&format!("hostingId|{id}")).0), ["other-one"]);
        assert_eq!(find(&format!("hostingId|{id} accountName|apiX")).1, 0, "both hold");
        assert_eq!(names(&find("other").0), ["other-one"]);
        assert_eq!(find("hostingId|1").1, 0);
        for wildcard in ["accountName|%", "accountName|_", "accountName|a%Z"] {
            assert_eq!(find(wildcard).1, 0, "{wildcard}");
        }
        for bad in ["colour|red", "hostingId|x", "a accountName|x", "accountName|a accountName|b"] {
            let answer = client.get("/cloud", &[("search", bad)]).expect(422).json();
            assert_eq!(answer["property"], "search", "{bad}");
        }
    }

    fn pools_are_searched_as_the_client_writes_it(node: TestNode) {
        let client = Client::new(&node);
        client.save_card("pays");
        for (email, version) in [("a@b.example", "1.7"), ("a@b.example", "2"), ("aa@b.example", "2")] {
            let mut line = licences_line(1, Some(version));
            line["productDetails"]["emailAddress"] = json!(email);
            let order = client.quote(line);
            client.process(&order, "1").expect(200);
        }
        let find = |search: &str| client.list("/android", &[("search", search)]);
        let (rows, _) = find("email|a@b.example version|2");
        assert_eq!(rows[0]["email"], "a@b.example");
        assert_eq!(rows[0]["version"], "2");
        assert_eq!(find(" version|1.7").1, 1, "as it comes where no address is given");
        assert_eq!(find("email|A@B.EXAMPLE").1, 3);
        let id = rows[0]["versionId"].to_string();
        let (found, total) = find(&format!("versionid|{id}"));
        assert_eq!((&found[0], total), (&rows[0], 1));
        client.get("/android", &[("search", "colour|red")]).expect(422);
    }
}
