//! File descriptors: the limit is raised, and a shortage is weir's own.

use std::io::Write as _;
use std::net::TcpStream;

use crate::process::{Connection, Folder, Server, chat, weir_under};
use crate::upstream::serve;

const ANSWER: &str = r#"{"id":"1","object":"chat.completion","created":1,"model":"x","choices":[{"index":0,"message":{"role":"assistant","content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;

fn answer(client: &mut TcpStream) {
    let length = ANSWER.len();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    let _ = client.write_all(format!("{head}{ANSWER}").as_bytes());
    let _ = client.shutdown(std::net::Shutdown::Both);
}

#[test]
fn the_limit_of_descriptors_is_raised_to_the_hard_one() {
    let server = Server::start(weir_under("ulimit -Sn 100 && ulimit -Hn 300"), &["--data", "memory"]);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.id())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert_eq!(line.split_whitespace().nth(3), Some("300"), "{line}");
}

#[test]
fn a_shortage_of_descriptors_is_our_503_and_no_outage_of_the_provider() {
    let folder = Folder::new("descriptors");
    let (url, requests) = serve(answer);
    let mut command = weir_under("ulimit -n 60");
    command.env("UP_KEY", "sk-upstream-secret");
    let server = Server::start(command, &["--data", "memory", "--models", &folder.models(&url, 60_000)]);
    let mut client = Connection::open(server.address);
    let body = chat("m", "hello", false);
    let mut call = |expected: u16| {
        let reply = client.send("POST", "/v1/chat/completions", &server.key, &body);
        assert_eq!(reply.status, expected, "{}{}", reply.head, reply.body);
        reply
    };
    call(200);
    let idle: Vec<TcpStream> = (0..80).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    crate::process::eventually("no connection is accepted any more", || server.log().contains("cannot be accepted"));
    for _ in 0..6 {
        let reply = call(503);
        assert!(
            reply.body.contains(r#""code":"overloaded""#) && reply.head.contains("retry-after: "),
            "{}",
            reply.body
        );
    }
    drop(idle);
    crate::process::eventually("connections are accepted again", || {
        server.send("GET", "/healthz", "", "").status == 200
    });
    // No breaker has opened: the very next call reaches the provider.
    assert_eq!(requests.try_iter().count(), 1);
    call(200);
    let log = server.log();
    assert!(log.contains("no file descriptor left") && !log.contains("circuit breaker changed"), "{log}");
}
