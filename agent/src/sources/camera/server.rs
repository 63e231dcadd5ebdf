//! Pictures of a web server: one for each question, or one answer that never ends (MJPEG).
//!
//! An answer is taken by what is in it, not by what its headers say: cameras write them wrong. Of a
//! stream, the boundaries are passed over like everything else that is no JPEG.

use std::time::Duration;

use axum::http::{StatusCode, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http_body_util::{BodyExt, Limited};

use super::super::http_get::{self, Answered};
use super::live::{Bytestream, Live};
use crate::config::CameraServer;

/// The longest time from the question to the last byte of a picture, or to the head of a stream.
const ANSWER_MAX: Duration = Duration::from_secs(15);

/// Asks for one picture; an error says in words why there is none.
pub(super) async fn snapshot(server: &CameraServer, most: usize) -> Result<Vec<u8>, String> {
    let said = |why: String| format!("{}: {why}", http_get::shown(&server.url));
    let asked = async {
        let Answered { response, connection } = ask(server).await?;
        let body = Limited::new(response.into_body(), most).collect().await;
        drop(connection);
        body.map(|body| body.to_bytes().to_vec()).map_err(|error| {
            format!("the picture is longer than {most} bytes, or breaks off: {error}")
        })
    };
    let answer = tokio::time::timeout(ANSWER_MAX, asked).await;
    answer.unwrap_or_else(|_| Err(late())).map_err(said)
}

/// Reads a stream until it ends or is silent; answers why.
pub(super) async fn stream(server: &CameraServer, live: &mut Live) -> String {
    let asked = tokio::time::timeout(ANSWER_MAX, ask(server)).await;
    let why = match asked.unwrap_or_else(|_| Err(late())) {
        Err(why) => why,
        Ok(Answered { response, connection }) => {
            let why = live.read(Bytestream::Answer(response.into_body())).await;
            drop(connection);
            why
        }
    };
    format!("{}: {why}", http_get::shown(&server.url))
}

async fn ask(server: &CameraServer) -> Result<Answered, String> {
    let mut request = http_get::question(&server.url)
        .header(header::ACCEPT, "image/jpeg, multipart/x-mixed-replace");
    if let Some((user, password)) = &server.login {
        let login = BASE64_STANDARD.encode(format!("{user}:{}", password.reveal()));
        request = request.header(header::AUTHORIZATION, format!("Basic {login}"));
    }
    let answered = http_get::get(&server.url, server.ca_file.as_deref(), request).await;
    let answered = answered.map_err(|error| error.to_string())?;
    match answered.response.status() {
        StatusCode::UNAUTHORIZED => Err("it wants another username or password".to_owned()),
        status if !status.is_success() => Err(format!("it answers {status}")),
        _ => Ok(answered),
    }
}

fn late() -> String {
    format!("it does not answer within {} s", ANSWER_MAX.as_secs())
}
