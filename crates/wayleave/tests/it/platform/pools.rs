//! Pools of licences and their devices.

use serde_json::{Value, json};
use wayleave_core::Timestamp;
use wayleave_engine::Device;

use super::{Client, licences_line, line};
use crate::harness::{NOW_S, TestNode, on_both_databases, wait_for};

/// A pool with two licences of an older version.
fn pool(client: &Client) -> Value {
    client.save_card("pays");
    let order = client.quote(licences_line(2, Some("1.7")));
    client.process(&order, "1").expect(200);
    client.list("/android", &[]).0[0].clone()
}

fn add_device(client: &Client, pool_version: i64, number: i64) {
    let device = Device {
        number,
        pool_version,
        hardware: format!("00:00:5E:00:53:{number:02X}"),
        name: "Lobby".to_owned(),
        model: "Screen 4".to_owned(),
        manufacturer: "Pier".to_owned(),
        version_code: 206,
        is_blocked: false,
        is_rental: false,
        seen_at: Some(Timestamp::from_unix_s(NOW_S)),
    };
    let now = Timestamp::from_unix_s(NOW_S);
    let written = client.engine().store().write(now, move |transaction| {
        Box::pin(async move { transaction.add_device(&device).await })
    });
    wait_for(written).expect("a device");
}

on_both_databases! {
    fn a_pool_has_every_member_and_licences_for_one_address_share_it(node: TestNode) {
        let client = Client::new(&node);
        let first = pool(&client);
        for (member, value) in [
            ("email", json!("test@springsignage.com")), ("version", json!("1.7")),
            ("numberOfLicences", json!(2)), ("numberOfUpgrades", json!(0)),
            ("numberOfPlayers", json!(0)), ("numberOfRenewals", json!(0)),
            ("onPremise", json!(0)), ("renewalDate", json!(0)), ("isRenew", json!(0)),
            ("isMonthly", json!(0)), ("lastPing", Value::Null),
            ("company", json!("Harbour Signs")), ("upgradesAvailable", json!(true)),
        ] {
            assert_eq!(first[member], value, "{member}");
        }
        let uid = format!("{}_{}", first["androidId"], first["versionId"]);
        assert_eq!(first["uid"], uid);
        let more = client.quote(licences_line(3, Some("1.7")));
        client.process(&more, "1").expect(200);
        let (rows, total) = client.list("/android", &[]);
        assert_eq!((total, &rows[0]["numberOfLicences"]), (1, &json!(5)));
    }

    fn licences_are_upgraded_by_number(node: TestNode) {
        let client = Client::new(&node);
        let pool = pool(&client);
        let upgrade = |count: u32| {
            let line = line(13, json!({ "upgradeId": pool["androidId"], "numLicences": count }));
            client.cart("/user/checkout", &json!([line]))
        };
        assert_eq!(upgrade(3).expect(422).json()["property"], "numLicences");
        let order = upgrade(1).expect(200).json();
        client.process(&order, "1").expect(200);
        let (rows, _) = client.list("/android", &[("search", " version|2")]);
        assert_eq!(rows[0]["numberOfLicences"], 1);
        assert_eq!(rows[0]["numberOfUpgrades"], 1);
        assert_eq!(rows[0]["upgradesAvailable"], json!(false));
        assert_eq!(rows[0]["androidId"], pool["androidId"]);
        assert_eq!(client.list("/android", &[]).1, 2);
    }

    fn devices_are_listed_by_pages_and_their_licences_freed(node: TestNode) {
        let client = Client::new(&node);
        let version = pool(&client)["versionId"].as_i64().expect("a number");
        for number in [7, 8] {
            add_device(&client, version, number);
        }
        let route = format!("/android/devices/{version}");
        let (rows, total) = client.list(&route, &[("length", "1")]);
        assert_eq!(total, 2);
        assert_eq!(
            rows,
            [json!({
                "licenceId": 7, "uid": "00:00:5E:00:53:07", "pingDate": "2027-03-16 10:20:30",
                "blocked": 0, "versionCode": 206, "versionId": version, "name": "Lobby",
                "model": "Screen 4", "manufacturer": "Pier", "version": "1.7", "isRental": 0,
            })]
        );
        let (pools, _) = client.list("/android", &[]);
        assert_eq!(pools[0]["numberOfPlayers"], 2);
        assert_eq!(pools[0]["lastPing"], "2027-03-16 10:20:30");
        let remove = || client.send("DELETE", &format!("{route}/7"), &[]);
        let removed = remove().expect(204);
        assert!(removed.body.is_empty() && removed.header("content-type").is_none());
        remove().expect(404);
        assert_eq!(client.list(&route, &[]).1, 1);
        let trail = node.operate("GET", "/test/v1/audit", None).expect(200).text();
        assert!(trail.contains("device.remove"));
    }
}
