//! A minimal HTTP client that measures when an answer began and ended. It is cheap, so that it does not measure itself.

use std::io::{Error, ErrorKind, Read as _, Result, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::mock;

/// A request that can be sent any number of times.
#[derive(Clone)]
pub(crate) struct Request {
    address: SocketAddr,
    bytes: Vec<u8>,
}

impl Request {
    pub(crate) fn new(address: SocketAddr, key: &str, body: &str) -> Self {
        Self::to("/v1/chat/completions", address, key, body)
    }

    pub(crate) fn to(path: &str, address: SocketAddr, key: &str, body: &str) -> Self {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n\
             content-type: application/json\r\naccept: application/json\r\nuser-agent: bench\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        Self { address, bytes: [head.as_bytes(), body.as_bytes()].concat() }
    }
}

/// Sends a GET request and returns the body of the answer.
pub(crate) fn get(address: SocketAddr, path: &str, key: &str) -> Result<String> {
    let mut connection = TcpStream::connect(address)?;
    write!(
        connection,
        "GET {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\nconnection: close\r\n\r\n"
    )?;
    read_to_end(connection)
}

/// Sends a POST request and returns the body of the answer.
pub(crate) fn post(address: SocketAddr, path: &str, key: &str, content_type: &str, body: &[u8]) -> Result<String> {
    let mut connection = TcpStream::connect(address)?;
    write!(
        connection,
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\ncontent-type: {content_type}\r\n\
         content-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    )?;
    connection.write_all(body)?;
    read_to_end(connection)
}

fn read_to_end(mut connection: TcpStream) -> Result<String> {
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(ErrorKind::UnexpectedEof)?;
    if !head.starts_with("HTTP/1.1 200") {
        return Err(Error::other(answer));
    }
    Ok(body.to_owned())
}

/// The times at which the parts of an answer arrived.
pub(crate) struct Answer {
    pub(crate) ended: Instant,
    /// The first event, if the answer is a stream.
    pub(crate) first_chunk: Option<FirstChunk>,
}

pub(crate) struct FirstChunk {
    pub(crate) at: Instant,
    /// The time since the provider sent it.
    pub(crate) travelled: Duration,
}

/// One connection, which stays open between calls.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// The time after which a call has failed.
const TIMEOUT: Duration = Duration::from_secs(60);

impl Connection {
    pub(crate) fn open(request: &Request) -> Result<Self> {
        let stream = TcpStream::connect(request.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 * 1024) })
    }

    /// Sends a request and reads its answer to the end.
    pub(crate) fn call(&mut self, request: &Request) -> Result<Answer> {
        self.buffer.clear();
        self.stream.write_all(&request.bytes)?;
        let head = loop {
            if let Some(at) = find(&self.buffer, b"\r\n\r\n") {
                break at + 4;
            }
            self.read()?;
        };
        let status = self.buffer.get(9..12).unwrap_or_default();
        if status != b"200" {
            let _ = self.read(); // The body explains the failure.
            return Err(Error::other(String::from_utf8_lossy(&self.buffer).into_owned()));
        }
        match content_length(&self.buffer[..head]) {
            Some(length) => self.read_whole(head + length),
            None => self.read_stream(head),
        }
    }

    fn read_whole(&mut self, end: usize) -> Result<Answer> {
        while self.buffer.len() < end {
            self.read()?;
        }
        Ok(Answer { ended: Instant::now(), first_chunk: None })
    }

    fn read_stream(&mut self, head: usize) -> Result<Answer> {
        let mut first_chunk = None;
        loop {
            if first_chunk.is_none() && find(&self.buffer[head..], b"\n\n").is_some() {
                let sent =
                    mock::sent_at(&self.buffer[head..]).ok_or_else(|| Error::other("the first event has no time"))?;
                first_chunk = Some(FirstChunk { at: Instant::now(), travelled: mock::now().saturating_sub(sent) });
            }
            if self.buffer.ends_with(b"\r\n0\r\n\r\n") {
                break;
            }
            self.read()?;
        }
        if find(&self.buffer[head..], b"data: [DONE]").is_none() {
            return Err(Error::other(String::from_utf8_lossy(&self.buffer).into_owned()));
        }
        Ok(Answer { ended: Instant::now(), first_chunk })
    }

    fn read(&mut self) -> Result<()> {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            count => {
                self.buffer.extend_from_slice(&chunk[..count]);
                Ok(())
            }
        }
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    text.windows(wanted.len()).position(|window| window == wanted)
}

fn content_length(head: &[u8]) -> Option<usize> {
    let head = std::str::from_utf8(head).ok()?;
    let mut fields = head.lines().filter_map(|line| line.split_once(':'));
    let (_, length) = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"))?;
    length.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_length_of_a_body_in_any_case() {
        assert_eq!(content_length(b"HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: 12\r\n\r\n"), Some(12));
        assert_eq!(content_length(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"), None);
    }
}
