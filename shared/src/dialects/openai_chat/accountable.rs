//! Whether the price per token covers all that a call can cost, and which price that is.

use std::sync::Arc;

use super::{Body, Pieces};
use crate::dialects::walk::Apart;
use crate::model::catalog::{Model, Unaccountable};
use crate::model::tokens::{Asked, Price};

/// The model with the price of a call: that of the call's service tier if the model has one, and of its images' size. Kinds of tokens
/// that the call does not ask for, such as sound or input that is stored for an hour, make its worst case no dearer.
#[must_use]
pub fn priced(model: &Model, body: &Body) -> Model {
    let tier = body.noted.tier.as_ref().and_then(|tier| model.price_of_tier(tier));
    // A file may have images.
    let asked = Asked { image_input: body.images > 0 || body.other_media > 0, ..body.noted.asked };
    let per_image = model.per_image.as_ref().map(|prices| {
        let Pieces { size, quality, .. } = &body.pieces;
        prices.of(size.as_deref(), quality.as_deref())
    });
    let of_call = |price: &Price| Price { pieces: per_image.unwrap_or(price.pieces), ..price.asked(&asked) };
    let default = model.price.as_deref().map(of_call);
    let price = match tier {
        Some(tier) => Some(Price { in_default_tier: default.map(Box::new), ..of_call(tier) }),
        None => default,
    };
    Model { price: price.map(Arc::new), ..model.clone() }
}

/// Checks that the price per token covers all that a call can cost. A budget can pay for no other. `model` is [`priced`].
///
/// # Errors
/// If the model has no price, or none for the call's service tier; or if the call has a member that may cost more than its
/// price says, and some target of the model gets members that weir does not know.
pub fn check(body: &Body, model: &Model) -> Result<(), Unaccountable> {
    let Some(price) = &model.price else { return Err(Unaccountable::Unpriced(model.name.clone())) };
    let allowed = if body.noted.is_messages { &model.allow_messages_members } else { &model.allow_members };
    let Some(allowed) = allowed else { return Ok(()) };
    if let Some(tier) = body.noted.tier.as_ref().filter(|tier| model.price_of_tier(tier).is_none()) {
        return Err(Unaccountable::Tier { model: model.name.clone(), tier: tier.clone() });
    }
    let unpriced = body.noted.apart.iter().filter(|(_, (apart, _))| !covers(price, *apart));
    let mut beside = body.noted.members.iter().chain(unpriced.map(|(name, (_, path))| (name, path)));
    match beside.find(|(name, _)| !allowed.contains(*name)) {
        Some((name, path)) => Err(Unaccountable::Beside { name: name.clone(), path: path.clone() }),
        None => Ok(()),
    }
}

