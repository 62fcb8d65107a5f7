//! What no node may be run with in production. Every refusal names the setting and says what to do.
//!
//! [`check_settings`] looks at the settings alone, [`check_files`] at the files that they name.

use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use wayleave_engine::Database;
use wayleave_web::TrustedProxies;

use crate::config::{ConfigError, wrong};
use crate::key_file::{self, KeyFileError};
use crate::node::{AddressSettings, EnvironmentSettings, NodeSettings};
use crate::tls;

type Checked = Result<(), ConfigError>;

/// Looks at the settings alone.
pub(crate) fn check_settings(settings: &NodeSettings) -> Checked {
    let [live, test] = &settings.environments;
    check_listening(live, &settings.trusted_proxies)?;
    check_public_url(live)?;
    check_hooks(live)?;
    check_admin_address(&settings.admin)?;
    check_overlaps(settings)?;
    if settings.wrong_secrets_per_minute.is_none() {
        return Err(wrong(
            "limits.wrong_secrets_per_minute",
            "is 0, so that secrets could be guessed without end: take 10, or as many as your partners need",
        ));
    }
    for environment in [live, test] {
        check_way_to_database(environment)?;
    }
    check_two_databases(live, test)
}

/// Partners' secrets must not cross a network in plain text.
fn check_listening(live: &EnvironmentSettings, proxies: &TrustedProxies) -> Checked {
    let AddressSettings { address, tls, .. } = &live.address;
    if address.ip().is_loopback() || tls.is_some() || !proxies.is_empty() {
        return Ok(());
    }
    Err(wrong(
        "live.address",
        "is off loopback without TLS: set live.tls, or end TLS in a proxy in front and name it in proxies.trusted, or listen on 127.0.0.1",
    ))
}

fn check_public_url(live: &EnvironmentSettings) -> Checked {
    let Some(url) = &live.public_url else {
        return Ok(());
    };
    let uri: Option<http::Uri> = url.parse().ok();
    let is_open = uri.is_some_and(|uri| {
        uri.scheme_str() == Some("http") && !uri.host().is_some_and(is_this_machine)
    });
    if is_open {
        let why = "is http:// off loopback, so that partners would send secrets in plain text: take the https:// address";
        return Err(wrong("live.public_url", why));
    }
    Ok(())
}

/// Partners name the addresses of hooks: with this they would reach what only this machine may.
fn check_hooks(live: &EnvironmentSettings) -> Checked {
    match live.hooks_to_loopback {
        false => Ok(()),
        true => Err(wrong(
            "live.hooks_to_loopback",
            "would let partners call this machine from within: it is for test.hooks_to_loopback only",
        )),
    }
}

fn is_this_machine(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn check_admin_address(admin: &AddressSettings) -> Checked {
    if admin.address.ip().is_loopback() || admin.tls.is_some() {
        return Ok(());
    }
    Err(wrong(
        "admin.address",
        "is off loopback without TLS: set admin.tls, or listen on 127.0.0.1 and come through a tunnel",
    ))
}

/// Addresses that would get each other's connections: the same port, and the same host or all.
/// The environments themselves may share an address.
fn check_overlaps(settings: &NodeSettings) -> Checked {
    let [live, test] = &settings.environments;
    let mut taken = vec![
        ("live.address", live.address.address),
        ("test.address", test.address.address),
        ("admin.address", settings.admin.address),
    ];
    taken.extend(settings.monitor.map(|address| ("monitor.address", address)));
    for (number, (name, address)) in taken.iter().enumerate() {
        for (other_name, other) in &taken[..number] {
            let is_shared = (*other_name, *name) == ("live.address", "test.address");
            let ip = (address.ip(), other.ip());
            let meets = if address == other {
                !is_shared
            } else {
                ip.0.is_unspecified() || ip.1.is_unspecified()
            };
            if meets && address.port() == other.port() && address.port() != 0 {
                let why = format!("meets {other_name}: take another port");
                return Err(wrong(*name, why));
            }
        }
    }
    Ok(())
}

/// Where a PostgreSQL URL leads.
#[derive(PartialEq, Eq)]
struct PostgresPlace {
    host: String,
    port: String,
    database: String,
}

/// The value of a parameter of a URL's query that has one of these names; of several the last
/// counts, as it does to the driver.
fn parameter<'u>(url: &'u str, names: &[&str]) -> Option<&'u str> {
    let (_, query) = url.split_once('?')?;
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let is_named = |(key, _): &(&str, &str)| names.contains(key);
    pairs.rfind(is_named).map(|(_, value)| value)
}

