//! Pictures of a web server: one for each question, or one answer that never ends (MJPEG).
//!
//! An answer is taken by what is in it, not by what its headers say: cameras write them wrong. Of a
//! stream, the boundaries are passed over like everything else that is no JPEG.
//!
//! Name and password are shown when a camera asks for them, and as it asks for them: HTTP Digest (RFC
//! 7616) where it offers that, else Basic (RFC 7617).

use std::time::Duration;

use axum::http::{StatusCode, header};
use http_auth::{PasswordClient, PasswordParams};
use http_body_util::{BodyExt, Limited};

use super::super::http_get::{self, Answered};
use super::live::{Bytestream, Live};
use crate::config::CameraServer;

/// The longest time from the question to the last byte of a picture, or to the head of a stream.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// Somebody who asks a camera again and again.
pub(super) struct Visitor<'a> {
    server: &'a CameraServer,
    /// How it wants to be shown name and password, once it has said so.
    wanted: Option<PasswordClient>,
}

impl<'a> Visitor<'a> {
    pub(super) const fn new(server: &'a CameraServer) -> Visitor<'a> {
        Visitor { server, wanted: None }
    }

    /// Asks for one picture; an error says in words why there is none.
    pub(super) async fn snapshot(&mut self, most: usize) -> Result<Vec<u8>, String> {
        let shown = http_get::shown(&self.server.url);
        let asked = async {
            let Answered { response, connection } = self.ask().await?;
            let body = Limited::new(response.into_body(), most).collect().await;
            drop(connection);
            body.map(|body| body.to_bytes().to_vec()).map_err(|error| {
                format!("the picture is longer than {most} bytes, or breaks off: {error}")
            })
        };
        let answer = tokio::time::timeout(ANSWER_MAX, asked).await;
        answer.unwrap_or_else(|_| Err(late())).map_err(|why| format!("{shown}: {why}"))
    }

    /// Reads a stream until it ends or shows nothing; answers why.
    pub(super) async fn stream(&mut self, live: &mut Live) -> String {
        let shown = http_get::shown(&self.server.url);
        let asked = tokio::time::timeout(ANSWER_MAX, self.ask()).await;
        let why = match asked.unwrap_or_else(|_| Err(late())) {
            Err(why) => why,
            Ok(Answered { response, connection }) => {
                let why = live.read(Bytestream::Answer(response.into_body())).await;
                drop(connection);
                why
            }
        };
        format!("{shown}: {why}")
    }

    /// Asks, and once more where the camera wants to know who asks: for the first time, or because what
    /// it gave for that has become old.
    async fn ask(&mut self) -> Result<Answered, String> {
        const OTHER: &str = "it wants another username or password";
        let mut answered = self.once().await?;
        if answered.response.status() == StatusCode::UNAUTHORIZED {
            if self.server.login.is_none() {
                return Err("it wants a username and a password".to_owned());
            }
            let challenges = answered.response.headers().get_all(header::WWW_AUTHENTICATE);
            let wanted = PasswordClient::try_from(challenges);
            let why =
                |why: String| format!("it wants to know who asks in a way unknown here: {why}");
            self.wanted = Some(wanted.map_err(why)?);
            answered = self.once().await?;
        }
        match answered.response.status() {
            StatusCode::UNAUTHORIZED => {
                self.wanted = None;
                Err(OTHER.to_owned())
            }
            status if !status.is_success() => Err(format!("it answers {status}")),
            _ => Ok(answered),
        }
    }

    async fn once(&mut self) -> Result<Answered, String> {
        let url = &self.server.url;
        let mut request =
            http_get::question(url).header(header::ACCEPT, "image/jpeg, multipart/x-mixed-replace");
        if let (Some(wanted), Some((username, password))) = (&mut self.wanted, &self.server.login) {
            let params = PasswordParams {
                username,
                password: password.reveal(),
                uri: &url.path,
                method: "GET",
                body: Some(&[]),
            };
            request = request.header(header::AUTHORIZATION, wanted.respond(&params)?);
        }
        let answered = http_get::get(url, self.server.ca_file.as_deref(), request).await;
        answered.map_err(|error| error.to_string())
    }
}

fn late() -> String {
    format!("it does not answer within {} s", ANSWER_MAX.as_secs())
}
