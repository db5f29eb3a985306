//! Inboxes: what users and organisations are told, and what everyone is.
//!
//! Called by whatever has something to tell, in the transaction of the fact. Invariants: a notice has
//! its rows in every table that leads to it, or in none; an inbox holds a bounded number of notices, the
//! oldest of which give way.

use super::keys::{self, Span};
use super::tables::Table;
use super::{Error, Reads, WriteTx, repositories};
use crate::model::{MessageRecord, NamespaceId, NoticeRecord};

/// About the most notices that one inbox holds.
const MOST: usize = 1000;

/// An inbox is cut once in so many notices.
const CUT_EVERY: u64 = 32;

/// Where a notice lies; of two, the later has the greater number, also in different inboxes.
pub type NoticePlace = (NamespaceId, u64);

/// Inboxes as a transaction sees them.
pub struct Notices<S>(pub(super) S);

/// Messages to everyone as a transaction sees them.
pub struct Messages<S>(pub(super) S);

impl<S: Reads> Notices<S> {
    /// Up to `limit` notices of an inbox that are not dismissed, the newest first.
    pub fn open(
        &self,
        target: NamespaceId,
        limit: usize,
    ) -> Result<Vec<(NoticePlace, NoticeRecord)>, Error> {
        let span = Span::under(keys::namespace(target));
        let (table, read) = (Table::OpenNotices, keys::read_notice);
        let places = self.0.tx().keys(table, &span, limit, read)?;
        let mut notices = Vec::with_capacity(places.len());
        for place in places {
            let record = self.at(place)?;
            notices.extend(record.map(|record| (place, record)));
        }
        Ok(notices)
    }

    /// The notice of that uuid, if there is one, in whatever inbox.
    pub fn by_uuid(&self, uuid: &str) -> Result<Option<(NoticePlace, NoticeRecord)>, Error> {
        let place = self
            .0
            .tx()
            .row(Table::NoticeUuids, &keys::name(uuid), |key| {
                keys::read_notice(key).ok_or_else(|| Table::NoticeUuids.damaged_key())
            })?;
        let Some(place) = place else { return Ok(None) };
        Ok(self.at(place)?.map(|record| (place, record)))
    }

    /// Whether a notice about this lies in the inbox, dismissed or not.
    pub fn has_about(&self, target: NamespaceId, about: &str) -> Result<bool, Error> {
        let prefix = [keys::notices_about(about), keys::namespace(target)].concat();
        self.0
            .tx()
            .has_any(Table::NoticesAbout, &Span::under(prefix))
    }

    fn at(&self, (target, sequence): NoticePlace) -> Result<Option<NoticeRecord>, Error> {
        let key = keys::notice(target, sequence);
        self.0.tx().record(Table::Notices, &key)
    }
}

impl Notices<&mut WriteTx<'_>> {
    /// Puts a notice into the inbox of its target.
    pub fn put(&mut self, record: &NoticeRecord) -> Result<(), Error> {
        let sequence = repositories::next_id(self.0, "last_notice")?;
        self.write((record.target, sequence), record);
        let key = keys::notice(record.target, sequence);
        self.0
            .put(Table::NoticeUuids, keys::name(&record.uuid), key);
        if let Some(about) = &record.about {
            let key = keys::notice_about(about, record.target, sequence);
            self.0.mark(Table::NoticesAbout, key);
        }
        match sequence % CUT_EVERY {
            0 => self.cut(record.target),
            _ => Ok(()),
        }
    }

    /// Says whether a notice is dismissed; nothing happens if it is gone.
    pub fn dismiss(&mut self, place: NoticePlace, dismissed: bool) -> Result<(), Error> {
        if let Some(mut record) = self.at(place)? {
            record.dismissed = dismissed;
            self.write(place, &record);
        }
        Ok(())
    }

    /// Takes back every notice about something, from whatever inbox.
    pub fn remove_about(&mut self, about: &str) -> Result<(), Error> {
        self.remove_under(keys::notices_about(about))
    }

    /// Takes back the notices about something from one inbox.
    pub fn remove_about_of(&mut self, target: NamespaceId, about: &str) -> Result<(), Error> {
        self.remove_under([keys::notices_about(about), keys::namespace(target)].concat())
    }

    /// Empties the inbox of a namespace that is going, up to `limit` notices, and returns how many went.
    pub fn clear(&mut self, target: NamespaceId, limit: usize) -> Result<usize, Error> {
        let span = Span::under(keys::namespace(target));
        let places = self
            .0
            .keys(Table::Notices, &span, limit, keys::read_notice)?;
        let removed = places.len();
        places
            .into_iter()
            .try_for_each(|place| self.remove(place))?;
        Ok(removed)
    }

    fn remove_under(&mut self, about: keys::Key) -> Result<(), Error> {
        let (table, read) = (Table::NoticesAbout, keys::read_notice_about);
        let places = self.0.keys(table, &Span::under(about), usize::MAX, read)?;
        places.into_iter().try_for_each(|place| self.remove(place))
    }

    fn cut(&mut self, target: NamespaceId) -> Result<(), Error> {
        let span = Span::under(keys::namespace(target));
        let most = MOST + CUT_EVERY as usize;
        let places = self
            .0
            .keys(Table::Notices, &span, most, keys::read_notice)?;
        let over = places.into_iter().skip(MOST);
        over.into_iter().try_for_each(|place| self.remove(place))
    }

    fn write(&mut self, (target, sequence): NoticePlace, record: &NoticeRecord) {
        let key = keys::notice(target, sequence);
        match record.dismissed {
            true => self.0.remove(Table::OpenNotices, key.clone()),
            false => self.0.mark(Table::OpenNotices, key.clone()),
        }
        self.0.put_record(Table::Notices, key, record);
    }

    fn remove(&mut self, place: NoticePlace) -> Result<(), Error> {
        let Some(record) = self.at(place)? else {
            return Ok(());
        };
        let (target, sequence) = place;
        let key = keys::notice(target, sequence);
        self.0.remove(Table::Notices, key.clone());
        self.0.remove(Table::OpenNotices, key);
        self.0.remove(Table::NoticeUuids, keys::name(&record.uuid));
        if let Some(about) = &record.about {
            let key = keys::notice_about(about, target, sequence);
            self.0.remove(Table::NoticesAbout, key);
        }
        Ok(())
    }
}

impl<S: Reads> Messages<S> {
    /// Up to `limit` messages to everyone, in the order in which they were made.
    pub fn list(&self, limit: usize) -> Result<Vec<(u64, MessageRecord)>, Error> {
        let (table, read) = (Table::Messages, keys::read_number);
        self.0.tx().records(table, &Span::ALL, limit, read)
    }
}

impl Messages<&mut WriteTx<'_>> {
    /// Puts a message where everyone sees it.
    pub fn put(&mut self, record: &MessageRecord) -> Result<(), Error> {
        let sequence = repositories::next_id(self.0, "last_message")?;
        self.0
            .put_record(Table::Messages, keys::message(sequence), record);
        Ok(())
    }

    /// Removes a message; nothing happens if there is none.
    pub fn remove(&mut self, sequence: u64) -> Result<(), Error> {
        self.0.remove(Table::Messages, keys::message(sequence));
        Ok(())
    }
}
