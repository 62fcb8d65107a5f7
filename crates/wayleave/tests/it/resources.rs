//! `/api/Property/…`: a property and its pages, as its Management key set sees them.

use serde_json::{Value, json};

use crate::harness::{TestNode, on_both_databases};
use crate::site::Site;

on_both_databases! {
    fn a_property_shows_its_settings_and_nothing_is_missing(node: TestNode) {
        let site = Site::open(node);
        let shown = site.manage("GET", "", None).expect(200).json();
        let group = &shown["PricingGroups"][0];
        let id = group["PricingGroupID"].as_str().expect("an id");
        assert_eq!(id.len(), 36);
        let expected = json!({
            "Name": "harbour-daily",
            "Title": "harbour-daily",
            "DynamicallyCreateResources": false,
            "EnableQuota": false,
            "EnableSubscriptions": false,
            "EnableSinglePurchases": false,
            "AlwaysRequireAuthentication": false,
            "FreeResourcesRequireAuthentication": false,
            "Quota": 0,
            "QuotaPeriod": "Monthly",
            "SubscriptionGroups": [],
            "PricingGroups": [{
                "PricingGroupID": id,
                "Name": "Standard",
                "IsDefault": true,
                "PricingModel": "Free",
                "Price": 0.0,
                "ExpirationPeriodUnit": "Never",
                "ExpirationPeriodValue": 0,
                "TargetConversionRate": 0.0,
                "TargetConversionPriceFloor": 0.0,
                "TargetConversionHitsPerRecalculationPeriod": 0,
            }],
        });
        assert_eq!(shown, expected);
        let target = format!("/test/v1/properties/{}/change", site.property);
        let renamed = site.node.operate("POST", &target, Some(json!({ "name": "harbour" })));
        renamed.expect(200);
        let shown = site.manage("GET", "", None).expect(200).json();
        assert_eq!(shown["Name"], "harbour");
    }

    fn a_resource_is_made_shown_changed_and_removed(node: TestNode) {
        let site = Site::open(node);
        let missing = site.manage("GET", "/Resource/Story-0042", None).expect(404);
        assert!(missing.json()["Message"].is_string(), "{}", missing.text());
        let nameless = site.put("Story-0042", json!({ "Title": "T" })).expect(400);
        assert_eq!(nameless.json()["Message"], "Name: a new resource has one");
        let made = site.put("Story-0042", json!({
            "ExternalKey": "another", "Name": "Harbour report", "Active": 1, "Price": "0.50",
            "URL": "https://news.example/harbour-report", "PublicationDate": "2027-03-01T08:30:00+02:00",
            "PricingModel": "FixedPrice", "ExpirationPeriodUnit": "Days", "ExpirationPeriodValue": "30",
        })).expect(200).json();
        assert_eq!(made["ExternalKey"], "Story-0042");
        assert_eq!(made["PublicationDate"], "2027-03-01T06:30:00");
        assert_eq!(made["Price"], 0.5);
        assert_eq!(made["Property"], Value::Null);
        let shown = site.manage("GET", "/Resource/Story-0042", None).expect(200).json();
        assert_eq!(shown, made);
        let changed = site.put("Story-0042", json!({
            "title": "What the harbour report says", "Name": null,
            "ResourcePricingTiers": [{ "Tier": 1440, "Price": 0.25 }, { "Tier": "0", "Price": 0.6 }],
        })).expect(200).json();
        assert_eq!(changed["Name"], "Harbour report");
        assert_eq!(changed["Title"], "What the harbour report says");
        let tiers = json!([{ "Tier": 0, "Price": 0.6 }, { "Tier": 1440, "Price": 0.25 }]);
        assert_eq!(changed["ResourcePricingTiers"], tiers);
        let with = site.manage("GET", "/Resource/Story-0042?includePropertyData=true", None);
        assert_eq!(with.expect(200).json()["Property"]["Name"], "harbour-daily");
        let gone = site.manage("DELETE", "/Resource/Story-0042", None).expect(200);
        assert_eq!(gone.json(), changed);
        site.manage("GET", "/Resource/Story-0042", None).expect(404);
        site.manage("DELETE", "/Resource/Story-0042", None).expect(404);
    }
}

#[test]
fn an_access_key_set_manages_nothing() {
    let site = Site::open(TestNode::start(wayleave_testkit::DatabaseKind::Sqlite));
    let target = format!("/api/Property/{}", site.access.public_id);
    let signer = site.access.signer();
    let answer = signer
        .call(site.node.test, "GET", &target, site.now_s())
        .send();
    answer.expect(403);
}

#[test]
fn a_key_set_of_no_property_manages_nothing() {
    let site = Site::open(TestNode::start(wayleave_testkit::DatabaseKind::Sqlite));
    let keys = site
        .node
        .keys(site.environment, wayleave_core::Audience::Management);
    let target = format!("/api/Property/{}", keys.public_id);
    let answer = keys
        .signer()
        .call(site.node.test, "GET", &target, site.now_s())
        .send();
    let told = answer.expect(403).json()["Message"].to_string();
    assert!(told.contains("belongs to no property"), "{told}");
}
