//! Measures how much a stream unpacks to, without holding it.

use std::ops::AddAssign;

use flate2::{Decompress, FlushDecompress, Status};
use hayro_syntax::Filter;
use hayro_syntax::object::dict::keys::{BITS_PER_COMPONENT, COLORS, COLUMNS, DECODE_PARMS, DP, EARLY_CHANGE};
use hayro_syntax::object::{Array, Dict, Object, Stream};

use super::prefix::without_printable;

/// The most columns of a predictor, which allocates a row of them at once.
const MAX_COLUMNS: usize = 65_536;
/// LZW's table has as many codes.
const LZW_CODES: usize = 4_096;

/// Why a stream is not unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    TooLarge,
    /// It cannot be unpacked, or it is packed in a way that we cannot measure.
    Unmeasurable,
}

/// What a stream has when it is unpacked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Measure {
    pub(super) bytes: u64,
    /// The places where a dictionary may begin.
    pub(super) dicts: u64,
}

impl AddAssign for Measure {
    fn add_assign(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.dicts += other.dicts;
    }
}

/// The bytes that a stream unpacks to.
pub(super) fn unpacked_bytes(stream: &Stream<'_>, limit: u64) -> Result<u64, Refusal> {
    unpacked(stream, limit).map(|measure| measure.bytes)
}

/// Measures a stream as the parser would unpack it.
///
/// Only one filter may make the data larger. Two of them, one after the other, make a terabyte of a megabyte.
pub(super) fn unpacked(stream: &Stream<'_>, limit: u64) -> Result<Measure, Refusal> {
    let filters = stream.filters();
    let filters = filters.strip_prefix(&[Filter::Crypt]).unwrap_or(&filters);
    check_parameters(stream.dict())?;
    let (data, left) = without_printable(stream.raw_data(), filters).ok_or(Refusal::Unmeasurable)?;
    let mut counter = Counter { measure: Measure::default(), limit, last: 0 };
    match left.as_slice() {
        [] => counter.add(&data)?,
        // The parser decodes no pictures here.
        [.., Filter::DctDecode | Filter::JpxDecode | Filter::Jbig2Decode | Filter::CcittFaxDecode] => {}
        [Filter::FlateDecode] => inflate(&data, &mut counter)?,
        [Filter::LzwDecode] => counter.add_unseen(lzw_bytes(&data, early_change(stream.dict())))?,
        // Two bytes become 128 at most.
        [Filter::RunLengthDecode] => counter.add_unseen(data.len() as u64 * 64)?,
        _ => return Err(Refusal::Unmeasurable),
    }
    Ok(counter.measure)
}

/// Counts bytes as they come.
struct Counter {
    measure: Measure,
    limit: u64,
    last: u8,
}

impl Counter {
    fn add(&mut self, bytes: &[u8]) -> Result<(), Refusal> {
        let is_divided = self.last == b'<' && bytes.first() == Some(&b'<');
        self.measure.dicts += memchr::memmem::find_iter(bytes, b"<<").count() as u64 + u64::from(is_divided);
        self.last = bytes.last().copied().unwrap_or(self.last);
        self.measure.bytes += bytes.len() as u64;
        if self.measure.bytes > self.limit { Err(Refusal::TooLarge) } else { Ok(()) }
    }

    /// Counts bytes that are not looked at: each two of them may begin a dictionary.
    fn add_unseen(&mut self, bytes: u64) -> Result<(), Refusal> {
        self.measure.bytes += bytes;
        self.measure.dicts += bytes / 2;
        if self.measure.bytes > self.limit { Err(Refusal::TooLarge) } else { Ok(()) }
    }
}

/// How inflating ended.
#[derive(PartialEq, Eq)]
enum End {
    Complete,
    /// The data ended before its end was reached. Until there, a lenient decoder does the same as a strict one.
    CutOff,
    Damaged,
}

/// Counts what the parser's three attempts unpack: as zlib, as a bare stream, and leniently. The lenient one goes on where the others
/// found damage, so damaged data is refused: nobody can tell how much it will become. Data with a wrong checksum only is not damaged.
fn inflate(data: &[u8], counter: &mut Counter) -> Result<(), Refusal> {
    let attempts = [(true, 0), (false, 0), (false, 2)];
    for (has_header, skipped) in attempts {
        let mut attempt = Counter { measure: Measure::default(), limit: counter.limit, last: 0 };
        let end = inflate_as(has_header, data.get(skipped..).unwrap_or_default(), &mut attempt)?;
        if end == End::Complete || (end == End::CutOff && (has_header || skipped > 0)) {
            counter.measure = attempt.measure;
            return Ok(());
        }
    }
    Err(Refusal::Unmeasurable)
}

