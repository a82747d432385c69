//! An upstream that sends without end: the time limits fire all the same.

use std::io::{BufRead as _, BufReader, Read as _, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use crate::process::{Connection, Folder, Server, chat, weir};

/// Serves each connection on a thread of its own. Returns the base URL and the heads of the requests.
pub(crate) fn serve(answer: impl Fn(&mut TcpStream) + Send + Sync + Clone + 'static) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1", listener.local_addr().unwrap());
    let (requests, received) = channel();
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let (answer, requests) = (answer.clone(), requests.clone());
            std::thread::spawn(move || {
                while let Some(head) = read_request(&client) {
                    let _ = requests.send(head);
                    answer(&mut client);
                }
            });
        }
    });
    (url, received)
}

/// The head of a request, whose body is read too.
fn read_request(client: &TcpStream) -> Option<String> {
    let mut reader = BufReader::new(client);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if reader.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
    reader.read_exact(&mut vec![0; length]).ok()?;
    Some(head)
}

/// Sends `begin` and then `rest` again and again, until weir closes the connection.
fn flood(client: &mut TcpStream, begin: &str, rest: &str) {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let rest = rest.repeat(4_000);
    let mut sent = client.write_all(format!("{head}{begin}").as_bytes());
    while sent.is_ok() {
        sent = client.write_all(rest.as_bytes());
    }
}

#[test]
fn a_stream_without_end_is_ended_by_a_time_limit_or_its_length_and_stops_with_the_server() {
    let folder = Folder::new("floods");
    for (begin, rest) in [
        ("data: ", "aaaaaaaaaaaaaaaa"),
        (": ", "aaaaaaaaaaaaaaaa"),
        ("", "data:\n\n"),
        ("", "data: {\"choices\":[]}\n\n"),
    ] {
        let (url, _requests) = serve(move |client| flood(client, begin, rest));
        let server = Server::start(weir_with_key(), &["--data", "memory", "--models", &folder.models(&url, 500)]);
        let begun = Instant::now();
        let mut streaming = Connection::open(server.address);
        streaming.write_chat(&server.key, &chat("m", "hello", true));
        let answer = streaming.rest();
        assert!(begun.elapsed().as_secs() < 10, "{rest}: {:?}", begun.elapsed());
        assert!(answer.contains("\"error\""), "{rest}: {}", &answer[..answer.len().min(2_000)]);
        let (status, _) = server.stop();
        assert!(status.success(), "{rest}: {status}");
    }
}

#[test]
fn a_client_that_has_ended_its_own_half_gets_an_answer_that_comes_late() {
    let folder = Folder::new("halves");
    let (url, _requests) = serve(|client| {
        std::thread::sleep(Duration::from_millis(200));
        let answer = r#"{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}"#;
        let length = answer.len();
        let _ = client.write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{answer}").as_bytes());
    });
    let server = Server::start(weir_with_key(), &["--data", "memory", "--models", &folder.models(&url, 60_000)]);
    let mut client = Connection::open(server.address);
    client.write_chat(&server.key, &chat("m", "hello", false));
    client.end_own_half();
    assert_eq!(client.reply().status, 200);
}

pub(crate) fn weir_with_key() -> std::process::Command {
    let mut command = weir();
    command.env("UP_KEY", "sk-upstream-secret");
    command
}
