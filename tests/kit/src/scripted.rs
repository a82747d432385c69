//! A provider that follows scripts and remembers its calls.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde_json::json;
use shared::model::provider::{Endpoint, Event, Failure, Provider, ProviderRefusal, ProviderRequest, Reply, Whole};
use shared::model::provider_batch::{Exchange, ProviderBatches, WrittenRequest};
use shared::model::tokens::Usage;
use shared::model::vector_store::{DIMENSIONS, lexical_vector};

use crate::ScriptedBatches;

/// The answer to one call.
#[derive(Clone)]
pub enum Script {
    /// Answers after a while with a chat completion that used these tokens, or with its chunks if the request wants a stream.
    Answer { after: Duration, text: String, usage: Usage },
    /// Answers with this body, to any request, and reports no usage.
    Body(Bytes),
    /// Answers with this.
    Whole(Whole),
    /// Streams these events.
    Events(Vec<Event>),
    /// Fails.
    Fail(fn() -> Failure),
    /// Streams the first words of an answer, with a pause after each, then fails.
    Break { text: String, after_chunks: usize, gap: Duration },
    /// Accepts a stream, and breaks it after a while without an event.
    AcceptThenBreak { after: Duration },
    /// Panics before it answers.
    Panic,
    /// Streams the first words of an answer, with a pause before each, then panics when it is polled for the next one.
    PanicAfter { text: String, after_chunks: usize, gap: Duration },
    /// Streams an answer with a pause before each chunk.
    Paced { text: String, gap: Duration },
    /// Streams these chunks and nothing else.
    Chunks(Vec<String>),
    /// Never answers.
    Hang,
    /// Plays the script that the call chooses.
    Choose(fn(&ProviderRequest) -> Script),
}

impl Script {
    #[must_use]
    pub fn answer(text: &str, input: u64, output: u64) -> Self {
        Self::slow(Duration::ZERO, text, input, output)
    }

    /// Streams the first words of an answer, then fails.
    #[must_use]
    pub fn broken(text: &str, after_chunks: usize) -> Self {
        Self::Break { text: text.to_owned(), after_chunks, gap: Duration::ZERO }
    }

    #[must_use]
    pub fn slow(after: Duration, text: &str, input: u64, output: u64) -> Self {
        let usage = Usage { input, output, ..Usage::default() };
        Self::Answer { after, text: text.to_owned(), usage }
    }
}

/// Plays the scripts it was given in order, then the default for ever.
pub struct ScriptedProvider {
    default: Mutex<Script>,
    next: Mutex<VecDeque<Script>>,
    calls: Mutex<Vec<ProviderRequest>>,
    dropped: Arc<AtomicUsize>,
    batches: OnceLock<ScriptedBatches>,
}

/// Counts a stream that its reader left before its end.
struct Unread {
    dropped: Arc<AtomicUsize>,
    left: usize,
}

