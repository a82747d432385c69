//! Makes the components of a process, each from the parts that it needs. No other place makes them.

use std::sync::{Arc, OnceLock};

use tokio::sync::Semaphore;

use super::admin_keys::AdminKeys;
use super::admission::Admission;
use super::audit::AuditLog;
use super::auth::{Auth, RootKey};
use super::batches::{BatchQuotes, BatchStores, BatchWorker, Batches, NATIVE_TURNS, Paces, PartLease, PartRunner};
use super::cache::ResponseCache;
use super::call_files::CallFiles;
use super::calls::Calls;
use super::conversations::Conversations;
use super::dispatch::{Dispatcher, TargetStates};
use super::error::{Error, RenderedError};
use super::files::Files;
use super::idempotency::{CreationKeys, Idempotency};
use super::jobs::{
    Canceller, Eraser, Finalizer, JobAdmin, ProjectWorker, Purger, Recovery, RequestMemory, ResponseWorker,
    StoreSweeper, Sweeper,
};
use super::ledger::Ledger;
use super::models::{Models, ServedModels};
use super::pipeline::Pipeline;
use super::projects::{Projects, ServiceAccounts};
use super::quotes::Quotes;
use super::responses::{Acceptor, Follower, Foreground, Responses};
use super::slots::Slots;
use super::storage::Storage;
use super::tasks::Tasks;
use super::uploads::Uploads;
use super::usage::UsageReports;
use super::vector_stores::{Embedder, IngestWorker, StoreFiles, VectorSearch, VectorStores};
use super::webhooks::{Announcer, Deliverer, Webhooks};
use super::worker_queues::WorkerQueues;
use crate::data::Stores;
use crate::model::catalog::KeySource;
use crate::model::clock::Clock;
use crate::model::document::DocumentReader;
use crate::model::key_rights::AddressRange;
use crate::model::keys::Keys;
use crate::model::webhook::Receivers;

/// One process of the service: its stores, models, providers and keys, and the components made from them.
///
/// A function takes the components that it uses; code that no function takes is not linked. Components of one process
/// share the state that must be shared: remembered keys, hints, breakers, running calls.
pub struct Components {
    parts: Parts,
    /// The way to webhook endpoints; `None` in functions that neither register nor deliver.
    receivers: Option<Arc<dyn Receivers>>,
    /// The deployment's own admin key; `None` refuses every use of the admin API.
    root_key: Option<RootKey>,
    /// Where the admin API is reachable from; `None`: from everywhere.
    admin_addresses: Option<Vec<AddressRange>>,
    auth: OnceLock<Arc<Auth>>,
}

/// The parts that several components are made from.
struct Parts {
    stores: Stores,
    clock: Clock,
    models: Arc<Models>,
    admission: Arc<Admission>,
    dispatcher: OnceLock<Arc<Dispatcher>>,
    call_files: OnceLock<CallFiles>,
    tasks: Tasks,
}

impl Components {
    /// The least: no models, no way to receivers, no admin API.
    #[must_use]
    pub fn new(stores: Stores, clock: Clock) -> Self {
        let parts = Parts {
            admission: Arc::new(Admission::new(&stores, clock.clone())),
            stores,
            clock,
            models: Arc::new(Models::fixed(ServedModels::default())),
            dispatcher: OnceLock::new(),
            call_files: OnceLock::new(),
            tasks: Tasks::default(),
        };
        Self { parts, receivers: None, root_key: None, admin_addresses: None, auth: OnceLock::new() }
    }

    /// The models that can be called, their prices and their providers.
    #[must_use]
    pub fn serving(mut self, models: Arc<Models>) -> Self {
        self.parts.models = models;
        self
    }

    #[must_use]
    pub fn receivers(self, receivers: Arc<dyn Receivers>) -> Self {
        Self { receivers: Some(receivers), ..self }
    }

    /// Takes the key of the admin API from `source`, when a request needs it. The admin API is reachable from these addresses; with
    /// `None`, from everywhere.
    #[must_use]
    pub fn admin_key(self, keys: Arc<dyn Keys>, source: KeySource, addresses: Option<Vec<AddressRange>>) -> Self {
        Self { root_key: Some(RootKey { keys, source }), admin_addresses: addresses, ..self }
    }

