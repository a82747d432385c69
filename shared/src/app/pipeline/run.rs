//! Running a call to its end, whatever happens on the way.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;

use super::start::{Start, replay_metadata};
use super::{Call, OpenCall, Pipeline};
use crate::app::answer::{CallAnswer, CallMetadata, Interruption, ResponseSender};
use crate::app::error::Error;
use crate::app::idempotency::{Followed, success_answer};
use crate::data::{CacheEntry, Record, RecordState};
use crate::dialects::{ContentType, sse};
use crate::model::money::MicroUsd;

/// The part of a call that depends on its kind: from the admission to the settlement.
pub(in crate::app) trait Runner: Send + Sync + 'static {
    /// Writes the event that ends a stream with an error.
    fn interruption(&self) -> Interruption {
        |message, _| sse::error(message)
    }

    /// Runs an admitted call: calls the provider, sends the answer, settles.
    fn run(&self, open: &mut OpenCall<'_>, sender: &mut ResponseSender) -> impl Future<Output = ()> + Send;

    /// Answers with the events of the response that another run of the same request writes. Only keys of
    /// `POST /v1/responses` name responses.
    fn follow_response(
        &self,
        _call: &Call,
        response_id: String,
        _metadata: CallMetadata,
        _sender: &mut ResponseSender,
    ) -> impl Future<Output = Result<(), Error>> + Send {
        std::future::ready(Err(Error::not_found("response", response_id)))
    }
}

impl Pipeline {
    /// Runs a call in a task of its own, to its end, whether or not the client stays. Returns once the answer begins.
    ///
    /// # Errors
    /// `Refused`, `KeyReused`, `Provider`, `Repeated`, `Invalid`.
    pub(in crate::app) async fn run(self: &Arc<Self>, call: Call, runner: impl Runner) -> Result<CallAnswer, Error> {
        let (sender, answer) = ResponseSender::new(call.time.deadline, runner.interruption());
        let pipeline = Arc::clone(self);
        self.tasks.spawn(async move { Box::pin(pipeline.supervise(&call, &runner, sender)).await });
        answer.await.unwrap_or_else(|lost| Err(Error::internal("run the call")(lost)))
    }

    /// Owns the admission and the sender while the call's code runs, so that a panic in that code leaves nothing behind.
    async fn supervise(&self, call: &Call, runner: &impl Runner, mut sender: ResponseSender) {
        let mut open = None;
        let work = AssertUnwindSafe(self.work(call, runner, &mut open, &mut sender)).catch_unwind();
        match work.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => sender.fail(error).await,
            Err(_) => {
                // The panic's message stays out of the log: it may quote a prompt.
                tracing::error!("call panicked");
                let error = Error::internal("finish the call")("it panicked");
                if let Some(open) = &open {
                    open.fail_panicked(&error).await;
                }
                sender.fail(error).await;
            }
        }
    }

    async fn work<'a>(
        &'a self,
        call: &'a Call,
        runner: &impl Runner,
        slot: &mut Option<OpenCall<'a>>,
        sender: &mut ResponseSender,
    ) -> Result<(), Error> {
        loop {
            match self.start(call, slot).await? {
                Start::Run(open) => {
                    let lease = open.lease.clone();
                    tokio::select! {
                        biased;
                        () = Box::pin(runner.run(open, sender)) => return Ok(()),
                        never = self.idempotency.keep_lease(lease.as_ref()) => match never {},
                    }
                }
                Start::Cached(entry, open) => {
                    answer_cached(open, entry, sender).await;
                    return Ok(());
                }
                Start::Follow(record, open) => {
                    let metadata = replay_metadata(call, open);
                    match self.follow(call, record, open, metadata.clone(), sender).await? {
                        Followed::Died => {}
                        Followed::Answered => return Ok(()),
                        Followed::Response(id) => return runner.follow_response(call, id, metadata, sender).await,
                    }
                }
            }
        }
    }

    /// Follows another run of the same request. This call's reservation is given back in parallel.
    async fn follow(
        &self,
        call: &Call,
        record: Record,
        open: Option<&OpenCall<'_>>,
        metadata: CallMetadata,
        sender: &mut ResponseSender,
    ) -> Result<Followed, Error> {
        let Some(plan) = &call.key else { return Ok(Followed::Died) };
        let release = async {
            if let Some(open) = open {
                open.release().await;
            }
        };
        // A replay is sent at once. Only a request that waits takes a slot.
        let waits = matches!(record.state, RecordState::Running { .. });
        let follow = Box::pin(self.idempotency.follow(plan, record, sender, metadata));
        let follow = async {
            let followed = tokio::time::timeout_at(call.time.deadline, follow).await;
            followed.unwrap_or_else(|_| Err(Error::Contended("this Idempotency-Key's request, which is still running")))
        };
        let follow = async {
            match waits {
                true => {
                    let slot = self.slots.take_to_follow(&call.caller.project).await?;
                    self.slots.keep(&slot, follow).await
                }
                false => follow.await,
            }
        };
        let (followed, ()) = tokio::join!(follow, release);
        followed
    }
}

async fn answer_cached(open: &mut OpenCall<'_>, entry: CacheEntry, sender: &mut ResponseSender) {
    open.metadata.cost = Some(MicroUsd(0));
    let content_type = ContentType::from_name(&entry.content_type);
    sender.send_whole(content_type, entry.body.clone(), open.metadata.clone()).await;
    sender.flush().await;
    tokio::join!(open.release(), open.complete(true, success_answer(content_type, entry.body)));
}
