//! Brings a package to where root finds it: signature, package, checks, and the request as the last thing.

use std::fs;
use std::path::Path;

use domain::commands::update::Update;
use tokio::sync::mpsc;

use super::download::{self, Wanted};
use super::errand::News;
use super::installed::Installed;
use super::{PACKAGE, REQUEST, Request, SIGNATURE, SIGNATURE_MAX, Settings, package, write_note};
use crate::config::{self, HttpUrl};

/// Fetches and checks a package and leaves it to root; gives its version, or says why not.
pub(super) async fn carry(
    stage: &Path,
    id: String,
    update: Update,
    settings: Settings,
    tell: &mpsc::Sender<News>,
) -> Result<String, String> {
    let url = config::http_url(&update.url)?;
    let part = stage.join(format!("{}.part", update.sha256));
    remove_parts(stage, &part);
    let ca_file = settings.ca_file.as_deref();
    let signature = download::text(&beside(&url), ca_file, SIGNATURE_MAX)
        .await
        .map_err(|error| format!("the signature cannot be had: {error}"))?;
    let wanted = Wanted { url: &url, ca_file, size: update.size };
    // A full queue: whoever asked hears of the next part.
    let told = |have| drop(tell.try_send(News::Fetching(have)));
    download::fetch(&wanted, &part, told).await.map_err(|error| error.to_string())?;
    let Update { sha256, size, within_s, allow_downgrade, .. } = update;
    let request = Request { id, sha256, size, within_s, allow_downgrade };
    let stage = stage.to_owned();
    let checking = tokio::task::spawn_blocking(move || {
        check_and_stage(&stage, &part, &signature, &request, &settings)
    });
    checking.await.map_err(|error| error.to_string())?
}

fn check_and_stage(
    stage: &Path,
    part: &Path,
    signature: &str,
    request: &Request,
    settings: &Settings,
) -> Result<String, String> {
    let installed = Installed::look(Path::new("/"))
        .map_err(|error| format!("dpkg cannot be asked: {error}"))?
        .ok_or("this program is not installed by dpkg")?;
    let version = match package::check(part, signature, request, settings, &installed) {
        Ok(version) => version,
        Err(unfit) => {
            // Whatever it is, it is not what was meant: another try fetches it anew.
            let _ = fs::remove_file(part);
            return Err(unfit.to_string());
        }
    };
    let leave = || {
        fs::rename(part, stage.join(PACKAGE))?;
        fs::write(stage.join(SIGNATURE), signature)?;
        // The last thing: by this root sees that everything is there.
        write_note(&stage.join(REQUEST), request)
    };
    leave().map_err(|error| format!("it cannot be left to root: {error}"))?;
    Ok(version)
}

/// Removes beginnings of other packages.
fn remove_parts(stage: &Path, but: &Path) {
    let entries = fs::read_dir(stage).into_iter().flatten().filter_map(Result::ok);
    for path in entries.map(|entry| entry.path()) {
        let is_part = path.extension().is_some_and(|extension| extension == "part");
        if is_part && path != but && fs::remove_file(&path).is_err() {
            tracing::warn!(path = %path.display(), "an old download cannot be removed");
        }
    }
}

/// Where the signature of what is at `url` is.
fn beside(url: &HttpUrl) -> HttpUrl {
    let path = match url.path.split_once('?') {
        Some((path, query)) => format!("{path}.minisig?{query}"),
        None => format!("{}.minisig", url.path),
    };
    HttpUrl { path, ..url.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_beside_the_package() {
        let url =
            |path: &str| HttpUrl { tls: true, host: "h".into(), port: 443, path: path.to_owned() };
        assert_eq!(beside(&url("/s.deb")).path, "/s.deb.minisig");
        assert_eq!(beside(&url("/s.deb?t=1")).path, "/s.deb.minisig?t=1");
    }
}
