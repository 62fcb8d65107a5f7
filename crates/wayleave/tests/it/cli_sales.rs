//! The commands about what is sold: the real binary against a node.

use serde_json::{Value, json};
use wayleave_core::Environment;

use crate::cli_admin::{document, refused, run, text, word};
use crate::harness::{DemoProcess, TestNode, on_both_databases, printed};
use crate::sold;

const TEST: Environment = Environment::Test;

/// A partner with a card that does this; the catalogue was put by command.
fn partner(node: &TestNode, card: &str) -> String {
    let file = node.folder.path().join("catalogue.json");
    std::fs::write(&file, sold::catalogue().to_string()).expect("written");
    text(node, &["catalogue", "put", file.to_str().expect("a path")]);
    let partner = node.partner(TEST);
    text(node, &["account", "change", &partner, "--card", card]);
    partner
}

on_both_databases! {
    fn a_catalogue_goes_out_and_in_again_in_both_forms(node: TestNode) {
        let nothing = text(&node, &["catalogue", "show"]);
        assert!(nothing.starts_with("Catalogue in test") && nothing.contains("version      0"), "{nothing}");
        partner(&node, "none");
        let table = text(&node, &["catalogue", "show"]);
        assert!(table.contains("PRODUCT  NAME") && table.contains("24.00 EUR, 20.00 GBP, 26.00 USD"), "{table}");
        assert!(table.contains("VAT 20 %") && table.contains("standard reseller"), "{table}");
        let shown = document(&node, &["catalogue", "show"]);
        assert_eq!((&shown["version"], &shown["put_by"]), (&json!(1), &json!("ada")));
        let folder = node.folder.path();
        let again = folder.join("shown.json");
        std::fs::write(&again, shown.to_string()).expect("written");
        assert_eq!(document(&node, &["catalogue", "put", again.to_str().expect("a path")])["version"], 2);
        let toml = folder.join("catalogue.toml");
        std::fs::write(&toml, "currency = \"GBP\"\n[tax]\nname = \"none\"\nbasis_points = 0\n[[products]]\nnumber = 1\nkind = \"licence-pool\"\nname = \"Licences\"\n[[licence_versions]]\nnumber = 1\nname = \"1.7\"\n[[price_lists]]\nname = \"standard\"\nprices = [{ product = 1, currency = \"GBP\", unit_minor = 995 }]\n").expect("written");
        let put = text(&node, &["catalogue", "put", toml.to_str().expect("a path")]);
        assert!(put.starts_with("Put in test") && put.contains("9.95 GBP"), "{put}");
        assert_eq!(document(&node, &["catalogue", "show", "--version", "1"])["catalogue"], shown["catalogue"]);
        let wrong = folder.join("wrong.toml");
        std::fs::write(&wrong, "currency = \"GBP\"\nproducts = []\nprice_lists = []\n[tax]\nname = \"none\"\nbasis_points = 0\n").expect("written");
        let told = refused(&run(&node, &["catalogue", "put", wrong.to_str().expect("a path")]));
        assert!(told.contains("no price list of the name standard"), "{told}");
        let told = refused(&run(&node, &["catalogue", "put", "/nowhere.json"]));
        assert!(told.contains("/nowhere.json") && told.contains("TOML"), "{told}");
        assert_eq!(document(&node, &["catalogue", "show"])["version"], 3);
    }

    fn accounts_are_shown_and_changed(node: TestNode) {
        let partner = partner(&node, "pays");
        let shown = text(&node, &["account", "show", &partner]);
        assert!(shown.contains("card           Pretend •••• 4242"), "{shown}");
        let changed = document(&node, &["account", "change", &partner, "--currency", "USD", "--billing-email", "a@b.example"]);
        assert_eq!((&changed["currency"], &changed["billing_email"]), (&json!("USD"), &json!("a@b.example")));
        assert!(refused(&run(&node, &["account", "change", &partner, "--price-list", "gold"])).contains("no price list of this name"));
        let nothing = run(&node, &["account", "change", &partner]);
        assert_eq!(nothing.status.code(), Some(2), "something has to change");
    }

    fn orders_are_listed_shown_settled_cancelled_and_refunded(node: TestNode) {
        let partner = partner(&node, "none");
        let buy = |name: &str| word(&sold::buy(&node, TEST, &partner, &[sold::instance(2, name)]), "id");
        let (first, second) = (buy("first"), buy("second"));
        let table = text(&node, &["order", "list", "--state", "invoiced"]);
        assert!(table.starts_with("ID ") && table.contains("108.00") && table.ends_with(&format!("2 orders in test at http://127.0.0.1:{}.\n", node.admin.port())), "{table}");
        let shown = document(&node, &["order", "show", &first]);
        let number = shown["number"].to_string();
        let settled = text(&node, &["order", "settle", &number]);
        assert!(settled.starts_with("Settled in test") && settled.contains("complete") && settled.contains("ins_"), "{settled}");
        assert!(refused(&run(&node, &["order", "settle", &number])).contains("only an order that waits for its payment"));
        assert_eq!(document(&node, &["order", "cancel", &second])["state"], "cancelled");
        let refunded = text(&node, &["order", "refund", &first, "--why", "wrong shop"]);
        assert!(refunded.starts_with("Refunded in test"), "{refunded}");
        assert_eq!(document(&node, &["order", "list", "--partner", &partner]).as_array().map(Vec::len), Some(2));
        assert_eq!(text(&node, &["order", "list", "--env", "live", "--json"]), "[]\n");
        assert!(refused(&run(&node, &["order", "show", "1"])).contains("look at the id with list"));
    }

    fn what_is_stuck_is_found_by_one_command(node: TestNode) {
        let partner = partner(&node, "pays");
        assert!(text(&node, &["order", "list", "--stuck"]).starts_with("No order in test"));
        assert!(text(&node, &["pretend", "never"]).contains("provisioner  never"));
        assert_eq!(document(&node, &["pretend"]), json!({ "provisioner": "never" }));
        let given_up = sold::buy(&node, TEST, &partner, &[sold::instance(2, "gone")]);
        assert_eq!(given_up["state"], "refunded", "what can never be made is taken back at once");
        text(&node, &["pretend", "away"]);
        let order = word(&sold::buy(&node, TEST, &partner, &[sold::instance(2, "later")]), "id");
        node.clock.advance(std::time::Duration::from_secs(700));
        let stuck = document(&node, &["order", "list", "--stuck"]);
        assert_eq!((stuck.as_array().map(Vec::len), word(&stuck[0], "id")), (Some(1), order.clone()));
        assert_eq!(document(&node, &["order", "list", "--stuck", "60"]), json!([]));
        let shown = text(&node, &["order", "show", &order]);
        assert!(shown.contains(&format!("advance {order}")) && shown.contains("waiting"), "{shown}");
        assert!(refused(&run(&node, &["pretend", "well", "--env", "live"])).contains("404"));
        let name = format!("advance {order}");
        assert!(refused(&run(&node, &["job", "retry", &name])).contains("404"), "it was not given up");
        node.database(TEST).run(&format!("UPDATE job SET state = 'failed' WHERE name = '{name}'"));
        text(&node, &["pretend", "well"]);
        assert_eq!(document(&node, &["job", "list", "--state", "failed"])[0]["name"], json!(name));
        assert!(text(&node, &["job", "retry", &name]).starts_with("Tried again in test"));
        assert!(refused(&run(&node, &["order", "list", "--state", "paid"])).contains("quote, invoiced, processing"));
    }

    fn what_was_delivered_is_listed_and_a_plan_ended(node: TestNode) {
        let partner = node.partner(TEST);
        let sold = sold::sell_everything(&node, TEST, &partner);
        let instances = text(&node, &["instance", "list", "--partner", &partner]);
        assert!(instances.contains(&sold.instance) && instances.contains("DISPLAYS"), "{instances}");
        assert_eq!(document(&node, &["instance", "show", &sold.instance])["displays"], 2);
        let pools = text(&node, &["pool", "list"]);
        assert!(pools.contains("shop@harbour.example") && pools.contains("1 pool in test"), "{pools}");
        text(&node, &["pool", "add-device", &sold.pool, "--name", "Window", "--hardware", "02:00:00:00:00:01"]);
        let pool = text(&node, &["pool", "show", &sold.pool]);
        assert!(pool.contains("Window") && pool.contains("02:00:00:00:00:01"), "{pool}");
        assert_eq!(document(&node, &["pool", "list"])[0]["versions"][0]["used"], 1);
        assert!(refused(&run(&node, &["pool", "add-device", &sold.pool, "--name", "x", "--hardware", "x", "--for-version", "9"])).contains("no licences for this version"));
        let plans = text(&node, &["plan", "list", "--partner", &partner]);
        assert!(plans.contains("reports  active"), "{plans}");
        assert_eq!(document(&node, &["plan", "end", &sold.plan])["state"], "ended");
        assert!(refused(&run(&node, &["plan", "end", &sold.plan])).contains("ended already"));
        assert_eq!(document(&node, &["customer", "list"]), json!([]));
        assert!(text(&node, &["mail", "list", "--partner", &partner]).starts_with("No message in test"));
    }
}

