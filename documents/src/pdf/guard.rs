//! Looks at a file before the parser does.
//!
//! The parser unpacks streams of objects and of cross-references on its own, without a bound and as often as a file says. It also
//! follows a reference wherever the standard allows one, each time one level deeper on the stack. So the file is made harmless first:
//!
//! - Pictures lose their dictionaries. They have no words, and they are what may be large in an honest file.
//! - A stream whose length is a reference loses the length, and ends at its `endstream`.
//! - All other streams are measured. Their sum is bounded, and what tells how to unpack them must be written in place.
//! - Dictionaries are counted, because a page can be as little as `<<>>` and costs a kilobyte of memory.
//!
//! A place where a stream may begin is found by its bytes, `<<`, and read by the parser's own code for objects. So nothing is missed
//! that the parser could find by way of a table, a damaged table, or a search.

use hayro_syntax::object::dict::keys::{
    BITS_PER_COMPONENT, COLORS, COLUMNS, DECODE_PARMS, DP, EARLY_CHANGE, ENCRYPT, F, FILTER, FIRST, IMAGE, LENGTH, N,
    OBJ_STM, PREDICTOR, SUBTYPE, TYPE, W,
};
use hayro_syntax::object::{Array, Dict, MaybeRef, Name, Object, Stream};
use hayro_syntax::reader::{Reader, ReaderContext, ReaderExt};

use super::measure::{self, Measure, Refusal};
use crate::Problem;
use crate::watch::Watch;

/// The most bytes of cross-references: an entry of one byte becomes more than thirty in memory.
const MAX_REFERENCE_BYTES: u64 = 8 * 1024 * 1024;
/// The part of the bytes that may be unpacked which may be objects: those cost several times their bytes.
const SHARE_OF_OBJECTS: u64 = 4;
/// The bytes that may be unpacked for each dictionary, which may be a page and then costs a kilobyte.
const BYTES_PER_DICT: u64 = 512;
/// The bytes that may be unpacked for each packed object, whose place is kept.
const BYTES_PER_OBJECT: u64 = 256;

const UNSAFE: Problem = Problem::Broken("it is packed in a way that cannot be read safely");

/// Makes a file harmless.
///
/// # Errors
/// `TooLarge` if it unpacks to more than the limits, `Broken` if that cannot be told, `Encrypted` if it is encrypted and packs objects.
pub(super) fn secure(content: &mut [u8], watch: &Watch) -> Result<(), Problem> {
    let plan = Plan::of(content, watch)?;
    if plan.is_encrypted {
        // Nothing can be measured before it is decrypted, and the parser unpacks right after that. Without packed objects the parser
        // unpacks nothing on its own.
        return if plan.packs_objects { Err(Problem::Encrypted) } else { Ok(()) };
    }
    for edit in plan.edits {
        edit.apply(content);
    }
    check(content, watch)
}

/// What is to be done about a file.
#[derive(Default)]
struct Plan {
    is_encrypted: bool,
    packs_objects: bool,
    edits: Vec<Edit>,
}

/// A change that makes a stream harmless.
enum Edit {
    /// Removes all entries of the dictionary, so that the data is read as it is.
    Clear { at: usize, bytes: usize },
    /// Renames the length.
    ForgetLength { at: usize, bytes: usize },
}

impl Edit {
    fn apply(&self, content: &mut [u8]) {
        match *self {
            Self::Clear { at, bytes } => content[at + 2..at + bytes - 2].fill(b' '),
            Self::ForgetLength { at, bytes } => {
                let dict = &mut content[at..at + bytes];
                let places: Vec<_> = memchr::memmem::find_iter(dict, b"/Length").collect();
                for place in places {
                    let next = dict.get(place + 7).copied().unwrap_or(b' ');
                    if !next.is_ascii_alphanumeric() {
                        dict[place..place + 7].copy_from_slice(b"/length");
                    }
                }
            }
        }
    }
}

impl Plan {
    fn of(content: &[u8], watch: &Watch) -> Result<Self, Problem> {
        let mut plan = Self::default();
        let mut dicts = 0;
        each_dict(content, watch, |dict, at| {
            dicts += 1;
            plan.is_encrypted |= dict.contains_key(ENCRYPT);
            if let Some(stream) = stream_at(content, at) {
                plan.packs_objects |= dict.contains_key(W) || dict.get::<Name<'_>>(TYPE).as_deref() == Some(OBJ_STM);
                plan.edits.extend(edit(dict, &stream, at, watch.limits().unpacked_bytes));
            }
            check_dicts(dicts, watch)
        })?;
        Ok(plan)
    }
}

