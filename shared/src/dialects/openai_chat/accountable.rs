//! Whether the price per token covers all that a call can cost, and which price that is.

use super::{Body, Pieces};
use crate::model::catalog::{Model, Unaccountable};
use crate::model::tokens::Price;

/// The model with the price of a call: that of the call's service tier if the model has one, and of its images' size. A call that asks for no long
/// storage of its input has no dearer worst case because of it.
#[must_use]
pub fn priced(model: &Model, body: &Body) -> Model {
    let tier = body.noted.tier.as_ref().and_then(|tier| model.tiers.get(tier));
    let price = tier.copied().or(model.price);
    let price = if body.noted.stores_long { price } else { price.map(Price::without_long_storage) };
    let per_image = model.per_image.as_ref().map(|prices| {
        let Pieces { size, quality, .. } = &body.pieces;
        prices.of(size.as_deref(), quality.as_deref())
    });
    let price = price.map(|price| Price { pieces: per_image.unwrap_or(price.pieces), ..price });
    Model { price, ..model.clone() }
}

/// Checks that the price per token covers all that a call can cost. A budget can pay for no other.
///
/// # Errors
/// If the model has no price, or none for the call's service tier; or if the call has a member that may cost more, and some
/// target of the model gets members that weir does not know.
pub fn check(body: &Body, model: &Model) -> Result<(), Unaccountable> {
    if model.price.is_none() {
        return Err(Unaccountable::Unpriced(model.name.clone()));
    }
    let allowed = if body.noted.is_messages { &model.allow_messages_members } else { &model.allow_members };
    let Some(allowed) = allowed else { return Ok(()) };
    if let Some(tier) = body.noted.tier.as_ref().filter(|tier| !model.tiers.contains_key(*tier)) {
        return Err(Unaccountable::Tier { model: model.name.clone(), tier: tier.clone() });
    }
    match body.noted.members.iter().find(|(name, _)| !allowed.contains(*name)) {
        Some((name, path)) => Err(Unaccountable::Beside { name: name.clone(), path: path.clone() }),
        None => Ok(()),
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

    const PRICE: &str = "price={input=1,output=2,cache_write=3,cache_write_1h=5,tiers={flex={input=0.5,output=1}}}";

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
            (r#","store":true"#, "store"),
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
        assert_eq!(worst_case(r#","prompt_cache_retention":"24h""#), usd(5.0 + 2.0));
        assert_eq!(worst_case(r#","service_tier":"flex""#), usd(0.5 + 1.0));
        assert_eq!(worst_case(r#","service_tier":"other""#), usd(3.0 + 2.0));
    }
}