    #[must_use]
    pub fn stores(&self) -> &Stores {
        &self.parts.stores
    }

    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.parts.clock
    }

    #[must_use]
    pub fn models(&self) -> Arc<Models> {
        self.parts.models()
    }

    /// Waits until every call that began is settled. For the end of a process.
    pub async fn drain(&self) {
        self.parts.tasks.drain().await;
    }

    pub fn auth(&self) -> Arc<Auth> {
        let make = || {
            let (admission, tasks) = (Arc::clone(&self.parts.admission), self.parts.tasks.clone());
            let (root_key, addresses) = (self.root_key.clone(), self.admin_addresses.clone());
            Auth::new(self.stores(), self.clock().clone(), admission, tasks, root_key, addresses)
        };
        Arc::clone(self.auth.get_or_init(|| Arc::new(make())))
    }

    pub fn calls(&self) -> Arc<Calls> {
        Arc::new(Calls::new(self.parts.pipeline(), self.models(), self.clock().clone()))
    }

    pub fn responses(&self) -> Arc<Responses> {
        let (pipeline, records) = (self.parts.pipeline(), self.stores().responses());
        let follower = Follower::new(self.stores(), self.clock().clone());
        Arc::new(Responses {
            foreground: Foreground {
                records: records.clone(),
                conversations: self.parts.conversations(),
                finalizer: self.parts.finalizer(),
                clock: self.clock().clone(),
            },
            acceptor: Acceptor { records: records.clone(), queues: self.parts.queues(), follower: follower.clone() },
            follower,
            pipeline,
            records,
            conversations: self.parts.conversations(),
            canceller: self.parts.canceller(),
            tasks: self.parts.tasks.clone(),
            models: self.models(),
            clock: self.clock().clone(),
        })
    }

    /// Quotes of calls, also of those that `responses` makes.
    pub fn quotes(&self, responses: Arc<Responses>) -> Arc<Quotes> {
        let (admission, clock) = (Arc::clone(&self.parts.admission), self.clock().clone());
        let batches = BatchQuotes::new(self.stores().files(), self.models(), Arc::clone(&admission), clock.clone());
        Arc::new(Quotes::new(responses, batches, self.models(), admission, clock))
    }

    pub fn conversations(&self) -> Arc<Conversations> {
        self.parts.conversations()
    }

    pub fn files(&self) -> Arc<Files> {
        Arc::new(Files::new(self.stores(), self.clock().clone(), Arc::clone(&self.parts.admission)))
    }

    pub fn uploads(&self) -> Arc<Uploads> {
        let admission = Arc::clone(&self.parts.admission);
        Arc::new(Uploads::new(self.stores(), self.parts.creations(), admission, self.files()))
    }

    pub fn response_worker(&self) -> Arc<ResponseWorker> {
        Arc::new(ResponseWorker {
            records: self.stores().responses(),
            projects: self.stores().projects(),
            api_keys: self.stores().api_keys(),
            models: self.models(),
            admission: Arc::clone(&self.parts.admission),
            ledger: self.parts.ledger(),
            dispatcher: self.parts.dispatcher(),
            finalizer: self.parts.finalizer(),
            queues: self.parts.queues(),
            slots: self.parts.slots(),
            memory: RequestMemory::new(),
            files: self.parts.call_files(),
            clock: self.clock().clone(),
        })
    }

    pub fn batches(&self) -> Arc<Batches> {
        Arc::new(Batches {
            records: self.stores().batches(),
            files: self.stores().files(),
            creations: self.parts.creations(),
            admission: Arc::clone(&self.parts.admission),
            queues: self.parts.queues(),
            clock: self.clock().clone(),
        })
    }

    /// The worker of batches. `render` writes an error as a caller of the API would see it.
    pub fn batch_worker(&self, render: fn(&Error) -> RenderedError) -> Arc<BatchWorker> {
        let stores = self.stores();
        let batch_stores = BatchStores::new(stores);
        let runner = PartRunner {
            stores: batch_stores.clone(),
            models: self.models(),
            admission: Arc::clone(&self.parts.admission),
            ledger: self.parts.ledger(),
            dispatcher: self.parts.dispatcher(),
            queues: self.parts.queues(),
            paces: Paces::default(),
            lease: PartLease { parts: stores.batch_parts(), clock: self.clock().clone() },
            native_turns: Arc::new(Semaphore::new(NATIVE_TURNS)),
            clock: self.clock().clone(),
            render,
        };
        Arc::new(BatchWorker {
            runner,
            stores: batch_stores,
            models: self.models(),
            announcer: Announcer::new(stores, self.clock().clone()),
            queues: self.parts.queues(),
            clock: self.clock().clone(),
        })
    }

    pub fn vector_stores(&self) -> Arc<VectorStores> {
        Arc::new(VectorStores {
            records: self.stores().vector_stores(),
            files: self.store_files(),
            creations: self.parts.creations(),
            admission: Arc::clone(&self.parts.admission),
            models: self.models(),
            queues: self.parts.queues(),
            clock: self.clock().clone(),
        })
    }

    pub fn store_files(&self) -> Arc<StoreFiles> {
        let stores = self.stores();
        Arc::new(StoreFiles {
            records: stores.store_files(),
            stores: stores.vector_stores(),
            chunks: stores.chunks(),
            files: stores.files(),
            admission: Arc::clone(&self.parts.admission),
            storage: Storage::new(stores, self.clock().clone()),
            queues: self.parts.queues(),
            clock: self.clock().clone(),
        })
    }

    pub fn vector_search(&self) -> Arc<VectorSearch> {
        Arc::new(VectorSearch {
            stores: self.stores().vector_stores(),
            files: self.stores().store_files(),
            chunks: self.stores().chunks(),
            embedder: Embedder(self.calls()),
            clock: self.clock().clone(),
        })
    }

    /// The worker of vector stores. `render` writes an error as a caller of the API would see it.
    pub fn ingest_worker(
        &self,
        reader: Arc<dyn DocumentReader>,
        render: fn(&Error) -> RenderedError,
    ) -> Arc<IngestWorker> {
        let stores = self.stores();
        Arc::new(IngestWorker {
            stores: stores.vector_stores(),
            records: stores.store_files(),
            chunks: stores.chunks(),
            files: stores.files(),
            projects: stores.projects(),
            api_keys: stores.api_keys(),
            storage: Storage::new(stores, self.clock().clone()),
            embedder: Embedder(self.calls()),
            reader,
            queues: self.parts.queues(),
            clock: self.clock().clone(),
            render,
        })
    }

    pub fn sweeper(&self) -> Arc<Sweeper> {
        Arc::new(Sweeper {
            due: self.stores().due(),
            meters: self.stores().meters(),
            ledger: self.parts.ledger(),
            models: self.models(),
            recovery: Recovery {
                records: self.stores().responses(),
                jobs: self.stores().jobs(),
                finalizer: self.parts.finalizer(),
                queues: self.parts.queues(),
            },
            eraser: Eraser {
                responses: self.stores().responses(),
                conversations: self.stores().conversations(),
                files: self.stores().files(),
                uploads: self.stores().uploads(),
            },
            project_worker: ProjectWorker {
                work: self.stores().project_work(),
                jobs: self.stores().jobs(),
                canceller: self.parts.canceller(),
                purger: Purger {
                    content: self.stores().project_content(),
                    projects: self.stores().projects(),
                    work: self.stores().project_work(),
                    clock: self.clock().clone(),
                },
            },
            deliverer: self.deliverer(),
            batches: self.stores().batches(),
            vector_stores: StoreSweeper {
                stores: self.stores().vector_stores(),
                files: self.stores().store_files(),
                queues: self.parts.queues(),
            },
            queues: self.parts.queues(),
            clock: self.clock().clone(),
        })
    }

    pub fn webhooks(&self) -> Arc<Webhooks> {
        Arc::new(Webhooks::new(self.stores(), self.clock().clone(), self.receivers.clone()))
    }

    pub fn deliverer(&self) -> Arc<Deliverer> {
        Arc::new(Deliverer::new(self.stores(), self.clock().clone(), self.receivers.clone()))
    }

    pub fn projects(&self) -> Arc<Projects> {
        Arc::new(Projects::new(self.stores(), self.clock().clone(), self.auth(), Arc::clone(&self.parts.admission)))
    }

    pub fn service_accounts(&self) -> Arc<ServiceAccounts> {
        let admission = Arc::clone(&self.parts.admission);
        Arc::new(ServiceAccounts::new(self.stores(), self.clock().clone(), self.auth(), admission))
    }

    pub fn job_admin(&self) -> Arc<JobAdmin> {
        Arc::new(JobAdmin {
            jobs: self.stores().jobs(),
            projects: self.stores().projects(),
            queues: self.stores().queues.clone(),
            canceller: self.parts.canceller(),
            audit: self.stores().audit(),
            clock: self.clock().clone(),
        })
    }

    pub fn admin_keys(&self) -> Arc<AdminKeys> {
        Arc::new(AdminKeys::new(self.stores(), self.clock().clone()))
    }

    pub fn target_states(&self) -> Arc<TargetStates> {
        Arc::new(TargetStates::new(self.stores(), self.models(), self.clock().clone()))
    }

    pub fn audit_log(&self) -> Arc<AuditLog> {
        Arc::new(AuditLog::new(self.stores(), self.clock().clone()))
    }

    pub fn usage_reports(&self) -> Arc<UsageReports> {
        Arc::new(UsageReports::new(self.stores()))
    }
}

