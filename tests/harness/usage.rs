//! The usage log as it lies in the store, for tests of what a door wrote.

use entrepot::model::{LogFilter, LogKind, Timestamp};
use entrepot::store::{self, ReadTx};
use serde_json::Value;

use super::site::Site;

impl Site {
    /// The newest lines, their kinds with what they tell.
    pub(crate) async fn newest_lines(&self, count: usize) -> Vec<(LogKind, Value)> {
        let filter = LogFilter {
            scope: None,
            performer: None,
            since: Timestamp::from_millis(0),
            until: Timestamp::from_millis(i64::MAX),
        };
        let list = move |tx: &ReadTx| tx.logs().list(&filter, None, count);
        let lines: Result<_, store::Error> = self.registry().store().scan(list).await;
        let lines = lines.unwrap().into_iter();
        lines
            .map(|(_, line)| (line.kind, Value::Object(line.metadata())))
            .collect()
    }

    pub(crate) async fn last_line(&self) -> (LogKind, Value) {
        self.newest_lines(1).await.remove(0)
    }
}
