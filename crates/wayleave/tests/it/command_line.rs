//! The command line: what needs no server.

use std::io::Write;
use std::process::{Output, Stdio};

use serde_json::Value;
use wayleave_testkit::TestFolder;

use crate::harness::{binary, root};

const KEY: &str = "C4F1E2D3-9A8B-4C7D-8E6F-102938475665";
const SECRET: &str = "mgmt-3Kq9vZt2Lx7Rb5Yw8Nd4Hs6Jf1Pc0Gu";
const TIME: &str = "Tue, 16 Mar 2027 10:20:28 GMT";
/// Vector v03.
const SIGNATURE: &str = "G0nRxXo9T0SRoFFLMz8YSh3WMXxWt5XL6xHFvMJFUoY=";

fn target() -> String {
    format!("/api/Property/{KEY}/Resource/Story-0042?includePropertyData=true")
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn sign_makes_the_headers_of_the_published_example() {
    let sign = |address: &str| {
        let arguments = [
            "sign",
            "--access-key",
            KEY,
            "--timestamp",
            TIME,
            "GET",
            address,
        ];
        binary()
            .args(arguments)
            .env("WAYLEAVE_SECRET", SECRET)
            .output()
            .expect("signed")
    };
    let expected = format!("Timestamp: {TIME}\nAuthentication: {KEY}:{SIGNATURE}\n");
    assert_eq!(said(&sign(&target())), expected);
    assert_eq!(
        said(&sign(&format!("http://127.0.0.1:8081{}", target()))),
        expected
    );
}

#[test]
fn sign_takes_the_secret_from_a_private_file_and_not_from_an_open_one() {
    let folder = TestFolder::new();
    let file = folder.path().join("secret");
    wayleave::key_file::write_private(&file, &format!("{SECRET}\n")).expect("written");
    let sign = || {
        let command = [
            "sign",
            "--access-key",
            KEY,
            "--timestamp",
            TIME,
            "--json",
            "--secret-file",
        ];
        binary()
            .args(command)
            .arg(&file)
            .args(["GET", &target()])
            .output()
            .expect("signed")
    };
    let signed: Value = serde_json::from_slice(&sign().stdout).expect("json");
    assert_eq!(signed["authentication"], format!("{KEY}:{SIGNATURE}"));
    assert!(
        signed["base_string"]
            .as_str()
            .is_some_and(|base| base.ends_with("\nincludepropertydata=true"))
    );
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).expect("opened");
    let refused = sign();
    assert!(
        !refused.status.success() && said(&refused).contains("chmod 600"),
        "{}",
        said(&refused)
    );
}

#[test]
fn sign_without_a_secret_or_with_a_broken_time_says_what_to_do() {
    let run = |arguments: &[&str]| {
        binary()
            .args(arguments)
            .env_remove("WAYLEAVE_SECRET")
            .output()
            .expect("run")
    };
    let refused = run(&["sign", "--access-key", KEY, "GET", "/x"]);
    assert!(!refused.status.success() && said(&refused).contains("WAYLEAVE_SECRET"));
    let folder = TestFolder::new();
    let data = folder.path().to_str().expect("a path");
    let refused = run(&[
        "sign",
        "--as",
        "test.management",
        "--data",
        data,
        "GET",
        "/x",
    ]);
    assert!(
        !refused.status.success() && said(&refused).contains("wayleave demo"),
        "{}",
        said(&refused)
    );
    let command = [
        "sign",
        "--access-key",
        KEY,
        "--timestamp",
        "now",
        "GET",
        "/x",
    ];
    let refused = binary()
        .args(command)
        .env("WAYLEAVE_SECRET", "s")
        .output()
        .expect("run");
    assert!(
        !refused.status.success() && said(&refused).contains("is not a time"),
        "{}",
        said(&refused)
    );
}

