//! New master keys: `wayleave master-key`, sealing anew and hashing anew.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use wayleave::ports::SystemRandomness;
use wayleave_core::{Audience, Environment, Timestamp};
use wayleave_engine::{Resealing, Store, StoreRuntime, Vault};
use wayleave_store::{SealedNoun, SealedRow};

use crate::harness::{Keys, NOW_S, TestNode, on_both_databases, printed, refused};

const LIVE: Environment = Environment::Live;

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

fn key_file(node: &TestNode) -> PathBuf {
    node.settings().environments[0].master_key.clone()
}

fn add_key(node: &TestNode) {
    let file = key_file(node);
    printed(&["master-key", "add", "--file", text(&file)]);
}

fn vault(node: &TestNode) -> Vault {
    let content = std::fs::read_to_string(key_file(node)).expect("the file");
    Vault::from_file(&content).expect("master keys")
}

/// What status says of each key, the newest first.
fn status(config: &Path) -> Vec<Value> {
    let told = printed(&[
        "master-key",
        "status",
        "--config",
        text(config),
        "--env",
        "live",
        "--json",
    ]);
    let told: Value = serde_json::from_str(&told).expect("json");
    told["keys"].as_array().expect("keys").clone()
}

fn sealed(key: &Value) -> i64 {
    let names = ["sealed_secrets", "signing_keys", "sealed_values"];
    names
        .iter()
        .map(|name| key[name].as_i64().expect("a number"))
        .sum()
}

/// Waits until what is counted is none.
fn wait_for_none(config: &Path, count: impl Fn(&Value) -> i64) {
    let is_done = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        status(config)[1..].iter().all(|key| count(key) == 0)
    });
    assert!(is_done, "{:?}", status(config));
}

fn signs(node: &TestNode, keys: &Keys) -> u16 {
    let path = format!("/api/Property/{}", keys.public_id);
    let [timestamp, authentication] = keys.signer().headers("GET", &path, NOW_S);
    let call = node.live.get(&path).header(&timestamp.0, &timestamp.1);
    call.header(&authentication.0, &authentication.1)
        .send()
        .status
}

/// Every sealed row of live.
fn sealed_rows(store: &Store, runtime: &StoreRuntime) -> Vec<SealedRow> {
    let read = |noun| {
        let page =
            store.read(move |reader| Box::pin(reader.sealed_under_others(noun, "", "", 10_000)));
        runtime.handle().block_on(page).expect("rows")
    };
    SealedNoun::ALL.into_iter().flat_map(read).collect()
}

/// Live's store, without a node.
fn open_store(node: &TestNode) -> (StoreRuntime, Store) {
    let runtime = StoreRuntime::start().expect("a runtime");
    let database = &node.settings().environments[0].database;
    let opening = Store::open(&runtime, database, LIVE, Timestamp::from_unix_s(NOW_S));
    let store = runtime.handle().block_on(opening).expect("the store");
    (runtime, store)
}

