//! What a run of this program costs, counted from outside: instructions and system calls.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

/// Instructions in user mode of this program with `args`, and who counted them: `perf stat`, and where the
/// kernel does not let it, callgrind.
pub(crate) fn instructions(args: &[&str]) -> Option<(u64, &'static str)> {
    let program = std::env::current_exe().ok()?;
    let counted = Command::new("perf")
        .args(["stat", "-x", ",", "-e", "instructions:u"])
        .arg(&program)
        .args(args)
        .output();
    if let Ok(out) = counted {
        let said = String::from_utf8_lossy(&out.stderr).into_owned();
        let count = said.lines().find(|line| line.contains("instructions"));
        if let Some(n) = count.and_then(|line| line.split(',').next()?.parse().ok()) {
            return Some((n, "perf stat"));
        }
    }
    let out = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(&program)
        .args(args)
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    let line = said.lines().find(|line| line.contains("Collected :"))?;
    Some((line.rsplit(' ').next()?.parse().ok()?, "callgrind"))
}

/// System calls of this program with `args`, by name, counted by strace; `None` where there is none.
pub(crate) fn system_calls(args: &[&str]) -> Option<BTreeMap<String, u64>> {
    let report = tempfile::NamedTempFile::new().ok()?;
    let status = Command::new("strace")
        .args(["-f", "-c", "-o"])
        .arg(report.path())
        .arg(std::env::current_exe().ok()?)
        .args(args)
        .stdout(Stdio::null())
        .status()
        .ok()?;
    status.success().then_some(())?;
    Some(fs::read_to_string(report.path()).ok()?.lines().filter_map(call).collect())
}

/// A line of strace's table: `% time, seconds, usecs/call, calls, errors (perhaps), name`.
fn call(line: &str) -> Option<(String, u64)> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let (name, calls) = (*fields.last()?, fields.get(3)?.parse().ok()?);
    (fields.len() >= 5 && name != "total").then(|| (name.to_owned(), calls))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_table_are_read_and_others_are_not() {
        let table = "% time     seconds  usecs/call     calls    errors syscall\n\
                     ------ ----------- ----------- --------- --------- ----------------\n\
                     63.07    0.000129         129         7           sendto\n\
                     20.00    0.000040           2        18         3 recvfrom\n\
                     100.00    0.000204           4        45         5 total\n";
        let found: Vec<_> = table.lines().filter_map(call).collect();
        assert_eq!(found, [("sendto".to_owned(), 7), ("recvfrom".to_owned(), 18)]);
    }
}
