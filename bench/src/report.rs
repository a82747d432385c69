//! The figures of a run, as a printed table and as JSON for the page of figures.

use std::borrow::Cow;
use std::io::{Result, Write};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::load::Outcome;

/// One figure: of direct calls of the provider, of calls through weir, and their difference, which weir adds.
#[derive(Serialize, Deserialize, Default)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) unit: Cow<'static, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) direct: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) weir: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) added: Option<f64>,
    /// The highest accepted value of `added`, or of `weir` if there is no `added`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) aim: Option<f64>,
}

impl Figure {
    pub(crate) fn compared(name: impl Into<String>, unit: &'static str, direct: f64, weir: f64) -> Self {
        Self { name: name.into(), unit: unit.into(), direct: Some(direct), weir: Some(weir), ..Self::default() }
    }

    pub(crate) fn added(name: impl Into<String>, unit: &'static str, direct: f64, weir: f64) -> Self {
        Self { added: Some(weir - direct), ..Self::compared(name, unit, direct, weir) }
    }

    pub(crate) fn of_weir(name: impl Into<String>, unit: &'static str, weir: f64) -> Self {
        Self { name: name.into(), unit: unit.into(), weir: Some(weir), ..Self::default() }
    }

    pub(crate) fn aim(self, most: f64) -> Self {
        Self { aim: Some(most), ..self }
    }

    /// Returns the aim, and whether the figure meets it.
    pub(crate) fn verdict(&self) -> Option<String> {
        let aim = self.aim?;
        let met = if self.added.or(self.weir)? <= aim { "met" } else { "MISSED" };
        Some(format!("<= {aim}: {met}"))
    }

    /// Returns `direct`, `weir` and `added` as texts.
    pub(crate) fn cells(&self) -> [String; 3] {
        [self.direct, self.weir, self.added].map(|value| cell(value, &self.unit))
    }
}

/// Figures that belong together.
#[derive(Serialize, Deserialize)]
pub(crate) struct Section {
    pub(crate) title: Cow<'static, str>,
    pub(crate) figures: Vec<Figure>,
}

/// A table with other values than [`Figure`]s.
#[derive(Serialize, Deserialize, Default)]
pub(crate) struct Table {
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
}

/// A chart of lines or bars.
#[derive(Serialize, Deserialize, Default)]
pub(crate) struct Chart {
    /// The name of its file.
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) x: String,
    pub(crate) y: String,
    /// Whether the scale of x is logarithmic.
    pub(crate) logarithmic: bool,
    pub(crate) lines: Vec<Line>,
    /// Name and height of each bar, if the chart has bars instead of lines.
    pub(crate) bars: Vec<(String, f64)>,
}

impl Chart {
    /// Makes a chart of lines. `axes` are the labels of x and y.
    pub(crate) fn of_lines(name: &str, title: impl Into<String>, axes: [&str; 2], lines: Vec<Line>) -> Self {
        let (name, title, x, y) = (name.to_owned(), title.into(), axes[0].to_owned(), axes[1].to_owned());
        Self { name, title, x, y, lines, ..Self::default() }
    }

    pub(crate) fn logarithmic(self) -> Self {
        Self { logarithmic: true, ..self }
    }
}

#[derive(Serialize, Deserialize, Default)]
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

impl Line {
    pub(crate) fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), points: Vec::new() }
    }
}

/// The results of a measurement.
#[derive(Serialize, Deserialize, Default)]
pub(crate) struct Findings {
    #[serde(default)]
    pub(crate) sections: Vec<Section>,
    #[serde(default)]
    pub(crate) tables: Vec<Table>,
    #[serde(default)]
    pub(crate) charts: Vec<Chart>,
}

impl From<Vec<Section>> for Findings {
    fn from(sections: Vec<Section>) -> Self {
        Self { sections, ..Self::default() }
    }
}

/// The numbers of calls of all parts together.
#[derive(Default)]
pub(crate) struct Totals {
    pub(crate) calls: u64,
    pub(crate) failed: u64,
    pub(crate) failure: Option<String>,
}