fn inflate_as(has_header: bool, data: &[u8], counter: &mut Counter) -> Result<End, Refusal> {
    let mut inflater = Decompress::new(has_header);
    let mut buffer = vec![0; 32 * 1024];
    loop {
        let (read, written) = (inflater.total_in(), inflater.total_out());
        let rest = data.get(read as usize..).unwrap_or_default();
        let status = inflater.decompress(rest, &mut buffer, FlushDecompress::None);
        let new = (inflater.total_out() - written) as usize;
        counter.add(&buffer[..new])?;
        match status {
            Ok(Status::StreamEnd) => return Ok(End::Complete),
            Err(_) => return Ok(End::Damaged),
            Ok(Status::Ok | Status::BufError) if new == 0 && inflater.total_in() == read => return Ok(End::CutOff),
            Ok(Status::Ok | Status::BufError) => {}
        }
    }
}

/// The bytes that LZW unpacks to. Only the lengths of the strings in its table are needed for that.
fn lzw_bytes(data: &[u8], early_change: bool) -> u64 {
    let mut bits = Bits { data, at: 0 };
    let mut lengths: Vec<u64> = vec![1; 258];
    let mut last = None;
    let mut total = 0;
    while let Some(code) = bits.next(code_bits(lengths.len() + usize::from(early_change))) {
        match (code, last) {
            (256, _) => {
                lengths.truncate(258);
                last = None;
            }
            (257, _) => break,
            (code, Some(before)) => {
                let grown = lengths[before] + 1;
                total += lengths.get(code).copied().unwrap_or(grown);
                if lengths.len() < LZW_CODES {
                    lengths.push(grown);
                }
                last = Some(code.min(lengths.len() - 1));
            }
            (code, None) => {
                total += lengths.get(code).copied().unwrap_or(1);
                last = Some(code.min(lengths.len() - 1));
            }
        }
    }
    total
}

fn code_bits(codes: usize) -> usize {
    match codes {
        ..512 => 9,
        512..1_024 => 10,
        1_024..2_048 => 11,
        _ => 12,
    }
}

struct Bits<'d> {
    data: &'d [u8],
    at: usize,
}

impl Bits<'_> {
    fn next(&mut self, count: usize) -> Option<usize> {
        let mut value = 0;
        for at in self.at..self.at + count {
            let byte = *self.data.get(at / 8)?;
            value = value << 1 | usize::from(byte >> (7 - at % 8) & 1);
        }
        self.at += count;
        Some(value)
    }
}

/// Refuses predictors that would allocate more than their data has, or whose arithmetic would overflow.
fn check_parameters(dict: &Dict<'_>) -> Result<(), Refusal> {
    let is_sane = |parameters: &Dict<'_>| {
        let number = |key: &[u8], default: usize| match parameters.contains_key(key) {
            true => parameters.get::<usize>(key),
            false => Some(default),
        };
        let columns = number(COLUMNS, 1).is_some_and(|columns| (1..=MAX_COLUMNS).contains(&columns));
        let colors = number(COLORS, 1).filter(|colors| (1..=31).contains(colors));
        let bits = number(BITS_PER_COMPONENT, 8).filter(|bits| matches!(bits, 1 | 2 | 4 | 8 | 16));
        columns && colors.zip(bits).is_some_and(|(colors, bits)| colors * bits <= 255)
    };
    if parameters(dict).iter().all(is_sane) { Ok(()) } else { Err(Refusal::Unmeasurable) }
}

fn early_change(dict: &Dict<'_>) -> bool {
    parameters(dict).iter().find_map(|parameters| parameters.get::<u8>(EARLY_CHANGE)).is_none_or(|early| early != 0)
}

/// The parameters of all filters.
pub(super) fn parameters<'d>(dict: &Dict<'d>) -> Vec<Dict<'d>> {
    let mut found = Vec::new();
    for key in [DP, DECODE_PARMS] {
        found.extend(dict.get::<Dict<'_>>(key));
        let each = dict.get::<Array<'_>>(key);
        found.extend(each.iter().flat_map(|each| each.iter::<Object<'_>>()).filter_map(Object::into_dict));
    }
    found
}
