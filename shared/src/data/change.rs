//! Writes of the table, and their outcomes.

use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue};

use super::item::{Item, text};
use super::keys::Key;
use crate::model::id;

/// The outcome of a conditional write.
#[must_use]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteOutcome {
    Written,
    /// The condition did not hold, and nothing was written. Each method says which condition that is.
    Refused,
}

impl WriteOutcome {
    #[must_use]
    pub fn is_written(self) -> bool {
        self == Self::Written
    }
}

/// The outcome of an update, with the attributes that it returns.
#[must_use]
#[derive(Debug)]
pub(super) enum UpdateOutcome {
    /// The attributes that [`Returning`] asked for.
    Written(Item),
    /// The item that did not fulfil the condition, if [`Returning`] asked for anything and the item exists.
    Refused(Option<Item>),
}

impl From<UpdateOutcome> for WriteOutcome {
    fn from(outcome: UpdateOutcome) -> Self {
        match outcome {
            UpdateOutcome::Written(_) => Self::Written,
            UpdateOutcome::Refused(_) => Self::Refused,
        }
    }
}

/// The attributes that an update returns. Items can be large, so only callers that read them ask for them.
///
/// A refusal returns the whole item to each caller that asks for anything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Returning {
    #[default]
    Nothing,
    /// The attributes that changed, with their new values.
    Changed,
    /// The whole item.
    All,
}

impl Returning {
    pub(super) fn to_sdk(self) -> Option<ReturnValue> {
        match self {
            Self::Nothing => None,
            Self::Changed => Some(ReturnValue::UpdatedNew),
            Self::All => Some(ReturnValue::AllNew),
        }
    }
}

/// An update: its expression and condition with their values (names that begin with `:`) and attribute names (`#`).
#[derive(Debug, Clone, Default)]
pub(super) struct Change {
    pub(super) update: String,
    pub(super) condition: String,
    pub(super) values: Vec<(&'static str, AttributeValue)>,
    pub(super) names: Vec<(&'static str, String)>,
    pub(super) returning: Returning,
    /// See [`Change::marked`].
    mark: Option<&'static str>,
}

impl Change {
    pub(super) fn new(update: impl Into<String>) -> Self {
        Self { update: update.into(), ..Self::default() }
    }

    /// Makes the update depend on a condition.
    pub(super) fn only_if(self, condition: impl Into<String>) -> Self {
        Self { condition: condition.into(), ..self }
    }

    pub(super) fn values(mut self, values: impl IntoIterator<Item = (&'static str, AttributeValue)>) -> Self {
        self.values.extend(values);
        self
    }

    pub(super) fn returning(self, returning: Returning) -> Self {
        Self { returning, ..self }
    }

    /// Marks the item with an id of this change: the update must set `attribute` to `:mark`.
    ///
    /// The SDK repeats a write whose answer was lost, and the repetition is refused if the first write took effect. The
    /// mark shows that, and such an update counts as written. It needs [`Returning`], which brings the refused item back.
    pub(super) fn marked(self, attribute: &'static str) -> Self {
        Self { mark: Some(attribute), ..self }.values([(":mark", text(id::random(12)))])
    }

    /// Whether this change wrote `item`, as its mark shows.
    pub(super) fn has_marked(&self, item: &Item) -> bool {
        let mark = self.values.iter().find(|(name, _)| *name == ":mark").map(|(_, mark)| mark);
        self.mark.is_some_and(|attribute| item.get(attribute) == mark)
    }

    /// Appends a clause to the update, with its value.
    pub(super) fn push(&mut self, clause: &str, name: &'static str, value: AttributeValue) {
        self.update.push_str(clause);
        self.values.push((name, value));
    }
}

/// One write of a transaction.
#[derive(Clone)]
pub(super) enum Write {
    /// Puts an item; refuses if one has its key.
    Create(Item),
    /// Puts an item, or replaces the one with its key.
    Put(Item),
    /// Puts an item if the one that it replaces fulfils the condition.
    PutIf(Item, &'static str, Vec<(&'static str, AttributeValue)>),
    Change(Key, Change),
    Delete(Key),
    /// Deletes an item; refuses if it does not exist.
    Remove(Key),
    /// Deletes an item if it fulfils the condition.
    RemoveIf(Key, &'static str, Vec<(&'static str, AttributeValue)>),
    /// Writes nothing; refuses if the item does not fulfil the condition at the time of the other writes.
    Check(Key, &'static str, Vec<(&'static str, AttributeValue)>),
}
