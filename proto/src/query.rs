//! What publishers say of themselves behind the `?` of their URL, over whatever protocol.

use core::num::NonZeroU8;

/// A publisher that waits for its turn: `standby=1`, or with a rank `standby=1&rank=2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StandbyWish {
    /// The lower the sooner its turn comes, from 1 on.
    pub rank: Option<NonZeroU8>,
}

/// A value that makes no sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadWish {
    /// Of `standby`.
    #[error("`standby` is 1 or 0")]
    Standby,
    /// Of `rank`.
    #[error("`rank` is a number from 1 to 255")]
    Rank,
}

impl StandbyWish {
    /// What a query says; `None` where it says nothing of standing by.
    pub fn of(query: &str) -> Result<Option<Self>, BadWish> {
        match parameter(query, "standby") {
            None | Some("0" | "no" | "false") => Ok(None),
            Some("1" | "yes" | "true") => {
                let rank = parameter(query, "rank").map(|rank| rank.parse().map_err(|_| BadWish::Rank)).transpose()?;
                Ok(Some(Self { rank }))
            }
            Some(_) => Err(BadWish::Standby),
        }
    }
}

/// The first value of a name, as it stands there.
pub fn parameter<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publishers_say_that_they_stand_by() {
        let of = StandbyWish::of;
        assert_eq!(of(""), Ok(None));
        assert_eq!(of("user=a&pass=b"), Ok(None));
        assert_eq!(of("standby=0&rank=7"), Ok(None));
        assert_eq!(of("standby=1"), Ok(Some(StandbyWish { rank: None })));
        assert_eq!(of("user=a&standby=1&rank=2"), Ok(Some(StandbyWish { rank: NonZeroU8::new(2) })));
        assert_eq!(of("standby=1&rank=0"), Err(BadWish::Rank));
        assert_eq!(of("standby=1&rank=256"), Err(BadWish::Rank));
        assert_eq!(of("standby=maybe"), Err(BadWish::Standby));
        assert_eq!(of("xstandby=1"), Ok(None));
    }
}
