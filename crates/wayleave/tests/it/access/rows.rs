//! What is decided, and what the object says of it.

use std::time::Duration;

use serde_json::{Value, json};
use wayleave_testkit::DatabaseKind;

use super::*;
use crate::harness::on_both_databases;

fn reason(object: &Value) -> (&str, &str) {
    (word(object, "AccessAction"), word(object, "AccessReason"))
}

on_both_databases! {
    fn a_first_visit_is_a_free_page_and_the_object_is_whole(node: TestNode) {
        let paper = Paper::open(node);
        let object = paper.ask("Story-1", "");
        let token = word(&object, "UserToken");
        let expected = json!({
            "UserToken": token,
            "UserTokenExpiration": "2027-03-30T10:20:30Z",
            "PropertyName": "harbour-daily",
            "PaywallDisplayStyle": "RedirectAll",
            "ResourceName": "Story-1",
            "UserName": "Anonymous User",
            "FirstName": "",
            "IsAnonymousUser": true,
            "IsAdSupported": false,
            "AdSupportedMessageTitle": "",
            "AdSupportedMessage": "",
            "AdBlockerStatus": "Unknown",
            "IsNoCost": false,
            "IsAccessibleForFree": false,
            "Quota": {
                "IsEnabled": true, "HitCount": 1, "AllowedHits": 2,
                "PeriodStartDate": "2027-03-01T00:00:00Z", "PeriodName": "Monthly", "IsMet": false,
            },
            "Subscription": {
                "IsExpired": false, "ExpirationDate": "2027-03-16T10:20:30Z",
                "IsCurrent": false, "SubscriptionGroupID": "",
            },
            "Purchase": { "IsPurchased": false },
            "AccessAction": "Grant",
            "AccessReason": "Quota",
            "AccessActionURL": "",
        });
        assert_eq!(object, expected);
    }

    fn the_object_comes_as_xml_to_who_asks_for_it(node: TestNode) {
        let paper = Paper::open(node);
        let site = &paper.site;
        let target = format!("/api/Resource/{}/Story-1", site.access.public_id);
        let call = site.access.signer().call(site.node.test, "GET", &target, site.now_s());
        let answer = call.header("Accept", "text/xml").send().expect(200);
        let text = answer.text();
        assert!(text.contains("<ResourceAccess><UserToken>") && text.contains("<Quota><IsEnabled>true</IsEnabled><HitCount>1</HitCount>"), "{text}");
        // Sites show a page when they get an error, so another format is no reason for one.
        let call = site.access.signer().call(site.node.test, "GET", &target, site.now_s());
        checked(call.header("Accept", "text/html").send());
    }

    fn a_quota_counts_distinct_pages_of_a_period_and_starts_anew(node: TestNode) {
        let mut paper = Paper::open(node);
        let first = paper.ask("Story-1", "");
        let mut token = word(&first, "UserToken").to_owned();
        for (page, expected) in [
            ("Story-1", ("Quota", 1, false)),
            ("Story-2", ("Quota", 2, true)),
            ("Story-3", ("Deny", 2, true)),
            ("Story-1", ("Quota", 2, true)),
            ("Story-3", ("Deny", 2, true)),
        ] {
            let object = paper.ask(page, &token);
            assert_eq!(metered(&object), expected, "{page}");
            assert_ne!(word(&object, "UserToken"), token, "each token is another");
            token = word(&object, "UserToken").to_owned();
        }
        let denied = paper.ask("Story-3", &token);
        let url = word(&denied, "AccessActionURL");
        let key = paper.site.access.public_id.to_lowercase();
        let begin = format!("{}/ResourceAccess/?ApiKey={key}&ResourceKey=Story-3&UserToken=", paper.site.node.test_url);
        assert!(url.starts_with(&begin) && url.ends_with("&SendTemporaryUserToken=True"), "{url}");
        assert!(url.contains(&word(&denied, "UserToken").replace('|', "%7c")), "{url}");
        // What was counted is counted after a restart too.
        paper.site.node.restart();
        assert_eq!(metered(&paper.ask("Story-3", &token)), ("Deny", 2, true));
        assert_eq!(metered(&paper.ask("Story-2", &token)), ("Quota", 2, true));
        // The first moment of April, in UTC: 15 days and some hours later.
        paper.site.node.clock.set(1_806_537_599);
        let march = paper.ask("Story-3", "");
        let token = word(&march, "UserToken").to_owned();
        paper.ask("Story-2", &token);
        assert_eq!(metered(&paper.ask("Story-1", &token)), ("Deny", 2, true));
        paper.site.node.clock.set(1_806_537_600);
        let april = paper.ask("Story-1", &token);
        assert_eq!(metered(&april), ("Quota", 1, false));
        assert_eq!(april["Quota"]["PeriodStartDate"], "2027-04-01T00:00:00Z");
        // A clock that is set back finds what was counted then.
        paper.site.node.clock.set(1_806_537_599);
        assert_eq!(metered(&paper.ask("Story-1", &token)), ("Deny", 2, true));
    }

    fn each_way_of_selling_has_its_row(node: TestNode) {
        let paper = Paper::open_with(node, |settings| settings["quota"]["enabled"] = json!(false));
        let put = |page: &str, body: Value| {
            paper.site.put(page, body).expect(200);
        };
        let tiers = json!([{ "Tier": 0, "Price": 0.6 }, { "Tier": 1440, "Price": 0 }]);
        put("Story-1", json!({ "PricingModel": "Free" }));
        put("Story-2", json!({ "PricingModel": "AuthenticationRequired" }));
        put("Story-3", json!({ "PricingModel": "TimeTiered", "ResourcePricingTiers": tiers }));
        put("Story-4", json!({ "PricingModel": "VariablePrice", "Price": 0 }));
        let ask = |page: &str| paper.ask(page, "");
        let free = ask("Story-1");
        assert_eq!((reason(&free), &free["IsNoCost"]), (("Grant", "Free"), &json!(true)));
        put("Story-4", json!({ "Title": "</script>", "URL": "https://news.example/Story-4" }));
        let structured = |page: &str| -> Value {
            let query = "IP=&ResourceURL=&UserToken=&includeStructuredData=true";
            let object = checked(paper.call(&format!("Resource/{page}"), query));
            let text = word(&object, "StructuredData");
            assert!(!text.contains("</"), "{text}");
            serde_json::from_str(text).expect("JSON")
        };
        let (open, sold) = (structured("Story-1"), structured("Story-4"));
        assert_eq!((&open["isAccessibleForFree"], open.get("hasPart")), (&json!(true), None));
        assert_eq!((&sold["isAccessibleForFree"], &sold["hasPart"]["cssSelector"]), (&json!(false), &json!(".paid")));
        assert_eq!((&sold["name"], &sold["url"]), (&json!("</script>"), &json!("https://news.example/Story-4")));
        assert!(free.get("StructuredData").is_none());
        assert_eq!(free["Quota"], json!({
            "IsEnabled": false, "HitCount": -1, "AllowedHits": -1,
            "PeriodStartDate": "2027-03-16T10:20:30Z", "PeriodName": "", "IsMet": true,
        }));
        assert_eq!(reason(&ask("Story-2")), ("Authenticate", "Deny"));
        assert_eq!(reason(&ask("Story-3")), ("Purchase", "Deny"));
        assert_eq!(reason(&ask("Story-4")), ("Purchase", "Deny"));
        // A page that nobody has made a resource of is public, whatever its key is.
        for key in ["api-validation", "/news/long", "Unknown%20Page", ""] {
            assert_eq!(reason(&ask(key)), ("Grant", "UnknownResource"), "{key}");
        }
        paper.site.node.clock.advance(Duration::from_secs(1_440 * 60));
        assert_eq!(reason(&ask("Story-3")), ("Grant", "Free"));
        put("Story-4", json!({ "Active": false }));
        assert_eq!(reason(&ask("Story-4")), ("Grant", "UnknownResource"));
        put("Story-4", json!({ "Active": true, "PricingModel": "SubscriptionOnly" }));
        assert_eq!(reason(&ask("Story-4")), ("Purchase", "Deny"));
        paper.site.manage("DELETE", "/Resource/Story-4", None).expect(200);
        assert_eq!(reason(&ask("Story-4")), ("Grant", "UnknownResource"));
    }

    fn a_property_may_ask_everybody_to_sign_in(node: TestNode) {
        let paper = Paper::open_with(node, |settings| {
            settings["always_require_authentication"] = json!(true);
        });
        assert_eq!(reason(&paper.ask("Story-1", "")), ("Authenticate", "Deny"));
        let token = paper.token_of(&paper.reader("areader"));
        assert_eq!(reason(&paper.ask("Story-1", &token)), ("Grant", "Quota"));
        paper.change(|settings| settings["free_resources_require_authentication"] = json!(true));
        paper.site.put("Story-2", json!({ "PricingModel": "Free" })).expect(200);
        assert_eq!(reason(&paper.ask("Story-2", "")), ("Authenticate", "Deny"));
        assert_eq!(reason(&paper.ask("Story-2", &token)), ("Grant", "Free"));
    }

    fn advertisements_pay_unless_somebody_blocks_them(node: TestNode) {
        let paper = Paper::open_with(node, |settings| {
            settings["ad_supported"] = json!({ "enabled": true, "title": "Ads", "message": "Please", "on_blocker": "warn" });
        });
        let ask = |paper: &Paper, status: &str| {
            checked(paper.call("Resource/Story-1", &format!("adblockerstatus={status}")))
        };
        for status in ["", "Unknown", "DetectionNotPerformed", "AdBlockerNotDetected", "AdBlockerDetected", "nonsense"] {
            let object = ask(&paper, status);
            assert_eq!(reason(&object), ("Grant", "AdSupported"), "{status}");
            let told = [&object["AdSupportedMessageTitle"], &object["AdSupportedMessage"]];
            assert_eq!((told, &object["IsAdSupported"], &object["IsNoCost"]), ([&json!("Ads"), &json!("Please")], &json!(true), &json!(true)));
        }
        paper.change(|settings| settings["ad_supported"] = json!({ "enabled": true, "on_blocker": "require" }));
        let refused = ask(&paper, "AdBlockerDetected");
        assert_eq!((reason(&refused), &refused["AdBlockerStatus"]), (("Purchase", "Deny"), &json!("AdBlockerDetected")));
        assert_eq!(reason(&ask(&paper, "AdBlockerNotDetected")), ("Grant", "AdSupported"));
    }

    fn a_price_follows_from_how_often_a_page_was_read(node: TestNode) {
        let paper = Paper::open_with(node, |settings| settings["quota"]["enabled"] = json!(false));
        let tiers = json!([{ "Tier": 0, "Price": 0 }, { "Tier": 3, "Price": 0.5 }]);
        let body = json!({ "PricingModel": "ViewTiered", "ResourcePricingTiers": tiers });
        paper.site.put("Story-1", body).expect(200);
        for view in 1..=3 {
            assert_eq!(reason(&paper.ask("Story-1", "")), ("Grant", "Free"), "{view}");
        }
        assert_eq!(reason(&paper.ask("Story-1", "")), ("Purchase", "Deny"));
        let engine = paper.site.node.engine(paper.site.environment);
        crate::harness::wait_for(engine.write_views()).expect("written");
        let mut paper = paper;
        paper.site.node.restart();
        assert_eq!(reason(&paper.ask("Story-1", "")), ("Purchase", "Deny"));
        let engine = paper.site.node.engine(paper.site.environment);
        crate::harness::wait_for(engine.write_views()).expect("written");
        paper.site.manage("DELETE", "/Resource/Story-1", None).expect(200);
        let database = paper.site.node.database(paper.site.environment);
        let kept = database.run("SELECT COUNT(*) FROM resource_count");
        assert_eq!(kept.trim(), "0", "a page that is gone has no counts");
    }
}

