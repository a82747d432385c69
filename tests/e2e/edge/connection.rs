//! The local server over real HTTP, byte by byte.

use std::net::SocketAddr;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use kit::Reply;
use local::{Running, Settings};
use shared::edge::config::HttpConfig;
use tokio::io::AsyncBufReadExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufStream};
use tokio::net::TcpStream;
use tokio::sync::oneshot;

/// A server that runs, and the key of its project.
pub(super) struct Server {
    address: SocketAddr,
    pub(super) key: String,
}

impl Server {
    pub(super) fn of(running: &Running) -> Self {
        Self { address: running.address().unwrap(), key: running.project_key.expose().to_owned() }
    }
}

/// Starts the local server on a free port. It stops when the sender is dropped.
pub(super) async fn serve(http: HttpConfig) -> (Server, oneshot::Sender<()>) {
    let running = local::serve(&Settings { http, ..Settings::default() }).await.unwrap();
    let server = Server::of(&running);
    let (stop, stopped) = oneshot::channel::<()>();
    #[expect(clippy::disallowed_methods, reason = "a server for the length of a test")]
    tokio::spawn(running.run(async { drop(stopped.await) }));
    (server, stop)
}

/// A connection of a client.
pub(super) struct Connection(BufStream<TcpStream>);

impl Connection {
    pub(super) async fn open(server: &Server) -> Self {
        Self(BufStream::new(TcpStream::connect(server.address).await.unwrap()))
    }

    /// Sends the head of a request; `headers` are whole lines.
    pub(super) async fn send_head(&mut self, method: &str, path: &str, key: &str, headers: &[&str]) {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: weir\r\n");
        if !key.is_empty() {
            head += &format!("authorization: Bearer {key}\r\n");
        }
        for header in headers {
            head += &format!("{header}\r\n");
        }
        self.send(format!("{head}\r\n").as_bytes()).await;
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// Waits until the server has closed the connection.
    pub(super) async fn ended(&mut self) {
        let mut rest = Vec::new();
        let _ = self.0.read_to_end(&mut rest).await;
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        line.trim_end().to_owned()
    }

    /// Reads an answer: its body by its length or its chunks, or nothing if it states neither.
    pub(super) async fn reply(&mut self) -> Reply {
        let status = self.line().await;
        let status = status.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).unwrap_or(&status).parse();
        let mut headers = HeaderMap::new();
        loop {
            let line = self.line().await;
            let Some((name, value)) = line.split_once(": ") else { break };
            headers.append(name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap());
        }
        let mut body = Vec::new();
        if let Some(length) = headers.get("content-length") {
            body.resize(length.to_str().unwrap().parse().unwrap(), 0);
            self.0.read_exact(&mut body).await.unwrap();
        } else if headers.contains_key("transfer-encoding") {
            while let Some(chunk) = self.chunk().await {
                body.extend(chunk);
            }
        }
        Reply { status: status.unwrap(), headers, body: body.into() }
    }

    async fn chunk(&mut self) -> Option<Vec<u8>> {
        let length = usize::from_str_radix(&self.line().await, 16).unwrap();
        let mut chunk = vec![0; length];
        self.0.read_exact(&mut chunk).await.unwrap();
        self.line().await;
        (length > 0).then_some(chunk)
    }
}
