//! Translates a provider's stream into a stream of OpenAI's chunks.

use std::collections::VecDeque;

use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt as _};
use shared::model::provider::{Event, Failure};

/// Turns the items of one provider's stream into chunks, one item after the other.
pub(crate) trait Translate: Send + 'static {
    type Item: Send;

    /// # Errors
    /// If the item reports an error or is not understood. The stream ends with the error.
    fn item(&mut self, item: Self::Item) -> Result<Step, Failure>;

    /// Handles the end of the source if no item was the last.
    ///
    /// # Errors
    /// If the answer is not whole.
    fn end(&mut self) -> Result<Vec<Event>, Failure>;
}

/// The chunks for an item.
pub(crate) enum Step {
    More(Vec<Event>),
    /// The last chunks: the answer is whole.
    Last(Vec<Event>),
}

/// Translates `source` with `translator`. The stream ends after the first error.
pub(crate) fn translate<S, T>(source: S, translator: T) -> BoxStream<'static, Result<Event, Failure>>
where
    T: Translate,
    S: Stream<Item = Result<T::Item, Failure>> + Send + Unpin + 'static,
{
    let state = State { source, translator, ready: VecDeque::new(), ended: false };
    stream::unfold(state, |mut state| async move { state.next().await.map(|event| (event, state)) }).boxed()
}

struct State<S, T> {
    source: S,
    translator: T,
    ready: VecDeque<Event>,
    ended: bool,
}

impl<S, T> State<S, T>
where
    T: Translate,
    S: Stream<Item = Result<T::Item, Failure>> + Unpin,
{
    async fn next(&mut self) -> Option<Result<Event, Failure>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Some(Ok(event));
            }
            if self.ended {
                return None;
            }
            match self.pull().await {
                Ok(events) => self.ready.extend(events),
                Err(failure) => {
                    self.ended = true;
                    return Some(Err(failure));
                }
            }
        }
    }

    async fn pull(&mut self) -> Result<Vec<Event>, Failure> {
        // A source that is always ready must not keep its task from looking at time limits.
        tokio::task::consume_budget().await;
        let Some(item) = self.source.next().await else {
            self.ended = true;
            return self.translator.end();
        };
        match self.translator.item(item?)? {
            Step::More(events) => Ok(events),
            Step::Last(events) => {
                self.ended = true;
                Ok(events)
            }
        }
    }
}
