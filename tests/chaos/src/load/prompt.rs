//! What clients write to models, the same in all projects; who asked is in the trace context, so that the provider's bill
//! can be told apart, and nothing but the project keeps the answers apart.

/// What a model of the catalog writes at most.
pub(crate) const MODEL_OUTPUT: u64 = 400;
/// Tokens that a call may be bounded with beside the bytes that the provider sees: templates, members that weir drops.
pub(crate) const MARGIN: u64 = 300;

/// Micro-dollars of a token of input: so dear that budgets of some thousand tokens are spread over several shards.
pub(crate) const PRICE: u64 = 10_000;

/// Micro-dollars.
pub(crate) fn cost(input: u64, output: u64) -> u64 {
    PRICE * (input + 2 * output)
}

/// Text number `n`, with more words the higher its number.
pub(crate) fn write(n: u32) -> String {
    format!("{n} {}", "so much to say ".repeat(n as usize % 7))
}

/// The trace context of a tenant's request, and whether its answer is written down while it comes.
pub(crate) fn traceparent(tenant: usize, is_written: bool) -> String {
    format!("00-{:016x}{:016x}-00000000000000a1-01", tenant + 1, u8::from(is_written))
}

/// The tenant that a trace context is of, and whether its answer is written down.
pub(crate) fn read(traceparent: &str) -> Option<(usize, bool)> {
    let number = |digits: &str| usize::from_str_radix(digits, 16).ok();
    let trace = traceparent.split('-').nth(1)?;
    Some((number(trace.get(..16)?)?.checked_sub(1)?, number(trace.get(16..)?)? == 1))
}

/// How every answer for a tenant begins.
pub(crate) fn addressed(tenant: usize) -> String {
    format!("for-tenant-{tenant} ")
}

/// Whether an answer is for somebody else than this tenant.
pub(crate) fn is_for_another(tenant: usize, answer: &[u8]) -> bool {
    let answer = String::from_utf8_lossy(answer);
    (0..crate::deployment::TENANTS).any(|other| other != tenant && answer.contains(&addressed(other)))
}
