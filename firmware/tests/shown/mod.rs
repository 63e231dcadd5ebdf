//! Tables that stand in `docs/hardware.md` and are worked out here: a table that has changed is a failure until
//! the document says the same. `STEWARD_BLESS=1 cargo test -p node` writes them.

use std::fs;
use std::path::Path;

/// Checks that the document has `table` under `name`.
pub(crate) fn shown(name: &str, table: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/hardware.md");
    let text = fs::read_to_string(&path).expect("the document is there");
    let (begin, end) = (format!("<!-- {name} -->\n"), format!("<!-- end of {name} -->"));
    let from = text.find(&begin).expect("the document has the table") + begin.len();
    let to = from + text[from..].find(&end).expect("the table has an end");
    if std::env::var_os("STEWARD_BLESS").is_some() {
        fs::write(&path, format!("{}{table}{}", &text[..from], &text[to..]))
            .expect("the document can be written");
    } else {
        assert_eq!(
            &text[from..to],
            table,
            "docs/hardware.md says otherwise: STEWARD_BLESS=1 writes it"
        );
    }
}
