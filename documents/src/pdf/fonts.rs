//! The fonts of a file: which characters its codes stand for, and how far each moves.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use hayro_font::hayro_cmap::BfString;
use hayro_font::kurbo::Vec2;
use hayro_font::{CMapResolverFn, Font, FontCache, FontGlyph, FontQuery, FontResolverFn};
use hayro_syntax::object::dict::keys::{
    CID_TO_GID_MAP, DESCENDANT_FONTS, ENCODING, FIRST_CHAR, FONT_DESC, FONT_FILE, FONT_FILE2, FONT_FILE3, TO_UNICODE,
    W, W2,
};
use hayro_syntax::object::{Array, Dict, Stream};

use super::measure;
use crate::Problem;
use crate::watch::Watch;

/// The most glyphs whose widths a font may declare: each is an entry of a map, and a range of a billion is ten bytes long.
const MAX_WIDTHS: u64 = 200_000;
/// The memory of a map from codes to characters, in its bytes.
const COST_OF_MAPS: usize = 4;
/// The most glyphs of a font that are kept.
const MAX_GLYPHS: usize = 4_096;
/// The most fonts of a file. Each costs memory, however small it is.
const MAX_FONTS: usize = 20_000;

/// The fonts that were used so far.
pub(super) struct Fonts<'a, 'w> {
    cache: FontCache<'a>,
    fonts: HashMap<usize, Option<Rc<LoadedFont<'a>>>>,
    substitute: FontResolverFn,
    maps: CMapResolverFn,
    watch: &'w Watch,
}

/// A font, and the glyphs that were looked up by their codes.
pub(super) struct LoadedFont<'a> {
    font: Font<'a>,
    glyphs: RefCell<HashMap<u32, Rc<Glyph>>>,
}

/// What a code stands for.
pub(super) struct Glyph {
    pub(super) text: Option<BfString>,
    /// In thousandths of the font's size.
    pub(super) advance: Vec2,
}

impl<'a, 'w> Fonts<'a, 'w> {
    pub(super) fn new(watch: &'w Watch) -> Self {
        Self {
            cache: FontCache::new(),
            fonts: HashMap::new(),
            // A font that the file does not contain is replaced by one with the same widths, as viewers do.
            substitute: Arc::new(|query: &FontQuery| {
                Some(match query {
                    FontQuery::Standard(font) => font.get_font_data(),
                    FontQuery::Fallback(query) => query.pick_standard_font().get_font_data(),
                })
            }),
            // The maps of Asian character sets are megabytes, and programs embed their own.
            maps: Arc::new(|_| None),
            watch,
        }
    }

    /// The font of a dictionary; `None` if it cannot be used.
    pub(super) fn get(&mut self, dict: &Dict<'a>) -> Result<Option<Rc<LoadedFont<'a>>>, Problem> {
        // The bytes of the dictionary stay where they are as long as the file does.
        let key = dict.data().as_ptr() as usize;
        if let Some(font) = self.fonts.get(&key) {
            return Ok(font.clone());
        }
        if self.fonts.len() == MAX_FONTS {
            return Err(Problem::TooLarge { what: "its fonts", limit: MAX_FONTS as u64 });
        }
        let font = if self.check(dict)? { self.cache.font(dict, &self.substitute, &self.maps) } else { None };
        let font = font.map(|font| Rc::new(LoadedFont { font, glyphs: RefCell::default() }));
        self.fonts.insert(key, font.clone());
        Ok(font)
    }

    /// Whether the font can be loaded: its streams are measured and counted, and its widths are few.
    fn check(&self, dict: &Dict<'a>) -> Result<bool, Problem> {
        let inner = dict.get::<Array<'_>>(DESCENDANT_FONTS).and_then(|fonts| fonts.iter::<Dict<'_>>().next());
        if dict.get::<usize>(FIRST_CHAR).is_some_and(|first| first > 255) {
            return Ok(false);
        }
        let widths = inner.iter().flat_map(|inner| [W, W2].map(|key| inner.get::<Array<'_>>(key)));
        if widths.flatten().any(|widths| count_widths(&widths) > MAX_WIDTHS) {
            return Ok(false);
        }
        let descriptors = [dict.get::<Dict<'_>>(FONT_DESC), inner.as_ref().and_then(|inner| inner.get(FONT_DESC))];
        let programs = descriptors.iter().flatten().flat_map(|descriptor| {
            [FONT_FILE, FONT_FILE2, FONT_FILE3].map(|key| (descriptor.get::<Stream<'_>>(key), 1))
        });
        let maps = [
            (dict.get::<Stream<'_>>(TO_UNICODE), COST_OF_MAPS),
            (dict.get::<Stream<'_>>(ENCODING), COST_OF_MAPS),
            (inner.as_ref().and_then(|inner| inner.get::<Stream<'_>>(CID_TO_GID_MAP)), COST_OF_MAPS),
        ];
        for (stream, cost) in programs.chain(maps) {
            let Some(stream) = stream else { continue };
            self.watch.step()?;
            match measure::unpacked_bytes(&stream, self.watch.left()) {
                Ok(bytes) => self.watch.unpack(usize::try_from(bytes).unwrap_or(usize::MAX).saturating_mul(cost))?,
                Err(_) => return Ok(false),
            }
        }
        Ok(true)
    }
}

/// The number of glyphs whose widths are declared, read as the font's parser reads them: `first [widths]` or `first last width`.
fn count_widths(widths: &Array<'_>) -> u64 {
    let mut count = 0_u64;
    let mut items = widths.flex_iter();
    loop {
        if let Some((_, range)) = items.next::<(u32, Array<'_>)>() {
            count = count.saturating_add(range.raw_iter().count() as u64);
        } else if let Some((first, last, _)) = items.next::<(u32, u32, f32)>() {
            count = count.saturating_add(u64::from(last.saturating_sub(first)) + 1);
        } else {
            return count;
        }
        if count > MAX_WIDTHS {
            return count;
        }
    }
}

impl LoadedFont<'_> {
    /// The code that begins a text, and its bytes.
    pub(super) fn code(&self, text: &[u8]) -> (u32, usize) {
        let (code, bytes) = self.font.read_code(text, 0);
        (code, bytes.max(1))
    }

    /// The glyph of a code that has so many bytes.
    pub(super) fn glyph(&self, code: u32, bytes: usize) -> Rc<Glyph> {
        if let Some(glyph) = self.glyphs.borrow().get(&code) {
            return Rc::clone(glyph);
        }
        let glyph = Rc::new(self.look_up(code, bytes));
        let mut glyphs = self.glyphs.borrow_mut();
        if glyphs.len() < MAX_GLYPHS {
            glyphs.insert(code, Rc::clone(&glyph));
        }
        glyph
    }

    fn look_up(&self, code: u32, bytes: usize) -> Glyph {
        let found = match self.font.glyph(self.font.map_code(code), code) {
            FontGlyph::Outline(glyph) => glyph.as_unicode(),
            FontGlyph::Type3(glyph) => glyph.as_unicode(),
        };
        // A font that says nothing about its codes mostly uses those of ASCII.
        let ascii = || char::from_u32(code).filter(|c| bytes == 1 && c.is_ascii_graphic()).map(BfString::Char);
        Glyph { text: found.or_else(ascii), advance: self.font.code_advance(code) }
    }

    pub(super) fn is_horizontal(&self) -> bool {
        self.font.is_horizontal()
    }
}
