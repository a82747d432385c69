//! `weir files` and `weir batch` against a server.

use std::path::{Path, PathBuf};
use std::process::Output;

use crate::process::{Server, weir};

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("weir-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.0.join(name), content).unwrap();
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn run(server: &Server, arguments: &[&str]) -> Output {
    let url = format!("http://{}/v1", server.address);
    weir().args(arguments).args(["--base-url", &url, "--api-key", &server.key]).output().unwrap()
}

fn printed(server: &Server, arguments: &[&str]) -> String {
    let output = run(server, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_file_goes_up_and_comes_back() {
    let (server, folder) = (Server::start(weir(), &["--data", "memory"]), Folder::new("files"));
    // Larger than a form may be on AWS: it goes up in parts.
    let content: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    for (name, content) in [("small.txt", b"Hello".to_vec()), ("empty.txt", Vec::new()), ("large.bin", content)] {
        let path = folder.file(name, &content);
        let id = printed(&server, &["files", "put", text(&path)]);
        let back = folder.0.join("back");
        printed(&server, &["files", "get", id.trim(), "--output", text(&back)]);
        assert!(std::fs::read(&back).unwrap() == content, "{name}");
    }
    let list = printed(&server, &["files", "list", "--purpose", "user_data"]);
    assert!(list.contains("large.bin") && list.lines().count() == 4, "{list}");
    let id = list.lines().nth(1).unwrap().split(' ').next().unwrap().to_owned();
    assert_eq!(printed(&server, &["files", "delete", &id]), format!("deleted {id}\n"));
    let gone = run(&server, &["files", "get", &id]);
    assert!(!gone.status.success() && String::from_utf8_lossy(&gone.stderr).contains("404"));
    let absent = run(&server, &["files", "put", "no/such/file"]);
    assert!(String::from_utf8_lossy(&absent.stderr).contains("could not read `no/such/file`"));
}

#[test]
fn a_batch_is_submitted_watched_and_read() {
    let (server, folder) = (Server::start(weir(), &["--data", "memory"]), Folder::new("batch"));
    let line = |n: u32| {
        format!(
            r#"{{"custom_id":"{n}","method":"POST","url":"/v1/chat/completions","body":{{"model":"simulator","max_tokens":9,"messages":[{{"role":"user","content":"Hi"}}]}}}}"#
        ) + "\n"
    };
    let good = folder.file("good.jsonl", (0..50).map(line).collect::<String>());
    let watched = run(&server, &["batch", "submit", text(&good), "--watch"]);
    let shown = String::from_utf8(watched.stderr).unwrap();
    assert!(watched.status.success() && shown.contains("50 of 50 lines, 0 failed, $"), "{shown}");
    let id = String::from_utf8(watched.stdout).unwrap();
    let results = printed(&server, &["batch", "results", id.trim()]);
    assert_eq!(results.lines().count(), 50);
    let no_errors = run(&server, &["batch", "results", id.trim(), "--errors"]);
    assert!(String::from_utf8_lossy(&no_errors.stderr).contains("has no errors: its status is completed"));
    let bad = folder.file("bad.jsonl", line(1) + &line(1));
    let failed = run(&server, &["batch", "submit", text(&bad), "--watch"]);
    let why = String::from_utf8(failed.stderr).unwrap();
    assert!(!failed.status.success() && why.contains("ended as failed\n  line 2: "), "{why}");
    let list = printed(&server, &["batch", "list"]);
    assert!(list.contains(id.trim()) && list.lines().count() == 3, "{list}");
    let none = folder.file("none.jsonl", "\n\n");
    let refused = run(&server, &["batch", "submit", text(&none)]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("has no line that names its `url`"));
}
