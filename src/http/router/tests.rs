//! What the route table answers.

use proptest::prelude::*;

use super::*;

fn router(rows: &[(&'static str, &'static str)]) -> Router<()> {
    let mut table = Table::new();
    for (method, pattern) in rows {
        table.route(method.parse().unwrap(), pattern, pattern, ());
    }
    table.build().unwrap()
}

/// The pattern that answers, and its parameters as `name=value`; or `405 <allow>`, or `404`.
fn found(router: &Router<()>, method: &str, path: &str) -> String {
    match router.find(&method.parse().unwrap(), path) {
        Match::Found(route, params) => {
            let values = route.names.iter().map(|name| {
                let value = params.get(name);
                format!(" {name}={}", value.as_deref().unwrap_or("?"))
            });
            route.operation.to_owned() + &values.collect::<String>()
        }
        Match::MethodNotAllowed(allow) => format!("405 {}", allow.to_str().unwrap()),
        Match::NotFound => "404".into(),
    }
}

#[test]
fn the_most_literal_pattern_answers() {
    let router = router(&[
        ("GET", "/a/{x}"),
        ("GET", "/a/b"),
        ("GET", "/a/{x}/c"),
        ("GET", "/{y}/b/c"),
        ("GET", "/"),
    ]);
    for (path, expected) in [
        ("/a/b", "/a/b"),
        ("/a/b/", "/a/b"),
        ("/a/d", "/a/{x} x=d"),
        ("/a/d/c/", "/a/{x}/c x=d"),
        ("/a/b/c", "/a/{x}/c x=b"),
        ("/e/b/c", "/{y}/b/c y=e"),
        ("/", "/"),
    ] {
        assert_eq!(found(&router, "GET", path), expected, "{path}");
    }
    for absent in [
        "/a", "/a/b/d", "/a//c", "//", "/a/b//", "", "*", "a/b", "/A/b",
    ] {
        assert_eq!(found(&router, "GET", absent), "404", "{absent}");
    }
}

/// Names with slashes are cut from the right, so that `build`, `trigger` and `tag` are names as any other.
#[test]
fn a_wide_parameter_takes_what_others_leave() {
    let router = router(&[
        ("GET", "/r/{repo+}"),
        ("GET", "/r/{repo+}/tag/"),
        ("GET", "/r/{repo+}/tag/{tag}"),
        ("POST", "/r/{repo+}/tag/{tag}/restore"),
    ]);
    for (path, expected) in [
        ("/r/a/b", "/r/{repo+} repo=a/b"),
        ("/r/a/b/c/d", "/r/{repo+} repo=a/b/c/d"),
        ("/r/a/tag", "/r/{repo+} repo=a/tag"),
        ("/r/a/b/tag/tag", "/r/{repo+}/tag/{tag} repo=a/b tag=tag"),
        ("/r/a/b/tag", "/r/{repo+}/tag/ repo=a/b"),
        ("/r/a/tag/tag/", "/r/{repo+}/tag/ repo=a/tag"),
        ("/r/a/tag/tag/v1", "/r/{repo+}/tag/{tag} repo=a/tag tag=v1"),
        (
            "/r/a/b/tag/tag/tag/tag",
            "/r/{repo+}/tag/{tag} repo=a/b/tag/tag tag=tag",
        ),
    ] {
        assert_eq!(found(&router, "GET", path), expected, "{path}");
    }
    assert_eq!(found(&router, "GET", "/r/a"), "404");
    assert_eq!(found(&router, "GET", "/r/a//b"), "404");
    let restored = found(&router, "POST", "/r/a/b/tag/v1/restore");
    assert_eq!(restored, "/r/{repo+}/tag/{tag}/restore repo=a/b tag=v1");
}

#[test]
fn another_method_is_405_and_head_is_get() {
    let router = router(&[
        ("GET", "/a/{x}"),
        ("PUT", "/a/b"),
        ("DELETE", "/a/b"),
        ("PUT", "/c"),
    ]);
    assert_eq!(found(&router, "HEAD", "/a/b"), "/a/{x} x=b");
    assert_eq!(found(&router, "GET", "/a/b"), "/a/{x} x=b");
    assert_eq!(found(&router, "POST", "/a/b"), "405 DELETE, GET, HEAD, PUT");
    assert_eq!(found(&router, "HEAD", "/c"), "405 PUT");
}

#[test]
fn parameters_are_decoded_after_the_cut() {
    let router = router(&[("GET", "/a/{x}")]);
    assert_eq!(found(&router, "GET", "/a/b%2Fc%20%C3%A9"), "/a/{x} x=b/c é");
    for no_text in ["/a/%ff", "/a/%", "/a/%2", "/a/%zz", "/a/%+1"] {
        assert_eq!(found(&router, "GET", no_text), "/a/{x} x=?", "{no_text}");
    }
}

#[test]
fn a_table_that_contradicts_itself_is_refused() {
    let build = |rows: &[&'static str]| {
        let mut table = Table::new();
        for row in rows {
            table.route(Method::GET, row, row, ());
        }
        table.build().map(|_| ()).map_err(|error| error.to_string())
    };
    for twice in [["/a/{x}", "/a/{y}/"], ["/{a+}/b", "/{c+}/b"]] {
        let error = build(&twice).unwrap_err();
        let expected = format!(
            "route GET {} is there twice: {} and {}",
            twice[1], twice[0], twice[1]
        );
        assert_eq!(error, expected);
    }
    for wrong in [
        "a",
        "/a//b",
        "/a{b}",
        "/{}",
        "/{+}",
        "/{a}/{a}",
        "/{a+}/{b+}",
        "/{a",
    ] {
        assert!(build(&[wrong]).is_err(), "{wrong}");
    }
    assert_eq!(build(&["/", "/a", "/{a}/{b}", "/{a+}/{b}"]), Ok(()));
}

/// A hostile path costs time in proportion to its length, not to its splits.
#[test]
fn a_long_path_is_looked_up_in_reasonable_steps() {
    let router = router(&[("GET", "/{a+}/x/{b}/y"), ("GET", "/{a}/{b+}/z")]);
    assert_eq!(found(&router, "GET", &"/a".repeat(4000)), "404");
}

proptest! {
    /// What a pattern is filled with comes back.
    #[test]
    fn filled_patterns_are_found(x in "[a-z]{1,4}", parts in prop::collection::vec("[a-z]{1,4}", 2..5)) {
        let router = router(&[("GET", "/api/{x}/of/{path+}/end")]);
        let path = parts.join("/");
        let expected = format!("/api/{{x}}/of/{{path+}}/end x={x} path={path}");
        prop_assert_eq!(found(&router, "GET", &format!("/api/{x}/of/{path}/end")), expected);
    }
}
