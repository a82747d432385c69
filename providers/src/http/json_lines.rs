//! Answers with a JSON value on each line.

use std::io;

use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use shared::model::provider::Failure;
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};
use tokio_util::io::StreamReader;

use super::MAX_ANSWER_BYTES;

/// The lines of an answer that are not empty, each without its end.
pub(crate) fn json_lines(response: reqwest::Response) -> BoxStream<'static, Result<String, Failure>> {
    let pieces = response.bytes_stream().map_err(|error| io::Error::other(error.without_url()));
    let lines = FramedRead::new(StreamReader::new(pieces), LinesCodec::new_with_max_length(MAX_ANSWER_BYTES));
    let failure = |error| match error {
        LinesCodecError::Io(error) if error.kind() == io::ErrorKind::InvalidData => {
            Failure::Malformed("the answer is not UTF-8".to_owned())
        }
        LinesCodecError::Io(error) => Failure::Interrupted(error.into()),
        LinesCodecError::MaxLineLengthExceeded => {
            Failure::Malformed(format!("a line of the answer is longer than {MAX_ANSWER_BYTES} bytes"))
        }
    };
    lines.map_err(failure).try_filter(|line| std::future::ready(!line.trim().is_empty())).boxed()
}
