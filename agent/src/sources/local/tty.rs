//! Chips that talk by themselves on a serial line.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use domain::waste::Tag;
use drivers::{Range, a02yyuw, rdm6300};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior};

use super::chips::{distance, lift};
use super::{Teller, What};
use crate::clock::instant;
use crate::config::{Parity, Serial};
use crate::sources::serial::{Accept, Line, Port, READ_MAX, Stream};
use crate::sources::{Context, Status};

/// What both kinds speak at.
const BAUD: u32 = 9600;
/// A card that has been said is not said again before it was away for this long: the reader repeats it
/// several times a second.
const AWAY: Duration = Duration::from_secs(2);

/// What a chip says in bytes.
pub(super) trait Talks: Send {
    /// Takes a byte that came `now`.
    fn byte(&mut self, byte: u8, now: Instant) -> Option<What>;
    /// It is time to say something, where nothing is said by itself.
    fn turn(&mut self) -> Option<What>;
}

/// A range finder. What it saw last is said every so often; that it has said nothing since is a trouble.
#[derive(Debug, Default)]
pub(super) struct RangeFinder {
    parser: a02yyuw::Parser,
    latest: Option<Range>,
}

impl Talks for RangeFinder {
    fn byte(&mut self, byte: u8, _now: Instant) -> Option<What> {
        self.latest = self.parser.push(byte).or(self.latest);
        None
    }

    fn turn(&mut self) -> Option<What> {
        Some(match self.latest.take() {
            Some(range) => What::Quantities(vec![distance(range)]),
            None => What::Trouble("the sensor says nothing".to_owned()),
        })
    }
}

/// A card reader. Every card that comes near is said.
#[derive(Debug, Default)]
pub(super) struct Cards {
    parser: rdm6300::Parser,
    near: Option<(rdm6300::Card, Instant)>,
}

impl Talks for Cards {
    fn byte(&mut self, byte: u8, now: Instant) -> Option<What> {
        let card = self.parser.push(byte)?;
        let stays = self.near.is_some_and(|(before, at)| before == card && now - at < AWAY);
        self.near = Some((card, now));
        let digits: String = card.0.iter().map(|byte| format!("{byte:02x}")).collect();
        let tag = Tag::from_hex(&digits).filter(|_| !stays)?;
        Some(What::Quantities(vec![lift(tag)]))
    }

    fn turn(&mut self) -> Option<What> {
        None
    }
}

/// Reads a line through every loss and return, until the box stops.
pub(super) async fn read(
    device: PathBuf,
    mut chip: impl Talks,
    every: Duration,
    to: Teller,
    context: Context,
) {
    // The line shows its troubles to us, and not as if it were the whole source.
    let (status, mut shown) = watch::channel(Status::default());
    let own = Context { status, ..context.clone() };
    let settings = Serial { device, baud: BAUD, parity: Parity::None };
    let mut line = Line::new(settings, Accept::Tty, own);
    while let Some(stream) = open(&mut line, &mut shown, &to).await {
        let Stream::Tty(port) = &stream else { unreachable!("the line accepts a tty only") };
        let Some(error) = listen(port, &mut chip, every, &to, &context).await else { return };
        line.lost(&stream, error);
        let trouble = shown.borrow_and_update().trouble.clone().unwrap_or_default();
        if !to.tell(What::Trouble(trouble)).await {
            return;
        }
    }
}

/// Waits for the line, and tells its troubles meanwhile. `None` when the box stops.
async fn open(line: &mut Line, shown: &mut watch::Receiver<Status>, to: &Teller) -> Option<Stream> {
    let opened = line.open();
    tokio::pin!(opened);
    let stream = loop {
        tokio::select! {
            stream = &mut opened => break stream?,
            Ok(()) = shown.changed() => {
                let trouble = shown.borrow_and_update().trouble.clone();
                if let Some(trouble) = trouble {
                    to.tell(What::Trouble(trouble)).await;
                }
            }
        }
    };
    to.tell(What::Open).await.then_some(stream)
}

