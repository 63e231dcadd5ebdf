//! Several files: includes, passwords, certificates, and what cannot be read.

use super::super::*;
use super::{BASE, faults, folder};

/// The faults of `box.toml` in `folder`, without the folder's own name.
fn told(folder: &tempfile::TempDir) -> Vec<String> {
    let path = folder.path().join("box.toml");
    let faults = match load(&path) {
        Ok(loaded) => Faults::from(loaded.warnings),
        Err(faults) => faults,
    };
    let prefix = format!("{}/", folder.path().display());
    faults.all().iter().map(|fault| fault.to_string().replace(&prefix, "")).collect()
}

const BAY: &str = "[[bay]]\nid = \"a\"\nsource = \"gnss\"\n";

#[test]
fn included_files_are_read_in_order() {
    let main = format!("include = [\"assets/*.toml\", \"one.toml\"]\n{BASE}");
    let bay = |id: &str, device: u32| {
        format!("[[bay]]\nid = {id:?}\nsource = \"nodes\"\ndevice = {device}\n")
    };
    let (a, b, c) = (bay("a", 1), bay("b", 2), bay("c", 3));
    let files: [(&str, &[u8]); 5] = [
        ("box.toml", main.as_bytes()),
        ("assets/b.toml", b.as_bytes()),
        ("assets/a.toml", a.as_bytes()),
        ("assets/a.txt", b"no toml"),
        ("one.toml", c.as_bytes()),
    ];
    let folder = folder(&files);
    let config = load(&folder.path().join("box.toml")).unwrap().config;
    assert_eq!(config.site.assets.len(), 3);
    let digest = <sha2::Sha256 as sha2::Digest>::digest([main, a, b, c].concat());
    let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(config.hash, hex);
}

#[test]
fn faults_of_included_files_name_them() {
    let main = format!("include = [\"more.toml\", \"none.toml\"]\n{BASE}typo = 1\n");
    let more = format!("include = [\"box.toml\"]\n{BAY}device = 1\nx = y\n");
    let folder = folder(&[("box.toml", main.as_bytes()), ("more.toml", more.as_bytes())]);
    assert_eq!(
        told(&folder),
        [
            "box.toml:1:25: none.toml cannot be read: there is no such file\n    \
             check the path and who may read the file",
            "box.toml:20:1: unknown key \"typo\" in [[source]]\n    there are: name, kind, url, \
             username, password_file, ca_file, cert_file, key_file, keep_alive, connect_timeout, \
             reconnect_spread, window, packet_max, password, topic, decoded",
            "more.toml:1:12: box.toml was read before\n    include each file once, and never the \
             file that includes it",
            "more.toml:5:10: the source is one device: it has no others\n    remove device",
            "more.toml:6:5: the text y has no quotes\n    write \"y\"",
        ]
    );
}

#[test]
fn files_that_cannot_be_read_are_faults() {
    let main = format!("include = [\"*.none\", \"[\", \".\", 7]\n{BASE}");
    let there = folder(&[("box.toml", main.as_bytes())]);
    let found = told(&there);
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(found[0].contains("1:12: warning: \"*.none\" includes no file"), "{}", found[0]);
    assert!(found[1].contains("1:22: \"[\" is no pattern"), "{}", found[1]);
    assert!(found[2].contains("cannot be read: it is not a file"), "{}", found[2]);
    assert!(found[3].contains("cannot be a whole number"), "{}", found[3]);

    let mut bytes = BASE.as_bytes().to_vec();
    bytes.extend(b"# \xbb\xc6\xc9\xbd\nname2 = \"x\"\n");
    let found = told(&folder(&[("box.toml", &bytes)]));
    assert!(found[0].starts_with("box.toml:19:3: this is not UTF-8"), "{found:#?}");
    assert!(found[1].starts_with("box.toml:20:1: unknown key \"name2\""), "{found:#?}");

    let found = told(&folder(&[("other.toml", b"")]));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].starts_with("box.toml:1:1: the file cannot be read: there is no such file"));
    let told = faults(&format!("include = [\"a.toml\"]\n{BASE}"));
    assert!(told[0].cause.contains("only a file can include others"), "{told:#?}");
}

#[test]
fn passwords_come_from_files_beside_the_configuration() {
    let text = BASE.replace("\"mqtt://127.0.0.1\"", "\"mqtt://broker\"\npassword_file = \"pw\"");
    let folder = folder(&[("box.toml", text.as_bytes()), ("pw", b"hush hush\n")]);
    let loaded = load(&folder.path().join("box.toml")).unwrap();
    assert_eq!(loaded.config.broker.password.as_ref().unwrap().reveal(), "hush hush");
    assert!(!format!("{loaded:?}").contains("hush"));
    assert!(loaded.warnings.iter().any(|w| w.cause.contains("unencrypted")));
    assert!(!explain(&loaded.config).contains("hush"));
    std::fs::write(folder.path().join("pw"), "\n").unwrap();
    assert!(told(&folder).iter().any(|fault| fault.contains("pw is empty")));
}

#[test]
fn a_certificate_authority_is_a_pem_file() {
    let text = BASE.replace("\"mqtt://127.0.0.1\"", "\"mqtts://broker\"\nca_file = \"ca.pem\"");
    let pem = b"-----BEGIN CERTIFICATE-----\n";
    let there = folder(&[("box.toml", text.as_bytes()), ("ca.pem", pem)]);
    let config = load(&there.path().join("box.toml")).unwrap().config;
    assert_eq!(config.broker.ca_file, Some(there.path().join("ca.pem")));
    std::fs::write(there.path().join("ca.pem"), "DER").unwrap();
    assert!(told(&there).iter().any(|fault| fault.contains("ca.pem has no certificate")));
}

const DEPOSITS: &str = "[[source]]\nname = \"d\"\nkind = \"mqtt-json\"\ntopic = \"d/+\"\n[source.map]\n\
    person_key_file = \"key\"\nquantity = [{ name = \"person\", pointer = \"/card\" }]\n\
    [[bin]]\nid = \"x\"\nsource = \"d\"\nempty_mm = 1500\nfull_mm = 300\n";

#[test]
fn the_key_of_pseudonyms_comes_from_a_file_and_is_never_shown() {
    let key = "0123456789abcdef0123456789abcdef";
    let text = format!("{BASE}{DEPOSITS}");
    let there = folder(&[("box.toml", text.as_bytes()), ("key", key.as_bytes())]);
    let loaded = load(&there.path().join("box.toml")).unwrap();
    assert!(loaded.warnings.iter().all(|w| !w.cause.contains("person")), "{:?}", loaded.warnings);
    assert!(!format!("{loaded:?}").contains(key));
    assert!(explain(&loaded.config).contains("persons as pseudonyms"));
    let alone = text.replace("person_key_file = \"key\"\n", "");
    std::fs::write(there.path().join("box.toml"), &alone).unwrap();
    let loaded = load(&there.path().join("box.toml")).unwrap();
    assert!(loaded.warnings.iter().any(|w| w.cause.contains("no key for its pseudonyms")));
    assert!(explain(&loaded.config).contains("persons left out (no key)"));
    std::fs::write(there.path().join("box.toml"), text.replace("\"person\"", "\"tag\"")).unwrap();
    assert!(told(&there).iter().any(|fault| fault.contains("where no \"person\" is read")));
    std::fs::write(there.path().join("box.toml"), &text).unwrap();
    std::fs::write(there.path().join("key"), "short").unwrap();
    let told = told(&there);
    assert!(told.iter().any(|fault| fault.contains("the key has 5 bytes")), "{told:#?}");
}
