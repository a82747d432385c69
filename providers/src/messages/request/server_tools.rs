//! Results of tools that Anthropic ran for earlier answers.

use serde_json::Value;
use shared::model::object::Object;

use super::content::Part;

/// Members that are text for a reader. Others are ids, codes and what only Anthropic can read.
const READABLE: [&str; 8] = ["title", "url", "text", "data", "stdout", "stderr", "content", "tool_name"];

/// How the types of such results end.
const END: &str = "_tool_result";

/// Whether a block is a result of a tool that Anthropic ran.
pub(super) fn is_result(kind: &str) -> bool {
    kind.ends_with(END)
}

/// The texts of a result, as a part of what the assistant said. A result without text is none.
pub(super) fn parts(block: &Object, kind: &str) -> Vec<Part> {
    let mut texts = Vec::new();
    collect(&block.get("content").unwrap_or_default(), &mut texts);
    if texts.is_empty() {
        return Vec::new();
    }
    let tool = kind.strip_suffix(END).unwrap_or(kind);
    vec![Part::text(format!("\n\nResult of {tool}:\n{}\n\n", texts.join("\n")))]
}

fn collect(value: &Value, texts: &mut Vec<String>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| collect(value, texts)),
        Value::Object(members) => {
            let is_binary = members.get("type").is_some_and(|kind| kind == "base64");
            let readable = READABLE.iter().filter(|name| !(is_binary && **name == "data"));
            let found = readable.filter_map(|name| members.get(*name)?.as_str()).filter(|text| !text.is_empty());
            texts.extend(found.map(str::to_owned));
            members.values().filter(|value| !value.is_string()).for_each(|value| collect(value, texts));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::super::content::PartKind;
    use super::*;

    #[track_caller]
    fn check(kind: &str, content: &str, expected: Option<&str>) {
        let block = Object::parse(format!(r#"{{"tool_use_id":"a","content":{content}}}"#).as_bytes()).unwrap();
        let texts = parts(&block, kind).into_iter().map(|part| match part.kind {
            PartKind::Text(text) => text,
            other => panic!("{other:?}"),
        });
        assert_eq!(texts.collect::<String>().trim(), expected.unwrap_or_default());
    }

    #[test]
    fn a_result_keeps_its_text() {
        check(
            "web_search_tool_result",
            r#"[{"type":"web_search_result","title":"A","url":"https://a","encrypted_content":"x","page_age":"1 day"}]"#,
            Some("Result of web_search:\nA\nhttps://a"),
        );
        check(
            "code_execution_tool_result",
            r#"{"type":"code_execution_result","stdout":"1\n","stderr":"","return_code":0,"content":[]}"#,
            Some("Result of code_execution:\n1"),
        );
        check(
            "web_fetch_tool_result",
            r#"{"type":"web_fetch_result","url":"https://a","content":{"type":"document","title":"T","source":{"type":"text","data":"page"}}}"#,
            Some("Result of web_fetch:\nhttps://a\nT\npage"),
        );
        check("web_fetch_tool_result", r#"{"content":{"source":{"type":"base64","data":"AAAA"}}}"#, None);
        check("web_search_tool_result", r#"{"type":"web_search_tool_result_error","error_code":"x"}"#, None);
    }
}
