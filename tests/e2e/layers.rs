//! Layers point one way, and `app` and `model` know neither the HTTP framework nor the SDKs.

use std::path::Path;

fn sources(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
        }
    }
}

#[track_caller]
fn lacks(folder: &str, words: &[&str]) {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/src").join(folder), &mut files);
    assert!(!files.is_empty());
    for (path, text) in files {
        for word in words {
            assert!(!text.contains(word), "{path} says {word}");
        }
    }
}

#[test]
fn layers_point_one_way() {
    lacks("model", &["axum", "reqwest", "aws_sdk", "lambda_http", "crate::data", "crate::app", "crate::edge"]);
    lacks("data", &["axum", "lambda_http", "crate::app", "crate::edge"]);
    lacks("app", &["axum", "reqwest", "aws_sdk", "lambda_http", "crate::edge"]);
}
