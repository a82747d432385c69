//! What the cells of a workbook show.

use std::borrow::Cow;

use super::dates;
use super::formats::Formats;
use super::strings::Strings;

/// All that cells refer to.
pub(super) struct Cells {
    pub(super) strings: Strings,
    pub(super) formats: Formats,
    pub(super) since_1904: bool,
}

impl Cells {
    /// The text of a cell with a type and a style.
    pub(super) fn text<'c>(&'c self, kind: &str, style: usize, value: &'c str) -> Cow<'c, str> {
        match kind {
            "s" => {
                Cow::Borrowed(value.trim().parse().ok().and_then(|index| self.strings.get(index)).unwrap_or_default())
            }
            "b" => Cow::Borrowed(if value.trim() == "1" { "TRUE" } else { "FALSE" }),
            "" | "n" if self.formats.is_date(style) => {
                let days = value.trim().parse().ok();
                let date = days.and_then(|days| dates::date(days, self.since_1904));
                date.map_or(Cow::Borrowed(value), Cow::Owned)
            }
            _ => Cow::Borrowed(value),
        }
    }
}
