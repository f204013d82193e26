//! The configuration as the fabric asks it.

use std::sync::Arc;

use arc_swap::ArcSwap;
use weft_cluster::path::{OnDemand, PathSettings};
use weft_cluster::stream::{LogLimits, StartLimits, StreamSettings};
use weft_cluster::{PathPolicy, Policy, PulledSource};
use weft_proto::id::PathName;
use weft_proto::media::marks::Cadence;

use crate::config::{Config, PathConfig, Source};

/// Answers from the configuration in force.
pub(super) struct Configured {
    config: ArcSwap<Config>,
    /// The paths whose sources are always to be pulled.
    always: ArcSwap<Arc<[PathName]>>,
}

impl Configured {
    pub(super) fn new(config: Config) -> Self {
        let always = ArcSwap::from_pointee(always_pulled(&config));
        Self { config: ArcSwap::from_pointee(config), always }
    }

    /// Answers from another configuration from now on.
    pub(super) fn set(&self, config: Config) {
        self.always.store(Arc::new(always_pulled(&config)));
        self.config.store(Arc::new(config));
    }
}

/// Names that are expressions are none of paths: what they stand for is pulled on demand.
fn always_pulled(config: &Config) -> Arc<[PathName]> {
    let is_always = |path: &PathConfig| matches!(&path.source, Source::Pulled(source) if source.on_demand.is_none());
    let names = config.paths.iter().filter(|(_, path)| is_always(path)).map(|(name, _)| name);
    names.filter(|name| !matches!(*name, "all" | "all_others")).filter_map(|name| PathName::new(name).ok()).collect()
}

impl Policy for Configured {
    fn path(&self, path: &PathName) -> Option<PathPolicy> {
        let config = self.config.load();
        let (conf_name, found) = config.path(path)?;
        if matches!(found.source, Source::NotServed(_)) {
            return None;
        }
        let pulled = match &found.source {
            Source::Pulled(source) => Some(source),
            _ => None,
        };
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
                on_demand: pulled.and_then(|source| source.on_demand).map(|on_demand| OnDemand {
                    start_timeout: on_demand.start_timeout,
                    close_after: on_demand.close_after,
                }),
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
            source: pulled.map(|source| PulledSource {
                kind: source.protocol.kind(),
                url: source.url_for(path.as_str(), &config.paths.groups(conf_name, path)),
                exclusive: source.exclusive,
            }),
        })
    }

    fn sources(&self) -> Arc<[PathName]> {
        self.always.load_full().as_ref().clone()
    }
}
