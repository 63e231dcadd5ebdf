//! Chips on the box's own pins and buses: the drivers over rppal, and readers that talk by themselves on
//! a tty. The only file that names rppal.
//!
//! Each chip is watched by a task of its own: opened, looked at every so often, and opened anew after an
//! error, for as long as the box runs. A machine without the bus, or a bus without the chip, is "no such
//! device" and is waited for. What waits on the hardware does so on threads made for it.
//!
//! rppal departs from the contract of embedded-hal in two places, which are put right here:
//!
//! * its I²C `transaction` ends every part with a STOP, where the contract has a repeated start: [`Bus`]
//!   maps a write and a read to the one call of rppal that does it right, and refuses other mixtures;
//! * its SPI device sends zeros for `TransferInPlace`: [`Device`] sends what stands in the buffer.

mod chips;
mod tty;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use domain::ids::DeviceKey;
use domain::sample::{Quantity, Sample};
use drivers::hcsr04::{EchoPin, Hcsr04, Pulse};
use drivers::{ads1115, adxl345, lis3dh, lis3mdl, qmc5883l, tmp102};
use embedded_hal::{i2c, spi};
use rppal::gpio::{Gpio, InputPin, Trigger};
use rppal::hal::Delay;
use tokio::sync::mpsc;
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::MissedTickBehavior;

use self::chips::{
    Bay, Chip, Contact, Leaning, OneWire, Ultrasonic, Voltage, start_lsm303dlhc, start_mfrc522,
    start_vl53l0x,
};
use super::Context;
use super::intake::Gate;
use super::retry::Retry;
use crate::config::{self, ChipKind, Chips, Wire};

/// Words of chips that wait for the source. Full: the chips are not looked at meanwhile.
const TOLD_MAX: usize = 64;
/// Contacts and card readers are looked at this often, whatever `every` says.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Where the kernel shows the sensors on its 1-Wire bus.
const ONE_WIRE: &str = "/sys/bus/w1/devices";

/// What the task of a chip has to say.
#[derive(Debug)]
struct Told {
    /// Which chip, by its place in the configuration.
    chip: usize,
    device: DeviceKey,
    what: What,
}

#[derive(Debug)]
enum What {
    /// It is there.
    Open,
    Quantities(Vec<Quantity>),
    /// It is not, and why.
    Trouble(String),
}

/// Watches every chip until the box stops.
pub(super) async fn run(settings: Chips, context: Context) {
    let mut gate = Gate::new(context.clone());
    let (tell, mut told) = mpsc::channel(TOLD_MAX);
    let mut watches = JoinSet::new();
    let count = settings.chips.len();
    for (number, chip) in settings.chips.into_iter().enumerate() {
        let to = Teller { chip: number, device: chip.device.clone(), tell: tell.clone() };
        watches.spawn(watch(chip, to, context.clone()));
    }
    let mut troubles: BTreeMap<usize, String> = BTreeMap::new();
    loop {
        let Told { chip, device, what } = tokio::select! {
            biased;
            () = context.stop.cancelled() => break,
            () = gate.publish_due() => continue,
            Some(told) = told.recv() => told,
        };
        match what {
            What::Open => {
                troubles.remove(&chip);
                show(&gate, &troubles, count);
            }
            What::Trouble(trouble) => {
                let text = format!("{device}: {trouble}");
                if troubles.insert(chip, text.clone()).as_ref() != Some(&text) {
                    tracing::warn!(%device, trouble, "chip is not there");
                }
                show(&gate, &troubles, count);
            }
            What::Quantities(quantities) => {
                if troubles.remove(&chip).is_some() {
                    show(&gate, &troubles, count);
                }
                gate.count(|tally| {
                    tally.frames += 1;
                    tally.sample(None);
                });
                let (source, device) = (context.name.clone(), Some(device));
                let sample = Sample { source, device, counter: None, at: None, quantities };
                if gate.hand_over(vec![sample], |_| None).await.is_err() {
                    break;
                }
            }
        }
    }
    drop(told);
    while watches.join_next().await.is_some() {}
    context.stop.cancelled().await;
}