impl Parts {
    fn models(&self) -> Arc<Models> {
        Arc::clone(&self.models)
    }

    fn conversations(&self) -> Arc<Conversations> {
        Arc::new(Conversations::new(&self.stores, self.clock.clone(), Arc::clone(&self.admission)))
    }

    fn pipeline(&self) -> Arc<Pipeline> {
        Arc::new(Pipeline {
            admission: Arc::clone(&self.admission),
            ledger: self.ledger(),
            idempotency: Idempotency::new(self.stores.idempotency(), self.clock.clone()),
            cache: ResponseCache::new(self.stores.cache(), self.clock.clone()),
            files: self.call_files(),
            dispatcher: self.dispatcher(),
            slots: self.slots(),
            tasks: self.tasks.clone(),
        })
    }

    fn creations(&self) -> CreationKeys {
        CreationKeys { records: self.stores.creations(), clock: self.clock.clone() }
    }

    fn ledger(&self) -> Arc<Ledger> {
        Arc::new(Ledger::new(&self.stores, self.clock.clone(), Arc::clone(&self.admission)))
    }

    /// All calls of a process share the memory for files.
    fn call_files(&self) -> CallFiles {
        self.call_files.get_or_init(|| CallFiles::new(&self.stores, self.clock.clone())).clone()
    }

    fn dispatcher(&self) -> Arc<Dispatcher> {
        let make = || Dispatcher::new(&self.stores, self.clock.clone());
        Arc::clone(self.dispatcher.get_or_init(|| Arc::new(make())))
    }

    fn finalizer(&self) -> Arc<Finalizer> {
        Arc::new(Finalizer {
            records: self.stores.responses(),
            jobs: self.stores.jobs(),
            ledger: self.ledger(),
            conversations: self.conversations(),
            announcer: Announcer::new(&self.stores, self.clock.clone()),
            clock: self.clock.clone(),
        })
    }

    fn canceller(&self) -> Arc<Canceller> {
        let (jobs, finalizer, clock) = (self.stores.jobs(), self.finalizer(), self.clock.clone());
        Arc::new(Canceller { jobs, finalizer, clock })
    }

    fn slots(&self) -> Slots {
        Slots::new(self.stores.slots(), self.clock.clone())
    }

    fn queues(&self) -> WorkerQueues {
        WorkerQueues(self.stores.queues.clone())
    }
}
