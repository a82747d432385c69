//! Commands against a server: ids, answers that do not come, pipes that close.

use std::io::Write as _;
use std::process::{Output, Stdio};

use crate::process::{Server, weir};
use crate::upstream::serve;

fn jobs(base_url: &str, arguments: &[&str]) -> Output {
    weir().args(["jobs", "--base-url", base_url, "--admin-key", "admin"]).args(arguments).output().unwrap()
}

fn error(output: &Output) -> String {
    assert!(!output.status.success());
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn an_id_is_one_segment_of_the_path_whatever_is_in_it() {
    let (url, requests) = serve(|client| {
        let _ = client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}");
    });
    assert!(jobs(&url, &["show", "../projects?limit=1#x"]).status.success());
    let head = requests.recv().unwrap();
    assert!(head.starts_with("GET /v1/organization/jobs/..%2Fprojects%3Flimit=1%23x HTTP"), "{head}");
}

#[test]
fn ids_that_no_dead_letter_or_job_has_are_errors() {
    let server = Server::start(weir(), &["--data", "memory", "--admin-key", "admin"]);
    let url = format!("http://{}/v1", server.address);
    let replayed = error(&jobs(&url, &["replay", "respond", "no-such-id"]));
    assert!(replayed.contains("queue `respond` has no dead letter with 1 of the ids"), "{replayed}");
    assert!(jobs(&url, &["replay", "respond"]).status.success());
    let listed = error(&jobs(&url, &["list", "--after", "resp_none"]));
    assert!(listed.contains("404: No job found with id 'resp_none'"), "{listed}");
    let wrong = error(&jobs("127.0.0.1:8080", &["list"]));
    assert!(wrong.contains("is no URL"), "{wrong}");
}

#[test]
fn an_admin_key_is_made_listed_and_deleted() {
    let server = Server::start(weir(), &["--data", "memory", "--admin-key", "admin"]);
    let url = format!("http://{}/v1", server.address);
    let run = |key: &str, arguments: &[&str]| {
        weir().args(["admin-keys", "--base-url", &url, "--admin-key", key]).args(arguments).output().unwrap()
    };
    let printed = |output: Output| {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let key = printed(run("admin", &["create", "dashboard", "--expires-in-seconds", "60"]));
    assert!(key.starts_with("sk-weir-admin-"), "{key}");
    let list = printed(run(key.trim(), &["list"]));
    let line = list.lines().find(|line| line.ends_with("dashboard")).unwrap();
    let id = line.split(' ').next().unwrap();
    let refused = error(&run(key.trim(), &["delete", id]));
    assert!(refused.contains("403") && refused.contains("This admin key has: read."), "{refused}");
    assert_eq!(printed(run("admin", &["delete", id])), format!("deleted {id}\n"));
    assert!(error(&run(key.trim(), &["list"])).contains("401"));
}

#[test]
fn the_port_is_open_on_both_addresses_of_localhost() {
    let server = Server::start(weir(), &["--data", "memory"]);
    let port = server.address.port();
    if std::net::TcpListener::bind("[::1]:0").is_ok() {
        assert!(std::net::TcpStream::connect(("::1", port)).is_ok());
    }
}

#[test]
fn a_reader_that_closes_its_pipe_ends_a_command_without_a_word() {
    // A pipe whose other end is closed already.
    let mut reader = std::process::Command::new("true").stdin(Stdio::piped()).spawn().unwrap();
    let closed = reader.stdin.take().unwrap();
    reader.wait().unwrap();
    let file = std::env::temp_dir().join(format!("weir-pipe-{}.toml", std::process::id()));
    std::fs::write(&file, "").unwrap();
    let mut command = weir();
    let output = command.args(["models", "check"]).arg(&file).stdout(closed).stderr(Stdio::piped()).output().unwrap();
    let _ = std::fs::remove_file(&file);
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(141), ""));
}