impl Totals {
    pub(crate) fn count<'a>(&mut self, outcomes: impl IntoIterator<Item = &'a Outcome>) {
        for outcome in outcomes {
            self.calls += outcome.calls;
            self.failed += outcome.failed;
            self.failure = self.failure.take().or_else(|| outcome.failure.clone());
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Report {
    /// The command that repeats the measurement.
    pub(crate) command: String,
    pub(crate) machine: String,
    /// The machine's load average over the minute before the run, caused by other work.
    pub(crate) load_before: String,
    pub(crate) seconds: u64,
    pub(crate) calls: u64,
    pub(crate) failed_calls: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_failure: Option<String>,
    #[serde(flatten)]
    pub(crate) findings: Findings,
}

const NAME: usize = 54;
const COLUMN: usize = 13;

impl Report {
    /// Runs a measurement, and records the machine, its load and the duration.
    pub(crate) fn of(
        command: &str,
        measure: impl FnOnce(&mut Totals) -> std::result::Result<Findings, Failure>,
    ) -> std::result::Result<Self, Failure> {
        let begin = Instant::now();
        let load_before = std::fs::read_to_string("/proc/loadavg")?.split(' ').take(1).collect();
        let mut totals = Totals::default();
        let findings = measure(&mut totals)?;
        Ok(Self {
            command: format!("cargo run --release -p bench -- {command}"),
            machine: machine()?,
            load_before,
            seconds: begin.elapsed().as_secs(),
            calls: totals.calls,
            failed_calls: totals.failed,
            first_failure: totals.failure,
            findings,
        })
    }

    /// Describes the run in one line.
    pub(crate) fn headline(&self) -> String {
        let Self { calls, seconds, machine, load_before, failed_calls, .. } = self;
        let calls = match calls {
            0 => String::new(),
            calls => format!("{calls} calls, {failed_calls} failed, "),
        };
        format!("{calls}{seconds} s on {machine}, load before: {load_before}")
    }

    pub(crate) fn print(&self, out: &mut impl Write) -> Result<()> {
        writeln!(out, "{}", self.headline())?;
        if let Some(failure) = &self.first_failure {
            writeln!(out, "the first failure: {failure}")?;
        }
        for section in &self.findings.sections {
            writeln!(
                out,
                "\n{:NAME$}{:>COLUMN$}{:>COLUMN$}{:>COLUMN$}  aim",
                section.title, "direct", "weir", "added"
            )?;
            for figure in &section.figures {
                let [direct, weir, added] = figure.cells();
                let verdict = figure.verdict().unwrap_or_default();
                let line = format!(
                    "  {:width$}{direct:>COLUMN$}{weir:>COLUMN$}{added:>COLUMN$}  {verdict}",
                    figure.name,
                    width = NAME - 2
                );
                writeln!(out, "{}", line.trim_end())?;
            }
        }
        for table in &self.findings.tables {
            writeln!(out)?;
            let rows = || std::iter::once(&table.columns).chain(&table.rows);
            let width = |column: usize| rows().filter_map(|row| row.get(column)).map(String::len).max().unwrap_or(0);
            for row in rows() {
                let cells = row.iter().enumerate().map(|(n, cell)| format!("{cell:width$}", width = width(n) + 2));
                writeln!(out, "{}", cells.collect::<String>().trim_end())?;
            }
        }
        Ok(())
    }
}

/// Describes the processors, memory and system of this machine.
fn machine() -> Result<String> {
    let field = |file: &str, name: &str| -> Result<String> {
        let text = std::fs::read_to_string(file)?;
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
        Ok(value.map(|(_, value)| value.trim().to_owned()).unwrap_or_default())
    };
    let processors = std::thread::available_parallelism()?;
    let memory = field("/proc/meminfo", "MemTotal")?;
    let gib = memory.trim_end_matches(" kB").parse::<f64>().unwrap_or_default() / 1024.0 / 1024.0;
    let system = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let release = system.trim().split('-').next().unwrap_or_default().to_owned();
    Ok(format!("{processors} x {}, {gib:.0} GiB, Linux {release}", field("/proc/cpuinfo", "model name")?))
}

fn cell(value: Option<f64>, unit: &str) -> String {
    let text = match value {
        None => return String::new(),
        Some(value) if value.fract() == 0.0 && value.abs() < 1e9 => format!("{value:.0} {unit}"),
        Some(value) if value.abs() >= 100.0 => format!("{value:.0} {unit}"),
        Some(value) => format!("{value:.2} {unit}"),
    };
    text.trim_end().to_owned()
}
