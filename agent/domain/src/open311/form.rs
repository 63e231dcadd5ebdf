//! From the fields of a form to a report, with everything that is wrong with it at once.

use serde::Serialize;

use super::view::service_code;
use super::{Offer, Query, RequestNumber};
use crate::ids::{AssetId, AssetKey, Category};
use crate::place::{Datum, Position};
use crate::site::Site;
use crate::time::{Span, Utc};

/// The fields of a form or a query, in the order in which they came.
pub type Fields = [(String, String)];

/// Characters of a description, as the standard lays down.
pub const DESCRIPTION_MAX: usize = 4000;
/// Characters of it that go into the ticket: what a crew reads in the street. The rest stays with what is
/// kept of the person.
const TEXT_MAX: usize = 600;
/// Bytes of the address of a photo that is kept elsewhere.
pub const MEDIA_URL_MAX: usize = 500;
/// Bytes of a name, a telephone number, an address.
const WORD_MAX: usize = 200;
/// The longest time that one question may be about.
const SPAN_MAX: Span = Span::from_mins(90 * 24 * 60);
/// Requests that are asked for by their numbers at once.
const NUMBERS_MAX: usize = 50;

/// What is wrong with a request, as GeoReport tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// As in HTTP.
    pub code: u16,
    /// In words, with what to do.
    pub description: String,
}

impl Fault {
    /// A fault of whoever asks.
    #[must_use]
    pub fn new(code: u16, description: impl Into<String>) -> Fault {
        Fault { code, description: description.into() }
    }
}

/// Who reports. Kept apart from the report, and told to nobody.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Person {
    /// The first name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_name: Option<String>,
    /// The last name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_name: Option<String>,
    /// Electronic mail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Telephone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// The device, as its program calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_id: Option<String>,
    /// The account, as its program calls it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub account_id: Option<String>,
    /// All that was written, where the report has only its beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

impl Person {
    /// Whether nothing is known of whoever it is.
    #[must_use]
    pub fn is_nobody(&self) -> bool {
        *self == Person::default()
    }
}

/// A report that was read and has no number yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What kind of problem.
    pub category: Category,
    /// At which asset.
    pub asset: Option<AssetKey>,
    /// Where.
    pub place: Option<Position>,
    /// Where, in words.
    pub address: Option<String>,
    /// In their words, shortened.
    pub text: Option<String>,
    /// Where a photo is, if it is kept elsewhere.
    pub media_url: Option<String>,
    /// Who says so.
    pub person: Person,
}

/// Reads what was sent to `POST requests`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn read(fields: &Fields, offer: &Offer, site: &Site) -> Result<Draft, Vec<Fault>> {
    let mut form = Form { fields, faults: vec![] };
    let category = form.category(offer, site);
    let asset = form.asset(site);
    let place = form.place();
    let address = form.text("address_string", WORD_MAX);
    if asset.is_none() && place.is_none() && form.faults.is_empty() {
        let why = "lat and long are missing: an address alone cannot be found on this box's map";
        form.faults.push(Fault::new(400, why));
    }
    if let Some(place) = place.filter(|place| asset.is_none() && is_far(*place, offer, site)) {
        let (lat, lon, reach) = (place.lat(), place.lon(), offer.reach_m);
        let why = format!(
            "{lat:.5}, {lon:.5} is more than {reach} m from everything that is looked after here"
        );
        form.faults.push(Fault::new(400, why));
    }
    let whole = form.text("description", DESCRIPTION_MAX * 4);
    if whole.as_ref().is_some_and(|text| text.chars().count() > DESCRIPTION_MAX) {
        let why = format!("description is longer than {DESCRIPTION_MAX} characters");
        form.faults.push(Fault::new(400, why));
    }
    let text = whole.as_deref().map(shortened);
    let media_url = form.media_url();
    let person = Person {
        first_name: form.text("first_name", WORD_MAX),
        last_name: form.text("last_name", WORD_MAX),
        email: form.text("email", WORD_MAX),
        phone: form.text("phone", WORD_MAX),
        device_id: form.text("device_id", WORD_MAX),
        account_id: form.text("account_id", WORD_MAX),
        description: whole.filter(|whole| text.as_ref() != Some(whole)),
    };
    match category {
        Some(category) if form.faults.is_empty() => {
            Ok(Draft { category, asset, place, address, text, media_url, person })
        }
        _ => Err(form.faults),
    }
}

