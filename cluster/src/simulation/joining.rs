//! How machines come into a cluster: they form it, and are let in, with and without a token.

use std::time::Duration;

use rand::RngExt;
use tokio::time::{Instant, sleep};

use super::net::SimTransport;
use super::world::{EPOCH_MICROS, WELL_WITHIN, World, facts};
use crate::membership::{Electorate, Member};
use crate::ownership::{Answer, Entry, Invitation, NodeId, Refusal, TokenHash};

/// Somebody who has found a token that was used.
const THIEF: NodeId = NodeId(u64::MAX);

impl World {
    /// The first node founds the cluster with the others as voters; who does not vote is let in. It may be killed meanwhile.
    pub(super) async fn form(&mut self) {
        let ids: Vec<NodeId> = self.machines.iter().map(|machine| machine.id).collect();
        let all: Vec<_> = ids.iter().map(|id| (*id, facts(*id).address)).collect();
        self.machines.iter_mut().for_each(|machine| machine.remembered.clone_from(&all));
        self.machines[0].founds = Some(Electorate::first(ids[0], ids.iter().copied()));
        (0..self.machines.len()).for_each(|n| self.start(n));
        match self.chance.random_range(0..4) {
            0 => {
                sleep(Duration::from_millis(self.chance.random_range(0..400))).await;
                let lose = self.chance.random_range(0..2) == 0;
                self.kill(0, lose);
                self.checker.count("founders killed while they found");
                sleep(Duration::from_millis(self.chance.random_range(0..1_000))).await;
                self.start(0);
            }
            1 => self.lose_founder().await,
            _ => {}
        }
        for id in ids {
            self.let_in(id).await;
        }
        self.wait_until("the cluster forms", |world| world.is_well()).await;
    }

    /// The founder dies as soon as it says that it is up: the others go on without it.
    async fn lose_founder(&mut self) {
        let founder = self.machines[0].id;
        let is_up = |world: &Self| world.members().any(|member| member.id() == founder && member.is_up());
        let deadline = Instant::now() + WELL_WITHIN;
        while !is_up(self) && Instant::now() < deadline {
            sleep(Duration::from_millis(1)).await;
        }
        self.kill(0, true);
        self.checker.count("founders killed when they had founded");
        let go_on = |world: &Self| world.members().any(|member| member.is_up() && member.id() != founder);
        self.wait_until("the others go on without their founder", go_on).await;
        self.start(0);
    }

    /// A node is made a member by whoever can.
    pub(super) async fn let_in(&mut self, node: NodeId) {
        let invited = self.chance.random_range(0..2) == 0;
        let token = if invited { self.invite(node).await } else { None };
        let join = Entry::Join { node, facts: facts(node), token };
        let deadline = Instant::now() + Duration::from_secs(10);
        let knows =
            |member: &Member<SimTransport>, node| member.consensus().state().read().members().get(node).is_some();
        while Instant::now() < deadline {
            let members: Vec<_> = self.members().filter(|member| knows(member, member.id())).collect();
            for member in members {
                if knows(&member, node) {
                    self.remember(node, &member);
                    return;
                }
                let _ = member.consensus().propose(join.clone(), Duration::from_secs(1)).await;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// A node that was let in is told who the others are.
    fn remember(&mut self, node: NodeId, member: &Member<SimTransport>) {
        let machine = self.machines.iter_mut().find(|machine| machine.id == node);
        if let Some(machine) = machine.filter(|machine| machine.remembered.is_empty()) {
            machine.remembered = member.addresses();
        }
    }

    /// A token that was used once already, by a request whose answer was lost. Others who come with it are not let in.
    async fn invite(&mut self, node: NodeId) -> Option<Invitation> {
        let hash = TokenHash(self.chance.random());
        let member = self.members().find(|member| member.is_up())?;
        let add = Entry::AddToken { hash, expires_micros: i64::MAX };
        member.consensus().propose(add, Duration::from_secs(1)).await.ok()?;
        let invitation = Invitation { hash, request: self.chance.random(), now_micros: EPOCH_MICROS };
        let join = |node, invitation| Entry::Join { node, facts: facts(node), token: Some(invitation) };
        let patience = Duration::from_millis(self.chance.random_range(0..20));
        // Nobody reads the first answer.
        let _ = member.consensus().propose(join(node, invitation), patience).await;
        let again = member.consensus().propose(join(node, invitation), Duration::from_secs(1)).await;
        if matches!(again, Ok((_, Answer::Done))) {
            let thief = Invitation { request: [0; 32], ..invitation };
            let stolen = member.consensus().propose(join(THIEF, thief), Duration::from_secs(1)).await;
            if matches!(stolen, Ok((_, Answer::Refused(Refusal::BadToken)))) {
                self.checker.count("tokens used twice");
            }
        }
        Some(invitation)
    }
}
