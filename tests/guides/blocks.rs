//! What stands between the fences of a page, and what the comment above says of it.

/// A block of a page.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) page: String,
    /// Where it begins, counted from 1.
    pub(super) line: usize,
    pub(super) language: String,
    comment: Option<String>,
    pub(super) lines: Vec<String>,
}

/// How it is known that a block of commands works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Run,
    Server,
    Serves,
    Ci,
    /// Not of commands: what stands in a file of that name from there on.
    File(String),
    Test(String),
    Needs(String),
}

impl Mark {
    fn parse(comment: &str) -> Option<Self> {
        let tail = |word: &str| comment.strip_prefix(word).map(str::to_owned);
        match comment {
            "run" => Some(Self::Run),
            "run: server" => Some(Self::Server),
            "run: serves" => Some(Self::Serves),
            "run: CI" => Some(Self::Ci),
            _ => tail("file: ")
                .map(Self::File)
                .or_else(|| tail("test: ").map(Self::Test))
                .or_else(|| tail("needs: ").map(Self::Needs)),
        }
    }

    /// Whether the block belongs to the page's story.
    pub(super) fn is_run(&self) -> bool {
        matches!(
            self,
            Self::Run | Self::Server | Self::Serves | Self::File(_)
        )
    }
}

impl Block {
    /// `page:line`, for messages.
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.page, self.line)
    }

    pub(super) fn has_commands(&self) -> bool {
        ["console", "sh"].contains(&self.language.as_str())
    }

    /// Whether it is a file of the page's story.
    pub(super) fn is_file(&self) -> bool {
        let comment = self.comment.as_deref().unwrap_or_default();
        matches!(Mark::parse(comment), Some(Mark::File(_)))
    }

    /// What is said of it.
    pub(super) fn mark(&self) -> Mark {
        let comment = self.comment.as_deref().unwrap_or_default();
        let mark = Mark::parse(comment);
        mark.unwrap_or_else(|| panic!("{}: not known to work: {comment:?}", self.place()))
    }

    /// Its lines that are typed, without the prompt, and those that are shown as the answer. Without a
    /// prompt anywhere all of them are typed.
    fn parts(&self) -> (Vec<&str>, Vec<&str>) {
        if !self.lines.iter().any(|line| prompt(line).is_some()) {
            return (self.lines.iter().map(String::as_str).collect(), Vec::new());
        }
        let (mut typed, mut shown) = (Vec::new(), Vec::new());
        let mut goes_on = false;
        for line in &self.lines {
            let words = prompt(line).or_else(|| goes_on.then_some(line.as_str()));
            match words {
                Some(words) => typed.push(words),
                None => shown.push(line.as_str()),
            }
            goes_on = words.is_some_and(|words| words.ends_with('\\'));
        }
        (typed, shown)
    }

    pub(super) fn typed(&self) -> Vec<&str> {
        self.parts().0
    }

    pub(super) fn shown(&self) -> Vec<&str> {
        self.parts().1
    }
}

/// What is typed behind a prompt.
fn prompt(line: &str) -> Option<&str> {
    line.strip_prefix("$ ").or_else(|| line.strip_prefix("# "))
}

/// The blocks of a page.
pub(super) fn blocks(page: &str, text: &str) -> Vec<Block> {
    let mut found = Vec::new();
    let mut open: Option<(Block, String)> = None;
    let mut before = "";
    for (number, line) in text.lines().enumerate() {
        let words = line.trim_start();
        match (open.take(), words.strip_prefix("```")) {
            (None, Some(language)) => {
                let comment = before
                    .strip_prefix("<!-- ")
                    .and_then(|text| text.strip_suffix(" -->"));
                let block = Block {
                    page: page.to_owned(),
                    line: number + 1,
                    language: language.to_owned(),
                    comment: comment.map(str::to_owned),
                    lines: Vec::new(),
                };
                let indent = line[..line.len() - words.len()].to_owned();
                open = Some((block, indent));
            }
            (Some((block, _)), Some("")) => found.push(block),
            (Some((mut block, indent)), _) => {
                let line = line.strip_prefix(indent.as_str()).unwrap_or(line);
                block.lines.push(line.to_owned());
                open = Some((block, indent));
            }
            (None, None) => {}
        }
        before = words;
    }
    assert!(open.is_none(), "{page}: a block without an end");
    found
}

#[test]
fn a_block_has_a_comment_commands_and_answers() {
    let text = "<!-- run: server -->\n```console\n$ a \\\n  b\nsaid\n$ c\n```\n- x\n\n  \
                <!-- needs: root -->\n  ```sh\n  d\n  ```\n```yaml\nK: v\n```\n";
    let found = blocks("page", text);
    let marks: Vec<Mark> = found[..2].iter().map(Block::mark).collect();
    assert_eq!(marks, [Mark::Server, Mark::Needs("root".to_owned())]);
    assert_eq!(found[0].typed(), ["a \\", "  b", "c"]);
    assert_eq!(found[0].shown(), ["said"]);
    assert_eq!((found[1].typed(), found[1].line), (vec!["d"], 11));
    assert!(!found[2].has_commands());
}