on_both_databases! {
    fn a_new_master_key_takes_over_and_the_old_one_goes(node: TestNode) {
        let mut node = node;
        let hashed = node.keys(LIVE, Audience::Routes);
        let unused = node.keys(LIVE, Audience::Routes);
        let signing = node.keys(LIVE, Audience::Management);
        let token = node.token(LIVE, &hashed);
        let url = node.live_url.clone();
        node.say_url(LIVE, &url);
        let comment = "# of the first days\n";
        let first = std::fs::read_to_string(key_file(&node)).expect("the file");
        wayleave::key_file::write_private(&key_file(&node), &format!("{comment}{first}")).expect("written");
        let config = node.config_file();
        let old = status(&config)[0]["key"].as_str().expect("a name").to_owned();
        add_key(&node);
        let remove = ["master-key", "remove", "--config", text(&config), "--env", "live", &old];
        assert!(refused(&remove).contains("still needed: 5 sealed rows"), "{}", refused(&remove));
        assert!(std::fs::read_to_string(key_file(&node)).expect("the file").contains(comment));

        node.restart();
        wait_for_none(&config, sealed);
        assert!(refused(&remove).contains("2 hashed secrets"), "{}", refused(&remove));
        assert_eq!(signs(&node, &signing), 200);
        assert_eq!(node.live.get("/hello").bearer(&token).send().status, 200, "tokens live on");
        // A hash is made anew when its secret is used.
        node.token(LIVE, &hashed);
        node.token(LIVE, &unused);
        wait_for_none(&config, |key| key["hashed_secrets"].as_i64().expect("a number"));
        node.token(LIVE, &hashed);

        assert!(printed(&remove).contains("is gone"));
        assert!(refused(&remove).contains("there is no master key"));
        let newest = status(&config)[0]["key"].as_str().expect("a name").to_owned();
        let last = ["master-key", "remove", "--config", text(&config), "--env", "live", &newest];
        assert!(refused(&last).contains("newest"));
        node.restart();
        assert_eq!(signs(&node, &signing), 200);
        node.token(LIVE, &hashed);
        assert_eq!(status(&config).len(), 1);
    }

    fn sealing_anew_goes_on_wherever_it_was_cut_off(node: TestNode) {
        let mut node = node;
        let keys: Vec<Keys> = (0..8).map(|_| node.keys(LIVE, Audience::Management)).collect();
        node.halt();
        add_key(&node);
        let vault = vault(&node);
        let mut left = usize::MAX;
        for _ in 0..20 {
            // Each round is a process that ends after one batch of two rows.
            let (runtime, store) = open_store(&node);
            let now = Timestamp::from_unix_s(NOW_S);
            let mut resealing = Resealing::default();
            let batch = resealing.next_batch(&store, &vault, &SystemRandomness, now, 2);
            runtime.handle().block_on(batch).expect("a batch");
            let rows = sealed_rows(&store, &runtime);
            assert_eq!(rows.len(), 12);
            rows.iter().for_each(|row| drop(vault.open_row(row).expect("it opens")));
            let older = rows.iter().filter(|row| row.master_key_id != vault.newest_key_id()).count();
            assert!(older <= left);
            left = older;
            // What is left of the secrets; the keys of tokens come after them.
            if rows.iter().all(|row| row.noun != SealedNoun::Secret || row.master_key_id == vault.newest_key_id()) {
                break;
            }
        }
        assert_eq!(left, 4, "the secrets are done; the keys of tokens, of readers and of the audit trail are not");
        node.start_again();
        wait_for_none(&node.config_file(), sealed);
        assert!(keys.iter().all(|keys| signs(&node, keys) == 200));
    }

    fn a_seal_moved_to_another_row_is_refused_by_all(node: TestNode) {
        let mut node = node;
        node.keys(LIVE, Audience::Management);
        node.keys(LIVE, Audience::Management);
        node.halt();
        let (runtime, store) = open_store(&node);
        let rows = sealed_rows(&store, &runtime);
        let (one, other) = (rows[0].clone(), rows[1].clone());
        let now = Timestamp::from_unix_s(NOW_S);
        let moved = one.clone();
        let swap = store.write(now, move |transaction| Box::pin(async move {
            transaction.replace_seal(&moved, &other.master_key_id, &other.sealed).await
        }));
        assert!(runtime.handle().block_on(swap).expect("written"));
        add_key(&node);
        let vault = vault(&node);
        let mut resealing = Resealing::default();
        while runtime
            .handle()
            .block_on(resealing.next_batch(&store, &vault, &SystemRandomness, now, 200))
            .expect("a batch")
        {}
        assert_eq!((resealing.resealed, resealing.refused), (5, 1));
        drop((store, runtime));
        let config = node.config_file();
        let output = crate::harness::ran(&["doctor", "--config", text(&config)]);
        let told = String::from_utf8(output.stdout).expect("text");
        assert!(!output.status.success() && told.contains(&one.name()), "{told}");
    }
}

#[test]
fn a_new_key_is_for_a_file_that_only_its_owner_reads() {
    let node = TestNode::start(wayleave_testkit::DatabaseKind::Sqlite);
    let file = key_file(&node);
    let before = std::fs::read_to_string(&file).expect("the file");
    let data = text(node.folder.path());
    let told = printed(&["master-key", "add", "--data", data, "--env", "live"]);
    let after = std::fs::read_to_string(&file).expect("the file");
    assert!(after.ends_with(&before) && after.lines().count() == 2);
    assert!(
        after.lines().all(|line| !told.contains(line)),
        "no key is printed"
    );
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(&file).expect("it").permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(&file, open).expect("set");
    assert!(refused(&["master-key", "add", "--file", text(&file)]).contains("chmod 600"));
}