/// The source is there when a chip of it is.
fn show(gate: &Gate, troubles: &BTreeMap<usize, String>, chips: usize) {
    let text: Vec<&str> = troubles.values().map(String::as_str).collect();
    gate.show(|status| {
        status.connected = troubles.len() < chips;
        status.trouble = (!text.is_empty()).then(|| text.join("; "));
    });
}

/// The way from the task of a chip to its source.
struct Teller {
    chip: usize,
    device: DeviceKey,
    tell: mpsc::Sender<Told>,
}

impl Teller {
    /// False when the source has ended.
    async fn tell(&self, what: What) -> bool {
        self.tell.send(Told { chip: self.chip, device: self.device.clone(), what }).await.is_ok()
    }
}

/// Watches one chip until the box stops.
async fn watch(chip: config::Chip, to: Teller, context: Context) {
    let every = chip.every;
    let mut retry = Retry::new();
    match chip.kind {
        ChipKind::A02yyuw { device } => {
            return tty::read(device, tty::RangeFinder::default(), every, to, context).await;
        }
        ChipKind::Rdm6300 { device } => {
            return tty::read(device, tty::Cards::default(), every, to, context).await;
        }
        _ => {}
    }
    loop {
        let kind = chip.kind.clone();
        let opened = spawn_blocking(move || open(&kind, every)).await;
        let trouble = match opened.unwrap_or_else(|_| Err("its driver failed".to_owned())) {
            Ok(open) => {
                if !to.tell(What::Open).await {
                    return;
                }
                let often = matches!(chip.kind, ChipKind::Input(_) | ChipKind::Mfrc522 { .. });
                let pace = if often { LOOK_EVERY } else { every };
                match look_on(open, pace, &to, &context, &mut retry).await {
                    Some(trouble) => trouble,
                    None => return,
                }
            }
            Err(trouble) => trouble,
        };
        if !to.tell(What::Trouble(trouble)).await || !retry.wait(&context.stop).await {
            return;
        }
    }
}

/// Looks at a chip until it fails, which is answered, or the box stops.
async fn look_on(
    mut chip: Box<dyn Chip>,
    pace: Duration,
    to: &Teller,
    context: &Context,
    retry: &mut Retry,
) -> Option<String> {
    let mut turn = tokio::time::interval(pace);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = context.stop.cancelled() => return None,
            _ = turn.tick() => {}
        }
        let now_ms = context.clock.now().monotonic.as_ms();
        let looked = spawn_blocking(move || {
            let looked = chip.look(now_ms);
            (chip, looked)
        });
        let Ok((back, looked)) = looked.await else { return Some("its driver failed".to_owned()) };
        chip = back;
        match looked {
            Ok(quantities) => {
                retry.carried();
                if !quantities.is_empty() && !to.tell(What::Quantities(quantities)).await {
                    return None;
                }
            }
            Err(trouble) => return Some(trouble),
        }
    }
}

/// Opens a chip on this machine's own hardware.
fn open(kind: &ChipKind, every: Duration) -> Result<Box<dyn Chip>, String> {
    Ok(match kind {
        ChipKind::Hcsr04 { trigger, echo } => {
            let trigger = gpio()?.get(*trigger).map_err(failed)?.into_output_low();
            let sensor = Hcsr04::new(trigger, Echo::new(*echo)?);
            Box::new(Ultrasonic { sensor, delay: Delay::new() })
        }
        ChipKind::Ds18b20 { id } => {
            let path = PathBuf::from(ONE_WIRE).join(id).join("w1_slave");
            Box::new(OneWire(move || {
                let missing = |error| no_such(&path.display(), &error);
                std::fs::read_to_string(&path).map_err(|error: std::io::Error| missing(error))
            }))
        }
        ChipKind::Input(settings) => {
            let pin = gpio()?.get(settings.pin).map_err(failed)?;
            let pin = if settings.active_low {
                pin.into_input_pullup()
            } else {
                pin.into_input_pulldown()
            };
            let every_ms = u64::try_from(every.as_millis()).unwrap_or(u64::MAX);
            Box::new(Contact::new(pin, *settings, every_ms))
        }
        ChipKind::Mfrc522 { bus, select } => open_cards(*bus, *select)?,
        ChipKind::A02yyuw { .. } | ChipKind::Rdm6300 { .. } => {
            unreachable!("what talks by itself on a tty is read there")
        }
        wired => open_wired(wired)?,
    })
}

