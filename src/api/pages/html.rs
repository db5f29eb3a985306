//! Writing HTML: whatever is put into a page is escaped, unless it is a page's own constant.

use std::fmt::{self, Write as _};

/// A page in the making.
#[derive(Default)]
pub(in crate::api) struct Html(String);

impl Html {
    /// Adds markup that is part of this program.
    pub(in crate::api) fn markup(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Adds a value as text; fit for attributes in double quotes too.
    pub(in crate::api) fn text(&mut self, value: impl fmt::Display) -> &mut Self {
        write!(Escaped(&mut self.0), "{value}").expect("writing to a String cannot fail");
        self
    }

    /// Adds a value between two pieces of markup.
    pub(in crate::api) fn within(
        &mut self,
        before: &'static str,
        value: impl fmt::Display,
        after: &'static str,
    ) -> &mut Self {
        self.markup(before).text(value).markup(after)
    }

    pub(in crate::api) fn finish(self) -> String {
        self.0
    }
}

struct Escaped<'a>(&'a mut String);

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                other => self.0.push(other),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_become_markup() {
        let mut html = Html::default();
        html.within("<p title=\"", "\"'<script>&", "\">");
        assert_eq!(
            html.finish(),
            "<p title=\"&quot;&#39;&lt;script&gt;&amp;\">"
        );
    }
}
