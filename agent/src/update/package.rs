//! Whether a package is the one that is meant, from whom it must be, and for this machine. Both sides ask
//! this, the service before it hands a package on and root on its own copy.
//!
//! What is in a package is looked at only after its signature was found right.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::process::Command;

use minisign_verify::{PublicKey, Signature};
use sha2::{Digest, Sha256};

use super::installed::{Installed, is_older};
use super::{Request, Settings};

/// The only package that is installed.
pub(super) const NAME: &str = "steward";

/// Why a package is not installed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    /// It cannot be read.
    #[error("the package cannot be read: {0}")]
    Io(#[from] io::Error),
    /// It is longer or shorter.
    #[error("the package has {is} bytes, not {wanted}")]
    Size {
        /// What was announced.
        wanted: u64,
        /// What came.
        is: u64,
    },
    /// It is another one.
    #[error("the package has the SHA-256 {is}, not {wanted}")]
    Hash {
        /// What was announced.
        wanted: String,
        /// What came.
        is: String,
    },
    /// It is not from who may say what is installed.
    #[error("the signature is wrong: {0}")]
    Signature(String),
    /// dpkg does not understand it.
    #[error("it is no package: {0}")]
    NoPackage(String),
    /// It is of another program.
    #[error("it is the package {0:?}, not \"steward\"")]
    Name(String),
    /// It is for another machine.
    #[error("it is for {is}, and this machine is {wanted}")]
    Architecture {
        /// What is installed.
        wanted: String,
        /// What came.
        is: String,
    },
    /// It is what is there.
    #[error("version {0} is installed already")]
    Same(String),
    /// It is older.
    #[error(
        "version {is} is older than {than}, which is installed; that needs allow_downgrade in the command \
         and in [update]"
    )]
    Older {
        /// What came.
        is: String,
        /// What is installed.
        than: String,
    },
}

/// Checks the package in `file` with the signature `signature`; gives its version.
///
/// # Errors
/// Why it must not be installed.
pub(super) fn check(
    file: &Path,
    signature: &str,
    request: &Request,
    settings: &Settings,
    installed: &Installed,
) -> Result<String, Unfit> {
    is_the_one(file, signature, request, settings)?;
    let [name, version, architecture] = fields(file)?;
    if name != NAME {
        return Err(Unfit::Name(name));
    }
    if architecture != installed.architecture {
        let wanted = installed.architecture.clone();
        return Err(Unfit::Architecture { wanted, is: architecture });
    }
    if version == installed.version {
        return Err(Unfit::Same(version));
    }
    let may = settings.allow_downgrade && request.allow_downgrade;
    if !may && is_older(&version, &installed.version)? {
        return Err(Unfit::Older { is: version, than: installed.version.clone() });
    }
    Ok(version)
}

/// Size, hash and signature, in one reading.
fn is_the_one(
    file: &Path,
    signature: &str,
    request: &Request,
    settings: &Settings,
) -> Result<(), Unfit> {
    let wrong = |error: minisign_verify::Error| Unfit::Signature(error.to_string());
    let mut file = File::open(file)?;
    let is = file.metadata()?.len();
    if is != request.size {
        return Err(Unfit::Size { wanted: request.size, is });
    }
    let key = PublicKey::from_base64(&settings.key).map_err(wrong)?;
    let signature = Signature::decode(signature).map_err(wrong)?;
    let mut signed = key.verify_stream(&signature).map_err(wrong)?;
    let mut sum = Sha256::new();
    let mut piece = vec![0; 64 * 1024];
    loop {
        let n = file.read(&mut piece)?;
        if n == 0 {
            break;
        }
        sum.update(&piece[..n]);
        signed.update(&piece[..n]);
    }
    let is: String = sum.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
    if is != request.sha256 {
        return Err(Unfit::Hash { wanted: request.sha256.clone(), is });
    }
    signed.finalize().map_err(wrong)
}

/// Name, version and architecture.
fn fields(file: &Path) -> Result<[String; 3], Unfit> {
    let form = "--showformat=${Package}\n${Version}\n${Architecture}";
    let told = Command::new("dpkg-deb").args([form, "--show"]).arg(file).output()?;
    if !told.status.success() {
        return Err(Unfit::NoPackage(String::from_utf8_lossy(&told.stderr).trim().to_owned()));
    }
    let text = String::from_utf8_lossy(&told.stdout).into_owned();
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.try_into().map_err(|_| Unfit::NoPackage("it does not say what it is".to_owned()))
}
