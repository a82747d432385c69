use crate::dialects::openai_responses::CreateResponse;
use crate::model::clock::Timestamp;
use crate::model::object::Object;
use crate::model::response::Status;

fn request(members: &str) -> CreateResponse {
    let body = format!(r#"{{"model":"m","input":"hi",{members}}}"#);
    CreateResponse::parse(body.as_bytes(), Timestamp(0)).unwrap()
}

/// The members about tools in the chat call, and the tools that the response shows.
#[track_caller]
fn check(members: &str, chat: &str, shown: &str) {
    let create = request(members);
    let mut written = create.chat(&[]).unwrap().object;
    for name in ["model", "messages", "stream", "stream_options"] {
        written.remove(name);
    }
    assert_eq!(written.to_bytes(), chat, "{members}");
    assert_eq!(create.skeleton(&[], Timestamp(0), Status::Queued).text("tools"), Some(shown), "{members}");
}

#[test]
fn tools_of_a_namespace_are_functions() {
    let namespace = r#"{"type":"namespace","name":"crm","description":"Customers.","tools":[{"type":"function","name":"find","description":"Finds.","parameters":{"type":"object"}},{"type":"custom","name":"sql"}]}"#;
    check(
        &format!(r#""tools":[{{"type":"function","name":"find"}},{namespace}]"#),
        r#"{"tools":[{"type":"function","function":{"name":"find"}},{"type":"function","function":{"name":"crm__find","description":"Finds.\n\nAll tools of 'crm': Customers.","parameters":{"type":"object"}}},{"type":"custom","custom":{"name":"crm__sql"}}]}"#,
        &format!(
            r#"[{{"type":"function","name":"find","description":null,"parameters":null,"strict":false}},{namespace}]"#
        ),
    );
}

#[test]
fn tools_that_a_model_can_do_without_are_left_out() {
    for kind in ["web_search", "web_search_preview_2025_03_11", "image_generation", "tool_search"] {
        check(&format!(r#""tools":[{{"type":"{kind}"}}],"tool_choice":"auto""#), "{}", "[]");
    }
}

#[test]
fn a_grammar_is_nested_and_a_search_is_a_function() {
    let custom = r#"{"type":"custom","name":"apply_patch","description":"Edits.","format":{"type":"grammar","syntax":"lark","definition":"start: \"a\""}}"#;
    let search =
        r#"{"type":"tool_search","execution":"client","description":"Finds tools.","parameters":{"type":"object"}}"#;
    check(
        &format!(
            r#""tools":[{custom},{search}],"tool_choice":{{"type":"custom","name":"apply_patch"}},"parallel_tool_calls":false"#
        ),
        r#"{"tools":[{"type":"custom","custom":{"name":"apply_patch","description":"Edits.","format":{"type":"grammar","grammar":{"definition":"start: \"a\"","syntax":"lark"}}}},{"type":"function","function":{"name":"tool_search","description":"Finds tools.","parameters":{"type":"object"}}}],"tool_choice":{"type":"custom","custom":{"name":"apply_patch"}},"parallel_tool_calls":false}"#,
        &format!("[{custom},{search}]"),
    );
}

#[test]
fn items_bring_tools_and_a_later_one_replaces_an_earlier_one() {
    let body = r#"{"model":"m","input":[{"type":"additional_tools","role":"developer","tools":[{"type":"function","name":"f","description":"new"},{"type":"namespace","name":"n","tools":[{"type":"function","name":"f"}]}]},{"role":"user","content":"hi"}],"tools":[{"type":"function","name":"f"},{"type":"function","name":"g"}]}"#;
    let create = CreateResponse::parse(body.as_bytes(), Timestamp(0)).unwrap();
    let tools: Vec<Object> = create.chat(&[]).unwrap().object.get("tools").unwrap();
    let names: Vec<String> =
        tools.iter().map(|tool| tool.get::<Object>("function").unwrap().get("name").unwrap()).collect();
    assert_eq!(names, ["f", "g", "n__f"]);
    assert_eq!(tools[0].get::<Object>("function").unwrap().text("description"), Some("\"new\""));
    let shown = create.skeleton(&[], Timestamp(0), Status::Queued);
    assert_eq!(shown.get::<Vec<Object>>("tools").unwrap().len(), 3);
}

#[test]
fn names_in_a_chat_call_are_short_and_differ() {
    let long = "n".repeat(64);
    let create = request(&format!(
        r#""tools":[{{"type":"function","name":"a__b"}},{{"type":"namespace","name":"a","tools":[{{"type":"function","name":"b"}}]}},{{"type":"namespace","name":"{long}","tools":[{{"type":"function","name":"b.c"}},{{"type":"function","name":"b_c"}}]}}]"#
    ));
    let names: Vec<String> = create.tools(&[]).tools.iter().map(|tool| tool.chat_name.clone()).collect();
    assert_eq!(names[0], "a__b");
    assert!(names[1].starts_with("a__b_") && names[2..].iter().all(|name| name.len() == 64), "{names:?}");
    assert_ne!(names[2], names[3]);
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    assert!(names.iter().all(|name| name.chars().all(allowed)), "{names:?}");
}

#[test]
fn allowed_tools_remove_the_others() {
    let tools = r#""tools":[{"type":"function","name":"f"},{"type":"function","name":"g"},{"type":"namespace","name":"n","tools":[{"type":"function","name":"h"}]}]"#;
    let chat = |choice: &str| {
        let chat = request(&format!(r#"{tools},"tool_choice":{choice}"#)).chat(&[]).map(|body| body.object);
        chat.map(|chat| (chat.get::<Vec<Object>>("tools").unwrap().len(), chat.text("tool_choice").unwrap().to_owned()))
            .map_err(|error| error.param.unwrap_or_default())
    };
    let allowed = r#"{"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"f"},{"type":"web_search"},{"type":"function","name":"h","namespace":"n"}]}"#;
    assert_eq!(chat(allowed), Ok((2, "\"required\"".to_owned())));
    let forced = r#"{"type":"function","function":{"name":"n__h"}}"#;
    assert_eq!(chat(r#"{"type":"function","name":"h"}"#), Ok((3, forced.to_owned())));
    assert_eq!(chat(r#"{"type":"function","name":"x"}"#), Err("tool_choice.name".to_owned()));
    assert_eq!(chat(r#"{"type":"custom","name":"f"}"#), Err("tool_choice.name".to_owned()));
    assert_eq!(chat(r#"{"type":"web_search"}"#), Err("tool_choice.type".to_owned()));
    assert_eq!(
        chat(r#"{"type":"allowed_tools","tools":[{"type":"function","name":"x"}]}"#),
        Err("tool_choice.tools[0].name".to_owned())
    );
}

#[test]
fn earlier_calls_have_the_names_of_the_chat_call() {
    let body = r#"{"model":"m","tools":[{"type":"namespace","name":"n","tools":[{"type":"function","name":"f"}]}],"input":[
        {"type":"function_call","call_id":"1","namespace":"n","name":"f","arguments":"{}"},
        {"type":"custom_tool_call","call_id":"2","name":"gone","input":"x"},
        {"type":"tool_search_call","call_id":"3","execution":"client","arguments":{"query":"q"}},
        {"type":"tool_search_call","execution":"server","arguments":{}},
        {"type":"tool_search_output","execution":"server","tools":[]},
        {"type":"function_call_output","call_id":"1","output":"a"},
        {"type":"custom_tool_call_output","call_id":"2","output":[{"type":"input_text","text":"b"}]},
        {"type":"tool_search_output","call_id":"3","execution":"client","tools":[{"type":"function","name":"g"}]}]}"#;
    let create = CreateResponse::parse(body.as_bytes(), Timestamp(0)).unwrap();
    let chat = create.chat(&[]).unwrap().object;
    assert_eq!(
        chat.text("messages").unwrap(),
        r#"[{"role":"assistant","content":null,"tool_calls":[{"id":"1","type":"function","function":{"name":"n__f","arguments":"{}"}},{"id":"2","type":"custom","custom":{"name":"gone","input":"x"}},{"id":"3","type":"function","function":{"name":"tool_search","arguments":"{\"query\":\"q\"}"}}]},{"role":"tool","tool_call_id":"1","content":"a"},{"role":"tool","tool_call_id":"2","content":"b"},{"role":"tool","tool_call_id":"3","content":"These tools can be called now: g."}]"#
    );
    assert_eq!(chat.get::<Vec<Object>>("tools").unwrap().len(), 2);
}
