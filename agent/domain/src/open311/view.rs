//! What the public gets to see: the services, and requests with where they stand, in words that say who
//! acts next.

use serde_json::{Map, Value, json};

use super::{Fault, Known, Offer, RequestNumber, Standing};
use crate::ids::Category;
use crate::outward::code_of;
use crate::site::{CategorySpec, Site};
use crate::tickets::State;
use crate::time::Utc;

/// The code by which a kind of problem is reported: the one in force, where it has one that no other
/// service has too; else its symbol.
pub(super) fn service_code<'a>(
    offer: &'a Offer,
    site: &'a Site,
    category: &'a Category,
) -> &'a str {
    let Some(code) = code_of(site, category) else { return category.as_str() };
    let shared = |other: &&Category| {
        *other != category && code_of(site, other).is_some_and(|c| c.code == code.code)
    };
    if offer.services.iter().any(|other| shared(&other)) { category.as_str() } else { &code.code }
}

fn spec<'a>(site: &'a Site, category: &Category) -> Option<&'a CategorySpec> {
    site.tickets.categories.get(category)
}

/// What people call a kind of problem.
fn name<'a>(offer: &Offer, site: &'a Site, category: &'a Category) -> &'a str {
    let names = spec(site, category).map(|spec| &spec.names);
    let named = |language: &str| names.and_then(|names| names.get(language));
    named(&offer.language).or_else(|| named("en")).map_or(category.as_str(), String::as_str)
}

/// `GET services`.
#[must_use]
pub fn services(offer: &Offer, site: &Site) -> Value {
    let one = |category: &Category| {
        let class = spec(site, category).and_then(|spec| spec.class);
        let names = spec(site, category).into_iter().flat_map(|spec| spec.names.values());
        let keywords: Vec<&str> = names.map(String::as_str).chain([category.as_str()]).collect();
        json!({
            "service_code": service_code(offer, site, category),
            "service_name": name(offer, site, category),
            "description": name(offer, site, category),
            "metadata": class.is_some(),
            "type": "realtime",
            "keywords": keywords.join(","),
            "group": class.map_or("street", crate::ids::Class::as_str),
        })
    };
    offer.services.iter().map(one).collect()
}

/// `GET services/{code}`; `None`: there is no such service.
#[must_use]
pub fn definition(offer: &Offer, site: &Site, code: &str) -> Option<Value> {
    let fits = |c: &&Category| service_code(offer, site, c) == code || c.as_str() == code;
    let category = offer.services.iter().find(fits)?;
    let class = spec(site, category).and_then(|spec| spec.class);
    let asset = class.map(|class| {
        json!({
            "variable": true, "code": "asset", "datatype": "string", "required": false, "order": 1,
            "datatype_description": format!("the number on the plate, such as {class}-21"),
            "description": format!("Which {class} it is"),
        })
    });
    Some(json!({
        "service_code": service_code(offer, site, category),
        "attributes": asset.into_iter().collect::<Vec<_>>(),
    }))
}

/// One of `GET requests`. What somebody wrote is only for those who know the number: `words`.
#[must_use]
pub fn request(offer: &Offer, site: &Site, known: &Known, words: bool) -> Value {
    let Known { said, at, standing, .. } = known;
    let mut form = Map::new();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            form.insert(name.to_owned(), value);
        }
    };
    let closed = standing.as_ref().is_some_and(Standing::is_closed);
    put("service_request_id", json!(said.number));
    put("status", json!(if closed { "closed" } else { "open" }));
    put("status_notes", json!(notes(standing.as_ref(), &offer.language)));
    put("service_name", json!(name(offer, site, &said.category)));
    put("service_code", json!(service_code(offer, site, &said.category)));
    put("description", json!(said.text.as_ref().filter(|_| words)));
    put("agency_responsible", json!(standing.as_ref().and_then(|s| s.unit.as_ref())));
    put("requested_datetime", json!(at));
    put("updated_datetime", json!(standing.as_ref().map_or(*at, |s| s.updated_at.max(*at))));
    put("expected_datetime", json!(standing.as_ref().and_then(|s| s.due)));
    put("address", json!(said.address.as_ref().filter(|_| words)));
    put("address_id", json!(said.asset.as_ref().map(ToString::to_string)));
    let stands = said.asset.as_ref().and_then(|asset| site.assets.get(asset)?.position);
    if let Some(place) = said.place.or(stands).map(crate::place::Position::to_wgs84) {
        put("lat", json!(place.lat()));
        put("long", json!(place.lon()));
    }
    let elsewhere = said.media.as_ref().filter(|media| words && media.starts_with("http"));
    put("media_url", json!(elsewhere));
    Value::Object(form)
}

/// The answer to `POST requests`.
#[must_use]
pub fn receipt(number: RequestNumber, notice: &str, account: Option<&str>) -> Value {
    json!([{"service_request_id": number, "service_notice": notice, "account_id": account}])
}

/// `GET tokens/{id}`: here a token is the number itself, since every report has one at once.
#[must_use]
pub fn token(number: RequestNumber) -> Value {
    json!([{"service_request_id": number, "token": number}])
}

/// What is wrong, in GeoReport's form.
#[must_use]
pub fn errors(faults: &[Fault]) -> Value {
    faults.iter().map(|f| json!({"code": f.code, "description": f.description})).collect()
}

/// The discovery file, for the endpoint at `url`.
#[must_use]
pub fn discovery(url: &str, contact: &str, changed: Utc) -> Value {
    json!({
        "changeset": changed,
        "contact": contact,
        "key_service": contact,
        "endpoints": [{
            "specification": "http://wiki.open311.org/GeoReport_v2",
            "url": url,
            "changeset": changed,
            "type": "production",
            "formats": ["application/json", "text/xml"],
        }],
    })
}

/// Where it stands, and who acts next.
fn notes(standing: Option<&Standing>, language: &str) -> &'static str {
    let Some(standing) = standing else {
        return said(language, "what became of it is not known here any more", "此处已无处理记录");
    };
    let (en, zh) = match standing.state {
        State::Candidate => ("received; a person looks at it first", "已收到，等待人工核实"),
        State::Raised if standing.cleared => {
            ("received; the sensor does not see it any more", "已收到，传感器显示已消除，等待核实")
        }
        State::Raised => ("received; nobody has taken it on yet", "已收到，等待受理"),
        State::Acknowledged => ("taken on; a crew is going to be sent", "已受理，等待派遣"),
        State::Dispatched => ("a crew has been sent", "已派遣，处置中"),
        State::Handled => ("the crew says it is done; somebody checks", "处置完毕，等待核查"),
        State::Verified => ("checked: it is done", "已核查，处置完成"),
        State::Closed => ("done and closed", "已结案"),
        State::Suppressed => ("put off: work there is planned, or going on", "暂缓处理"),
        State::Rejected => ("somebody looked and found no problem", "经核实不属实"),
        State::Reopened => ("it came back; it is worked on again", "问题复现，重新处理"),
        State::Expired => ("nobody has seen it for long; a newer request may go on", "已失效"),
    };
    said(language, en, zh)
}

fn said(language: &str, en: &'static str, zh: &'static str) -> &'static str {
    if language == "zh" { zh } else { en }
}
