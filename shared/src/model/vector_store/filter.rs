//! Filters of a search: conditions on the attributes of files.

use std::cmp::Ordering;

use super::attributes::{AttributeValue, Attributes};

/// A condition that the attributes of a file fulfil or not.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Compare { key: String, comparison: Comparison },
}

/// A comparison with one attribute.
#[derive(Debug, Clone, PartialEq)]
pub enum Comparison {
    Equal(AttributeValue),
    NotEqual(AttributeValue),
    Greater(AttributeValue),
    GreaterOrEqual(AttributeValue),
    Less(AttributeValue),
    LessOrEqual(AttributeValue),
    In(Vec<AttributeValue>),
    NotIn(Vec<AttributeValue>),
}

impl Filter {
    /// Whether a file with these attributes is searched. A file without the attribute is not equal to any value, and neither less nor
    /// greater than one.
    #[must_use]
    pub fn matches(&self, attributes: &Attributes) -> bool {
        match self {
            Self::And(filters) => filters.iter().all(|filter| filter.matches(attributes)),
            Self::Or(filters) => filters.iter().any(|filter| filter.matches(attributes)),
            Self::Compare { key, comparison } => comparison.holds_for(attributes.0.get(key)),
        }
    }
}

impl Comparison {
    fn holds_for(&self, found: Option<&AttributeValue>) -> bool {
        let is = |value: &AttributeValue| found.is_some_and(|found| is_equal(found, value));
        let order = |value: &AttributeValue| found.and_then(|found| compare(found, value));
        match self {
            Self::Equal(value) => is(value),
            Self::NotEqual(value) => !is(value),
            Self::Greater(value) => order(value) == Some(Ordering::Greater),
            Self::GreaterOrEqual(value) => matches!(order(value), Some(Ordering::Greater | Ordering::Equal)),
            Self::Less(value) => order(value) == Some(Ordering::Less),
            Self::LessOrEqual(value) => matches!(order(value), Some(Ordering::Less | Ordering::Equal)),
            Self::In(values) => values.iter().any(is),
            Self::NotIn(values) => !values.iter().any(is),
        }
    }
}

/// `1` and `1.0` are the same number.
fn is_equal(one: &AttributeValue, other: &AttributeValue) -> bool {
    one == other || compare(one, other) == Some(Ordering::Equal)
}

/// Values of different types have no order.
fn compare(one: &AttributeValue, other: &AttributeValue) -> Option<Ordering> {
    match (one, other) {
        (AttributeValue::Number(one), AttributeValue::Number(other)) => one.as_f64()?.partial_cmp(&other.as_f64()?),
        (AttributeValue::Text(one), AttributeValue::Text(other)) => Some(one.cmp(other)),
        (AttributeValue::Bool(one), AttributeValue::Bool(other)) => Some(one.cmp(other)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> AttributeValue {
        AttributeValue::Text(value.to_owned())
    }

    fn number(value: f64) -> AttributeValue {
        AttributeValue::Number(serde_json::Number::from_f64(value).unwrap())
    }

    fn matches(key: &str, comparison: Comparison) -> bool {
        let attributes = [("year", number(2024.0)), ("lang", text("en")), ("draft", AttributeValue::Bool(false))];
        let attributes = Attributes(attributes.map(|(name, value)| (name.to_owned(), value)).into());
        Filter::Compare { key: key.to_owned(), comparison }.matches(&attributes)
    }

    #[test]
    fn each_comparison_holds_for_the_values_that_it_names() {
        let year = number;
        for (key, comparison, expected) in [
            ("year", Comparison::Equal(year(2024.0)), true),
            ("year", Comparison::Equal(year(2023.0)), false),
            ("year", Comparison::Equal(text("2024")), false),
            ("year", Comparison::NotEqual(year(2023.0)), true),
            ("year", Comparison::Greater(year(2023.0)), true),
            ("year", Comparison::Greater(year(2024.0)), false),
            ("year", Comparison::GreaterOrEqual(year(2024.0)), true),
            ("year", Comparison::Less(year(2025.0)), true),
            ("year", Comparison::LessOrEqual(year(2023.0)), false),
            ("year", Comparison::Less(text("3")), false),
            ("lang", Comparison::In(vec![text("de"), text("en")]), true),
            ("lang", Comparison::NotIn(vec![text("de"), text("en")]), false),
            ("draft", Comparison::Equal(AttributeValue::Bool(false)), true),
            ("absent", Comparison::Equal(text("x")), false),
            ("absent", Comparison::NotEqual(text("x")), true),
            ("absent", Comparison::Less(year(1.0)), false),
            ("absent", Comparison::NotIn(vec![text("x")]), true),
        ] {
            assert_eq!(matches(key, comparison.clone()), expected, "{key} {comparison:?}");
        }
    }

    #[test]
    fn filters_are_combined_at_any_depth() {
        let is =
            |key: &str, value: &str| Filter::Compare { key: key.into(), comparison: Comparison::Equal(text(value)) };
        let attributes = Attributes([("a".to_owned(), text("1")), ("b".to_owned(), text("2"))].into());
        let filter = Filter::And(vec![is("a", "1"), Filter::Or(vec![is("b", "1"), is("b", "2")])]);
        assert!(filter.matches(&attributes));
        assert!(!Filter::And(vec![filter.clone(), is("c", "3")]).matches(&attributes));
        assert!(Filter::Or(vec![filter, is("c", "3")]).matches(&attributes));
    }
}
