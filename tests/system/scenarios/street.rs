//! A street whose devices say what a scenario wants, and everything that comes of it.

use std::collections::BTreeMap;

use domain::Engine;
use domain::commands::Command;
use domain::ids::{DeviceKey, SourceName};
use domain::input::Input;
use domain::output::{Body, Lane, Message, Outputs, Record, Topic};
use domain::sample::{Quantity, Sample};
use domain::site::Site;
use domain::time::{Boot, ClockQuality, Moment, Monotonic, Now, Span, Utc};
use serde_json::{Map, Value};

/// Monday, at work.
const START: &str = "2026-06-01T09:00:00+08:00";

/// A configuration with these assets.
pub(super) fn config(assets: &[String]) -> String {
    let head = "[box]\nid = \"xj-1\"\ntenant = \"longcheng\"\nsite = \"xuejia\"\n\
                timezone = \"Asia/Shanghai\"\n[mqtt]\nurl = \"mqtt://127.0.0.1:1\"\n\
                [[source]]\nname = \"nodes\"\nkind = \"chirpstack\"\n\
                [[limit]]\nwithin = \"4 work_hour\"\n";
    head.to_owned() + &assets.concat()
}

fn asset(class: &str, id: &str) -> String {
    let device = id.bytes().fold(0u64, |sum, b| sum.wrapping_mul(31).wrapping_add(u64::from(b)));
    format!("[[{class}]]\nid = \"{id}\"\nsource = \"nodes\"\ndevice = \"{device:016x}\"\n")
}

pub(super) fn bin(id: &str) -> String {
    asset("bin", id)
        + "codec = \"milesight/em400\"\nempty_mm = 1500\nfull_mm = 300\n\
           position = { lat = 31.81, lon = 119.97 }\n"
}

pub(super) fn bay(id: &str) -> String {
    asset("bay", id) + "codec = \"bosch/tps110\"\n"
}

/// The core of a box and what it said.
pub(super) struct Street {
    pub(super) engine: Engine,
    pub(super) now: Now,
    pub(super) records: BTreeMap<String, Vec<u8>>,
    /// The steps of tickets, in order.
    pub(super) events: Vec<String>,
    /// The latest state of every ticket.
    pub(super) told: BTreeMap<String, Map<String, Value>>,
    pub(super) sessions: Vec<Map<String, Value>>,
    pub(super) rejected: usize,
    /// Everything that was told, in order.
    pub(super) messages: Vec<Message>,
    counter: u32,
    commands: u32,
    reply: Value,
}

impl Street {
    pub(super) fn new(config: &str) -> Street {
        Street::at(config, START)
    }

    pub(super) fn at(config: &str, start: &str) -> Street {
        let loaded = steward::config::load_text("scenario.toml", config);
        let site = loaded.unwrap_or_else(|faults| panic!("{faults}")).config.site;
        let now = Moment {
            boot: Boot(1),
            monotonic: Monotonic::from_ms(0),
            utc: Utc::parse(start).unwrap(),
            clock: ClockQuality::Ntp,
        };
        Street {
            engine: Engine::new(site, vec![], now),
            now,
            records: BTreeMap::new(),
            events: vec![],
            told: BTreeMap::new(),
            sessions: vec![],
            rejected: 0,
            messages: vec![],
            counter: 0,
            commands: 0,
            reply: Value::Null,
        }
    }

    /// What the clock says from now on.
    pub(super) fn clock(&mut self, quality: ClockQuality, utc: Utc) {
        (self.now.clock, self.now.utc) = (quality, utc);
    }

    pub(super) fn pass(&mut self, time: Span) {
        self.now.monotonic = self.now.monotonic + time;
        self.now.utc = self.now.utc + time;
        self.tick();
    }

    pub(super) fn tick(&mut self) {
        self.step(Input::Tick);
    }

    pub(super) fn say(&mut self, id: &str, quantity: Quantity) {
        let counter = self.next_counter();
        self.say_numbered(id, counter, quantity);
    }

    pub(super) fn say_numbered(&mut self, id: &str, counter: u32, quantity: Quantity) {
        let sample = self.sample(id, counter, quantity);
        self.take_sample(sample);
    }

    /// A number that no report has had.
    pub(super) fn next_counter(&mut self) -> u32 {
        self.counter += 1;
        self.counter
    }

