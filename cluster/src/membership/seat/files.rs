//! A node's papers: its key and certificate, whom it trusts, and, where it votes, the authority's key.

use std::fs;
use std::io;
use std::path::Path;

use weft_proto::time::WallClock;
use weft_proto::wire::entry::NodeId;

use super::SeatError;
use crate::identity::{Authority, AuthoritySeed, CaCertificate, Current, Leaf, LeafKey};
use crate::storage::Storage;

const AUTHORITY: &str = "ca.pem";
const AUTHORITY_KEY: &str = "ca.key";
const CERTIFICATE: &str = "node.pem";
const KEY: &str = "node.key";
const MEMBERS: &str = "members";
/// Of a node that waits to be let in.
const WAITING_KEY: &str = "join.key";

/// What proves who a node is.
pub(in crate::membership) struct Papers {
    pub(in crate::membership) current: Current,
    pub(in crate::membership) leaf: Leaf,
    pub(in crate::membership) authority: Option<Authority>,
    storage: Storage,
}

impl Papers {
    /// New ones of a new authority.
    pub(super) async fn draw(node: NodeId, storage: Storage, now: WallClock) -> Result<Self, SeatError> {
        Self::under(Authority::from_seed(&AuthoritySeed::draw())?, node, storage, now).await
    }

    /// New ones of this authority.
    pub(super) async fn under(
        authority: Authority,
        node: NodeId,
        storage: Storage,
        now: WallClock,
    ) -> Result<Self, SeatError> {
        let leaf = authority.issue(node, now)?;
        let mut papers = Self::of(leaf, authority.certificate().clone(), storage).await?;
        papers.take_authority(authority).await?;
        Ok(papers)
    }

    /// Those that a node was given.
    pub(super) async fn of(leaf: Leaf, trusted: CaCertificate, storage: Storage) -> Result<Self, SeatError> {
        let current = Current::new(&leaf, trusted.clone())?;
        write(&storage, AUTHORITY, trusted.pem()).await?;
        write(&storage, KEY, leaf.key_pem()).await?;
        write(&storage, CERTIFICATE, leaf.certificate_pem()).await?;
        Ok(Self { current, leaf, authority: None, storage })
    }

    /// Those of an earlier start. With the authority's key a certificate that has run out meanwhile is renewed.
    pub(super) async fn read(folder: &Path, storage: Storage, now: WallClock) -> Result<Self, SeatError> {
        let leaf = Leaf::from_pem(&fs::read(folder.join(CERTIFICATE))?, &fs::read(folder.join(KEY))?)?;
        let trusted = CaCertificate::from_pem(&fs::read(folder.join(AUTHORITY))?)?;
        let authority = match fs::read(folder.join(AUTHORITY_KEY)) {
            Ok(pem) => Some(Authority::from_key_pem(&pem)?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let current = Current::new(&leaf, trusted)?;
        let mut papers = Self { current, leaf, authority, storage };
        if papers.leaf.is_due(now)
            && let Some(authority) = &papers.authority
        {
            let renewed = authority.issue(papers.leaf.node(), now)?;
            papers.renew(renewed).await?;
        }
        Ok(papers)
    }

    /// Shows another certificate from now on.
    pub(in crate::membership) async fn renew(&mut self, leaf: Leaf) -> Result<(), SeatError> {
        write(&self.storage, KEY, leaf.key_pem()).await?;
        write(&self.storage, CERTIFICATE, leaf.certificate_pem()).await?;
        self.current.replace(&leaf)?;
        self.leaf = leaf;
        Ok(())
    }

    /// Keeps the authority's key: the node votes now.
    pub(in crate::membership) async fn take_authority(&mut self, authority: Authority) -> Result<(), SeatError> {
        write(&self.storage, AUTHORITY_KEY, authority.key_pem()).await?;
        self.authority = Some(authority);
        Ok(())
    }
}

/// The key with which the node asks to be let in. It is on the disk before anybody is asked: a token lets in one key, and a
/// node that ends before it has read the answer asks again.
pub(super) async fn waiting_key(folder: &Path, storage: &Storage) -> Result<LeafKey, SeatError> {
    match fs::read(folder.join(WAITING_KEY)) {
        Ok(pem) => Ok(LeafKey::from_pem(&pem)?),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let key = LeafKey::draw()?;
            write(storage, WAITING_KEY, key.pem()).await?;
            Ok(key)
        }
        Err(error) => Err(error.into()),
    }
}

/// The node has been let in, and the key stands beside its certificate.
pub(super) fn forget_waiting_key(folder: &Path) {
    // A file that stays is in nobody's way.
    let _ = fs::remove_file(folder.join(WAITING_KEY));
}

/// Where the members were when the node joined: until it has read the log, it knows nobody else.
pub(super) async fn keep_members(storage: &Storage, members: &[(NodeId, String)]) -> io::Result<()> {
    let lines: String = members.iter().map(|(node, address)| format!("{node} {address}\n")).collect();
    write(storage, MEMBERS, lines).await
}

/// What [`keep_members`] kept.
pub(super) fn members(folder: &Path) -> Vec<(NodeId, String)> {
    let text = fs::read_to_string(folder.join(MEMBERS)).unwrap_or_default();
    let member = |line: &str| {
        let (node, address) = line.split_once(' ')?;
        Some((NodeId(u64::from_str_radix(node, 16).ok()?), address.to_owned()))
    };
    text.lines().filter_map(member).collect()
}

async fn write(storage: &Storage, file: &str, text: String) -> io::Result<()> {
    storage.replace(file, text.into_bytes()).await.map_err(io::Error::other)?
}
