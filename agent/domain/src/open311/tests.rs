//! The forms of GeoReport, field by field.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::calendar::Calendar;
use crate::ids::{AssetId, BoxId, Class, SiteId, TenantId};
use crate::place::Datum;
use crate::site::{Asset, CategoryCode, CategorySpec, Identity, Kind, Parking, Site, TicketPolicy};
use crate::time::Span;

fn category(symbol: &str) -> Category {
    Category::new(symbol).unwrap()
}

fn spec(code: &str, class: Option<Class>, zh: &str) -> CategorySpec {
    let code = CategoryCode {
        scheme: "GB/T47678.5".into(),
        kind: "matter".into(),
        code: code.into(),
        local: false,
    };
    let names = BTreeMap::from([("zh".to_owned(), zh.to_owned())]);
    CategorySpec { names, codes: vec![code], class, ..CategorySpec::default() }
}

/// One bin, and three kinds of problems, two of which have the same code.
pub(crate) fn site() -> Site {
    let bin = AssetKey::new(Class::Bin, AssetId::new("bin-21").unwrap());
    let asset = Asset {
        names: BTreeMap::new(),
        position: Some(Position::from_degrees(31.81, 119.97, Datum::Wgs84).unwrap()),
        street: None,
        feeds: vec![],
        kind: Kind::Street { line: vec![], sweep: None },
    };
    let categories = BTreeMap::from([
        (category("bin_overflow"), spec("06042", Some(Class::Bin), "垃圾箱满溢")),
        (category("road_unclean"), spec("06012", None, "道路不洁")),
        (category("leaves"), spec("06012", None, "落叶")),
    ]);
    Site {
        identity: Identity {
            tenant: TenantId::new("t").unwrap(),
            site: SiteId::new("s").unwrap(),
            id: BoxId::new("b").unwrap(),
        },
        assets: BTreeMap::from([(bin, asset)]),
        rules: vec![],
        tickets: TicketPolicy { categories, ..TicketPolicy::default() },
        calendar: Calendar::default(),
        parking: Parking::default(),
    }
}

fn offer() -> Offer {
    let services = ["bin_overflow", "road_unclean", "leaves"].map(category).to_vec();
    Offer { services, language: "zh".to_owned(), reach_m: 2000 }
}

/// Names and values, as they are sent.
type Form = &'static [(&'static str, &'static str)];

fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn read_form(pairs: &[(&str, &str)]) -> Result<Draft, Vec<(u16, String)>> {
    read(&fields(pairs), &offer(), &site())
        .map_err(|faults| faults.into_iter().map(|f| (f.code, f.description)).collect())
}

const HERE: [(&str, &str); 2] = [("lat", "31.811"), ("long", "119.971")];

fn number() -> RequestNumber {
    RequestNumber::from_random(0x1234_5678_9abc_def0_1234)
}

#[test]
fn a_form_becomes_a_report_and_a_person_apart_from_it() {
    let long = "满".repeat(700);
    let form = [
        &HERE[..],
        &[
            ("service_code", "06042"),
            ("address_string", " 薛家路 3 号 "),
            ("description", &long),
            ("first_name", "三"),
            ("last_name", "张"),
            ("phone", "13800000000"),
            ("email", ""),
            ("attribute[asset]", "bin-21"),
        ],
    ]
    .concat();
    let draft = read_form(&form).unwrap();
    assert_eq!(draft.category, category("bin_overflow"));
    assert_eq!(draft.asset.unwrap().to_string(), "bin/bin-21");
    assert_eq!(draft.address.as_deref(), Some("薛家路 3 号"));
    assert_eq!(draft.text.as_ref().map(|t| t.chars().count()), Some(601), "the beginning and …");
    assert_eq!(draft.person.description.as_ref(), Some(&long));
    assert_eq!((draft.person.first_name.as_deref(), draft.person.email), (Some("三"), None));
    let plain = read_form(&[&HERE[..], &[("service_code", "bin_overflow")]].concat()).unwrap();
    assert!(plain.person.is_nobody());
}