/// Reads the line until it is gone; `None` when the box stops.
async fn listen(
    port: &Port,
    chip: &mut impl Talks,
    every: Duration,
    to: &Teller,
    context: &Context,
) -> Option<io::Error> {
    let mut turn = tokio::time::interval_at(instant() + every, every);
    turn.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut buffer = [0; READ_MAX];
    loop {
        let read = tokio::select! {
            biased;
            () = context.stop.cancelled() => return None,
            _ = turn.tick() => {
                if let Some(what) = chip.turn() && !to.tell(what).await {
                    return None;
                }
                continue;
            }
            read = port.read(&mut buffer) => read,
        };
        let n = match read {
            Ok(n) => n,
            Err(error) => return Some(error),
        };
        let now = instant();
        for byte in &buffer[..n] {
            if let Some(what) = chip.byte(*byte, now)
                && !to.tell(what).await
            {
                return None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::ids::DeviceKey;
    use domain::sample::{Absent, Missing, NoData, Quantity};
    use domain::units::Millimetres;

    use crate::config::{Chip, ChipKind, Chips};
    use crate::demo::pty::Pty;
    use crate::sources::local::run;
    use crate::sources::tests::{Bench, in_time};

    use super::*;

    fn chips(kind: ChipKind) -> Chips {
        let device = DeviceKey::new("bin-21").unwrap();
        Chips { chips: vec![Chip { device, every: Duration::from_millis(100), kind }] }
    }

    #[tokio::test]
    async fn a_talking_range_finder_is_read_and_missed() {
        let mut bench = Bench::new("pins", 64);
        let pty = Pty::open().unwrap();
        let kind = ChipKind::A02yyuw { device: pty.slave().to_owned() };
        let _task = tokio::spawn(run(chips(kind), bench.context.clone()));
        in_time(bench.until(|status| status.trouble.is_some())).await;
        // 0x0123 mm, and then nothing in reach; noise in between.
        pty.write_all(&[0x23, 0xff, 0x01, 0x23, 0x23]).await.unwrap();
        let (sample, _) = bench.arrival().await;
        assert_eq!(sample.quantities, [Quantity::Distance(Millimetres(0x0123))]);
        assert_eq!(sample.device.unwrap().as_str(), "bin-21");
        pty.write_all(&[0xff, 0x00, 0x00, 0xff]).await.unwrap();
        let absent = Absent { what: Missing::Distance, why: NoData::NoTarget };
        assert_eq!(bench.arrival().await.0.quantities, [Quantity::Absent(absent)]);
        let status = in_time(bench.until(|status| status.trouble.is_some())).await;
        assert_eq!(status.trouble.as_deref(), Some("bin-21: the sensor says nothing"));
        drop(pty);
        let lost = |status: &Status| status.trouble.as_ref().is_some_and(|t| t.contains("lost"));
        in_time(bench.until(lost)).await;
    }

    #[tokio::test]
    async fn a_card_is_a_lift_and_is_said_once_while_it_stays() {
        let mut bench = Bench::new("arm", 64);
        let pty = Pty::open().unwrap();
        let kind = ChipKind::Rdm6300 { device: pty.slave().to_owned() };
        let _task = tokio::spawn(run(chips(kind), bench.context.clone()));
        in_time(bench.until(|status| status.connected)).await;
        let card = b"\x0262E3086CED08\x03";
        let other = b"\x0262E3086CEC09\x03";
        pty.write_all(&[&card[..], card, b"\x02zz", card, other].concat()).await.unwrap();
        let lift = |digits| [lift(Tag::from_hex(digits).unwrap())];
        assert_eq!(bench.arrival().await.0.quantities, lift("62e3086ced"));
        assert_eq!(bench.arrival().await.0.quantities, lift("62e3086cec"));
        assert!(bench.is_quiet());
    }
}
