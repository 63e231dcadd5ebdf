//! What a city lives through, as simulations of the core with an ordinary configuration. Each is named
//! after its number in the list of scenarios, 1 to 15. `jt808_frames`, `sweeping`, `parking_year` and
//! `outage` go deeper into some of them.

mod defaults;
mod fees;
mod fire;
mod frames;
mod lane;
mod late;
mod roads;
mod storm;
mod street;

use domain::ids::{AssetKey, TicketId};
use domain::sample::Quantity;
use domain::time::{ClockQuality, Span, Utc};
use domain::units::Millimetres;
use serde_json::{Value, json};

use self::street::{Street, bay, bin, config};

fn full(percent: u32) -> Quantity {
    Quantity::Distance(Millimetres(1500 - 12 * percent))
}

#[test]
fn scenario_02_a_clock_that_is_set_late_corrects_what_was_found_before_and_marks_it() {
    let mut street = Street::new(&config(&[bin("bin-1")]));
    let start = street.now.utc;
    street.clock(ClockQuality::Unset, Utc::from_ms(0));
    street.say("bin-1", full(90));
    street.pass(Span::from_mins(1));
    street.say("bin-1", full(92));
    let found = street.ticket("bin_overflow");
    assert_eq!((&found["clock"], found.get("limit")), (&json!("unset"), None));
    street.pass(Span::from_mins(9));
    street.clock(ClockQuality::Gnss, start + Span::from_mins(10));
    street.tick();
    let corrected = street.ticket("bin_overflow");
    assert_eq!(corrected["clock"], "estimated");
    assert_eq!(corrected["opened_at"], (start + Span::from_mins(1)).to_string());
    assert!(corrected["limit"]["due"].is_string());
    assert_eq!(street.events, ["raised", "time_corrected"]);
}

#[test]
fn scenario_03_sensor_camera_and_citizen_are_one_case_with_three_witnesses() {
    let mut street = Street::new(&config(&[bin("bin-1")]));
    street.say("bin-1", full(90));
    street.say("bin-1", full(92));
    for (witness, lat) in [("camera", 31.8100), ("citizen", 31.8101)] {
        let place = json!({"lat": lat, "lon": 119.97});
        let args = json!({"category": "bin_overflow", "witness": witness, "place": place});
        assert_eq!(street.command("report", args)["ok"], true);
    }
    assert_eq!(street.engine.open_tickets(), 1);
    let ticket = street.ticket("bin_overflow");
    let kinds: Vec<&Value> =
        ticket["sources"].as_array().unwrap().iter().map(|s| &s["kind"]).collect();
    assert_eq!(kinds, ["sensor", "camera", "citizen"]);
    assert_eq!(ticket["codes"][0]["code"], "06042");
}

#[test]
fn scenario_04_cleared_without_a_lift_and_again_in_three_hours_is_rework() {
    let text = config(&[bin("bin-1") + "expects_vehicle = true\n"]);
    let mut street = Street::new(&text);
    for (percent, minutes) in [(90, 1), (92, 1), (5, 1), (5, 180), (90, 1), (92, 0)] {
        street.say("bin-1", full(percent));
        street.pass(Span::from_mins(minutes));
    }
    let ticket = street.ticket("bin_overflow");
    assert_eq!((&ticket["state"], &ticket["reopened"]), (&json!("reopened"), &json!(1)));
    assert_eq!(street.tickets("bin_overflow"), 1);
    assert_eq!(street.tickets("collection_unproven"), 1, "and nobody was there");
}

#[test]
fn scenario_06_a_bay_that_is_stuck_for_a_week_is_one_device_fault_and_no_bill() {
    let tariff = "[[tariff]]\nid = \"street\"\nwindows = [{ name = \"day\", from = \"00:00\", \
                  to = \"24:00\", tiers = [{ unit = 60, price = 500 }] }]\n";
    let paid = bay("b-1") + "tariff = \"street\"\n";
    let mut street = Street::new(&(config(&[paid]) + tariff));
    street.say("b-1", Quantity::Occupied(false));
    for _ in 0..8 * 24 {
        street.pass(Span::from_mins(60));
        street.say("b-1", Quantity::Occupied(true));
    }
    street.say("b-1", Quantity::Occupied(false));
    street.pass(Span::from_mins(60));
    assert_eq!(street.tickets("parking_device_fault"), 1);
    assert_eq!(street.ticket("parking_device_fault")["codes"][0]["code"], "02003");
    assert!(!street.sessions.is_empty());
    let billed = street.sessions.iter().filter(|session| session["billable"] == true).count();
    assert_eq!(billed, 0, "{:?}", street.sessions);
}

#[test]
fn scenario_08_repeated_lost_and_reordered_reports_make_one_session() {
    let mut street = Street::new(&config(&[bay("b-1")]));
    let reports = [(1, false), (2, true), (5, true), (4, true), (6, false)];
    for (counter, occupied) in reports {
        street.pass(Span::from_mins(10));
        for _ in 0..2 {
            street.say_numbered("b-1", counter, Quantity::Occupied(occupied));
        }
    }
    // The device starts anew and counts from the beginning.
    street.pass(Span::from_mins(10));
    street.say_numbered("b-1", 1, Quantity::Occupied(false));
    street.pass(Span::from_mins(10));
    assert_eq!(street.sessions.len(), 1, "{:?}", street.sessions);
    assert_eq!(street.rejected, 5, "each came twice");
    assert_eq!(street.engine.open_tickets(), 0);
}

