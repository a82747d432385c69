//! Why an upload does not go on.

use crate::app::error::Error;
use crate::model::invalid::Invalid;
use crate::model::upload::{Upload, UploadStatus};

/// The error for an upload that has ended.
pub(super) fn require_pending(upload: &Upload, status: &UploadStatus) -> Result<(), Invalid> {
    let (code, advice) = match status {
        UploadStatus::Pending => return Ok(()),
        UploadStatus::Completed { .. } => ("upload_completed", "Its file can be read, and deleted as a file"),
        UploadStatus::Cancelled => ("upload_cancelled", "Create another upload"),
        UploadStatus::Expired => ("upload_expired", "An upload is to be completed within an hour. Create another one"),
    };
    let message = format!("Upload '{}' is {}. {advice}.", upload.key.upload_id, status.name());
    Err(Invalid { message, param: Some("upload_id".to_owned()), code: Some(code) })
}

/// The clock was set back between two looks at it: to end the upload again is right.
pub(super) fn contended(upload: &Upload) -> Invalid {
    let message = format!("Upload '{}' was ended by another request at this moment. Try again.", upload.key.upload_id);
    Invalid { message, param: Some("upload_id".to_owned()), code: None }
}

/// The error for a direct part that is not in the bucket as a whole.
pub(super) fn not_arrived(part_id: &str, bytes: u64) -> Invalid {
    let message =
        format!("Part '{part_id}' has not arrived. PUT its {bytes} bytes to its URL, then complete the upload.");
    Invalid { code: Some("part_not_uploaded"), ..Invalid::field("part_ids", message) }
}

pub(super) fn wrong_md5() -> Invalid {
    let message = "The bytes of the parts, in the order of `part_ids`, have another MD5. Check the order, and send the parts again that were \
                   changed on their way.";
    Invalid { code: Some("wrong_md5"), ..Invalid::field("md5", message) }
}

pub(super) fn no_direct_parts() -> Invalid {
    let message = "This server keeps files within its process, where no URL leads. Leave `weir.direct` out, and send parts of up to 64 MB to \
                   POST /v1/uploads/{upload_id}/parts.";
    Invalid { code: Some("direct_not_available"), ..Invalid::field("weir.direct", message) }
}

pub(super) fn not_found(upload_id: &str) -> Error {
    Error::not_found("upload", upload_id)
}