impl PostgresPlace {
    fn of(url: &str) -> Self {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let place = rest.split('?').next().unwrap_or_default();
        let (authority, path) = place.split_once('/').unwrap_or((place, ""));
        let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
        let user = user.split(':').next().unwrap_or_default();
        let (host, port) = match host.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port),
            _ => (host, ""),
        };
        let or = |text: &str, usual: &str| {
            let text = if text.is_empty() { usual } else { text };
            text.to_ascii_lowercase()
        };
        let host = parameter(url, &["host", "hostaddr"]).unwrap_or(host);
        PostgresPlace {
            host: or(host, "localhost"),
            port: or(parameter(url, &["port"]).unwrap_or(port), "5432"),
            database: or(parameter(url, &["dbname"]).unwrap_or(path), user),
        }
    }

    /// By a socket file, or over loopback.
    fn is_on_this_machine(&self) -> bool {
        self.host.starts_with('/') || self.host.starts_with("%2f") || is_this_machine(&self.host)
    }
}

fn check_way_to_database(environment: &EnvironmentSettings) -> Checked {
    let Database::Postgres(url) = &environment.database else {
        return Ok(());
    };
    let mode = parameter(url, &["sslmode", "ssl-mode"]);
    let is_encrypted = matches!(mode, Some("require" | "verify-ca" | "verify-full"));
    if is_encrypted || PostgresPlace::of(url).is_on_this_machine() {
        return Ok(());
    }
    Err(wrong(
        format!("{}.database", environment.environment),
        "leads to another machine without TLS: add sslmode=verify-full (or at least sslmode=require) to its URL",
    ))
}

fn check_two_databases(live: &EnvironmentSettings, test: &EnvironmentSettings) -> Checked {
    let (Database::Postgres(one), Database::Postgres(other)) = (&live.database, &test.database)
    else {
        return Ok(());
    };
    if PostgresPlace::of(one) == PostgresPlace::of(other) {
        return Err(wrong(
            "test.database",
            "is the live database under another URL: each environment has its own (law 1)",
        ));
    }
    Ok(())
}

/// Looks at the files that the settings name. One that is not there yet is made at the start.
pub(crate) fn check_files(settings: &NodeSettings) -> Checked {
    let [live, test] = &settings.environments;
    check_no_demo(live)?;
    for environment in [live, test] {
        let name = environment.environment;
        if environment.master_key.exists() {
            private(&format!("{name}.master_key_file"), &environment.master_key)?;
        }
        check_certificate(&format!("{name}.tls"), &environment.address)?;
    }
    check_certificate("admin.tls", &settings.admin)?;
    check_master_keys_differ(live, test)?;
    if let (Database::Sqlite(one), Database::Sqlite(other)) = (&live.database, &test.database)
        && is_same_file(one, other)
    {
        let why = "is the live file under another name: each environment has its own (law 1)";
        return Err(wrong("test.database", why));
    }
    Ok(())
}

/// Everybody who has run the demo on it has seen its keys.
fn check_no_demo(live: &EnvironmentSettings) -> Checked {
    let folder = live.master_key.parent();
    let mut folders = vec![
        ("live.master_key_file", folder),
        ("live.master_key_file", folder.and_then(Path::parent)),
    ];
    if let Database::Sqlite(file) = &live.database {
        folders.push(("live.database", file.parent()));
    }
    for (place, folder) in folders {
        if folder.is_some_and(|folder| folder.join("demo.json").exists()) {
            return Err(wrong(
                place,
                "lies in the folder of a demonstration (it has a demo.json), whose keys were shown: take a folder of its own",
            ));
        }
    }
    Ok(())
}

fn private(place: &str, file: &Path) -> Result<String, ConfigError> {
    key_file::read_private(file).map_err(|error: KeyFileError| wrong(place, error))
}

fn check_certificate(place: &str, address: &AddressSettings) -> Checked {
    let Some(files) = &address.tls else {
        return Ok(());
    };
    private(&format!("{place}.key"), &files.key)?;
    tls::load(files)
        .map(drop)
        .map_err(|error| wrong(place, error))
}

fn check_master_keys_differ(live: &EnvironmentSettings, test: &EnvironmentSettings) -> Checked {
    let keys = |file: &Path| -> Vec<String> {
        let text = fs::read_to_string(file).unwrap_or_default();
        let lines = text.lines().map(str::trim);
        let keys = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
        keys.map(str::to_owned).collect()
    };
    let of_live = keys(&live.master_key);
    if keys(&test.master_key)
        .iter()
        .any(|key| of_live.contains(key))
    {
        let why = "has a key of live.master_key_file in it: each environment has its own";
        return Err(wrong("test.master_key_file", why));
    }
    Ok(())
}

fn is_same_file(one: &Path, other: &Path) -> bool {
    match (fs::metadata(one), fs::metadata(other)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}
