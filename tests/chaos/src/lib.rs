//! The promises of `docs/promises.md` under faults: the real routers and workers run on the real embedded stores, with
//! a simulated clock, while stores, queues, providers, receivers, processes and clients fail. A seed decides
//! everything.
//!
//! | word | meaning |
//! |---|---|
//! | seed | the number from which a run follows; it gives each draw a random generator of its own |
//! | case | a seed, without some of its operations and faults |
//! | scenario | the part of a run that is drawn before it begins: its start time, and how often each fault strikes |
//! | site | a kind of call at which faults strike: of a store, a provider, a receiver or the platform |
//! | fault point | one call at a site, by its number in the run: `store#17` |
//! | odds | of how many calls each fault of a table strikes, in one run |
//! | harmless fault | after it, every store call was still performed once and answered, and no process died |
//! | deployment | the stores of a run, the processes that use them, and the tenants |
//! | process | one instance of the service; once it is killed, none of its calls returns |
//! | platform | AWS around the functions: it invokes workers with messages, and the sweeper each minute |
//! | tenant | a project, with its keys, its webhook endpoints and its conversation |
//! | hostile tenant | a project that attacks the others: `load/hostile` |
//! | exchange | a request of a tenant and its answer |
//! | operation | one thing that a client does: a file in `load` |
//! | observations | the requests, answers and events that clients, providers and receivers saw |
//! | inspector | the stores without faults, for setup and for invariants |
//! | invariant | a promise as it can be checked from outside: a file in `invariants` |
//! | violation | an invariant that did not hold, and how |
//! | trace | the calls, answers and faults of a run, in order |
//! | shrink | to leave out operations and faults of a failing run while the same invariant breaks |

mod client;
mod connector;
mod deployment;
mod exchanges;
mod faults;
mod inspector;
mod invariants;
mod item_writes;
mod load;
mod meter_writes;
mod observations;
mod panics;
mod platform;
mod play_all;
mod process;
mod provider;
mod provider_batches;
mod receivers;
mod reply;
mod run;
mod scenario;
mod seed;
mod shrink;
mod sim;
mod trace;
mod whole_text;

pub use observations::Violation;
pub use play_all::{Broken, SeedRange, play_all};
pub use run::{Outcome, play};
pub use shrink::shrink;
pub use sim::{Case, FaultPoint, Site};
