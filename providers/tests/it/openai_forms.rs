//! Edits of images and transcripts at a server with OpenAI's API: calls that are forms with files.

use bytes::Bytes;
use shared::model::content_type::ContentType;
use shared::model::form::Upload;
use shared::model::provider::{Endpoint, Failure, ProviderRequest};
use shared::model::tokens::Usage;

use crate::play::{Answer, Server, call, drain, failure, json, lines, provider, whole};

fn toml(server: &Server) -> String {
    format!("[[provider]]\nname = \"it\"\nkind = \"openai\"\nbase_url = \"{}\"\ndrop = [\"style\"]\n", server.base_url)
}

const SIMULATOR: &str = "[[provider]]\nname = \"it\"\nkind = \"simulator\"\n";

fn file(field: &str, name: &str) -> Upload {
    let (field, name) = (field.to_owned(), name.to_owned());
    Upload { field, name, content_type: Some("audio/mpeg".to_owned()), bytes: Bytes::from_static(b"\xff\x00\r\n--") }
}

fn with(request: ProviderRequest, files: Vec<Upload>) -> ProviderRequest {
    ProviderRequest { uploads: files.into(), ..request }
}

fn transcription(members: &str, stream: bool) -> ProviderRequest {
    let body = format!(r#"{{"model":"m"{members}}}"#);
    with(call(Endpoint::Transcriptions, &body, stream), vec![file("file", "a.mp3")])
}

#[tokio::test]
async fn an_edit_is_sent_as_a_form_and_its_images_are_counted() {
    let answer = r#"{"created":1,"data":[{},{}],"usage":{"input_tokens":700,"output_tokens":272,"input_tokens_details":{"text_tokens":100,"image_tokens":600}}}"#;
    let server = Server::start(Answer::json(200, answer)).await;
    let body = r#"{"model":"m","prompt":"A \"cat\"","n":2,"style":"vivid"}"#;
    let sent = with(call(Endpoint::ImageEdits, body, false), vec![file("image", "a.png"), file("image", "b.png")]);
    let made = whole(provider(&toml(&server)).send(&sent).await.unwrap());
    let usage = Usage { input: 700, image_input: 600, output: 272, ..Usage::default() };
    assert_eq!((&made.body[..], made.usage, made.pieces), (answer.as_bytes(), Some(usage), Some(2)));
    let got = server.got();
    assert_eq!((got.path.as_str(), got.header("authorization")), ("/v1/images/edits", None));
    let boundary = got.header("content-type").unwrap().strip_prefix("multipart/form-data; boundary=").unwrap();
    let text = String::from_utf8_lossy(&got.body).replace(boundary, "B");
    let parts: Vec<_> = text.split("--B").map(str::trim).collect();
    let image = |name: &str| {
        format!(
            "content-disposition: form-data; name=\"image[]\"; filename=\"{name}\"\r\ncontent-type: audio/mpeg\r\n\r\n\u{fffd}\0\r\n--"
        )
    };
    let text = |name: &str, text: &str| format!("content-disposition: form-data; name=\"{name}\"\r\n\r\n{text}");
    let expected =
        [text("model", "their-model"), text("prompt", "A \"cat\""), text("n", "2"), image("a.png"), image("b.png")];
    assert_eq!(parts[1..=5], expected);
}

#[tokio::test]
async fn transcripts_report_seconds_or_tokens() {
    let tokens = |audio_input| Usage { input: 14, audio_input, output: 101, ..Usage::default() };
    for (answer, usage, seconds) in [
        (r#"{"text":"a"}"#, None, None),
        (r#"{"text":"a","usage":{"type":"duration","seconds":8.1}}"#, None, Some(9)),
        (r#"{"task":"transcribe","duration":8.470000267028809,"text":"a"}"#, None, Some(9)),
        (r#"{"text":"a","duration":8.4,"usage":{"type":"duration","seconds":12}}"#, None, Some(12)),
        (
            r#"{"text":"a","usage":{"type":"tokens","input_tokens":14,"output_tokens":101,"input_token_details":{"text_tokens":4,"audio_tokens":10}}}"#,
            Some(tokens(10)),
            None,
        ),
        // What is not said to be text is sound, which costs more.
        (r#"{"text":"a","usage":{"input_tokens":14,"output_tokens":101}}"#, Some(tokens(14)), None),
        (
            r#"{"text":"a","usage":{"input_tokens":14,"output_tokens":101,"input_token_details":{"text_tokens":5}}}"#,
            Some(tokens(9)),
            None,
        ),
    ] {
        let server = Server::start(Answer::json(200, answer)).await;
        let heard = whole(provider(&toml(&server)).send(&transcription("", false)).await.unwrap());
        assert_eq!((&heard.body[..], heard.usage, heard.pieces), (answer.as_bytes(), usage, seconds), "{answer}");
        assert_eq!((server.got().path, heard.content_type), ("/v1/audio/transcriptions".into(), ContentType::Json));
    }
}

#[tokio::test]
async fn texts_and_subtitles_pass_through() {
    let srt = "1\n00:00:00,000 --> 00:00:02,000\nGrüße\n";
    for (format, content_type, text, expected) in [
        ("text", "text/plain", "Grüße\n", ContentType::Text),
        ("srt", "text/plain; charset=utf-8", srt, ContentType::Text),
        ("vtt", "application/octet-stream", "WEBVTT\n", ContentType::Vtt),
        ("text", "application/json", "\"Grüße\"", ContentType::Text),
        ("text", "application/json", r#"{"text":"Grüße"}"#, ContentType::Json),
        ("text", "text/plain", "", ContentType::Text),
    ] {
        let answer = Answer {
            status: 200,
            headers: vec![("content-type", content_type)],
            pieces: vec![text.into()],
            breaks: false,
        };
        let server = Server::start(answer).await;
        let sent = transcription(&format!(r#","response_format":"{format}""#), false);
        let heard = whole(provider(&toml(&server)).send(&sent).await.unwrap());
        assert_eq!((&heard.body[..], heard.content_type), (text.as_bytes(), expected), "{format}");
        assert_eq!((heard.usage, heard.pieces), (None, None));
    }
}

#[tokio::test]
async fn what_is_no_transcript_is_malformed_and_an_error_keeps_its_words() {
    let error = r#"{"error":{"message":"Too long.","type":"invalid_request_error","code":"audio_too_long"}}"#;
    let page = |content_type| Answer {
        status: 200,
        headers: vec![("content-type", content_type)],
        pieces: vec!["<html>".into()],
        breaks: false,
    };
    for (members, answer) in [
        ("", Answer::json(200, r#"{"created":1}"#)),
        ("", Answer::json(200, r#"{"text":7}"#)),
        ("", page("text/plain")),
        (r#","response_format":"text""#, page("text/html")),
    ] {
        let server = Server::start(answer).await;
        let failure = failure(provider(&toml(&server)).send(&transcription(members, false)).await);
        assert!(matches!(failure, Failure::Malformed(_)), "{failure}");
    }
    let server = Server::start(Answer::json(400, error)).await;
    let failure = failure(provider(&toml(&server)).send(&transcription("", false)).await);
    let Failure::Refused { refusal, .. } = &failure else { panic!("{failure}") };
    assert_eq!(refusal.code.as_deref(), Some("audio_too_long"));
}

const DELTA: &str = r#"{"type":"transcript.text.delta","delta":"a"}"#;
const DONE: &str = r#"{"type":"transcript.text.done","text":"a","usage":{"type":"tokens","input_tokens":14,"input_token_details":{"text_tokens":10,"audio_tokens":4},"output_tokens":31}}"#;

#[tokio::test]
async fn a_streamed_transcript_ends_with_its_usage_also_where_the_model_does_not_stream() {
    let server = Server::start(Answer::sse(&format!("data: {DELTA}\n\ndata: {DONE}\n\n"))).await;
    let sent = transcription(r#","stream":true"#, true);
    let events: Vec<_> =
        drain(provider(&toml(&server)).send(&sent).await.unwrap()).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(events.iter().map(|event| &event.data[..]).collect::<Vec<_>>(), [DELTA.as_bytes(), DONE.as_bytes()]);
    assert_eq!(events[1].usage, Some(Usage { input: 14, audio_input: 4, output: 31, ..Usage::default() }));

    let server = Server::start(Answer::json(200, r#"{"text":"a","usage":{"type":"duration","seconds":3}}"#)).await;
    let line = lines(provider(&toml(&server)).send(&sent).await.unwrap()).await;
    let expected = r#"{"type":"transcript.text.done","text":"a","usage":{"type":"duration","seconds":3}}"#;
    assert_eq!(json(line.trim()), json(expected));

    let server = Server::start(Answer::sse(&format!("data: {DELTA}\n\n"))).await;
    let events = drain(provider(&toml(&server)).send(&sent).await.unwrap()).await;
    assert!(events.len() == 2 && matches!(events[1], Err(Failure::Malformed(_))), "{events:?}");
}

#[tokio::test]
async fn other_providers_say_that_they_have_neither() {
    for (kind, setting) in [
        ("anthropic", "api_key_env = \"KEY\""),
        ("gemini", "api_key_env = \"KEY\""),
        ("bedrock", "region = \"us-east-1\""),
    ] {
        let toml = format!("[[provider]]\nname = \"it\"\nkind = \"{kind}\"\n{setting}\n");
        for endpoint in [Endpoint::ImageEdits, Endpoint::Transcriptions, Endpoint::Translations] {
            let sent = with(call(endpoint, r#"{"model":"m"}"#, false), vec![file("file", "a")]);
            let failure = failure(provider(&toml).send(&sent).await);
            let Failure::Unsupported { what, .. } = &failure else { panic!("{kind}: {failure}") };
            assert!(what.contains(endpoint.operation()), "{what}");
        }
    }
}

#[tokio::test]
async fn the_simulator_transcribes_into_each_form() {
    for (format, content_type, begins) in [
        ("json", ContentType::Json, "{\"text\":\"This"),
        ("verbose_json", ContentType::Json, "{"),
        ("diarized_json", ContentType::Json, "{"),
        ("text", ContentType::Text, "This is weir's simulator"),
        ("srt", ContentType::Text, "1\n00:00:00,000 --> 00:00:01,000\n"),
        ("vtt", ContentType::Vtt, "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\n"),
    ] {
        let sent = transcription(&format!(r#","response_format":"{format}""#), false);
        let heard = whole(provider(SIMULATOR).send(&sent).await.unwrap());
        let text = String::from_utf8_lossy(&heard.body);
        assert_eq!((heard.content_type, heard.pieces), (content_type, Some(1)), "{format}");
        assert!(text.starts_with(begins), "{text}");
    }
    let events = lines(provider(SIMULATOR).send(&transcription(r#","stream":true"#, true)).await.unwrap()).await;
    let said: String = events.lines().filter_map(|line| json(line)["delta"].as_str().map(str::to_owned)).collect();
    assert_eq!(json(events.lines().last().unwrap())["text"], said.as_str());
}

#[tokio::test]
async fn the_simulator_edits_images_and_counts_those_that_it_got() {
    let edit = |files| with(call(Endpoint::ImageEdits, r#"{"model":"m","prompt":"A cat","n":2}"#, false), files);
    let one = whole(provider(SIMULATOR).send(&edit(vec![file("image", "a.png")])).await.unwrap());
    let two =
        whole(provider(SIMULATOR).send(&edit(vec![file("image", "a.png"), file("mask", "m.png")])).await.unwrap());
    assert_eq!((one.pieces, one.usage.unwrap().image_input, two.usage.unwrap().image_input), (Some(2), 272, 544));
    assert_ne!(json(&one.body)["data"], json(&two.body)["data"]);
}
