//! The log of a whole process at its lowest level.

use std::io::Write as _;

use crate::process::{Connection, Folder, Server, chat};
use crate::upstream::{serve, weir_with_key};

const PROMPT: &str = "pineapple-secret";

#[test]
fn at_the_level_trace_no_line_holds_a_key_a_prompt_or_an_answer() {
    let folder = Folder::new("trace");
    let (url, requests) = serve(|client| {
        let answer = format!(r#"{{"choices":[{{"message":{{"content":"{PROMPT}"}},"finish_reason":"stop"}}]}}"#);
        let length = answer.len();
        let _ = client.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{answer}").as_bytes());
    });
    let (data, models) = (folder.path("data"), folder.models(&url, 60_000));
    let arguments =
        ["--data", &data, "--models", &models, "--log", "trace,hyper=trace,reqwest=trace,aws_smithy_runtime=trace"];
    let server = Server::start(weir_with_key(), &arguments);
    let (key, admin_key) = (server.key.clone(), server.admin_key.clone());
    assert_eq!(server.chat("m", PROMPT).status, 200);
    let mut twice = Connection::open(server.address);
    let body = chat("m", PROMPT, false);
    let length = body.len();
    twice.write(&format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: weir\r\nauthorization: Bearer {key}\r\nauthorization: Bearer {key}\r\n\
         content-length: {length}\r\n\r\n{body}"
    ));
    assert_eq!(twice.reply().status, 401);
    let replied = server.send("GET", "/v1/organization/projects", &admin_key, "");
    assert_eq!(replied.status, 200);
    assert_eq!(requests.try_iter().count(), 1);
    let (status, log) = server.stop();
    assert!(status.success() && log.lines().count() >= 3, "{log}");
    for secret in [PROMPT, &key[12..], &admin_key[14..], "sk-upstream-secret"] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}