#[test]
fn everything_that_is_wrong_with_a_form_is_said_at_once() {
    let cases: [(Form, &[(u16, &str)]); 8] = [
        (&[("lat", "31.81"), ("long", "119.97")], &[(400, "service_code is missing")]),
        (&[("service_code", "9")], &[(404, "not one of GET services")]),
        (&[("service_code", "06042"), ("lat", "31.8")], &[(400, "long is missing")]),
        (
            &[
                ("service_code", "06042"),
                ("lat", "north"),
                ("long", "1"),
                ("media_url", "javascript:x"),
            ],
            &[(400, "are degrees"), (400, "media_url is no http")],
        ),
        (&[("service_code", "06042"), ("lat", "95"), ("long", "1")], &[(400, "95")]),
        (
            &[("service_code", "06042"), ("lat", "52.5"), ("long", "13.4")],
            &[(400, "more than 2000 m from everything")],
        ),
        (
            &[("service_code", "06042"), ("address_string", "薛家路 3 号")],
            &[(400, "an address alone cannot be found")],
        ),
        (
            &[("service_code", "06042"), ("address_id", "bin/none")],
            &[(400, "nothing here is called \"bin/none\"")],
        ),
    ];
    for (form, expected) in cases {
        let faults = read_form(form).unwrap_err();
        assert_eq!(faults.len(), expected.len(), "{form:?}: {faults:?}");
        for ((code, said), (wanted, part)) in faults.iter().zip(expected) {
            assert!(code == wanted && said.contains(part), "{form:?}: {said}");
        }
    }
    let long = "x".repeat(DESCRIPTION_MAX + 1);
    let form = [&HERE[..], &[("service_code", "06042"), ("description", &long)]].concat();
    assert!(read_form(&form).unwrap_err()[0].1.contains("4000 characters"));
}

#[test]
fn a_code_that_two_services_have_is_not_used() {
    let listed = services(&offer(), &site());
    let codes: Vec<&str> =
        listed.as_array().unwrap().iter().map(|s| s["service_code"].as_str().unwrap()).collect();
    assert_eq!(codes, ["06042", "road_unclean", "leaves"]);
    assert_eq!(listed[0]["service_name"], "垃圾箱满溢");
    assert_eq!((&listed[0]["metadata"], &listed[1]["metadata"]), (&json!(true), &json!(false)));
    let definition = definition(&offer(), &site(), "06042").unwrap();
    assert_eq!(definition["attributes"][0]["code"], "asset");
    assert_eq!(super::definition(&offer(), &site(), "06099"), None);
}

fn known(state: State) -> Known {
    let at = Utc::from_ms(1_780_545_600_000);
    let said = Submission {
        number: number(),
        category: category("bin_overflow"),
        asset: None,
        place: Some(Position::from_degrees(31.811, 119.971, Datum::Wgs84).unwrap()),
        address: Some("薛家路".to_owned()),
        text: Some("<满了> & more".to_owned()),
        media: Some("sha256:ab".to_owned()),
    };
    let standing = Standing {
        state,
        cleared: false,
        updated_at: at + Span::from_mins(5),
        due: None,
        unit: Some("环卫所".to_owned()),
    };
    Known { said, at, ticket: TicketId::new("t-secret").unwrap(), standing: Some(standing) }
}

#[test]
fn a_request_says_where_it_stands_and_nothing_of_its_ticket() {
    let shown = request(&offer(), &site(), &known(State::Handled), true);
    let expected = json!({
        "service_request_id": number().to_string(), "status": "open",
        "status_notes": "处置完毕，等待核查", "service_name": "垃圾箱满溢", "service_code": "06042",
        "description": "<满了> & more", "agency_responsible": "环卫所",
        "requested_datetime": "2026-06-04T04:00:00.000Z",
        "updated_datetime": "2026-06-04T04:05:00.000Z", "address": "薛家路",
        "lat": 31.811, "long": 119.971,
    });
    assert_eq!(shown, expected);
    // In a list, which anybody can ask for, nobody's words stand.
    let listed = request(&offer(), &site(), &known(State::Closed), false);
    assert_eq!((listed.get("description"), listed.get("address")), (None, None));
    assert_eq!(listed["status"], "closed");
    let mut seen = std::collections::BTreeSet::new();
    let english = Offer { language: "en".to_owned(), ..offer() };
    for state in State::ALL {
        let shown = request(&english, &site(), &known(state), false);
        assert!(seen.insert(shown["status_notes"].as_str().unwrap().to_owned()), "{state}");
        assert!(!shown.to_string().contains("t-secret"));
    }
}

