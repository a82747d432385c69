use super::*;
use crate::model::file::{FileKey, Purpose};

const A: &str = "file-AAAAAAAAAAAAAAAAAAAAAAAA";
const B: &str = "file-BBBBBBBBBBBBBBBBBBBBBBBB";

fn file(id: &str, name: &str, media_type: &str, bytes: u64) -> (String, File) {
    let key = FileKey { project_id: "p".to_owned(), file_id: id.to_owned() };
    let file = File {
        key,
        filename: name.to_owned(),
        purpose: Purpose::UserData,
        media_type: media_type.to_owned(),
        bytes,
        sha256: String::new(),
        created_at: 0,
        expires_at: None,
    };
    (id.to_owned(), file)
}

fn body(content: &str) -> Object {
    let json = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"a"}},{{"role":"user","content":{content}}}]}}"#
    );
    Object::parse(json.as_bytes()).unwrap()
}

fn paths(dialect: Dialect, content: &str) -> Vec<String> {
    InputFiles::named(dialect, &body(content)).named.into_iter().filter_map(|named| named.path).collect()
}

/// The body with files that have the content `Hi`.
fn filled(dialect: Dialect, content: &str, files: &[(String, File)]) -> Result<String, Invalid> {
    let body = body(content);
    let mut named = InputFiles::named(dialect, &body);
    named.found(dialect, files.iter().cloned().collect())?;
    let contents = files.iter().map(|(id, _)| (id.clone(), Bytes::from_static(b"Hi"))).collect();
    let filled = named.fill(dialect, &body, &contents)?;
    let messages: Vec<Object> = filled.get("messages").unwrap();
    Ok(messages[1].text("content").unwrap().to_owned())
}

