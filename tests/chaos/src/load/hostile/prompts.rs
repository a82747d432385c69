//! Prompts that make a provider fail: the failures that a caller can cause.

use std::time::Duration;

use crate::faults::ProviderFault;

/// The model of jobs that hang. It may take two minutes until its first byte.
pub(crate) const MODEL: &str = "slow";

pub(super) const STALL: &str = "(stall)";
pub(super) const REFUSE: &str = "(refuse)";
pub(super) const CRASH: &str = "(crash)";
pub(super) const HANG: &str = "(hang)";

/// What a prompt does to its provider.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Provoked {
    pub(crate) after: Duration,
    pub(crate) fault: ProviderFault,
}

/// Finds what the body of a hostile call provokes.
pub(crate) fn provoked(body: &str) -> Option<Provoked> {
    let provoked = |after_ms, fault| Provoked { after: Duration::from_millis(after_ms), fault };
    [
        (STALL, provoked(0, ProviderFault::Silence)),
        (REFUSE, provoked(50, ProviderFault::Refuse)),
        (CRASH, provoked(50, ProviderFault::Crash)),
        // At its end it is refused, so that the job does not run again.
        (HANG, provoked(100_000, ProviderFault::Refuse)),
    ]
    .into_iter()
    .find_map(|(prompt, provoked)| body.contains(prompt).then_some(provoked))
}
