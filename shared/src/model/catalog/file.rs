//! Reads `models.toml` strictly, entry by entry. Every error names its line and the expected text.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::entries::{self, ModelEntry, ProviderEntry};
use super::{Catalog, ModelKind};

/// What is wrong in a `models.toml`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {reason}")]
pub struct CatalogError {
    /// Counted from 1.
    pub line: usize,
    pub reason: String,
}

/// A reason, and the position of the byte that it refers to.
pub(super) struct Wrong {
    pub(super) at: usize,
    pub(super) reason: String,
}

/// An entry of the file and its problems.
pub(super) struct Read<T> {
    /// Where the entry begins, in bytes.
    pub(super) at: usize,
    /// The names that the entry has in any case, even if it is wrong.
    pub(super) names: Vec<Spanned<String>>,
    /// `None` if its fields cannot be read.
    pub(super) entry: Option<T>,
}

pub(super) fn read(text: &str) -> Result<Catalog, Vec<CatalogError>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        return Err(errors.iter().map(|error| located(text, wrong_of(error, 0))).collect());
    }
    let mut problems = Vec::new();
    let (mut providers, mut models, mut stores) = (Vec::new(), Vec::new(), StoresEntry::default());
    for (key, value) in document.into_inner() {
        match key.get_ref().as_ref() {
            "provider" => providers = list::<ProviderEntry>("provider", value, &mut problems),
            "model" => models = list::<ModelEntry>("model", value, &mut problems),
            "vector_stores" => stores = read_stores(value, &mut problems),
            other => problems.push(Wrong {
                at: key.span().start,
                reason: format!("unknown field `{other}`, expected `provider`, `model` or `vector_stores`"),
            }),
        }
    }
    let lines = Lines::of(text);
    let (mut catalog, mut wrong) = entries::build(providers, models, &lines);
    problems.append(&mut wrong);
    for name in stores.embedding_models {
        if catalog.model(name.get_ref()).is_some_and(|model| model.kind != ModelKind::Embedding) {
            let reason =
                format!("`embedding_models` names `{}`, which is no model of the kind \"embedding\"", name.get_ref());
            problems.push(Wrong { at: name.span().start, reason });
        }
        catalog.embedding_models.push(name.into_inner());
    }
    problems.sort_by_key(|wrong| wrong.at);
    catalog.problems = problems.into_iter().map(|wrong| lines.locate(wrong)).collect();
    Ok(catalog)
}

/// `[vector_stores]`.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoresEntry {
    /// Names that no model has are passed over: another file may serve them.
    #[serde(default)]
    embedding_models: Vec<Spanned<String>>,
}

fn read_stores(value: Spanned<DeValue<'_>>, problems: &mut Vec<Wrong>) -> StoresEntry {
    let at = value.span().start;
    let read = StoresEntry::deserialize(ValueDeserializer::from(value));
    read.unwrap_or_else(|error| {
        problems.push(wrong_of(&error, at));
        StoresEntry::default()
    })
}

/// The positions at which lines begin.
pub(super) struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect())
    }

    /// The line of a byte, counted from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        self.0.partition_point(|begin| *begin <= at)
    }

    pub(super) fn locate(&self, wrong: Wrong) -> CatalogError {
        CatalogError { line: self.line(wrong.at), reason: wrong.reason }
    }
}

fn located(text: &str, wrong: Wrong) -> CatalogError {
    Lines::of(text).locate(wrong)
}

fn wrong_of(error: &toml::de::Error, at: usize) -> Wrong {
    Wrong { at: error.span().map_or(at, |span| span.start), reason: error.message().to_owned() }
}

fn list<T: DeserializeOwned>(name: &str, value: Spanned<DeValue<'_>>, problems: &mut Vec<Wrong>) -> Vec<Read<T>> {
    let at = value.span().start;
    let DeValue::Array(entries) = value.into_inner() else {
        problems.push(Wrong { at, reason: format!("`{name}` is no list of tables; write [[{name}]]") });
        return Vec::new();
    };
    entries.into_iter().map(|entry| read_entry(name, entry, problems)).collect()
}

fn read_entry<T: DeserializeOwned>(name: &str, value: Spanned<DeValue<'_>>, problems: &mut Vec<Wrong>) -> Read<T> {
    let span = value.span();
    let DeValue::Table(table) = value.into_inner() else {
        problems.push(Wrong { at: span.start, reason: format!("`{name}` has an entry that is no table") });
        return Read { at: span.start, names: Vec::new(), entry: None };
    };
    let at = table.get("name").map_or(span.start, |name| name.span().start);
    let names = names_of(&table);
    Read { at, names, entry: read_fields(table, span, problems) }
}

/// Reads the fields of an entry. After a field that cannot be read, the others are read without it, so that one look
/// finds all that is wrong.
fn read_fields<T: DeserializeOwned>(
    mut table: DeTable<'_>,
    span: std::ops::Range<usize>,
    problems: &mut Vec<Wrong>,
) -> Option<T> {
    let mut left_out: Vec<String> = Vec::new();
    loop {
        let value = Spanned::new(span.clone(), DeValue::Table(table.clone()));
        let error = match T::deserialize(ValueDeserializer::from(value)) {
            Ok(entry) if left_out.is_empty() => return Some(entry),
            Ok(_) => return None,
            Err(error) => error,
        };
        let follows = left_out.iter().any(|field| error.message() == format!("missing field `{field}`"));
        if !follows {
            problems.push(wrong_of(&error, span.start));
        }
        let field = error.span().and_then(|span| field_at(&table, span.start))?;
        table.remove(field.as_str());
        left_out.push(field);
    }
}

/// The field whose name or value has the byte at `at`.
fn field_at(table: &DeTable<'_>, at: usize) -> Option<String> {
    let holds = |(key, value): &(&Spanned<Cow<'_, str>>, &Spanned<DeValue<'_>>)| {
        key.span().contains(&at) || value.span().contains(&at)
    };
    table.iter().find(holds).map(|(key, _)| key.get_ref().clone().into_owned())
}

fn names_of(table: &DeTable<'_>) -> Vec<Spanned<String>> {
    let text =
        |value: &Spanned<DeValue<'_>>| value.get_ref().as_str().map(|text| Spanned::new(value.span(), text.to_owned()));
    let aliases = table.get("aliases").and_then(|value| value.get_ref().as_array());
    let aliases = aliases.into_iter().flat_map(|list| list.iter().filter_map(text));
    table.get("name").and_then(text).into_iter().chain(aliases).collect()
}

#[cfg(test)]
mod tests;