#[test]
fn only_ids_of_weirs_shape_in_places_without_a_content_name_a_file() {
    let chat = |part: &str| paths(Dialect::Chat, &format!("[{part}]"));
    assert_eq!(
        chat(&format!(r#"{{"type":"file","file":{{"file_id":"{A}"}}}}"#)),
        ["messages[1].content[0].file.file_id"]
    );
    let image = format!(r#"{{"type":"image_url","image_url":{{"file_id":"{A}"}}}}"#);
    assert_eq!(chat(&image), ["messages[1].content[0].image_url.file_id"]);
    for other in [
        r#"{"type":"file","file":{"file_id":"file-6F2ksmvXxt4VdoqmHRw6kL"}}"#.to_owned(),
        format!(r#"{{"type":"file","file":{{"file_id":"{A}","file_data":"data:,"}}}}"#),
        format!(r#"{{"type":"image_url","image_url":{{"file_id":"{A}","url":"https://a/"}}}}"#),
        format!(r#"{{"type":"text","text":"{A}"}}"#),
        format!(r#"{{"type":"other","file":{{"file_id":"{A}"}}}}"#),
    ] {
        assert!(chat(&other).is_empty(), "{other}");
    }
    let block =
        |kind: &str, source: &str| format!(r#"{{"type":"{kind}","source":{{"type":"{source}","file_id":"{A}"}}}}"#);
    let messages = |block: &str| paths(Dialect::Messages, &format!("[{block}]"));
    let result =
        format!(r#"{{"type":"tool_result","content":[{{"type":"text","text":"a"}},{}]}}"#, block("image", "file"));
    assert_eq!(messages(&block("document", "file")), ["messages[1].content[0].source.file_id"]);
    assert_eq!(messages(&result), ["messages[1].content[0].content[1].source.file_id"]);
    for other in [block("document", "url"), block("container_upload", "file"), block("text", "file")] {
        assert!(messages(&other).is_empty(), "{other}");
    }
}

#[test]
fn in_a_chat_call_the_type_of_the_file_decides_on_the_part() {
    let file_part = format!(r#"[{{"type":"file","file":{{"file_id":"{A}"}},"cache_control":{{"type":"ephemeral"}}}}]"#);
    let image_part = format!(r#"[{{"type":"image_url","image_url":{{"file_id":"{A}","detail":"low"}}}}]"#);
    let pdf = [file(A, "a.pdf", "application/pdf", 2)];
    let png = [file(A, "a.png", "image/png", 2)];
    let check = |part: &str, files: &[(String, File)], expected: &str| {
        assert_eq!(filled(Dialect::Chat, part, files).unwrap(), expected);
    };
    let data = r#""file":{"filename":"a.pdf","file_data":"data:application/pdf;base64,SGk="}"#;
    check(&file_part, &pdf, &format!(r#"[{{"type":"file","cache_control":{{"type":"ephemeral"}},{data}}}]"#));
    check(&image_part, &pdf, &format!(r#"[{{"type":"file",{data}}}]"#));
    let url = r#""image_url":{"url":"data:image/png;base64,SGk=""#;
    check(&image_part, &png, &format!(r#"[{{"type":"image_url",{url},"detail":"low"}}}}]"#));
    check(&file_part, &png, &format!(r#"[{{"type":"image_url","cache_control":{{"type":"ephemeral"}},{url}}}}}]"#));
}

#[test]
fn a_block_gets_the_source_that_its_file_needs() {
    let block = |kind: &str| format!(r#"[{{"type":"{kind}","source":{{"type":"file","file_id":"{A}"}}}}]"#);
    let check = |kind: &str, name: &str, media_type: &str, expected: &str| {
        let content = filled(Dialect::Messages, &block(kind), &[file(A, name, media_type, 2)]).unwrap();
        assert_eq!(content, format!("[{expected}]"));
    };
    let source =
        |media_type: &str| format!(r#""source":{{"type":"base64","media_type":"{media_type}","data":"SGk="}}"#);
    check("image", "a.png", "image/png", &format!(r#"{{"type":"image",{}}}"#, source("image/png")));
    let pdf = source("application/pdf");
    check("document", "a.pdf", "application/pdf", &format!(r#"{{"type":"document",{pdf},"title":"a.pdf"}}"#));
    let text = r#"{"type":"document","source":{"type":"text","media_type":"text/plain","data":"Hi"},"title":"a.md"}"#;
    check("document", "a.md", "text/markdown", text);
    // Anthropic takes titles of 500 characters.
    let (name, title) = ("é".repeat(501), "é".repeat(500));
    check("document", &name, "application/pdf", &format!(r#"{{"type":"document",{pdf},"title":"{title}"}}"#));
    for (kind, media_type) in [("image", "application/pdf"), ("document", "image/png")] {
        let error = filled(Dialect::Messages, &block(kind), &[file(A, "a", media_type, 2)]).unwrap_err();
        assert_eq!(
            (error.code, error.param.as_deref()),
            (Some("unsupported_file"), Some("messages[1].content[0].source.file_id"))
        );
        assert!(error.message.contains(media_type), "{}", error.message);
    }
}

#[test]
fn what_cannot_be_named_is_refused_at_its_place() {
    let part = |id: &str| format!(r#"{{"type":"file","file":{{"file_id":"{id}"}}}}"#);
    let parts = format!("[{},{}]", part(A), part(B));
    let check = |files: &[(String, File)], code: &str, message: &str| {
        let error = filled(Dialect::Chat, &parts, files).unwrap_err();
        assert_eq!((error.code, error.param.as_deref()), (Some(code), Some("messages[1].content[1].file.file_id")));
        assert!(error.message.contains(message), "{}", error.message);
    };
    let small = file(A, "a.pdf", "application/pdf", 1);
    check(std::slice::from_ref(&small), "file_not_found", "no file found with id 'file-BBB");
    check(&[small, file(B, "b.pdf", "application/pdf", MAX_INPUT_BYTES)], "file_too_large", "more than 32 MB");
    let many = format!("[{}]", vec![part(A); MAX_NAMED_FILES + 1].join(","));
    let error = InputFiles::named(Dialect::Chat, &body(&many)).check_number().unwrap_err();
    assert_eq!(error.param.as_deref(), Some("messages[1].content[100].file.file_id"));
    let mut earlier = InputFiles::named(Dialect::Chat, &body(&parts));
    earlier.rename(&HashMap::new());
    assert!(earlier.not_found(A).message.starts_with("An earlier item cannot be used: no file found"));
}