#[test]
fn the_demonstration_has_something_to_sell_and_to_look_at_in_both_environments() {
    let mut demo = DemoProcess::start(wayleave_testkit::DatabaseKind::Sqlite);
    for round in 0..2 {
        let data = demo.folder.path().to_str().expect("a path").to_owned();
        for environment in ["live", "test"] {
            let ask = |words: &[&str]| -> Value {
                let place = ["--env", environment, "--data", &data, "--json"];
                serde_json::from_str(&printed(&[words, &place].concat())).expect("json")
            };
            assert_eq!(ask(&["catalogue", "show"])["version"], 1);
            let orders = ask(&["order", "list"]);
            assert_eq!(
                orders.as_array().map(Vec::len),
                Some(1),
                "round {round}: {orders}"
            );
            assert_eq!(orders[0]["state"], "complete");
            let instances = ask(&["instance", "list"]);
            assert_eq!(
                (&instances[0]["account_name"], &instances[0]["is_demo"]),
                (&json!("harbour"), &json!(false))
            );
            let pools = ask(&["pool", "list"]);
            let version = &pools[0]["versions"][0];
            assert_eq!(
                (&version["version"], &version["licences"], &version["used"]),
                (&json!("1.7"), &json!(10), &json!(1))
            );
            let account = ask(&["account", "show", &word(&orders[0], "partner")]);
            assert_eq!(account["card"], "Pretend •••• 4242");
        }
        demo.restart();
    }
}
