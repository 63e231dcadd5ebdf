//! The node's own program on an emulated board: QEMU with a magnetometer, a thermometer and memory on its I²C
//! bus, moved from outside over QMP, and a line of which the test holds the middle.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream as Control;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use node::{MEMORY_LEN, PROVISION_AT, Provision};
use tokio::net::UnixStream;

use crate::program::PATIENCE;

/// The chip that is emulated: 4 KiB.
const EEPROM_LEN: usize = 4096;
const _: () = assert!(MEMORY_LEN <= EEPROM_LEN);

/// Between two looks for something that QEMU makes when it starts.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// An emulated board. Dropping it takes its power away.
#[derive(Debug)]
pub struct Emulated {
    qemu: Child,
    control: BufReader<Control>,
    /// The board's end of the line, to be taken.
    pub line: Option<UnixStream>,
}

/// What a board keeps without power, and where its sockets are.
#[derive(Debug)]
pub struct Board {
    dir: PathBuf,
    image: PathBuf,
}

impl Board {
    /// A board in `dir` for the program `image`, made as `made` says. `None` when QEMU or the program is not
    /// there; that has then been said, and the test should return.
    ///
    /// # Panics
    /// `dir` cannot be written.
    #[must_use]
    pub fn new(dir: &Path, image: &str, made: &Provision) -> Option<Board> {
        let image = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("../firmware/boards/qemu/target/thumbv7m-none-eabi/release")
            .join(image);
        if let Some(missing) = missing(&image) {
            writeln!(std::io::stderr(), "SKIPPED: {missing}").expect("stderr takes a line");
            return None;
        }
        let mut memory = vec![0xFF; EEPROM_LEN];
        let provision = made.encode();
        let at = usize::from(PROVISION_AT);
        memory[at..at + provision.len()].copy_from_slice(&provision);
        fs::write(dir.join("memory"), memory).expect("the test's directory can be written");
        Some(Board { dir: dir.to_owned(), image })
    }

    /// Gives it power. The sensors show `field` and 20 °C from the first instruction on.
    ///
    /// # Panics
    /// QEMU does not start.
    pub async fn power(&self, field: [u32; 3]) -> Emulated {
        self.power_with(field, &[]).await
    }

    /// As [`Board::power`], with further arguments for QEMU.
    ///
    /// # Panics
    /// QEMU does not start.
    pub async fn power_with(&self, field: [u32; 3], arguments: &[&str]) -> Emulated {
        let [line, control] = ["line", "control"].map(|name| self.dir.join(name));
        for socket in [&line, &control] {
            // Of a run before.
            let _ = fs::remove_file(socket);
        }
        let drive =
            format!("if=none,id=memory,format=raw,file={}", self.dir.join("memory").display());
        let qemu = Command::new("qemu-system-arm")
            .args(["-M", "lm3s6965evb", "-net", "none", "-nographic", "-nodefaults", "-S"])
            .args(["-chardev", &format!("socket,id=u0,path={},server=on,wait=off", line.display())])
            .args(["-serial", "chardev:u0"])
            .args(["-qmp", &format!("unix:{},server=on,wait=off", control.display())])
            .args(["-device", "lsm303dlhc_mag,id=field,address=0x1e"])
            .args(["-device", "tmp105,id=temperature,address=0x48", "-drive", &drive])
            .args(["-device", "at24c-eeprom,address=0x50,rom-size=4096,drive=memory"])
            .args(arguments)
            .arg("-kernel")
            .arg(&self.image)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("qemu-system-arm is installed");
        let control = connect(|| Control::connect(&control).ok()).await;
        control.set_read_timeout(Some(PATIENCE)).expect("a timeout can be set");
        let line = connect(|| std::os::unix::net::UnixStream::connect(&line).ok()).await;
        line.set_nonblocking(true).expect("a socket can be set so");
        let line = UnixStream::from_std(line).expect("a socket can be watched");
        let mut board = Emulated { qemu, control: BufReader::new(control), line: Some(line) };
        board.answer();
        board.order(r#"{"execute":"qmp_capabilities"}"#);
        board.set_field(field);
        board.set("temperature", "temperature", 20_000);
        board.order(r#"{"execute":"cont"}"#);
        board
    }
}

impl Emulated {
    /// Sets the field at the sensor in nanotesla, none of it negative: QEMU takes no negative field.
    ///
    /// # Panics
    /// QEMU refuses.
    pub fn set_field(&mut self, [x, y, z]: [u32; 3]) {
        for (axis, nt) in [("mag-x", x), ("mag-y", y), ("mag-z", z)] {
            self.set("field", axis, nt);
        }
    }

    fn set(&mut self, device: &str, property: &str, value: u32) {
        self.order(&format!(
            r#"{{"execute":"qom-set","arguments":{{"path":"/machine/peripheral/{device}","property":"{property}","value":{value}}}}}"#
        ));
    }

    fn order(&mut self, order: &str) {
        writeln!(self.control.get_mut(), "{order}").expect("QEMU listens");
        let answer = self.answer();
        assert!(answer.contains("\"return\""), "{order}: {answer}");
    }

    /// The next line of QEMU that is not about what happens by itself.
    fn answer(&mut self) -> String {
        loop {
            let mut line = String::new();
            self.control.read_line(&mut line).expect("QEMU answers");
            assert!(!line.is_empty(), "QEMU has ended");
            if !line.contains("\"event\"") {
                return line;
            }
        }
    }
}

impl Drop for Emulated {
    fn drop(&mut self) {
        // Ended already, or to be ended now: both are right.
        let _ = self.qemu.kill();
        let _ = self.qemu.wait();
    }
}

/// What is missing to emulate `image`, and what to do about it.
fn missing(image: &Path) -> Option<String> {
    let runs = Command::new("qemu-system-arm").arg("--version").stdout(Stdio::null()).status();
    if runs.is_err() {
        return Some(
            "qemu-system-arm is not installed (apt-get install qemu-system-arm)".to_owned(),
        );
    }
    (!image.exists()).then(|| {
        format!("{} is not built (make board-image says what is missing)", image.display())
    })
}

/// Waits for what QEMU makes when it starts.
async fn connect<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let connected = async {
        loop {
            if let Some(connected) = attempt() {
                return connected;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    tokio::time::timeout(PATIENCE, connected).await.expect("QEMU starts")
}
