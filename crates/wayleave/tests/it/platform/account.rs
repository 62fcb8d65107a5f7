//! The account and the price list.

use serde_json::json;
use wayleave_engine::{AccountChange, Actor};

use super::{Client, licences_line};
use crate::harness::{TestNode, on_both_databases, wait_for};

on_both_databases! {
    fn an_account_has_nothing_that_clients_take_for_something_else(node: TestNode) {
        let client = Client::new(&node);
        let answer = client.get("/user/account", &[]).expect(200);
        let account = answer.json();
        for member in ["error", "originalValues", "jsonExclude"] {
            assert!(account.get(member).is_none(), "{member}");
        }
        assert!(!answer.text().contains(&client.keys().secret));
        let date = account["dateCreated"].as_str().expect("a date");
        assert_eq!(date, "2027-03-16 10:20:30");
    }

    fn a_price_list_is_the_partners_own(node: TestNode) {
        let client = Client::new(&node);
        let standard = client.get("/products", &[]).expect(200);
        assert_eq!(standard.header("x-total-count"), Some("5"));
        let standard = standard.json();
        let licences = &standard["products"][0];
        assert_eq!(licences["productId"], 1);
        assert_eq!(licences["costs"].as_array().expect("costs").len(), 3);
        assert_eq!(licences["costs"][0]["unitCost"], json!(24.0));
        assert_eq!(licences["costs"][0]["currencySymbol"], "€");
        assert_eq!(standard["products"][3]["costs"][0]["unitCost"], json!(0.0));
        for member in ["name", "description", "terms", "deliveryTerms"] {
            assert!(licences[member].is_string(), "{member}");
        }
        let change = AccountChange {
            price_list: Some("reseller".to_owned()),
            ..AccountChange::default()
        };
        let partner = client.keys().partner.parse().expect("an id");
        let by = Actor::system();
        wait_for(client.engine().change_account(&by, partner, change)).expect("changed");
        let own = client.get("/products", &[]).expect(200).json();
        assert_eq!(own["products"][0]["costs"].as_array().expect("costs").len(), 1);
        let order = client.quote(licences_line(2, None));
        assert_eq!(order["subTotal"], json!(48.0));
        assert_eq!(order["discount"], json!(7.2));
        assert_eq!(order["vat"], json!(8.16));
        assert_eq!(order["total"], json!(48.96));
        assert_eq!(client.get("/shop/list", &[]).expect(200).json(), own);
        assert_eq!(
            client.get("/", &[]).expect(200).json()["title"],
            "Wayleave Platform API"
        );
    }
}
