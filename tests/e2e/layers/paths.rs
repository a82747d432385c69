//! The paths in Rust code that begin with `crate` or `super`.

/// The module of a file of `shared`: `["app", "jobs"]` for `shared/src/app/jobs/mod.rs`.
pub(super) fn module_of(path: &str) -> Vec<String> {
    let inner = path.split_once("src/").map_or(path, |(_, inner)| inner).trim_end_matches(".rs");
    inner.split('/').filter(|name| *name != "mod").map(str::to_owned).collect()
}

/// The paths in `code`. A group in braces is as many paths as it has members.
pub(super) fn paths_in(code: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for root in ["crate::", "super::"] {
        for (at, _) in code.match_indices(root) {
            // `super::super::x` is one path, and `in_crate::x` is none.
            let is_inside =
                code[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_' || before == ':');
            if !is_inside {
                read_tree(&mut &code[at..], &[], &mut found);
            }
        }
    }
    found
}

/// Reads a path with its groups from the begin of `text`, and leaves the rest in it.
fn read_tree(text: &mut &str, prefix: &[String], found: &mut Vec<Vec<String>>) {
    let mut path = prefix.to_vec();
    loop {
        *text = text.trim_start();
        if let Some(group) = text.strip_prefix('{') {
            *text = group;
            return read_group(text, &path, found);
        }
        let end = text.find(|character: char| !character.is_alphanumeric() && character != '_').unwrap_or(text.len());
        path.extend((end > 0).then(|| text[..end].to_owned()));
        *text = &text[end..];
        match text.strip_prefix("::") {
            Some(rest) if end > 0 => *text = rest,
            _ => return found.push(path),
        }
    }
}

fn read_group(text: &mut &str, prefix: &[String], found: &mut Vec<Vec<String>>) {
    while !text.trim_start().is_empty() && !text.trim_start().starts_with('}') {
        read_tree(text, prefix, found);
        // Past `as name` and `*`.
        let end = text.find([',', '}']).unwrap_or(text.len());
        *text = text[end..].trim_start_matches(',');
    }
    *text = text.trim_start().trim_start_matches('}');
}

/// The path from the root of the crate, for a path in the code of a module.
pub(super) fn resolve(path: &[String], module: &[String]) -> Vec<String> {
    let ups = path.iter().take_while(|name| *name == "super").count();
    let base = if ups == 0 { &[] } else { &module[..module.len().saturating_sub(ups)] };
    let rest = path.iter().skip_while(|name| matches!(name.as_str(), "super" | "crate"));
    base.iter().chain(rest).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(code: &str, expected: &[&str]) {
        let module = module_of("shared/src/app/jobs/worker.rs");
        let found: Vec<_> = paths_in(code).iter().map(|path| resolve(path, &module).join("::")).collect();
        assert_eq!(found, expected, "{code}");
    }

    #[test]
    fn paths_are_found_in_groups_and_in_expressions() {
        check(
            "use crate::data::{Table, keys::{self, Key as K}, *};\nuse crate::model;",
            &["data::Table", "data::keys::self", "data::keys::Key", "data", "model"],
        );
        check(
            "use super::{Finalizer, queue};\nsuper::super::Page::<u8>(crate::app::error::Error)",
            &["app::error::Error", "app::jobs::Finalizer", "app::jobs::queue", "app::Page"],
        );
        check("pub(super) fn f() {} pub(in crate::app) fn g() {} not_crate::x::super::y()", &["app"]);
    }
}