/// Opens a chip on I²C.
fn open_wired(kind: &ChipKind) -> Result<Box<dyn Chip>, String> {
    Ok(match kind {
        ChipKind::Vl53l0x(wire) => {
            let chip = start_vl53l0x(bus(*wire)?, wire.address);
            Box::new(chip.map_err(|error| absent(*wire, &error))?)
        }
        ChipKind::Lis3mdl(wire, settings) => {
            use lis3mdl::Address::{Ground, Supply};
            let address = if wire.address == Ground as u8 { Ground } else { Supply };
            let mut chip = lis3mdl::Lis3mdl::new(bus(*wire)?, address);
            chip.start().map_err(|error| absent(*wire, &error))?;
            Box::new(Bay { magnetometer: chip, settings: *settings, state: None })
        }
        ChipKind::Qmc5883l(wire, settings) => {
            let mut chip = qmc5883l::Qmc5883l::new(bus(*wire)?);
            chip.start().map_err(|error| absent(*wire, &error))?;
            Box::new(Bay { magnetometer: chip, settings: *settings, state: None })
        }
        ChipKind::Lsm303dlhc(wire, settings) => {
            let chip = start_lsm303dlhc(bus(*wire)?).map_err(|error| absent(*wire, &error))?;
            Box::new(Bay { magnetometer: chip, settings: *settings, state: None })
        }
        ChipKind::Adxl345(wire, settings) => {
            use adxl345::Address::{Ground, Supply};
            let address = if wire.address == Ground as u8 { Ground } else { Supply };
            let mut chip = adxl345::Adxl345::new(bus(*wire)?, address);
            chip.start().map_err(|error| absent(*wire, &error))?;
            Box::new(Leaning { accelerometer: chip, settings: *settings })
        }
        ChipKind::Lis3dh(wire, settings) => {
            use lis3dh::Address::{Ground, Supply};
            let address = if wire.address == Ground as u8 { Ground } else { Supply };
            let mut chip = lis3dh::Lis3dh::new(bus(*wire)?, address);
            chip.start().map_err(|error| absent(*wire, &error))?;
            Box::new(Leaning { accelerometer: chip, settings: *settings })
        }
        ChipKind::Tmp102(wire) => {
            use tmp102::Address::{Ground, Scl, Sda, Supply};
            let address = [Ground, Supply, Sda, Scl][usize::from(wire.address & 3)];
            Box::new(tmp102::Tmp102::new(bus(*wire)?, address))
        }
        ChipKind::Ads1115(wire, settings) => {
            use ads1115::Address::{Ground, Scl, Sda, Supply};
            let address = [Ground, Supply, Sda, Scl][usize::from(wire.address & 3)];
            let chip = ads1115::Ads1115::new(bus(*wire)?, address);
            Box::new(Voltage { chip, delay: Delay::new(), settings: *settings })
        }
        other => unreachable!("{other:?} is not on I²C"),
    })
}

/// Opens a card reader on SPI.
fn open_cards(bus: u8, select: u8) -> Result<Box<dyn Chip>, String> {
    let spi = Device::open(bus, select)?;
    let name = format!("MFRC522 on SPI {bus}, select {select}");
    Ok(Box::new(start_mfrc522(spi).map_err(|error| no_such(&name, &error))?))
}

/// No such device, and why.
fn no_such(what: &dyn Display, why: &dyn Display) -> String {
    format!("no such device {what} ({why}): waiting for it")
}

fn absent(wire: Wire, why: &dyn Display) -> String {
    no_such(&format!("at {:#04x} of /dev/i2c-{}", wire.address, wire.bus), why)
}

fn gpio() -> Result<Gpio, String> {
    Gpio::new().map_err(failed)
}

fn failed(error: impl Display) -> String {
    no_such(&"GPIO", &error)
}

/// The echo of a range finder: the kernel stamps both edges, so that waiting on a busy machine makes no
/// distance wrong.
struct Echo(InputPin);

