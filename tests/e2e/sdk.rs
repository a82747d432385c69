//! `async-openai` against the local server, by changing only base URL and key.

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::types::chat::{
    ChatCompletionRequestUserMessageArgs, ChatCompletionStreamOptions, CreateChatCompletionRequest,
    CreateChatCompletionRequestArgs,
};
use async_openai::types::embeddings::CreateEmbeddingRequestArgs;
use async_openai::types::responses::{CreateResponseArgs, ResponseStreamEvent, Status};
use futures_util::StreamExt as _;
use local::Settings;

/// Starts the local server on a free port and returns a client for it.
async fn client() -> (Client<OpenAIConfig>, tokio::sync::oneshot::Sender<()>) {
    let server = local::serve(&Settings::default()).await.unwrap();
    let base = format!("http://{}/v1", server.address().unwrap());
    let config = OpenAIConfig::new().with_api_base(base).with_api_key(server.project_key.expose());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    #[expect(clippy::disallowed_methods, reason = "a server for the length of a test")]
    tokio::spawn(server.run(async { drop(stopped.await) }));
    (Client::with_config(config), stop)
}

fn hello() -> CreateChatCompletionRequest {
    let message = ChatCompletionRequestUserMessageArgs::default().content("Hello").build().unwrap();
    CreateChatCompletionRequestArgs::default().model("simulator").messages([message.into()]).build().unwrap()
}

#[tokio::test]
async fn chat_stream_embeddings_models_and_errors() {
    let (client, _stop) = client().await;

    let answer = client.chat().create(hello()).await.unwrap();
    assert!(answer.choices[0].message.content.as_deref().unwrap().contains("simulator"));
    assert!(answer.usage.unwrap().total_tokens > 0);

    let mut request = hello();
    request.stream_options = Some(ChatCompletionStreamOptions { include_usage: Some(true), include_obfuscation: None });
    let mut stream = client.chat().create_stream(request).await.unwrap();
    let (mut text, mut usage) = (String::new(), None);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.unwrap();
        text.extend(chunk.choices.iter().filter_map(|choice| choice.delta.content.as_deref()));
        usage = chunk.usage.or(usage);
    }
    assert_eq!(Some(text.as_str()), answer.choices[0].message.content.as_deref());
    assert!(usage.unwrap().completion_tokens > 0);

    let request = CreateEmbeddingRequestArgs::default()
        .model("simulator-embedding")
        .input(["a", "b"])
        .dimensions(8_u32)
        .build()
        .unwrap();
    let vectors = client.embeddings().create(request.clone()).await.unwrap();
    assert_eq!(vectors.data.iter().map(|one| one.embedding.len()).collect::<Vec<_>>(), [8, 8]);
    let base64 = client
        .embeddings()
        .create_base64(
            CreateEmbeddingRequestArgs::default()
                .model("simulator-embedding")
                .input(["a", "b"])
                .dimensions(8_u32)
                .encoding_format(async_openai::types::embeddings::EncodingFormat::Base64)
                .build()
                .unwrap(),
        )
        .await
        .unwrap();
    let decoded: Vec<f32> = base64.data[0].embedding.clone().into();
    assert_eq!(decoded, vectors.data[0].embedding);

    let models = client.models().list().await.unwrap();
    assert!(models.data.iter().any(|model| model.id == "simulator"));

    let mut unknown = hello();
    unknown.model = "nope".into();
    let Err(OpenAIError::ApiError(error)) = client.chat().create(unknown).await else { panic!("an error of the API") };
    assert_eq!(error.api_error.code.as_deref(), Some("model_not_found"));
}

#[tokio::test]
async fn responses_whole_and_streamed() {
    let (client, _stop) = client().await;
    let request = CreateResponseArgs::default().model("simulator").input("Hello").build().unwrap();
    let made = client.responses().create(request.clone()).await.unwrap();
    assert_eq!(made.status, Status::Completed);
    let text = made.output_text().unwrap();
    assert!(text.contains("simulator"), "{text}");
    assert_eq!(client.responses().retrieve(&made.id).await.unwrap().output_text(), Some(text.clone()));

    let mut events = client.responses().create_stream(request).await.unwrap();
    let (mut streamed, mut last) = (String::new(), None);
    while let Some(event) = events.next().await {
        match event.unwrap() {
            ResponseStreamEvent::ResponseOutputTextDelta(delta) => streamed.push_str(&delta.delta),
            ResponseStreamEvent::ResponseCompleted(completed) => last = Some(completed.response),
            _ => {}
        }
    }
    assert_eq!((&streamed, last.unwrap().output_text().as_ref()), (&text, Some(&text)));
}