/// Whether the price of a call names what the call asks for. Sound at the price of text would be a tenth of the provider's bill.
fn covers(price: &Price, apart: Apart) -> bool {
    match apart {
        Apart::AudioInput => price.rates.audio_input.is_some(),
        Apart::AudioOutput => price.rates.audio_output.is_some(),
        Apart::ImageOutput => price.rates.image_output.is_some(),
        Apart::Geo => price.knows_asked_geo(),
        Apart::Speed => price.knows_asked_speed(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::catalog::Catalog;
    use crate::model::money::MicroUsd;
    use crate::model::provider::Endpoint;
    use crate::model::tokens::Bound;

    fn model(kind: &str, provider: &str, price: &str) -> Model {
        let text = format!(
            "[[provider]]\nname='p'\nkind='{kind}'\nbase_url='http://p.example'\n{provider}\n[[model]]\nname='m'\nkind='chat'\n\
             context_tokens=9000\nmax_output_tokens=100\n{price}\ntargets=[{{provider='p',model='m'}}]"
        );
        Catalog::parse(&text).unwrap().model("m").unwrap().clone()
    }

    const PRICE: &str =
        "price={input=1,output=2,cache_write=3,cache_write_1h=5,cache_write_12h=6,tiers={flex={input=0.5,output=1}}}";

    fn chat(members: &str) -> Body {
        let json = format!(r#"{{"model":"m","messages":[{{"role":"user","content":"hi"}}]{members}}}"#);
        Body::parse(Endpoint::ChatCompletions, json.as_bytes()).unwrap()
    }

    /// The place of the member that is refused; the tier with a `!`; nothing if the call is accepted.
    #[track_caller]
    fn refused(body: &Body, model: &Model) -> String {
        match check(body, model) {
            Ok(()) => String::new(),
            Err(Unaccountable::Beside { name, path }) if name == path => path,
            Err(Unaccountable::Beside { name, path }) => format!("{path} ({name})"),
            Err(Unaccountable::Tier { tier, .. }) => format!("{tier}!"),
            Err(Unaccountable::Unpriced(_)) => "unpriced".to_owned(),
        }
    }

    #[test]
    fn members_whose_cost_is_known_are_accepted() {
        let model = model("openai", "", PRICE);
        for members in [
            "",
            r#","temperature":1,"stop":["a"],"seed":7,"logit_bias":{"1":2},"logprobs":true,"top_logprobs":2,"n":2,"user":"u","metadata":{"x":"y"}"#,
            r#","service_tier":"auto","store":false,"modalities":["text"],"audio":null,"plugins":null,"prediction":{"type":"content","content":"a"}"#,
            r#","service_tier":"flex","prompt_cache_retention":"24h","prompt_cache_options":{"mode":"explicit","ttl":"12h"}"#,
            r#","tools":[{"type":"function","function":{"name":"f","parameters":{"cache_control":{"ttl":"9h"}}},"cache_control":{"type":"ephemeral"}},{"type":"custom","custom":{"name":"c"}}],"tool_choice":"auto""#,
            r#","response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"plugins":[]}}}"#,
        ] {
            assert_eq!(refused(&chat(members), &model), "", "{members}");
        }
        let messages = r#"{"model":"m","messages":[{"role":"system","content":[{"type":"text","text":"a","role":"assistant","index":0,"cache_control":{"type":"ephemeral","ttl":"1h"}}]},{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:,","detail":"low"}},{"type":"file","file":{"file_data":"data:,","filename":"a"}}]},{"role":"assistant","content":null,"refusal":null,"audio":null,"index":0,"id":"a","reasoning_content":"a","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":"a"}]}"#;
        assert_eq!(refused(&Body::parse(Endpoint::ChatCompletions, messages.as_bytes()).unwrap(), &model), "");
        for (endpoint, json) in [
            (Endpoint::Completions, r#"{"model":"m","prompt":["a"],"best_of":2,"n":1,"echo":true,"suffix":"b"}"#),
            (
                Endpoint::Embeddings,
                r#"{"model":"m","input":["a"],"dimensions":2,"encoding_format":"float","user":"u"}"#,
            ),
            (Endpoint::Moderations, r#"{"model":"m","input":[{"type":"image_url","image_url":{"url":"data:,"}}]}"#),
        ] {
            assert_eq!(refused(&Body::parse(endpoint, json.as_bytes()).unwrap(), &model), "", "{json}");
        }
    }

    #[test]
    fn members_that_may_cost_more_are_named() {
        let model = model("openai", "", PRICE);
        for (members, expected) in [
            (r#","web_search_options":{}"#, "web_search_options"),
            (r#","models":["a"]"#, "models"),
            (r#","plugins":[{"id":"web"}]"#, "plugins"),
            (r#","search_parameters":{}"#, "search_parameters"),
            (r#","n_predict":9000"#, "n_predict"),
            (r#","best_of":9"#, "best_of"),
            (r#","audio":{"voice":"a"}"#, "audio"),
            (r#","modalities":["text","audio"]"#, "modalities"),
            (r#","store":"yes""#, "store"),
            (r#","service_tier":"priority""#, "priority!"),
            (r#","service_tier":["priority"]"#, "service_tier"),
            (r#","service_tier":{"name":"flex"}"#, "service_tier"),
            (r#","Tools":[]"#, "Tools"),
            (
                r#","tools":[{"type":"function","function":{"name":"f"}},{"type":"web_search"}]"#,
                "tools[1] (tools.web_search)",
            ),
            (r#","tools":[{"function":{"name":"f"}}]"#, "tools[0] (tools)"),
            (r#","tools":[{"type":"function","type":"web_search"}]"#, "tools[0] (tools)"),
            (r#","tools":[{"type":"function","web_search":{}}]"#, "tools[0].web_search (tools.function.web_search)"),
            (r#","tools":["web_search"]"#, "tools[0] (tools)"),
            (r#","prompt_cache_retention":"forever""#, "prompt_cache_retention"),
            (r#","prompt_cache_options":{"prewarm":true}"#, "prompt_cache_options.prewarm"),
        ] {
            assert_eq!(refused(&chat(members), &model), expected, "{members}");
        }
        for (message, expected) in [
            (
                r#""content":[{"type":"input_audio","input_audio":{}}]"#,
                "messages[0].content[0] (messages.content.input_audio)",
            ),
            (
                r#""content":[{"type":"text","text":"a"},{"type":"video_url"}]"#,
                "messages[0].content[1] (messages.content.video_url)",
            ),
            (r#""audio":{"id":"a"}"#, "messages[0].audio (messages.audio)"),
            (
                r#""cache_control":{"type":"ephemeral","ttl":"9h"}"#,
                "messages[0].cache_control.ttl (messages.cache_control.ttl)",
            ),
            (
                r#""content":[{"type":"text","text":"a","cache_control":"1h"}]"#,
                "messages[0].content[0].cache_control (messages.content.text.cache_control)",
            ),
        ] {
            let json = format!(r#"{{"model":"m","messages":[{{"role":"user",{message}}}]}}"#);
            let body = Body::parse(Endpoint::ChatCompletions, json.as_bytes()).unwrap();
            assert_eq!(refused(&body, &model), expected, "{message}");
        }
        let json = r#"{"model":"m","prompt":"a","use_beam_search":true}"#;
        assert_eq!(refused(&Body::parse(Endpoint::Completions, json.as_bytes()).unwrap(), &model), "use_beam_search");
    }

    #[test]
    fn a_provider_allows_members_and_a_translated_call_has_none() {
        let members = r#","top_k":5,"tools":[{"type":"web_search"}],"service_tier":"priority""#;
        let allows = "allow_members=['top_k','tools.web_search']";
        assert_eq!(refused(&chat(members), &model("openai", "", PRICE)), "priority!");
        let two_tiers = PRICE.replace("flex=", "priority={input=9,output=9},flex=");
        assert_eq!(refused(&chat(members), &model("openai", "", &two_tiers)), "tools[0] (tools.web_search)");
        assert_eq!(refused(&chat(members), &model("openai", allows, &two_tiers)), "");
        assert_eq!(refused(&chat(members), &model("anthropic", "", PRICE)), "");
        assert_eq!(refused(&chat(members), &model("openai", allows, "")), "unpriced");
    }

    #[test]
    fn the_price_is_that_of_the_tier_and_of_what_the_call_stores() {
        let model = model("openai", "", PRICE);
        let bound = Bound { input: 1_000_000, output: 1_000_000, pieces: 0 };
        let worst_case = |members: &str| priced(&model, &chat(members)).worst_case(&bound);
        let usd = |dollars| MicroUsd::from_dollars(dollars).unwrap();
        assert_eq!(worst_case(""), usd(3.0 + 2.0));
        assert_eq!(worst_case(r#","prompt_cache_retention":"24h""#), usd(6.0 + 2.0));
        assert_eq!(worst_case(r#","prompt_cache_options":{"ttl":"1h"}"#), usd(5.0 + 2.0));
        assert_eq!(worst_case(r#","service_tier":"flex""#), usd(0.5 + 1.0));
        assert_eq!(worst_case(r#","service_tier":"other""#), usd(3.0 + 2.0));
    }

    #[test]
    fn sound_and_images_need_a_price_and_raise_the_worst_case_of_their_calls_only() {
        let price = "price={input=1,output=2,audio_input=32,image_input=3,audio_output=64,image_output=30}";
        let (priced_apart, plain) = (model("openai", "", price), model("openai", "", "price={input=1,output=2}"));
        let bound = Bound { input: 1_000_000, output: 1_000_000, pieces: 0 };
        let with = |content: &str, members: &str| {
            let json = format!(r#"{{"model":"m","messages":[{{"role":"user","content":{content}}}]{members}}}"#);
            Body::parse(Endpoint::ChatCompletions, json.as_bytes()).unwrap()
        };
        let sound = r#"[{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}}]"#;
        let image = r#"[{"type":"image_url","image_url":{"url":"data:,"}}]"#;
        for (content, members, dollars, without_price) in [
            (r#""hi""#, "", 3.0, ""),
            (image, "", 3.0 + 2.0, ""),
            (sound, "", 32.0 + 2.0, "messages[0].content[0] (messages.content.input_audio)"),
            (r#""hi""#, r#","modalities":["text","audio"],"audio":{"voice":"a","format":"wav"}"#, 1.0 + 64.0, "audio"),
            (r#""hi""#, r#","modalities":["image","text"]"#, 1.0 + 30.0, "modalities"),
        ] {
            let body = with(content, members);
            let model = priced(&priced_apart, &body);
            assert_eq!(refused(&body, &model), "", "{content} {members}");
            assert_eq!(model.worst_case(&bound), MicroUsd::from_dollars(dollars).unwrap(), "{content} {members}");
            assert_eq!(refused(&body, &priced(&plain, &body)), without_price, "{content} {members}");
        }
        let video = with(r#""hi""#, r#","modalities":["text","video"]"#);
        assert_eq!(refused(&video, &priced(&priced_apart, &video)), "modalities");
    }

    #[test]
    fn an_image_has_the_price_of_its_size_in_each_tier() {
        let text = "[[provider]]\nname='p'\nkind='simulator'\n[[model]]\nname='m'\nkind='image'\n\
                    price={per_image={default=4,'9x9'=8},tiers={flex={input=1}}}\ntargets=[{provider='p',model='m'}]";
        let model = Catalog::parse(text).unwrap().model("m").unwrap().clone();
        let bound = Bound { input: 1_000_000, output: 0, pieces: 3 };
        for (members, tier, dollars) in [
            ("", None, 3.0 * 4.0),
            (r#","size":"9x9""#, None, 3.0 * 8.0),
            ("", Some("flex"), 1.0 + 3.0 * 4.0),
            (r#","size":"9x9""#, Some("flex"), 1.0 + 3.0 * 8.0),
        ] {
            let json = format!(r#"{{"model":"m","prompt":"a cat","n":3{members}}}"#);
            let mut body = Body::parse(Endpoint::Images, json.as_bytes()).unwrap();
            // No request for images names a tier today.
            body.noted.tier = tier.map(str::to_owned);
            let model = priced(&model, &body);
            assert_eq!(model.worst_case(&bound), MicroUsd::from_dollars(dollars).unwrap(), "{members}");
            let default = model.price.as_ref().and_then(|price| price.in_default_tier.as_ref());
            assert!(default.is_none_or(|default| default.pieces == model.price.as_ref().unwrap().pieces), "{members}");
        }
    }

    #[test]
    fn a_place_and_a_speed_need_a_multiplier() {
        let price = "price={input=1,output=2,inference_geo={us=1.1},speed={fast=2}}";
        let model = model("anthropic", "", price);
        let bound = Bound { input: 1_000_000, output: 0, pieces: 0 };
        for (members, dollars, expected) in [
            ("", 1.1, ""),
            (r#","inference_geo":"global","speed":"standard""#, 1.0, ""),
            (r#","inference_geo":"us","speed":"fast""#, 2.2, ""),
            (r#","inference_geo":"eu""#, 1.0, "inference_geo"),
            (r#","speed":"faster""#, 1.1, "speed"),
            (r#","speed":1"#, 1.1, "speed"),
        ] {
            let json =
                format!(r#"{{"model":"m","max_tokens":9,"messages":[{{"role":"user","content":"hi"}}]{members}}}"#);
            let body = Body::parse(Endpoint::Messages, json.as_bytes()).unwrap();
            let model = priced(&model, &body);
            assert_eq!(model.worst_case(&bound), MicroUsd::from_dollars(dollars).unwrap(), "{members}");
            assert_eq!(refused(&body, &model), expected, "{members}");
        }
    }

    #[test]
    fn no_request_asks_for_the_price_of_a_batch() {
        let model = model(
            "openai",
            "",
            "price={input=1,output=2,tiers={batch={input=0.5,output=1},priority={input=2,output=4}}}",
        );
        let (batch, fast) = (chat(r#","service_tier":"batch""#), chat(r#","service_tier":"fast""#));
        assert_eq!(refused(&batch, &priced(&model, &batch)), "batch!");
        assert_eq!(refused(&fast, &priced(&model, &fast)), "");
        assert_eq!(
            priced(&model, &fast).worst_case(&Bound { input: 1_000_000, output: 0, pieces: 0 }),
            MicroUsd(2_000_000)
        );
    }
}
