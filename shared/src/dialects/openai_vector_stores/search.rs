//! The body of a search.

use serde::Deserialize;
use serde_json::Value;

use super::filter::read_filter;
use crate::dialects::body::{parse, shortened};
use crate::model::invalid::Invalid;
use crate::model::vector_store::Filter;

/// A checked body of a search.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchVectorStore {
    /// One or more.
    pub queries: Vec<String>,
    pub max_results: usize,
    pub filter: Option<Filter>,
    /// Also by words. Else only by meaning.
    pub by_words: bool,
    pub score_threshold: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SearchShape {
    query: Value,
    #[serde(default)]
    rewrite_query: Option<bool>,
    #[serde(default)]
    max_num_results: Option<usize>,
    #[serde(default)]
    filters: Option<Value>,
    #[serde(default)]
    ranking_options: Option<RankingShape>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RankingShape {
    #[serde(default)]
    ranker: Option<String>,
    #[serde(default)]
    score_threshold: Option<f64>,
}

/// The most results of a search, and the number of those of one that does not say: OpenAI's.
const MAX_RESULTS: usize = 50;
const USUAL_RESULTS: usize = 10;
/// The most queries of a search. Each is embedded and searched.
const MAX_QUERIES: usize = 8;
/// The most characters of a query: OpenAI's limit.
const MAX_QUERY: usize = 4_096;

impl SearchVectorStore {
    /// Reads and checks a body.
    ///
    /// # Errors
    /// As [`CreateVectorStore::parse`]; also if the query is to be rewritten: no model does that here.
    pub fn parse(json: &[u8]) -> Result<Self, Invalid> {
        let shape: SearchShape = parse(json)?;
        if shape.rewrite_query == Some(true) {
            let message = "`rewrite_query` is not available: send the query as it is to be searched.";
            return Err(Invalid::field("rewrite_query", message));
        }
        let max_results = shape.max_num_results.unwrap_or(USUAL_RESULTS);
        if !(1..=MAX_RESULTS).contains(&max_results) {
            let message = format!("`max_num_results` is {max_results}, expected 1 to {MAX_RESULTS}.");
            return Err(Invalid::field("max_num_results", message));
        }
        let ranking = shape.ranking_options.unwrap_or(RankingShape { ranker: None, score_threshold: None });
        let by_words = match ranking.ranker.as_deref() {
            None | Some("auto" | "default-2024-11-15" | "default_2024_08_21") => true,
            Some("none") => false,
            Some(other) => {
                let message = format!(
                    "`ranking_options.ranker` is `{}`, expected `auto`, `default-2024-11-15` or `none`.",
                    shortened(other)
                );
                return Err(Invalid::field("ranking_options.ranker", message));
            }
        };
        let score_threshold = ranking.score_threshold.unwrap_or(0.0);
        if !(0.0..=1.0).contains(&score_threshold) {
            let message = format!("`ranking_options.score_threshold` is {score_threshold}, expected 0 to 1.");
            return Err(Invalid::field("ranking_options.score_threshold", message));
        }
        let filter = shape.filters.filter(|filter| !filter.is_null());
        Ok(Self {
            queries: queries(shape.query)?,
            max_results,
            filter: filter.map(|filter| read_filter(&filter, "filters", 0)).transpose()?,
            by_words,
            score_threshold,
        })
    }
}

fn queries(query: Value) -> Result<Vec<String>, Invalid> {
    let wrong = |message: String| Invalid::field("query", message);
    let queries = match query {
        Value::String(query) => vec![query],
        Value::Array(queries) => {
            let queries: Option<Vec<String>> =
                queries.into_iter().map(|query| query.as_str().map(str::to_owned)).collect();
            queries.ok_or_else(|| wrong("`query` must be a string or an array of strings.".to_owned()))?
        }
        _ => return Err(wrong("`query` must be a string or an array of strings.".to_owned())),
    };
    if !(1..=MAX_QUERIES).contains(&queries.len()) {
        return Err(wrong(format!("`query` has {} queries, expected 1 to {MAX_QUERIES}.", queries.len())));
    }
    for query in &queries {
        let length = query.chars().count();
        if query.trim().is_empty() || length > MAX_QUERY {
            return Err(wrong(format!(
                "A query has {length} characters, expected 1 to {MAX_QUERY} that are not all blank."
            )));
        }
    }
    Ok(queries)
}

#[cfg(test)]
mod tests {
    use super::super::filter::MAX_DEPTH;
    use super::*;
    use crate::model::vector_store::{AttributeValue, Comparison};

    fn search(members: &str) -> Result<SearchVectorStore, Invalid> {
        SearchVectorStore::parse(format!(r#"{{"query":"q"{members}}}"#).as_bytes())
    }

    #[test]
    fn a_search_is_read_with_its_filters() {
        let found = search(
            r#","filters":{"type":"and","filters":[{"type":"in","key":"a","value":["x",1]},{"key":"b","value":true}]}"#,
        );
        let equal = Filter::Compare { key: "b".into(), comparison: Comparison::Equal(AttributeValue::Bool(true)) };
        let values = vec![AttributeValue::Text("x".into()), AttributeValue::Number(1.into())];
        let is_in = Filter::Compare { key: "a".into(), comparison: Comparison::In(values) };
        assert_eq!(found.unwrap().filter, Some(Filter::And(vec![is_in, equal])));
        assert!(search(r#","ranking_options":{"ranker":"auto","score_threshold":0.2}"#).unwrap().by_words);
        assert!(!search(r#","ranking_options":{"ranker":"none"}"#).unwrap().by_words);
        let several =
            SearchVectorStore::parse(br#"{"query":["a","b"],"max_num_results":50,"rewrite_query":false}"#).unwrap();
        assert_eq!((several.queries.len(), several.max_results), (2, 50));
    }

    #[test]
    fn a_wrong_search_is_refused_with_its_member() {
        let deep = (0..20).fold(r#"{"type":"eq","key":"a","value":1}"#.to_owned(), |filter, _| {
            format!(r#"{{"type":"or","filters":[{filter}]}}"#)
        });
        let deep = format!(r#","filters":{deep}"#);
        let place = "filters".to_owned() + &".filters[0]".repeat(MAX_DEPTH);
        for (members, param) in [
            (r#","max_num_results":51"#, "max_num_results"),
            (r#","rewrite_query":true"#, "rewrite_query"),
            (r#","ranking_options":{"ranker":"best"}"#, "ranking_options.ranker"),
            (r#","ranking_options":{"score_threshold":1.5}"#, "ranking_options.score_threshold"),
            (r#","filters":{"type":"like","key":"a","value":"x"}"#, "filters.type"),
            (r#","filters":{"type":"and","filters":[]}"#, "filters.filters"),
            (r#","filters":{"type":"or","filters":[{"type":"gt","value":1}]}"#, "filters.filters[0].key"),
            (r#","filters":{"type":"eq","key":"a","value":{}}"#, "filters.value"),
            (r#","filters":{"type":"in","key":"a","value":"x"}"#, "filters.value"),
            (r#","filters":{"type":"eq","key":"a","valeu":1}"#, "filters.valeu"),
            (&deep, &place),
        ] {
            assert_eq!(search(members).unwrap_err().param.as_deref(), Some(param), "{members}");
        }
        for query in ["{}", r#"{"query":[]}"#, r#"{"query":""}"#, r#"{"query":["a",1]}"#, r#"{"query":7}"#] {
            assert_eq!(
                SearchVectorStore::parse(query.as_bytes()).unwrap_err().param.as_deref(),
                Some("query"),
                "{query}"
            );
        }
    }
}
