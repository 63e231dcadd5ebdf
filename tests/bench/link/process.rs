//! What a process has used, from `/proc`.

use std::fs;

/// Time and bytes of a process so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Used {
    /// Seconds of processor, user and system.
    pub(crate) cpu_s: f64,
    /// Bytes it has caused to be written to a device.
    pub(crate) written: u64,
    /// Bytes of memory resident now.
    pub(crate) rss: u64,
}

impl Used {
    pub(crate) fn by(pid: u32) -> Used {
        let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap();
        let stat = read("stat");
        // Behind the name, which may have spaces in it: fields 14 and 15 are in ticks of 10 ms.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks = |n: usize| fields[n].parse::<f64>().unwrap();
        let io = read("io");
        let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap();
        let pages: u64 = read("statm").split_whitespace().nth(1).unwrap().parse().unwrap();
        Used {
            cpu_s: (ticks(11) + ticks(12)) / 100.0,
            written: written.parse().unwrap(),
            rss: pages * 4096,
        }
    }

    pub(crate) fn ours() -> Used {
        Used::by(std::process::id())
    }

    /// What was used since `before`; memory as it is now.
    pub(crate) fn since(self, before: Used) -> Used {
        let written = self.written.saturating_sub(before.written);
        Used { cpu_s: self.cpu_s - before.cpu_s, written, rss: self.rss }
    }
}
