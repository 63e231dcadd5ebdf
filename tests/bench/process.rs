//! The program as a whole: its size.

use crate::table::Table;

pub(crate) fn rows(table: &mut Table) {
    let bench = std::env::current_exe().unwrap();
    let program = bench.with_file_name("steward");
    let size = std::fs::metadata(&program).unwrap().len();
    table.row("program file", size as f64, "bytes").how("stripped release build, dashboard inside");
}
