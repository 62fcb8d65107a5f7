//! Files that hold secrets: master keys and operator tokens.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use wayleave_engine::{MasterKeyError, Randomness, Vault};

/// Why a file with secrets cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read or written.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        error: io::Error,
    },
    /// Others may read it.
    #[error("{path} can be read by others (mode {mode:o}): run chmod 600 {path}")]
    Exposed {
        /// The file.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// The data is there and its master key is not.
    #[error(
        "{path} is missing, but its database is there: restore the file from its backup; without it no secret in the database can be used"
    )]
    Lost {
        /// The file.
        path: String,
    },
    /// What is in it are no master keys.
    #[error("{path}: {error}")]
    MasterKey {
        /// The file.
        path: String,
        /// What is wrong.
        error: MasterKeyError,
    },
}

impl KeyFileError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.display().to_string();
        move |error| KeyFileError::Io { path, error }
    }
}

/// Opens the master keys of an environment. A missing file is made when `may_create`.
pub fn open_vault(
    path: &Path,
    may_create: bool,
    randomness: &dyn Randomness,
) -> Result<Vault, KeyFileError> {
    if !path.exists() {
        if !may_create {
            return Err(KeyFileError::Lost {
                path: path.display().to_string(),
            });
        }
        write_private(path, &Vault::new_master_key(randomness))?;
    }
    let content = read_private(path)?;
    Vault::from_file(&content).map_err(|error| KeyFileError::MasterKey {
        path: path.display().to_string(),
        error,
    })
}

/// Reads a file that only its owner may read.
pub fn read_private(path: &Path) -> Result<String, KeyFileError> {
    let metadata = fs::metadata(path).map_err(KeyFileError::io(path))?;
    let mode = metadata.permissions().mode() & 0o777;
    if is_exposed(mode, metadata.gid()) {
        return Err(KeyFileError::Exposed {
            path: path.display().to_string(),
            mode,
        });
    }
    fs::read_to_string(path).map_err(KeyFileError::io(path))
}

/// Whether others than the owner may use a file. The group of root may read it: systemd gives
/// credentials to a service so, and root reads everything anyway.
fn is_exposed(mode: u32, group: u32) -> bool {
    const ROOT: u32 = 0;
    let allowed = if group == ROOT { 0o740 } else { 0o700 };
    mode & !allowed != 0
}

/// Writes a file that only its owner may read (0600): whole or not at all, even when the power
/// goes. Where it replaces a file, that file's owner keeps it: an administrator may write for the
/// server's user.
pub fn write_private(path: &Path, content: &str) -> Result<(), KeyFileError> {
    let mut file = PrivateFile::create(path)?;
    file.write_all(content.as_bytes())
        .map_err(KeyFileError::io(path))?;
    file.finish()
}

/// A file that only its owner may read (0600), being written beside its place; dropped before
/// [`PrivateFile::finish`] it leaves nothing.
#[derive(Debug)]
pub struct PrivateFile {
    file: File,
    place: PathBuf,
    fresh: PathBuf,
}

impl PrivateFile {
    /// Begins one, and makes its folder where it is missing. The owner of a file that it replaces
    /// keeps it.
    pub fn create(path: &Path) -> Result<Self, KeyFileError> {
        create_private_folder(folder_of(path))?;
        let mut fresh = path.as_os_str().to_owned();
        fresh.push(".new");
        let fresh = PathBuf::from(fresh);
        // A leftover of a crash may have other permissions.
        let _ = fs::remove_file(&fresh);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&fresh)
            .map_err(KeyFileError::io(path))?;
        if let Ok(old) = fs::metadata(path) {
            fchown(&file, Some(old.uid()), Some(old.gid())).map_err(KeyFileError::io(path))?;
        }
        Ok(PrivateFile {
            file,
            place: path.to_owned(),
            fresh,
        })
    }

    /// Puts it into its place, in the place of one that was there.
    pub fn finish(self) -> Result<(), KeyFileError> {
        let failed = || KeyFileError::io(&self.place);
        self.file.sync_all().map_err(failed())?;
        fs::rename(&self.fresh, &self.place).map_err(failed())?;
        File::open(folder_of(&self.place))
            .and_then(|folder| folder.sync_all())
            .map_err(failed())
    }
}

impl Write for PrivateFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for PrivateFile {
    fn drop(&mut self) {
        // It is not there any more when it was put into its place.
        let _ = fs::remove_file(&self.fresh);
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

/// Makes a folder, and those above it, that only its owner may enter (0700). One that is there
/// already stays as it is.
pub fn create_private_folder(path: &Path) -> Result<(), KeyFileError> {
    let mut builder = fs::DirBuilder::new();
    builder
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(KeyFileError::io(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_and_the_group_of_root_may_read() {
        for (mode, group) in [(0o600, 5), (0o400, 5), (0o440, 0), (0o600, 0)] {
            assert!(!is_exposed(mode, group), "{mode:o} {group}");
        }
        for (mode, group) in [(0o640, 5), (0o644, 0), (0o460, 0), (0o604, 5)] {
            assert!(is_exposed(mode, group), "{mode:o} {group}");
        }
    }
}
