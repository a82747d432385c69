//! Messages of Claude models through `InvokeModel`. It takes and returns Anthropic's own bodies, so nothing of them is lost.

use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::types::ResponseStream;
use aws_smithy_types::Blob;
use bytes::Bytes;
use futures_util::stream::unfold;
use shared::model::catalog::ProviderKind;
use shared::model::long_work::long_work;
use shared::model::provider::{Failure, ProviderRequest, Reply};

use super::{failure, settings};
use crate::anthropic::native;
use crate::http::SseEvent;
use crate::translate::translate;

/// Bedrock's name of the API's version. It has no other one.
const VERSION: &str = "bedrock-2023-05-31";

const JSON: &str = "application/json";

/// The betas that Bedrock knows, or how their names begin. It refuses a call with another one.
const BETAS: [&str; 7] =
    ["compact-", "computer-use-", "context-1m-", "context-management-", "effort-", "mid-conversation-", "thinking-"];

/// A beta that has another name there.
const RENAMED: (&str, &str) = ("advanced-tool-use-", "tool-search-tool-2025-10-19");

/// Whether the messages of a model come here. All other models are called through Converse.
pub(crate) fn takes(model: &str) -> bool {
    ProviderKind::Bedrock.passes_messages(model)
}

pub(super) async fn message(client: &Client, call: &ProviderRequest) -> Result<Reply, Failure> {
    let body = Blob::new(long_work(call.body.bytes(), || body(call)));
    if call.stream { stream(client, call, body).await } else { whole(client, call, body).await }
}

async fn whole(client: &Client, call: &ProviderRequest, body: Blob) -> Result<Reply, Failure> {
    let operation = client.invoke_model().model_id(&call.model).content_type(JSON).accept(JSON).body(body);
    let sending = operation.customize().config_override(settings(call)).send();
    let output = Box::pin(sending).await.map_err(|error| failure::of_call(error, call.connect))?;
    native::whole(Bytes::from(output.body.into_inner())).map(Reply::from)
}

async fn stream(client: &Client, call: &ProviderRequest, body: Blob) -> Result<Reply, Failure> {
    let operation = client.invoke_model_with_response_stream().model_id(&call.model);
    let operation = operation.content_type(JSON).accept(JSON).body(body);
    let sending = operation.customize().config_override(settings(call)).send();
    let output = Box::pin(sending).await.map_err(|error| failure::of_call(error, call.connect))?;
    let events = unfold(output.body, |mut events| async {
        let event = events.recv().await.map_err(failure::of_stream).transpose()?;
        Some((event.and_then(event_of), events))
    });
    Ok(Reply::Stream(translate(Box::pin(events), native::Events::default())))
}

/// The event of Anthropic's API in a frame.
fn event_of(frame: ResponseStream) -> Result<SseEvent, Failure> {
    let not_understood = || Failure::Malformed("a frame of the stream has no event".to_owned());
    let bytes = frame.as_chunk().ok().and_then(|chunk| chunk.bytes.clone()).ok_or_else(not_understood)?;
    let data = String::from_utf8(bytes.into_inner()).map_err(|_| not_understood())?;
    Ok(SseEvent { name: "message".to_owned(), data })
}

/// The client's body. The path and the operation say which model, and whether it is a stream.
fn body(call: &ProviderRequest) -> Vec<u8> {
    let mut body = native::own(call);
    body.remove("model");
    body.remove("stream");
    body.set("anthropic_version", VERSION);
    let betas = betas(call);
    if !betas.is_empty() {
        body.set("anthropic_beta", &betas);
    }
    body.to_bytes().to_vec()
}

/// The betas of the client that Bedrock takes.
fn betas(call: &ProviderRequest) -> Vec<&str> {
    let lists = call.headers.iter().filter(|(name, _)| *name == "anthropic-beta");
    let names = lists.flat_map(|(_, list)| list.split(',')).map(str::trim);
    let known = |name: &&str| BETAS.iter().any(|begin| name.starts_with(begin));
    names
        .map(|name| if name.starts_with(RENAMED.0) { RENAMED.1 } else { name })
        .filter(|name| *name == RENAMED.1 || known(name))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use shared::model::form::Uploads;
    use shared::model::object::Object;
    use shared::model::provider::Endpoint;
    use shared::model::provider_batch::Exchange;

    use super::*;

    #[test]
    fn bedrock_is_sent_the_betas_that_it_knows() {
        let list = "claude-code-20250219, interleaved-thinking-2025-05-14,context-management-2025-06-27,advanced-tool-use-2025-11-20,effort-2025-11-24";
        let call = ProviderRequest {
            endpoint: Endpoint::Messages,
            model: "anthropic.claude-opus-5-5".to_owned(),
            body: Object::default(),
            uploads: Uploads::default(),
            stream: false,
            max_output_tokens: None,
            connect: Duration::from_secs(1),
            headers: vec![("anthropic-version", "2023-06-01".to_owned()), ("anthropic-beta", list.to_owned())],
            traceparent: None,
            exchange: Exchange::Network,
        };
        assert_eq!(betas(&call), ["context-management-2025-06-27", "tool-search-tool-2025-10-19", "effort-2025-11-24"]);
    }
}
