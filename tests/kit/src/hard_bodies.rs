//! Bodies that cost more to read than others of their length. Tests and the benchmark send them.

/// One kind of such a body.
pub struct HardBody {
    pub name: &'static str,
    /// Where it is sent.
    pub path: &'static str,
    make: fn(usize) -> String,
}

impl HardBody {
    /// A body of about `bytes` bytes. `chat` is the model that answers chat calls and responses.
    #[must_use]
    pub fn of(&self, chat: &str, bytes: usize) -> String {
        let model = self.model(chat);
        format!(r#"{{"model":"{model}",{}}}"#, (self.make)(bytes))
    }

    /// Whether it is a chat call.
    #[must_use]
    pub fn is_chat(&self) -> bool {
        self.path == CHAT
    }

    fn model<'a>(&self, chat: &'a str) -> &'a str {
        match self.path {
            "/v1/embeddings" => "embedding",
            "/v1/moderations" => "moderation",
            "/v1/images/generations" => "image",
            "/v1/audio/speech" => "speech",
            _ => chat,
        }
    }
}

const CHAT: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
const TOKENS: &str = "/v1/responses/input_tokens";

/// All kinds.
pub const HARD_BODIES: [HardBody; 35] = [
    hard("one long text", CHAT, |bytes| chat(&said(&"a".repeat(bytes)))),
    hard("escapes", CHAT, |bytes| chat(&said(&"\\u0041".repeat(bytes / 6)))),
    hard("quotes", CHAT, |bytes| chat(&said(&"\\\"".repeat(bytes / 2)))),
    hard("white space", CHAT, |bytes| format!("{}{}", " ".repeat(bytes), chat(&said("Hello")))),
    hard("empty messages", CHAT, |bytes| chat(&list(bytes, |_| said("")))),
    hard("messages in turns", CHAT, |bytes| {
        chat(&list(bytes, |n| format!(r#"{{"role":"{}","content":"a"}}"#, ["user", "assistant"][n % 2])))
    }),
    hard("small parts", CHAT, |bytes| chat(&parts(&list(bytes, |_| r#"{"type":"text","text":"a"}"#.to_owned())))),
    hard("small images", CHAT, |bytes| {
        chat(&parts(&list(bytes, |_| r#"{"type":"image_url","image_url":{"url":"data:,"}}"#.to_owned())))
    }),
    hard("named files", CHAT, |bytes| {
        chat(&parts(&list(bytes, |n| format!(r#"{{"type":"file","file":{{"file_id":"{}"}}}}"#, file_id(n)))))
    }),
    hard("items that name files", TOKENS, |bytes| {
        let part = |n| format!(r#"{{"type":"input_file","file_id":"{}"}}"#, file_id(n));
        response(&list(bytes, |n| parts(&part(n))))
    }),
    hard("one large image", CHAT, |bytes| chat(&parts(&image(bytes)))),
    hard("tool calls of one message", CHAT, |bytes| {
        let call = |n| format!(r#"{{"id":"c{n}","type":"function","function":{{"name":"f","arguments":"{{}}"}}}}"#);
        let result = |n| format!(r#"{{"role":"tool","tool_call_id":"c{n}","content":"a"}}"#);
        let count = bytes / 120;
        let (calls, results) = (join(count, call), join(count.min(4_000), result));
        chat(&format!(r#"{{"role":"assistant","tool_calls":[{calls}]}},{results}"#))
    }),
    hard("tools", CHAT, |bytes| format!(r#"{},"tools":[{}]"#, chat(&said("a")), list(bytes, tool))),
    hard("a deep schema", CHAT, |bytes| {
        let deep = format!("{}{}", "[".repeat(bytes / 2), "]".repeat(bytes / 2));
        format!(r#"{},"tools":[{}]"#, chat(&said("a")), tool_with(&deep))
    }),
    hard("a schema of many members", CHAT, |bytes| {
        let members = list(bytes, |n| format!(r#""m{n}":{{}}"#));
        format!(r#"{},"tools":[{}]"#, chat(&said("a")), tool_with(&format!("{{{members}}}")))
    }),
    hard("a schema of one value many times", CHAT, |bytes| {
        let value = "a".repeat(bytes / 2);
        let one = r##"{"$ref":"#/$defs/v"}"##;
        let names = list(bytes / 8, |n| format!(r#""{n}""#));
        let schema = format!(
            r#"{{"type":"object","properties":{{"0":{one}}},"required":[{names}],"$defs":{{"v":{{"const":"{value}"}}}}}}"#
        );
        format!(r#"{},{}"#, chat(&said("a")), format_of(&schema))
    }),
    hard("a schema of many parts", CHAT, |bytes| {
        let parts = list(bytes, |n| format!(r#"{{"required":["m{n}"]}}"#));
        format!(r#"{},{}"#, chat(&said("a")), format_of(&format!(r#"{{"allOf":[{parts}]}}"#)))
    }),
    hard("stop sequences", CHAT, |bytes| {
        format!(r#"{},"stop":[{}]"#, chat(&said("a")), list(bytes, |n| format!(r#""{n}""#)))
    }),
    hard("numbers", CHAT, |bytes| {
        format!(r#"{},"logit_bias":{{{}}}"#, chat(&said("a")), list(bytes, |n| format!(r#""{n}":1e-5"#)))
    }),
    hard("unknown members", CHAT, |bytes| {
        let value = "a".repeat(bytes / 900);
        format!(r#"{},{}"#, chat(&said("a")), join(900, |n| format!(r#""m{n}":"{value}""#)))
    }),
    hard("the same member again", CHAT, |bytes| {
        format!(r#"{},{}"#, chat(&said("a")), list(bytes, |_| r#""m":1"#.into()))
    }),
    hard("messages with long items", RESPONSES, |bytes| {
        response(&list_of(5_000, bytes, |_, pad| format!(r#"{{"role":"user","content":"{pad}"}}"#)))
    }),
    hard("references to nothing", RESPONSES, |bytes| {
        response(&list_of(5_000, bytes, |n, pad| format!(r#"{{"type":"item_reference","id":"{n}{}"}}"#, cut(&pad))))
    }),
    hard("references to items beside them", RESPONSES, |bytes| {
        let item = |n, pad: String| format!(r#"{{"id":"{n}","role":"user","content":"{pad}"}},{{"id":"{n}"}}"#);
        response(&list_of(2_500, bytes, item))
    }),
    hard("calls before their outputs", RESPONSES, |bytes| {
        let call = |n| format!(r#"{{"type":"function_call","call_id":"c{n}","name":"f","arguments":""}}"#);
        let output = |n| format!(r#"{{"type":"function_call_output","call_id":"c{n}","output":""}}"#);
        let count = (bytes / 130).min(2_500);
        response(&format!("{},{}", join(count, call), join(count, output)))
    }),
    hard("calls with their outputs", RESPONSES, |bytes| {
        response(&list_of(2_500, bytes, |n, pad| {
            format!(
                r#"{{"type":"function_call","call_id":"c{n}","name":"f","arguments":""}},{{"type":"function_call_output","call_id":"c{n}","output":"{pad}"}}"#
            )
        }))
    }),
    hard("many parts of an item", RESPONSES, |bytes| {
        let parts = list(bytes, |_| r#"{"type":"input_text","text":"a"}"#.to_owned());
        response(&format!(r#"{{"role":"user","content":[{parts}]}}"#))
    }),
    hard("tools that are all allowed", RESPONSES, |bytes| {
        let named = |n| format!(r#"{{"type":"function","name":"f{n}"}}"#);
        let (tools, allowed) = (list(bytes / 2, named), list(bytes / 2, named));
        format!(
            r#""input":"a","tools":[{tools}],"tool_choice":{{"type":"allowed_tools","mode":"auto","tools":[{allowed}]}}"#
        )
    }),
    hard("letters to count", TOKENS, |bytes| format!(r#""input":"{}""#, "a".repeat(bytes))),
    hard("spaces to count", TOKENS, |bytes| format!(r#""input":"{}""#, " ".repeat(bytes))),
    hard("texts to embed", "/v1/embeddings", |bytes| {
        format!(r#""input":[{}]"#, list_of(2_048, bytes, |n, pad| format!(r#""{n}{pad}""#)))
    }),
    hard("tokens to embed", "/v1/embeddings", |bytes| format!(r#""input":[{}]"#, list(bytes, |n| n.to_string()))),
    hard("a long prompt", "/v1/images/generations", |bytes| format!(r#""prompt":"{}""#, "a".repeat(bytes))),
    hard("letters to speak", "/v1/audio/speech", |bytes| {
        format!(r#""input":"{}","voice":"a""#, "\\u00e4".repeat(bytes / 6))
    }),
    hard("texts to moderate", "/v1/moderations", |bytes| {
        format!(r#""input":[{}]"#, list_of(2_048, bytes, |n, pad| format!(r#""{n}{pad}""#)))
    }),
];

const fn hard(name: &'static str, path: &'static str, make: fn(usize) -> String) -> HardBody {
    HardBody { name, path, make }
}

/// `count` elements between commas.
fn join(count: usize, each: impl Fn(usize) -> String) -> String {
    (0..count).map(each).collect::<Vec<_>>().join(",")
}

/// As many elements as fit into `bytes`.
fn list(bytes: usize, each: impl Fn(usize) -> String) -> String {
    let mut text = each(0);
    let mut n = 1;
    while text.len() < bytes {
        text.push(',');
        text.push_str(&each(n));
        n += 1;
    }
    text
}

/// At most `most` elements that fill `bytes`, each with some padding.
fn list_of(most: usize, bytes: usize, each: impl Fn(usize, String) -> String) -> String {
    let smallest = each(most, String::new()).len() + 1;
    let count = (bytes / smallest).clamp(1, most);
    let pad = "a".repeat((bytes / count).saturating_sub(smallest));
    join(count, |n| each(n, pad.clone()))
}

/// Padding for an id, which has at most 128 characters.
fn cut(pad: &str) -> &str {
    &pad[..pad.len().min(100)]
}

fn said(text: &str) -> String {
    format!(r#"{{"role":"user","content":"{text}"}}"#)
}

fn parts(parts: &str) -> String {
    format!(r#"{{"role":"user","content":[{parts}]}}"#)
}

fn image(bytes: usize) -> String {
    format!(r#"{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{}"}}}}"#, "A".repeat(bytes / 4 * 4))
}

/// The id of a file that nobody has.
fn file_id(n: usize) -> String {
    format!("file-{n:024}")
}

fn chat(messages: &str) -> String {
    format!(r#""max_tokens":50,"messages":[{messages}]"#)
}

fn response(input: &str) -> String {
    format!(r#""max_output_tokens":50,"input":[{input}]"#)
}

fn tool(n: usize) -> String {
    format!(r#"{{"type":"function","function":{{"name":"f{n}"}}}}"#)
}

fn tool_with(schema: &str) -> String {
    format!(r#"{{"type":"function","function":{{"name":"f","parameters":{{"x":{schema}}}}}}}"#)
}

fn format_of(schema: &str) -> String {
    format!(r#""response_format":{{"type":"json_schema","json_schema":{{"name":"a","schema":{schema}}}}}"#)
}