mod while_the_store_is_away {
    use super::*;

    #[test]
    fn on_sqlite() {
        while_the_store_is_away_pages_are_denied_or_shown_as_the_property_says(
            DatabaseKind::Sqlite,
        );
    }

    #[test]
    fn on_postgres() {
        if DatabaseKind::Postgres.is_available() {
            while_the_store_is_away_pages_are_denied_or_shown_as_the_property_says(
                DatabaseKind::Postgres,
            );
        }
    }
}

fn while_the_store_is_away_pages_are_denied_or_shown_as_the_property_says(kind: DatabaseKind) {
    for opens in [false, true] {
        let paper = Paper::open_with(TestNode::start(kind), |settings| {
            settings["open_when_unavailable"] = json!(opens);
        });
        let free = json!({ "PricingModel": "Free" });
        paper.site.put("Story-4", free).expect(200);
        let seen = word(&paper.ask("Story-1", ""), "UserToken").to_owned();
        paper.ask("Story-4", "");
        paper.ask("Story-2", "");
        let databases = &paper.site.node.databases;
        databases.take_away(paper.site.environment);
        let reason =
            |page: &str, token: &str| word(&paper.ask(page, token), "AccessReason").to_owned();
        // A page that was counted is decided from memory.
        assert_eq!(reason("Story-1", &seen), "Quota");
        assert_eq!(reason("Story-4", ""), "Free");
        let unseen = if opens { "Quota" } else { "Deny" };
        assert_eq!(reason("Story-2", ""), unseen);
        // Of a page that was never asked about nobody knows whether it is sold.
        assert_eq!(reason("Story-3", ""), unseen);
        assert_eq!(reason("Unknown", ""), unseen);
    }
}
