//! The filter of a search.

use serde_json::{Map, Value};

use crate::dialects::body::shortened;
use crate::dialects::unknown::unknown;
use crate::model::invalid::Invalid;
use crate::model::vector_store::{AttributeValue, Comparison, Filter};

/// Filters within filters.
pub(super) const MAX_DEPTH: usize = 8;
/// The most values of one list.
const MAX_VALUES: usize = 100;

type Members = Map<String, Value>;

/// Reads the filter at the path `at` of a body, which is in so many others.
pub(super) fn read_filter(value: &Value, at: &str, depth: usize) -> Result<Filter, Invalid> {
    if depth >= MAX_DEPTH {
        return Err(Invalid::field(at, format!("`{at}` is more than {MAX_DEPTH} filters deep.")));
    }
    let members = value.as_object().ok_or_else(|| Invalid::field(at, format!("`{at}` must be an object.")))?;
    match members.get("type").and_then(Value::as_str).unwrap_or("eq") {
        "and" => read_filters(members, at, depth).map(Filter::And),
        "or" => read_filters(members, at, depth).map(Filter::Or),
        kind => read_comparison(members, kind, at),
    }
}

fn read_filters(members: &Members, at: &str, depth: usize) -> Result<Vec<Filter>, Invalid> {
    check_names(members, at, &["type", "filters"])?;
    let at = format!("{at}.filters");
    let filters = members.get("filters").and_then(Value::as_array).filter(|filters| !filters.is_empty());
    let filters = filters.ok_or_else(|| Invalid::field(&*at, format!("`{at}` must be an array of filters.")))?;
    filters.iter().enumerate().map(|(n, filter)| read_filter(filter, &format!("{at}[{n}]"), depth + 1)).collect()
}

fn read_comparison(members: &Members, kind: &str, at: &str) -> Result<Filter, Invalid> {
    check_names(members, at, &["type", "key", "value"])?;
    let wrong = |name: &str, expected: &str| {
        let path = format!("{at}.{name}");
        Invalid::field(&*path, format!("`{path}` must be {expected}."))
    };
    let key = members.get("key").and_then(Value::as_str).filter(|key| !key.is_empty());
    let key = key.ok_or_else(|| wrong("key", "the name of an attribute"))?.to_owned();
    let value = members.get("value").unwrap_or(&Value::Null);
    let one = || scalar(value).ok_or_else(|| wrong("value", "a string, a number or a boolean"));
    let many = || {
        let values = value.as_array().filter(|values| values.len() <= MAX_VALUES);
        let values = values.and_then(|values| values.iter().map(scalar).collect::<Option<Vec<_>>>());
        values.ok_or_else(|| wrong("value", &format!("an array of at most {MAX_VALUES} strings, numbers or booleans")))
    };
    let comparison = match kind {
        "eq" => Comparison::Equal(one()?),
        "ne" => Comparison::NotEqual(one()?),
        "gt" => Comparison::Greater(one()?),
        "gte" => Comparison::GreaterOrEqual(one()?),
        "lt" => Comparison::Less(one()?),
        "lte" => Comparison::LessOrEqual(one()?),
        "in" => Comparison::In(many()?),
        "nin" => Comparison::NotIn(many()?),
        other => {
            let expected = "expected one of: eq, ne, gt, gte, lt, lte, in, nin, and, or";
            let message = format!("`{at}.type` is `{}`, {expected}.", shortened(other));
            return Err(Invalid::field(format!("{at}.type"), message));
        }
    };
    Ok(Filter::Compare { key, comparison })
}

fn check_names(members: &Members, at: &str, known: &[&str]) -> Result<(), Invalid> {
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(unknown(at, name, known.iter().copied())),
        None => Ok(()),
    }
}

fn scalar(value: &Value) -> Option<AttributeValue> {
    match value {
        Value::Bool(value) => Some(AttributeValue::Bool(*value)),
        Value::Number(value) => Some(AttributeValue::Number(value.clone())),
        Value::String(value) => Some(AttributeValue::Text(value.clone())),
        _ => None,
    }
}
