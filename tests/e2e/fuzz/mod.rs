//! Inputs that are almost right, wherever weir reads what others wrote: each gets an answer, and the books stay right.
//!
//! proptest draws and shrinks them; `PROPTEST_CASES` says how many are tried, `PROPTEST_RNG_SEED` repeats a run.

mod catalog;
mod forms;
mod replies;
mod requests;
mod urls;

use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

/// Draws as many cases as the environment says. What failed once is in `corpus/` and tried first.
fn runner(corpus: &'static str) -> TestRunner {
    runner_for_slow(corpus, 1)
}

/// Draws a part of that, where one case takes long.
fn runner_for_slow(corpus: &'static str, part: u32) -> TestRunner {
    let config = Config::default();
    let kept = Box::new(FileFailurePersistence::Direct(corpus));
    let cases = config.cases / part;
    TestRunner::new(Config { cases, failure_persistence: Some(kept), source_file: Some(file!()), ..config })
}

/// Files of a folder of the repository, in order of their names.
fn files(folder: &str, extension: &str) -> Vec<String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder);
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    paths.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect()
}