impl Echo {
    fn new(number: u8) -> Result<Echo, String> {
        let mut pin = gpio()?.get(number).map_err(failed)?.into_input_pulldown();
        pin.set_interrupt(Trigger::Both, None).map_err(failed)?;
        Ok(Echo(pin))
    }
}

impl EchoPin for Echo {
    type Error = rppal::gpio::Error;

    fn high_pulse(&mut self, timeout_us: u32) -> Result<Pulse, rppal::gpio::Error> {
        /// A pulse has two edges; what is left of an earlier one are two more.
        const EDGES_MAX: usize = 4;
        let timeout = Some(Duration::from_micros(timeout_us.into()));
        let mut rose = None;
        for _ in 0..EDGES_MAX {
            let Some(event) = self.0.poll_interrupt(false, timeout)? else { break };
            match (event.trigger, rose) {
                (Trigger::RisingEdge, _) => rose = Some(event.timestamp),
                (_, Some(rose)) => {
                    let high = event.timestamp.saturating_sub(rose).as_micros();
                    return Ok(Pulse::Microseconds(u32::try_from(high).unwrap_or(u32::MAX)));
                }
                _ => {}
            }
        }
        Ok(if rose.is_some() { Pulse::Endless } else { Pulse::Missing })
    }
}

/// An I²C bus that keeps to the contract of embedded-hal.
#[derive(Debug)]
struct Bus(rppal::i2c::I2c);

fn bus(wire: Wire) -> Result<Bus, String> {
    rppal::i2c::I2c::with_bus(wire.bus)
        .map(Bus)
        .map_err(|error| no_such(&format!("/dev/i2c-{}", wire.bus), &error))
}

