//! The first words on a connection of two nodes, after TLS has told each who the other is.

use bincode::{Decode, Encode};

use super::entry::NodeId;
use super::messages;

messages! {
    /// What is said before anything else, both ways.
    Greeting {
        /// Who I am, and what I want of you.
        1 => Hello(Hello),
    }
}

/// Names a cluster for ever: drawn at its formation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct ClusterId(pub [u8; 16]);

impl ClusterId {
    /// Of a node that is in no cluster yet.
    pub const NONE: Self = Self([0; 16]);
}

/// Who somebody is.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
pub struct Hello {
    /// What the connection is for.
    pub purpose: Purpose,
    /// Of which cluster the sender is.
    pub cluster: ClusterId,
    /// Who sends it. Must be what its certificate says.
    pub node: NodeId,
    /// Counts the sender's starts.
    pub incarnation: u64,
    /// Drawn at each start: tells two processes apart that count alike, as copies of a machine do.
    pub process: u64,
    /// The lowest level that the sender still speaks.
    pub level_min: u32,
    /// The highest level that the sender knows.
    pub level_max: u32,
    /// Of its program, for people.
    pub version: String,
}

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
pub enum Purpose {
    /// Requests and signals: the one connection of the pair.
    Control,
    /// Nothing is ever sent: its end is the message.
    Lifeline,
    /// To learn who is there; closed after the answer.
    Acquaintance,
}

impl Hello {
    /// The level that two nodes speak with each other, if there is one.
    pub fn common_level(&self, other: &Self) -> Option<u32> {
        let level = self.level_max.min(other.level_max);
        (level >= self.level_min.max(other.level_min)).then_some(level)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello(level_min: u32, level_max: u32) -> Hello {
        Hello {
            purpose: Purpose::Control,
            cluster: ClusterId([1; 16]),
            node: NodeId(1),
            incarnation: 1,
            process: 5,
            level_min,
            level_max,
            version: "0.1.0".into(),
        }
    }

    #[test]
    fn two_nodes_speak_the_highest_level_that_both_know() {
        assert_eq!(hello(1, 3).common_level(&hello(2, 5)), Some(3));
        assert_eq!(hello(2, 5).common_level(&hello(1, 3)), Some(3));
        assert_eq!(hello(1, 1).common_level(&hello(2, 3)), None);
    }

    #[test]
    fn a_hello_is_short() {
        let hello = Greeting::Hello(Hello { incarnation: u64::MAX, process: u64::MAX, ..hello(1, u32::MAX) });
        assert!(hello.encode().len() < 100);
    }
}
