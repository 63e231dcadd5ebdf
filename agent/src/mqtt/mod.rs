//! Everything that speaks MQTT.

pub mod broker;
