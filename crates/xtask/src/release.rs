//! `cargo xtask release`: one static binary, proven to run alone, in an archive with what belongs
//! to it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::command::{cargo, command, find, output, shown};
use crate::elf;
use crate::test::repository_root;

const TARGET: &str = "x86_64-unknown-linux-gnu";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// What goes into the archive beside the binary.
const FILES: [&str; 9] = [
    "deploy/wayleave.toml",
    "deploy/wayleave.service",
    "deploy/Containerfile",
    "LICENSE",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "CHANGELOG.md",
    "SECURITY.md",
];

/// Builds, checks and packs; the archive and its sum are in `target/dist`.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    if !arguments.is_empty() {
        return Err("cargo xtask release takes no arguments".to_owned());
    }
    let root = repository_root();
    let binary = build(&root)?;
    check_alone(&binary)?;
    let dist = target_folder(&root).join("dist");
    let folder = collect(&root, &binary, &dist)?;
    describe(&binary, &folder)?;
    let archive = pack(&root, &dist)?;
    write_sums(&dist, &archive)?;
    println!("{}", dist.join(&archive).display());
    Ok(())
}

fn target_folder(root: &Path) -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

/// The target is named, although it may be this machine's own: then the flags are for the program
/// alone and not for build scripts and macros, which cannot be static.
fn build(root: &Path) -> Result<PathBuf, String> {
    let mut build = cargo();
    build
        .args(["build", "--release", "--locked", "--package", "wayleave"])
        .args(["--target", TARGET])
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .current_dir(root);
    if !shown(&mut build) {
        return Err(format!(
            "the build failed; rustup target add {TARGET} if it lacks"
        ));
    }
    Ok(target_folder(root).join(TARGET).join("release/wayleave"))
}

/// The binary needs nothing of the system that it runs on.
fn check_alone(binary: &Path) -> Result<(), String> {
    let bytes = fs::read(binary).map_err(|error| format!("{}: {error}", binary.display()))?;
    if elf::needs_loader(&bytes)? {
        return Err(format!("{} needs a dynamic loader", binary.display()));
    }
    let expected = format!("wayleave {VERSION}");
    let is_root = output(command("id").arg("-u")).is_ok_and(|uid| uid == "0");
    let said = if is_root && find("chroot").is_some() {
        run_in_empty_root(binary)?
    } else {
        println!("not root: the binary is not tried in an empty root");
        output(command(binary).arg("--version"))?
    };
    if said == expected {
        Ok(())
    } else {
        Err(format!("the binary says {said:?} and not {expected:?}"))
    }
}

/// Runs it where there is no other file.
fn run_in_empty_root(binary: &Path) -> Result<String, String> {
    let folder = env::temp_dir().join(format!("wayleave-release-{}", std::process::id()));
    fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let ran = fs::copy(binary, folder.join("wayleave"))
        .map_err(|error| error.to_string())
        .and_then(|_| {
            output(
                command("chroot")
                    .arg(&folder)
                    .args(["/wayleave", "--version"]),
            )
        });
    let _ = fs::remove_dir_all(&folder);
    ran
}

/// The name of the archive's one folder.
fn name() -> String {
    format!("wayleave-{VERSION}-x86_64-linux")
}

/// Puts the binary and what belongs to it into a folder.
fn collect(root: &Path, binary: &Path, dist: &Path) -> Result<PathBuf, String> {
    let folder = dist.join(name());
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let files = FILES.iter().map(|file| root.join(file));
    for file in files.chain([binary.to_path_buf()]) {
        let place = folder.join(file.file_name().unwrap_or_default());
        fs::copy(&file, place).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    Ok(folder)
}

/// Lets the binary write its pages for man and its completions.
fn describe(binary: &Path, folder: &Path) -> Result<(), String> {
    output(command(binary).arg("man").arg(folder.join("man")))?;
    let completions = folder.join("completions");
    fs::create_dir_all(&completions).map_err(|error| error.to_string())?;
    for shell in ["bash", "zsh", "fish"] {
        let text = output(command(binary).args(["completions", shell]))?;
        let file = completions.join(format!("wayleave.{shell}"));
        fs::write(file, text + "\n").map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// Makes the archive of the folder and returns its name. Owner, order and times do not depend on
/// the machine.
fn pack(root: &Path, dist: &Path) -> Result<String, String> {
    let name = name();
    let archive = format!("{name}.tar.gz");
    let time = output(
        command("git")
            .args(["log", "-1", "--format=%ct"])
            .current_dir(root),
    );
    let time = time.unwrap_or_else(|_| "0".to_owned());
    output(
        command("tar")
            .args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner"])
            .arg(format!("--mtime=@{time}"))
            .args(["--use-compress-program=gzip -9n", "-cf", &archive, &name])
            .current_dir(dist),
    )?;
    fs::remove_dir_all(dist.join(&name)).map_err(|error| error.to_string())?;
    Ok(archive)
}

fn write_sums(dist: &Path, archive: &str) -> Result<(), String> {
    let sums = output(command("sha256sum").arg(archive).current_dir(dist))?;
    fs::write(dist.join("SHA256SUMS"), sums + "\n").map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_packed_is_there() {
        for file in FILES {
            assert!(repository_root().join(file).is_file(), "{file}");
        }
    }

    #[test]
    fn the_archive_has_one_folder_and_the_sum_fits() {
        let dist = env::temp_dir().join(format!("wayleave-dist-{}", std::process::id()));
        collect(&repository_root(), Path::new("/bin/sh"), &dist).unwrap();
        let archive = pack(&repository_root(), &dist).unwrap();
        write_sums(&dist, &archive).unwrap();
        let listed = output(command("tar").args(["-tf", &archive]).current_dir(&dist)).unwrap();
        let checked = output(
            command("sha256sum")
                .args(["-c", "SHA256SUMS"])
                .current_dir(&dist),
        );
        fs::remove_dir_all(&dist).unwrap();
        let folder = archive.trim_end_matches(".tar.gz");
        assert_eq!(listed.lines().count(), FILES.len() + 2, "{listed}");
        assert!(
            listed.lines().all(|line| line.starts_with(folder)),
            "{listed}"
        );
        assert!(checked.unwrap().ends_with("OK"));
    }
}
