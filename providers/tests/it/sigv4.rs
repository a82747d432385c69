//! Requests that are signed with AWS credentials.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use shared::model::catalog::Catalog;
use shared::model::clock::Clock;
use shared::model::keys::FixedKey;
use shared::model::provider::{Endpoint, Failure, Provider};
use shared::model::secret::Secret;

use crate::play::{Answer, Got, Server, call, failure};

const NOW_MS: u64 = 1_700_000_000_000;
const REPLY: &str = r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;

fn credentials() -> Credentials {
    Credentials::new("AKID", "secret", Some("session".to_owned()), None, "test")
}

fn provider(kind: &str, server: &Server, options: &str) -> Arc<dyn Provider> {
    let toml = format!(
        "[[provider]]\nname = \"it\"\nkind = \"{kind}\"\nbase_url = \"{}\"\nauth = \"sigv4\"\n{options}\n",
        server.base_url
    );
    let keys = Arc::new(FixedKey(Secret::new("not-sent")));
    let make = providers::connect_with_credentials(keys, &Clock::manual(NOW_MS), credentials());
    make(Catalog::parse(&toml).unwrap().provider("it").unwrap())
}

/// What the AWS SDK's signer writes for a request as the server got it.
fn expected(server: &Server, got: &Got, service: &str, body: &[u8]) -> String {
    let identity = credentials().into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region("eu-central-1")
        .name(service)
        .time(SystemTime::UNIX_EPOCH + Duration::from_millis(NOW_MS))
        .settings(SigningSettings::default())
        .build()
        .unwrap();
    let url = format!("{}{}", server.base_url.trim_end_matches("/v1"), got.path);
    let headers = [("content-type", got.header("content-type").unwrap())];
    let request = SignableRequest::new("POST", url, headers.into_iter(), SignableBody::Bytes(body)).unwrap();
    let (instructions, _) = sign(request, &params.into()).unwrap().into_parts();
    let written: Vec<(String, String)> =
        instructions.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    written.into_iter().find(|(name, _)| name == "authorization").unwrap().1
}

#[tokio::test]
async fn a_request_has_the_signature_that_aws_computes() {
    for (kind, endpoint, path) in [
        ("openai", Endpoint::ChatCompletions, "/v1/chat/completions"),
        ("openai", Endpoint::Embeddings, "/v1/embeddings"),
        ("anthropic", Endpoint::Messages, "/v1/messages"),
    ] {
        let server = Server::start(Answer::json(200, REPLY)).await;
        let body = r#"{"messages":[{"role":"user","content":"hi"}],"input":"a","max_tokens":9}"#;
        // What the answer means is not the matter here.
        let _ = provider(kind, &server, "region = \"eu-central-1\"").send(&call(endpoint, body, false)).await;
        let got = server.got();
        assert_eq!(got.path, path);
        let told = got.header("authorization").unwrap();
        assert_eq!(told, expected(&server, &got, "bedrock", &got.body));
        assert_ne!(told, expected(&server, &got, "bedrock", b"{}"));
        assert_ne!(told, expected(&server, &got, "bedrock-mantle", &got.body));
        let scope = "AWS4-HMAC-SHA256 Credential=AKID/20231114/eu-central-1/bedrock/aws4_request, \
                     SignedHeaders=content-type;host;x-amz-date;x-amz-security-token, Signature=";
        assert!(told.starts_with(scope), "{told}");
        assert_eq!(got.header("x-amz-date"), Some("20231114T221320Z"));
        assert_eq!(got.header("x-amz-security-token"), Some("session"));
        assert_eq!(got.header("x-api-key"), None);
    }
}

#[tokio::test]
async fn a_signature_covers_the_headers_of_aws_in_the_models_file() {
    let server = Server::start(Answer::json(200, REPLY)).await;
    let options =
        "region = \"eu-central-1\"\nheaders = { X-Amzn-Bedrock-GuardrailIdentifier = \"g\", X-Other = \"o\" }";
    provider("openai", &server, options).send(&call(Endpoint::ChatCompletions, "{}", false)).await.unwrap();
    let got = server.got();
    let signed = "SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amzn-bedrock-guardrailidentifier,";
    assert!(got.header("authorization").unwrap().contains(signed), "{:?}", got.header("authorization"));
    assert_eq!((got.header("x-amzn-bedrock-guardrailidentifier"), got.header("x-other")), (Some("g"), Some("o")));
}

#[tokio::test]
async fn a_signature_needs_a_region() {
    let server = Server::start(Answer::json(200, REPLY)).await;
    let failed = failure(provider("openai", &server, "").send(&call(Endpoint::ChatCompletions, "{}", false)).await);
    let Failure::NotSetUp { reason, .. } = &failed else { panic!("{failed}") };
    assert_eq!(reason, "its requests are signed for a region; set `region`");
    assert!(failed.may_fall_back());
}

/// A role that may not call the model is no fault of the caller, and another target may serve the call.
#[tokio::test]
async fn credentials_that_aws_does_not_accept_are_the_operators_matter() {
    let body = r#"{"message":"User: arn:aws:sts::1:assumed-role/r is not authorized"}"#;
    let server = Server::start(Answer::json(403, body)).await;
    let provider = provider("openai", &server, "region = \"eu-central-1\"");
    let failed = failure(provider.send(&call(Endpoint::ChatCompletions, "{}", false)).await);
    assert!(matches!(failed, Failure::Unauthorized { .. }), "{failed}");
    assert!(!failed.to_string().contains("arn:"));
}
