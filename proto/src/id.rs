//! Names and numbers that identify things: paths, epochs, positions.

use core::fmt;
use std::sync::Arc;

use bincode::de::Decoder;
use bincode::enc::Encoder;
use bincode::error::{DecodeError, EncodeError};
use bincode::{Decode, Encode};

use crate::limits::PATH_NAME_BYTES_MAX;

/// The name of a stream: `cam/front`. Valid by construction and cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathName(Arc<str>);

/// Why a text is not a path name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathNameError {
    /// There is no name at all.
    #[error("path name is empty")]
    Empty,
    /// Longer than [`PATH_NAME_BYTES_MAX`].
    #[error("path name is longer than {PATH_NAME_BYTES_MAX} bytes")]
    TooLong,
    /// Starts or ends with a slash.
    #[error("path name must not begin or end with '/'")]
    OuterSlash,
    /// A segment is empty, `.` or `..`.
    #[error("path name must not contain empty, '.' or '..' segments")]
    DotSegment,
    /// A character outside `[0-9A-Za-z_\-/.]`.
    #[error("path name contains {0:?}; only letters, digits, '_', '-', '.' and '/' are allowed")]
    Character(char),
}

impl PathName {
    /// Checks and takes a name.
    pub fn new(name: &str) -> Result<Self, PathNameError> {
        if name.is_empty() {
            return Err(PathNameError::Empty);
        }
        if name.len() > PATH_NAME_BYTES_MAX {
            return Err(PathNameError::TooLong);
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/' | '.');
        if let Some(bad) = name.chars().find(|c| !allowed(*c)) {
            return Err(PathNameError::Character(bad));
        }
        if name.starts_with('/') || name.ends_with('/') {
            return Err(PathNameError::OuterSlash);
        }
        if name.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(PathNameError::DotSegment);
        }
        Ok(Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Encode for PathName {
    fn encode<E: Encoder>(&self, encoder: &mut E) -> Result<(), EncodeError> {
        self.as_str().encode(encoder)
    }
}

/// A name from the wire is checked like any other.
impl<Context> Decode<Context> for PathName {
    fn decode<D: Decoder<Context = Context>>(decoder: &mut D) -> Result<Self, DecodeError> {
        let name = String::decode(decoder)?;
        Self::new(&name).map_err(|error| DecodeError::OtherString(error.to_string()))
    }
}

bincode::impl_borrow_decode!(PathName);

impl fmt::Debug for PathName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for PathName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The fencing number of an ownership. For one path it only grows, for ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Epoch(pub u64);

/// The place of a unit in its stream: given once, by the owner; the same on every node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Position {
    /// The ownership under which the unit was published.
    pub epoch: Epoch,
    /// Counts the units of that epoch. A gap is a unit that was lost.
    pub seq: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_contract_are_accepted() {
        for name in ["cam", "cam/front", "a.b/c_d-9", ".hidden/x"] {
            assert_eq!(PathName::new(name).unwrap().as_str(), name);
        }
    }

    #[test]
    fn names_that_could_escape_or_confuse_are_refused() {
        use PathNameError::*;
        for (name, error) in [
            ("", Empty),
            ("/cam", OuterSlash),
            ("cam/", OuterSlash),
            ("a//b", DotSegment),
            ("a/../b", DotSegment),
            (".", DotSegment),
            ("a b", Character(' ')),
            ("é", Character('é')),
        ] {
            assert_eq!(PathName::new(name), Err(error), "{name}");
        }
        assert_eq!(PathName::new(&"x".repeat(PATH_NAME_BYTES_MAX + 1)), Err(TooLong));
    }
}
