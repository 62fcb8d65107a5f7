//! `wayleave reader`: the real binary against a node.

use super::*;
use crate::cli_admin::{document, refused, run, text};
use crate::harness::on_both_databases;

on_both_databases! {
    fn a_reader_is_made_signed_in_sold_to_exported_and_erased_by_commands(node: TestNode) {
        let paper = Paper::open_with(node, |settings| settings["quota"]["enabled"] = json!(false));
        let (node, property) = (&paper.site.node, paper.site.property.as_str());
        let made = document(node, &["reader", "create", "--property", property, "--first-name", "Ana", "areader"]);
        let reader = word(&made, "id");
        let of = |verb: &'static str, more: &[&'static str]| {
            let mut words = vec!["reader", verb, "--property", property];
            words.extend(more);
            words.push(reader);
            words.into_iter().map(str::to_owned).collect::<Vec<String>>()
        };
        let words = |words: &[String]| words.iter().map(|word| word.clone().leak() as &str).collect::<Vec<&str>>();
        let told = refused(&run(node, &words(&of("buy", &["--resource", "Story-1"]))));
        assert!(told.contains("no saved card"), "{told}");
        let changed = text(node, &words(&of("change", &["--card", "pays", "--role", "none"])));
        assert!(changed.contains("Pretend •••• 4242"), "{changed}");
        let sold = text(node, &words(&of("buy", &["--resource", "Story-1"])));
        assert!(sold.starts_with("Sold in test") && sold.contains("complete") && sold.contains("0.35"), "{sold}");
        text(node, &words(&of("subscribe", &["--group", "all-access"])));
        let listed = text(node, &["reader", "list", "--property", property, "--name", "AREADER"]);
        assert!(listed.contains(reader), "{listed}");
        let mut sign_in = of("sign-in", &["--session-only"]);
        sign_in.splice(2..2, ["--key".to_owned(), paper.site.access.public_id.clone()]);
        let signed_in = document(node, &words(&sign_in));
        let object = paper.redeem("Story-1", word(&signed_in, "temporary_user_token"));
        assert_eq!((&object["AccessReason"], &object["UserTokenExpiration"]), (&json!("Purchase"), &json!("")));
        let data = document(node, &words(&of("export", &[])));
        assert_eq!((data["purchases"].as_array().map(Vec::len), data["orders"].as_array().map(Vec::len)), (Some(1), Some(2)));
        let shown = text(node, &words(&of("export", &[])));
        assert!(shown.contains("PURCHASE") && shown.contains(GROUP), "{shown}");
        let more = ["--group", GROUP, "--until", "1"];
        let ended = document(node, &words(&of("give-subscription", &more)));
        assert_eq!(ended["subscriptions"][0]["expires_at"], 1, "{ended}");
        text(node, &words(&of("erase", &["--yes"])));
        let told = refused(&run(node, &words(&of("show", &[]))));
        assert!(told.contains("404") || told.contains("nothing"), "{told}");
    }
}
