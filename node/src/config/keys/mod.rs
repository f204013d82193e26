//! The table of keys, as data: name, kind, default, scope, since when it is served, and one line of explanation.
//!
//! What the loader accepts, what the documentation says and what a key is when nobody sets it all come from here, so they
//! cannot differ. A key without `since` is accepted and named in a warning.

mod camera;
mod deprecated;
mod global;
mod path;
mod servers;

pub use deprecated::{Deprecated, Now};
pub use global::{BOOTSTRAP, CLUSTER};

/// A key of the file.
#[derive(Debug)]
pub struct Key {
    /// As it is written in the file.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// Its value when nobody sets it, as one would write it in an environment variable.
    pub default: &'static str,
    /// Whom it concerns.
    pub scope: Scope,
    /// When a changed value takes effect in a running node.
    pub reload: Reload,
    /// The version that serves it first; `None` is accepted, and has no effect yet.
    pub since: Option<&'static str>,
    /// For people.
    pub doc: &'static str,
}

/// What a key takes.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// `yes` or `no`.
    Bool,
    /// A whole number in a range.
    Int(i64, i64),
    /// A power of two.
    PowerOfTwo,
    /// A number.
    Float,
    /// Any text.
    Text,
    /// A text that must not be shown.
    Secret,
    /// A duration, at least and at most so many milliseconds.
    Duration(u64, u64),
    /// Bytes, as `50M`.
    Size,
    /// `host:port`.
    Address,
    /// `host:port`, or nothing for off.
    OptionalAddress,
    /// A UDP or TCP port.
    Port,
    /// One of some words.
    Choice(&'static [&'static str]),
    /// `no`, `optional` or `strict`; booleans mean `no` and `strict`.
    Encryption,
    /// A block of multicast addresses.
    MulticastRange,
    /// Bytes or a percentage of memory.
    Budget,
    /// A list of texts.
    Texts,
    /// A list of some words.
    Choices(&'static [&'static str]),
    /// A list of so many numbers.
    Numbers(usize),
    /// A list of maps with these fields.
    Records(&'static [&'static str]),
    /// A map with its own table.
    Section(&'static [Key]),
    /// Path keys.
    PathKeys,
    /// Names and their path keys.
    Paths,
}

/// Whom a key concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Each node has its own.
    Node,
    /// Each node has its own in its file, and all should say the same: it is needed before the nodes can agree.
    Alike,
    /// All nodes of a cluster share it.
    Cluster,
}

/// When a changed value takes effect in a running node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// As soon as the file has changed.
    Now,
    /// For streams that begin afterwards.
    NextStream,
    /// When the node is started again.
    Restart,
}

/// Keys that belong together.
#[derive(Debug)]
pub struct Group {
    /// A heading.
    pub title: &'static str,
    /// Its keys.
    pub keys: &'static [Key],
}

/// All that one level of the file takes.
#[derive(Debug)]
pub struct Table {
    /// The keys.
    pub groups: &'static [Group],
    /// What older versions wrote.
    pub deprecated: &'static [Deprecated],
}

impl Table {
    /// Finds a key.
    pub fn find(&self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name)
    }

    /// Finds a key of an older version.
    pub fn find_deprecated(&self, name: &str) -> Option<&'static Deprecated> {
        self.deprecated.iter().find(|old| old.name == name)
    }

    /// All keys in order.
    pub fn keys(&self) -> impl Iterator<Item = &'static Key> + use<> {
        self.groups.iter().flat_map(|group| group.keys)
    }
}

/// The top level of the file.
pub static GLOBAL: Table = Table { groups: GLOBAL_GROUPS, deprecated: deprecated::GLOBAL };

/// What `pathDefaults` and each path take.
pub static PATH: Table = Table { groups: PATH_GROUPS, deprecated: deprecated::PATH };

static GLOBAL_GROUPS: &[Group] = &[
    Group { title: "General", keys: global::GENERAL },
    Group { title: "Weft", keys: global::WEFT },
    Group { title: "Authentication", keys: global::AUTH },
    Group { title: "API", keys: servers::API },
    Group { title: "Metrics", keys: servers::METRICS },
    Group { title: "Profiling", keys: servers::PPROF },
    Group { title: "Playback", keys: servers::PLAYBACK },
    Group { title: "RTSP", keys: servers::RTSP },
    Group { title: "RTMP", keys: servers::RTMP },
    Group { title: "HLS", keys: servers::HLS },
    Group { title: "WebRTC", keys: servers::WEBRTC },
    Group { title: "SRT", keys: servers::SRT },
    Group { title: "MoQ", keys: servers::MOQ },
    Group { title: "Paths", keys: global::PATHS },
];

