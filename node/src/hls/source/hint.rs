//! Parts that are asked for before they are there, over a connection of their own (RFC 8216bis section 4.4.5.3).

use std::pin::{Pin, pin};
use std::rc::Rc;

use bytes::Bytes;
use url::Url;
use weft_proto::hls::Resource;

use super::http::{Client, Session};
use crate::limits::HLS_PART_BYTES_MAX;
use crate::source::{Pull, SourceEnd};

/// The last part that was asked for like that.
pub(super) struct Hints {
    session: Rc<Session>,
    /// None while it is busy with what nobody waits for any more.
    client: Option<Client>,
    found: Option<(Resource, Bytes)>,
}

/// A part that is being waited for.
pub(super) struct Asked<'a> {
    answer: Option<Pin<Box<Answer<'a>>>>,
    hints: &'a mut Hints,
    resource: Resource,
}

type Answer<'a> = dyn Future<Output = (Client, Result<(Bytes, Url), SourceEnd>)> + 'a;

impl Hints {
    /// For a source with this session.
    pub(super) const fn new(session: Rc<Session>) -> Self {
        Self { session, client: None, found: None }
    }

    /// Asks for what a hint says.
    pub(super) fn ask<'a>(&'a mut self, pull: &'a Pull, url: Url, hint: &Resource) -> Asked<'a> {
        self.found = None;
        let mut client = self.client.take().unwrap_or_else(|| Client::new(self.session.clone()));
        let range = hint.range;
        let answer = Box::pin(async move {
            let answer = client.small(pull, "a part", &url, range, HLS_PART_BYTES_MAX).await;
            (client, answer)
        });
        Asked { answer: Some(answer), hints: self, resource: hint.clone() }
    }

    /// What was found, if it is this.
    pub(super) fn take(&mut self, resource: &Resource) -> Option<Bytes> {
        self.found.take().filter(|(found, _)| found == resource).map(|(_, bytes)| bytes)
    }
}

impl Asked<'_> {
    /// Does something else meanwhile.
    pub(super) async fn beside<T>(&mut self, other: impl Future<Output = T>) -> T {
        let mut other = pin!(other);
        tokio::select! {
            biased;
            done = &mut other => return done,
            () = self.finish() => {}
        }
        other.await
    }

    /// Waits for it. What cannot be had is asked for again when the playlist lists it.
    pub(super) async fn finish(&mut self) {
        let Some(answer) = &mut self.answer else { return };
        let (client, found) = answer.await;
        self.answer = None;
        self.hints.client = Some(client);
        self.hints.found = found.ok().map(|(bytes, _)| (self.resource.clone(), bytes));
    }
}
