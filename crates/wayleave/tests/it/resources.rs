//! `/api/Property/…`: a property and its pages, as its Management key set sees them.

use serde_json::{Value, json};
use wayleave_testkit::DatabaseKind;

use crate::cli_admin::{document, text};
use crate::harness::{PROPERTY_ADMINISTRATOR, SUPPORT, TestNode, on_both_databases};
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
    let site = Site::open(TestNode::start(DatabaseKind::Sqlite));
    let target = format!("/api/Property/{}", site.access.public_id);
    let signer = site.access.signer();
    let answer = signer
        .call(site.node.test, "GET", &target, site.now_s())
        .send();
    answer.expect(403);
}

#[test]
fn a_key_set_of_no_property_manages_nothing() {
    let site = Site::open(TestNode::start(DatabaseKind::Sqlite));
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

/// Settings with groups of both kinds.
fn settings() -> Value {
    json!({
        "title": "The Harbour Daily",
        "quota": { "enabled": true, "allowed": 5 },
        "subscriptions": true,
        "single_purchases": true,
        "pricing_groups": [
            {
                "id": "1C6D0F52-2B7E-4C11-9D0A-7F3E5B9A2D60", "name": "Standard", "default": true,
                "pricing": {
                    "model": "FixedPrice", "price_minor": 35,
                    "expiration": { "unit": "Days", "value": 30 },
                },
            },
            { "name": "Archive", "pricing": { "model": "SubscriptionOnly" } },
        ],
        "subscription_groups": [
            { "name": "all-access", "title": "All access", "price_minor": 750 },
        ],
    })
}

fn settings_target(site: &Site, verb: &str) -> String {
    format!("/test/v1/properties/{}/{verb}", site.property)
}

on_both_databases! {
    fn settings_are_put_changed_and_count_from_the_next_request_on(node: TestNode) {
        let site = Site::open(node);
        let operate = |method: &str, verb: &str, body: Option<Value>| {
            site.node.operate(method, &settings_target(&site, verb), body)
        };
        let first = operate("GET", "settings", None).expect(200).json();
        assert_eq!(first["version"], 0);
        let put = operate("POST", "settings", Some(settings())).expect(200).json();
        assert_eq!((&put["version"], &put["property"]), (&json!(1), &json!(site.property)));
        assert_eq!(operate("GET", "settings", None).expect(200).json(), put);
        let shown = site.manage("GET", "", None).expect(200).json();
        assert_eq!(shown["Title"], "The Harbour Daily");
        assert_eq!((&shown["Quota"], &shown["EnableQuota"]), (&json!(5), &json!(true)));
        let group = &shown["SubscriptionGroups"][0];
        assert_eq!((&group["Price"], &group["Period"]), (&json!(7.5), &json!("Monthly")));
        assert_eq!(shown["PricingGroups"][0]["Price"], 0.35);
        let part = json!({ "quota": { "allowed": 7 }, "truncate_names": true });
        let changed = operate("POST", "change-settings", Some(part)).expect(200).json();
        assert_eq!(changed["version"], 2);
        assert_eq!(changed["settings"]["quota"], json!({ "enabled": true, "allowed": 7, "period": "Monthly" }));
        let long = "x".repeat(60);
        let cut = site.put("Story-1", json!({ "Name": long })).expect(200).json();
        assert_eq!(cut["Name"], "x".repeat(50));
        for (part, why) in [
            (json!({ "colour": 1 }), "colour"),
            (json!({ "pricing_groups": [] }), "exactly one has default"),
            (json!({ "quota": { "allowed": -1 } }), "invalid value"),
        ] {
            let told = operate("POST", "change-settings", Some(part)).expect(422).text();
            assert!(told.contains(why), "{told}");
        }
        let others = json!({ "pricing_groups": [
            { "name": "Other", "default": true, "pricing": { "model": "Free" } },
        ] });
        let told = operate("POST", "change-settings", Some(others)).expect(409).text();
        assert!(told.contains("give its pages another one first"), "{told}");
        assert_eq!(operate("GET", "settings", None).expect(200).json()["version"], 2);
    }

    fn what_is_put_again_without_ids_is_the_same_to_who_bought_it(node: TestNode) {
        let site = Site::open(node);
        let mut settings = settings();
        for groups in ["subscription_groups", "pricing_groups"] {
            settings[groups][0].as_object_mut().expect("a group").remove("id");
        }
        let put = || {
            site.put_settings(&settings);
            site.manage("GET", "", None).expect(200).json()
        };
        let first = put();
        assert_eq!(put(), first);
        settings["title"] = json!("Another");
        site.put_settings(&settings);
        let shown = site.manage("GET", "", None).expect(200).json();
        for groups in ["SubscriptionGroups", "PricingGroups"] {
            assert_eq!(shown[groups], first[groups]);
        }
    }

    fn a_list_has_every_resource_once_in_the_order_of_making(node: TestNode) {
        let site = Site::open(node);
        assert_eq!(site.manage("GET", "/Resource", None).expect(200).json(), json!([]));
        site.put("First", json!({ "Name": "First" })).expect(200);
        let shown = site.manage("GET", "/Resource/First", None).expect(200).json();
        assert_eq!(site.manage("GET", "/Resource", None).expect(200).json(), json!([shown]));
        let database = site.node.database(site.environment);
        // More than are read at once, and a page that ends where the list does.
        database.run(&copies(599));
        let list = site.manage("GET", "/Resource", None).expect(200).json();
        let list = list.as_array().expect("a list");
        let keys: Vec<_> = list.iter().filter_map(|row| row["ExternalKey"].as_str()).collect();
        assert_eq!(keys.len(), 600);
        assert!(keys[1..].is_sorted(), "{keys:?}");
        assert_eq!((keys[0], keys[599]), ("First", "Copy-100599"));
    }

    fn changes_of_pages_are_seen_whatever_memory_held(node: TestNode) {
        let site = Site::open(node);
        let show = |key: &str| site.manage("GET", &format!("/Resource/{key}"), None);
        show("Later").expect(404);
        site.put("Later", json!({ "Name": "Later" })).expect(200);
        for number in 0..5 {
            let name = format!("Name {number}");
            site.put("Later", json!({ "Name": name })).expect(200);
            assert_eq!(show("Later").expect(200).json()["Name"], name);
        }
        site.manage("DELETE", "/Resource/Later", None).expect(200);
        show("Later").expect(404);
    }
}

/// Copies of the first resource, by SQL.
fn copies(count: usize) -> String {
    format!(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})
         INSERT INTO resource
         SELECT 'rsc_70000000000000' || (100000 + i) || '000000', property_id,
             'Copy-' || (100000 + i), name, active, url, title, byline, description, published_at,
             pricing_group, pricing, paywall_description, paywall_short_description, origin, changed_at
         FROM resource, n WHERE external_key = 'First'"
    )
}

