//! The way to the broker, step by step, so that the first one that fails is the fault: name, connection,
//! TLS, the broker's welcome, and a message there and back on the box's own topics.

use std::sync::Arc;
use std::time::Duration;

use domain::site::Identity;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::Finding;
use crate::clock;
use crate::config::{Broker, Scheme};
use crate::mqtt::probe::{self, Failed, Step};
use crate::mqtt::topics::Prefix;
use crate::tls::{self, certificate};

/// The longest time for a name.
const NAME_WITHIN: Duration = Duration::from_secs(10);
/// Certificates that end within so many days are to be looked at.
const DAYS: i64 = 30;
const DAY_MS: i64 = 86_400_000;

pub(super) async fn examine(broker: &Broker, identity: &Identity) -> Vec<Finding> {
    let mut findings: Vec<_> = broker.certificate_files().iter().map(own_certificate).collect();
    match reach(broker, &mut findings).await {
        Ok(()) => findings.extend(round_trip(broker, identity).await),
        Err(fault) => findings.push(fault),
    }
    findings
}

fn own_certificate(file: &std::path::PathBuf) -> Finding {
    let shown = file.display();
    match tls::watch::ends(file) {
        Some(until) => validity("certificate", &format!("{shown}"), until.as_ms()),
        None => Finding::bad(
            "certificate",
            format!("{shown} cannot be read"),
            "check the path and who may read it; it must be PEM",
        ),
    }
}

/// What is to be said of a certificate that ends at `until`.
fn validity(check: &'static str, whose: &str, until_ms: i64) -> Finding {
    let days = (until_ms - clock::for_certificates().as_ms()).div_euclid(DAY_MS);
    if days < 0 {
        let says = format!("{whose} has ended {} days ago", -days);
        return Finding::bad(
            check,
            says,
            "put a new one in its place, then systemctl reload steward",
        );
    }
    let says = format!("{whose} ends in {days} days");
    if days <= DAYS {
        return Finding::look(check, says, "renew it in time");
    }
    Finding::ok(check, says)
}

/// Name, connection and TLS.
async fn reach(broker: &Broker, findings: &mut Vec<Finding>) -> Result<(), Finding> {
    let (host, port) = (broker.url.host.trim_matches(['[', ']']), broker.url.port);
    let looking = tokio::time::timeout(NAME_WITHIN, tokio::net::lookup_host((host, port))).await;
    let addresses: Vec<_> = match looking {
        Ok(Ok(found)) => found.collect(),
        Ok(Err(error)) => {
            return Err(Finding::bad(
                "name",
                format!("{host} cannot be found: {error}"),
                "is it spelled right? does the box have a name server (resolvectl status)?",
            ));
        }
        Err(_) => {
            let todo = "the name server does not answer: is the uplink there (ip route)?";
            return Err(Finding::bad("name", format!("{host} cannot be found in time"), todo));
        }
    };
    let Some(first) = addresses.first() else {
        return Err(Finding::bad("name", format!("{host} has no address"), "ask whoever runs it"));
    };
    findings.push(Finding::ok("name", format!("{host} is {}", first.ip())));
    let connecting = TcpStream::connect(addresses.as_slice());
    let stream = match tokio::time::timeout(broker.connect_timeout, connecting).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            let todo = "is the broker running, and is the port in [mqtt] url the right one?";
            let says = format!("nobody listens at {host} port {port}");
            return Err(Finding::bad("connection", says, todo));
        }
        Ok(Err(error)) => {
            let todo =
                "is the uplink there (ip route, ping)? does a firewall let the port through?";
            return Err(Finding::bad("connection", format!("{host} port {port}: {error}"), todo));
        }
        Err(_) => {
            let todo = "a firewall that swallows the port, or no way there: ip route, ping";
            let says = format!("{host} port {port} does not answer");
            return Err(Finding::bad("connection", says, todo));
        }
    };
    findings.push(Finding::ok("connection", format!("{host} port {port} answers")));
    if matches!(broker.url.scheme, Scheme::Mqtts | Scheme::Wss) {
        findings.push(handshake(broker, host, stream).await?);
    }
    Ok(())
}

