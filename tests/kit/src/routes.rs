//! The routes of a router.

use std::collections::BTreeSet;

use axum::Router;

use crate::client::send;

/// The routes of a router: method and path, parameters as axum writes them.
///
/// axum lists routes nowhere but in its debug output, which has the paths; a method that no route has brings the others,
/// in the `allow` header.
pub async fn routes_of(router: &Router) -> Vec<(String, String)> {
    let shown = format!("{router:?}");
    // The fallback is shown as well, at `/` and at a path of axum's own.
    let is_route = |text: &&str| text.starts_with('/') && *text != "/" && !text.contains("__private");
    let paths: BTreeSet<&str> = shown.split('"').filter(is_route).collect();
    assert!(!paths.is_empty(), "axum shows no path any more: {shown}");
    let mut routes = Vec::new();
    for path in paths {
        // A literal part stands for any: nothing is looked at before the method is.
        let reply = send(router, "TRACE", &path.replace(['{', '}', '*'], ""), "", &[], "").await;
        assert_eq!(reply.status, 405, "TRACE {path}");
        let methods = reply.header("allow").split(',').map(str::trim).filter(|method| *method != "HEAD");
        routes.extend(methods.map(|method| (method.to_owned(), path.to_owned())));
    }
    routes
}
