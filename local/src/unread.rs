//! A connection that breaks if its client takes nothing.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// A connection whose writes fail with `TimedOut` if the other side takes no byte for a time.
pub(crate) struct Unread<T> {
    inner: T,
    longest: Duration,
    /// The end of the time, while a write waits.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl<T> Unread<T> {
    pub(crate) fn new(inner: T, longest: Duration) -> Self {
        Self { inner, longest, waiting: None }
    }

    fn limit<R>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let longest = self.longest;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(longest)));
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Unread<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Unread<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write(cx, bytes);
        self.limit(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.inner).poll_write_vectored(cx, pieces);
        self.limit(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.inner).poll_flush(cx);
        self.limit(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.limit(cx, ended)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_slow_reader_is_waited_for_and_one_that_reads_nothing_is_not() {
        let (client, server) = tokio::io::duplex(4);
        let (mut client, mut server) = (client, Unread::new(server, Duration::from_secs(60)));
        let begun = tokio::time::Instant::now();
        let reading = async {
            for _ in 0..2 {
                tokio::time::sleep(Duration::from_secs(59)).await;
                client.read_exact(&mut [0; 4]).await.unwrap();
            }
            std::future::pending::<()>().await;
        };
        let written = tokio::select! {
            written = server.write_all(&[7; 16]) => written,
            () = reading => unreachable!(),
        };
        assert_eq!((written.unwrap_err().kind(), begun.elapsed().as_secs()), (ErrorKind::TimedOut, 118 + 60));
    }
}
