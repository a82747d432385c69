//! A `weir serve` of its own, and connections to it.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// The longest time that a test waits for an event.
const PATIENCE: Duration = Duration::from_secs(20);

/// The program.
pub(crate) fn weir() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    for variable in
        ["LOG_LEVEL", "WEIR_ADMIN_KEY", "WEIR_API_KEY", "WEIR_BASE_URL", "WEIR_DATA", "WEIR_MODELS", "WEIR_PORT"]
    {
        command.env_remove(variable);
    }
    command
}

/// The program under a limit of open files, for processes that begin with fewer than the system allows.
pub(crate) fn weir_under(limits: &str) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{limits} && exec \"$0\" \"$@\""), env!("CARGO_BIN_EXE_weir")]);
    shell
}

/// A server that runs until it is dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) key: String,
    pub(crate) admin_key: String,
    lines: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts `weir serve` on a free port, and waits until it is ready.
    pub(crate) fn start(mut command: Command, arguments: &[&str]) -> Self {
        let serve = command.args(["serve", "--port", "0"]).args(arguments);
        let mut child = serve.stdout(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut found = |name: &str| loop {
            let mut line = String::new();
            assert!(output.read_line(&mut line).unwrap() > 0, "weir ended before its line `{name}`");
            if let Some(value) = line.trim().strip_prefix(name) {
                return value.trim().to_owned();
            }
        };
        let base_url = found("base URL");
        let (key, admin_key) = (found("API key"), found("admin key"));
        found("curl"); // The last line of the banner.
        let address = base_url.trim_start_matches("http://").trim_end_matches("/v1").parse().unwrap();
        let lines = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&lines);
        let reader = std::thread::spawn(move || {
            let mut line = String::new();
            while output.read_line(&mut line).is_ok_and(|length| length > 0) {
                kept.lock().unwrap().push_str(&std::mem::take(&mut line));
            }
        });
        Self { child, address, key, admin_key, lines, reader: Some(reader) }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The standard output after the banner: the log.
    pub(crate) fn log(&self) -> String {
        self.lines.lock().unwrap().clone()
    }

    /// Asks the server to stop, waits for its end, and returns its status and its log.
    pub(crate) fn stop(mut self) -> (ExitStatus, String) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        let status = self.child.wait().unwrap();
        self.reader.take().unwrap().join().unwrap();
        (status, self.log())
    }

    /// Sends a request on a connection of its own.
    pub(crate) fn send(&self, method: &str, path: &str, key: &str, body: &str) -> Reply {
        Connection::open(self.address).send(method, path, key, body)
    }

    /// A chat call of the model.
    pub(crate) fn chat(&self, model: &str, content: &str) -> Reply {
        self.send("POST", "/v1/chat/completions", &self.key, &chat(model, content, false))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn chat(model: &str, content: &str, stream: bool) -> String {
    format!(
        r#"{{"model":"{model}","messages":[{{"role":"user","content":"{content}"}}],"max_tokens":9,"stream":{stream}}}"#
    )
}

/// An answer.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

/// A connection of a client.
pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(BufReader::new(stream))
    }

    pub(crate) fn write(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn send(&mut self, method: &str, path: &str, key: &str, body: &str) -> Reply {
        let length = body.len();
        self.write(&format!(
            "{method} {path} HTTP/1.1\r\nhost: weir\r\nauthorization: Bearer {key}\r\ncontent-length: {length}\r\n\r\n{body}"
        ));
        self.reply()
    }

    /// Sends a chat call after which the server closes the connection.
    pub(crate) fn write_chat(&mut self, key: &str, body: &str) {
        let length = body.len();
        self.write(&format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: weir\r\nauthorization: Bearer {key}\r\nconnection: close\r\n\
             content-length: {length}\r\n\r\n{body}"
        ));
    }

    /// Says that nothing more will be sent.
    pub(crate) fn end_own_half(&mut self) {
        self.0.get_mut().shutdown(Shutdown::Write).unwrap();
    }

    /// Reads an answer with a length.
    pub(crate) fn reply(&mut self) -> Reply {
        let head = self.head();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        Reply { status, head, body: String::from_utf8(body).unwrap() }
    }

    /// Reads until the server ends the connection.
    pub(crate) fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        let _ = self.0.read_to_end(&mut rest);
        String::from_utf8_lossy(&rest).into_owned()
    }

    fn head(&mut self) -> String {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(self.0.read_line(&mut head).unwrap() > 0, "the connection ended within a head: {head}");
        }
        head
    }
}

/// A folder that is deleted with its value.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// A models file with one model `m`, at a provider of this address.
    pub(crate) fn models(&self, upstream: &str, total_ms: u32) -> String {
        let text = format!(
            "[[provider]]\nname = \"up\"\nkind = \"openai\"\nbase_url = \"{upstream}\"\napi_key_env = \"UP_KEY\"\n\
             [[model]]\nname = \"m\"\nkind = \"chat\"\ntargets = [{{ provider = \"up\", model = \"x\", \
             timeouts = {{ first_byte_ms = 60000, idle_ms = 60000, total_ms = {total_ms} }} }}]\n"
        );
        let path = self.path("models.toml");
        std::fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Waits until a condition holds.
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let begun = std::time::Instant::now();
    while !holds() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
