//! TLS towards brokers and servers: who vouches for them, who we are, and what time it is for certificates.
//!
//! Every file is read anew for each connection, so that renewed certificates are used without a restart.
//! It opens no connection itself.

pub mod certificate;
pub mod watch;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use tokio_rustls::rustls::time_provider::TimeProvider;
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

use crate::clock;

/// The certificate by which the box shows who it is, and its key: PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The certificate, and those between it and the authority.
    pub cert_file: PathBuf,
    /// Its private key.
    pub key_file: PathBuf,
}

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read, or is not what it should be.
    #[error("{what} {path} cannot be read: {why}; check the path and its permissions")]
    File {
        /// Which setting names it.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// There is nothing to check the other side's certificate against.
    #[error("no certificate authority in {place}; set ca_file to a PEM file with one")]
    NoAuthority {
        /// Where one was looked for.
        place: String,
    },
    /// The library.
    #[error("TLS cannot be set up: {0}")]
    Library(#[from] rustls::Error),
}

/// Time for certificates: the machine's, and where that has plainly not been set, the latest that is known
/// to have been.
#[derive(Debug)]
struct BelievableTime;

impl TimeProvider for BelievableTime {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(clock::for_certificates().as_ms() / 1000).ok()?;
        Some(UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds)))
    }
}

/// TLS towards servers that the authority in `ca_file`, or one that the system trusts, vouches for. With
/// an `identity` the box shows who it is when the server asks.
///
/// # Errors
/// A file cannot be read, or there is no authority at all.
pub fn client(
    ca_file: Option<&Path>,
    identity: Option<&Identity>,
) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let config = ClientConfig::builder_with_details(provider, Arc::new(BelievableTime))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(authorities(ca_file)?);
    let Some(Identity { cert_file, key_file }) = identity else {
        return Ok(config.with_no_client_auth());
    };
    let chain = certificates("cert_file", cert_file)?;
    let failed = |why: String| TlsError::File { what: "key_file", path: key_file.clone(), why };
    let pem = fs::read(key_file).map_err(|e| failed(e.to_string()))?;
    let key = PrivateKeyDer::from_pem_slice(&pem).map_err(|e| failed(format!("not a key: {e}")))?;
    Ok(config.with_client_auth_cert(chain, key)?)
}

fn authorities(ca_file: Option<&Path>) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    let place = if let Some(path) = ca_file {
        for certificate in certificates("ca_file", path)? {
            let failed = |why| TlsError::File { what: "ca_file", path: path.to_owned(), why };
            roots.add(certificate).map_err(|e| failed(e.to_string()))?;
        }
        path.display().to_string()
    } else {
        let found = rustls_native_certs::load_native_certs();
        // The system's store may hold certificates that are too old to be parsed; those do not count.
        roots.add_parsable_certificates(found.certs);
        "the system's certificate store".to_owned()
    };
    if roots.is_empty() { Err(TlsError::NoAuthority { place }) } else { Ok(roots) }
}

fn certificates(what: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |why: String| TlsError::File { what, path: path.to_owned(), why };
    let pem = fs::read(path).map_err(|e| failed(e.to_string()))?;
    let all = CertificateDer::pem_slice_iter(&pem).collect::<Result<Vec<_>, _>>();
    all.map_err(|e| failed(format!("not PEM: {e}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_none_is_named_with_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let refusal = |ca: &Path, identity: Option<&Identity>| {
            client(Some(ca), identity).err().map(|error| error.to_string()).unwrap()
        };
        assert!(refusal(&dir.path().join("missing.pem"), None).contains("missing.pem cannot be"));
        let empty = dir.path().join("empty.pem");
        fs::write(&empty, "nothing here").unwrap();
        let text = refusal(&empty, None);
        assert!(text.contains("empty.pem") && text.contains("set ca_file"), "{text}");
        let broken = dir.path().join("broken.pem");
        let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        fs::write(&broken, pem).unwrap();
        assert!(refusal(&broken, None).contains("ca_file"));
        let identity = Identity { cert_file: broken.clone(), key_file: empty };
        let text = client(None, Some(&identity)).err().map(|e| e.to_string());
        // Without authorities of the system's the refusal is about those.
        assert!(text.is_some_and(|t| t.contains("key_file") || t.contains("authority")));
    }
}
