//! The record of a file in a vector store.

use super::super::error::StoreError;
use super::super::item::{Item, Reader, insert_present, number, text};
use super::super::keys;
use super::record::DELETED;
use crate::data::due::due_shard;
use crate::model::clock::Timestamp;
use crate::model::vector_store::{FileStatus, StoreFile, StoreFileKey, VectorStoreKey};

/// A file as it is attached. Nobody has taken it up.
pub(super) fn new_record(file: &StoreFile, due_at: Timestamp) -> Item {
    let mut item = keys::store_file(&file.key).with([
        ("filename", text(&file.filename)),
        ("created_at", number(file.created_at.0)),
        ("begun_at", number(file.begun_at.0)),
        ("file_status", text(file.status.name())),
        ("attributes", text(json(&file.attributes))),
        ("chunking", text(json(&file.chunking))),
        ("generation", number(file.generation)),
        ("api_key_id", text(&file.api_key_id)),
        ("fence", number(file.fence)),
        ("lease_until", number(0)),
        ("due_at", number(due_at.0)),
        ("due_shard", text(shard(&file.key))),
    ]);
    insert_present(
        &mut item,
        [("traceparent", file.traceparent.as_ref().map(text)), ("file_expires_at", file.expires_at.map(number))],
    );
    item
}

/// The shard of the due index.
pub(super) fn shard(key: &StoreFileKey) -> String {
    due_shard(&key.file_id)
}

pub(super) fn json(value: &impl serde::Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

pub(super) fn read_store_file(store: &VectorStoreKey, item: &Item) -> Result<StoreFile, StoreError> {
    let reader = Reader(item);
    let damaged = |attribute| Reader(item).damaged(attribute);
    let problem = reader.maybe_text("problem").map(|problem| serde_json::from_str(&problem)).transpose();
    Ok(StoreFile {
        key: StoreFileKey { store: store.clone(), file_id: reader.text("sk")? },
        filename: reader.text("filename")?,
        created_at: Timestamp(reader.number("created_at")?),
        expires_at: reader.maybe_number("file_expires_at")?,
        begun_at: Timestamp(reader.number("begun_at")?),
        status: FileStatus::parse(&reader.text("file_status")?).ok_or_else(|| reader.damaged("file_status"))?,
        problem: problem.map_err(|_| damaged("problem"))?,
        attributes: serde_json::from_str(&reader.text("attributes")?).map_err(|_| damaged("attributes"))?,
        chunking: serde_json::from_str(&reader.text("chunking")?).map_err(|_| damaged("chunking"))?,
        usage_bytes: reader.maybe_number("usage_bytes")?.unwrap_or(0),
        live: reader.maybe_number("live")?,
        chunks: reader.maybe_number("chunk_count")?.unwrap_or(0),
        generation: reader.number("generation")?,
        api_key_id: reader.text("api_key_id")?,
        fence: reader.number("fence")?,
        due_at: reader.maybe_number("due_at")?.map(Timestamp),
        detached_at: reader.maybe_number(DELETED)?.map(Timestamp),
        traceparent: reader.maybe_text("traceparent"),
    })
}
