//! Patterns of tags and repository names, as Quay has them (Python's `fnmatch`): `*` any text, `?` one character,
//! `[abc]`, `[a-z]` and `[!a-z]` one of a set. Nothing is escaped, `/` is a character like any other, case counts.

/// A pattern, taken apart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Glob(Vec<Piece>);

#[derive(Clone, Debug, Eq, PartialEq)]
enum Piece {
    Any,
    One,
    Letter(char),
    Set {
        negated: bool,
        spans: Vec<(char, char)>,
    },
}

impl Glob {
    /// Every text is a pattern: a `[` without its `]` stands for itself.
    pub fn new(pattern: &str) -> Self {
        let letters: Vec<char> = pattern.chars().collect();
        let (mut pieces, mut at) = (Vec::new(), 0);
        while let Some(letter) = letters.get(at) {
            at += 1;
            match letter {
                // Several stars are one: matching goes back to the last one only.
                '*' if pieces.last() == Some(&Piece::Any) => {}
                '*' => pieces.push(Piece::Any),
                '?' => pieces.push(Piece::One),
                '[' => match set(&letters[at..]) {
                    Some((piece, length)) => {
                        pieces.push(piece);
                        at += length;
                    }
                    None => pieces.push(Piece::Letter('[')),
                },
                letter => pieces.push(Piece::Letter(*letter)),
            }
        }
        Self(pieces)
    }

    /// Whether the whole text matches; takes time in the length of the text by that of the pattern.
    pub fn matches(&self, text: &str) -> bool {
        let letters: Vec<char> = text.chars().collect();
        let (mut piece, mut at) = (0, 0);
        // Behind the last star: where the pattern goes on, and what the star has taken so far.
        let mut star: Option<(usize, usize)> = None;
        loop {
            let fits = match (self.0.get(piece), letters.get(at)) {
                (None, None) => return true,
                (Some(Piece::Any), _) => {
                    star = Some((piece + 1, at));
                    piece += 1;
                    continue;
                }
                (Some(wanted), Some(letter)) => wanted.fits(*letter),
                _ => false,
            };
            if fits {
                piece += 1;
                at += 1;
                continue;
            }
            match &mut star {
                Some((behind, taken)) if *taken < letters.len() => {
                    *taken += 1;
                    (piece, at) = (*behind, *taken);
                }
                _ => return false,
            }
        }
    }
}

impl Piece {
    fn fits(&self, letter: char) -> bool {
        match self {
            Self::Any | Self::One => true,
            Self::Letter(wanted) => *wanted == letter,
            Self::Set { negated, spans } => {
                let inside = spans
                    .iter()
                    .any(|(first, last)| (*first..=*last).contains(&letter));
                inside != *negated
            }
        }
    }
}

/// The set that begins behind a `[`, and its length with the `]`.
fn set(letters: &[char]) -> Option<(Piece, usize)> {
    let negated = letters.first() == Some(&'!');
    let begin = usize::from(negated);
    // A `]` right at the beginning is one of the set.
    let end = letters
        .iter()
        .skip(begin + 1)
        .position(|letter| *letter == ']')?
        + begin
        + 1;
    let (mut spans, mut at) = (Vec::new(), begin);
    while at < end {
        let first = letters[at];
        if at + 2 < end && letters[at + 1] == '-' {
            spans.push((first, letters[at + 2]));
            at += 3;
        } else {
            spans.push((first, first));
            at += 1;
        }
    }
    Some((Piece::Set { negated, spans }, end + 1))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What Python's `fnmatch.fnmatchcase` says.
    #[test]
    fn patterns_match_as_in_python() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "v1", true),
            ("v*", "v1.2", true),
            ("v*", "1.2", false),
            ("v?", "v1", true),
            ("v?", "v", false),
            ("v?", "v12", false),
            ("*-rc*", "v1-rc2", true),
            ("*-rc*", "v1", false),
            ("[0-9].[0-9]*", "3.11-slim", true),
            ("[0-9].[0-9]*", "x.11", false),
            ("[!v]*", "1.0", true),
            ("[!v]*", "v1.0", false),
            ("[]x]", "]", true),
            ("[a-]", "-", true),
            ("[", "[", true),
            ("[abc", "[abc", true),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbXbX", false),
            ("{a,b}", "{a,b}", true),
            ("{a,b}", "a", false),
            ("team/*", "team/a/b", true),
            ("V1", "v1", false),
            ("[z-a]", "m", false),
        ] {
            assert_eq!(
                Glob::new(pattern).matches(text),
                expected,
                "{pattern} {text}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_pattern_meets_any_text_without_a_panic(pattern: String, text: String) {
            let _ = Glob::new(&pattern).matches(&text);
        }

        #[test]
        fn a_text_without_special_letters_matches_itself_alone(
            text in "[a-z0-9._-]{0,20}",
            other in "[a-z0-9._-]{0,20}",
        ) {
            prop_assert!(Glob::new(&text).matches(&text));
            prop_assert_eq!(Glob::new(&text).matches(&other), text == other);
        }
    }

    /// Many stars do not take time in their number's power.
    #[test]
    fn stars_are_cheap() {
        let pattern = Glob::new(&"*a".repeat(100));
        assert!(!pattern.matches(&"a".repeat(99)));
        assert!(!pattern.matches(&"b".repeat(10_000)));
    }
}
