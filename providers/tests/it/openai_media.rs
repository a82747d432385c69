//! Images and sound at a server with OpenAI's API.

use bytes::Bytes;
use shared::model::content_type::ContentType;
use shared::model::provider::{Endpoint, Failure};
use shared::model::tokens::Usage;

use crate::play::{Answer, Server, call, drain, failure, json, lines, provider, whole};

fn toml(server: &Server) -> String {
    format!("[[provider]]\nname = \"it\"\nkind = \"openai\"\nbase_url = \"{}\"\ndrop = [\"style\"]\n", server.base_url)
}

const PROMPT: &str = r#"{"model":"m","prompt":"A cat","n":2,"style":"vivid","new_member":1.0}"#;
const SPOKEN: &str = r#"{"model":"m","input":"Grüße","voice":"alloy"}"#;

#[tokio::test]
async fn images_pass_through_and_are_counted() {
    let by_tokens = r#"{"created":1,"data":[{"b64_json":"aGk="}],"usage":{"input_tokens":50,"output_tokens":272,"total_tokens":322,"input_tokens_details":{"text_tokens":50,"image_tokens":0}}}"#;
    let by_piece = r#"{"created":1,"data":[{"url":"https://a"},{"url":"https://b","revised_prompt":"A cat"}]}"#;
    let as_chat = r#"{"created":1,"data":[{}],"usage":{"prompt_tokens":9,"completion_tokens":7}}"#;
    for (answer, usage, pieces) in [
        (as_chat, Some(Usage { input: 9, output: 7, ..Usage::default() }), 1),
        (by_tokens, Some(Usage { input: 50, output: 272, ..Usage::default() }), 1),
        (by_piece, None, 2),
        (r#"{"created":1,"data":[],"usage":null}"#, None, 0),
    ] {
        let server = Server::start(Answer::json(200, answer)).await;
        let whole = whole(provider(&toml(&server)).send(&call(Endpoint::Images, PROMPT, false)).await.unwrap());
        assert_eq!((&whole.body[..], whole.usage, whole.pieces), (answer.as_bytes(), usage, Some(pieces)));
        let got = server.got();
        assert_eq!(got.path, "/v1/images/generations");
        assert_eq!(got.json(), json(r#"{"model":"their-model","prompt":"A cat","n":2,"new_member":1.0}"#));
    }
}

#[tokio::test]
async fn an_answer_that_is_no_image_is_malformed_and_an_error_keeps_its_words() {
    let error = r#"{"error":{"message":"Blocked.","code":"moderation_blocked"}}"#;
    for (status, answer, code) in
        [(200, r#"{"created":1}"#, None), (200, "<html>", None), (400, error, Some("moderation_blocked"))]
    {
        let server = Server::start(Answer::json(status, answer)).await;
        match (failure(provider(&toml(&server)).send(&call(Endpoint::Images, PROMPT, false)).await), code) {
            (Failure::Malformed(_), None) => {}
            (Failure::Refused { refusal, .. }, Some(code)) => assert_eq!(refusal.code.as_deref(), Some(code)),
            (failure, _) => panic!("{answer}: {failure}"),
        }
    }
}

#[tokio::test]
async fn sound_passes_through_byte_for_byte() {
    let sound: &[&[u8]] = &[b"ID3\xff\xfb", b"\x00\x90"];
    for (format, content_type) in [("", ContentType::Mp3), ("wav", ContentType::Wav), ("x", ContentType::Bytes)] {
        let pieces = sound.iter().map(|piece| Bytes::copy_from_slice(piece)).collect();
        let headers = vec![("content-type", "audio/mpeg")];
        let server = Server::start(Answer { status: 200, headers, pieces, breaks: false }).await;
        let format = if format.is_empty() { String::new() } else { format!(r#","response_format":"{format}""#) };
        let sent = SPOKEN.replace('}', &format!("{format}}}"));
        let whole = whole(provider(&toml(&server)).send(&call(Endpoint::Speech, &sent, false)).await.unwrap());
        assert_eq!((whole.body, whole.content_type), (sound.concat().into(), content_type));
        assert_eq!((whole.usage, whole.pieces), (None, Some(5)));
        assert_eq!(server.got().path, "/v1/audio/speech");
    }
}

#[tokio::test]
async fn json_and_nothing_are_no_sound() {
    let error = r#"{"error":{"message":"Busy.","type":"server_error"}}"#;
    for answer in [error, "{}", ""] {
        let server = Server::start(Answer::json(200, answer)).await;
        let failure = failure(provider(&toml(&server)).send(&call(Endpoint::Speech, SPOKEN, false)).await);
        assert_eq!(matches!(failure, Failure::Malformed(_)), answer != error, "{answer}: {failure}");
    }
    let pieces = vec![Bytes::from_static(b"ID3")];
    let cut = Answer { status: 200, headers: vec![("content-type", "audio/mpeg")], pieces, breaks: true };
    let server = Server::start(cut).await;
    let failure = failure(provider(&toml(&server)).send(&call(Endpoint::Speech, SPOKEN, false)).await);
    assert!(matches!(failure, Failure::Interrupted(_)), "{failure}");
}

const DELTA: &str = r#"{"type":"speech.audio.delta","audio":"aGk="}"#;
const DONE: &str = r#"{"type":"speech.audio.done","usage":{"input_tokens":14,"output_tokens":101,"total_tokens":115}}"#;

#[tokio::test]
async fn a_stream_of_sound_ends_with_its_usage() {
    let server = Server::start(Answer::sse(&format!("data: {DELTA}\n\ndata: {DONE}\n\n"))).await;
    let sent = SPOKEN.replace('}', r#","stream_format":"sse"}"#);
    let reply = provider(&toml(&server)).send(&call(Endpoint::Speech, &sent, true)).await.unwrap();
    let events: Vec<_> = drain(reply).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(events.iter().map(|event| &event.data[..]).collect::<Vec<_>>(), [DELTA.as_bytes(), DONE.as_bytes()]);
    assert_eq!(events[1].usage, Some(Usage { input: 14, output: 101, ..Usage::default() }));
    // Neither `stream` nor `stream_options` belongs to this API.
    assert_eq!(server.got().json(), json(sent.replace(r#""m""#, r#""their-model""#)));
}

#[tokio::test]
async fn a_stream_of_sound_that_breaks_off_is_a_failure() {
    let error = "event: error\ndata: {\"error\":{\"message\":\"Busy.\",\"type\":\"server_error\"}}\n\n";
    for rest in ["", error, "data: not json\n\n"] {
        let server = Server::start(Answer::sse(&format!("data: {DELTA}\n\n{rest}"))).await;
        let reply = provider(&toml(&server)).send(&call(Endpoint::Speech, SPOKEN, true)).await.unwrap();
        let events = drain(reply).await;
        assert!(events.len() == 2 && events[1].is_err(), "{rest}: {events:?}");
    }
}

#[tokio::test]
async fn other_providers_say_that_they_have_neither() {
    for kind in ["anthropic", "gemini", "bedrock"] {
        let toml =
            format!("[[provider]]\nname = \"it\"\nkind = \"{kind}\"\nregion = \"us-east-1\"\napi_key_env = \"KEY\"\n");
        let toml = if kind == "bedrock" {
            toml.replace("api_key_env = \"KEY\"\n", "")
        } else {
            toml.replace("region = \"us-east-1\"\n", "")
        };
        for (endpoint, body) in [(Endpoint::Images, PROMPT), (Endpoint::Speech, SPOKEN)] {
            let failure = failure(provider(&toml).send(&call(endpoint, body, false)).await);
            let Failure::Unsupported { what, .. } = &failure else { panic!("{kind}: {failure}") };
            assert!(what.contains(endpoint.operation()), "{what}");
        }
    }
}

#[tokio::test]
async fn the_simulator_streams_the_sound_that_it_answers_whole() {
    use base64::Engine as _;
    const SIMULATOR: &str = "[[provider]]\nname = \"it\"\nkind = \"simulator\"\n";
    let spoken = whole(provider(SIMULATOR).send(&call(Endpoint::Speech, SPOKEN, false)).await.unwrap());
    assert_eq!((spoken.content_type, spoken.pieces), (ContentType::Wav, Some(5)));
    let length = |at: usize| u32::from_le_bytes(spoken.body[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!((&spoken.body[..4], &spoken.body[8..16]), (&b"RIFF"[..], &b"WAVEfmt "[..]));
    assert_eq!((length(4) + 8, length(40) + 44), (spoken.body.len(), spoken.body.len()));
    let events = lines(provider(SIMULATOR).send(&call(Endpoint::Speech, SPOKEN, true)).await.unwrap()).await;
    let audio = events.lines().filter_map(|line| json(line)["audio"].as_str().map(str::to_owned));
    let streamed: Vec<u8> =
        audio.flat_map(|part| base64::engine::general_purpose::STANDARD.decode(part).unwrap()).collect();
    assert_eq!(streamed, spoken.body);
}

#[tokio::test]
async fn the_simulator_makes_an_image_for_each_that_is_asked_for() {
    use base64::Engine as _;
    const SIMULATOR: &str = "[[provider]]\nname = \"it\"\nkind = \"simulator\"\n";
    let made = whole(provider(SIMULATOR).send(&call(Endpoint::Images, PROMPT, false)).await.unwrap());
    let answer = json(&made.body);
    assert_eq!((answer["data"].as_array().unwrap().len(), made.pieces), (2, Some(2)));
    let image =
        base64::engine::general_purpose::STANDARD.decode(answer["data"][0]["b64_json"].as_str().unwrap()).unwrap();
    assert!(image.starts_with(b"\x89PNG\r\n\x1a\n") && image.ends_with(b"IEND\xae\x42\x60\x82"));
}
