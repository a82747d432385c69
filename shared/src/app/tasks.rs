//! Tasks that outlive the request that began them.

use opentelemetry::context::FutureExt as _;
use tokio_util::task::TaskTracker;

/// The calls of a process that have begun and not ended. Clones share it.
#[derive(Clone, Default)]
pub(super) struct Tasks(TaskTracker);

impl Tasks {
    /// Runs a call to its end even if the client hangs up. The task reports to the telemetry of its caller.
    ///
    /// On Lambda the response body does not end before the task does, so the platform freezes nothing half-way.
    #[expect(clippy::disallowed_methods, reason = "the one place: the response body waits for the task's end")]
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        tokio::spawn(self.0.track_future(task.with_current_context()));
    }

    /// Waits until every call that began is settled. For the end of a process.
    pub(super) async fn drain(&self) {
        self.0.close();
        self.0.wait().await;
    }
}
