//! One test program over all packages. What a module tests stands at its head.
#![allow(clippy::unwrap_used, reason = "here a panic is the verdict, helpers of tests included")]

mod fiware;
mod gnss_receivers;
mod hazards;
mod jt808_frames;
mod lns_events;
mod lorawan_vectors;
mod modbus_level;
mod nmea_drives;
mod nmea_receivers;
mod parking_cities;
mod parking_polls;
mod parking_report;
mod parking_year;
mod parsers;
mod peers;
mod pieces;
mod sweeping;
mod vision;
mod waste;

mod audit;
mod city;
mod link_hostile;
mod link_unkind;
mod outbox_chaos;
mod outbox_commands;
mod outbox_damage;
mod outbox_full;
mod outbox_kills;

mod bad_input;
mod command_line;
mod configuration;
mod demo;
mod emulated_line;
mod emulated_node;
mod look_on;
mod open311;
mod outage;
mod package;
mod power;
mod recordings;
mod rules;
mod scenarios;
mod security;
mod service;
mod tickets;
mod tidy;
mod update;
mod uplinks;