#[test]
fn explain_finds_the_clock_the_signature_and_the_first_difference() {
    let authentication = format!("{KEY}:{SIGNATURE}");
    let explain = |base: &str, method: &str| {
        let mut child = binary()
            .args([
                "explain",
                "--timestamp",
                TIME,
                "--authentication",
                &authentication,
            ])
            .args(["--base-string", "-", "--json", method, &target()])
            .env("WAYLEAVE_SECRET", SECRET)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("explained");
        child
            .stdin
            .take()
            .expect("its input")
            .write_all(base.as_bytes())
            .expect("written");
        let output = child.wait_with_output().expect("its end");
        let found: Value = serde_json::from_slice(&output.stdout).expect("json");
        found
    };
    let base = format!(
        "GET\n{TIME}\n{}\nincludepropertydata=true",
        target().split('?').next().expect("a path").to_lowercase()
    );
    let right = explain(&base, "GET");
    assert_eq!(
        (&right["signature_is_right"], &right["first_difference"]),
        (&Value::Bool(true), &Value::Null)
    );
    let wrong = explain(&base.replace("true", "false"), "PUT");
    assert_eq!(wrong["signature_is_right"], false);
    assert!(
        wrong["first_difference"]
            .as_str()
            .is_some_and(|found| found.contains("line 1")),
        "{wrong}"
    );
    let arguments = [
        "explain",
        "--timestamp",
        TIME,
        "--authentication",
        &authentication,
        "GET",
        &target(),
    ];
    let told = said(
        &binary()
            .args(arguments)
            .env_remove("WAYLEAVE_SECRET")
            .output()
            .expect("told"),
    );
    assert!(
        told.contains("The string to sign") && told.contains("not checked"),
        "{told}"
    );
}

#[test]
fn config_check_knows_good_from_bad() {
    let example = root().join("deploy/wayleave.toml");
    let folder = TestFolder::new();
    let file = folder.path().join("wayleave.toml");
    let text = std::fs::read_to_string(&example).expect("the example");
    let data = folder.path().to_str().expect("a path");
    let text = text.replace("/var/lib/wayleave", data);
    std::fs::write(&file, &text).expect("written");
    let check = || {
        let mut command = binary();
        let command = command.args(["config", "check"]).arg(&file);
        command.output().expect("checked")
    };
    let early = check();
    assert!(!early.status.success() && said(&early).contains("admin.operators_file"));
    let made = binary()
        .args(["operator", "create", "ada", "--config"])
        .arg(&file)
        .output();
    assert!(made.expect("made").status.success());
    let good = check();
    assert!(good.status.success(), "{}", said(&good));
    for (from, to, why) in [
        ("[limits]", "[limitz]", "limitz"),
        (
            "path = \"/v2\"",
            "path = \"/oauth/token/x\"",
            "surface oauth",
        ),
        ("127.0.0.1:8081", "127.0.0.1:8080", "live address"),
        ("\"bearer\", \"token\"", "\"magic\"", "known are"),
        ("trusted = []", "trusted = [\"ten\"]", "10.0.0.0/8"),
        ("ES256\"", "HS256\"", "ES256"),
    ] {
        std::fs::write(
            &file,
            text.replacen(from, to, 1).replace("# ES256", "# the usual"),
        )
        .expect("written");
        let bad = check();
        assert!(
            !bad.status.success() && said(&bad).contains(why),
            "{to}: {}",
            said(&bad)
        );
    }
}

/// Makes an operator and returns their token.
fn make_operator(file: &std::path::Path, name: &str) -> String {
    let command = ["operator", "create", name, "--file"];
    let made = binary().args(command).arg(file).output().expect("made");
    assert!(made.status.success(), "{}", said(&made));
    let token = String::from_utf8(made.stdout).expect("text");
    assert!(
        token.starts_with("wl_opr_all_") && token.lines().count() == 1,
        "nothing but the token is on standard output"
    );
    token.trim().to_owned()
}

