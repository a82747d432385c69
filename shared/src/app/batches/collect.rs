//! Reading what a provider answered to the lines of its batch.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::line::{LineContext, Tried};
use super::native::ASK_TIME;
use super::open_part::OpenPart;
use super::route::Route;
use super::terms::PreparedLine;
use super::wave::{UNSTORED_BYTES, charge_of};
use crate::app::dispatch::UsageMeter;
use crate::app::error::Error;
use crate::app::generation::in_request;
use crate::app::pipeline::find_model;
use crate::data::{BatchResults, LineResult, LineSummary};
use crate::model::object::Object;
use crate::model::provider::{Failure, Reply};
use crate::model::provider_batch::{EndedBatch, Exchange, RequestEnd};
use crate::model::tokens::Charge;

/// The longest silence while results are read.
const READ_TIME: Duration = Duration::from_secs(60);

/// What was read of a provider's batch.
#[derive(Default)]
pub(super) struct Collected {
    pub(super) charge: Charge,
    pub(super) answered: u64,
    /// Of the results that are stored.
    pub(super) results: Vec<LineSummary>,
    /// Lines without a result, and what they cost.
    pub(super) tried: Vec<(u64, Charge)>,
}

/// Reads and stores the results of a provider's batch.
pub(super) struct Collector<'a> {
    pub(super) results: &'a BatchResults,
    pub(super) context: &'a LineContext<'a>,
    pub(super) route: &'a Route<'a>,
}

impl Collector<'_> {
    /// Reads what became of the lines. Without the lines, only what they cost is known.
    pub(super) async fn collect(
        &self,
        part: &OpenPart,
        mut sent: HashMap<u64, PreparedLine>,
        ended: &EndedBatch,
    ) -> Result<Collected, Error> {
        let (context, route) = (self.context, self.route);
        let failed = |source| route.failed(source);
        let (mut collected, mut unstored, mut unstored_bytes, mut objects) = (Collected::default(), Vec::new(), 0, 0);
        let done: HashSet<u64> = part.results.iter().map(|(_, result)| result.line).collect();
        let results = timeout(ASK_TIME, route.batches.results(ended)).await.unwrap_or(Err(Failure::OutOfTime));
        let mut results = results.map_err(failed)?;
        let is_gone = sent.is_empty();
        let model = part.batch.model.clone().unwrap_or_default();
        loop {
            let next = timeout(READ_TIME, results.next()).await;
            let Some(end) = next.map_err(|_| failed(Failure::OutOfTime))? else { break };
            let RequestEnd { id, answer } = end.map_err(failed)?;
            if is_gone {
                collected.charge = collected.charge + context.charge_of_unknown(route, &model, answer).await;
                continue;
            }
            // Each line once, whatever the provider repeats.
            let Some(line) = id.parse().ok().and_then(|number: u64| sent.remove(&number)) else { continue };
            let number = line.line.number;
            let (result, charge) = context.ended_natively(route, &line, answer).await;
            collected.charge = collected.charge + charge;
            match result {
                Some(result) => {
                    collected.answered += 1;
                    if !done.contains(&number) {
                        unstored_bytes += result.row.get().len();
                        unstored.push(result);
                    }
                }
                None => collected.tried.push((number, charge)),
            }
            if unstored_bytes >= UNSTORED_BYTES {
                self.store(part, &mut objects, &mut unstored, &mut collected.results).await?;
                unstored_bytes = 0;
            }
        }
        self.store(part, &mut objects, &mut unstored, &mut collected.results).await?;
        // A line that the provider does not tell of runs here.
        let silent = sent.into_keys().filter(|line| !done.contains(line));
        collected.tried.extend(silent.map(|line| (line, Charge::default())));
        Ok(collected)
    }

    async fn store(
        &self,
        part: &OpenPart,
        objects: &mut u32,
        unstored: &mut Vec<LineResult>,
        stored: &mut Vec<LineSummary>,
    ) -> Result<(), Error> {
        if !unstored.is_empty() {
            self.results.put(&part.run.key, part.run.fence, *objects, unstored).await?;
            *objects += 1;
            stored.extend(unstored.drain(..).map(|result| result.summary));
        }
        Ok(())
    }
}

impl LineContext<'_> {
    /// The result of a line, if it has one, and what it cost.
    async fn ended_natively(
        &self,
        route: &Route<'_>,
        line: &PreparedLine,
        answer: Option<(u16, Bytes)>,
    ) -> (Option<LineResult>, Charge) {
        let Some((status, body)) = answer else { return (None, Charge::default()) };
        let used = UsageMeter::default();
        used.begin_attempt(route.unreported);
        let request = self.batched(line, route.target, false, Exchange::Answered { status, body });
        let answered = match route.provider.send(&request).await {
            Ok(Reply::Whole(whole)) => {
                used.observe_whole(&whole);
                self.of_whole(line, whole.body, line.charge(&used))
            }
            Ok(Reply::Stream(_)) => Err(Failure::Malformed("a result of its batch is a stream".to_owned())),
            Err(failure) => {
                used.fail_attempt(&failure);
                Err(failure)
            }
        };
        let charge = line.charge(&used);
        let answer = answered.map_err(|source| in_request(route.failed(source)));
        match self.ended(line, Ok(answer), charge) {
            Tried::Done(result) => {
                let charge = charge_of(&result.summary);
                (Some(result), charge)
            }
            Tried::Throttled { .. } | Tried::NotReady { .. } => (None, Charge::default()),
            Tried::Failed { charge, .. } => (None, charge),
        }
    }

    /// What the answer to a line costs whose request is not known any more.
    async fn charge_of_unknown(&self, route: &Route<'_>, model: &str, answer: Option<(u16, Bytes)>) -> Charge {
        let Some((status, body)) = answer else { return Charge::default() };
        let Ok(model) = find_model(self.terms.served, model, self.terms.endpoint.called()) else {
            return Charge::default();
        };
        // Usage is read from the answer alone.
        let asked = Object::default().with("messages", &[(); 0]).with("input", &"").with("prompt", &"");
        let request = self.request(route.target, asked, Exchange::Answered { status, body });
        match route.provider.send(&request).await {
            Ok(Reply::Whole(whole)) => model.clone().in_batch().charge(whole.usage.unwrap_or_default()),
            _ => Charge::default(),
        }
    }
}

impl PreparedLine {
    fn charge(&self, used: &UsageMeter) -> Charge {
        used.charge(self.model().price.as_deref(), &self.bound)
    }
}
