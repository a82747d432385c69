//! Work whose time grows with the length of a body.

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::task::block_in_place;

/// Bodies of this length take a millisecond or more to read.
const LONG_BYTES: usize = 64 * 1024;

/// Does work on `bytes` bytes. If that takes long, other requests do not wait for it: where several threads serve them, as
/// in `weir serve`, another thread takes them over meanwhile. A Lambda function serves one request at a time.
pub fn long_work<T>(bytes: usize, work: impl FnOnce() -> T) -> T {
    let flavor = Handle::try_current().map(|runtime| runtime.runtime_flavor());
    let has_others = flavor.is_ok_and(|flavor| flavor == RuntimeFlavor::MultiThread);
    if bytes >= LONG_BYTES && has_others { block_in_place(work) } else { work() }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// Whether another task runs on the only thread of the runtime while work on `bytes` bytes waits for it.
    fn lets_others_run(bytes: usize, at_most: Duration) -> bool {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
        let (other, ran) = mpsc::channel();
        let work = async move {
            let spawned = Handle::current().spawn(async move { other.send(()).unwrap() });
            let found = long_work(bytes, || ran.recv_timeout(at_most).is_ok());
            spawned.await.unwrap();
            found
        };
        runtime.block_on(runtime.spawn(work)).unwrap()
    }

    #[test]
    fn others_run_while_a_long_body_is_read() {
        assert!(lets_others_run(LONG_BYTES, Duration::from_secs(60)));
        assert!(!lets_others_run(LONG_BYTES - 1, Duration::from_millis(20)));
    }

    #[tokio::test]
    async fn a_runtime_with_one_thread_does_the_work_itself() {
        assert_eq!(long_work(usize::MAX, || 7), 7);
    }
}
