//! Compares a call with the shape of calls whose cost is known, and notes what else it has.

mod json;

use std::collections::BTreeMap;

use json::{each_element, each_member, is_same};

use crate::model::object::Object;
use crate::model::tokens::{Asked, Label, Stored};

/// The members whose cost is known. `null` counts as absent everywhere.
pub(in crate::dialects) enum Shape {
    /// Any value.
    Any,
    /// One of these values, as JSON.
    OneOf(&'static [&'static str]),
    /// An object with some of these members.
    Members(&'static [(&'static str, Shape)]),
    /// An object whose `type` says which other members it may have.
    Typed(&'static [(&'static str, &'static [(&'static str, Shape)])]),
    /// A tool of Anthropic's API: one of the client, with some of these members, or one that Anthropic knows and the client runs.
    Tool(&'static [(&'static str, Shape)]),
    /// A list of elements of this shape.
    List(&'static Shape),
    /// A text, or a list of parts of this shape.
    Content(&'static Shape),
    /// The service tier.
    Tier,
    /// A mark that the input up to it is to be stored.
    Cache,
    /// How long the input is to be stored.
    Retention,
    /// A sound in a part of a message, with these members.
    Sound(&'static [(&'static str, Shape)]),
    /// How to speak the answer, with these members.
    Speech(&'static [(&'static str, Shape)]),
    /// The forms of the answer: text, sound, images.
    Modalities,
    /// The place at which the call is served. This one costs nothing more.
    Geo(&'static str),
    /// The speed at which the call is served. This one costs nothing more.
    Speed(&'static str),
}

/// The reasons for which a member that is billed apart has a price in the models file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::dialects) enum Apart {
    AudioInput,
    AudioOutput,
    ImageOutput,
    Geo,
    Speed,
}

/// What was noted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Noted {
    /// The members whose cost is not known: the place of the first of each name. A name has no indexes.
    pub(in crate::dialects) members: BTreeMap<String, String>,
    /// The service tier that the call asks for, if it is not the default.
    pub(in crate::dialects) tier: Option<String>,
    /// Whether these are members of Anthropic's API.
    pub(in crate::dialects) is_messages: bool,
    /// What the call asks for that has a price of its own.
    pub(in crate::dialects) asked: Asked,
    /// The members that ask for it: the place of the first of each name.
    pub(in crate::dialects) apart: BTreeMap<String, (Apart, String)>,
}

/// A body can have hundreds of thousands of members that nobody knows.
const MOST_NOTED: usize = 1_000;

/// A place in the body: with the indexes of lists, and without.
#[derive(Clone, Copy)]
struct Place<'a> {
    path: &'a str,
    name: &'a str,
}

impl Noted {
    /// What a body has beside the members of `shape`.
    pub(in crate::dialects) fn of(shape: &Shape, body: &Object) -> Self {
        let mut noted = Self::default();
        if let Shape::Members(members) = shape {
            for (name, text) in body.members() {
                noted.member(members, name, text, Place { path: name, name });
            }
        }
        noted
    }

    fn note(&mut self, place: Place<'_>) {
        // No provider's list is as long, so one of these is refused.
        if self.members.len() >= MOST_NOTED {
            return;
        }
        self.members.entry(place.name.to_owned()).or_insert_with(|| place.path.to_owned());
    }

