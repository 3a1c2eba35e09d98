//! Secrets that the service manager hands over (systemd.exec(5), Credentials).
//!
//! Owns: which keys may name one. In: names. Out: files. Never: reads one.

use std::path::{Path, PathBuf};

use crate::config::sinks::{Faults, SinkKeys};

/// What a path begins with that names a credential.
const PREFIX: &str = "credential:";

/// Where credentials are is in this variable.
const DIRECTORY: &str = "CREDENTIALS_DIRECTORY";

impl SinkKeys {
    /// Puts the files of credentials in the place of their names.
    pub(super) fn credentials(&mut self, faults: &mut Faults) {
        let dir = std::env::var_os(DIRECTORY).map(PathBuf::from);
        for (key, path) in [
            ("token_file", &mut self.token_file),
            ("password_file", &mut self.password_file),
            ("ca", &mut self.ca),
            ("cert", &mut self.cert),
            ("key", &mut self.key),
        ] {
            let Some(name) = path.as_deref().and_then(credential) else { continue };
            match file(name, dir.as_deref()) {
                Ok(file) => *path = Some(file),
                Err((cause, help)) => faults.add(key, cause, &help),
            }
        }
    }
}

/// The name of a credential, if a path is one.
fn credential(path: &Path) -> Option<&str> {
    path.to_str()?.strip_prefix(PREFIX)
}

/// The file of a credential, or why there is none, and the remedy.
fn file(name: &str, dir: Option<&Path>) -> Result<PathBuf, (String, String)> {
    let is_name = !matches!(name, "" | "." | "..") && !name.contains('/');
    if !is_name {
        let help = "give the name of LoadCredential=NAME:FILE of the unit";
        return Err((format!("`{name}` is no name of a credential"), help.to_owned()));
    }
    let Some(dir) = dir else {
        let cause = "the service manager has handed over none";
        let help = format!(
            "add LoadCredential={name}:FILE to the unit; elsewhere name the file, or set \
             {DIRECTORY}"
        );
        return Err((cause.to_owned(), help));
    };
    Ok(dir.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_a_file_in_the_directory_of_the_service_manager() {
        let dir = Path::new("/run/credentials/longhaul.service");
        let of = |text| credential(Path::new(text)).map(|name| file(name, Some(dir)));
        assert_eq!(of("/etc/token"), None);
        assert_eq!(of("credential:siem.token"), Some(Ok(dir.join("siem.token"))));
        for wrong in ["credential:", "credential:..", "credential:../x", "credential:/etc/x"] {
            assert!(of(wrong).unwrap().is_err(), "{wrong}");
        }
        assert!(file("siem.token", None).unwrap_err().1.contains("LoadCredential=siem.token:"));
    }
}
