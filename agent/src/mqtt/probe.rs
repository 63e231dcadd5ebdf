//! One question to a broker, for `steward doctor`: does what the box publishes come back to it? Over a
//! connection of its own, beside those of a box that runs, and over MQTT 5, which says why not.

use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{ConnectReturnCode, PubAckReason, SubscribeReasonCode};
use rumqttc::v5::{AsyncClient, ConnectionError, Event, EventLoop, Incoming, MqttOptions};

use super::session::Access;
use crate::config::Broker;

/// Below the box's prefix: where the question goes, and comes back from.
pub const PATH: &str = "probe";
/// The longest time for each step.
const STEP_WITHIN: Duration = Duration::from_secs(10);
/// Requests that may wait for the event loop.
const REQUESTS_MAX: usize = 4;

/// How far the question came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The broker takes the box in.
    Connect,
    /// The box may hear its own topics.
    Subscribe,
    /// The box may publish on its own topics.
    Publish,
    /// What it publishes comes back.
    Echo,
}

/// Why it came no further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// At which step.
    pub step: Step,
    /// The broker's rules forbid it.
    pub forbidden: bool,
    /// In words.
    pub why: String,
}

/// Publishes `payload` on `topic` and waits until it comes back.
///
/// # Errors
/// At which step it failed, and why.
pub async fn round_trip(
    broker: &Broker,
    box_id: &str,
    topic: &str,
    payload: &[u8],
) -> Result<(), Failed> {
    let fail = |step, forbidden, why: String| Failed { step, forbidden, why };
    let access = Access::of(broker, box_id, Some(box_id))
        .map_err(|error| fail(Step::Connect, false, error.to_string()))?;
    let id = format!("{box_id}-doctor-{}", std::process::id());
    let mut options = MqttOptions::new(id, access.address.clone(), access.port);
    options
        .set_transport(access.transport.clone())
        .set_keep_alive(Duration::from_secs(30))
        .set_clean_start(true)
        .set_connection_timeout(access.connect_timeout.as_secs().max(1))
        .set_network_options(access.network.clone());
    if let Some((user, password)) = &access.login {
        options.set_credentials(user, password);
    }
    let (client, events) = AsyncClient::new(options, REQUESTS_MAX);
    let mut asking = Asking { events, step: Step::Connect };
    asking.until(|event| matches!(event, Incoming::ConnAck(_)).then_some(Ok(()))).await?;

    asking.step = Step::Subscribe;
    let queued = |step| move |_| fail(step, false, "the connection is gone".to_owned());
    client.try_subscribe(topic, QoS::AtLeastOnce).map_err(queued(Step::Subscribe))?;
    asking.until(granted).await?;

    asking.step = Step::Publish;
    let sent = client.try_publish(topic, QoS::AtLeastOnce, false, payload.to_vec());
    sent.map_err(queued(Step::Publish))?;
    let mut echoed = false;
    asking
        .until(|event| {
            echoed |= is_echo(event, topic, payload);
            taken(event)
        })
        .await?;

    asking.step = Step::Echo;
    if !echoed {
        asking.until(|event| is_echo(event, topic, payload).then_some(Ok(()))).await?;
    }
    // The doctor's session is clean: the broker forgets it however the connection ends.
    let _ = client.try_disconnect();
    Ok(())
}

/// Yes, or whether it is forbidden and why; nothing yet.
type Answer = Option<Result<(), (bool, String)>>;

struct Asking {
    events: EventLoop,
    step: Step,
}

impl Asking {
    async fn until(&mut self, mut answer: impl FnMut(&Incoming) -> Answer) -> Result<(), Failed> {
        let step = self.step;
        let fail = |(forbidden, why)| Failed { step, forbidden, why };
        let waiting = async {
            loop {
                match self.events.poll().await {
                    Ok(Event::Incoming(event)) => {
                        if let Some(answer) = answer(&event) {
                            return answer;
                        }
                    }
                    Ok(Event::Outgoing(_)) => {}
                    Err(error) => return Err(in_words(&error)),
                }
            }
        };
        match tokio::time::timeout(STEP_WITHIN, waiting).await {
            Ok(answer) => answer.map_err(fail),
            Err(_) => Err(fail((step == Step::Echo, "nothing came in time".to_owned()))),
        }
    }
}

fn granted(event: &Incoming) -> Answer {
    let Incoming::SubAck(ack) = event else { return None };
    Some(match ack.return_codes.first() {
        Some(SubscribeReasonCode::Success(_)) => Ok(()),
        Some(code) => Err((*code == SubscribeReasonCode::NotAuthorized, format!("{code:?}"))),
        None => Err((false, "the answer is empty".to_owned())),
    })
}

fn taken(event: &Incoming) -> Answer {
    let Incoming::PubAck(ack) = event else { return None };
    Some(match ack.reason {
        PubAckReason::Success => Ok(()),
        // It was taken, and nobody hears it: the subscription above is not obeyed.
        PubAckReason::NoMatchingSubscribers => Ok(()),
        reason => Err((reason == PubAckReason::NotAuthorized, format!("{reason:?}"))),
    })
}

fn is_echo(event: &Incoming, topic: &str, payload: &[u8]) -> bool {
    matches!(event, Incoming::Publish(p) if p.topic == topic.as_bytes() && p.payload == payload)
}

fn in_words(error: &ConnectionError) -> (bool, String) {
    match error {
        ConnectionError::ConnectionRefused(code) => {
            let forbidden = matches!(
                code,
                ConnectReturnCode::BadUserNamePassword
                    | ConnectReturnCode::NotAuthorized
                    | ConnectReturnCode::Banned
            );
            (forbidden, format!("the broker refuses the box: {code:?}"))
        }
        ConnectionError::Timeout(_) => (false, "the broker does not answer in time".to_owned()),
        other => (false, other.to_string()),
    }
}
