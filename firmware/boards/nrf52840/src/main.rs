//! The node on an nRF52840: wakes when it wants to or when the line speaks, and sleeps in between.
//!
//! Responsible for the pins, the bus, the line, the battery's voltage, the light and the watchdog. No decision
//! is made here. Pins and power: README.md beside this.

#![no_std]
#![no_main]

mod supply;

use core::cell::RefCell;

use board_embassy::{HEARD_MAX, SAID_MAX, WATCHDOG_MS};
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
use embassy_time::Delay;
use embedded_hal_bus::i2c::RefCellDevice;
use node::{BayBoard, Identity, Instruments, Pins};
use panic_halt as _;
use static_cell::StaticCell;

use crate::supply::BAY;

const WATCHDOG_TICKS: u32 = WATCHDOG_MS / 1_000 * 32_768;
/// A page of the memory: what the bus sends from flash is copied here first.
const BUS_BUFFER: usize = at24c::PAGE_LEN;

bind_interrupts!(struct Interrupts {
    UARTE0 => buffered_uarte::InterruptHandler<peripherals::UARTE0>;
    TWISPI0 => twim::InterruptHandler<peripherals::TWISPI0>;
    SAADC => saadc::InterruptHandler;
});

/// What the board has beside its bus.
struct Hardware {
    voice: BufferedUarteTx<'static>,
    supply: Saadc<'static, 1>,
    light: Output<'static>,
}

impl Pins for Hardware {
    /// The supply of the chip in millivolts: 12 bits of 0.6 V behind a divider by six.
    fn supply_mv(&mut self) -> Option<u16> {
        let mut raw = [0];
        // Takes some ten microseconds, which are not worth a sleep.
        embassy_futures::block_on(self.supply.sample(&mut raw));
        let counts = u32::try_from(raw[0]).ok()?;
        u16::try_from(counts * 3_600 / 4_096).ok()
    }

    fn send(&mut self, mut bytes: &[u8]) {
        while let Ok(taken) = self.voice.try_write(bytes)
            && taken < bytes.len()
        {
            bytes = &bytes[taken..];
        }
    }

    fn light(&mut self, is_on: bool) {
        self.light.set_level(if is_on { Level::Low } else { Level::High });
    }
}

static BUS: StaticCell<RefCell<Twim<'static>>> = StaticCell::new();
static TO_BUS: StaticCell<[u8; BUS_BUFFER]> = StaticCell::new();
static HEARD: StaticCell<[u8; HEARD_MAX]> = StaticCell::new();
static SAID: StaticCell<[u8; SAID_MAX]> = StaticCell::new();

#[embassy_executor::main]
async fn main(_spawner: Spawner) -> ! {
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
    let instruments = Instruments::new(
        Lsm303dlhc::new(RefCellDevice::new(bus)),
        Some(Tmp102::new(RefCellDevice::new(bus), tmp102::Address::Ground)),
        At24c::new(RefCellDevice::new(bus), memory),
        Delay,
    );
    let pins = Hardware {
        voice,
        supply: Saadc::new(chip.SAADC, Interrupts, saadc::Config::default(), [supply]),
        light: Output::new(chip.P0_13, Level::High, OutputDrive::Standard),
    };

    let mut config = wdt::Config::default();
    config.timeout_ticks = WATCHDOG_TICKS;
    // It runs already after some resets, and then with the same time.
    let mut watchdog = Watchdog::try_new(chip.WDT, config).ok().map(|(_, [handle])| handle);
    let feed = || {
        if let Some(handle) = &mut watchdog {
            handle.pet();
        }
    };

    let made = |identity: Identity| identity.with_supply(&BAY);
    board_embassy::run(&mut BayBoard::new(instruments, pins), made, &mut ear, feed).await
}
