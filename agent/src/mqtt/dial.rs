//! The way to a broker: TCP, and TLS and a WebSocket on top where they are wanted.
//!
//! What comes out is a stream of bytes; nothing here knows a packet.

use std::io;

use async_tungstenite::tokio::client_async;
use async_tungstenite::tungstenite;
use async_tungstenite::tungstenite::client::IntoClientRequest;
use async_tungstenite::tungstenite::http::HeaderValue;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{InvalidDnsNameError, ServerName};
use ws_stream_tungstenite::WsStream;

use super::session::Access;

/// The subprotocol of MQTT over WebSockets (MQTT 5, 6).
const SUBPROTOCOL: &str = "mqtt";
const SUBPROTOCOL_HEADER: &str = "Sec-WebSocket-Protocol";

/// Bytes to and from a broker.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Why there is no way.
#[derive(Debug, thiserror::Error)]
pub(super) enum DialError {
    #[error("nobody listens at the broker's address (connection refused)")]
    Refused,
    #[error("no connection to the broker: {0}")]
    Tcp(#[source] io::Error),
    #[error("no TLS with the broker: {0}")]
    Tls(#[source] io::Error),
    #[error("no certificate can be made out for the broker's name: {0}")]
    Name(#[from] InvalidDnsNameError),
    #[error("no WebSocket to the broker: {0}")]
    WebSocket(#[from] tungstenite::Error),
    #[error("the broker's web server does not speak MQTT (no subprotocol)")]
    Subprotocol,
}

/// Connects as `access` says.
pub(super) async fn dial(access: Access) -> Result<Box<dyn Stream>, DialError> {
    let tcp = TcpStream::connect((access.host.as_str(), access.port)).await.map_err(tcp)?;
    // Packets are gathered before they are written: to wait for more of them gains nothing.
    tcp.set_nodelay(true).map_err(DialError::Tcp)?;
    let stream: Box<dyn Stream> = match access.tls {
        None => Box::new(tcp),
        Some(config) => {
            let name = ServerName::try_from(access.host)?;
            let tls = TlsConnector::from(config).connect(name, tcp).await;
            Box::new(tls.map_err(DialError::Tls)?)
        }
    };
    if access.web_socket { web_socket(&access.address, stream).await } else { Ok(stream) }
}

async fn web_socket(url: &str, stream: Box<dyn Stream>) -> Result<Box<dyn Stream>, DialError> {
    let mut request = url.into_client_request()?;
    let wanted = HeaderValue::from_static(SUBPROTOCOL);
    request.headers_mut().insert(SUBPROTOCOL_HEADER, wanted);
    let (socket, response) = client_async(request, stream).await?;
    let spoken = response.headers().get(SUBPROTOCOL_HEADER);
    if spoken.is_none_or(|spoken| spoken.as_bytes().trim_ascii() != SUBPROTOCOL.as_bytes()) {
        return Err(DialError::Subprotocol);
    }
    Ok(Box::new(WsStream::new(socket)))
}

fn tcp(why: io::Error) -> DialError {
    match why.kind() {
        io::ErrorKind::ConnectionRefused => DialError::Refused,
        _ => DialError::Tcp(why),
    }
}