    /// Compares the member `name`, which is at `place`.
    fn member(&mut self, known: &'static [(&'static str, Shape)], name: &str, text: &str, place: Place<'_>) {
        match known.iter().find(|(known, _)| *known == name) {
            _ if text == "null" => {}
            Some((_, shape)) => self.compare(shape, text, place),
            None => self.note(place),
        }
    }

    fn compare(&mut self, shape: &'static Shape, text: &str, place: Place<'_>) {
        let fits = match shape {
            Shape::Any => true,
            Shape::OneOf(values) => values.iter().any(|value| is_same(value, text)),
            Shape::Members(known) => self.members_of(text, known, place),
            Shape::Typed(types) => self.typed(types, text, place),
            Shape::Tool(known) => self.tool(known, text, place),
            Shape::List(element) => self.elements(element, text, place),
            Shape::Content(part) => !text.starts_with('[') || self.elements(part, text, place),
            Shape::Tier => self.read_tier(text),
            Shape::Cache => self.members_of(text, &[("type", Shape::Any), ("ttl", Shape::Retention)], place),
            Shape::Retention => self.retention(text),
            Shape::Sound(known) => {
                self.asked.audio_input = true;
                self.note_apart(Apart::AudioInput, place.part());
                self.members_of(text, known, place)
            }
            Shape::Speech(known) => {
                self.asked.audio_output = true;
                self.note_apart(Apart::AudioOutput, place);
                self.members_of(text, known, place)
            }
            Shape::Modalities => self.modalities(text, place),
            Shape::Geo(free) => self.word(text, |noted, word| {
                noted.asked.geo = Some(Label::new(word));
                noted.note_unless(word == *free, Apart::Geo, place);
            }),
            Shape::Speed(free) => self.word(text, |noted, word| {
                noted.asked.speed = Some(Label::new(word)).filter(|_| word != *free);
                noted.note_unless(word == *free, Apart::Speed, place);
            }),
        };
        if !fits {
            self.note(place);
        }
    }

    /// Returns whether this is an object.
    fn members_of(&mut self, text: &str, known: &'static [(&'static str, Shape)], place: Place<'_>) -> bool {
        each_member(text, |name, value| {
            let (path, name_there) = (format!("{}.{name}", place.path), format!("{}.{name}", place.name));
            self.member(known, name, value, Place { path: &path, name: &name_there });
        })
    }

    /// Returns whether this is an object with a known type.
    fn typed(
        &mut self,
        types: &'static [(&'static str, &'static [(&'static str, Shape)])],
        text: &str,
        place: Place<'_>,
    ) -> bool {
        let mut kinds: Vec<Option<String>> = Vec::new();
        each_member(text, |name, value| {
            if name == "type" {
                kinds.push(serde_json::from_str(value).ok());
            }
        });
        // Of two types, another reader may take the other one.
        let [Some(kind)] = &kinds[..] else { return false };
        let name = format!("{}.{kind}", place.name);
        let Some((_, known)) = types.iter().find(|(known, _)| known == kind) else {
            self.note(Place { name: &name, ..place });
            return true;
        };
        each_member(text, |member, value| {
            if member != "type" {
                let (path, name) = (format!("{}.{member}", place.path), format!("{name}.{member}"));
                self.member(known, member, value, Place { path: &path, name: &name });
            }
        })
    }

    /// Returns whether this is a tool.
    fn tool(&mut self, known: &'static [(&'static str, Shape)], text: &str, place: Place<'_>) -> bool {
        let mut kinds: Vec<Option<String>> = Vec::new();
        let is_object = each_member(text, |name, value| {
            if name == "type" && value != "null" {
                kinds.push(serde_json::from_str(value).ok());
            }
        });
        match &kinds[..] {
            [] => is_object && self.members_of(text, known, place),
            [Some(kind)] if kind == "custom" => each_member(text, |name, value| {
                if name != "type" {
                    let (path, named) = (format!("{}.{name}", place.path), format!("{}.{name}", place.name));
                    self.member(known, name, value, Place { path: &path, name: &named });
                }
            }),
            [Some(kind)] => {
                const RUN_BY_CLIENTS: [&str; 4] = ["bash_", "text_editor_", "memory_", "computer_"];
                if !RUN_BY_CLIENTS.iter().any(|begin| kind.starts_with(begin)) {
                    self.note(Place { name: &format!("{}.{kind}", place.name), ..place });
                }
                true
            }
            _ => false,
        }
    }

    /// Returns whether this is a list.
    fn elements(&mut self, shape: &'static Shape, text: &str, place: Place<'_>) -> bool {
        each_element(text, |index, value| {
            self.compare(shape, value, Place { path: &format!("{}[{index}]", place.path), ..place });
        })
    }

    fn read_tier(&mut self, text: &str) -> bool {
        let Ok(tier) = serde_json::from_str::<String>(text) else { return false };
        self.tier = Some(tier).filter(|tier| !matches!(tier.as_str(), "auto" | "default"));
        true
    }

    fn retention(&mut self, text: &str) -> bool {
        let stored = match serde_json::from_str::<String>(text).as_deref() {
            Ok("5m" | "30m" | "in_memory" | "in-memory") => Stored::Minutes,
            Ok("1h") => Stored::Hour,
            Ok("12h" | "24h") => Stored::HalfDay,
            _ => return false,
        };
        self.asked.stored = self.asked.stored.max(stored);
        true
    }

    /// Returns whether these are forms of an answer that can have prices.
    fn modalities(&mut self, text: &str, place: Place<'_>) -> bool {
        let Ok(forms) = serde_json::from_str::<Vec<String>>(text) else { return false };
        for form in &forms {
            match form.as_str() {
                "text" => {}
                "audio" => {
                    self.asked.audio_output = true;
                    self.note_apart(Apart::AudioOutput, place);
                }
                "image" => {
                    self.asked.image_output = true;
                    self.note_apart(Apart::ImageOutput, place);
                }
                _ => return false,
            }
        }
        true
    }

    /// Returns whether this is a word.
    fn word(&mut self, text: &str, note: impl FnOnce(&mut Self, &str)) -> bool {
        let Ok(word) = serde_json::from_str::<String>(text) else { return false };
        note(self, &word);
        true
    }

    fn note_unless(&mut self, is_free: bool, apart: Apart, place: Place<'_>) {
        if !is_free {
            self.note_apart(apart, place);
        }
    }

    fn note_apart(&mut self, apart: Apart, place: Place<'_>) {
        self.apart.entry(place.name.to_owned()).or_insert_with(|| (apart, place.path.to_owned()));
    }
}

impl Place<'_> {
    /// The part of a message that has the member at this place.
    fn part(self) -> Self {
        let outer = |text| str::rsplit_once(text, '.').map_or(text, |(outer, _)| outer);
        Self { path: outer(self.path), name: outer(self.name) }
    }
}
