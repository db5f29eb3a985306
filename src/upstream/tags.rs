//! The tags of a repository, all pages.

use serde::Deserialize;

use super::exchange::Ask;
use super::metrics::Operation;
use super::page::{PAGE_BYTES, Pages};
use super::{Error, Upstream};
use crate::oci::{RepositoryName, Tag};

/// Most tags of a repository.
const MOST_TAGS: usize = 1_000_000;

/// What a page says; registries add fields of their own.
#[derive(Deserialize)]
struct TagsBody {
    tags: Option<Vec<String>>,
}

impl Upstream {
    /// Lists all tags, each once, in byte order. What is no tag by its grammar is left out.
    ///
    /// # Errors
    /// [`Error::NotFound`] if upstream has no such repository; any failure on any page fails the list:
    /// part of it would read as if the rest had been deleted.
    pub async fn list_tags(&self, name: &RepositoryName) -> Result<Vec<Tag>, Error> {
        let name = self.remote.remote_name(name)?;
        let work = self.all_tags(&name);
        self.remote.measured(Operation::Tags, work).await
    }

    async fn all_tags(&self, name: &RepositoryName) -> Result<Vec<Tag>, Error> {
        let url = self.remote.url(&format!("{name}/tags/list"));
        let mut pages = Pages::starting_at(&url);
        let mut ask = Ask::get(Operation::Tags, url, Some(name));
        ask.accept = "application/json";
        let mut tags = Vec::new();
        loop {
            let answer = self.remote.ask(&ask).await?;
            let document = answer.document("a page of tags", PAGE_BYTES).await?;
            let body: TagsBody = serde_json::from_slice(&document.bytes)
                .map_err(|error| Error::Unexpected(format!("a list of tags: {error}")))?;
            let found = body.tags.unwrap_or_default();
            tags.extend(found.iter().filter_map(|tag| tag.parse::<Tag>().ok()));
            if tags.len() > MOST_TAGS {
                return Err(Error::TooLarge {
                    what: "a list of tags",
                    limit_bytes: MOST_TAGS,
                });
            }
            match pages.behind(&document)? {
                Some(next) => ask.url = next,
                None => break,
            }
        }
        tags.sort_unstable();
        tags.dedup();
        Ok(tags)
    }
}
