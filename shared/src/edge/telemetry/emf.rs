//! A line in CloudWatch's embedded metric format (EMF). Lambda sends it to the log, and CloudWatch makes metrics of it.

use std::io::{self, Write};
use std::time::{Duration, UNIX_EPOCH};

use metrique_writer_core::format::Format as _;
use metrique_writer_core::unit::{NegativeScale, Unit};
use metrique_writer_core::{Entry, EntryWriter, MetricFlags, Observation, Value, ValueWriter};
use metrique_writer_format_emf::{Emf, MetricDefinition, MetricDirective, NoMetric};

use crate::model::clock::Timestamp;

/// A set of dimensions. CloudWatch keeps a separate metric for each combination of their values.
pub(super) type Set = &'static [&'static str];

pub(super) const COUNT: Unit = Unit::Count;
pub(super) const MILLISECONDS: Unit = Unit::Second(NegativeScale::Milli);
pub(super) const NO_UNIT: Unit = Unit::None;

/// Metrics that share the values of their dimensions.
pub(super) struct Line {
    pub(super) at: Timestamp,
    /// Without the dimensions whose value is not known. Sets that need one of those are left out too.
    dimensions: Vec<(&'static str, String)>,
    metrics: Vec<Metric>,
}

struct Metric {
    name: &'static str,
    unit: Unit,
    value: f64,
    sets: &'static [Set],
}

impl Line {
    pub(super) fn new(at: Timestamp, dimensions: &[(&'static str, &str)]) -> Self {
        let known = dimensions.iter().filter(|(_, value)| !value.is_empty());
        Self { at, dimensions: known.map(|(name, value)| (*name, (*value).to_owned())).collect(), metrics: Vec::new() }
    }

    /// Adds a metric, unless none of its sets has all of its dimensions here.
    pub(super) fn add(&mut self, name: &'static str, unit: Unit, value: f64, sets: &'static [Set]) {
        if !self.known_sets(sets).is_empty() {
            self.metrics.push(Metric { name, unit, value, sets });
        }
    }

    pub(super) fn milliseconds(&mut self, name: &'static str, time: Duration, sets: &'static [Set]) {
        self.add(name, MILLISECONDS, (time.as_secs_f64() * 1_000.0).round(), sets);
    }

    /// The sets of which every dimension has a value here.
    fn known_sets(&self, sets: &'static [Set]) -> Vec<Set> {
        let has = |name: &&str| self.dimensions.iter().any(|(known, _)| known == name);
        sets.iter().copied().filter(|set| set.iter().all(has)).collect()
    }

    /// Writes the line; nothing if it has no metrics. Metrics of the same sets share a directive.
    ///
    /// # Errors
    /// If the output fails.
    pub(super) fn write(&self, namespace: &str, output: &mut impl Write) -> io::Result<()> {
        let Some(first) = self.metrics.first() else { return Ok(()) };
        let to_owned = |set: Set| set.iter().map(|name| (*name).to_owned()).collect();
        let mut emf =
            Emf::builder(namespace.to_owned(), self.known_sets(first.sets).into_iter().map(to_owned).collect());
        let mut directives: Vec<(&'static [Set], Vec<MetricDefinition<'_>>)> = Vec::new();
        for metric in self.metrics.iter().filter(|metric| metric.sets != first.sets) {
            let definition = MetricDefinition { name: metric.name, unit: metric.unit, storage_resolution: None };
            match directives.iter_mut().find(|(sets, _)| *sets == metric.sets) {
                Some((_, metrics)) => metrics.push(definition),
                None => directives.push((metric.sets, vec![definition])),
            }
        }
        for (sets, metrics) in directives {
            let dimensions = self.known_sets(sets).into_iter().map(<[_]>::to_vec).collect();
            emf = emf.directive(MetricDirective { dimensions, metrics, namespace });
        }
        emf.build().format(self, output).map_err(io::Error::other)
    }
}

impl Entry for Line {
    fn write<'a>(&'a self, writer: &mut impl EntryWriter<'a>) {
        writer.timestamp(UNIX_EPOCH + Duration::from_millis(self.at.0));
        for (name, value) in &self.dimensions {
            writer.value(*name, value.as_str());
        }
        let first = self.metrics.first().map(|metric| metric.sets);
        for metric in &self.metrics {
            if Some(metric.sets) == first {
                writer.value(metric.name, &Number(metric));
            } else {
                // A directive of its own names this metric; the first directive must not.
                writer.value(metric.name, &NoMetric::from(Number(metric)));
            }
        }
    }
}

struct Number<'a>(&'a Metric);

impl Value for Number<'_> {
    fn write(&self, writer: impl ValueWriter) {
        writer.metric([Observation::Floating(self.0.value)], self.0.unit, [], MetricFlags::empty());
    }
}
