//! All rules, under entries in any order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

/// Entries that mostly make sense: few nodes, few paths, incarnations and epochs near those in force.
fn entry() -> impl Strategy<Value = Draft> {
    let node = 1..=3u64;
    prop_oneof![
        (node.clone(), 0..3u64).prop_map(|(node, ahead)| Draft::Up { node, ahead }),
        (node.clone(), 0..2u64, prop::collection::vec((0..3u8, 1..=3u64, any::<bool>()), 0..4))
            .prop_map(|(node, behind, plan)| Draft::Down { node, behind, plan }),
        (node.clone(), any::<bool>()).prop_map(|(node, drained)| Draft::Drain { node, drained }),
        (node.clone(), 0..2u64, 0..40u64, 0..3u8, any::<bool>())
            .prop_map(|(node, behind, number, path, over)| Draft::Claim { node, behind, number, path, over }),
        (0..3u8, any::<bool>()).prop_map(|(path, stale)| Draft::Release { path, stale }),
        (0..3u8).prop_map(|path| Draft::Forget { path }),
        (node, 40..60u64, 0..3u8, 0..3u8).prop_map(|(node, number, path, rank)| Draft::Wait {
            node,
            number,
            path,
            rank
        }),
        (0..3u8, any::<bool>()).prop_map(|(path, stale)| Draft::Promote { path, stale }),
        (0..3u8).prop_map(|path| Draft::Leave { path }),
    ]
}

#[derive(Clone, Debug)]
enum Draft {
    Up { node: u64, ahead: u64 },
    Down { node: u64, behind: u64, plan: Vec<(u8, u64, bool)> },
    Drain { node: u64, drained: bool },
    Claim { node: u64, behind: u64, number: u64, path: u8, over: bool },
    Release { path: u8, stale: bool },
    Forget { path: u8 },
    Wait { node: u64, number: u64, path: u8, rank: u8 },
    Promote { path: u8, stale: bool },
    Leave { path: u8 },
}

fn name(path: u8) -> PathName {
    PathName::new(&format!("p{path}")).unwrap()
}

impl Draft {
    /// What it means to the state as it is.
    fn entry(&self, state: &State, index: u64) -> Option<Entry> {
        let incarnation = |node| state.members().get(NodeId(node)).map_or(0, |member| member.incarnation);
        let epoch =
            |path, stale: bool| state.paths().get(&name(path)).map(|path| Epoch(path.epoch.0 - u64::from(stale)));
        Some(match self.clone() {
            Self::Up { node, ahead } => up(NodeId(node), incarnation(node) + ahead),
            Self::Down { node, behind, plan } => {
                let plan = plan.into_iter().enumerate().filter_map(|(n, (path, to, stale))| {
                    let number = ClaimId::PLANNED + index * 8 + n as u64;
                    let claim = ClaimId { node: NodeId(to), incarnation: incarnation(to), number };
                    Some(Move { path: name(path), epoch: epoch(path, stale)?, to: NodeId(to), claim })
                });
                let plan = plan.collect();
                Entry::NodeDown { node: NodeId(node), incarnation: incarnation(node).saturating_sub(behind), plan }
            }
            Self::Drain { node, drained } => {
                Entry::Drain { node: NodeId(node), incarnation: incarnation(node), drained }
            }
            Self::Claim { node, behind, number, path, over } => {
                let incarnation = incarnation(node).saturating_sub(behind);
                let id = ClaimId { node: NodeId(node), incarnation, number };
                Entry::Claim { id, path: name(path), kind: Kind::Pushed, now_micros: 0, take_over: over }
            }
            Self::Release { path, stale } => Entry::Release { path: name(path), epoch: epoch(path, stale)? },
            Self::Forget { path } => Entry::Forget { path: name(path), epoch: epoch(path, false)? },
            Self::Wait { node, number, path, rank } => {
                let id = ClaimId { node: NodeId(node), incarnation: incarnation(node), number };
                Entry::AddStandby { id, path: name(path), rank }
            }
            Self::Promote { path, stale } => {
                let id = state.paths().get(&name(path))?.standbys.first()?.claim;
                Entry::Promote { path: name(path), epoch: epoch(path, stale)?, id }
            }
            Self::Leave { path } => {
                let id = state.paths().get(&name(path))?.standbys.last()?.claim;
                Entry::RemoveStandby { id, path: name(path) }
            }
        })
    }
}

/// What has ever been granted, looked at from outside.
#[derive(Default)]
struct Witness {
    highest: BTreeMap<PathName, Epoch>,
    granted: BTreeSet<ClaimId>,
}

impl Witness {
    fn look(&mut self, before: &State, after: &State) -> Result<(), TestCaseError> {
        for (path, ownership) in after.paths().iter() {
            let known = before.paths().get(path);
            let changed = known.is_none_or(|known| known.owner != ownership.owner || known.epoch != ownership.epoch);
            if let Some(owner) = ownership.owner.filter(|_| changed) {
                let highest = self.highest.insert(path.clone(), ownership.epoch);
                prop_assert!(highest.is_none_or(|highest| ownership.epoch > highest), "{path}: the epoch did not grow");
                prop_assert!(self.granted.insert(owner.claim), "{:?} was granted twice", owner.claim);
            }
            for claim in
                ownership.owner.iter().map(|owner| owner.claim).chain(ownership.standbys.iter().map(|s| s.claim))
            {
                let member = after.members().get(claim.node);
                prop_assert!(
                    member.is_some_and(
                        |member| member.incarnation == claim.incarnation && member.state != MemberState::Down
                    ),
                    "{path}: {claim:?} is of a process that is gone"
                );
            }
            let nodes: BTreeSet<NodeId> = ownership.standbys.iter().map(|standby| standby.claim.node).collect();
            prop_assert!(nodes.len() == ownership.standbys.len(), "{path}: a node waits twice");
            prop_assert!(ownership.owner_node().is_none_or(|owner| !nodes.contains(&owner)), "the owner waits");
        }
        prop_assert!(after.paths().is_indexed(), "the index is another one than that of all paths");
        for path in (0..3).map(name).filter(|path| before.paths().get(path) != after.paths().get(path)) {
            prop_assert!(after.paths().changed().contains(&path), "{path} is not among what has changed");
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn the_rules_hold_under_entries_in_any_order(drafts in prop::collection::vec(entry(), 1..120)) {
        let mut log = Log::of_three();
        let mut witness = Witness::default();
        for draft in drafts {
            let Some(entry) = draft.entry(&log.state, log.index) else { continue };
            let before = log.state.clone();
            let answer = log.apply(&entry);
            witness.look(&before, &log.state)?;
            if let Answer::Refused(refusal) = answer
                && !matches!(entry, Entry::Claim { .. } | Entry::Promote { .. })
            {
                prop_assert!(before == log.state, "refused ({refusal}) and changed all the same");
            }
        }
        let bytes = weft_proto::wire::to_bytes(&log.state);
        let read: State = weft_proto::wire::from_bytes(&bytes).expect("what was written can be read");
        prop_assert!(read == log.state && read.paths().is_indexed());
    }

    #[test]
    fn the_same_entries_make_the_same_state(drafts in prop::collection::vec(entry(), 1..60)) {
        let (mut one, mut other) = (Log::of_three(), Log::of_three());
        for draft in drafts {
            let Some(entry) = draft.entry(&one.state, one.index) else { continue };
            prop_assert_eq!(one.apply(&entry), other.apply(&entry));
        }
        prop_assert!(one.state == other.state);
    }
}
