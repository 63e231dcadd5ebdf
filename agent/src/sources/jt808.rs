//! A platform for vehicle terminals that speak JT/T 808: a TCP server.
//!
//! Each connection has a task that reads and decodes it; this one decides who may come in, hands
//! samples to the engine, and answers. A report is answered "done" only after it is on disk, so that the
//! terminal keeps what is not; what could not be stored is answered "failed" and comes again.
//!
//! Who may come in: terminals whose phone number feeds an asset, or has a section of its own. A terminal
//! registers, gets a code, and shows it; before that nothing it says is taken. A connection speaks for
//! the phone number of its first frame: a frame of another one ends it, and nothing of it is taken. When
//! a terminal comes again, its earlier connection has died unheard and is closed.
//!
//! Every client is bounded: in how many there are, in what each may have waiting, in how long it may say
//! nothing whole, and in how long it may take nothing.

mod connection;
mod desk;

use std::net::SocketAddr;

use tokio::net::TcpListener;

use super::Context;
use super::intake::Gate;
use super::retry::Retry;
use crate::config::Platform;
use desk::Desk;

/// Serves terminals until the box stops.
pub(super) async fn run(settings: Platform, context: Context) {
    let gate = Gate::new(context.clone());
    let Some(listener) = listen(settings.listen, &gate, &context).await else { return };
    gate.connected();
    Desk::new(settings, gate, context).serve(listener).await;
}

/// Takes the address, trying again while something else has it. `None` when the box stops.
async fn listen(addr: SocketAddr, gate: &Gate, context: &Context) -> Option<TcpListener> {
    let mut retry = Retry::new();
    loop {
        match TcpListener::bind(addr).await {
            Ok(listener) => {
                let addr = listener.local_addr().unwrap_or(addr);
                tracing::info!(%addr, "platform listens");
                return Some(listener);
            }
            Err(error) => {
                gate.trouble(format!("cannot listen on {addr}: {error}"));
            }
        }
        if !retry.wait(&context.stop).await {
            return None;
        }
    }
}

#[cfg(test)]
mod tests;
