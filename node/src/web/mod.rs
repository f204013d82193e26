//! HTTP as doors serve it to browsers and players: on the workers, within bounds, each door with its own answers.

use std::net::IpAddr;

use crate::config::network::IpRange;

mod body;
mod listener;
mod patient;

pub use body::Body;
pub use listener::{Site, accept};

/// The client that a proxy speaks for: the last address of `X-Forwarded-For` that is no trusted proxy's own.
pub fn client(peer: IpAddr, forwarded: Option<&str>, trusted_proxies: &[IpRange]) -> IpAddr {
    let Some(forwarded) = forwarded else { return peer };
    let trusted = |address: IpAddr| trusted_proxies.iter().any(|range| range.contains(address));
    let mut client = peer;
    for hop in forwarded.rsplit(',') {
        if !trusted(client) {
            break;
        }
        let Ok(address) = hop.trim().parse::<IpAddr>() else { break };
        client = address.to_canonical();
    }
    client
}
