//! Lambda's Runtime API, as the function's runtime calls it: `next`, `response`, `error`, `init/error`.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::HeaderMap;
use hyper::{Method, Request, Response};
use tokio::sync::{mpsc, oneshot};

use crate::http::{Cut, Server, respond};

/// What a function does, in the order in which it did it.
pub(crate) enum Move {
    /// It asks for an invocation.
    Polled { at: Instant, invocation: oneshot::Sender<Invocation> },
    /// It begins to answer one.
    Answers(Posted),
}

pub(crate) struct Invocation {
    pub(crate) id: String,
    pub(crate) deadline_ms: u64,
    pub(crate) event: Bytes,
}

/// An answer, or an error, on its way.
pub(crate) struct Posted {
    pub(crate) is_error: bool,
    pub(crate) headers: HeaderMap,
    pub(crate) parts: mpsc::UnboundedReceiver<Part>,
    /// What to do with it; nothing is said to the function before.
    pub(crate) verdict: oneshot::Sender<Verdict>,
}

pub(crate) enum Part {
    Data {
        at: Instant,
        bytes: Bytes,
    },
    Trailers(HeaderMap),
    /// The function stopped in the middle.
    Broken(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Answered with 202 once all of it is there, as Lambda does.
    Accept,
    /// The connection is closed, now.
    Cut,
}

/// The API of one function.
pub(crate) struct Api {
    server: Server,
    pub(crate) moves: mpsc::UnboundedReceiver<Move>,
}

impl Api {
    pub(crate) async fn start() -> io::Result<Self> {
        let (made, moves) = mpsc::unbounded_channel();
        let server = Server::start(move |request| answer(made.clone(), request)).await?;
        Ok(Self { server, moves })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address
    }
}

async fn answer(moves: mpsc::UnboundedSender<Move>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Cut> {
    let at = Instant::now();
    match (request.method(), request.uri().path().rsplit('/').next()) {
        (&Method::GET, Some("next")) => next(&moves, at).await,
        (&Method::POST, Some("response")) => take(&moves, request, false).await,
        (&Method::POST, Some("error")) => take(&moves, request, true).await,
        _ => Ok(respond(404, "no such operation of the Runtime API")),
    }
}

async fn next(moves: &mpsc::UnboundedSender<Move>, at: Instant) -> Result<Response<Full<Bytes>>, Cut> {
    let (invocation, given) = oneshot::channel();
    moves.send(Move::Polled { at, invocation }).map_err(|_| Cut)?;
    let Invocation { id, deadline_ms, event } = given.await.map_err(|_| Cut)?;
    let mut response = respond(200, event);
    let headers = response.headers_mut();
    for (name, value) in [
        ("lambda-runtime-aws-request-id", id),
        ("lambda-runtime-deadline-ms", deadline_ms.to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:000000000000:function:weir".to_owned()),
    ] {
        headers.insert(name, value.parse().map_err(|_| Cut)?);
    }
    Ok(response)
}

/// Passes an answer on, part by part. Nobody needs to read it: it is taken to its end all the same, as Lambda does for
/// clients who left.
async fn take(
    moves: &mpsc::UnboundedSender<Move>,
    request: Request<Incoming>,
    is_error: bool,
) -> Result<Response<Full<Bytes>>, Cut> {
    let (parts, receiver) = mpsc::unbounded_channel();
    let (verdict, mut said) = oneshot::channel();
    let headers = request.headers().clone();
    let posted = Posted { is_error, headers, parts: receiver, verdict };
    moves.send(Move::Answers(posted)).map_err(|_| Cut)?;
    let mut verdict = None;
    let mut body = request.into_body();
    loop {
        tokio::select! {
            biased;
            said = &mut said, if verdict.is_none() => match said {
                Ok(Verdict::Cut) => return Err(Cut),
                Ok(Verdict::Accept) | Err(_) => verdict = Some(Verdict::Accept),
            },
            frame = body.frame() => match frame {
                None => break,
                Some(Ok(frame)) => drop(parts.send(part(frame))),
                Some(Err(error)) => {
                    let _ = parts.send(Part::Broken(error.to_string()));
                    return Err(Cut);
                }
            },
        }
    }
    drop(parts); // Whoever waits for the end may decide now.
    if verdict.is_none() && said.await == Ok(Verdict::Cut) {
        return Err(Cut);
    }
    Ok(respond(202, ""))
}

fn part(frame: hyper::body::Frame<Bytes>) -> Part {
    match frame.into_data() {
        Ok(bytes) => Part::Data { at: Instant::now(), bytes },
        Err(frame) => Part::Trailers(frame.into_trailers().unwrap_or_default()),
    }
}
