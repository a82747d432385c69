//! Whether a provider has accepted a call: it has begun to answer, although no event has come yet.

use std::time::Duration;

use tokio::sync::watch;

/// How long a caller waits for the first event before its stream begins without one. Until then, a provider that accepts a
/// call and refuses it at once gives an error with a status, or another target answers.
const PATIENCE: Duration = Duration::from_secs(5);

/// The attempt that a provider has accepted.
#[derive(Debug, Clone)]
pub(in crate::app) struct Accepted {
    pub(in crate::app) provider: String,
    pub(in crate::app) attempts: u32,
}

/// Tells a caller that waits for a stream that its provider has accepted the call.
pub(in crate::app) struct Acceptance(watch::Sender<Option<Accepted>>);

impl Default for Acceptance {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Acceptance {
    pub(super) fn tell(&self, provider: &str, attempts: u32) {
        self.0.send_replace(Some(Accepted { provider: provider.to_owned(), attempts }));
    }

    /// Resolves when an attempt was accepted and some seconds have passed; never without one.
    pub(in crate::app) async fn in_silence(&self) -> Accepted {
        let mut told = self.0.subscribe();
        let accepted = told.wait_for(Option::is_some).await.ok().and_then(|accepted| accepted.clone());
        match accepted {
            Some(accepted) => {
                tokio::time::sleep(PATIENCE).await;
                accepted
            }
            None => std::future::pending().await,
        }
    }
}
