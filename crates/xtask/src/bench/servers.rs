//! Builds, installs and starts what is measured.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use super::fill::{Demo, Key};
use super::options::Options;
use super::scratch::{Scratch, Server};
use super::target::{Phase, Target};
use crate::command::{cargo, command, find, quiet};

/// Where things are in the checkout.
pub(super) struct Places {
    /// The checkout itself.
    pub(super) root: PathBuf,
    /// The benchmark's own files that are no Rust modules.
    pub(super) files: PathBuf,
    /// Cargo's output.
    pub(super) build: PathBuf,
    /// The installed peer.
    oidc: PathBuf,
}

impl Places {
    /// Found from where cargo says this package lies.
    pub(super) fn find() -> Result<Places, String> {
        // As cargo says now, not as it said when this was built, perhaps in another folder.
        let package =
            env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
        let package = PathBuf::from(package);
        let root = package
            .join("../..")
            .canonicalize()
            .map_err(|error| error.to_string())?;
        let build = env::var_os("CARGO_TARGET_DIR")
            .map_or_else(|| root.join("target"), |folder| root.join(folder));
        Ok(Places {
            files: package.join("bench"),
            build,
            oidc: root.join(".clients/oidc"),
            root,
        })
    }

    /// The program with very many credentials.
    pub(super) fn scale(&self) -> PathBuf {
        self.build.join("release/examples/scale")
    }

    /// Wayleave itself.
    pub(super) fn wayleave(&self) -> PathBuf {
        self.build.join("release/wayleave")
    }

    /// The bare server and the client over TLS.
    pub(super) fn tls(&self) -> PathBuf {
        self.build.join("release/examples/tls")
    }

    /// The ceiling server's binary.
    pub(super) fn ceiling(&self) -> PathBuf {
        self.build.join("release/examples/ceiling")
    }
}

/// Builds what takes part for release.
pub(super) fn build(places: &Places, options: &Options) -> Result<(), String> {
    eprintln!("bench: building for release");
    let build = |words: &[&str]| {
        quiet(
            cargo()
                .current_dir(&places.root)
                .args(["build", "--release", "--locked"])
                .args(words),
        )
    };
    let has = |phase| !options.targets_of(phase).is_empty();
    let wayleave = [
        Phase::Requests,
        Phase::Creation,
        Phase::Gateway,
        Phase::Tls,
        Phase::Overload,
    ];
    if wayleave.into_iter().any(has) {
        build(&["--package", "wayleave"])?;
    }
    if has(Phase::Scale) || has(Phase::Access) || options.load.is_some() || options.orders.is_some()
    {
        build(&["--package", "wayleave", "--example", "scale"])?;
    }
    if has(Phase::Requests) || has(Phase::Access) || has(Phase::Gateway) {
        build(&["--package", "xtask", "--example", "ceiling"])?;
    }
    if has(Phase::Tls) || has(Phase::Overload) {
        build(&["--package", "xtask", "--example", "tls"])?;
    }
    Ok(())
}

/// Starts the ceiling server; returns its `HOST:PORT`.
pub(super) fn start_ceiling<'a>(
    places: &Places,
    scratch: &'a Scratch,
) -> Result<(Server<'a>, String), String> {
    let mut program = command(places.ceiling());
    program.arg("serve");
    let mut server = scratch.start("ceiling", program)?;
    let address = server.wait_for_address()?;
    Ok((server, address))
}

/// Starts Wayleave's demo, with the settings that it has by default, in an empty folder.
/// `postgres`: the URL of an empty database that the test environment has instead of SQLite.
pub(super) fn start_wayleave<'a>(
    places: &Places,
    scratch: &'a Scratch,
    name: &str,
    postgres: Option<&str>,
) -> Result<(Server<'a>, Demo), String> {
    let data = scratch.path(&format!("{name}-data"));
    let mut program = command(places.wayleave());
    program.arg("demo").arg("--data").arg(&data);
    for address in ["--live", "--test", "--admin"] {
        program.args([address, "127.0.0.1:0"]);
    }
    if let Some(url) = postgres {
        program.arg("--live-database").arg(data.join("live.db"));
        program.args(["--test-database", url]);
    }
    let mut server = scratch.start(name, program)?;
    let written = data.join("demo.json");
    let text = server.wait_for(Duration::from_secs(60), || {
        fs::read_to_string(&written).ok()
    })?;
    let demo = serde_json::from_str(&text).map_err(|error| format!("demo.json: {error}"))?;
    Ok((server, demo))
}

/// Starts oidc-provider with these clients; returns its `HOST:PORT`.
pub(super) fn start_oidc<'a>(
    places: &Places,
    scratch: &'a Scratch,
    target: Target,
    clients: &[Key],
) -> Result<(Server<'a>, String), String> {
    let file = scratch.path("oidc-clients.json");
    let list: Vec<Value> = clients
        .iter()
        .map(|key| json!({ "client_id": key.id, "client_secret": key.secret }))
        .collect();
    let text = Value::from(list).to_string();
    fs::write(&file, text).map_err(|error| error.to_string())?;
    let form = if target == Target::OidcEs256 {
        "es256"
    } else {
        "opaque"
    };
    let mut program = command("node");
    program
        .arg(places.oidc.join("server.mjs"))
        .arg(&file)
        .arg(form);
    program.env("NODE_ENV", "production");
    let mut server = scratch.start(target.name(), program)?;
    let address = server.wait_for_address()?;
    Ok((server, address))
}

/// Installs the pinned oidc-provider into a folder that git ignores, unless it is there.
pub(super) fn install_oidc(places: &Places) -> Result<(), String> {
    for program in ["node", "npm"] {
        find(program).ok_or_else(|| format!("{program} is missing: it runs oidc-provider"))?;
    }
    let source = places.files.join("oidc");
    let lock = "package-lock.json";
    let fresh = same(&source.join(lock), &places.oidc.join(lock))
        && places.oidc.join("node_modules/.package-lock.json").exists();
    fs::create_dir_all(&places.oidc).map_err(|error| error.to_string())?;
    for file in ["package.json", lock, "server.mjs"] {
        fs::copy(source.join(file), places.oidc.join(file)).map_err(|error| error.to_string())?;
    }
    if fresh {
        return Ok(());
    }
    eprintln!("bench: installing oidc-provider");
    quiet(command("npm").current_dir(&places.oidc).args([
        "ci",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
    ]))
}

fn same(one: &Path, other: &Path) -> bool {
    fs::read(one).is_ok_and(|one| fs::read(other).is_ok_and(|other| one == other))
}
