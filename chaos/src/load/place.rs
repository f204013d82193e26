//! What came from each of several places: of a cluster, from each node.

use serde::Serialize;

use super::outcome::{Spread, Total};
use super::report::Latency;
use crate::cli::LoadArgs;
use crate::probe::ProbeError;
use crate::probe::door::Url;

/// What readers of one place saw.
#[derive(Debug, Serialize)]
pub struct Place {
    /// Where they read.
    pub url: String,
    /// How many should have.
    pub readers: u32,
    /// How many got in.
    pub joined: u64,
    /// Out of their sockets in the window, packet headers included.
    pub gbit: f64,
    /// The same for each second.
    pub gbit_per_second: f64,
    /// Complete video units, over each reader's whole life.
    pub units: u64,
    /// Units that should have come and did not.
    pub units_lost: u64,
    /// As a share of all, in percent.
    pub loss_percent: f64,
    /// Connections that ended early.
    pub ended: u64,
    /// How long things took.
    pub times_ms: Latency,
    /// How much later units come than at the place that this one is compared with.
    pub hop: Option<Hop>,
}

/// The difference of two places' latencies in one run, in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Hop {
    /// The first place of the same protocol, which should be the owner.
    pub after: String,
    /// Of the medians.
    pub p50_ms: f64,
    /// Of the 99th percentiles.
    pub p99_ms: f64,
}

impl Place {
    /// All places, as asked for.
    pub(super) fn all(args: &LoadArgs, totals: &[Total], refused: &[(u16, ProbeError)], seconds: f64) -> Vec<Self> {
        let urls = args.places();
        let one = |(at, (url, total)): (usize, (&Url, &Total))| {
            let gbit = total.window_bytes as f64 * 8.0 / 1e9;
            let readers = args.readers_of(at);
            let outside = refused.iter().filter(|(place, _)| usize::from(*place) == at).count() as u64;
            Self {
                url: url.to_string(),
                readers,
                joined: u64::from(readers).saturating_sub(outside),
                gbit,
                gbit_per_second: gbit / seconds,
                units: total.units,
                units_lost: total.units_lost,
                loss_percent: total.loss_percent(),
                ended: total.ended,
                times_ms: Latency::of(total),
                hop: hop(urls, totals, at),
            }
        };
        urls.iter().zip(totals).enumerate().map(one).collect()
    }
}

/// Against the first place of the same protocol.
fn hop(urls: &[Url], totals: &[Total], at: usize) -> Option<Hop> {
    let url = urls.get(at)?;
    let first = urls.iter().position(|other| (other.scheme, other.transport) == (url.scheme, url.transport))?;
    let (Spread { p50, p99, .. }, here) = (totals.get(first)?.latency?, totals.get(at)?.latency?);
    (first != at).then(|| Hop { after: urls[first].to_string(), p50_ms: here.p50 - p50, p99_ms: here.p99 - p99 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hop_is_measured_against_the_first_place_of_the_same_protocol() {
        let urls: Vec<Url> =
            ["rtsp://a/x", "rtmp://a/x", "rtsp://b/x", "rtspu://b/x"].iter().map(|url| url.parse().unwrap()).collect();
        let total = |p50, p99| Total { latency: Some(Spread { p50, p99, max: p99 }), ..Total::default() };
        let totals = [total(1.0, 3.0), total(2.0, 4.0), total(1.5, 5.0), total(9.0, 9.0)];
        let hops: Vec<Option<Hop>> = (0..4).map(|at| hop(&urls, &totals, at)).collect();
        let expected = Hop { after: "rtsp://a:554/x".into(), p50_ms: 0.5, p99_ms: 2.0 };
        assert_eq!(hops, [None, None, Some(expected), None]);
    }
}