fn edit(dict: &Dict<'_>, stream: &Stream<'_>, at: usize, limit: u64) -> Option<Edit> {
    let bytes = dict.data().len();
    let is_picture = dict.get::<Name<'_>>(SUBTYPE).as_deref() == Some(IMAGE);
    // A damaged stream is lost in any case, and the rest of the file may be sound.
    if is_picture || measure::unpacked(stream, limit) == Err(Refusal::Unmeasurable) {
        return Some(Edit::Clear { at, bytes });
    }
    is_reference(dict, LENGTH).then_some(Edit::ForgetLength { at, bytes })
}

/// Checks the file as it is after the edits, each of which may have changed the bytes of another stream.
fn check(content: &[u8], watch: &Watch) -> Result<(), Problem> {
    let limit = watch.limits().unpacked_bytes;
    let too_large = Problem::TooLarge { what: "the unpacked bytes", limit };
    let mut all = 0;
    let mut references = 0;
    let mut objects = Measure::default();
    let mut packed = 0_u64;
    each_dict(content, watch, |dict, at| {
        let Some(stream) = stream_at(content, at) else { return Ok(()) };
        if !is_self_contained(dict) {
            return Err(UNSAFE);
        }
        let measure = measure::unpacked(&stream, limit).map_err(|refusal| match refusal {
            Refusal::TooLarge => too_large.clone(),
            Refusal::Unmeasurable => UNSAFE,
        })?;
        all += measure.bytes;
        if dict.contains_key(W) {
            references += measure.bytes;
        }
        if dict.contains_key(FIRST) {
            objects += measure;
            packed = packed.saturating_add(dict.get::<usize>(N).unwrap_or(0) as u64);
        }
        let is_within = all <= limit
            && references <= MAX_REFERENCE_BYTES
            && objects.bytes <= limit / SHARE_OF_OBJECTS
            && packed <= limit / BYTES_PER_OBJECT;
        if is_within { check_dicts(objects.dicts, watch) } else { Err(too_large.clone()) }
    })
}

fn check_dicts(dicts: u64, watch: &Watch) -> Result<(), Problem> {
    let limit = watch.limits().unpacked_bytes / BYTES_PER_DICT;
    if dicts <= limit { Ok(()) } else { Err(Problem::TooLarge { what: "its objects", limit }) }
}

/// Whether the dictionary of a stream says in place how the stream is read. A reference would be followed while the stream is read,
/// into another stream, and so on.
fn is_self_contained(dict: &Dict<'_>) -> bool {
    let keys = [LENGTH, F, FILTER, DP, DECODE_PARMS, N, FIRST];
    if keys.iter().any(|key| is_reference(dict, key)) {
        return false;
    }
    let lists = [F, FILTER, DP, DECODE_PARMS].into_iter().filter_map(|key| dict.get::<Array<'_>>(key));
    let mut items = lists.flat_map(|list| list.raw_iter());
    if items.any(|item| matches!(item, MaybeRef::Ref(_))) {
        return false;
    }
    let parameters = [PREDICTOR, COLUMNS, COLORS, BITS_PER_COMPONENT, EARLY_CHANGE];
    let is_in_place = |dict: &Dict<'_>| !parameters.iter().any(|key| is_reference(dict, key));
    measure::parameters(dict).iter().all(is_in_place)
}

fn is_reference(dict: &Dict<'_>, key: &[u8]) -> bool {
    matches!(dict.get_raw::<Object<'_>>(key), Some(MaybeRef::Ref(_)))
}

/// Calls back with each dictionary of the file, also with those inside of others and in what only looks like one, and its place.
fn each_dict<'c>(
    content: &'c [u8],
    watch: &Watch,
    mut each: impl FnMut(&Dict<'c>, usize) -> Result<(), Problem>,
) -> Result<(), Problem> {
    let mut from = 0;
    while let Some(found) = memchr::memmem::find(&content[from..], b"<<") {
        // One dictionary may cost a search through the whole file.
        watch.look()?;
        let at = from + found;
        // The next may begin with the second byte of this: `<<<`.
        from = at + 1;
        let mut reader = Reader::new(content);
        reader.jump(at);
        if let Some(dict) = reader.read_with_context::<Dict<'_>>(&ReaderContext::dummy()) {
            each(&dict, at)?;
        }
    }
    Ok(())
}

/// The stream whose dictionary begins here.
fn stream_at(content: &[u8], at: usize) -> Option<Stream<'_>> {
    let mut reader = Reader::new(content);
    reader.jump(at);
    reader.read_with_context::<Stream<'_>>(&ReaderContext::dummy())
}
