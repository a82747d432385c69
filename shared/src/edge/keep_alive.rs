//! Signs of life: a stream whose provider is silent sends something that its client's timer counts.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::mpsc;

/// Clients and proxies give a silent connection up after 30 seconds and more.
const SILENCE: Duration = Duration::from_secs(10);

/// What a stream sends when there is nothing else. It is neither stored nor numbered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepAlive {
    /// For streams of chunks: a comment, which every client of server-sent events skips.
    Comment,
    /// For streams of responses: an event. The timer of Codex counts events only, and SDKs skip those that they do not know.
    Event,
    /// For streams of messages: Anthropic's own event.
    Ping,
}

impl KeepAlive {
    fn bytes(self) -> Bytes {
        Bytes::from_static(match self {
            Self::Comment => b": keep-alive\n\n",
            Self::Ping => b"event: ping\ndata: {\"type\":\"ping\"}\n\n",
            Self::Event => b"event: keepalive\ndata: {\"type\":\"keepalive\"}\n\n",
        })
    }
}

/// The pieces of a stream, which are whole events, with signs of life between them.
pub(super) fn kept_alive(
    body: mpsc::Receiver<Bytes>,
    keep_alive: KeepAlive,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    unfold(body, move |mut body| async move {
        let piece = match tokio::time::timeout(SILENCE, body.recv()).await {
            Ok(piece) => piece?,
            Err(_) => keep_alive.bytes(),
        };
        Some((Ok(piece), body))
    })
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_gives_a_sign_of_life_every_ten_seconds() {
        let (sender, body) = mpsc::channel(1);
        let writing = async move {
            for wait in [9, 25, 0] {
                tokio::time::sleep(Duration::from_secs(wait)).await;
                sender.send(Bytes::from_static(b"data: {}\n\n")).await.unwrap();
            }
        };
        let reading = kept_alive(body, KeepAlive::Comment).map(|piece| piece.unwrap()).collect::<Vec<_>>();
        let (read, ()) = tokio::join!(reading, writing);
        let (event, ping) = (&b"data: {}\n\n"[..], &b": keep-alive\n\n"[..]);
        assert_eq!(read, [event, ping, ping, event, event]);
    }
}