    /// What a device would report.
    pub(super) fn sample(&self, id: &str, counter: u32, quantity: Quantity) -> Sample {
        let device = device_of(self.engine.site(), id);
        Sample {
            source: SourceName::new("nodes").unwrap(),
            device: Some(device),
            counter: Some(counter),
            at: None,
            quantities: vec![quantity],
        }
    }

    pub(super) fn take_sample(&mut self, sample: Sample) {
        self.step(Input::Sample(sample));
    }

    /// The present state of an asset as it would be published.
    pub(super) fn state(&self, id: &str) -> Map<String, Value> {
        let mut states = self.engine.states().filter(|(key, _)| key.id.as_str() == id);
        states.next().unwrap_or_else(|| panic!("no asset is called {id}")).1
    }

    /// Sends a command; gives the answer.
    #[expect(clippy::needless_pass_by_value, reason = "written where it is sent")]
    pub(super) fn command(&mut self, name: &str, args: Value) -> Value {
        self.commands += 1;
        let id = format!("s-{}", self.commands);
        self.command_as(&id, name, &args)
    }

    pub(super) fn command_as(&mut self, id: &str, name: &str, args: &Value) -> Value {
        let payload = serde_json::json!({"id": id, "by": "duty", "args": args}).to_string();
        let input = match Command::parse(name, payload.as_bytes()) {
            Ok(command) => Input::Command(command),
            Err(bad) => Input::BadCommand(bad),
        };
        self.step(input);
        std::mem::take(&mut self.reply)
    }

    /// Lets `what` happen to the engine, and nothing of it reach the disk or the broker.
    pub(super) fn forget(&mut self, what: impl FnOnce(&mut Street)) {
        let kept = (self.records.clone(), self.events.clone(), self.told.clone());
        what(self);
        (self.records, self.events, self.told) = kept;
    }

    /// The box starts again from what is on its disk.
    pub(super) fn restart(&mut self) {
        let site = self.engine.site().clone();
        let stored = self.records.iter();
        let stored = stored.map(|(k, v)| Record { key: k.clone(), value: Some(v.clone()) });
        self.now.boot = Boot(self.now.boot.0 + 1);
        self.now.monotonic = Monotonic::from_ms(0);
        self.engine = Engine::new(site, stored.collect(), self.now);
        self.step(Input::Start);
    }

    /// The newest ticket of a category.
    pub(super) fn ticket(&self, category: &str) -> &Map<String, Value> {
        let of_category = self.told.values().filter(|ticket| ticket["category"] == category);
        let newest = of_category.max_by_key(|t| t["updated_at"].as_str().map(str::to_owned));
        newest.unwrap_or_else(|| panic!("no ticket of {category}; there are {:?}", self.events))
    }

    /// How many tickets of a category there were.
    pub(super) fn tickets(&self, category: &str) -> usize {
        self.told.values().filter(|ticket| ticket["category"] == category).count()
    }

    fn step(&mut self, input: Input) {
        let out = self.engine.step(input, self.now);
        self.take(out);
    }

    fn take(&mut self, out: Outputs) {
        self.rejected += out.rejected.len();
        for Record { key, value } in out.records {
            match value {
                Some(value) => self.records.insert(key, value),
                None => self.records.remove(&key),
            };
        }
        self.messages.extend(out.messages.iter().filter(|m| m.lane != Lane::State).cloned());
        for message in out.messages {
            match (message.topic, message.body) {
                (Topic::TicketEvent(_), Body::Event { kind, .. }) => {
                    self.events.push(kind.trim_start_matches("ticket.").to_owned());
                }
                (Topic::TicketState(id), Body::Flat(body)) => {
                    self.told.insert(id.to_string(), body);
                }
                (Topic::AssetEvent(_), Body::Event { kind: "parking.session", data }) => {
                    self.sessions.push(data);
                }
                (Topic::Reply(_), Body::Flat(body)) => self.reply = Value::Object(body),
                _ => {}
            }
        }
    }
}

fn device_of(site: &Site, id: &str) -> DeviceKey {
    let asset = site.assets.iter().find(|(key, _)| key.id.as_str() == id).unwrap().1;
    asset.feeds[0].device.clone().unwrap()
}
