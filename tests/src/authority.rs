//! A certificate authority for tests, made with openssl: a program that is not ours.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::data::say;

/// An authority with its files in one folder.
#[derive(Debug)]
pub struct Authority {
    dir: PathBuf,
}

impl Authority {
    /// Makes one in `dir`. `None` when openssl is not installed; that has then been said.
    ///
    /// # Panics
    /// It is installed and fails.
    #[must_use]
    pub fn new(dir: &Path) -> Option<Authority> {
        if Command::new("openssl").arg("version").output().is_err() {
            say("SKIPPED: openssl is not installed (apt-get install openssl)");
            return None;
        }
        let authority = Authority { dir: dir.to_owned() };
        authority.key("ca");
        authority.openssl(&[
            "req",
            "-x509",
            "-new",
            "-key",
            "ca.key",
            "-out",
            "ca.pem",
            "-days",
            "400",
            "-subj",
            "/CN=Test CA",
            "-addext",
            "basicConstraints=critical,CA:TRUE",
        ]);
        Some(authority)
    }

    /// A certificate and a key for `name`, good for `days`: `<name>.pem` and `<name>.key`.
    ///
    /// # Panics
    /// openssl fails.
    #[must_use]
    pub fn certify(&self, name: &str, days: u32) -> (PathBuf, PathBuf) {
        self.key(name);
        let (key, request, pem) =
            (format!("{name}.key"), format!("{name}.csr"), format!("{name}.pem"));
        let subject = format!("/CN={name}");
        self.openssl(&["req", "-new", "-key", &key, "-out", &request, "-subj", &subject]);
        let more = self.dir.join("more.cnf");
        fs::write(&more, "subjectAltName=DNS:localhost,IP:127.0.0.1\n")
            .expect("the folder is ours");
        let days = days.to_string();
        self.openssl(&[
            "x509",
            "-req",
            "-in",
            &request,
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-out",
            &pem,
            "-days",
            &days,
            "-extfile",
            "more.cnf",
        ]);
        self.files(name)
    }

    /// Where the certificate and the key for `name` are, once they are made.
    #[must_use]
    pub fn files(&self, name: &str) -> (PathBuf, PathBuf) {
        (self.dir.join(format!("{name}.pem")), self.dir.join(format!("{name}.key")))
    }

    /// The authority's own certificate.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    fn key(&self, name: &str) {
        let file = format!("{name}.key");
        self.openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &file]);
        // As openssl writes it, rustls reads it: SEC1. Nobody else may.
        let chmod = Command::new("chmod").arg("600").arg(self.dir.join(&file)).status();
        assert!(chmod.expect("chmod exists").success());
    }

    fn openssl(&self, args: &[&str]) {
        let done = Command::new("openssl").args(args).current_dir(&self.dir).output();
        let done = done.expect("openssl is installed");
        assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
    }
}
