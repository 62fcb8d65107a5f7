//! nginx, Caddy and HAProxy for the tests and the benchmark: the distribution's packages, extracted
//! below `.clients` and not installed. Installing them would start servers on this machine.

use std::fs;
use std::path::{Path, PathBuf};

use crate::command::{command, find, may_install, output, quiet};

/// The proxies, and the libraries that a Debian machine does not have anyway.
const PACKAGES: [&str; 6] = [
    "nginx",
    "caddy",
    "haproxy",
    "liblua5.3-0",
    "libopentracing1",
    "libopentracing-c-wrapper0",
];

/// nginx's Lua, which only the benchmark compares with.
const LUA_PACKAGES: [&str; 6] = [
    "libnginx-mod-http-lua",
    "libnginx-mod-http-ndk",
    "lua-resty-core",
    "lua-resty-lrucache",
    "libluajit2-5.1-2",
    "libpcre3",
];

/// What the tests were written for: each program, how it tells its version, and the versions of
/// Debian 12.
const PROGRAMS: [(&str, &str, &str); 3] = [
    ("usr/sbin/nginx", "-v", "nginx/1.22.1"),
    ("usr/bin/caddy", "version", "2.6.2"),
    ("usr/sbin/haproxy", "-v", "2.6.12"),
];

/// Extracts the proxies' packages and returns the folder that they lie in, with `usr/sbin` and so
/// on below.
pub(crate) fn folder(root: &Path) -> Result<PathBuf, String> {
    let folder = extracted(root, "proxies", &PACKAGES)?;
    for (program, option, version) in PROGRAMS {
        check_version(&folder, program, option, version)?;
    }
    Ok(folder)
}

/// The same with nginx's Lua.
pub(crate) fn folder_with_lua(root: &Path) -> Result<PathBuf, String> {
    let packages: Vec<&str> = PACKAGES.iter().chain(&LUA_PACKAGES).copied().collect();
    extracted(root, "proxies-lua", &packages)
}

/// The version of an extracted package, as `name version`.
pub(crate) fn package_version(folder: &Path, name: &str) -> Option<String> {
    let entries = fs::read_dir(folder.join("packages")).ok()?;
    let names = entries.flatten().map(|entry| entry.file_name());
    names.into_iter().find_map(|file| {
        let mut parts = file.to_str()?.split('_');
        let version = (parts.next()? == name).then(|| parts.next())??;
        // An epoch, escaped, says nothing to people.
        let version = version.split("%3a").last()?;
        Some(format!("{name} {version}"))
    })
}

/// The folders of the libraries below a folder of packages, for `LD_LIBRARY_PATH`.
pub(crate) fn libraries(folder: &Path) -> String {
    let below = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten();
    let folders = below(folder.join("usr/lib")).chain(below(folder.join("lib")));
    let folders: Vec<String> = folders
        .map(|entry| entry.path().display().to_string())
        .collect();
    folders.join(":")
}

fn extracted(root: &Path, name: &str, packages: &[&str]) -> Result<PathBuf, String> {
    let folder = root.join(".clients").join(name);
    if has(&folder, packages) {
        return Ok(folder);
    }
    for program in ["apt-get", "dpkg"] {
        if find(program).is_none() {
            return Err(format!(
                "no {program} was found: the proxies are taken from the packages of Debian 12"
            ));
        }
    }
    let _ = fs::remove_dir_all(&folder);
    let downloads = folder.join("packages");
    fs::create_dir_all(&downloads).map_err(|error| format!("{}: {error}", folder.display()))?;
    download(packages, &downloads)?;
    extract(&downloads, &folder)?;
    mark(&folder, packages)?;
    Ok(folder)
}

/// A folder's list lies beside what it vouches for, and is written last.
fn list_file(folder: &Path) -> PathBuf {
    folder.join("extracted.stamp")
}

fn has(folder: &Path, packages: &[&str]) -> bool {
    fs::read_to_string(list_file(folder)).is_ok_and(|text| text == packages.join("\n"))
}

fn mark(folder: &Path, packages: &[&str]) -> Result<(), String> {
    fs::write(list_file(folder), packages.join("\n"))
        .map_err(|error| format!("{}: {error}", folder.display()))
}

/// Downloads packages; when none is known, the lists are fetched first where that is allowed.
fn download(packages: &[&str], downloads: &Path) -> Result<(), String> {
    let get = || {
        let mut apt = command("apt-get");
        quiet(apt.arg("download").args(packages).current_dir(downloads))
    };
    match get() {
        Err(_) if may_install() => quiet(command("apt-get").arg("update")).and_then(|()| get()),
        result => result,
    }
    .map_err(|error| format!("{error}\n(as root: apt-get update, then try again)"))
}

fn extract(downloads: &Path, folder: &Path) -> Result<(), String> {
    let entries = fs::read_dir(downloads).map_err(|error| error.to_string())?;
    for entry in entries.flatten() {
        quiet(command("dpkg").arg("-x").arg(entry.path()).arg(folder))?;
    }
    Ok(())
}

/// The distribution mends its packages without changing the version that the tests are for.
fn check_version(folder: &Path, program: &str, option: &str, version: &str) -> Result<(), String> {
    let shell = format!("{} {option} 2>&1", folder.join(program).display());
    let said = output(
        command("sh")
            .args(["-c", &shell])
            .env("LD_LIBRARY_PATH", libraries(folder)),
    )?;
    if said.contains(version) {
        Ok(())
    } else {
        Err(format!(
            "the tests are for {program} {version}, and this one is {said}: use Debian 12"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_extracted_already_is_not_fetched_again() {
        let folder = std::env::temp_dir().join(format!("xtask-proxies-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        assert!(!has(&folder, &["one"]));
        mark(&folder, &["one", "two"]).unwrap();
        assert!(has(&folder, &["one", "two"]));
        assert!(!has(&folder, &["one"]));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_package_says_its_version_in_the_name_of_its_file() {
        let folder = std::env::temp_dir().join(format!("xtask-packages-{}", std::process::id()));
        fs::create_dir_all(folder.join("packages")).unwrap();
        for file in [
            "nginx_1.22.1-9+deb12u11_amd64.deb",
            "lua_1%3a0.10.23-1_amd64.deb",
        ] {
            fs::write(folder.join("packages").join(file), "").unwrap();
        }
        let version = |name| package_version(&folder, name);
        assert_eq!(version("nginx").as_deref(), Some("nginx 1.22.1-9+deb12u11"));
        assert_eq!(version("lua").as_deref(), Some("lua 0.10.23-1"));
        assert_eq!(version("caddy"), None);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn another_version_than_that_of_the_tests_is_refused() {
        let folder = std::env::temp_dir().join(format!("xtask-version-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("program"), "echo nginx version: nginx/1.22.1").unwrap();
        let check = |version| check_version(&folder, "program", "", version);
        assert!(check("1.22.1").is_err(), "it cannot be run");
        quiet(command("chmod").arg("700").arg(folder.join("program"))).unwrap();
        assert_eq!(check("1.22.1"), Ok(()));
        assert!(check("1.24.0").unwrap_err().contains("use Debian 12"));
        fs::remove_dir_all(&folder).unwrap();
    }
}
