//! Counts what a node costs the core, in instructions. For QEMU with `-icount shift=4`, where an instruction takes
//! 16 ns of its clock: the SysTick counter, which the board feeds with 12.5 MHz, then moves by one in five
//! instructions. How far exactly is found out with a thousand instructions that do nothing.
//!
//! Says one line for each thing that was counted: its name, how often it was done, counter steps in all, and the
//! most that one took. `end` is the last.

#![no_std]
#![no_main]

use core::cell::RefCell;
use core::fmt::Write;

use board_qemu::{FIRMWARE, Hardware};
use cortex_m::peripheral::SYST;
use cortex_m_rt::entry;
use drivers::Field;
use heapless::String;
use node::{Action, Event, Identity, Kind, Node, Phase, Reading, Sense};
use panic_halt as _;
use static_cell::StaticCell;
use wire::{
    Ack, Body, Deframer, Down, FRAME_MAX, Frame, Header, Heard, KEY_LEN, Key, Temperature, Up,
};

/// Counter steps in a round of the counter, which is a millisecond: more than anything here takes.
const ROUND: u32 = 12_500;
const EMPTY: Field = Field { x: 30_000, y: 20_000, z: 40_000 };
const CAR: Field = Field { x: 42_000, y: 26_000, z: 61_000 };
const SECOND: u64 = 1_000;

static NODE: StaticCell<Node> = StaticCell::new();

/// How often something was done, and what it took.
#[derive(Default)]
struct Count {
    times: u32,
    sum: u32,
    most: u32,
}

impl Count {
    fn add(&mut self, took: u32) {
        self.times += 1;
        self.sum += took;
        self.most = self.most.max(took);
    }

    fn say(&self, name: &str, board: &mut Hardware<'_>) {
        let mut line: String<64> = String::new();
        // Three numbers and a short name fit.
        let _ = writeln!(line, "{name} {} {} {}", self.times, self.sum, self.most);
        node::Board::send(board, line.as_bytes());
    }
}

/// Does `work` and says how far the counter went, with nothing in between.
#[inline(always)]
fn counted<T>(work: impl FnOnce() -> T) -> (T, u32) {
    cortex_m::interrupt::free(|_| {
        let before = SYST::get_current();
        let done = work();
        let after = SYST::get_current();
        // It counts down.
        (done, if before >= after { before - after } else { before + ROUND - after })
    })
}

/// A thousand instructions that do nothing.
fn thousand() -> u32 {
    // SAFETY: `nop` has no effect.
    let ((), took) = counted(|| unsafe {
        core::arch::asm!(".rept 1000", "nop", ".endr", options(nomem, nostack, preserves_flags));
    });
    took
}

struct Bench {
    node: &'static mut Node,
    /// What the sensor shows.
    field: Field,
    /// One sample of a field where nothing moves, and of one where something does.
    rest: Count,
    moving: Count,
    encode: Count,
    seal: Count,
    decode: Count,
}

impl Bench {
    fn run(&mut self, until: u64, from: Field, to: Field) {
        let begin = self.node.next_ms();
        while self.node.next_ms() <= until {
            let now = self.node.next_ms();
            let part = |a: i32, b: i32| {
                let done = (now - begin).min(3 * SECOND) as i32;
                a + (b - a) * done / (3 * SECOND as i32)
            };
            self.field =
                Field { x: part(from.x, to.x), y: part(from.y, to.y), z: part(from.z, to.z) };
            self.wake(now);
        }
    }

    fn wake(&mut self, now: u64) {
        let was_at_rest = matches!(self.node.phase(), Some(Phase::Vacant | Phase::Occupied));
        let (actions, asking) = counted(|| self.node.step(Event::Wake, now));
        for action in &actions {
            match action {
                Action::Measure(Sense::Field) => {
                    let reading = Reading::Field(Some(self.field));
                    let (then, taking) = counted(|| self.node.step(Event::Read(reading), now));
                    let is_at_rest =
                        matches!(self.node.phase(), Some(Phase::Vacant | Phase::Occupied));
                    let count =
                        if was_at_rest && is_at_rest { &mut self.rest } else { &mut self.moving };
                    count.add(asking + taking);
                    self.send(&then, now);
                }
                Action::Measure(Sense::Temperature) => {
                    let reading = Reading::Temperature(Temperature::MilliCelsius(20_000));
                    let then = self.node.step(Event::Read(reading), now);
                    self.send(&then, now);
                }
                _ => {}
            }
        }
        self.send(&actions, now);
    }

    /// Encodes, seals and decodes what is to be sent, and acknowledges it.
    fn send(&mut self, actions: &[Action], now: u64) {
        for action in actions {
            let Action::Send(frame) = action else { continue };
            let mut room = [0; FRAME_MAX];
            let key = Key::new([7; KEY_LEN]);
            let (_, took) = counted(|| frame.seal(&key, &mut room).is_ok());
            self.seal.add(took);
            let (len, took) = counted(|| frame.encode(&mut room).map_or(0, <[u8]>::len));
            self.encode.add(took);
            let mut ear = Deframer::new();
            let (_, took) =
                counted(|| room[..len].iter().filter_map(|byte| ear.push(*byte)).count());
            self.decode.add(took);
            if let Frame { header, body: Body::Up(Up::Report(_)) } = frame {
                let ack = Body::Down(Down::Ack(Ack { counter: header.counter }));
                let header = Header { counter: 0, ..*header };
                let heard = Heard::Frame(Frame { header, body: ack });
                let _ = self.node.step(Event::Heard(heard), now);
            }
        }
    }
}

#[entry]
fn main() -> ! {
    let bus = RefCell::new(board_qemu::start());
    let mut board = board_qemu::hardware(&bus);
    let identity = Identity::new(1, Kind::Bay, FIRMWARE).expect("1 is not the number of all");
    let mut bench = Bench {
        node: NODE.init_with(|| Node::new(identity, None, 0)),
        field: EMPTY,
        rest: Count::default(),
        moving: Count::default(),
        encode: Count::default(),
        seal: Count::default(),
        decode: Count::default(),
    };
    let mut nothing = Count::default();
    for visit in 0..20 {
        nothing.add(thousand());
        let begin = visit * 240 * SECOND;
        bench.run(begin + 120 * SECOND, if visit == 0 { EMPTY } else { CAR }, EMPTY);
        bench.run(begin + 240 * SECOND, EMPTY, CAR);
    }
    nothing.say("nothing", &mut board);
    bench.rest.say("rest", &mut board);
    bench.moving.say("moving", &mut board);
    bench.encode.say("encode", &mut board);
    bench.seal.say("seal", &mut board);
    bench.decode.say("decode", &mut board);
    node::Board::send(&mut board, b"end\n");
    loop {
        cortex_m::asm::wfi();
    }
}
