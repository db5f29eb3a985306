//! The route table: method, pattern, operation and whatever the table's owner wants to know of a route.
//!
//! A pattern is a path of segments. `{name}` stands for one segment, `{name+}` for two or more (a name
//! that holds slashes itself; at most one in a pattern). Of several patterns that fit, the one with
//! the most literal segments answers; among equals, the one whose wide parameter takes least. A slash
//! at the end makes no difference. HEAD is answered by the rows of GET. Built once at start; a row that can never answer
//! is an error then.

use std::borrow::Cow;
use std::collections::HashMap;

use ::http::{HeaderValue, Method};

use super::error::Error;

/// One row of the table.
#[derive(Debug)]
pub struct Route<H> {
    /// The method it answers.
    pub method: Method,
    /// The paths it answers.
    pub pattern: &'static str,
    /// What it does, in one word: for logs, metrics and the API description.
    pub operation: &'static str,
    /// What the owner of the table keeps with it.
    pub handler: H,
    /// The names of its parameters, in their order.
    names: Vec<&'static str>,
}

/// The rows, before they are a router.
#[derive(Debug)]
pub struct Table<H> {
    routes: Vec<Route<H>>,
}

/// The table, ready to answer.
#[derive(Debug)]
pub struct Router<H> {
    routes: Vec<Route<H>>,
    root: Node,
}

/// What there is at one place of the tree of patterns.
#[derive(Debug, Default)]
struct Node {
    literals: HashMap<&'static str, Self>,
    one: Option<Box<Self>>,
    more: Option<Box<Self>>,
    /// Rows that end here.
    ends: Vec<usize>,
}

/// What a request comes to.
#[derive(Debug)]
pub enum Match<'r, 'p, H> {
    /// This row answers it.
    Found(&'r Route<H>, Params<'p>),
    /// The path is there, but not for this method: 405 with this `Allow`.
    MethodNotAllowed(HeaderValue),
    /// There is no such path: 404.
    NotFound,
}

/// The values of a route's parameters.
#[derive(Clone, Debug, Default)]
pub struct Params<'p> {
    values: Vec<(&'static str, &'p str)>,
}

impl Params<'_> {
    /// All of them in their order, percent-decoded; `None` if a value is no text.
    pub fn decoded(&self) -> Option<Vec<(&'static str, String)>> {
        let values = self.values.iter();
        values
            .map(|(name, value)| Some((*name, decode(value)?.into_owned())))
            .collect()
    }

    /// The value of a parameter, percent-decoded; `None` if there is no such parameter or its value is no
    /// text.
    pub fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        let (_, value) = self.values.iter().find(|(known, _)| *known == name)?;
        decode(value)
    }
}

