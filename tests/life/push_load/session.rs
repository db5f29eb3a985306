//! Uploads that a client begins, leaves, and goes on with, whatever became of the server (CR-06).

use bytes::Bytes;
use entrepot::oci::Digest;
use reqwest::Method;

use super::{At, Client};
use crate::harness::content;
use crate::harness::ledger::Change;
use crate::harness::pusher::Cut;

/// An upload that is left and gone on with.
pub(super) struct Session {
    location: String,
    blob: Bytes,
    acknowledged: usize,
    /// What has been sent; more than that cannot have come.
    sent: usize,
    /// The last request was to end it, or failed.
    may_be_gone: bool,
}

impl Client {
    pub(in crate::life) const fn is_uploading(&self) -> bool {
        self.session.is_some()
    }

    /// Whether an upload waits of which some bytes have come.
    pub(in crate::life) fn is_in_the_middle(&self) -> bool {
        let session = self.session.as_ref();
        session.is_some_and(|session| session.acknowledged > 0)
    }

    /// Begins an upload, sends its next piece, or ends it; CR-06: what was acknowledged is there.
    pub(in crate::life) async fn go_on_uploading(&mut self, at: &At) -> Result<(), Cut> {
        let Some(mut session) = self.session.take() else {
            return self.begin_upload(at).await;
        };
        let outcome = self.step(at, &mut session).await;
        // Kept also where the request was cut: the next process is asked for it.
        if !matches!(outcome, Ok(true)) {
            self.session = Some(session);
        }
        outcome.map(drop)
    }

    async fn begin_upload(&mut self, at: &At) -> Result<(), Cut> {
        self.images += 1;
        let seed = self.number * 1_000_000 + self.images;
        let blob = content::bytes(seed, self.chance.of(1_000..200_000));
        let begin = at
            .pusher
            .request(Method::POST, &self.path("blobs", "uploads/"));
        let reply = at.hear(at.pusher.send(begin)).await?;
        assert_eq!(reply.status, 202, "{reply:?}");
        self.session = Some(Session {
            location: reply.location(),
            blob,
            acknowledged: 0,
            sent: 0,
            may_be_gone: false,
        });
        Ok(())
    }

    /// One step of a session; tells whether that was the last.
    async fn step(&mut self, at: &At, session: &mut Session) -> Result<bool, Cut> {
        let status = at.hear(at.pusher.get(&session.location)).await?;
        if session.may_be_gone && status.status == 404 {
            return Ok(true);
        }
        assert_eq!(status.status, 204, "{status:?}");
        let offset = usize::try_from(status.offset()).unwrap();
        if session.may_be_gone && offset == 0 {
            // Its bytes are a blob, or would have been.
            return Ok(true);
        }
        let possible = session.acknowledged..=session.sent;
        assert!(possible.contains(&offset), "{offset} of {possible:?}");
        (session.acknowledged, session.sent) = (offset, offset);
        let left = session.blob.len() - offset;
        if left > 2 && self.chance.of(0..3) > 0 {
            let piece = self.chance.of(2..left);
            session.sent += piece;
            // An upload whose disk failed is given up as a whole.
            session.may_be_gone = at.may_fail;
            let piece = session.blob.slice(offset..offset + piece);
            let reply = at.hear(at.pusher.append(&session.location, piece)).await?;
            assert_eq!(reply.status, 202, "{reply:?}");
            session.acknowledged = session.sent;
            session.may_be_gone = false;
            return Ok(false);
        }
        session.may_be_gone = true;
        session.sent = session.blob.len();
        let (digest, rest) = (Digest::of(&session.blob), session.blob.slice(offset..));
        let finish = at.pusher.finish(&session.location, &digest, rest);
        let change = Change::PushBlob(session.blob.clone());
        let reply = self.change(at, change, finish).await?;
        assert_eq!(reply.status, 201, "{reply:?}");
        self.strays.push(session.blob.clone());
        Ok(true)
    }
}