async fn handshake(broker: &Broker, host: &str, stream: TcpStream) -> Result<Finding, Finding> {
    let config = tls::client(broker.ca_file.as_deref(), broker.identity.as_ref())
        .map_err(|error| Finding::bad("tls", error.to_string(), "see [mqtt] ca_file"))?;
    let name = ServerName::try_from(host.to_owned()).map_err(|_| {
        Finding::bad("tls", format!("{host} is no name of a server"), "write its name in the url")
    })?;
    let shaking = TlsConnector::from(Arc::new(config)).connect(name, stream);
    match tokio::time::timeout(broker.connect_timeout, shaking).await {
        Ok(Ok(stream)) => {
            let (_, session) = stream.get_ref();
            let theirs = session.peer_certificates().and_then(|chain| chain.first());
            let until = theirs.and_then(|der| certificate::validity(der)).map(|v| v.until.as_ms());
            Ok(match until {
                Some(until) => validity("tls", "the broker's certificate is trusted, and", until),
                None => Finding::ok("tls", "the broker's certificate is trusted"),
            })
        }
        Ok(Err(error)) => {
            let says = error.to_string();
            let todo = what_to_do(&says);
            Err(Finding::bad("tls", format!("no trust between box and broker: {says}"), todo))
        }
        Err(_) => {
            let todo = "is it a TLS port? mqtt:// and mqtts:// have different ones";
            Err(Finding::bad("tls", "the broker does not speak TLS in time", todo))
        }
    }
}

/// What to do about a failed handshake, by what the library says of it.
fn what_to_do(says: &str) -> &'static str {
    const ISSUER: &str = "[mqtt] ca_file is not the authority that signed the broker's certificate";
    const NAME: &str = "the certificate is for another name: write that name in [mqtt] url";
    let cases = [
        (
            "expired",
            "the broker's certificate has ended, or this box's clock is ahead: timedatectl",
        ),
        ("not valid yet", "this box's clock is behind: timedatectl"),
        ("unknownissuer", ISSUER),
        ("badsignature", ISSUER),
        ("not valid for name", NAME),
        ("notvalidforname", NAME),
        (
            "certificaterequired",
            "the broker wants a certificate of the box: cert_file and key_file",
        ),
        ("invalidmessage", "it is no TLS port: mqtt:// and mqtts:// have different ones"),
    ];
    let says = says.to_lowercase();
    let found = cases.iter().find(|(part, _)| says.contains(part));
    found.map_or("compare the box's and the broker's certificates", |(_, todo)| todo)
}

/// A message there and back.
async fn round_trip(broker: &Broker, identity: &Identity) -> Vec<Finding> {
    let topic = Prefix::new(identity).join(probe::PATH);
    let payload = format!("steward doctor {}", std::process::id());
    let outcome = probe::round_trip(broker, identity.id.as_str(), &topic, payload.as_bytes()).await;
    let steps = [
        (Step::Connect, "welcome", "the broker takes the box in"),
        (Step::Subscribe, "subscribe", "the box may hear its own topics"),
        (Step::Publish, "publish", "the box may publish on its own topics"),
        (Step::Echo, "round-trip", "what the box publishes comes back"),
    ];
    let mut findings = vec![];
    for (step, check, says) in steps {
        match &outcome {
            Err(failed) if failed.step == step => {
                findings.push(failure(check, failed, &topic));
                break;
            }
            _ => findings.push(Finding::ok(check, says)),
        }
    }
    findings
}

fn failure(check: &'static str, failed: &Failed, topic: &str) -> Finding {
    let Failed { step, forbidden, why } = failed;
    let rules = "steward schema acl writes the rules that a box needs; load them into the broker";
    match (step, forbidden) {
        (Step::Connect, true) => Finding::bad(
            check,
            why.clone(),
            "user name and password ([mqtt] username, password_file), or the certificate, are not \
             those that the broker knows this box by",
        ),
        (Step::Connect, false) => {
            let todo = "look into the broker's log; the doctor asks with MQTT 5, the box itself also \
                        speaks 3.1.1";
            Finding::bad(check, why.clone(), todo)
        }
        (Step::Echo, _) => {
            let says =
                format!("nothing comes back on {topic}: the box may write there and not read");
            Finding::look(check, says, rules)
        }
        (_, true) => {
            Finding::bad(check, format!("the broker's rules forbid {topic}: {why}"), rules)
        }
        (_, false) => Finding::bad(check, format!("{topic}: {why}"), "look into the broker's log"),
    }
}
