//! Takes the filters off a stream that make bytes printable.

use std::borrow::Cow;

use hayro_syntax::Filter;
use hayro_syntax::object::Stream;
use hayro_syntax::reader::{Reader, ReaderContext, ReaderExt};

/// The data of a stream without its first filters, as far as those only make bytes printable, and the filters that are left. The
/// data never grows.
pub(super) fn without_printable<'d>(data: Cow<'d, [u8]>, filters: &[Filter]) -> Option<(Cow<'d, [u8]>, Vec<Filter>)> {
    let mut data = data;
    let mut left = filters;
    while let [first, rest @ ..] = left {
        let name = match first {
            Filter::AsciiHexDecode => "AHx",
            Filter::Ascii85Decode => "A85",
            _ => break,
        };
        data = Cow::Owned(decoded(&data, name)?);
        left = rest;
    }
    Some((data, left.to_vec()))
}

/// The parser decodes here as it will later: a difference between two decoders could hide what comes out.
fn decoded(data: &[u8], filter: &str) -> Option<Vec<u8>> {
    let mut object = format!("<< /F /{filter} /Length {} >> stream\n", data.len()).into_bytes();
    object.extend_from_slice(data);
    object.extend_from_slice(b"\nendstream");
    let stream = Reader::new(&object).read_with_context::<Stream<'_>>(&ReaderContext::dummy())?;
    stream.decoded().ok().map(Cow::into_owned)
}
