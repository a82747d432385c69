//! The record of a vector store.

use super::super::error::StoreError;
use super::super::item::{Item, Reader, insert_present, number, text};
use super::super::keys;
use crate::data::due::due_shard;
use crate::model::clock::Timestamp;
use crate::model::object::Object;
use crate::model::vector_store::{FileCounts, FileStatus, VectorStore, VectorStoreKey};

pub(super) const DELETED: &str = "deleted";

/// The counter of the files with a status.
pub(super) fn counter_of(status: FileStatus) -> &'static str {
    match status {
        FileStatus::InProgress => "files_in_progress",
        FileStatus::Completed => "files_completed",
        FileStatus::Failed => "files_failed",
        FileStatus::Cancelled => "files_cancelled",
    }
}

/// A store as it begins.
pub(super) fn new_record(store: &VectorStore, due_at: Option<Timestamp>) -> Item {
    let mut item = keys::vector_store(&store.key).with([
        ("store_name", text(&store.name)),
        ("metadata", text(String::from_utf8_lossy(&store.metadata.to_bytes()))),
        ("created_at", number(store.created_at.0)),
        ("last_active_at", number(store.last_active_at.0)),
        ("embedding_model", text(&store.embedding_model)),
    ]);
    insert_present(
        &mut item,
        [
            ("description", store.description.as_ref().map(text)),
            ("expires_days", store.expires_after_days.map(number)),
            ("due_at", due_at.map(|due_at| number(due_at.0))),
            ("due_shard", due_at.map(|_| text(due_shard(&store.key.store_id)))),
        ],
    );
    item
}

pub(super) fn read_store(project_id: &str, item: &Item) -> Result<VectorStore, StoreError> {
    let reader = Reader(item);
    let counted = |name| {
        let count: i64 = reader.maybe_number(name)?.unwrap_or(0);
        Ok::<u64, StoreError>(u64::try_from(count).unwrap_or(0))
    };
    let count = |status| counted(counter_of(status));
    let metadata = reader.text("metadata")?;
    let [in_progress, completed, failed, cancelled] = [
        count(FileStatus::InProgress)?,
        count(FileStatus::Completed)?,
        count(FileStatus::Failed)?,
        count(FileStatus::Cancelled)?,
    ];
    Ok(VectorStore {
        key: VectorStoreKey { project_id: project_id.to_owned(), store_id: reader.text("sk")? },
        name: reader.text("store_name")?,
        description: reader.maybe_text("description"),
        metadata: Object::parse(metadata.as_bytes()).map_err(|_| reader.damaged("metadata"))?,
        created_at: Timestamp(reader.number("created_at")?),
        last_active_at: Timestamp(reader.number("last_active_at")?),
        expires_after_days: reader.maybe_number("expires_days")?,
        embedding_model: reader.text("embedding_model")?,
        counts: FileCounts {
            in_progress,
            completed,
            failed,
            cancelled,
            total: in_progress + completed + failed + cancelled,
        },
        usage_bytes: counted("usage_bytes")?,
        has_expired: item.contains_key("expired"),
    })
}