impl Drop for Unread {
    fn drop(&mut self) {
        if self.left > 0 {
            self.dropped.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl ScriptedProvider {
    #[must_use]
    pub fn new(default: Script) -> Arc<Self> {
        Arc::new(Self {
            default: Mutex::new(default),
            next: Mutex::default(),
            calls: Mutex::default(),
            dropped: Arc::default(),
            batches: OnceLock::new(),
        })
    }

    pub fn then(&self, script: Script) {
        self.next.lock().unwrap().push_back(script);
    }

    pub fn always(&self, script: Script) {
        *self.default.lock().unwrap() = script;
    }

    /// Its batch API, which it has from the first call of this.
    pub fn batch_api(&self) -> &ScriptedBatches {
        self.batches.get_or_init(ScriptedBatches::default)
    }

    /// The calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<ProviderRequest> {
        self.calls.lock().unwrap().clone()
    }

    /// Streams with pauses whose reader left before the end.
    #[must_use]
    pub fn dropped(&self) -> usize {
        self.dropped.load(Ordering::SeqCst)
    }

    #[must_use]
    pub fn call_count(&self) -> usize {
        self.calls.lock().unwrap().len()
    }
}

#[async_trait]
impl Provider for ScriptedProvider {
    async fn send(&self, call: &ProviderRequest) -> Result<Reply, Failure> {
        if let Some(batched) = batched(call) {
            return batched;
        }
        self.calls.lock().unwrap().push(call.clone());
        let script = self.next.lock().unwrap().pop_front().unwrap_or_else(|| self.default.lock().unwrap().clone());
        let script = if let Script::Choose(choose) = script { choose(call) } else { script };
        match script {
            Script::Answer { after, .. } if is_for_index(call) => {
                tokio::time::sleep(after).await;
                Ok(Reply::from(embedded(call)))
            }
            Script::Choose(_) => Err(Failure::Malformed("a script chose to choose".into())),
            Script::Answer { after, text, usage } => {
                tokio::time::sleep(after).await;
                if call.stream {
                    let events = chat_chunks(&text, &usage).into_iter().map(Ok);
                    return Ok(Reply::Stream(futures_util::stream::iter(events).then(slowly).boxed()));
                }
                Ok(Reply::from(Whole::json(chat_answer(&text, &usage), Some(usage))))
            }
            Script::Body(body) => Ok(Reply::from(Whole::json(body, None))),
            Script::Whole(whole) => Ok(Reply::from(whole)),
            Script::Events(events) => Ok(Reply::Stream(futures_util::stream::iter(events.into_iter().map(Ok)).boxed())),
            Script::Fail(failure) => Err(failure()),
            Script::Break { text, after_chunks, gap } => {
                let events = chat_chunks(&text, &Usage::default()).into_iter().take(after_chunks).map(Ok);
                let broken = events.chain([Err(Failure::Interrupted("cut".into()))]);
                let paused = futures_util::stream::iter(broken.enumerate()).then(move |(index, event)| async move {
                    if index > 0 {
                        tokio::time::sleep(gap).await;
                    }
                    event
                });
                Ok(Reply::Stream(paused.boxed()))
            }
            Script::AcceptThenBreak { after } => {
                let broken = async move {
                    tokio::time::sleep(after).await;
                    Err(Failure::Interrupted("cut".into()))
                };
                Ok(Reply::Stream(futures_util::stream::once(broken).boxed()))
            }
            Script::Panic => panic!("the script says so"),
            Script::PanicAfter { text, after_chunks, gap } => {
                let events = chat_chunks(&text, &Usage::default()).into_iter().take(after_chunks).map(Ok);
                let paced = futures_util::stream::iter(events).then(move |event| async move {
                    tokio::time::sleep(gap).await;
                    event
                });
                let bug = futures_util::stream::once(async { panic!("the script says so") });
                Ok(Reply::Stream(paced.chain(bug).boxed()))
            }
            Script::Paced { text, gap } => {
                let events = chat_chunks(&text, &Usage { input: 10, output: 5, ..Usage::default() });
                let unread = Unread { dropped: Arc::clone(&self.dropped), left: events.len() };
                let paced = futures_util::stream::unfold(
                    (events.into_iter(), unread),
                    move |(mut events, mut unread)| async move {
                        let event = events.next()?;
                        tokio::time::sleep(gap).await;
                        unread.left -= 1;
                        Some((Ok(event), (events, unread)))
                    },
                );
                Ok(Reply::Stream(paced.boxed()))
            }
            Script::Chunks(chunks) => {
                let event = |data: String| Ok(Event { data: data.into(), usage: None });
                Ok(Reply::Stream(futures_util::stream::iter(chunks.into_iter().map(event)).boxed()))
            }
            Script::Hang => std::future::pending().await,
        }
    }

    fn batches(&self) -> Option<&dyn ProviderBatches> {
        Some(self.batches.get()?)
    }
}

/// Whether this is a request for the vectors of the table's index.
#[must_use]
pub fn is_for_index(call: &ProviderRequest) -> bool {
    call.endpoint == Endpoint::Embeddings && call.body.get::<usize>("dimensions") == Some(DIMENSIONS)
}

/// Vectors by which texts with the same words are near each other. A word is a token.
///
/// # Panics
/// If the request has no texts.
#[must_use]
pub fn embedded(call: &ProviderRequest) -> Whole {
    let texts: Vec<String> = call.body.get("input").expect("weir sends texts");
    let vector = |text: &String| {
        // A text without words has a direction, too.
        let words = lexical_vector(text).unwrap_or_else(|| vec![1; DIMENSIONS]);
        words.into_iter().flat_map(|number| f32::from(number).to_le_bytes()).collect::<Vec<u8>>()
    };
    let row = |(index, text)| json!({"object": "embedding", "index": index, "embedding": BASE64_STANDARD.encode(vector(text))});
    let data: Vec<_> = texts.iter().enumerate().map(row).collect();
    let input = texts.iter().map(|text| text.split_whitespace().count() as u64).sum();
    let usage = json!({"prompt_tokens": input, "total_tokens": input});
    let body = json!({"object": "list", "model": "embedding-1", "data": data, "usage": usage});
    Whole::json(body.to_string().into(), Some(Usage { input, ..Usage::default() }))
}

/// What happens to a request that is for a batch, or was in one. `None`: it is none.
///
/// # Panics
/// If the request was written before, or a good answer is not JSON.
pub fn batched(call: &ProviderRequest) -> Option<Result<Reply, Failure>> {
    match &call.exchange {
        Exchange::Network => None,
        Exchange::Written(place) => {
            let written = WrittenRequest { path: call.endpoint.path().to_owned(), body: call.body.to_bytes() };
            place.set(written).expect("a request is written once");
            Some(Err(Failure::NotSent))
        }
        Exchange::Answered { status, body } => Some(answered(*status, body.clone())),
    }
}

fn answered(status: u16, body: Bytes) -> Result<Reply, Failure> {
    let message = || "scripted".to_owned();
    match status {
        200 => {
            let json: serde_json::Value = serde_json::from_slice(&body).expect("an answer is JSON");
            let count = |name: &str| json["usage"][name].as_u64().unwrap_or_default();
            let usage = Usage { input: count("prompt_tokens"), output: count("completion_tokens"), ..Usage::default() };
            Ok(Reply::from(Whole::json(body, Some(usage))))
        }
        429 => Err(Failure::Throttled { message: message(), retry_after: None }),
        500.. => Err(Failure::Unavailable { status, message: message(), retry_after: None }),
        _ => Err(Failure::Refused { status, refusal: ProviderRefusal { message: message(), ..Default::default() } }),
    }
}

/// Lets others run between two chunks, as a network does.
async fn slowly<T>(item: T) -> T {
    tokio::task::yield_now().await;
    item
}

/// A chat completion in OpenAI's shape.
#[must_use]
pub fn chat_answer(text: &str, usage: &Usage) -> Bytes {
    let answer = json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1_790_000_000, "model": "scripted-1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": usage.input, "completion_tokens": usage.output, "total_tokens": usage.input.saturating_add(usage.output)},
    });
    answer.to_string().into()
}

/// The same as chunks: one per word, the end, the usage.
#[must_use]
pub fn chat_chunks(text: &str, usage: &Usage) -> Vec<Event> {
    let chunk = |choices: serde_json::Value, counted: serde_json::Value| {
        json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1_790_000_000, "model": "scripted-1",
            "choices": choices, "usage": counted,
        })
    };
    let plain = |choices| Event { data: chunk(choices, json!(null)).to_string().into(), usage: None };
    let mut events: Vec<Event> = text
        .split_inclusive(' ')
        .map(|word| plain(json!([{"index": 0, "delta": {"content": word}, "finish_reason": null}])))
        .collect();
    events.push(plain(json!([{"index": 0, "delta": {}, "finish_reason": "stop"}])));
    let counted = json!({"prompt_tokens": usage.input, "completion_tokens": usage.output, "total_tokens": usage.input + usage.output});
    events.push(Event { data: chunk(json!([]), counted).to_string().into(), usage: Some(*usage) });
    events
}