/// Why a transfer failed.
#[derive(Debug, thiserror::Error)]
enum BusError {
    #[error("{0}")]
    Rppal(#[from] rppal::i2c::Error),
    #[error("the bus took {0} bytes of {1}")]
    Cut(usize, usize),
    #[error("transactions other than a write, a read, or a write and a read are not made here")]
    Transaction,
}

impl i2c::Error for BusError {
    fn kind(&self) -> i2c::ErrorKind {
        i2c::ErrorKind::Other
    }
}

impl i2c::ErrorType for Bus {
    type Error = BusError;
}

impl i2c::I2c for Bus {
    fn transaction(
        &mut self,
        address: u8,
        operations: &mut [i2c::Operation<'_>],
    ) -> Result<(), BusError> {
        let whole = |moved, wanted| {
            if moved == wanted { Ok(()) } else { Err(BusError::Cut(moved, wanted)) }
        };
        self.0.set_slave_address(address.into())?;
        match operations {
            [] => Ok(()),
            [i2c::Operation::Write(bytes)] => whole(self.0.write(bytes)?, bytes.len()),
            [i2c::Operation::Read(bytes)] => {
                let wanted = bytes.len();
                whole(self.0.read(bytes)?, wanted)
            }
            [i2c::Operation::Write(asked), i2c::Operation::Read(answer)] => {
                Ok(self.0.write_read(asked, answer)?)
            }
            _ => Err(BusError::Transaction),
        }
    }
}

/// A device on SPI that keeps to the contract of embedded-hal.
struct Device(rppal::spi::Spi);

impl Device {
    fn open(bus: u8, select: u8) -> Result<Device, String> {
        use rppal::spi::{Bus, Mode, SlaveSelect, Spi};
        const BUSES: [Bus; 7] =
            [Bus::Spi0, Bus::Spi1, Bus::Spi2, Bus::Spi3, Bus::Spi4, Bus::Spi5, Bus::Spi6];
        const SELECTS: [SlaveSelect; 4] =
            [SlaveSelect::Ss0, SlaveSelect::Ss1, SlaveSelect::Ss2, SlaveSelect::Ss3];
        /// Below the 10 MHz of the chip: long wires.
        const CLOCK_HZ: u32 = 1_000_000;
        let name = format!("/dev/spidev{bus}.{select}");
        let (Some(bus), Some(select)) =
            (BUSES.get(usize::from(bus)), SELECTS.get(usize::from(select)))
        else {
            return Err(no_such(&name, &"there is no such place"));
        };
        Spi::new(*bus, *select, CLOCK_HZ, Mode::Mode0)
            .map(Device)
            .map_err(|error| no_such(&name, &error))
    }
}

/// Why a transfer failed.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct DeviceError(#[from] rppal::spi::Error);

impl spi::Error for DeviceError {
    fn kind(&self) -> spi::ErrorKind {
        spi::ErrorKind::Other
    }
}

impl spi::ErrorType for Device {
    type Error = DeviceError;
}

impl spi::SpiDevice for Device {
    fn transaction(
        &mut self,
        operations: &mut [spi::Operation<'_, u8>],
    ) -> Result<(), DeviceError> {
        use rppal::spi::Segment;
        // What is sent from a buffer that is read into at the same time needs a copy of it.
        let copies: Vec<Vec<u8>> = operations
            .iter()
            .map(|operation| match operation {
                spi::Operation::TransferInPlace(bytes) => bytes.to_vec(),
                _ => vec![],
            })
            .collect();
        let segments: Vec<Segment<'_, '_>> = operations
            .iter_mut()
            .zip(&copies)
            .map(|(operation, copy)| match operation {
                spi::Operation::Read(read) => Segment::with_read(read),
                spi::Operation::Write(written) => Segment::with_write(written),
                spi::Operation::Transfer(read, written) => Segment::new(read, written),
                spi::Operation::TransferInPlace(bytes) => Segment::new(bytes, copy),
                spi::Operation::DelayNs(ns) => {
                    let us = u16::try_from(ns.div_ceil(1000)).unwrap_or(u16::MAX);
                    Segment::with_settings(None, None, 0, us, 0, false)
                }
            })
            .collect();
        Ok(self.0.transfer_segments(&segments)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Analog, DigitalInput, Incline, Magnet, Signal};
    use crate::sources::tests::{Bench, in_time};

    /// Every chip there is, on buses that no machine of ours has.
    fn every_chip() -> Vec<ChipKind> {
        let wire = |address| Wire { bus: 21, address };
        let magnet = Magnet { empty_nt: [0, 0, 40_000], arrive_nt: 5000, leave_nt: 2500 };
        let incline = Incline { degrees: 45 };
        let input =
            DigitalInput { pin: 17, signal: Signal::LidOpen, active_low: true, debounce_ms: 50 };
        let nowhere = PathBuf::from("/nonexistent/tty");
        vec![
            ChipKind::Hcsr04 { trigger: 23, echo: 24 },
            ChipKind::A02yyuw { device: nowhere.clone() },
            ChipKind::Vl53l0x(wire(0x29)),
            ChipKind::Lis3mdl(wire(0x1c), magnet),
            ChipKind::Qmc5883l(wire(0x0d), magnet),
            ChipKind::Lsm303dlhc(wire(0x1e), magnet),
            ChipKind::Adxl345(wire(0x53), incline),
            ChipKind::Lis3dh(wire(0x18), incline),
            ChipKind::Tmp102(wire(0x48)),
            ChipKind::Ds18b20 { id: "28-000000000000".to_owned() },
            ChipKind::Ads1115(wire(0x48), Analog { channel: 0, ratio_milli: 1000 }),
            ChipKind::Input(input),
            ChipKind::Rdm6300 { device: nowhere },
            ChipKind::Mfrc522 { bus: 6, select: 3 },
        ]
    }

    #[tokio::test]
    async fn on_a_machine_without_the_hardware_every_chip_is_no_such_device_and_is_waited_for() {
        for kind in every_chip() {
            let mut bench = Bench::new("pins", 8);
            let device = DeviceKey::new("bin-21").unwrap();
            let chip = config::Chip { device, every: Duration::from_secs(1), kind: kind.clone() };
            let task = tokio::spawn(run(Chips { chips: vec![chip] }, bench.context.clone()));
            let status = in_time(bench.until(|status| status.trouble.is_some())).await;
            let trouble = status.trouble.unwrap();
            assert!(trouble.starts_with("bin-21: no such device"), "{kind:?}: {trouble}");
            assert!(!status.connected && !task.is_finished());
            bench.context.stop.cancel();
            in_time(task).await.unwrap();
            assert!(bench.is_quiet(), "{kind:?}");
        }
    }
}
