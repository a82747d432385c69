//! The filter of the log.

use std::str::FromStr;

use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{FilterExt as _, filter_fn};
use tracing_subscriber::layer::Filter;
use tracing_subscriber::registry::LookupSpan;

/// The crates of weir. Below `info` the log has only their lines: those of libraries hold headers, bodies and keys.
const OURS: [&str; 16] = [
    "admin",
    "bench",
    "chat",
    "deliver",
    "embedded",
    "embeddings",
    "local",
    "models",
    "outbound",
    "providers",
    "respond",
    "responses",
    "shared",
    "sweep",
    "usage",
    "webhooks",
];

/// The lines that the log has: a level, or levels of targets between commas. No filter shows lines of libraries below
/// `info`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

/// A text that is no filter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no filter of the log: expected `off`, `error`, `warn`, `info`, `debug` or `trace`, or a target with one of them, such as `shared=debug`"
)]
pub struct LogFilterError(String);

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl FromStr for LogFilter {
    type Err = LogFilterError;

    /// Reads `info`, `warn,shared=debug` and the like. A target needs a level: `tracing` takes an unknown word for a target,
    /// and then shows nothing.
    fn from_str(text: &str) -> Result<Self, LogFilterError> {
        for part in text.split(',').map(str::trim) {
            let level = part.rsplit_once('=').map_or(part, |(_, level)| level);
            if level.is_empty() || level.parse::<LevelFilter>().is_err() {
                return Err(LogFilterError(part.to_owned()));
            }
        }
        match EnvFilter::try_new(text) {
            Ok(_) => Ok(Self(text.to_owned())),
            Err(_) => Err(LogFilterError(text.to_owned())),
        }
    }
}

impl LogFilter {
    pub(super) fn layer<S>(&self) -> impl Filter<S> + Send + Sync + use<S>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    {
        let written = EnvFilter::new(&self.0);
        let highest = written.max_level_hint();
        let shown = filter_fn(|line| *line.level() <= Level::INFO || is_ours(line.target()));
        written.and(match highest {
            Some(highest) => shown.with_max_level_hint(highest),
            None => shown,
        })
    }
}

fn is_ours(target: &str) -> bool {
    let name = target.split_once("::").map_or(target, |(name, _)| name);
    OURS.contains(&name)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};

    use super::*;

    #[test]
    fn a_filter_has_levels_and_targets_with_levels() {
        for right in ["info", "WARN", "off", "warn,shared=debug", "shared::app=trace, error"] {
            assert!(right.parse::<LogFilter>().is_ok(), "{right}");
        }
        for (wrong, part) in [("loud", "loud"), ("", ""), ("info,shared", "shared"), ("shared=loud", "shared=loud")] {
            assert_eq!(wrong.parse::<LogFilter>(), Err(LogFilterError(part.to_owned())));
        }
    }

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn libraries_say_nothing_below_info_whatever_the_filter_says() {
        let lines = Lines::default();
        let filter: LogFilter = "trace,hyper=trace,aws_smithy_runtime=trace".parse().unwrap();
        let writer = lines.clone();
        let format = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || writer.clone());
        let subscriber = tracing_subscriber::registry().with(format.with_filter(filter.layer()));
        tracing::subscriber::with_default(subscriber, || {
            tracing::trace!(target: "shared::app", "ours");
            tracing::info!(target: "h2::client", "theirs at info");
            tracing::debug!(target: "aws_smithy_runtime::client", "secret");
            tracing::trace!(target: "hyper", "secret");
            tracing::debug!(target: "rustls", "secret");
            tracing::debug!(target: "sharedlike", "secret");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        assert_eq!((text.lines().count(), text.contains("secret")), (2, false), "{text}");
    }
}
