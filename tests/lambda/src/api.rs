//! Lambda's Runtime API, which the function's runtime calls: `next`, `response`, `error` and `init/error`.

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

/// A call of the Runtime API, in the order in which the function makes them.
pub(crate) enum RuntimeCall {
    /// It asks for an invocation.
    Next { at: Instant, invocation: oneshot::Sender<Invocation> },
    /// It begins to post an answer or an error.
    Post(Posted),
}

pub(crate) struct Invocation {
    pub(crate) id: String,
    pub(crate) deadline_ms: u64,
    pub(crate) event: Bytes,
}

/// An answer or an error while it arrives.
pub(crate) struct Posted {
    pub(crate) is_error: bool,
    pub(crate) headers: HeaderMap,
    pub(crate) parts: mpsc::UnboundedReceiver<Part>,
    /// The reply to the function, which waits until it is sent.
    pub(crate) verdict: oneshot::Sender<Verdict>,
}

pub(crate) enum Part {
    Data {
        at: Instant,
        bytes: Bytes,
    },
    Trailers(HeaderMap),
    /// The function stopped before the end.
    Broken(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The API answers with 202 once the whole post has arrived, as Lambda does.
    Accept,
    /// The API closes the connection at once.
    Cut,
}

/// The Runtime API of one function.
pub(crate) struct Api {
    server: Server,
    pub(crate) calls: mpsc::UnboundedReceiver<RuntimeCall>,
}

impl Api {
    pub(crate) async fn start() -> io::Result<Self> {
        let (sender, calls) = mpsc::unbounded_channel();
        let server = Server::start(move |request| answer(sender.clone(), request)).await?;
        Ok(Self { server, calls })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address
    }
}

async fn answer(
    calls: mpsc::UnboundedSender<RuntimeCall>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Cut> {
    let at = Instant::now();
    match (request.method(), request.uri().path().rsplit('/').next()) {
        (&Method::GET, Some("next")) => next(&calls, at).await,
        (&Method::POST, Some("response")) => take_post(&calls, request, false).await,
        (&Method::POST, Some("error")) => take_post(&calls, request, true).await,
        _ => Ok(respond(404, "no such operation of the Runtime API")),
    }
}

async fn next(calls: &mpsc::UnboundedSender<RuntimeCall>, at: Instant) -> Result<Response<Full<Bytes>>, Cut> {
    let (invocation, given) = oneshot::channel();
    calls.send(RuntimeCall::Next { at, invocation }).map_err(|_| Cut)?;
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

/// Passes a post on, part by part. It reads to the end even if the test reads nothing, as Lambda does for clients that
/// left.
async fn take_post(
    calls: &mpsc::UnboundedSender<RuntimeCall>,
    request: Request<Incoming>,
    is_error: bool,
) -> Result<Response<Full<Bytes>>, Cut> {
    let (parts, receiver) = mpsc::unbounded_channel();
    let (verdict, mut decided) = oneshot::channel();
    let headers = request.headers().clone();
    let posted = Posted { is_error, headers, parts: receiver, verdict };
    calls.send(RuntimeCall::Post(posted)).map_err(|_| Cut)?;
    let mut verdict = None;
    let mut body = request.into_body();
    loop {
        tokio::select! {
            biased;
            decision = &mut decided, if verdict.is_none() => match decision {
                Ok(Verdict::Cut) => return Err(Cut),
                Ok(Verdict::Accept) | Err(_) => verdict = Some(Verdict::Accept),
            },
            frame = body.frame() => match frame {
                None => break,
                Some(Ok(frame)) => drop(parts.send(part_of(frame))),
                Some(Err(error)) => {
                    let _ = parts.send(Part::Broken(error.to_string()));
                    return Err(Cut);
                }
            },
        }
    }
    drop(parts); // The test may wait for the end before it decides.
    if verdict.is_none() && decided.await == Ok(Verdict::Cut) {
        return Err(Cut);
    }
    Ok(respond(202, ""))
}

fn part_of(frame: hyper::body::Frame<Bytes>) -> Part {
    match frame.into_data() {
        Ok(bytes) => Part::Data { at: Instant::now(), bytes },
        Err(frame) => Part::Trailers(frame.into_trailers().unwrap_or_default()),
    }
}
