//! The requests to models. All tenants send the same texts, so that only the project separates their answers. The trace
//! context names the tenant, so that the provider can record its calls by tenant.

/// The most output tokens of a model of the catalog.
pub(crate) const MODEL_OUTPUT: u64 = 400;
/// Tokens that weir may add to its bound of the input, which is the number of bytes of the provider's request: for chat
/// templates, and for members that weir drops.
pub(crate) const MARGIN: u64 = 300;

/// Price of a token of input, in micro-dollars: so high that budgets of some thousand tokens use several shards.
pub(crate) const PRICE: u64 = 10_000;

/// Returns the price of a call, in micro-dollars.
pub(crate) fn cost(input: u64, output: u64) -> u64 {
    PRICE * (input + 2 * output)
}

/// Returns the text number `n`. A higher number has more words.
pub(crate) fn text(n: u32) -> String {
    format!("{n} {}", "so much to say ".repeat(n as usize % 7))
}

/// The origin of a provider's call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Origin {
    pub(crate) tenant: usize,
    /// The events of the answer are stored while they arrive.
    pub(crate) has_stored_events: bool,
    /// A background response makes the call.
    pub(crate) is_job: bool,
}

impl Origin {
    /// Returns a trace context that names the origin.
    pub(crate) fn traceparent(self) -> String {
        let kind = u8::from(self.has_stored_events) + 2 * u8::from(self.is_job);
        format!("00-{:016x}{kind:016x}-00000000000000a1-01", self.tenant + 1)
    }

    /// Reads a trace context of [`Origin::traceparent`].
    pub(crate) fn parse(traceparent: &str) -> Option<Self> {
        let number = |digits: &str| usize::from_str_radix(digits, 16).ok();
        let trace = traceparent.split('-').nth(1)?;
        let kind = number(trace.get(16..)?)?;
        let tenant = number(trace.get(..16)?)?.checked_sub(1)?;
        Some(Self { tenant, has_stored_events: kind & 1 == 1, is_job: kind & 2 == 2 })
    }
}

/// Returns the start of every answer for a tenant.
pub(crate) fn answer_prefix(tenant: usize) -> String {
    format!("for-tenant-{tenant} ")
}

/// Whether an answer belongs to another tenant.
pub(crate) fn names_another_tenant(tenant: usize, answer: &[u8]) -> bool {
    let answer = String::from_utf8_lossy(answer);
    (0..crate::deployment::TENANTS).any(|other| other != tenant && answer.contains(&answer_prefix(other)))
}
