//! Somebody who publishes: `mosquitto_pub`, a program that is not ours.

use std::process::Command;

use serde_json::Value;

/// Publishes `payload` on `topic` at 127.0.0.1:`port`, QoS 1, and waits until the broker has it.
///
/// # Panics
/// `mosquitto_pub` is not installed, or the broker does not take it.
pub fn publish(port: u16, topic: &str, payload: &Value) {
    let sent = Command::new("mosquitto_pub")
        .args(["-h", "127.0.0.1", "-p", &port.to_string(), "-q", "1", "-t", topic])
        .args(["-m", &payload.to_string()])
        .status()
        .expect("mosquitto_pub comes with mosquitto-clients");
    assert!(sent.success(), "{topic} was not taken");
}
