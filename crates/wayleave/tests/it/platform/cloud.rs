//! Hosted instances after they were ordered.

use serde_json::json;

use super::{Client, demo_line, line};
use crate::harness::{TestNode, on_both_databases};

on_both_databases! {
    fn an_instance_has_every_member(node: TestNode) {
        let client = Client::new(&node);
        let instance = client.demo("apiX1y2Z");
        assert_eq!(instance["accountId"], instance["hostingId"]);
        for (member, value) in [
            ("displays", json!(2)), ("isDemo", json!(1)), ("isMonthly", json!(0)),
            ("isRenew", json!(1)), ("renewalDate", json!("2027-03-30 10:20:30")),
            ("regionId", json!(1)), ("region", json!("London")), ("domainId", json!(1)),
            ("domain", json!("signage.example")), ("themeId", json!(1)),
            ("cmsVersionId", json!(3)), ("cmsVersion", json!("3.0")), ("status", json!("Demo")),
            ("url", json!("https://apix1y2z.signage.example")),
            ("createdDate", json!("2027-03-16 10:20:30")),
        ] {
            assert_eq!(instance[member], value, "{member}");
        }
        let account = client.get("/user/account", &[]).json();
        assert_eq!(instance["companyId"], account["companyId"]);
        assert_eq!(instance["company"], "Harbour Signs");
    }

    fn a_version_goes_up_and_never_down(node: TestNode) {
        let client = Client::new(&node);
        let mut old = demo_line("apiX1y2Z");
        old["productDetails"]["cms_version_id"] = json!(1);
        let order = client.quote(old);
        client.process(&order, "0").expect(200);
        let id = client.instance("apiX1y2Z")["hostingId"].to_string();
        let upgrade = |version: &str| {
            client.send("POST", &format!("/cloud/upgrade/{id}"), &[("cmsVersionId", version)])
        };
        assert_eq!(upgrade("2").expect(200).json()["cmsVersion"], "2.3");
        assert_eq!(upgrade("2").expect(200).json()["cmsVersionId"], 2);
        for wrong in ["1", "9", "two"] {
            assert_eq!(upgrade(wrong).expect(422).json()["property"], "cmsVersionId", "{wrong}");
        }
        assert_eq!(upgrade("").expect(200).json()["cmsVersionId"], 3, "the newest");
        assert_eq!(client.instance("apiX1y2Z")["cmsVersionId"], 3);
    }

    fn a_term_is_renewed_by_a_quotation(node: TestNode) {
        let client = Client::new(&node);
        client.save_card("pays");
        let id = client.demo("apiX1y2Z")["hostingId"].to_string();
        let renew = || client.send("PUT", &format!("/cloud/renewNow/{id}"), &[]).expect(200).json();
        let order = renew();
        assert_eq!(order["subTotal"], json!(90.0));
        assert_eq!(client.process(&order, "1").expect(200).json()["state"], "complete");
        let paid = client.instance("apiX1y2Z");
        assert_eq!((&paid["isDemo"], &paid["renewalDate"]), (&json!(0), &json!("2028-03-16 10:20:30")));
        let order = renew();
        client.process(&order, "1").expect(200);
        assert_eq!(client.instance("apiX1y2Z")["renewalDate"], "2029-03-16 10:20:30");
    }

    fn displays_are_the_wanted_number_and_fewer_are_refused(node: TestNode) {
        let client = Client::new(&node);
        client.save_card("pays");
        let demo = client.demo("apiX1y2Z");
        let change = |displays: u32| {
            let line = line(2, json!({ "displays": displays, "upgradeId": demo["hostingId"] }));
            client.cart("/user/checkout", &json!([line]))
        };
        let order = change(2).expect(200).json();
        client.process(&order, "1").expect(200);
        let order = change(5).expect(200).json();
        assert_eq!(order["subTotal"], json!(135.0), "three more for twelve months");
        client.process(&order, "1").expect(200);
        assert_eq!(client.instance("apiX1y2Z")["displays"], 5);
        assert_eq!(change(4).expect(422).json()["property"], "displays");
    }

    fn an_instance_is_deleted_by_number_and_name_and_that_is_recorded(node: TestNode) {
        let client = Client::new(&node);
        let id = client.demo("apiX1y2Z")["hostingId"].to_string();
        let delete = |name: &str| {
            client.send("DELETE", &format!("/cloud/deleteNow/{id}/{name}"), &[])
        };
        assert_eq!(delete("another").expect(422).json()["property"], "account_name");
        assert_eq!(client.list("/cloud", &[]).1, 1);
        let deleted = delete("api%58%31y2Z").expect(204);
        assert!(deleted.body.is_empty() && deleted.header("content-type").is_none());
        assert_eq!(client.list("/cloud", &[]).1, 0);
        delete("apiX1y2Z").expect(404);
        assert!(client.engine().pretended_provisioner().there().is_empty());
        let trail = node.operate("GET", "/test/v1/audit", None).expect(200).text();
        assert!(trail.contains("instance.delete") && trail.contains(&client.keys().credential));
        client.demo("apiX1y2Z");
    }
}
