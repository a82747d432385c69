//! Every fault of the simulation, one row each. To add a fault, add a row and the function or variant that its row
//! names.
//!
//! | column | meaning |
//! |---|---|
//! | `name` | the text in the trace |
//! | `rate` | at a store: strikes per 1,000 calls; elsewhere: share among the faults of its table (see [`Odds`]) |
//! | `harmless` | every store call is still performed and answered (a message perhaps twice), and no process dies |
//! | `fits` | the calls at which the fault can strike |
//! | `effect` | the action instead of the plain call |

mod effects;
mod odds;
mod store;

use shared::model::provider;

pub(crate) use effects::{BatchFault, ProviderFault, ReceiverFault, TimerFault};
pub(crate) use odds::Odds;
pub(crate) use store::{Effect as StoreEffect, is_write};

use crate::connector::Call;

/// A kind of fault at calls `C` with effect `E`.
pub(crate) struct Fault<C, E> {
    pub(crate) name: &'static str,
    pub(crate) rate: u32,
    pub(crate) harmless: bool,
    pub(crate) fits: fn(&C) -> bool,
    pub(crate) effect: E,
}

/// Faults at a call of the table, the bucket or a queue.
pub(crate) const STORE: &[Fault<Call, &dyn StoreEffect>] = &[
    Fault { name: "throttled", rate: 15, harmless: false, fits: any, effect: &store::throttle },
    Fault { name: "transaction conflict", rate: 20, harmless: false, fits: store::is_write, effect: &store::conflict },
    Fault { name: "cut before it took effect", rate: 15, harmless: false, fits: any, effect: &store::cut_before },
    Fault { name: "cut after it took effect", rate: 25, harmless: false, fits: any, effect: &store::cut_after },
    Fault { name: "slow", rate: 25, harmless: true, fits: any, effect: &store::slow_down },
    Fault { name: "no answer in time", rate: 5, harmless: false, fits: any, effect: &store::time_out },
    Fault { name: "stuck for longer than a lease", rate: 4, harmless: false, fits: any, effect: &store::outlast_lease },
    Fault { name: "overtaken", rate: 40, harmless: false, fits: store::has_fence, effect: &store::fall_behind },
    Fault { name: "answered in part", rate: 100, harmless: true, fits: store::is_batch, effect: &store::split_batch },
    Fault { name: "short page", rate: 100, harmless: true, fits: store::is_unlimited, effect: &store::shorten_page },
    Fault { name: "message twice", rate: 80, harmless: true, fits: store::is_message, effect: &store::send_twice },
    Fault { name: "message late", rate: 80, harmless: true, fits: store::is_message, effect: &store::delay_message },
    Fault { name: "message lost", rate: 80, harmless: true, fits: store::is_message, effect: &store::lose_message },
    Fault { name: "messages reordered", rate: 80, harmless: true, fits: store::is_message, effect: &store::reorder },
    Fault { name: "process dies before", rate: 5, harmless: false, fits: any, effect: &store::die_before },
    Fault { name: "process dies after", rate: 5, harmless: false, fits: any, effect: &store::die_after },
    Fault {
        name: "dies after a transaction",
        rate: 15,
        harmless: false,
        fits: store::is_transaction,
        effect: &store::die_after,
    },
];

/// Faults at a call of a provider.
pub(crate) const PROVIDER: &[Fault<provider::ProviderRequest, ProviderFault>] = &[
    Fault { name: "throttles", rate: 1, harmless: true, fits: any, effect: ProviderFault::Throttle },
    Fault { name: "is unavailable", rate: 1, harmless: true, fits: any, effect: ProviderFault::Unavailable },
    Fault { name: "is unreachable", rate: 1, harmless: true, fits: any, effect: ProviderFault::Unreachable },
    Fault { name: "refuses", rate: 1, harmless: true, fits: any, effect: ProviderFault::Refuse },
    Fault { name: "stays silent", rate: 1, harmless: true, fits: any, effect: ProviderFault::Silence },
    Fault { name: "cuts", rate: 2, harmless: true, fits: any, effect: ProviderFault::Cut },
    Fault { name: "stalls", rate: 1, harmless: true, fits: any, effect: ProviderFault::Stall },
    Fault { name: "sends no usage", rate: 1, harmless: true, fits: any, effect: ProviderFault::NoUsage },
    Fault { name: "sends its end twice", rate: 1, harmless: true, fits: is_stream, effect: ProviderFault::EndTwice },
    Fault { name: "outlives the caller", rate: 1, harmless: false, fits: any, effect: ProviderFault::CallerDies },
    Fault { name: "outlives the reader", rate: 1, harmless: false, fits: any, effect: ProviderFault::ReaderDies },
];

/// Faults at a post to a webhook receiver.
pub(crate) const RECEIVER: &[Fault<(), ReceiverFault>] = &[
    Fault { name: "fails", rate: 1, harmless: true, fits: any, effect: ReceiverFault::Fail },
    Fault { name: "asks for a later retry", rate: 1, harmless: true, fits: any, effect: ReceiverFault::PutOff },
    Fault { name: "refuses the connection", rate: 1, harmless: true, fits: any, effect: ReceiverFault::Refuse },
    Fault { name: "accepts, answer lost", rate: 1, harmless: true, fits: any, effect: ReceiverFault::LoseAnswer },
    Fault { name: "times out", rate: 1, harmless: true, fits: any, effect: ReceiverFault::TimeOut },
];

/// Faults at a batch of messages that the platform gives to a worker.
pub(crate) const BATCH: &[Fault<(), BatchFault>] = &[
    Fault { name: "given to two workers", rate: 1, harmless: true, fits: any, effect: BatchFault::Twice },
    Fault { name: "done, not deleted", rate: 1, harmless: true, fits: any, effect: BatchFault::NotDeleted },
    Fault { name: "worker dies", rate: 1, harmless: false, fits: any, effect: BatchFault::WorkerDies },
];

/// Faults at the minute's invocation of the sweeper.
pub(crate) const TIMER: &[Fault<(), TimerFault>] = &[
    Fault { name: "two at once", rate: 1, harmless: true, fits: any, effect: TimerFault::Twice },
    Fault { name: "skipped", rate: 1, harmless: true, fits: any, effect: TimerFault::Skipped },
];

fn any<C>(_: &C) -> bool {
    true
}

fn is_stream(call: &provider::ProviderRequest) -> bool {
    call.stream
}
