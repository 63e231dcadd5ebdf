//! What a sensor said, before anybody has asked what it means here.

use serde::{Deserialize, Serialize};

use crate::ids::{DeviceKey, SourceName};
use crate::place::Position;
use crate::time::{Span, Utc};
use crate::units::{
    CentiDegrees, Grams, Metres, MilliCelsius, Millilitres, Millimetres, MillimetresPerSecond,
    Millivolts, Permille,
};
use crate::waste::{Deposit, Lift};

/// One report of one device: some quantities that were measured together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// The way in.
    pub source: SourceName,
    /// Which device of the source; `None` where the source is one device (a GNSS receiver).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<DeviceKey>,
    /// The device's own counter of reports, where it has one. A repeated value is the same report again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counter: Option<u32>,
    /// When it was measured, where the source says so. `None`: at the moment it arrived.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Utc>,
    /// What was measured.
    pub quantities: Vec<Quantity>,
}

/// One raw quantity, in the unit its name says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Quantity {
    /// Whether something stands on the bay.
    Occupied(bool),
    /// What a camera sees in the polygon of the bay.
    Detected(Detection),
    /// How long the state before the present one lasted, as the sensor itself counted it.
    PreviousState {
        /// Its length.
        lasted: Span,
        /// The most it can be wrong.
        error: Span,
    },
    /// From the sensor to what it looks at.
    Distance(Millimetres),
    /// Filling level, from devices that work it out themselves.
    Level(Permille),
    /// Temperature at the sensor.
    Temperature(MilliCelsius),
    /// Battery charge.
    BatteryLevel(Permille),
    /// Battery voltage.
    BatteryVoltage(Millivolts),
    /// Whether the sensor hangs at an angle it should not have.
    Tilted(bool),
    /// Whether the lid stands open.
    LidOpen(bool),
    /// Whether the sensor itself reports fire.
    Fire(bool),
    /// Whether the brush, pump or suction works.
    Working(bool),
    /// Whether the ignition is on.
    Ignition(bool),
    /// Speed as the vehicle measures it itself, at its wheels or gearbox.
    Speed(MillimetresPerSecond),
    /// The whole way of the vehicle or of its tracker.
    Odometer(Metres),
    /// Fuel in the tank, of the whole tank.
    FuelLevel(Permille),
    /// Fuel in the tank.
    FuelVolume(Millilitres),
    /// Where a vehicle is, or a bin that knows it.
    Fix(Fix),
    /// Somebody put something into a bin.
    Deposit(Deposit),
    /// A vehicle lifted a bin.
    Lift(Lift),
    /// A vehicle's load on the weighbridge of a transfer station, without the vehicle.
    StationWeight(Grams),
    /// The device is there but cannot say: a reason in place of a value.
    Absent(Absent),
}

/// What a camera sees in a polygon: the surest object there, or that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detection {
    /// What stands there; `None`: nothing.
    #[serde(default)]
    pub what: Option<Object>,
    /// How sure the model is of that.
    pub confidence: Permille,
}

/// What cameras tell apart in the street.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Object {
    /// A car or van.
    Car,
    /// A truck.
    Truck,
    /// A bus.
    Bus,
    /// A motorcycle.
    Motorcycle,
    /// A bicycle.
    Bicycle,
    /// A person.
    Person,
}

impl Object {
    /// Everything they tell apart.
    pub const ALL: [Object; 6] = [
        Object::Car,
        Object::Truck,
        Object::Bus,
        Object::Motorcycle,
        Object::Bicycle,
        Object::Person,
    ];

    /// The word in configuration and evidence.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Object::Car => "car",
            Object::Truck => "truck",
            Object::Bus => "bus",
            Object::Motorcycle => "motorcycle",
            Object::Bicycle => "bicycle",
            Object::Person => "person",
        }
    }
}

impl Detection {
    /// Less sure than this, it says nothing.
    pub const CONFIDENCE_MIN: Permille = Permille::from_percent(50);

    /// Whether a motor vehicle stands there; `None` when nobody can tell. A person or a bicycle may be in
    /// front of one.
    #[must_use]
    pub fn occupied(&self) -> Option<bool> {
        let sure = self.confidence >= Detection::CONFIDENCE_MIN;
        match self.what.filter(|_| sure) {
            None => sure.then_some(false),
            Some(Object::Car | Object::Truck | Object::Bus | Object::Motorcycle) => Some(true),
            Some(Object::Bicycle | Object::Person) => None,
        }
    }
}

/// A position with what the receiver knows about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fix {
    /// Where.
    pub position: Position,
    /// Speed over ground.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<MillimetresPerSecond>,
    /// Direction of movement; receivers leave it out at rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub course: Option<CentiDegrees>,
    /// Horizontal accuracy (one standard deviation, or the receiver's own estimate).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Millimetres>,
    /// Satellites used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub satellites: Option<u8>,
}

/// A quantity that a device should have and has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Absent {
    /// What is missing.
    pub what: Missing,
    /// Why.
    pub why: NoData,
}

/// The quantities a device can report as missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Missing {
    /// Occupancy of a bay.
    Occupied,
    /// Distance to the waste.
    Distance,
    /// Filling level.
    Level,
    /// Temperature.
    Temperature,
    /// Charge or voltage of the battery.
    Battery,
    /// Angle of the sensor.
    Tilted,
    /// State of the lid.
    LidOpen,
    /// Word on fire.
    Fire,
    /// State of the brush, pump or suction.
    Working,
    /// State of the ignition.
    Ignition,
    /// The vehicle's own speed.
    Speed,
    /// The way of the vehicle.
    Odometer,
    /// Fuel.
    Fuel,
    /// Position.
    Fix,
}

/// Why there is no value. Never replaced by a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoData {
    /// The receiver sees too few satellites.
    NoFix,
    /// The sensor got no echo or no target.
    NoTarget,
    /// Nearer than the sensor can measure.
    TooClose,
    /// The sensor reports a fault of its own.
    SensorFault,
    /// The value is outside what the sensor or the place can have.
    OutOfRange,
    /// Nothing was heard for longer than the asset allows.
    Silent,
    /// The sensor has said the same for longer than can be believed.
    Stuck,
}
