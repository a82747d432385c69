//! Properties of the events of every stream.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn delta() -> impl Strategy<Value = Value> {
    let text = prop_oneof![Just(""), Just("a"), Just("b c"), Just("\u{e9}\n")];
    let pieces = prop_oneof![Just(""), Just("{"), Just("\"a\":1"), Just("}"), Just("{}"), Just(" ")];
    let finish = prop_oneof![Just("stop"), Just("length"), Just("tool_calls")];
    prop_oneof![
        4 => (prop_oneof![Just("content"), Just("refusal"), Just("reasoning_content")], text)
            .prop_map(|(name, text)| json!({"delta": {name: text}})),
        4 => (0..3_u64, pieces).prop_map(|(index, piece)| {
            let function = json!({"name": "f", "arguments": piece});
            json!({"delta": {"tool_calls": [{"index": index, "id": format!("call_{index}"), "function": function}]}})
        }),
        1 => (0..3_u64).prop_map(|page| {
            let cited = json!({"url": format!("https://{page}.example"), "title": "", "start_index": 0, "end_index": page});
            json!({"delta": {"annotations": [{"type": "url_citation", "url_citation": cited}]}})
        }),
        1 => finish.prop_map(|reason| json!({"delta": {}, "finish_reason": reason})),
    ]
}

/// Reads the events as a client does.
#[derive(Default)]
struct Follower {
    next: u64,
    /// The joined deltas of texts and arguments, by item and part.
    deltas: BTreeMap<(u64, Option<u64>), String>,
    /// The annotations by item and part.
    annotations: BTreeMap<(u64, Option<u64>), Vec<Value>>,
    added: Vec<String>,
    done: BTreeMap<u64, Value>,
}

impl Follower {
    fn follow(&mut self, event: &ResponseEvent) {
        let data: Value = serde_json::from_slice(&event.data).unwrap();
        assert_eq!(event.sequence_number, self.next);
        self.next += 1;
        let part = (data["output_index"].as_u64().unwrap_or(0), data["content_index"].as_u64());
        if let Some(id) = data["item_id"].as_str() {
            assert_eq!(self.added.get(usize::try_from(part.0).unwrap()).unwrap(), id);
            assert!(!self.done.contains_key(&part.0), "{data}");
        }
        match event.name.strip_prefix("response.").unwrap() {
            "output_item.added" => {
                assert_eq!(part.0, self.added.len() as u64);
                self.added.push(data["item"]["id"].as_str().unwrap().to_owned());
            }
            "output_item.done" => assert!(self.done.insert(part.0, data["item"].clone()).is_none(), "{data}"),
            name if name.ends_with(".delta") => {
                self.deltas.entry(part).or_default().push_str(data["delta"].as_str().unwrap());
            }
            "output_text.annotation.added" => {
                let known = self.annotations.entry(part).or_default();
                assert_eq!(data["annotation_index"], known.len());
                known.push(data["annotation"].clone());
            }
            "output_text.done" | "reasoning_text.done" => assert_eq!(data["text"], self.deltas[&part]),
            "refusal.done" => assert_eq!(data["refusal"], self.deltas[&part]),
            "function_call_arguments.done" => {
                let deltas = self.deltas.get(&part).map_or("", String::as_str);
                assert_eq!(data["arguments"], deltas);
            }
            _ => {}
        }
    }

    /// The text of a part of the final output, or the arguments of a call.
    fn final_text(item: &Value, part: Option<u64>) -> &str {
        let Some(part) = part else { return item["arguments"].as_str().unwrap() };
        let part = &item["content"][usize::try_from(part).unwrap()];
        part["text"].as_str().or(part["refusal"].as_str()).unwrap()
    }
}

proptest! {
    #[test]
    fn events_have_no_gaps_and_add_up(deltas in prop::collection::vec(delta(), 0..20), first in 0..100_u64) {
        let mut builder = EventBuilder::new(Object::default().with("id", "resp_1"), first);
        let mut follower = Follower { next: first, ..Follower::default() };
        let mut broken = false;
        for delta in deltas {
            match builder.chunk(json!({"choices": [delta]}).to_string().as_bytes()) {
                Ok(events) => events.iter().for_each(|event| follower.follow(event)),
                Err(_) => {
                    broken = true;
                    break;
                }
            }
        }
        let (events, response) = if broken {
            builder.fail("server_error", "broken", None)
        } else {
            let (events, response, _) = builder.complete(&Charge::default(), Timestamp(0));
            (events, response)
        };
        events.iter().for_each(|event| follower.follow(event));
        let output: Vec<Value> = response.get("output").unwrap();
        prop_assert_eq!(&output, &follower.done.values().cloned().collect::<Vec<_>>());
        if !broken {
            prop_assert_eq!(output.len(), follower.added.len());
            for ((index, part), annotations) in &follower.annotations {
                let part = usize::try_from(part.unwrap()).unwrap();
                prop_assert_eq!(&output[usize::try_from(*index).unwrap()]["content"][part]["annotations"], &json!(annotations));
            }
            for ((index, part), text) in &follower.deltas {
                let item = &output[usize::try_from(*index).unwrap()];
                prop_assert_eq!(Follower::final_text(item, *part), text);
            }
        }
    }
}
