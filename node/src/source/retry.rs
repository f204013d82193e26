//! Tries a source again and again.

use std::time::Duration;

use tokio::time::Instant;
use tracing::{info, warn};
use weft_cluster::PublishError;

use super::{Pull, SourceEnd};

/// Pulls until it is enough. A source that fails is tried again, sooner than MediaMTX does it after 5 s.
pub async fn keep(pull: Pull, attempt: impl AsyncFn(&Pull) -> SourceEnd) {
    let (path, kind) = (&pull.path, pull.config.protocol.kind());
    info!(%path, source = kind, "source started");
    let mut pauses = Pauses::default();
    loop {
        let begun = Instant::now();
        let end = attempt(&pull).await;
        if is_final(&end) {
            info!(%path, source = kind, "source stopped: {end}");
            return;
        }
        let pause = pauses.next(begun.elapsed());
        warn!(%path, source = kind, "source failed: {end}; it is tried again in {} s", pause.as_secs());
        tokio::select! {
            biased;
            () = pull.stop.stopped() => {
                info!(%path, source = kind, "source stopped");
                return;
            }
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Whether nothing comes of another attempt.
const fn is_final(end: &SourceEnd) -> bool {
    matches!(
        end,
        SourceEnd::Stopped
            | SourceEnd::Refused(PublishError::Draining | PublishError::NotConfigured)
            | SourceEnd::Fabric(weft_cluster::path::EndReason::Shutdown)
    )
}

/// How long to wait between attempts. Pure.
#[derive(Debug, Default)]
struct Pauses {
    failures: u32,
}

/// The first pause: what a server needs that has just dropped a connection.
const FIRST: Duration = Duration::from_secs(1);

/// The longest: cameras come back by themselves, and somebody waits for the picture.
const LONGEST: Duration = Duration::from_secs(5);

/// A source that gave media for so long has not failed before.
const WAS_WELL: Duration = Duration::from_secs(10);

impl Pauses {
    /// The pause after an attempt that lasted so long.
    fn next(&mut self, lasted: Duration) -> Duration {
        if lasted >= WAS_WELL {
            self.failures = 0;
        }
        let pause = FIRST.saturating_mul(1 << self.failures.min(8)).min(LONGEST);
        self.failures += 1;
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_while_it_fails_and_begin_anew_when_it_was_well() {
        let mut pauses = Pauses::default();
        let mut after = |secs| pauses.next(Duration::from_secs(secs)).as_secs();
        assert_eq!([after(0), after(0), after(0), after(0), after(3)], [1, 2, 4, 5, 5]);
        assert_eq!([after(60), after(0)], [1, 2]);
    }
}
