//! The page of figures. Each measurement stores its report as JSON, and the page is drawn from all stored reports. Its
//! tables and charts need no editing by hand.

mod charts;

use std::fmt::Write as _;
use std::path::Path;

use crate::Failure;
use crate::report::{Findings, Report};

/// The page in a folder of reports; `docs/performance.md` explains it.
const PAGE: &str = "figures.md";

/// Stores a report and draws the page again.
pub(crate) fn store(folder: &Path, name: &str, report: &Report) -> Result<(), Failure> {
    std::fs::create_dir_all(folder)?;
    std::fs::write(folder.join(name).with_extension("json"), serde_json::to_string_pretty(report)? + "\n")?;
    draw(folder)
}

/// Draws the charts of all reports into `folder`, and replaces the parts of its page that belong to them.
pub(crate) fn draw(folder: &Path) -> Result<(), Failure> {
    let page = folder.join(PAGE);
    let mut text = std::fs::read_to_string(&page)?;
    let mut files = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, Failure>>()?;
    files.sort();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "json")) {
        let report: Report = serde_json::from_slice(&std::fs::read(file)?)?;
        for chart in &report.findings.charts {
            std::fs::write(folder.join(&chart.name).with_extension("svg"), charts::draw(chart)?)?;
        }
        let name = file.file_stem().and_then(|name| name.to_str()).ok_or("a report without a name")?;
        text = replace_part(&text, name, &render_part(&report)?)?;
    }
    Ok(std::fs::write(page, text)?)
}

/// Returns the page with another text between the marks of a report.
fn replace_part(page: &str, name: &str, part: &str) -> Result<String, Failure> {
    let (begin, end) = (format!("<!-- measured: {name} -->\n"), "<!-- end -->");
    let missing = || format!("the page has no part `{}` that ends with `{end}`", begin.trim_end());
    let (before, rest) = page.split_once(&begin).ok_or_else(missing)?;
    let (_, after) = rest.split_once(end).ok_or_else(missing)?;
    Ok(format!("{before}{begin}{part}{end}{after}"))
}

fn render_part(report: &Report) -> Result<String, Failure> {
    let mut text = String::new();
    writeln!(text, "\n```sh\n{}\n```\n\n{}.\n", report.command, report.headline())?;
    if let Some(failure) = &report.first_failure {
        writeln!(text, "The first failure: {failure}\n")?;
    }
    let Findings { sections, tables, charts } = &report.findings;
    for section in sections {
        writeln!(text, "| {} | direct | weir | added | aim |\n|---|---:|---:|---:|---|", section.title)?;
        for figure in &section.figures {
            let [direct, weir, added] = figure.cells();
            let aim = figure.verdict().unwrap_or_default();
            writeln!(text, "| {} | {direct} | {weir} | {added} | {aim} |", figure.name)?;
        }
        writeln!(text)?;
    }
    for table in tables {
        writeln!(text, "| {} |\n|{}", table.columns.join(" | "), "---|".repeat(table.columns.len()))?;
        for row in &table.rows {
            writeln!(text, "| {} |", row.join(" | "))?;
        }
        writeln!(text)?;
    }
    for chart in charts {
        writeln!(text, "![{}]({}.svg)\n", chart.title, chart.name)?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn the_page_agrees_with_the_reports() {
        let docs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let copy = tempfile::tempdir().unwrap();
        let folder = copy.path().join("performance");
        std::fs::create_dir(&folder).unwrap();
        for entry in std::fs::read_dir(docs.join("performance")).unwrap() {
            let path = entry.unwrap().path();
            std::fs::copy(&path, folder.join(path.file_name().unwrap())).unwrap();
        }
        draw(&folder).unwrap();
        let read = |path: PathBuf| std::fs::read_to_string(path).unwrap();
        let again = "draw it again: cargo run -p bench -- draw --page docs/performance";
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap();
            assert_eq!(read(path.clone()), read(docs.join("performance").join(name)), "{}: {again}", name.display());
        }
    }

    #[test]
    fn replaces_a_part_between_its_marks() {
        let page = "a\n<!-- measured: x -->\nold\n<!-- end -->\nb\n<!-- measured: y -->\nkept\n<!-- end -->\n";
        let wanted = "a\n<!-- measured: x -->\nnew\n<!-- end -->\nb\n<!-- measured: y -->\nkept\n<!-- end -->\n";
        assert_eq!(replace_part(page, "x", "new\n").unwrap(), wanted);
        assert!(replace_part(page, "z", "new\n").is_err());
    }
}
