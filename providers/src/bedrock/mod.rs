//! Amazon Bedrock: chat through Converse, embeddings and the messages of Claude through `InvokeModel`, with the function's own IAM role.

mod blocks;
mod bounded;
mod cache;
pub(crate) mod claude;
mod document;
mod embed;
mod failure;
mod map;
mod reply;
mod stream;

use async_trait::async_trait;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_bedrockruntime::Client;
use aws_sdk_bedrockruntime::config::{Builder, StalledStreamProtectionConfig};
use aws_sdk_bedrockruntime::operation::RequestId as _;
use aws_smithy_types::error::operation::BuildError;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use futures_util::stream::unfold;
use shared::model::catalog::ProviderConfig;
use shared::model::clock::Clock;
use shared::model::id;
use shared::model::long_work::long_work;
use shared::model::provider::{Endpoint, Failure, Provider, ProviderRequest, Reply};
use tokio::sync::OnceCell;

use self::bounded::BoundAnswers;
use crate::answer::Answer;
use crate::conversation::Conversation;
use crate::translate::translate;

/// Bedrock in one region.
pub struct Bedrock {
    region: Option<String>,
    /// An endpoint other than the region's, such as one inside a VPC.
    endpoint_url: Option<String>,
    clock: Clock,
    client: OnceCell<Client>,
}

impl Bedrock {
    pub(crate) fn new(config: &ProviderConfig, clock: Clock) -> Self {
        let (region, endpoint_url) = (config.region.clone(), config.base_url.clone());
        Self { region, endpoint_url, clock, client: OnceCell::new() }
    }

    /// Uses the given client.
    #[must_use]
    pub fn with_client(client: Client, clock: Clock) -> Self {
        Self { region: None, endpoint_url: None, clock, client: OnceCell::new_with(Some(client)) }
    }

    /// The client, built on first use. Finding credentials takes longer than the rest of a cold start.
    async fn client(&self) -> &Client {
        self.client
            .get_or_init(|| async {
                let region = self.region.clone().map(Region::new);
                let loader = aws_config::defaults(BehaviorVersion::latest());
                let shared = match region {
                    Some(region) => loader.region(region).load().await,
                    None => loader.load().await,
                };
                let config = Builder::from(&shared);
                Client::from_conf(match &self.endpoint_url {
                    Some(url) => config.endpoint_url(url).build(),
                    None => config.build(),
                })
            })
            .await
    }

    async fn chat(&self, call: &ProviderRequest) -> Result<Reply, Failure> {
        let request = long_work(call.body.bytes(), || map::request(call, &Conversation::parse(&call.body)?))?;
        let answer = Answer { id: String::new(), created: self.clock.now().seconds(), model: call.model.clone() };
        if call.stream {
            self.converse_stream(call, request, answer).await
        } else {
            self.converse(call, request, answer).await
        }
    }

    async fn converse(
        &self,
        call: &ProviderRequest,
        request: map::Request,
        mut answer: Answer,
    ) -> Result<Reply, Failure> {
        let operation = self.client().await.converse().model_id(&call.model);
        let operation =
            operation.set_messages(request.messages).set_system(request.system).set_tool_config(request.tools);
        let operation = operation.inference_config(request.inference).set_output_config(request.output);
        let operation = operation.set_additional_model_request_fields(request.additional);
        let sending = operation.customize().config_override(settings(call)).send();
        let output = Box::pin(sending).await.map_err(|error| failure::of_call(error, call.connect))?;
        answer.id = completion_id(output.request_id());
        Ok(Reply::from(reply::whole(&answer, output, request.one_call)))
    }

    async fn converse_stream(
        &self,
        call: &ProviderRequest,
        request: map::Request,
        mut answer: Answer,
    ) -> Result<Reply, Failure> {
        let operation = self.client().await.converse_stream().model_id(&call.model);
        let operation =
            operation.set_messages(request.messages).set_system(request.system).set_tool_config(request.tools);
        let operation = operation.inference_config(request.inference).set_output_config(request.output);
        let operation = operation.set_additional_model_request_fields(request.additional);
        let sending = operation.customize().config_override(settings(call)).send();
        let output = Box::pin(sending).await.map_err(|error| failure::of_call(error, call.connect))?;
        answer.id = completion_id(output.request_id());
        let events = unfold(output.stream, |mut events| async {
            let event = events.recv().await.map_err(failure::of_stream).transpose()?;
            Some((event, events))
        });
        Ok(Reply::Stream(translate(Box::pin(events), stream::Converse::new(answer, request.one_call))))
    }
}

#[async_trait]
impl Provider for Bedrock {
    async fn send(&self, call: &ProviderRequest) -> Result<Reply, Failure> {
        match call.endpoint {
            Endpoint::ChatCompletions => self.chat(call).await,
            Endpoint::Messages if claude::takes(&call.model) => claude::message(self.client().await, call).await,
            Endpoint::Embeddings => embed::embed(self.client().await, call).await,
            other => {
                let what = format!("Bedrock has no {}", other.operation());
                Err(Failure::Unsupported { what, param: None })
            }
        }
    }
}

/// The settings of one attempt, which waits as long as the model takes. Retries and other timeouts belong to the
/// caller.
fn settings(call: &ProviderRequest) -> Builder {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(call.connect)
        .disable_read_timeout()
        .disable_operation_timeout()
        .disable_operation_attempt_timeout();
    aws_sdk_bedrockruntime::Config::builder()
        .timeout_config(timeouts.build())
        .retry_config(RetryConfig::disabled())
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .interceptor(BoundAnswers)
}

/// The id of the completion: AWS's id of the request, which AWS support asks for.
fn completion_id(request_id: Option<&str>) -> String {
    request_id.map_or_else(|| id::new("chatcmpl-"), |request_id| format!("chatcmpl-{request_id}"))
}

/// The SDK checks at run time that required members are set. They are set here.
fn built<T>(result: Result<T, BuildError>) -> Result<T, Failure> {
    result.map_err(|error| Failure::Unsupported { what: error.to_string(), param: None })
}
