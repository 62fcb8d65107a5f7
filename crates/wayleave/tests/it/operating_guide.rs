//! The guide for operators, run as it is written.

use std::process::{Command, Stdio};

use wayleave_testkit::TestFolder;

use crate::harness::{free_port, sample_api};

/// The commands of the page, in their order.
fn commands(page: &str) -> String {
    let mut commands = String::new();
    let mut is_command = false;
    for line in page.lines() {
        match line {
            "```sh" => is_command = true,
            "```" => is_command = false,
            _ if is_command => commands += &format!("{line}\n"),
            _ => {}
        }
    }
    commands
}

#[test]
fn every_command_of_the_guide_works_in_its_order() {
    let page = include_str!("../../../../docs/operating.md");
    let api = sample_api();
    let mut script = commands(page);
    for port in ["8080", "8081", "8082", "9090"] {
        script = script.replace(&format!(":{port}"), &format!(":{}", free_port().port()));
    }
    script = script.replace("127.0.0.1:9000", &api.address.to_string());
    assert!(script.contains("wayleave restore") && script.contains("audit verify"));
    let folder = TestFolder::new();
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_wayleave"));
    let path = std::env::var("PATH").unwrap_or_default();
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &format!("set -m\n{script}")])
        .current_dir(folder.path())
        .env(
            "PATH",
            format!("{}:{path}", binary.parent().expect("a folder").display()),
        )
        .stdin(Stdio::null())
        .output()
        .expect("bash");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    let log = std::fs::read_to_string(folder.path().join("wayleave/wayleave.log"));
    assert!(
        output.status.success(),
        "{}\nout:\n{out}\nerr:\n{err}\nlog:\n{}",
        output.status,
        log.unwrap_or_default()
    );
    assert!(out.contains("Hello from the API behind Wayleave."), "{out}");
    assert!(
        out.contains("\n401\n"),
        "the revoked key's token is refused: {out}"
    );
    assert!(out.contains("none edited, deleted or moved"), "{out}");
    for file in ["key.json", "rolled.json"] {
        let text = std::fs::read_to_string(folder.path().join("wayleave").join(file));
        assert!(text.expect("a file").contains("wl_sec_test_"));
    }
}
