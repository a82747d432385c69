//! The figures of a run: a table for people, JSON for machines.

use std::io::{Result, Write};

use serde::Serialize;

/// One figure: of calls directly to the provider, of calls through weir, and what weir adds.
#[derive(Serialize, Default)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) unit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) direct: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) weir: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) added: Option<f64>,
    /// The most that is wanted, of what weir adds; where there is nothing to add to, of weir.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) aim: Option<f64>,
}

impl Figure {
    pub(crate) fn compared(name: impl Into<String>, unit: &'static str, direct: f64, weir: f64) -> Self {
        Self { name: name.into(), unit, direct: Some(direct), weir: Some(weir), ..Self::default() }
    }

    pub(crate) fn added(name: impl Into<String>, unit: &'static str, direct: f64, weir: f64) -> Self {
        Self { added: Some(weir - direct), ..Self::compared(name, unit, direct, weir) }
    }

    pub(crate) fn of_weir(name: impl Into<String>, unit: &'static str, weir: f64) -> Self {
        Self { name: name.into(), unit, weir: Some(weir), ..Self::default() }
    }

    pub(crate) fn aim(self, most: f64) -> Self {
        Self { aim: Some(most), ..self }
    }

    fn met(&self) -> Option<bool> {
        Some(self.added.or(self.weir)? <= self.aim?)
    }
}

#[derive(Serialize)]
pub(crate) struct Section {
    pub(crate) title: &'static str,
    pub(crate) figures: Vec<Figure>,
}

#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) processors: usize,
    /// Of the minute before the run: what else the machine was doing.
    pub(crate) load_before: String,
    pub(crate) seconds: u64,
    pub(crate) calls: u64,
    pub(crate) failed_calls: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) first_failure: Option<String>,
    pub(crate) sections: Vec<Section>,
}

const NAME: usize = 46;
const COLUMN: usize = 13;

impl Report {
    pub(crate) fn print(&self, out: &mut impl Write) -> Result<()> {
        let Self { processors, load_before, seconds, calls, failed_calls, .. } = self;
        writeln!(
            out,
            "{calls} calls in {seconds} s on {processors} processors; load before: {load_before}; failed: {failed_calls}"
        )?;
        if let Some(failure) = &self.first_failure {
            writeln!(out, "the first failure: {failure}")?;
        }
        for section in &self.sections {
            writeln!(
                out,
                "\n{:NAME$}{:>COLUMN$}{:>COLUMN$}{:>COLUMN$}  aim",
                section.title, "direct", "weir", "added"
            )?;
            for figure in &section.figures {
                let [direct, weir, added] =
                    [figure.direct, figure.weir, figure.added].map(|value| cell(value, figure.unit));
                write!(
                    out,
                    "  {:width$}{direct:>COLUMN$}{weir:>COLUMN$}{added:>COLUMN$}",
                    figure.name,
                    width = NAME - 2
                )?;
                match (figure.aim, figure.met()) {
                    (Some(aim), Some(true)) => writeln!(out, "  <= {aim}: met")?,
                    (Some(aim), Some(false)) => writeln!(out, "  <= {aim}: MISSED")?,
                    _ => writeln!(out)?,
                }
            }
        }
        Ok(())
    }
}

fn cell(value: Option<f64>, unit: &str) -> String {
    match value {
        None => String::new(),
        Some(value) if value.abs() >= 100.0 => format!("{value:.0} {unit}"),
        Some(value) => format!("{value:.2} {unit}"),
    }
}
