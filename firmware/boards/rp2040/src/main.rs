//! The node on an RP2040 (Raspberry Pi Pico): wakes when it wants to or when the line speaks, and sleeps in
//! between.
//!
//! Responsible for the pins, the bus, the line, the supply's voltage, the light and the watchdog. No decision
//! is made here. Pins and power: README.md beside this.

#![no_std]
#![no_main]

use core::cell::RefCell;

use drivers::at24c::{self, At24c};
use drivers::lsm303dlhc::Lsm303dlhc;
use drivers::tmp102::{self, Tmp102};
use embassy_executor::Spawner;
use embassy_rp::adc::{self, Adc};
use embassy_rp::gpio::{Level, Output, Pull};
use embassy_rp::i2c::{self, I2c};
use embassy_rp::uart::{self, BufferedInterruptHandler, BufferedUart, BufferedUartTx};
use embassy_rp::watchdog::Watchdog;
use embassy_rp::{bind_interrupts, peripherals};
use embassy_time::{Delay, Duration, Instant, with_deadline};
use embedded_hal_bus::i2c::RefCellDevice;
use embedded_io_async::Read;
use node::{Board, Instruments, Reading, Sense, Station};
use panic_halt as _;
use static_cell::StaticCell;

/// The number of this program, in every hello.
const FIRMWARE: wire::Firmware = wire::Firmware { major: 0, minor: 1, patch: 0 };
/// The watchdog is fed at least so often, in milliseconds; it waits for twice as long (8.3 s at the most).
const FEED_MS: u64 = 4_000;
/// Bytes that wait for the program: two of the longest frames. Full: the byte is dropped, its frame fails its
/// check, and whoever sent it sends it again.
const HEARD_MAX: usize = 256;
/// Bytes that wait for the line. Full: the program waits.
const SAID_MAX: usize = 128;

type Bus = I2c<'static, peripherals::I2C0, i2c::Blocking>;

bind_interrupts!(struct Interrupts {
    UART0_IRQ => BufferedInterruptHandler<peripherals::UART0>;
});

struct Hardware<'b> {
    instruments: Instruments<RefCellDevice<'b, Bus>, Delay>,
    voice: BufferedUartTx,
    converter: Adc<'static, adc::Blocking>,
    supply: adc::Channel<'static>,
    light: Output<'static>,
}

impl Hardware<'_> {
    /// The supply of the board in millivolts: 12 bits of 3.3 V behind a divider by three.
    fn supply_mv(&mut self) -> Option<u16> {
        let counts = u32::from(self.converter.blocking_read(&mut self.supply).ok()?);
        u16::try_from(counts * 3 * 3_300 / 4_096).ok()
    }
}

impl Board for Hardware<'_> {
    fn measure(&mut self, sense: Sense) -> Reading {
        match sense {
            Sense::Field => Reading::Field(self.instruments.field()),
            Sense::Temperature => Reading::Temperature(self.instruments.temperature()),
            Sense::Battery => Reading::Battery(self.supply_mv()),
            // The board has none of these.
            Sense::Range => Reading::Range(None),
            Sense::Switches => Reading::Switches { tilted: None, lid_open: None },
        }
    }

    fn load(&mut self, address: u16, bytes: &mut [u8]) -> bool {
        self.instruments.load(address, bytes)
    }

    fn save(&mut self, address: u16, bytes: &[u8]) -> bool {
        self.instruments.save(address, bytes)
    }

    fn send(&mut self, mut bytes: &[u8]) {
        while let Ok(taken) = self.voice.blocking_write(bytes)
            && taken < bytes.len()
        {
            bytes = &bytes[taken..];
        }
    }

    fn identify(&mut self, seconds: u16) {
        self.light.set_level(if seconds > 0 { Level::High } else { Level::Low });
    }

    fn set_clock(&mut self, _unix_s: u64) {
        // It has none that outlives the power.
    }
}

fn now_ms() -> u64 {
    Instant::now().as_millis()
}

/// Not on the stack, where making it would need it twice.
static STATION: StaticCell<Station> = StaticCell::new();
static BUS: StaticCell<RefCell<Bus>> = StaticCell::new();
static HEARD: StaticCell<[u8; HEARD_MAX]> = StaticCell::new();
static SAID: StaticCell<[u8; SAID_MAX]> = StaticCell::new();

#[embassy_executor::main]
async fn main(_spawner: Spawner) {
    let chip = embassy_rp::init(embassy_rp::config::Config::default());
    let bus = I2c::new_blocking(chip.I2C0, chip.PIN_5, chip.PIN_4, i2c::Config::default());
    let bus = BUS.init(RefCell::new(bus));
    let line = BufferedUart::new(
        chip.UART0,
        chip.PIN_0,
        chip.PIN_1,
        Interrupts,
        SAID.init([0; SAID_MAX]),
        HEARD.init([0; HEARD_MAX]),
        // 115 200 baud, 8N1.
        uart::Config::default(),
    );
    let (voice, mut ear) = line.split();
    let memory = at24c::Address::new(0).expect("0 is below 8");
    let mut board = Hardware {
        instruments: Instruments::new(
            Lsm303dlhc::new(RefCellDevice::new(bus)),
            Some(Tmp102::new(RefCellDevice::new(bus), tmp102::Address::Ground)),
            At24c::new(RefCellDevice::new(bus), memory),
            Delay,
        ),
        voice,
        converter: Adc::new_blocking(chip.ADC, adc::Config::default()),
        supply: adc::Channel::new_pin(chip.PIN_29, Pull::None),
        light: Output::new(chip.PIN_25, Level::Low),
    };
    let mut watchdog = Watchdog::new(chip.WATCHDOG);
    watchdog.start(Duration::from_millis(2 * FEED_MS));
    let mut feed = || watchdog.feed(Duration::from_millis(2 * FEED_MS));

    let station = start(&mut board, &mut feed).await;
    loop {
        let until = station.next_ms().min(now_ms() + FEED_MS);
        let mut bytes = [0; 32];
        if let Ok(Ok(heard)) = with_deadline(Instant::from_millis(until), ear.read(&mut bytes)).await {
            for byte in &bytes[..heard] {
                station.hear(*byte, &mut board, now_ms());
            }
        }
        if now_ms() >= station.next_ms() {
            station.wake(&mut board, now_ms());
        }
        feed();
    }
}

/// Starts the node, as soon as its memory says who it is.
async fn start(board: &mut Hardware<'_>, feed: &mut impl FnMut()) -> &'static mut Station {
    loop {
        if let Some(identity) = Station::identity(FIRMWARE, board) {
            let station = STATION.init_with(|| Station::start(identity, board, now_ms()));
            station.recall(board);
            return station;
        }
        // Starting again would not help, so the watchdog is fed.
        feed();
        embassy_time::Timer::after_millis(FEED_MS).await;
    }
}