static PATH_GROUPS: &[Group] = &[
    Group { title: "Source", keys: path::SOURCE },
    Group { title: "Weft", keys: path::WEFT },
    Group { title: "Recording", keys: path::RECORD },
    Group { title: "Particular sources", keys: path::PARTICULAR },
    Group { title: "Raspberry Pi camera", keys: camera::CAMERA },
    Group { title: "Hooks", keys: path::HOOKS },
];

/// A key that is accepted but not served yet, and is each node's own.
const fn key(name: &'static str, kind: Kind, default: &'static str, doc: &'static str) -> Key {
    Key { name, kind, default, scope: Scope::Node, reload: Reload::Now, since: None, doc }
}

impl Key {
    /// Served since the first version.
    const fn served(mut self) -> Self {
        self.since = Some("0.1.0");
        self
    }

    /// A change waits for the next start.
    const fn at_restart(mut self) -> Self {
        self.reload = Reload::Restart;
        self
    }

    /// A change holds for streams that begin afterwards.
    const fn for_new_streams(mut self) -> Self {
        self.reload = Reload::NextStream;
        self
    }

    /// To be the same in the files of all nodes.
    const fn alike(mut self) -> Self {
        self.scope = Scope::Alike;
        self
    }

    /// Shared by the nodes of a cluster.
    const fn shared(mut self) -> Self {
        self.scope = Scope::Cluster;
        self
    }
}

impl Kind {
    /// Whether it takes a list, which may be empty but not nothing.
    pub(crate) const fn is_list(&self) -> bool {
        matches!(self, Self::Texts | Self::Choices(_) | Self::Numbers(_) | Self::Records(_))
    }

    /// What a user should write, for error messages and documentation.
    pub fn expected(&self) -> String {
        match self {
            Self::Bool => "yes or no".into(),
            Self::Int(min, i64::MAX) => format!("a whole number, {min} or more"),
            Self::Int(min, max) => format!("a whole number from {min} to {max}"),
            Self::PowerOfTwo => "a power of two".into(),
            Self::Float => "a number".into(),
            Self::Text | Self::Secret => "a text".into(),
            Self::Duration(..) => "a duration like `10s`, `1h30m` or `2d`".into(),
            Self::Size => "a size like `50M`".into(),
            Self::Address => "an address like `:8554` or `127.0.0.1:8554`".into(),
            Self::OptionalAddress => "an address like `:8189`, or nothing".into(),
            Self::Port => "a port from 0 to 65535".into(),
            Self::Choice(words) => format!("one of {}", words.join(", ")),
            Self::Encryption => "one of no, optional, strict".into(),
            Self::MulticastRange => "a block of multicast addresses like `224.1.0.0/16`".into(),
            Self::Budget => "a size like `512M` or a share of the memory like `25%`".into(),
            Self::Texts => "a list of texts".into(),
            Self::Choices(words) => format!("a list of {}", words.join(", ")),
            Self::Numbers(count) => format!("a list of {count} numbers"),
            Self::Records(fields) => format!("a list of maps with {}", fields.join(", ")),
            Self::Section(_) | Self::PathKeys => "a map of keys".into(),
            Self::Paths => "a map of path names".into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_are_unique() {
        for table in [&GLOBAL, &PATH] {
            let mut seen = HashSet::new();
            for name in table.keys().map(|key| key.name).chain(table.deprecated.iter().map(|old| old.name)) {
                assert!(seen.insert(name), "{name} is there twice");
            }
        }
    }

    #[test]
    fn every_replacement_exists() {
        for (table, old) in
            [&GLOBAL, &PATH].iter().flat_map(|table| table.deprecated.iter().map(move |old| (table, old)))
        {
            let exists = match old.now {
                Now::Is(name) | Now::IsNot(name) | Now::OneOf(name) => table.find(name).is_some(),
                Now::PathDefault(name) => PATH.find(name).is_some(),
                Now::See(name) => GLOBAL.find(name).is_some(),
                Now::Gone => true,
            };
            assert!(exists, "what replaces {} does not exist", old.name);
        }
    }
}