#[test]
fn xml_has_the_elements_of_the_standard_and_texts_that_mean_themselves() {
    let requests =
        json!([{"service_request_id": "r1", "description": "<满了> & \"'\u{1}\n", "lat": 31.8}]);
    let expected = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<service_requests><request>\
        <description>&lt;满了&gt; &amp; &quot;&apos;\n</description><lat>31.8</lat>\
        <service_request_id>r1</service_request_id></request></service_requests>\n";
    let said = xml("service_requests", "request", &requests);
    // The order of fields is the map's.
    let sorted = |text: &str| {
        let mut parts: Vec<String> = text.split('<').map(str::to_owned).collect();
        parts.sort();
        parts
    };
    assert_eq!(sorted(&said), sorted(expected));
    let definition =
        xml("service_definition", "", &definition(&offer(), &site(), "06042").unwrap());
    assert!(definition.contains("<attributes><attribute>"), "{definition}");
    let faults = errors(&[Fault::new(400, "why"), Fault::new(404, "where")]);
    let faults = xml("errors", "error", &faults);
    assert_eq!(faults.matches("<error>").count(), 2, "{faults}");
}

#[test]
fn what_is_asked_for_is_read_and_bounded() {
    let now = Utc::parse("2026-06-04T04:00:00Z").unwrap();
    let ask = |pairs: &[(&str, &str)]| query(&fields(pairs), &offer(), &site(), now);
    let found = ask(&[("service_code", "06042, leaves"), ("status", "open")]).unwrap();
    assert_eq!(found.categories, ["bin_overflow", "leaves"].map(category));
    assert_eq!((found.closed, found.from.is_some(), found.to), (Some(false), true, None));
    assert_eq!(ask(&[("status", "open,closed")]).unwrap().closed, None);
    let one = number().to_string().to_uppercase();
    let by_number = ask(&[("service_request_id", &one), ("status", "odd")]).unwrap();
    assert_eq!(by_number.numbers, [number()], "it overrides everything else");
    for (pairs, part) in [
        (&[("start_date", "2026-01-01T00:00:00Z")][..], "90 days"),
        (&[("start_date", "yesterday")], "start_date"),
        (&[("status", "odd")], "neither open nor closed"),
        (&[("service_code", "1")], "GET services"),
    ] {
        let faults = ask(pairs).unwrap_err();
        assert!(faults[0].description.contains(part), "{pairs:?}: {faults:?}");
    }
}

proptest! {
    #[test]
    fn a_number_is_read_as_it_is_written_in_either_case(bits: u128) {
        let number = RequestNumber::from_random(bits);
        let text = number.to_string();
        prop_assert_eq!(RequestNumber::parse(&text), Some(number));
        let bare = text.replace('-', "").to_uppercase();
        prop_assert_eq!(RequestNumber::parse(&bare), Some(number));
        prop_assert_eq!(RequestNumber::parse(&text[..text.len() - 1]), None);
    }

    #[test]
    fn no_form_panics_and_none_gets_past_the_bounds(
        pairs in proptest::collection::vec(
            (prop_oneof![Just("lat"), Just("long"), Just("description"), Just("service_code"),
                Just("media_url"), Just("attribute[asset]"), Just("start_date")],
             ".{0,40}"), 0..8)
    ) {
        let pairs: Vec<(String, String)> =
            pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        if let Ok(draft) = read(&pairs, &offer(), &site()) {
            prop_assert!(draft.asset.is_some() || draft.place.is_some());
        }
        let read = query(&pairs, &offer(), &site(), Utc::from_ms(0));
        prop_assert!(read.is_ok() || !read.unwrap_err().is_empty());
    }
}
