//! The configuration as the fabric asks it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use weft_cluster::path::PathSettings;
use weft_cluster::stream::{LogLimits, StartLimits, StreamSettings};
use weft_cluster::{PathPolicy, Policy};
use weft_proto::id::PathName;
use weft_proto::media::marks::Cadence;

use crate::config::{Config, Source};

/// Answers from the configuration in force.
pub(super) struct Configured {
    config: ArcSwap<Config>,
}

impl Configured {
    pub(super) fn new(config: Config) -> Self {
        Self { config: ArcSwap::from_pointee(config) }
    }

    /// Answers from another configuration from now on.
    pub(super) fn set(&self, config: Config) {
        self.config.store(Arc::new(config));
    }
}

impl Policy for Configured {
    fn path(&self, path: &PathName) -> Option<PathPolicy> {
        let config = self.config.load();
        let (conf_name, found) = config.path(path)?;
        if matches!(found.source, Source::NotServed(_)) {
            return None;
        }
        let stream = &config.stream;
        let bytes = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        Some(PathPolicy {
            conf_name: conf_name.to_owned(),
            life: PathSettings {
                max_readers: found.max_readers.map_or(0, bytes),
                override_publisher: found.override_publisher,
                reader_hold: found.reader_hold,
                standby: found.standby,
                standby_return: found.standby_return,
                on_demand: None,
            },
            stream: StreamSettings {
                log: LogLimits {
                    keep: found.log_keep,
                    group_bytes_max: bytes(stream.group_max_bytes),
                    group_age_max: stream.group_max_age,
                },
                cadence: Cadence { segment: config.hls.segment_duration, part: config.hls.part_duration },
            },
            start: StartLimits { bytes_max: bytes(stream.start_max_bytes), age_max: stream.start_max_age },
        })
    }
}
