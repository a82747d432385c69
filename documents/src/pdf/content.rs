//! Follows what a page draws, as far as text is concerned.

use std::rc::Rc;

use hayro_font::kurbo::{Affine, Vec2};
use hayro_syntax::content::TypedIter;
use hayro_syntax::content::ops::TypedInstruction;
use hayro_syntax::object::dict::keys::{FORM, MATRIX, RESOURCES, SUBTYPE};
use hayro_syntax::object::{Array, Dict, Name, Number, Object, Stream};
use hayro_syntax::page::Resources;

use super::fonts::{Fonts, LoadedFont};
use super::lines::{Lines, Shown};
use crate::Problem;
use crate::watch::Watch;

/// The forms inside of one another that are followed. A form may draw itself.
const MAX_DEPTH: usize = 12;
/// The states that are kept: a file may save without an end.
const MAX_STATES: usize = 512;

/// Reads what a page draws.
pub(super) struct Content<'c, 'a, 'w> {
    fonts: &'c mut Fonts<'a, 'w>,
    lines: &'c mut Lines,
    watch: &'w Watch,
    state: State<'a>,
    saved: Vec<State<'a>>,
    /// Where the next glyph stands, and where its line begins.
    text: Affine,
    line: Affine,
    depth: usize,
}

#[derive(Clone)]
struct State<'a> {
    page: Affine,
    font: Option<Rc<LoadedFont<'a>>>,
    size: f64,
    character_space: f64,
    word_space: f64,
    /// The width of glyphs, as a part of their own.
    scale: f64,
    leading: f64,
    rise: f64,
}

impl<'c, 'a, 'w> Content<'c, 'a, 'w> {
    pub(super) fn new(fonts: &'c mut Fonts<'a, 'w>, lines: &'c mut Lines, watch: &'w Watch) -> Self {
        let state = State {
            page: Affine::IDENTITY,
            font: None,
            size: 0.0,
            character_space: 0.0,
            word_space: 0.0,
            scale: 1.0,
            leading: 0.0,
            rise: 0.0,
        };
        let (text, line) = (Affine::IDENTITY, Affine::IDENTITY);
        Self { fonts, lines, watch, state, saved: Vec::new(), text, line, depth: 0 }
    }

    pub(super) fn read(&mut self, content: &[u8], resources: &Resources<'a>) -> Result<(), Problem> {
        let mut instructions = TypedIter::new(content);
        while let Some(instruction) = instructions.next() {
            self.watch.step()?;
            self.follow(&instruction, resources)?;
        }
        Ok(())
    }

    fn follow(&mut self, instruction: &TypedInstruction<'_, '_>, resources: &Resources<'a>) -> Result<(), Problem> {
        use TypedInstruction as Do;
        match instruction {
            Do::SaveState(_) => self.save(),
            Do::RestoreState(_) => self.state = self.saved.pop().unwrap_or_else(|| self.state.clone()),
            Do::Transform(to) => self.state.page *= affine([to.0, to.1, to.2, to.3, to.4, to.5]),
            Do::XObject(name) => return self.draw(name.0, resources),
            Do::CharacterSpacing(space) => self.state.character_space = space.0.as_f64(),
            Do::WordSpacing(space) => self.state.word_space = space.0.as_f64(),
            Do::HorizontalScaling(scale) => self.state.scale = scale.0.as_f64() / 100.0,
            Do::TextLeading(leading) => self.state.leading = leading.0.as_f64(),
            Do::TextRise(rise) => self.state.rise = rise.0.as_f64(),
            Do::TextFont(font) => {
                self.state.size = font.1.as_f64();
                self.state.font = match resources.get_font(font.0) {
                    Some(dict) => self.fonts.get(&dict)?,
                    None => None,
                };
            }
            Do::BeginText(_) => self.begin_line(Affine::IDENTITY),
            Do::SetTextMatrix(to) => self.begin_line(affine([to.0, to.1, to.2, to.3, to.4, to.5])),
            Do::NextLine(by) => self.next_line(by.0.as_f64(), by.1.as_f64()),
            Do::NextLineAndSetLeading(by) => {
                self.state.leading = -by.1.as_f64();
                self.next_line(by.0.as_f64(), by.1.as_f64());
            }
            Do::NextLineUsingLeading(_) => self.next_line(0.0, -self.state.leading),
            Do::ShowText(text) => return self.show(text.0.as_bytes()),
            Do::ShowTexts(texts) => return self.show_all(texts.0),
            Do::NextLineAndShowText(text) => {
                self.next_line(0.0, -self.state.leading);
                return self.show(text.0.as_bytes());
            }
            Do::ShowTextWithParameters(text) => {
                self.state.word_space = text.0.as_f64();
                self.state.character_space = text.1.as_f64();
                self.next_line(0.0, -self.state.leading);
                return self.show(text.2.as_bytes());
            }
            _ => {}
        }
        Ok(())
    }

