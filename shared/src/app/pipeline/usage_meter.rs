//! The usage of a call as far as it is known while the provider answers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::model::provider::{Event, Whole};
use crate::model::tokens::{Bound, Usage};

/// Observes a provider's answer. Clones share it, so that a call can be settled after its task panicked.
#[derive(Debug, Clone, Default)]
pub(in crate::app) struct UsageMeter(Arc<Observed>);

#[derive(Debug, Default)]
struct Observed {
    sent: AtomicBool,
    received_bytes: AtomicU64,
    reported: Mutex<Option<Usage>>,
}

impl UsageMeter {
    /// Notes that the call goes to a provider now.
    pub(in crate::app) fn mark_sent(&self) {
        self.0.sent.store(true, Ordering::SeqCst);
    }

    pub(in crate::app) fn is_sent(&self) -> bool {
        self.0.sent.load(Ordering::SeqCst)
    }

    pub(in crate::app) fn observe(&self, event: &Event) {
        self.add(event.data.len(), event.usage);
    }

    pub(in crate::app) fn observe_whole(&self, whole: &Whole) {
        self.add(whole.body.len(), whole.usage);
    }

    fn add(&self, bytes: usize, usage: Option<Usage>) {
        self.0.received_bytes.fetch_add(bytes as u64, Ordering::SeqCst);
        if usage.is_some() {
            *self.0.reported.lock().unwrap_or_else(PoisonError::into_inner) = usage;
        }
    }

    /// Bytes of the provider's chunks so far.
    pub(in crate::app) fn received_bytes(&self) -> u64 {
        self.0.received_bytes.load(Ordering::SeqCst)
    }

    /// The usage to charge: as the provider reported it, else the estimate of an uncounted answer.
    pub(in crate::app) fn total(&self, bound: &Bound) -> Usage {
        let reported = *self.0.reported.lock().unwrap_or_else(PoisonError::into_inner);
        reported.unwrap_or_else(|| bound.estimate(self.received_bytes()))
    }
}
