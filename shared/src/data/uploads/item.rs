//! The record of an upload: an item of the table.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::data::change::Change;
use crate::data::due::due_shard;
use crate::data::error::StoreError;
use crate::data::item::{Item, Reader, flag, number, text};
use crate::data::keys;
use crate::model::clock::Timestamp;
use crate::model::file::{File, FileDetails, Purpose};
use crate::model::upload::{Upload, UploadKey, UploadPart, UploadStatus};

pub(super) const STATE: &str = "upload_state";
pub(super) const PARTS: &str = "parts";
pub(super) const PARTS_BYTES: &str = "parts_bytes";
/// Not `expires_at`: DynamoDB would delete the record then, and nobody the parts.
pub(super) const VALID_UNTIL: &str = "valid_until";
/// How long the file is kept.
const KEPT_SECONDS: &str = "kept_seconds";

/// The record of an upload that waits for parts.
pub(super) fn new_record(upload: &Upload) -> Item {
    let Upload { key, filename, details, bytes, created_at, .. } = upload;
    let parts = upload.parts.iter().map(|(id, part)| (id.clone(), part_value(*part))).collect();
    let parts_bytes: u64 = upload.parts.values().map(|part| part.bytes).sum();
    let mut record = keys::upload(key).with([
        ("filename", text(filename)),
        ("purpose", text(details.purpose.name())),
        ("content_bytes", number(bytes)),
        ("created_at", number(created_at)),
        (VALID_UNTIL, number(upload.expires_at())),
        (STATE, text(UploadStatus::Pending.name())),
        (PARTS, AttributeValue::M(parts)),
        (PARTS_BYTES, number(parts_bytes)),
        ("due_at", number(upload.expires_at() * 1_000)),
        ("due_shard", text(due_shard(&key.upload_id))),
    ]);
    if let Some(seconds) = details.expires_after {
        record.insert(KEPT_SECONDS.to_owned(), number(seconds));
    }
    record
}

/// The change that completes an upload. Its condition lets one of several calls complete it, and none after another end: an upload whose
/// time is over has been told as expired.
pub(super) fn completion(completed: &UploadStatus, file: &File, due_at: Timestamp, now: Timestamp) -> Change {
    Change::new(format!("SET {STATE} = :completed, file_id = :file, due_at = :due"))
        .only_if(format!("{STATE} = :pending AND {VALID_UNTIL} > :now"))
        .values([
            (":now", number(now.seconds())),
            (":completed", text(completed.name())),
            (":file", text(&file.key.file_id)),
            (":due", number(due_at.0)),
            (":pending", text(UploadStatus::Pending.name())),
        ])
}

pub(super) fn part_value(UploadPart { bytes, objects, is_direct }: UploadPart) -> AttributeValue {
    let members = [("bytes", number(bytes)), ("objects", number(objects)), ("direct", flag(is_direct))];
    AttributeValue::M(members.map(|(name, value)| (name.to_owned(), value)).into())
}

pub(super) fn read_upload(key: &UploadKey, item: &Item) -> Result<Upload, StoreError> {
    let reader = Reader(item);
    let purpose = Purpose::from_name(&reader.text("purpose")?).ok_or_else(|| reader.damaged("purpose"))?;
    let status = match &*reader.text(STATE)? {
        "pending" => UploadStatus::Pending,
        "completed" => UploadStatus::Completed { file_id: reader.text("file_id")? },
        "cancelled" => UploadStatus::Cancelled,
        "expired" => UploadStatus::Expired,
        _ => return Err(reader.damaged(STATE)),
    };
    Ok(Upload {
        key: key.clone(),
        filename: reader.text("filename")?,
        details: FileDetails { purpose, expires_after: reader.maybe_number(KEPT_SECONDS)? },
        bytes: reader.number("content_bytes")?,
        created_at: reader.number("created_at")?,
        status,
        parts: read_parts(item).ok_or_else(|| reader.damaged(PARTS))?,
    })
}

fn read_parts(item: &Item) -> Option<BTreeMap<String, UploadPart>> {
    let read = |(id, value): (&String, &AttributeValue)| {
        let members = value.as_m().ok()?;
        let bytes = members.get("bytes")?.as_n().ok()?.parse().ok()?;
        let objects = members.get("objects")?.as_n().ok()?.parse().ok()?;
        let is_direct = members.get("direct")?.as_n().ok()? == "1";
        Some((id.clone(), UploadPart { bytes, objects, is_direct }))
    };
    item.get(PARTS)?.as_m().ok()?.iter().map(read).collect()
}