    fn save(&mut self) {
        if self.saved.len() < MAX_STATES {
            self.saved.push(self.state.clone());
        }
    }

    fn begin_line(&mut self, at: Affine) {
        self.line = at;
        self.text = at;
    }

    fn next_line(&mut self, x: f64, y: f64) {
        self.begin_line(self.line * Affine::translate(Vec2::new(x, y)));
    }

    /// Draws a form, which is a page inside of the page. Pictures have no words.
    fn draw(&mut self, name: &Name<'_>, resources: &Resources<'a>) -> Result<(), Problem> {
        if self.depth == MAX_DEPTH {
            return Ok(());
        }
        let Some(form) = resources.get_x_object(name).filter(is_form) else { return Ok(()) };
        let Some(content) = super::unpacked(&form, self.watch) else { return Ok(()) };
        let own = form.dict().get::<Dict<'_>>(RESOURCES).map(Resources::new);
        let (state, text, line) = (self.state.clone(), self.text, self.line);
        if let Some(matrix) = form.dict().get::<[f64; 6]>(MATRIX) {
            self.state.page *= Affine::new(matrix);
        }
        let saved = std::mem::take(&mut self.saved);
        self.depth += 1;
        let read = self.read(&content, own.as_ref().unwrap_or(resources));
        self.depth -= 1;
        (self.state, self.text, self.line, self.saved) = (state, text, line, saved);
        read
    }

    /// Shows texts with distances between them, in thousandths of the font's size.
    fn show_all(&mut self, texts: &Array<'_>) -> Result<(), Problem> {
        for item in texts.iter::<Object<'_>>() {
            match item {
                Object::String(text) => self.show(text.as_bytes())?,
                Object::Number(distance) => {
                    let distance = -distance.as_f64() / 1_000.0 * self.state.size;
                    let is_horizontal = self.state.font.as_ref().is_none_or(|font| font.is_horizontal());
                    self.advance(match is_horizontal {
                        true => Vec2::new(distance * self.state.scale, 0.0),
                        false => Vec2::new(0.0, distance),
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn show(&mut self, text: &[u8]) -> Result<(), Problem> {
        let Some(font) = self.state.font.clone() else { return Ok(()) };
        let mut rest = text;
        while !rest.is_empty() {
            self.watch.step()?;
            let (code, bytes) = font.code(rest);
            let glyph = font.glyph(code, bytes);
            rest = rest.get(bytes..).unwrap_or_default();
            let State { size, scale, character_space, word_space, .. } = self.state;
            let space = character_space + if bytes == 1 && code == 32 { word_space } else { 0.0 };
            let advance = glyph.advance / 1_000.0 * size;
            let (advance, space) = match font.is_horizontal() {
                true => (Vec2::new(advance.x * scale, 0.0), Vec2::new(space * scale, 0.0)),
                false => (Vec2::new(0.0, advance.y), Vec2::new(0.0, -space)),
            };
            if let Some(text) = &glyph.text {
                self.lines.show(&self.shown(advance, font.is_horizontal()), text);
            }
            self.advance(advance + space);
        }
        Ok(())
    }

    /// Where a glyph stands on the page.
    fn shown(&self, advance: Vec2, is_horizontal: bool) -> Shown {
        let to_page = self.state.page * self.text * Affine::translate(Vec2::new(0.0, self.state.rise));
        let along = if is_horizontal { Vec2::new(1.0, 0.0) } else { Vec2::new(0.0, -1.0) };
        let origin = to_page * Vec2::ZERO.to_point();
        let end = to_page * advance.to_point();
        let direction = (to_page * along.to_point()) - origin;
        let height = (to_page * Vec2::new(0.0, self.state.size).to_point()) - origin;
        Shown { start: origin.to_vec2(), end: end.to_vec2(), direction: unit(direction), size: height.hypot() }
    }

    fn advance(&mut self, by: Vec2) {
        self.text *= Affine::translate(by);
    }
}

fn is_form(stream: &Stream<'_>) -> bool {
    stream.dict().get::<Name<'_>>(SUBTYPE).as_deref() == Some(FORM)
}

fn affine(numbers: [Number; 6]) -> Affine {
    Affine::new(numbers.map(|number| number.as_f64()))
}

fn unit(vector: Vec2) -> Vec2 {
    let length = vector.hypot();
    if length.is_finite() && length > 0.0 { vector / length } else { Vec2::new(1.0, 0.0) }
}
