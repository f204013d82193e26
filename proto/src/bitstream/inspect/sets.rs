//! The parameter sets that a track keeps, one for each id.

use bytes::Bytes;

use crate::limits::{PARAMETER_SET_BYTES_MAX, PARAMETER_SETS_MAX};

/// What a parameter set that arrived is to those that are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Update {
    /// It is kept already.
    Known,
    /// It is new, or replaces the one with its id.
    Changed,
    /// It has no id, or is beyond our limits.
    Refused,
}

/// Takes a parameter set into `kept`. What is kept is a copy: a set lives for hours, and must not keep alive the large
/// buffer in which it arrived.
pub(super) fn update(kept: &mut Vec<Bytes>, set: &[u8], id_of: impl Fn(&[u8]) -> Option<u32>) -> Update {
    if kept.iter().any(|kept| kept == set) {
        return Update::Known;
    }
    let Some(id) = id_of(set).filter(|_| set.len() <= PARAMETER_SET_BYTES_MAX) else {
        return Update::Refused;
    };
    match kept.iter().position(|kept| id_of(kept) == Some(id)) {
        Some(old) => kept[old] = Bytes::copy_from_slice(set),
        None if kept.len() < PARAMETER_SETS_MAX => kept.push(Bytes::copy_from_slice(set)),
        None => return Update::Refused,
    }
    Update::Changed
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first byte is the id; 0 is none.
    fn id(set: &[u8]) -> Option<u32> {
        set.first().map(|byte| u32::from(*byte)).filter(|id| *id > 0)
    }

    #[test]
    fn sets_replace_each_other_by_id() {
        let mut kept = Vec::new();
        assert_eq!(update(&mut kept, &[1, 1], id), Update::Changed);
        assert_eq!(update(&mut kept, &[2, 1], id), Update::Changed);
        assert_eq!(update(&mut kept, &[1, 1], id), Update::Known);
        assert_eq!(update(&mut kept, &[1, 2], id), Update::Changed);
        assert_eq!(kept, [&[1, 2][..], &[2, 1]]);
    }

    #[test]
    fn sets_without_id_or_beyond_the_limits_are_refused() {
        let mut kept = Vec::new();
        assert_eq!(update(&mut kept, &[0, 1], id), Update::Refused);
        assert_eq!(update(&mut kept, &[1; PARAMETER_SET_BYTES_MAX + 1], id), Update::Refused);
        for first in 1..=PARAMETER_SETS_MAX as u8 {
            assert_eq!(update(&mut kept, &[first], id), Update::Changed);
        }
        assert_eq!(update(&mut kept, &[200], id), Update::Refused);
    }
}
