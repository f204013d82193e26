//! The configuration as the fabric asks it.

use weft_cluster::path::PathSettings;
use weft_cluster::stream::{LogLimits, StartLimits, StreamSettings};
use weft_cluster::{PathPolicy, Policy};
use weft_proto::id::PathName;

use crate::config::{Config, Source};

/// Answers from a loaded configuration.
pub(super) struct Configured {
    config: Config,
}

impl Configured {
    pub(super) const fn new(config: Config) -> Self {
        Self { config }
    }
}

impl Policy for Configured {
    fn path(&self, path: &PathName) -> Option<PathPolicy> {
        let (conf_name, found) = self.config.path(path)?;
        if matches!(found.source, Source::NotServed(_)) {
            return None;
        }
        let stream = &self.config.stream;
        let bytes = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        Some(PathPolicy {
            conf_name: conf_name.to_owned(),
            life: PathSettings {
                max_readers: found.max_readers.map_or(0, bytes),
                override_publisher: found.override_publisher,
                reader_hold: found.reader_hold,
                on_demand: None,
            },
            stream: StreamSettings {
                log: LogLimits {
                    keep: found.log_keep,
                    group_bytes_max: bytes(stream.group_max_bytes),
                    group_age_max: stream.group_max_age,
                },
                cadence: Default::default(),
            },
            start: StartLimits { bytes_max: bytes(stream.start_max_bytes), age_max: stream.start_max_age },
        })
    }
}
