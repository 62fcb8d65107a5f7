//! The real OAuth and JWT clients that the tests drive: Python's in a virtual environment, npm's
//! in a folder, both below `.clients`, which git ignores, and both at the exact versions pinned
//! beside their scripts. What is there already is kept while the pins stay the same.

use std::fs;
use std::path::{Path, PathBuf};

use crate::command::{command, find, install, may_install, output, quiet};

/// Where the scripts and their pins are, below the repository's root.
const SCRIPTS: &str = "crates/wayleave/tests/clients";

/// The oldest Node.js whose built-in `fetch` and WebCrypto the npm clients can use.
const NODE_MAJOR: u32 = 20;

/// Makes the virtual environment and returns its interpreter.
pub(crate) fn python(root: &Path) -> Result<PathBuf, String> {
    // The scripts replay documented calls with curl itself.
    need("curl", &["curl"])?;
    need("python3", &["python3", "python3-venv"])?;
    let pins = root.join(SCRIPTS).join("python/requirements.txt");
    let version = output(command("python3").arg("--version"))?;
    let stamp = format!("{version}\n{}", read(&pins)?);
    let folder = root.join(".clients/python");
    let python = folder.join("bin/python");
    if is_current(&folder, &stamp) && python.is_file() {
        return Ok(python);
    }
    make_environment(&folder)?;
    quiet(
        command(&python)
            .args(["-m", "pip", "install", "--disable-pip-version-check"])
            .args(["--no-input", "--no-deps", "--requirement"])
            .arg(&pins),
    )?;
    quiet(command(&python).args(["-m", "pip", "--disable-pip-version-check", "check"]))?;
    mark_current(&folder, &stamp)?;
    Ok(python)
}

/// Installs the npm packages and returns the folder that has `node_modules`.
pub(crate) fn node(root: &Path) -> Result<PathBuf, String> {
    need("node", &["nodejs"])?;
    need("npm", &["npm"])?;
    let version = output(command("node").arg("--version"))?;
    if major(&version).is_none_or(|major| major < NODE_MAJOR) {
        return Err(format!(
            "node is {version}: install Node.js {NODE_MAJOR} or newer"
        ));
    }
    let pins = root.join(SCRIPTS).join("node");
    let (package, lock) = (
        read(&pins.join("package.json"))?,
        read(&pins.join("package-lock.json"))?,
    );
    let stamp = format!("{package}{lock}");
    let folder = root.join(".clients/node");
    if is_current(&folder, &stamp) {
        return Ok(folder);
    }
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    write(&folder.join("package.json"), &package)?;
    write(&folder.join("package-lock.json"), &lock)?;
    quiet(
        command("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(&folder),
    )?;
    mark_current(&folder, &stamp)?;
    Ok(folder)
}

/// The client of HTTP/2 that the tests use beside curl.
pub(crate) fn nghttp() -> Result<(), String> {
    need("nghttp", &["nghttp2-client"])
}

/// PHP, which the example client of the platform API is written in; gives its interpreter.
pub(crate) fn php() -> Result<PathBuf, String> {
    need("php", &["php-cli"])?;
    find("php").ok_or_else(|| "php was installed and is not on the path".to_owned())
}

/// A program that must be there; its Debian packages are installed where that is allowed.
fn need(program: &str, packages: &[&str]) -> Result<(), String> {
    if find(program).is_some() {
        return Ok(());
    }
    let how = format!(
        "install {program} (on Debian: apt-get install {})",
        packages.join(" ")
    );
    if !may_install() {
        return Err(format!("no {program} was found: {how}"));
    }
    install(packages).map_err(|error| format!("{how}; {error}"))
}

/// Debian's Python comes without the part that makes environments.
fn make_environment(folder: &Path) -> Result<(), String> {
    let make = || {
        quiet(
            command("python3")
                .args(["-m", "venv", "--clear"])
                .arg(folder),
        )
    };
    match make() {
        Err(_) if may_install() => install(&["python3-venv"]).and_then(|()| make()),
        result => result,
    }
    .map_err(|error| format!("{error}\n(on Debian: apt-get install python3-venv)"))
}

/// The first number of a version like `v20.20.2`.
fn major(version: &str) -> Option<u32> {
    version
        .trim_start_matches('v')
        .split('.')
        .next()?
        .parse()
        .ok()
}

/// A folder's stamp lies beside what it vouches for, and is written last.
fn stamp_file(folder: &Path) -> PathBuf {
    folder.join("installed.stamp")
}

fn is_current(folder: &Path, stamp: &str) -> bool {
    fs::read_to_string(stamp_file(folder)).is_ok_and(|text| text == stamp)
}

fn mark_current(folder: &Path, stamp: &str) -> Result<(), String> {
    write(&stamp_file(folder), stamp)
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn pins(name: &str) -> String {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        read(&crates.parent().unwrap().join(SCRIPTS).join(name)).unwrap()
    }

    #[test]
    fn every_python_package_is_pinned_to_one_version() {
        let text = pins("python/requirements.txt");
        let lines = text
            .lines()
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        for line in lines {
            let version = line.split_once("==").map(|(_, version)| version);
            assert!(
                version.is_some_and(|version| !version.contains('*')),
                "{line}"
            );
        }
    }

    #[test]
    fn every_npm_package_is_pinned_to_one_version() {
        let package: Value = serde_json::from_str(&pins("node/package.json")).unwrap();
        for (name, version) in package["dependencies"].as_object().unwrap() {
            let version = version.as_str().unwrap();
            assert!(
                version.starts_with(|first: char| first.is_ascii_digit()),
                "{name}"
            );
        }
    }

    #[test]
    fn the_lock_file_has_digests_and_names_no_registry() {
        let lock: Value = serde_json::from_str(&pins("node/package-lock.json")).unwrap();
        for (name, package) in lock["packages"].as_object().unwrap() {
            assert!(package.get("resolved").is_none(), "{name}");
            assert!(
                name.is_empty() || package["integrity"].is_string(),
                "{name}"
            );
        }
    }

    #[test]
    fn the_major_version_of_node_is_read() {
        assert_eq!(major("v20.20.2"), Some(20));
        assert_eq!(major("22"), Some(22));
        assert_eq!(major("unknown"), None);
    }

    #[test]
    fn what_was_installed_from_other_pins_is_not_current() {
        let folder = std::env::temp_dir().join(format!("xtask-stamp-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        assert!(!is_current(&folder, "a==1"));
        mark_current(&folder, "a==1").unwrap();
        assert!(is_current(&folder, "a==1"));
        assert!(!is_current(&folder, "a==2"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
