//! When a certificate begins and ends: the few fields of an X.509 certificate (RFC 5280, 4.1) that are
//! needed for it, read from its DER. It does not check anything else; the TLS library does.

use domain::time::Utc;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;

const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const VERSION: u8 = 0xa0;

/// From when to when a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Not before.
    pub from: Utc,
    /// Not after.
    pub until: Utc,
}

/// The validity of every certificate in a PEM file, in its order.
///
/// # Errors
/// It is not PEM, or has something that is not a certificate.
pub fn validities(pem: &[u8]) -> Result<Vec<Validity>, String> {
    let one = |der: Result<CertificateDer<'_>, _>| match der {
        Ok(der) => {
            validity(&der).ok_or_else(|| "there is something that is no certificate".to_owned())
        }
        Err(error) => Err(format!("not PEM: {error}")),
    };
    CertificateDer::pem_slice_iter(pem).map(one).collect()
}

/// The validity of one certificate; `None` when it is none.
#[must_use]
pub fn validity(der: &[u8]) -> Option<Validity> {
    let (certificate, _) = expect(der, SEQUENCE)?;
    let (mut fields, _) = expect(certificate, SEQUENCE)?;
    if let Some((VERSION, _, rest)) = element(fields) {
        fields = rest;
    }
    // Serial number, signature algorithm, issuer.
    for _ in 0..3 {
        (_, _, fields) = element(fields)?;
    }
    let (times, _) = expect(fields, SEQUENCE)?;
    let (tag, from, rest) = element(times)?;
    let from = time(tag, from)?;
    let (tag, until, _) = element(rest)?;
    Some(Validity { from, until: time(tag, until)? })
}

/// Tag, content and what follows of the first element (X.690, 8.1).
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first & 0x80 != 0 {
        length = 0;
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 {
            return None;
        }
        for _ in 0..count {
            let (&byte, more) = rest.split_first()?;
            length = length << 8 | usize::from(byte);
            rest = more;
        }
    }
    (length <= rest.len()).then(|| (tag, &rest[..length], &rest[length..]))
}

fn expect(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(bytes)?;
    (tag == wanted).then_some((content, rest))
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ` (RFC 5280, 4.1.2.5).
fn time(tag: u8, content: &[u8]) -> Option<Utc> {
    let text = std::str::from_utf8(content).ok()?.strip_suffix('Z')?;
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let (year, rest) = match (tag, text.len()) {
        (UTC_TIME, 12) => {
            let two: u32 = text[..2].parse().ok()?;
            (if two >= 50 { 1900 + two } else { 2000 + two }, &text[2..])
        }
        (GENERALIZED_TIME, 14) => (text[..4].parse().ok()?, &text[4..]),
        _ => return None,
    };
    let part = |at: usize| &rest[at..at + 2];
    let (month, day, hour, minute, second) = (part(0), part(2), part(4), part(6), part(8));
    Utc::parse(&format!("{year:04}-{month}-{day}T{hour}:{minute}:{second}Z")).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The outer fields of a certificate, with these times.
    fn certificate(times: &[u8]) -> Vec<u8> {
        let wrap = |tag: u8, content: &[u8]| {
            [&[tag, 0x82, (content.len() >> 8) as u8, content.len() as u8], content].concat()
        };
        let fields = [
            wrap(VERSION, &[2, 1, 2]),
            wrap(2, &[1]),
            wrap(SEQUENCE, &[]),
            wrap(SEQUENCE, &[]),
            wrap(SEQUENCE, times),
        ];
        wrap(SEQUENCE, &wrap(SEQUENCE, &fields.concat()))
    }

    #[test]
    fn both_forms_of_time_are_read() {
        let mut times = vec![UTC_TIME, 13];
        times.extend(b"260601000000Z");
        times.extend([GENERALIZED_TIME, 15]);
        times.extend(b"20510601123000Z");
        let found = validity(&certificate(&times)).unwrap();
        assert_eq!(found.from, Utc::parse("2026-06-01T00:00:00Z").unwrap());
        assert_eq!(found.until, Utc::parse("2051-06-01T12:30:00Z").unwrap());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = validity(&bytes);
            let _ = validity(&certificate(&bytes));
        }
    }
}