/// A segment of a pattern.
enum Segment {
    Literal(&'static str),
    One(&'static str),
    More(&'static str),
}

impl<H> Default for Table<H> {
    fn default() -> Self {
        Self { routes: Vec::new() }
    }
}

impl<H> Table<H> {
    /// A table without rows.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a row.
    pub fn route(
        &mut self,
        method: Method,
        pattern: &'static str,
        operation: &'static str,
        handler: H,
    ) -> &mut Self {
        self.routes.push(Route {
            method,
            pattern,
            operation,
            handler,
            names: Vec::new(),
        });
        self
    }

    /// Checks the rows and makes them a router.
    ///
    /// # Errors
    /// If a pattern is none, or two rows answer the same requests.
    pub fn build(mut self) -> Result<Router<H>, Error> {
        let mut root = Node::default();
        for index in 0..self.routes.len() {
            let segments = parse(self.routes[index].pattern)?;
            let node = root.descend(&segments);
            let route = &self.routes[index];
            let twin = node.ends.iter().map(|&end| &self.routes[end]);
            if let Some(first) = twin.into_iter().find(|other| other.method == route.method) {
                return Err(Error::RouteTwice {
                    method: route.method.clone(),
                    pattern: route.pattern,
                    first: first.operation,
                    second: route.operation,
                });
            }
            node.ends.push(index);
            self.routes[index].names = segments.iter().filter_map(Segment::name).collect();
        }
        Ok(Router {
            routes: self.routes,
            root,
        })
    }
}

impl<H> Router<H> {
    /// All rows, in the order they were added.
    pub fn routes(&self) -> &[Route<H>] {
        &self.routes
    }

    /// Finds the row for a request. `path` is taken as it was sent, without the query.
    pub fn find<'r, 'p>(&'r self, method: &Method, path: &'p str) -> Match<'r, 'p, H> {
        let Some(path) = path.strip_prefix('/') else {
            return Match::NotFound;
        };
        let path = match path.strip_suffix('/') {
            None | Some("") => path,
            Some(shorter) => shorter,
        };
        let mut search = Search {
            router: self,
            method: if method == Method::HEAD {
                &Method::GET
            } else {
                method
            },
            values: Vec::new(),
            best: None,
            others: Vec::new(),
        };
        search.visit(&self.root, Some(path), 0);
        match search.best {
            Some((_, index, values)) => {
                let route = &self.routes[index];
                let names = route.names.iter().copied();
                let values = names.zip(values).collect();
                Match::Found(route, Params { values })
            }
            None if search.others.is_empty() => Match::NotFound,
            None => Match::MethodNotAllowed(self.allow(search.others)),
        }
    }

    /// The `Allow` of a path that these rows have.
    fn allow(&self, rows: Vec<usize>) -> HeaderValue {
        let mut methods: Vec<&str> = rows
            .iter()
            .map(|&row| self.routes[row].method.as_str())
            .collect();
        if methods.contains(&"GET") {
            methods.push("HEAD");
        }
        methods.sort_unstable();
        methods.dedup();
        HeaderValue::try_from(methods.join(", ")).expect("methods make a header value")
    }
}

/// A walk through all patterns that fit a path.
struct Search<'r, 'p, H> {
    router: &'r Router<H>,
    method: &'r Method,
    /// Parameters on the way here.
    values: Vec<&'p str>,
    /// The best row so far, with its count of literals and its parameters.
    best: Option<(usize, usize, Vec<&'p str>)>,
    /// Rows that fit but for the method.
    others: Vec<usize>,
}

impl<'p, H> Search<'_, 'p, H> {
    /// Looks on below `node` for `path`; `None` is the end of the path.
    fn visit(&mut self, node: &Node, path: Option<&'p str>, literals: usize) {
        let Some(path) = path else {
            return self.arrive(node, literals);
        };
        let (segment, rest) = cut(path);
        if let Some(next) = node.literals.get(segment) {
            self.visit(next, rest, literals + 1);
        }
        if segment.is_empty() {
            return;
        }
        if let Some(next) = &node.one {
            self.values.push(segment);
            self.visit(next, rest, literals);
            self.values.pop();
        }
        if let Some(next) = &node.more {
            self.visit_more(next, path, literals);
        }
    }

    /// Tries every front of `path` that has two segments or more.
    fn visit_more(&mut self, next: &Node, path: &'p str, literals: usize) {
        if path.contains("//") || !path.contains('/') {
            return;
        }
        let slashes = path.match_indices('/').map(|(at, _)| at);
        for end in slashes.skip(1).chain([path.len()]) {
            self.values.push(&path[..end]);
            self.visit(next, path.get(end + 1..), literals);
            self.values.pop();
        }
    }

    fn arrive(&mut self, node: &Node, literals: usize) {
        for &index in &node.ends {
            if self.router.routes[index].method != *self.method {
                self.others.push(index);
            } else if self.best.as_ref().is_none_or(|(most, ..)| literals > *most) {
                self.best = Some((literals, index, self.values.clone()));
            }
        }
    }
}

impl Node {
    fn descend(&mut self, segments: &[Segment]) -> &mut Self {
        segments.iter().fold(self, |node, segment| match segment {
            Segment::Literal(text) => node.literals.entry(text).or_default(),
            Segment::One(_) => node.one.get_or_insert_default(),
            Segment::More(_) => node.more.get_or_insert_default(),
        })
    }
}

impl Segment {
    fn name(&self) -> Option<&'static str> {
        match self {
            Self::Literal(_) => None,
            Self::One(name) | Self::More(name) => Some(name),
        }
    }
}

fn parse(pattern: &'static str) -> Result<Vec<Segment>, Error> {
    let wrong = |reason| Error::Pattern { pattern, reason };
    let path = pattern.strip_prefix('/');
    let path = path.ok_or_else(|| wrong("begins with no slash"))?;
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut segments = Vec::new();
    for text in path.split('/') {
        let inner = text
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'));
        let segment = match inner {
            None if text.is_empty() && !path.is_empty() => {
                return Err(wrong("has an empty segment"));
            }
            None if text.contains(['{', '}']) => return Err(wrong("has a brace within a segment")),
            None => Segment::Literal(text),
            Some(name) => match name.strip_suffix('+') {
                Some(name) => Segment::More(name),
                None => Segment::One(name),
            },
        };
        let name = segment.name();
        if name == Some("")
            || segments
                .iter()
                .any(|s: &Segment| name.is_some() && s.name() == name)
        {
            return Err(wrong("has a parameter without a name of its own"));
        }
        segments.push(segment);
    }
    let wide = segments.iter().filter(|s| matches!(s, Segment::More(_)));
    if wide.count() > 1 {
        return Err(wrong("has two parameters of several segments"));
    }
    Ok(segments)
}

/// The first segment and what follows it.
fn cut(path: &str) -> (&str, Option<&str>) {
    match path.split_once('/') {
        Some((segment, rest)) => (segment, Some(rest)),
        None => (path, None),
    }
}

/// Percent-decodes; `None` if the outcome is no UTF-8 or a `%` begins nothing.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    let digit = |byte: Option<u8>| {
        char::from(byte?)
            .to_digit(16)
            .and_then(|d| u8::try_from(d).ok())
    };
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => digit(bytes.next())? << 4 | digit(bytes.next())?,
            byte => byte,
        });
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests;
