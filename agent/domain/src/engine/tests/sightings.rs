//! What cameras find by themselves: one ticket, whoever else sees it, until nobody does.

use serde_json::json;

use super::orders::{full, send, state_of};
use super::reports::reporting_site;
use super::*;
use crate::sightings::{Change, Look, Seen, Sighting, Subject};
use crate::tickets::TicketStep;
use crate::units::Permille;

const HASH: &str = "31cb14c017fce347cb4c846ec62fdf00d76bb3beecdf4be21e7116ac67feb880";

fn look() -> Look {
    Look {
        zone: "z-1".into(),
        model: "bins".into(),
        model_sha256: HASH.into(),
        class: "overflow".into(),
        score: Permille::from_percent(87),
        bounds: [100, 200, 300, 400],
        hits: 5,
        frames: 6,
        first: t(0).utc,
        last: t(1).utc,
    }
}

fn sighting(camera: &str, category: &str, subject: Subject, begins: bool) -> Input {
    let seen = Seen {
        confidence: 87,
        text: "z-1: overflow".into(),
        look: Some(look()),
        media: Some(format!("sha256:{HASH}")),
    };
    Input::Sighting(Box::new(Sighting {
        source: SourceName::new(camera).unwrap(),
        zone: (subject != Subject::Camera).then(|| "z-1".to_owned()),
        category: Category::new(category).unwrap(),
        severity: Severity::Medium,
        subject,
        change: if begins { Change::Begins(seen) } else { Change::Over },
    }))
}

fn bin() -> Subject {
    Subject::Asset("bin/bin-1".parse().unwrap())
}

fn events(out: &Outputs) -> Vec<&'static str> {
    ticket_events(&out.messages)
}

#[test]
fn a_sighting_is_a_candidate_with_everything_the_model_said() {
    let mut engine = Engine::new(reporting_site(), vec![], t(0));
    let out = engine.step(sighting("cam-1", "bin_overflow", bin(), true), t(1));
    assert_eq!(events(&out), ["ticket.candidate"]);
    let state = state_of(&out);
    let witness = &state["sources"][0];
    assert_eq!((&witness["kind"], &witness["by"]), (&json!("camera"), &json!("cam-1/z-1")));
    assert_eq!(witness["media"], format!("sha256:{HASH}"));
    assert_eq!(witness["seen"]["model_sha256"], HASH);
    assert_eq!(witness["seen"]["box"], json!([100, 200, 300, 400]));
    assert_eq!((&witness["seen"]["hits"], &witness["seen"]["frames"]), (&json!(5), &json!(6)));
    assert_eq!(state["evidence"][0]["value"], 87.0);
    // The same again, as after a restart of the camera: nothing new.
    let again = engine.step(sighting("cam-1", "bin_overflow", bin(), true), t(2));
    assert_eq!(events(&again), [""; 0]);
    assert_eq!(engine.open_tickets(), 1);
}

#[test]
fn two_cameras_and_a_sensor_see_one_bin() {
    let mut engine = Engine::new(reporting_site(), vec![], t(0));
    let first = engine.step(sighting("cam-1", "bin_overflow", bin(), true), t(1));
    assert_eq!(state_of(&first)["state"], "candidate");
    let second = engine.step(sighting("cam-2", "bin_overflow", bin(), true), t(1));
    assert_eq!(events(&second), ["ticket.witnessed"]);
    assert_eq!(state_of(&second)["state"], "candidate", "two cameras have the same eyes");
    let sensor = fill_up(&mut engine);
    assert_eq!(events(&sensor), ["ticket.witnessed", "ticket.raised"]);
    let state = state_of(&sensor);
    assert_eq!(state["sources"].as_array().unwrap().len(), 3);
    assert_eq!(engine.open_tickets(), 1);
    // For one camera it is over; the sensor and the other camera still say so.
    let over = engine.step(sighting("cam-1", "bin_overflow", bin(), false), t(5));
    assert_eq!(events(&over), [""; 0]);
}

#[test]
fn what_only_one_camera_saw_is_cleared_by_it_and_comes_back_as_the_same_case() {
    let mut engine = Engine::new(reporting_site(), vec![], t(0));
    let place = Position::from_degrees(31.9, 119.9, Datum::Wgs84).unwrap();
    let litter = |begins| sighting("cam-1", "exposed_litter", Subject::Place(place), begins);
    assert_eq!(events(&engine.step(litter(false), t(1))), [""; 0], "nothing was open");
    let id = ticket_in(&engine.step(litter(true), t(2)).messages);
    let over = engine.step(litter(false), t(9));
    assert_eq!(state_of(&over)["cleared_by_sensor"], true);
    let again = engine.step(litter(true), t(12));
    assert_eq!(state_of(&again)["ticket_id"], id.as_str());
    assert_eq!(engine.open_tickets(), 1);
}

#[test]
fn what_a_person_rejected_counts_against_the_precision() {
    let mut engine = Engine::new(reporting_site(), vec![], t(0));
    let id = ticket_in(&engine.step(sighting("cam-1", "bin_overflow", bin(), true), t(1)).messages);
    let mut order = full("r", &id, TicketStep::Reject);
    (order.crew, order.for_s) = (None, None);
    let out = engine.step(send("r", order), t(3));
    assert_eq!(state_of(&out)["state"], "rejected");
    // The camera sees it still: a person has said that it is nothing.
    let again = engine.step(sighting("cam-1", "bin_overflow", bin(), true), t(4));
    assert_eq!((events(&again), engine.open_tickets()), (vec![], 0));
}

#[test]
fn a_camera_that_shows_nothing_is_a_fault_of_the_camera() {
    let mut engine = Engine::new(reporting_site(), vec![], t(0));
    let fault = |begins| sighting("cam-1", "camera_fault", Subject::Camera, begins);
    let out = engine.step(fault(true), t(1));
    assert_eq!(events(&out), ["ticket.raised"], "no person has to look at nothing");
    assert_eq!(state_of(&out)["sources"][0]["by"], "cam-1");
    let over = engine.step(fault(false), t(2));
    assert_eq!(state_of(&over)["cleared_by_sensor"], true);
}

#[test]
fn an_asset_that_is_not_there_is_a_rejection_with_a_reason() {
    let mut engine = Engine::new(reporting_site(), vec![], t(0));
    let nowhere = Subject::Asset("bin/bin-99".parse().unwrap());
    let out = engine.step(sighting("cam-1", "bin_overflow", nowhere, true), t(1));
    assert_eq!(out.messages, []);
    assert!(out.rejected[0].detail.contains("no asset bin/bin-99"), "{:?}", out.rejected);
}
