//! How a store fails.

/// A failure of the table, the bucket or a queue. The cause is the source.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the table did not {action}")]
    Table {
        action: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the bucket did not {action}")]
    Bucket {
        action: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("the queue did not {action}")]
    Queue {
        action: &'static str,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    #[error("item `{key}` has no usable `{attribute}`")]
    Damaged { key: String, attribute: &'static str },
}

impl StoreError {
    /// `send().await.map_err(StoreError::table("put the item"))`
    pub(super) fn table<E>(action: &'static str) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        move |source| Self::Table { action, source: source.into() }
    }

    pub(super) fn bucket<E>(action: &'static str) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        move |source| Self::Bucket { action, source: source.into() }
    }

    pub(super) fn queue<E>(action: &'static str) -> impl FnOnce(E) -> Self
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        move |source| Self::Queue { action, source: source.into() }
    }
}
