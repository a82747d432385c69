//! The layers of the workspace: `functions` -> `edge` -> `app` -> `data` -> `dialects` -> `model`. A layer may name the
//! layers below it. `app` does not know HTTP, and its modules form no circle.

mod paths;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use paths::{module_of, paths_in, resolve};

/// From the lowest layer to the highest.
const LAYERS: [&str; 5] = ["model", "dialects", "data", "app", "edge"];

/// The crates that connect weir to its surroundings, and the layers of `shared` that may use them.
const CRATES: [(&str, &[&str]); 11] = [
    ("aws_config", &["edge"]),
    ("aws_lambda_events", &["edge"]),
    ("aws_sdk_", &["data", "edge"]),
    ("aws_smithy_", &["data", "edge"]),
    ("axum", &["edge"]),
    ("http::", &["edge"]),
    ("lambda_http", &["edge"]),
    ("lambda_runtime", &["edge"]),
    ("multer", &["edge"]),
    ("reqwest", &[]),
    ("tower", &["edge"]),
];

/// Words of HTTP, which `app` leaves to `edge` and `dialects`. `RenderedError.status` and `StoredAnswer.status` are
/// numbers that `app` passes on without reading them.
const HTTP_WORDS: [&str; 7] =
    ["http::", "StatusCode", "\"text/event-stream", "\"application/json", "data: ", "\"x-", "\"retry-after"];

struct Source {
    /// As in `shared/src/app/auth.rs`.
    path: String,
    /// The path of its module, as in `["app", "auth"]`.
    module: Vec<String>,
    /// Without lines that are comments.
    code: String,
}

/// The sources in a folder of the workspace.
fn sources(folder: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut found = Vec::new();
    collect(&root, &root.join(folder), &mut found);
    assert!(!found.is_empty(), "{folder}");
    found
}

fn collect(root: &Path, folder: &Path, found: &mut Vec<Source>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let code: Vec<&str> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            let path = path.strip_prefix(root).unwrap().display().to_string();
            found.push(Source { module: module_of(&path), code: code.join("\n"), path });
        }
    }
}

/// Whether `code` has `word`, and not as the end of a longer name.
fn says(code: &str, word: &str) -> bool {
    let is_name = |character: char| character.is_alphanumeric() || character == '_';
    code.match_indices(word).any(|(at, _)| !code[..at].ends_with(is_name))
}

#[test]
fn a_layer_names_only_the_layers_below_it() {
    for (n, layer) in LAYERS.iter().enumerate() {
        for source in sources(&format!("shared/src/{layer}")) {
            for path in paths_in(&source.code).iter().map(|path| resolve(path, &source.module)) {
                let named = path.first().and_then(|first| LAYERS.iter().position(|layer| layer == first));
                assert!(named.is_none_or(|named| named <= n), "{} names {}", source.path, path.join("::"));
            }
        }
    }
}

#[test]
fn only_data_and_edge_use_the_crates_of_the_surroundings() {
    for layer in LAYERS {
        for source in sources(&format!("shared/src/{layer}")) {
            for (name, layers) in CRATES {
                assert!(layers.contains(&layer) || !says(&source.code, name), "{} uses {name}", source.path);
            }
        }
    }
    for source in sources("functions").iter().filter(|source| source.path.contains("/src/")) {
        for name in ["aws_", "reqwest", "crate::data", "crate::app", "crate::edge"] {
            assert!(!says(&source.code, name), "{} uses {name}", source.path);
        }
    }
}

#[test]
fn app_speaks_no_http() {
    for source in sources("shared/src/app") {
        for word in HTTP_WORDS {
            assert!(!says(&source.code, word), "{} says {word}", source.path);
        }
    }
}

/// Modules, and the modules that each of them names.
type Graph = BTreeMap<String, BTreeSet<String>>;

/// The top-level modules of `app`. The code of tests is left out, and `components.rs`, which makes all of them.
fn modules_of_app() -> Graph {
    let all = sources("shared/src/app");
    let top = |source: &Source| source.module.get(1).cloned();
    let modules: BTreeSet<String> = all.iter().filter_map(top).filter(|module| module != "components").collect();
    let exports = exports_of_app(&all);
    let mut graph: Graph = modules.iter().map(|module| (module.clone(), BTreeSet::new())).collect();
    for source in all.iter().filter(|source| source.module.iter().all(|name| name != "tests")) {
        let Some(from) = top(source).filter(|module| modules.contains(module)) else { continue };
        let code = source.code.split("#[cfg(test)]").next().unwrap_or_default();
        for path in paths_in(code).iter().map(|path| resolve(path, &source.module)) {
            let [layer, name, ..] = path.as_slice() else { continue };
            let to = exports.get(name).unwrap_or(name);
            if layer == "app" && modules.contains(to) && *to != from {
                graph.entry(from.clone()).or_default().insert(to.clone());
            }
        }
    }
    graph
}

/// The names that `app` exports from its modules, as in `pub use auth::Auth`, and their modules.
fn exports_of_app(all: &[Source]) -> BTreeMap<String, String> {
    let root = all.iter().find(|source| source.module.len() == 1).unwrap();
    let uses = root.code.split("pub use ").skip(1).filter_map(|rest| rest.split(';').next());
    let paths = uses.flat_map(|used| paths_in(&format!("super::{used}")));
    paths.filter_map(|path| Some((path.last()?.clone(), path.get(1)?.clone()))).collect()
}

/// A circle of modules, if there is one: each names the next, and the last is the first.
fn circle(graph: &Graph) -> Option<Vec<String>> {
    let mut done = BTreeSet::new();
    graph.keys().find_map(|module| circle_from(graph, module, &mut Vec::new(), &mut done))
}

fn circle_from(
    graph: &Graph,
    module: &str,
    on_the_way: &mut Vec<String>,
    done: &mut BTreeSet<String>,
) -> Option<Vec<String>> {
    if let Some(begin) = on_the_way.iter().position(|other| other == module) {
        return Some(on_the_way[begin..].iter().cloned().chain([module.to_owned()]).collect());
    }
    if !done.insert(module.to_owned()) {
        return None;
    }
    on_the_way.push(module.to_owned());
    let found = graph.get(module)?.iter().find_map(|next| circle_from(graph, next, on_the_way, done));
    on_the_way.pop();
    found
}

#[test]
fn the_modules_of_app_form_no_circle() {
    let graph = modules_of_app();
    let edges: usize = graph.values().map(BTreeSet::len).sum();
    assert!(graph.len() > 10 && edges > 30, "{} modules, {edges} uses: {graph:?}", graph.len());
    if let Some(circle) = circle(&graph) {
        panic!("a circle: {}", circle.join(" -> "));
    }
}

#[test]
fn a_circle_is_found() {
    let graph = |uses: &[(&str, &str)]| {
        let mut graph = Graph::new();
        for (from, to) in uses {
            graph.entry((*from).to_owned()).or_default().insert((*to).to_owned());
            graph.entry((*to).to_owned()).or_default();
        }
        graph
    };
    assert_eq!(circle(&graph(&[("a", "b"), ("a", "c"), ("b", "c")])), None);
    let found = circle(&graph(&[("a", "b"), ("b", "c"), ("c", "b")])).unwrap();
    assert_eq!(found, ["b", "c", "b"]);
}
