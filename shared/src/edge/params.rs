//! The query, read parameter by parameter: so a parameter can be a list, and an error names its parameter.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::model::invalid::Invalid;

/// The parameters of a query, in the order of the query.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Params(Vec<(String, String)>);

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(Self::parse(parts.uri.query().unwrap_or_default()))
    }
}

impl Params {
    /// Parses a query without its `?`.
    #[must_use]
    pub fn parse(query: &str) -> Self {
        Self(form_urlencoded::parse(query.as_bytes()).into_owned().collect())
    }

    /// The value of a parameter; `None` if it is absent or empty. If the query has it twice, the last one counts.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .rev()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// The value of a parameter as a whole number; `None` if it is absent or empty.
    ///
    /// # Errors
    /// `Invalid`, with the name of the parameter, if the value is not a whole number.
    pub fn number(&self, name: &str) -> Result<Option<u64>, Invalid> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let wrong = |_| Invalid::field(name, format!("`{name}` is `{text}`, expected a whole number."));
        text.parse().map(Some).map_err(wrong)
    }

    /// The value of a parameter that is `true` or `false`; `None` if it is absent.
    ///
    /// # Errors
    /// `Invalid`, with the name of the parameter, if the value is neither.
    pub fn flag(&self, name: &str) -> Result<Option<bool>, Invalid> {
        match self.text(name) {
            None => Ok(None),
            Some("false") => Ok(Some(false)),
            Some("true") => Ok(Some(true)),
            Some(other) => Err(Invalid::field(name, format!("`{name}` is `{other}`, expected `true` or `false`."))),
        }
    }

    /// The values of a list, in each of its spellings: `a[]=1&a[]=2`, `a=1&a=2` and `a=1,2` are the same.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<&str> {
        let of_name = |key: &str| key.strip_suffix("[]").unwrap_or(key) == name;
        let given = self.0.iter().filter(|(key, _)| of_name(key));
        given.flat_map(|(_, value)| value.split(',')).filter(|value| !value.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_lists_in_every_spelling() {
        for query in ["a[]=1&a[]=2", "a%5B%5D=1&b=9&a%5B%5D=2", "a=1&a=2", "a=1,2", "a=1%2C2", "a[]=1,2,"] {
            assert_eq!(Params::parse(query).list("a"), ["1", "2"], "{query}");
        }
        assert!(Params::parse("aa=1&a[0]=2").list("a").is_empty());
    }

    #[test]
    fn the_last_value_counts_and_an_empty_one_is_absent() {
        let params = Params::parse("n=1&n=2&empty=&yes=true");
        assert_eq!((params.number("n"), params.text("empty"), params.flag("yes")), (Ok(Some(2)), None, Ok(Some(true))));
        assert_eq!((params.number("other"), params.flag("other")), (Ok(None), Ok(None)));
    }

    #[test]
    fn an_error_names_the_parameter() {
        let params = Params::parse("n=-1&yes=1");
        for error in [params.number("n").unwrap_err(), params.flag("yes").unwrap_err()] {
            assert!(error.param.is_some() && error.message.contains("1`, expected"), "{error:?}");
        }
    }
}