/// Reads what was asked of `GET requests` at `now`.
///
/// # Errors
/// Everything that is wrong with it.
pub fn query(fields: &Fields, offer: &Offer, site: &Site, now: Utc) -> Result<Query, Vec<Fault>> {
    let mut form = Form { fields, faults: vec![] };
    let list = |text: Option<&str>| -> Vec<String> {
        let words = text.into_iter().flat_map(|text| text.split(','));
        words.map(|word| word.trim().to_owned()).filter(|word| !word.is_empty()).collect()
    };
    let numbers = list(form.value("service_request_id"));
    if !numbers.is_empty() {
        if numbers.len() > NUMBERS_MAX {
            let why = format!("more than {NUMBERS_MAX} of service_request_id at once");
            return Err(vec![Fault::new(400, why)]);
        }
        let read = numbers.iter().filter_map(|text| RequestNumber::parse(text)).collect();
        return Ok(Query { numbers: read, ..Query::default() });
    }
    let codes = list(form.value("service_code"));
    let categories = codes.iter().filter_map(|code| form.known_service(code, offer, site));
    let categories: Vec<Category> = categories.collect();
    if !codes.is_empty() && categories.len() < codes.len() {
        form.faults.push(Fault::new(404, "service_code is not one of GET services"));
    }
    let to = form.time("end_date");
    let from = form.time("start_date");
    let from = from.unwrap_or_else(|| to.unwrap_or(now) - SPAN_MAX);
    if to.unwrap_or(now).since(from) > SPAN_MAX {
        let why = "start_date and end_date are more than 90 days apart";
        form.faults.push(Fault::new(400, why));
    }
    let statuses = list(form.value("status"));
    if let Some(odd) = statuses.iter().find(|s| !["open", "closed"].contains(&s.as_str())) {
        form.faults.push(Fault::new(400, format!("status {odd:?} is neither open nor closed")));
    }
    let has = |word: &str| statuses.iter().any(|s| s == word);
    let closed = (has("open") != has("closed")).then(|| has("closed"));
    let query = Query { numbers: vec![], categories, from: Some(from), to, closed };
    if form.faults.is_empty() { Ok(query) } else { Err(form.faults) }
}

struct Form<'a> {
    fields: &'a Fields,
    faults: Vec<Fault>,
}

impl<'a> Form<'a> {
    /// The first value of a field that is not empty.
    fn value(&self, name: &str) -> Option<&'a str> {
        let found = self.fields.iter().find(|(key, value)| key == name && !value.trim().is_empty());
        found.map(|(_, value)| value.trim())
    }

    /// A field without control characters but line breaks, of at most `max` bytes.
    fn text(&mut self, name: &str, max: usize) -> Option<String> {
        let value = self.value(name)?;
        if value.len() > max {
            self.faults.push(Fault::new(400, format!("{name} is longer than {max} bytes")));
            return None;
        }
        Some(value.chars().filter(|c| !c.is_control() || *c == '\n').collect())
    }

    fn known_service(&self, code: &str, offer: &Offer, site: &Site) -> Option<Category> {
        let fits = |category: &&Category| {
            service_code(offer, site, category) == code || category.as_str() == code
        };
        offer.services.iter().find(fits).cloned()
    }

    fn category(&mut self, offer: &Offer, site: &Site) -> Option<Category> {
        let Some(code) = self.value("service_code") else {
            self.faults.push(Fault::new(400, "service_code is missing; GET services lists them"));
            return None;
        };
        let found = self.known_service(code, offer, site);
        if found.is_none() {
            let why = format!("service_code {code:?} is not one of GET services");
            self.faults.push(Fault::new(404, why));
        }
        found
    }

    /// The asset, from the plate on it or its QR code: `bin/bin-21`, or `bin-21` alone.
    fn asset(&mut self, site: &Site) -> Option<AssetKey> {
        let text = self.value("attribute[asset]").or_else(|| self.value("address_id"))?;
        let by_id = || {
            let id = AssetId::new(text).ok()?;
            site.assets.keys().find(|key| key.id == id).cloned()
        };
        let key = text.parse::<AssetKey>().ok().filter(|key| site.assets.contains_key(key));
        let found = key.or_else(by_id);
        if found.is_none() {
            self.faults.push(Fault::new(400, format!("nothing here is called {text:?}")));
        }
        found
    }

    fn place(&mut self) -> Option<Position> {
        let (lat, lon) = match (self.value("lat"), self.value("long")) {
            (None, None) => return None,
            (Some(lat), Some(lon)) => (lat, lon),
            (Some(_), None) => return self.wrong("long is missing beside lat"),
            (None, Some(_)) => return self.wrong("lat is missing beside long"),
        };
        let (Ok(lat), Ok(lon)) = (lat.parse::<f64>(), lon.parse::<f64>()) else {
            return self.wrong("lat and long are degrees, such as 31.811 and 119.974");
        };
        match Position::from_degrees(lat, lon, Datum::Wgs84) {
            Ok(place) => Some(place),
            Err(bad) => self.wrong(&bad.to_string()),
        }
    }

    fn wrong<T>(&mut self, why: &str) -> Option<T> {
        self.faults.push(Fault::new(400, why));
        None
    }

    fn media_url(&mut self) -> Option<String> {
        let url = self.text("media_url", MEDIA_URL_MAX)?;
        let fits = url.starts_with("https://") || url.starts_with("http://");
        if !fits || url.contains(|c: char| c.is_whitespace() || "\"'<>".contains(c)) {
            return self.wrong("media_url is no http:// or https:// address");
        }
        Some(url)
    }

    fn time(&mut self, name: &str) -> Option<Utc> {
        let text = self.value(name)?;
        match Utc::parse(text) {
            Ok(time) => Some(time),
            Err(error) => self.wrong(&format!("{name}: {error}; write 2026-06-04T12:00:00Z")),
        }
    }
}

/// Whether everything that has a place is further away than reports are taken from.
fn is_far(place: Position, offer: &Offer, site: &Site) -> bool {
    let reach = f64::from(offer.reach_m);
    let mut measured = site
        .assets
        .values()
        .filter_map(|asset| asset.position?.to_datum(Datum::Wgs84).distance_m(place))
        .peekable();
    measured.peek().is_some() && measured.all(|metres| metres > reach)
}

/// The beginning of a long text, which says that it is one.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(TEXT_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
