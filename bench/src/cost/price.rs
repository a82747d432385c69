//! The billed units of calls and jobs, and their prices in us-east-1 in November 2026.

use std::time::Duration;

use kit::Units;

// Prices in dollars per million.
/// A request of a REST API.
const API_REQUEST: f64 = 3.50;
const INVOCATION: f64 = 0.20;
/// A gigabyte-second on arm64.
const GB_SECOND: f64 = 13.333_4;
/// Units of a table with on-demand capacity.
const WRITE_UNIT: f64 = 0.625;
const READ_UNIT: f64 = 0.125;
const QUEUE_REQUEST: f64 = 0.40;
/// A request of the bucket that writes, and one that reads.
const PUT: f64 = 5.00;
const GET: f64 = 0.40;

/// Dollars per gigabyte of log that CloudWatch ingests.
const LOG_GB: f64 = 0.50;

/// `MemorySize` in gigabytes: of `chat`, `responses` and `respond`, and of `deliver`.
const GB: f64 = 0.5;
const GB_OF_DELIVER: f64 = 0.25;
/// An event source mapping receives each batch and deletes it.
const QUEUE_REQUESTS_PER_BATCH: f64 = 2.0;

/// The price of store operations, in dollars.
pub(crate) fn dollars_of_units(units: &Units) -> f64 {
    let table = units.write_units * WRITE_UNIT + units.read_units * READ_UNIT;
    let bucket = units.puts as f64 * PUT + units.gets as f64 * GET;
    (table + bucket + units.queue_requests as f64 * (1.0 + QUEUE_REQUESTS_PER_BATCH) * QUEUE_REQUEST) / 1e6
}

/// The price of so many seconds of a function that calls models, in dollars.
pub(crate) fn dollars_of_lambda(seconds: f64) -> f64 {
    seconds * GB * GB_SECOND / 1e6
}

/// The units that one call or job uses.
#[derive(Default)]
pub(super) struct Used {
    api_requests: f64,
    invocations: f64,
    gb_seconds: f64,
    operations: f64,
    write_units: f64,
    read_units: f64,
    queue_requests: f64,
    puts: f64,
    gets: f64,
    log_bytes: f64,
}

pub(super) const COUNTED: [&str; 7] =
    ["each", "store operations", "write units", "read units", "SQS requests", "Lambda, GB s", "log, bytes"];
pub(super) const PRICED: [&str; 7] =
    ["a million", "Lambda, $", "API Gateway, $", "table, $", "SQS, $", "log, $", "sum, $"];

impl Used {
    /// Adds a request that a function answered.
    pub(super) fn add_request(&mut self, lasted: Duration) {
        self.api_requests += 1.0;
        self.add_invocation(lasted, GB);
    }

    /// Adds a batch of the worker of background responses.
    pub(super) fn add_response_batch(&mut self, lasted: Duration) {
        self.queue_requests += QUEUE_REQUESTS_PER_BATCH;
        self.add_invocation(lasted, GB);
    }

    /// Adds a batch of the worker of deliveries.
    pub(super) fn add_delivery_batch(&mut self, lasted: Duration) {
        self.queue_requests += QUEUE_REQUESTS_PER_BATCH;
        self.add_invocation(lasted, GB_OF_DELIVER);
    }

    fn add_invocation(&mut self, lasted: Duration, gb: f64) {
        self.invocations += 1.0;
        self.gb_seconds += lasted.as_secs_f64() * gb;
    }

    /// Returns the units of each of `made` calls or jobs.
    pub(super) fn divide(self, made: usize, units: &Units, log_bytes: u64) -> Self {
        let each = |sum: f64| sum / made as f64;
        Self {
            api_requests: each(self.api_requests),
            invocations: each(self.invocations),
            gb_seconds: each(self.gb_seconds),
            operations: each(units.operations as f64),
            write_units: each(units.write_units),
            read_units: each(units.read_units),
            queue_requests: each(self.queue_requests + units.queue_requests as f64),
            puts: each(units.puts as f64),
            gets: each(units.gets as f64),
            log_bytes: each(log_bytes as f64),
        }
    }

    pub(super) fn counts_row(&self, name: &str) -> Vec<String> {
        let Self { operations, write_units, read_units, queue_requests, gb_seconds, log_bytes, .. } = self;
        let one = |value: &f64| format!("{value:.1}");
        vec![
            name.to_owned(),
            one(operations),
            one(write_units),
            one(read_units),
            one(queue_requests),
            format!("{gb_seconds:.3}"),
            format!("{log_bytes:.0}"),
        ]
    }

    /// Returns the dollars per million calls or jobs, in the order of [`PRICED`].
    fn parts(&self) -> [f64; 5] {
        [
            self.gb_seconds * GB_SECOND + self.invocations * INVOCATION,
            self.api_requests * API_REQUEST,
            self.write_units * WRITE_UNIT + self.read_units * READ_UNIT + self.puts * PUT + self.gets * GET,
            self.queue_requests * QUEUE_REQUEST,
            self.log_bytes * LOG_GB / 1e3, // The bytes of a million calls, in GB.
        ]
    }

    pub(super) fn prices_row(&self, name: &str) -> Vec<String> {
        let parts = self.parts();
        let mut row = vec![name.to_owned()];
        row.extend(parts.iter().chain([&parts.iter().sum()]).map(|dollars| format!("{dollars:.2}")));
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn computes_the_price_of_a_million() {
        let mut used = Used::default();
        (0..2).for_each(|_| used.add_request(Duration::from_secs(10)));
        let units = Units { operations: 6, write_units: 6.0, ..Units::default() };
        let used = used.divide(2, &units, 5_000);
        assert_eq!(used.counts_row("call"), ["call", "3.0", "3.0", "0.0", "0.0", "5.000", "2500"]);
        assert_eq!(used.prices_row("call"), ["call", "66.87", "3.50", "1.88", "0.00", "1.25", "73.49"]);
    }

    /// Reads the memory of a function from the template: the default of the parameter that its `MemorySize` names.
    fn megabytes(function: &str) -> f64 {
        let template = include_str!("../../../template.yaml");
        let after = |text: &'static str, what: &str| text.split_once(what).unwrap().1;
        let parameter =
            after(after(template, &format!("  {function}:\n")), "MemorySize: !Ref ").lines().next().unwrap();
        after(after(template, &format!("  {parameter}:\n")), "Default: ").lines().next().unwrap().parse().unwrap()
    }

    #[test]
    fn functions_have_the_memory_that_is_priced() {
        for function in ["ChatFunction", "ResponsesFunction", "RespondFunction"] {
            assert_eq!(megabytes(function), GB * 1_024.0, "{function}");
        }
        assert_eq!(megabytes("DeliverFunction"), GB_OF_DELIVER * 1_024.0);
    }
}