#[test]
fn scenario_11_a_holiday_and_its_make_up_sunday_move_deadlines() {
    // National Day 2026: Sunday 27 September is worked, Thursday 1 October is not.
    let calendar =
        "[[calendar]]\nholidays = [\"2026-10-01\", \"2026-10-02\"]\nmakeup = [\"2026-09-27\"]\n";
    for (found, due) in [
        ("2026-09-26T10:00:00+08:00", "2026-09-27T04:00:00.000Z"),
        ("2026-09-30T17:00:00+08:00", "2026-10-05T03:00:00.000Z"),
    ] {
        let mut street = Street::at(&(config(&[bin("bin-1")]) + calendar), found);
        street.say("bin-1", full(90));
        street.say("bin-1", full(92));
        assert_eq!(street.ticket("bin_overflow")["limit"]["due"], due, "found at {found}");
    }
}

#[test]
fn scenario_13_a_place_of_a_shifted_map_is_converted_and_never_compared_as_it_is() {
    let mut street = Street::new(&config(&[bin("bin-1")]));
    // What Chinese web maps show for 31.81, 119.97.
    let shifted = json!({"lat": 31.807_867, "lon": 119.974_728, "datum": "GCJ02"});
    let args = json!({"category": "bin_overflow", "witness": "citizen", "place": shifted});
    assert_eq!(street.command("report", args)["ok"], true);
    assert_eq!(street.ticket("bin_overflow")["asset"]["id"], "bin-1");
    let mistaken = json!({"lat": 31.807_867, "lon": 119.974_728});
    let args = json!({"category": "bin_overflow", "witness": "citizen", "place": mistaken});
    let taken = street.command("report", args);
    let id = taken["result"]["ticket"].as_str().unwrap();
    assert!(street.told[id]["asset"].is_null(), "half a kilometre away");
}

#[test]
fn scenario_14_a_power_cut_during_a_transition_leaves_the_log_whole_and_no_second_case() {
    let mut street = Street::new(&config(&[bin("bin-1")]));
    street.say("bin-1", full(90));
    street.say("bin-1", full(92));
    let id: TicketId =
        street.ticket("bin_overflow")["ticket_id"].as_str().unwrap().parse().unwrap();
    // The power goes after the step was decided and before it was stored: nobody was told, and the
    // requester asks again.
    let ack = json!({"ticket": id, "action": "ack"});
    street.forget(|street| {
        assert_eq!(street.command_as("c-1", "ticket", &ack)["ok"], true);
    });
    street.restart();
    assert_eq!(street.command_as("c-1", "ticket", &ack)["ok"], true);
    // It goes after it was stored and before the answer was sent: the answer comes again, the step not.
    street.restart();
    let again = street.command_as("c-1", "ticket", &ack);
    assert_eq!((&again["ok"], &again["result"]["state"]), (&json!(true), &json!("acknowledged")));
    street.say("bin-1", full(95));
    assert_eq!(street.tickets("bin_overflow"), 1);
    let shown = street.command("tickets", json!({"ticket": id}));
    assert_eq!(shown["result"]["chain"], json!({"ok": true, "entries": 2}));
}

#[test]
fn scenario_15_five_hundred_bays_that_flip_when_the_network_is_back_are_no_storm() {
    let bays: Vec<String> = (0..500).map(|n| bay(&format!("b-{n}"))).collect();
    let mut street = Street::new(&config(&bays));
    let keys: Vec<AssetKey> = street.engine.site().assets.keys().cloned().collect();
    let all = |street: &mut Street, occupied| {
        for key in &keys {
            street.say(key.id.as_str(), Quantity::Occupied(occupied));
        }
    };
    all(&mut street, false);
    for _ in 0..30 {
        street.pass(Span::from_mins(60));
    }
    // Thirty hours later, less than it takes to call them silent, everything is heard and all is taken.
    all(&mut street, true);
    street.pass(Span::from_mins(30));
    assert_eq!(street.engine.open_tickets(), 0);
    // Sixty hours of nothing: the network is one problem, and none once it is back.
    for _ in 0..60 {
        street.pass(Span::from_mins(60));
    }
    let open = street.command("tickets", json!({}));
    let silent: Vec<&Value> = open["result"]["tickets"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|t| t["category"] != "overstay")
        .map(|t| &t["key"])
        .collect();
    assert_eq!(silent, ["gateway_fault:source/nodes"]);
    let before = street.engine.open_tickets();
    all(&mut street, false);
    street.pass(Span::from_mins(30));
    assert!(street.engine.open_tickets() <= before, "nothing new");
    assert_eq!(street.ticket("gateway_fault")["cleared_by_sensor"], true);
}
