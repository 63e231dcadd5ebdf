//! Everything that speaks MQTT.

pub mod broker;
pub mod peer;
