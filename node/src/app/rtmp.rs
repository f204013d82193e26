//! Starts the RTMP door.

use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio_rustls::TlsAcceptor;
use tracing::error;
use uuid::Uuid;

use super::{Failure, resolve, tls};
use crate::config::{Config, Encryption};
use crate::http::{RtmpConnInfo, RtspState, Timestamp};
use crate::rtmp::{Connection, Door, DoorConfig, Shared, State, listener};
use crate::worker::{Worker, bind};

/// What one worker is given.
#[derive(Default)]
pub(super) struct Part {
    pub(super) plain: Option<TcpListener>,
    pub(super) secure: Option<TcpListener>,
    tls: Option<TlsAcceptor>,
}

/// Binds the ports, one listener for each worker.
pub(super) fn bind(config: &Config, workers: usize) -> Result<Vec<Part>, Failure> {
    let mut parts: Vec<Part> = (0..workers).map(|_| Part::default()).collect();
    let rtmp = &config.rtmp;
    if !rtmp.enabled {
        return Ok(parts);
    }
    if rtmp.encryption != Encryption::Strict {
        let listeners = bind::tcp("RTMP", resolve("RTMP", &rtmp.address)?, workers)?;
        parts.iter_mut().zip(listeners).for_each(|(part, listener)| part.plain = Some(listener));
    }
    if rtmp.encryption != Encryption::No {
        let tls = tls::acceptor(&rtmp.server_cert, &rtmp.server_key)
            .map_err(|error| Failure::Tls { what: "RTMPS", error })?;
        let listeners = bind::tcp("RTMPS", resolve("RTMPS", &rtmp.secure_address)?, workers)?;
        for (part, listener) in parts.iter_mut().zip(listeners) {
            part.secure = Some(listener);
            part.tls = Some(tls.clone());
        }
    }
    Ok(parts)
}

/// What is configured.
pub(super) const fn door_config(config: &Config) -> DoorConfig {
    DoorConfig { read_timeout: config.read_timeout, write_timeout: config.write_timeout }
}

/// Serves on one worker.
pub(super) fn run(worker: &Rc<Worker>, part: Part, shared: &Arc<Shared>) {
    let door = Rc::new(Door { shared: shared.clone(), worker: worker.clone(), tls: part.tls });
    for (listener, secure) in [(part.plain, false), (part.secure, true)] {
        if let Some(listener) = listener {
            let door = door.clone();
            actix_rt::spawn(async move {
                if let Err(error) = listener::accept(door, listener, secure).await {
                    error!("RTMP: {error}");
                }
            });
        }
    }
}

/// A connection as the API shows it.
pub(super) fn connection_info(connection: &Connection) -> Option<RtmpConnInfo> {
    let facts = connection.facts.lock().clone();
    Some(RtmpConnInfo {
        id: Uuid::parse_str(&connection.id).ok()?,
        created: Timestamp(connection.created),
        remote_addr: connection.peer,
        state: match facts.state {
            State::Idle => RtspState::Idle,
            State::Read => RtspState::Read,
            State::Publish => RtspState::Publish,
        },
        path: facts.path,
        query: facts.query,
        user: facts.user,
        user_agent: facts.user_agent,
        inbound_bytes: connection.inbound_bytes.load(Ordering::Relaxed),
        outbound_bytes: connection.outbound_bytes.load(Ordering::Relaxed),
        outbound_frames_discarded: connection.outbound_discarded.load(Ordering::Relaxed),
    })
}
