//! The node on an RP2040 (Raspberry Pi Pico): wakes when it wants to or when the line speaks, and sleeps in
//! between.
//!
//! Responsible for the pins, the bus, the line, the supply's voltage, the light and the watchdog. No decision
//! is made here. Pins and power: README.md beside this.

#![no_std]
#![no_main]

use core::cell::RefCell;

use board_embassy::{HEARD_MAX, SAID_MAX, WATCHDOG_MS};
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
use embassy_time::{Delay, Duration};
use embedded_hal_bus::i2c::RefCellDevice;
use node::{BayBoard, Instruments, Pins};
use panic_halt as _;
use static_cell::StaticCell;

type Bus = I2c<'static, peripherals::I2C0, i2c::Blocking>;

bind_interrupts!(struct Interrupts {
    UART0_IRQ => BufferedInterruptHandler<peripherals::UART0>;
});

/// What the board has beside its bus.
struct Hardware {
    voice: BufferedUartTx,
    converter: Adc<'static, adc::Blocking>,
    supply: adc::Channel<'static>,
    light: Output<'static>,
}

impl Pins for Hardware {
    /// The supply of the board in millivolts: 12 bits of 3.3 V behind a divider by three.
    fn supply_mv(&mut self) -> Option<u16> {
        let counts = u32::from(self.converter.blocking_read(&mut self.supply).ok()?);
        u16::try_from(counts * 3 * 3_300 / 4_096).ok()
    }

    fn send(&mut self, mut bytes: &[u8]) {
        while let Ok(taken) = self.voice.blocking_write(bytes)
            && taken < bytes.len()
        {
            bytes = &bytes[taken..];
        }
    }

    fn light(&mut self, is_on: bool) {
        self.light.set_level(if is_on { Level::High } else { Level::Low });
    }
}

static BUS: StaticCell<RefCell<Bus>> = StaticCell::new();
static HEARD: StaticCell<[u8; HEARD_MAX]> = StaticCell::new();
static SAID: StaticCell<[u8; SAID_MAX]> = StaticCell::new();

#[embassy_executor::main]
async fn main(_spawner: Spawner) -> ! {
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
    let instruments = Instruments::new(
        Lsm303dlhc::new(RefCellDevice::new(bus)),
        Some(Tmp102::new(RefCellDevice::new(bus), tmp102::Address::Ground)),
        At24c::new(RefCellDevice::new(bus), memory),
        Delay,
    );
    let pins = Hardware {
        voice,
        converter: Adc::new_blocking(chip.ADC, adc::Config::default()),
        supply: adc::Channel::new_pin(chip.PIN_29, Pull::None),
        light: Output::new(chip.PIN_25, Level::Low),
    };
    let mut watchdog = Watchdog::new(chip.WATCHDOG);
    let patience = Duration::from_millis(WATCHDOG_MS.into());
    watchdog.start(patience);
    let feed = || watchdog.feed(patience);

    // A cable feeds it: there is no battery to count.
    board_embassy::run(&mut BayBoard::new(instruments, pins), |identity| identity, &mut ear, feed).await
}
