//! The rows of the route table: a door, what guards it, and what is told of it.
//!
//! A resource file adds its rows with [`Rows::get`] and its like, and says the rest by chaining. Guards,
//! the API description, the tests that try every door, and the labels of metrics are made from the rows
//! and from nothing else.

use std::future::Future;
use std::pin::Pin;

use ::http::Method;
use utoipa::ToSchema;

use super::context::Context;
use super::error::ApiError;
use super::schema::Schema;
use crate::auth::Need;
use crate::config::Features;
use crate::http::Response;

/// What a door comes to.
pub(in crate::api) type Answer = Result<Response, ApiError>;

type Opened = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// A door.
pub(in crate::api) type Door = Box<dyn Fn(Context) -> Opened + Send + Sync>;

/// One row.
pub(in crate::api) struct Row {
    pub(in crate::api) method: Method,
    /// The path as Quay registers it; `{repository+}` holds slashes.
    pub(in crate::api) pattern: &'static str,
    /// Quay's operation id.
    pub(in crate::api) operation: &'static str,
    /// The heading it stands under in the API description: Quay's tag.
    pub(in crate::api) group: &'static str,
    pub(in crate::api) need: Need,
    pub(in crate::api) door: Door,
    /// A line of what it does.
    pub(in crate::api) summary: &'static str,
    /// The password must have been shown a moment ago.
    pub(in crate::api) is_fresh: bool,
    /// Left out of the description unless it is asked for.
    pub(in crate::api) is_internal: bool,
    /// Takes a name and a password, as few doors do.
    pub(in crate::api) takes_basic: bool,
    /// A change that needs no CSRF token.
    pub(in crate::api) is_csrf_exempt: bool,
    /// Without these the door is not there.
    pub(in crate::api) switches: Vec<Switch>,
    pub(in crate::api) query: Vec<Parameter>,
    pub(in crate::api) body: Option<Schema>,
    pub(in crate::api) answers: Vec<Told>,
}

/// A feature that a door belongs to.
pub(in crate::api) type Switch = fn(&Features) -> bool;

/// A parameter of the query, as it is told.
#[derive(Clone, Copy, Debug)]
pub(in crate::api) struct Parameter {
    pub(in crate::api) name: &'static str,
    pub(in crate::api) kind: ParameterKind,
    pub(in crate::api) meaning: &'static str,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::api) enum ParameterKind {
    Text,
    Number,
    Flag,
}

/// An answer, as it is told.
#[derive(Clone, Debug)]
pub(in crate::api) struct Told {
    pub(in crate::api) status: u16,
    pub(in crate::api) meaning: &'static str,
    pub(in crate::api) schema: Option<Schema>,
}

/// All rows, while they are gathered.
#[derive(Default)]
pub(in crate::api) struct Rows {
    pub(super) rows: Vec<Row>,
}

impl Rows {
    /// Adds a row that reads; HEAD is answered by it too.
    pub(in crate::api) fn get<F, A>(
        &mut self,
        pattern: &'static str,
        operation: &'static str,
        group: &'static str,
        need: Need,
        door: F,
    ) -> &mut Row
    where
        F: Fn(Context) -> A + Send + Sync + 'static,
        A: Future<Output = Answer> + Send + 'static,
    {
        self.row(Method::GET, pattern, operation, group, need, door)
    }

    /// Adds a row that makes something, or has something done.
    pub(in crate::api) fn post<F, A>(
        &mut self,
        pattern: &'static str,
        operation: &'static str,
        group: &'static str,
        need: Need,
        door: F,
    ) -> &mut Row
    where
        F: Fn(Context) -> A + Send + Sync + 'static,
        A: Future<Output = Answer> + Send + 'static,
    {
        self.row(Method::POST, pattern, operation, group, need, door)
    }

    /// Adds a row that changes something, or makes it under a given name.
    pub(in crate::api) fn put<F, A>(
        &mut self,
        pattern: &'static str,
        operation: &'static str,
        group: &'static str,
        need: Need,
        door: F,
    ) -> &mut Row
    where
        F: Fn(Context) -> A + Send + Sync + 'static,
        A: Future<Output = Answer> + Send + 'static,
    {
        self.row(Method::PUT, pattern, operation, group, need, door)
    }

