//! The node on an nRF52840: wakes when it wants to or when the line speaks, and sleeps in between.
//!
//! Responsible for the pins, the bus, the line, the battery's voltage, the light and the watchdog. No decision
//! is made here. Pins and power: README.md beside this.

#![no_std]
#![no_main]

use core::cell::RefCell;

use drivers::at24c::{self, At24c};
use drivers::lsm303dlhc::Lsm303dlhc;
use drivers::tmp102::{self, Tmp102};
use embassy_executor::Spawner;
use embassy_nrf::buffered_uarte::{self, BufferedUarte, BufferedUarteTx};
use embassy_nrf::config::LfclkSource;
use embassy_nrf::gpio::{Level, Output, OutputDrive};
use embassy_nrf::saadc::{self, Saadc};
use embassy_nrf::twim::{self, Twim};
use embassy_nrf::wdt::{self, Watchdog};
use embassy_nrf::{bind_interrupts, peripherals, uarte};
use embassy_time::{Delay, Instant, with_deadline};
use embedded_hal_bus::i2c::RefCellDevice;
use node::{Board, Instruments, Reading, Sense, Station};
use panic_halt as _;
use static_cell::StaticCell;

/// The number of this program, in every hello.
const FIRMWARE: wire::Firmware = wire::Firmware { major: 0, minor: 1, patch: 0 };
/// The watchdog is fed at least so often, in milliseconds; it waits for twice as long.
const FEED_MS: u64 = 4_000;
const WATCHDOG_TICKS: u32 = 8 * 32_768;
/// A page of the memory: what the bus sends from flash is copied here first.
const BUS_BUFFER: usize = at24c::PAGE_LEN;
/// Bytes that wait for the program: two of the longest frames. Full: the byte is dropped, its frame fails its
/// check, and whoever sent it sends it again.
const HEARD_MAX: usize = 256;
/// Bytes that wait for the line. Full: the program waits.
const SAID_MAX: usize = 128;

bind_interrupts!(struct Interrupts {
    UARTE0 => buffered_uarte::InterruptHandler<peripherals::UARTE0>;
    TWISPI0 => twim::InterruptHandler<peripherals::TWISPI0>;
    SAADC => saadc::InterruptHandler;
});

struct Hardware<'b> {
    instruments: Instruments<RefCellDevice<'b, Twim<'static>>, Delay>,
    voice: BufferedUarteTx<'static>,
    supply: Saadc<'static, 1>,
    light: Output<'static>,
}

impl Hardware<'_> {
    /// The supply of the chip in millivolts: 12 bits of 0.6 V behind a divider by six.
    fn supply_mv(&mut self) -> Option<u16> {
        let mut raw = [0];
        // Takes some ten microseconds, which are not worth a sleep.
        embassy_futures::block_on(self.supply.sample(&mut raw));
        let counts = u32::try_from(raw[0]).ok()?;
        u16::try_from(counts * 3_600 / 4_096).ok()
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
        while let Ok(taken) = self.voice.try_write(bytes)
            && taken < bytes.len()
        {
            bytes = &bytes[taken..];
        }
    }

    fn identify(&mut self, seconds: u16) {
        self.light.set_level(if seconds > 0 { Level::Low } else { Level::High });
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
static BUS: StaticCell<RefCell<Twim<'static>>> = StaticCell::new();
static TO_BUS: StaticCell<[u8; BUS_BUFFER]> = StaticCell::new();
static HEARD: StaticCell<[u8; HEARD_MAX]> = StaticCell::new();
static SAID: StaticCell<[u8; SAID_MAX]> = StaticCell::new();

#[embassy_executor::main]
async fn main(_spawner: Spawner) {
    let mut config = embassy_nrf::config::Config::default();
    // The board has the crystal; the chip's own oscillator would be wrong by minutes a day.
    config.lfclk_source = LfclkSource::ExternalXtal;
    let chip = embassy_nrf::init(config);

    let to_bus = TO_BUS.init([0; BUS_BUFFER]);
    let bus = Twim::new(chip.TWISPI0, Interrupts, chip.P0_26, chip.P0_27, twim::Config::default(), to_bus);
    let bus = BUS.init(RefCell::new(bus));
    let line = BufferedUarte::new(
        chip.UARTE0,
        chip.TIMER0,
        chip.PPI_CH0,
        chip.PPI_CH1,
        chip.PPI_GROUP0,
        chip.P0_08,
        chip.P0_06,
        Interrupts,
        // 115 200 baud, 8N1.
        uarte::Config::default(),
        HEARD.init([0; HEARD_MAX]),
        SAID.init([0; SAID_MAX]),
    );
    let (mut ear, voice) = line.split();
    let supply = saadc::ChannelConfig::single_ended(saadc::VddInput);
    let memory = at24c::Address::new(0).expect("0 is below 8");
    let mut board = Hardware {
        instruments: Instruments::new(
            Lsm303dlhc::new(RefCellDevice::new(bus)),
            Some(Tmp102::new(RefCellDevice::new(bus), tmp102::Address::Ground)),
            At24c::new(RefCellDevice::new(bus), memory),
            Delay,
        ),
        voice,
        supply: Saadc::new(chip.SAADC, Interrupts, saadc::Config::default(), [supply]),
        light: Output::new(chip.P0_13, Level::High, OutputDrive::Standard),
    };

    let mut config = wdt::Config::default();
    config.timeout_ticks = WATCHDOG_TICKS;
    // It runs already after some resets, and then with the same time.
    let mut watchdog = Watchdog::try_new(chip.WDT, config).ok().map(|(_, [handle])| handle);
    let mut feed = || {
        if let Some(handle) = &mut watchdog {
            handle.pet();
        }
    };

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
