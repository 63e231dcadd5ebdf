//! What the system tests share: the recorded data, the program under test, and the brokers around it.

pub mod authority;
pub mod broker;
pub mod city;
pub mod data;
pub mod debian;
pub mod emulator;
pub mod mosquitto;
pub mod node;
pub mod noise;
pub mod outbox;
mod packets;
pub mod parsers;
pub mod program;
pub mod publisher;
pub mod shelf;
pub mod subscriber;