#[test]
fn settings_are_administered_by_those_who_were_given_the_property() {
    let mut site = Site::open(TestNode::start(DatabaseKind::Sqlite));
    let call = |site: &Site, token: &str, verb: &str| {
        let target = settings_target(site, verb);
        let call = site.node.admin.post(&target).bearer(token);
        call.json(&json!({ "subscriptions": true })).send()
    };
    let verb = "change-settings";
    call(&site, SUPPORT, verb).expect(403);
    call(&site, PROPERTY_ADMINISTRATOR, verb).expect(404);
    let property = site.property.clone();
    site.node.give(&[&property]);
    site.node.restart();
    call(&site, PROPERTY_ADMINISTRATOR, verb).expect(200);
    let target = settings_target(&site, "settings");
    let shown = site.node.admin.get(&target).bearer(SUPPORT).send();
    assert_eq!(shown.expect(200).json()["settings"]["subscriptions"], true);
}

#[test]
fn settings_go_out_and_in_again_by_command() {
    let site = Site::open(TestNode::start(DatabaseKind::Sqlite));
    let (node, property) = (&site.node, site.property.as_str());
    let folder = node.folder.path();
    let put = |name: &str, contents: &str| {
        let file = folder.join(name);
        std::fs::write(&file, contents).expect("written");
        let file = file.to_str().expect("a path");
        document(node, &["property", "put-settings", property, file])
    };
    let first = put("settings.json", &settings().to_string());
    assert_eq!(first["version"], 1);
    let shown = text(node, &["property", "settings", property]);
    assert!(shown.contains("title = \"The Harbour Daily\""), "{shown}");
    let again = put("settings.toml", &shown);
    assert_eq!(
        (&again["version"], &again["settings"]),
        (&json!(2), &first["settings"])
    );
    let changes = [
        "quota.allowed=9",
        "display_style=ModalOverlay",
        "subscriptions=false",
    ];
    let command = [&["property", "change-settings", property][..], &changes].concat();
    let settings = document(node, &command)["settings"].take();
    assert_eq!(
        settings["quota"],
        json!({ "enabled": true, "allowed": 9, "period": "Monthly" })
    );
    assert_eq!(settings["display_style"], "ModalOverlay");
    assert_eq!(settings["subscriptions"], false);
}
