//! Profiles: what a box says, message by message, in the words that another platform reads.
//!
//! Pure: from a message, and the ticket it is about, to messages on topics of the profile's own. The forms
//! themselves stand with what they are about ([`crate::parking::profile`], [`crate::waste::profile`],
//! [`crate::outward`]). Where a profile has no word for a message there is no form, and nothing is made up.
//!
//! | profile | of a ticket | of a bay, a street, a bin | of a stay |
//! |---|---|---|---|
//! | `ngsi-ld` | `Alert` | `ParkingSpot`, `OnStreetParking`, `WasteContainer` | – |
//! | `cds` | – | `comms_lost` | `park_start`, `park_end` |
//! | `open311` | service request | – | – |
//! | `case-record` | case record | – | – |

use serde_json::Value;

use crate::ids::TicketId;
use crate::output::{Body, Lane, Message, Topic};
use crate::outward;
use crate::parking::profile as parking;
use crate::site::Site;
use crate::tickets::Ticket;
use crate::waste::profile as waste;

/// In whose words messages are told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Profile {
    /// Our own.
    #[default]
    Native,
    /// FIWARE Smart Data Models as NGSI-LD entities (ETSI GS CIM 009).
    NgsiLd,
    /// Events of the Curb Data Specification 1.0.
    Cds,
    /// Service requests of Open311 GeoReport v2.
    Open311,
    /// Case records as platforms of Chinese cities take them.
    CaseRecord {
        /// The six-digit code of the administrative division (GB/T 2260), where it is known.
        district: Option<String>,
    },
}

impl Profile {
    /// The word in configurations.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Profile::Native => "native",
            Profile::NgsiLd => "ngsi-ld",
            Profile::Cds => "cds",
            Profile::Open311 => "open311",
            Profile::CaseRecord { .. } => "case-record",
        }
    }

    /// The forms of `message`; none where the profile has no word for it. `ticket` is asked for the
    /// ticket of a message as it was then, and may not know it.
    ///
    /// Forms of tickets are told once for each transition, under [`outward::key`]: the last two levels of
    /// the topic where the form itself has no place for it.
    #[must_use]
    pub fn forms(
        &self,
        site: &Site,
        message: &Message,
        ticket: impl Fn(&TicketId, u64) -> Option<Ticket>,
    ) -> Vec<Message> {
        let about = || match (&message.topic, &message.body) {
            (Topic::TicketState(id), Body::Flat(body)) => ticket(id, body.get("rev")?.as_u64()?),
            _ => None,
        };
        match self {
            Profile::Native => vec![message.clone()],
            Profile::NgsiLd => ngsi_ld(site, message, about),
            Profile::Cds => {
                let event = |(path, value)| form(message, Lane::Event, path, false, value);
                parking::curb_events(message, site).into_iter().map(event).collect()
            }
            Profile::Open311 => {
                let request = |ticket: Ticket| {
                    let path = format!("open311/requests/{}/{}", ticket.ticket_id, ticket.rev);
                    form(message, Lane::Ticket, path, false, outward::open311(site, &ticket))
                };
                about().map(request).into_iter().collect()
            }
            Profile::CaseRecord { district } => {
                let record = |ticket: Ticket| {
                    let path = format!("case/{}/{}", ticket.ticket_id, ticket.rev);
                    let value = outward::case_record(site, &ticket, district.as_deref());
                    form(message, Lane::Ticket, path, false, value)
                };
                about().map(record).into_iter().collect()
            }
        }
    }
}

/// Entities are retained: a platform that comes later has the latest of each.
fn ngsi_ld(site: &Site, message: &Message, ticket: impl Fn() -> Option<Ticket>) -> Vec<Message> {
    let alert = |id: &TicketId| format!("ngsi-ld/Alert/urn:ngsi-ld:Alert:{id}");
    if let (Topic::TicketState(id), Body::Empty) = (&message.topic, &message.body) {
        let topic = Topic::Form { path: alert(id), retained: true };
        return vec![Message { topic, ..message.clone() }];
    }
    let entity = parking::fiware(message, site).or_else(|| waste::fiware(message, site));
    let of_ticket = || {
        let ticket = ticket()?;
        Some((alert(&ticket.ticket_id), outward::ngsi_ld(site, &ticket)))
    };
    let entity = entity.or_else(of_ticket);
    entity.map(|(path, value)| form(message, message.lane, path, true, value)).into_iter().collect()
}

fn form(message: &Message, lane: Lane, path: String, retained: bool, value: Value) -> Message {
    let Message { at, clock, quality, .. } = *message;
    Message {
        lane,
        topic: Topic::Form { path, retained },
        at,
        clock,
        quality,
        body: Body::Form(value),
    }
}
