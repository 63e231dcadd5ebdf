//! A simulated city: a district, a box and a far end under one seed and one virtual time.
//!
//! ```text
//! truth ─► sensors ─► street (bytes, what is kept until acknowledged) ─► gateway ─► far end ─► judges
//!   │                      ▲                     decoders, Engine, Outbox ──┘                    ▲
//!   │                   weather (links, kills, clocks, air)                                      │
//!   └────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//! What is real: the wire formats, the decoders, the core, the configuration's loader, the outbox with its
//! files, the recorder. What stands in for the rest does in order what the tasks of the program do: decode,
//! decide, store, acknowledge, send. The judges hear what the far end received, and are told the truth.
//!
//! What a seed decides is the truth, the weather, and every byte that goes into the box and every decision it
//! makes. What it does not: the outbox's own thread has timers of real time. They put telemetry that waits in
//! memory on the disk; how readings share messages may so differ from run to run. No verdict rests on it.
//!
//! What is not here, for this outside of the outbox has no handle for it, and where it is: power cuts that take
//! what was not synced, torn writes, a full disk and failing writes (the outbox's own tests and
//! `outbox_full`, with a real disk that is full); MQTT itself (`link_hostile`, `link_unkind`); sockets, ttys
//! and signals (`outbox_kills`, `outage`, `power`). Memory is bounded here by what is counted, not measured.

mod clock;
mod far_end;
mod gateway;
mod judges;
mod run;
mod sensors;
mod show;
mod site;
mod street;
mod truth;
mod weather;

pub use self::run::{Figures, Plan, Verdict, run};
pub use self::truth::Size;