#[test]
fn operators_are_made_listed_and_removed_and_no_token_is_kept() {
    let folder = TestFolder::new();
    let file = folder.path().join("operators.toml");
    let (first, second) = (make_operator(&file, "ada"), make_operator(&file, "bo"));
    let content = std::fs::read_to_string(&file).expect("the file");
    assert!(!content.contains(&first) && !content.contains(&second));
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(&file).expect("the file").permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
    let run = |arguments: &[&str]| {
        let mut command = binary();
        command.arg("operator").args(arguments).arg("--file");
        command.arg(&file).output().expect("run")
    };
    let listed = run(&["list", "--json"]);
    let listed: Value = serde_json::from_slice(&listed.stdout).expect("json");
    assert_eq!(
        (&listed[0]["name"], &listed[1]["name"], &listed[1]["scope"]),
        (&"ada".into(), &"bo".into(), &"operator".into())
    );
    let refused = run(&["create", "ada"]);
    assert!(!refused.status.success() && said(&refused).contains("already"));
    let refused = run(&["create", "two\nlines"]);
    assert!(!refused.status.success() && said(&refused).contains("letters"));
    let refused = run(&["create", "eve", "--scope", "root"]);
    assert!(!refused.status.success() && said(&refused).contains("property_administrator"));
    assert!(run(&["remove", "ada"]).status.success());
    let refused = run(&["remove", "ada"]);
    assert!(!refused.status.success() && said(&refused).contains("no operator"));
    let operators = wayleave::operators_file::OperatorsFile::at(&file).operators();
    let operators = operators.expect("operators");
    let name = operators.find(&second).map(|found| found.name.clone());
    assert_eq!((operators.len(), name.as_deref()), (1, Some("bo")));
    assert!(operators.find(&first).is_none());
}

#[test]
fn an_operators_file_with_anything_unclear_is_refused() {
    let folder = TestFolder::new();
    let file = folder.path().join("operators.toml");
    make_operator(&file, "ada");
    let good = std::fs::read_to_string(&file).expect("the file");
    let opened = wayleave::operators_file::OperatorsFile::at(&file);
    for (bad, why) in [
        (String::new(), "nobody"),
        (good.replace("scope", "scopes"), "scopes"),
        (good.replace("\"operator\"", "\"root\""), "support"),
        (format!("{good}\n{good}"), "twice"),
        (
            good.replace("created_at = \"2", "created_at = \"x"),
            "created_at",
        ),
        (
            good.replace("token_sha256 = \"", "token_sha256 = \"wl_opr_all_"),
            "hexadecimal",
        ),
    ] {
        wayleave::key_file::write_private(&file, &bad).expect("written");
        let refused = opened.operators().expect_err(why).to_string();
        assert!(refused.contains(why), "{refused}");
        assert!(!refused.contains("wl_opr_all_"), "{refused}");
    }
}

#[test]
fn serve_starts_from_a_file_and_ends_on_a_signal() {
    let folder = TestFolder::new();
    let port = crate::harness::free_port;
    let (live, test, admin) = (port(), port(), port());
    let token = make_operator(&folder.path().join("operators.toml"), "ada");
    let text = format!(
        "data = {:?}\n[live]\naddress = \"{live}\"\n[test]\naddress = \"{test}\"\n[admin]\naddress = \"{admin}\"\noperators_file = \"operators.toml\"\n",
        folder.path()
    );
    let file = folder.path().join("wayleave.toml");
    std::fs::write(&file, text).expect("written");
    let mut server = binary()
        .arg("serve")
        .arg("--config")
        .arg(&file)
        .stderr(Stdio::piped())
        .spawn()
        .expect("started");
    let up = (0..200).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        std::net::TcpStream::connect(admin).is_ok()
    });
    assert!(up, "it serves");
    let call = |address, target: &str| wayleave_testkit::Address::at(address).get(target);
    call(admin, "/livez").send().expect(200);
    call(admin, "/live/v1/credentials")
        .bearer(token.trim())
        .send()
        .expect(200);
    call(live, "/.well-known/jwks.json").send().expect(200);
    // The compatible dialects are off unless they are asked for.
    call(test, "/token").send().expect(404);
    let pid = server.id().to_string();
    assert!(
        std::process::Command::new("kill")
            .args(["-TERM", &pid])
            .status()
            .expect("kill")
            .success()
    );
    assert!(server.wait().expect("its end").success());
}