    /// Adds a row that removes something.
    pub(in crate::api) fn delete<F, A>(
        &mut self,
        pattern: &'static str,
        operation: &'static str,
        group: &'static str,
        need: Need,
        door: F,
    ) -> &mut Row
    where
        F: Fn(Context) -> A + Send + Sync + 'static,
        A: Future<Output = Answer> + Send + 'static,
    {
        self.row(Method::DELETE, pattern, operation, group, need, door)
    }

    fn row<F, A>(
        &mut self,
        method: Method,
        pattern: &'static str,
        operation: &'static str,
        group: &'static str,
        need: Need,
        door: F,
    ) -> &mut Row
    where
        F: Fn(Context) -> A + Send + Sync + 'static,
        A: Future<Output = Answer> + Send + 'static,
    {
        let door: Door = Box::new(move |context| Box::pin(door(context)));
        let row = Row {
            method,
            pattern,
            operation,
            group,
            need,
            door,
            summary: "",
            is_fresh: false,
            is_internal: false,
            takes_basic: false,
            is_csrf_exempt: false,
            switches: Vec::new(),
            query: Vec::new(),
            body: None,
            answers: Vec::new(),
        };
        let at = self.rows.len();
        self.rows.push(row);
        &mut self.rows[at]
    }
}

impl Row {
    /// What it does, in one line.
    pub(in crate::api) const fn summary(&mut self, summary: &'static str) -> &mut Self {
        self.summary = summary;
        self
    }

    /// Demands that the password was shown a moment ago.
    pub(in crate::api) const fn fresh(&mut self) -> &mut Self {
        self.is_fresh = true;
        self
    }

    /// Leaves it out of the description unless it is asked for.
    pub(in crate::api) const fn internal(&mut self) -> &mut Self {
        self.is_internal = true;
        self
    }

    /// Takes a name and a password with the request.
    pub(in crate::api) const fn basic(&mut self) -> &mut Self {
        self.takes_basic = true;
        self
    }

    /// Needs no CSRF token: what it takes cannot be sent by a page of another site.
    pub(in crate::api) const fn csrf_exempt(&mut self) -> &mut Self {
        self.is_csrf_exempt = true;
        self
    }

    /// Is not there while the feature is off.
    pub(in crate::api) fn switch(&mut self, switch: Switch) -> &mut Self {
        self.switches.push(switch);
        self
    }

    /// Tells a parameter of the query.
    pub(in crate::api) fn query(
        &mut self,
        name: &'static str,
        kind: ParameterKind,
        meaning: &'static str,
    ) -> &mut Self {
        self.query.push(Parameter {
            name,
            kind,
            meaning,
        });
        self
    }

    /// Tells the form of the body.
    pub(in crate::api) fn body<T: ToSchema>(&mut self) -> &mut Self {
        self.body = Some(Schema::of::<T>());
        self
    }

    /// Tells an answer with a body.
    pub(in crate::api) fn answer<T: ToSchema>(
        &mut self,
        status: u16,
        meaning: &'static str,
    ) -> &mut Self {
        self.answers.push(Told {
            status,
            meaning,
            schema: Some(Schema::of::<T>()),
        });
        self
    }

    /// Tells an answer of which nothing more is to be told.
    pub(in crate::api) fn status(&mut self, status: u16, meaning: &'static str) -> &mut Self {
        self.answers.push(Told {
            status,
            meaning,
            schema: None,
        });
        self
    }

    /// The names of the path's parameters, in their order.
    pub(in crate::api) fn path_parameters(&self) -> impl Iterator<Item = &'static str> {
        self.pattern.split('/').filter_map(|segment| {
            let name = segment.strip_prefix('{')?.strip_suffix('}')?;
            Some(name.strip_suffix('+').unwrap_or(name))
        })
    }
}
