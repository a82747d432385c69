use std::time::Duration;

use super::*;
use crate::model::catalog::{
    BatchMode, BreakerConfig, DeveloperRole, KeySource, Model, NoThinking, OutputLimit, Quirks, ResponsesApi,
    SystemPosition, Thoughts,
};
use crate::model::tokens::{Asked, Label, Longer, Price, Rates, Served, Unreported, Usage};

const GOOD: &str = r#"
[[provider]]
name = "mock"
kind = "openai"
base_url = "http://127.0.0.1:18080/v1/"
api_key_env = "MOCK_KEY"

[[model]]
name = "mock-chat"
aliases = ["chat"]
kind = "chat"
price = { input = 1.0, cached_input = 0.1, output = 2 }
context_tokens = 128000
max_output_tokens = 4096
timeouts = { idle_ms = 7 }
targets = [{ provider = "mock", model = "up/mock-chat", weight = 3, timeouts = { total_ms = 9 } }]
"#;

#[test]
fn reads_a_file() {
    let catalog = Catalog::parse(GOOD).unwrap();
    let model = catalog.model("chat").unwrap();
    assert_eq!(model, catalog.model("mock-chat").unwrap());
    let price = Price::from(Rates { cached_input: 100_000, ..Rates::flat(1_000_000, 2_000_000) });
    assert_eq!(model.price.as_deref(), Some(&price));
    let timeouts = model.targets[0].timeouts;
    assert_eq!((timeouts.idle, timeouts.total), (Duration::from_millis(7), Duration::from_millis(9)));
    let provider = catalog.provider("mock").unwrap();
    assert_eq!(provider.base_url.as_deref(), Some("http://127.0.0.1:18080/v1"));
    assert_eq!(provider.key, KeySource::Env("MOCK_KEY".to_owned()));
    assert_eq!((&provider.quirks, &provider.preset), (&Quirks::default(), &None));
    let older = GOOD.replace("api_key_env", "output_limit = \"max_tokens\"\napi_key_env");
    assert_eq!(Catalog::parse(&older).unwrap().provider("mock").unwrap().quirks.output_limit, OutputLimit::MaxTokens);
    assert_eq!((provider.breaker, provider.unreported), (BreakerConfig::default(), Unreported::WorstCase));
    assert_eq!(model.tokens_per_second, 200);
    let own = GOOD.replace("api_key_env", "unreported = \"received\"\napi_key_env");
    assert_eq!(Catalog::parse(&own).unwrap().provider("mock").unwrap().unreported, Unreported::Received);
    let patient = GOOD.replace("api_key_env", "breaker = { failure_share = 1, open_ms = 60000 }\napi_key_env");
    let expected = BreakerConfig { failure_share: 1.0, open_ms: 60_000, ..BreakerConfig::default() };
    assert_eq!(Catalog::parse(&patient).unwrap().provider("mock").unwrap().breaker, expected);
}

fn in_member(name: &str) -> Thoughts {
    Thoughts::In(name.to_owned())
}

#[test]
fn a_preset_sets_the_options_and_an_option_overrides_it() {
    let quirks = |options: &str| {
        let text = GOOD.replace("api_key_env", &format!("{options}\napi_key_env"));
        Catalog::parse(&text).unwrap().provider("mock").unwrap().quirks.clone()
    };
    let mistral = quirks("preset = \"mistral\"");
    assert_eq!((mistral.developer_role, mistral.output_limit), (DeveloperRole::System, OutputLimit::MaxTokens));
    assert!(!mistral.stream_options && mistral.drop.contains(&"messages.name".to_owned()));
    let options =
        "developer_role = \"developer\"\noutput_limit = \"max_completion_tokens\"\nstream_options = true\ndrop = []";
    let known =
        Quirks { reasoning_in: Thoughts::Nowhere, reasoning_out: in_member("reasoning_content"), ..Quirks::default() };
    assert_eq!(quirks(&format!("preset = \"mistral\"\n{options}")), known);
    let vllm = quirks("preset = \"vllm\"");
    assert_eq!((&vllm.reasoning_in, &vllm.reasoning_out), (&in_member("reasoning"), &in_member("reasoning")));
    let own = quirks("preset = \"vllm\"\nreasoning_in = \"none\"\nreasoning_out = \"thinking\"");
    let members = (Thoughts::Nowhere, in_member("thinking"));
    assert_eq!(own, Quirks { reasoning_in: members.0, reasoning_out: members.1, ..vllm });
    let native = quirks("responses = \"native\"");
    assert_eq!(native, Quirks { responses: ResponsesApi::Native, ..Quirks::default() });
    assert_eq!(quirks("preset = \"deepseek\"").no_thinking, NoThinking::Disabled);
    let own = quirks("preset = \"deepseek\"\nno_thinking = \"effort\"");
    assert_eq!(own.no_thinking, NoThinking::Effort);
    let llama = quirks("preset = \"llama_cpp\"");
    assert_eq!((llama.system_position, llama.output_limit), (SystemPosition::First, OutputLimit::MaxTokens));
    let any = quirks("preset = \"llama_cpp\"\nsystem_position = \"any\"");
    assert_eq!(any, Quirks { system_position: SystemPosition::Any, ..llama });
    let own = quirks("drop = [\"store\", \"tools.function.strict\"]\nstream_options = false");
    let drop = vec!["store".to_owned(), "tools.function.strict".to_owned()];
    assert_eq!(own, Quirks { stream_options: false, drop, ..Quirks::default() });
}

#[test]
fn a_known_host_gets_the_role_and_the_tools_that_it_knows() {
    let quirks = |host: &str| {
        let text = GOOD.replace("http://127.0.0.1:18080", host);
        Catalog::parse(&text).unwrap().provider("mock").unwrap().quirks.clone()
    };
    let thoughts = in_member("reasoning_content");
    let known = Quirks { reasoning_in: thoughts.clone(), reasoning_out: thoughts, ..Quirks::default() };
    let system = Quirks { developer_role: DeveloperRole::System, ..known.clone() };
    let deepseek = Quirks { no_thinking: NoThinking::Disabled, ..system.clone() };
    assert_eq!(quirks("https://api.deepseek.com"), deepseek);
    assert_eq!(quirks("https://api.fireworks.ai/inference/v1"), system);
    assert_eq!(
        quirks("https://api.openai.com"),
        Quirks { custom_tools: true, reasoning_in: Thoughts::Nowhere, ..known }
    );
    assert_eq!(quirks("https://vllm.example"), Quirks::default());
}

/// Replaces `from` by `to` in the good file and compares the error.
#[track_caller]
fn check(from: &str, to: &str, expected: &str) {
    assert!(GOOD.contains(from), "{from}");
    let error = Catalog::parse(&GOOD.replacen(from, to, 1)).unwrap_err();
    assert_eq!(error.to_string(), expected);
}

#[test]
fn every_error_names_its_line_and_a_way_out() {
    check(
        "kind = \"openai\"",
        "kind = \"opnai\"",
        "line 4: unknown variant `opnai`, expected one of `openai`, `anthropic`, `gemini`, `bedrock`, `simulator`",
    );
    check(
        "base_url = \"http://127.0.0.1:18080/v1/\"",
        "",
        "line 3: provider `mock` has no `base_url`; OpenAI's is \"https://api.openai.com/v1\"",
    );
    check(
        "http://127",
        "ftp://127",
        "line 5: `base_url` is `ftp://127.0.0.1:18080/v1/`; it must begin with http:// or https://",
    );
    check(
        "provider = \"mock\"",
        "provider = \"mok\"",
        "line 16: no [[provider]] is named `mok`; the file defines: mock",
    );
    check(
        "[\"chat\"]",
        "[\"mock-chat\"]",
        "line 10: model name or alias `mock-chat` is used twice; rename one of them",
    );
    check("input = 1.0", "input = -1.0", "line 12: the price -1 is no amount of US dollars per million tokens");
    check(", output = 2", "", "line 12: the price has no `output`, in USD per million tokens");
    check(
        "context_tokens = 128000",
        "",
        "line 9: model `mock-chat` has a price but no `context_tokens`; without it a call's worst case is not known",
    );
    check(
        "max_output_tokens = 4096",
        "max_tokens = 4096",
        "line 14: unknown field `max_tokens`, expected one of `name`, `aliases`, `kind`, `price`, `context_tokens`, `max_output_tokens`, `image_tokens`, `max_seconds`, `tokens_per_second`, `batch`, `timeouts`, `targets`",
    );
    check("weight = 3", "weight = 0", "line 16: `weight` is 0; remove it to make the target a fallback only");
    check(
        "[{ provider = \"mock\", model = \"up/mock-chat\", weight = 3, timeouts = { total_ms = 9 } }]",
        "[]",
        "line 16: model `mock-chat` has no targets; write targets = [{ provider = \"...\", model = \"...\" }]",
    );
    check(
        "api_key_env = \"MOCK_KEY\"",
        "api_key_env = \"A\"\napi_key_secret = \"b\"",
        "line 7: both `api_key_env` and `api_key_secret` are set; keep one",
    );
    check(
        "api_key_env = \"MOCK_KEY\"",
        "output_limit = \"max_output_tokens\"",
        "line 6: unknown variant `max_output_tokens`, expected `max_completion_tokens` or `max_tokens`",
    );
    check(
        "kind = \"openai\"",
        "kind = \"anthropic\"\noutput_limit = \"max_tokens\"",
        "line 5: `output_limit` is for providers of the kind `openai`; remove it",
    );
    check(
        "kind = \"openai\"",
        "kind = \"openai\"\nreasoning_in = \"content\"",
        "line 5: `reasoning_in` is `content`; write the member of a message with the thoughts, such as \"reasoning\", or \"none\"",
    );
    check(
        "kind = \"openai\"",
        "kind = \"openai\"\nreasoning_out = \"a.b\"",
        "line 5: `reasoning_out` is `a.b`; write the member of a message with the thoughts, such as \"reasoning\", or \"none\"",
    );
    check(
        "kind = \"openai\"",
        "kind = \"gemini\"\nresponses = \"native\"",
        "line 5: `responses` is for providers of the kind `openai`; remove it",
    );
    check(
        "kind = \"openai\"",
        "kind = \"openai\"\nresponses = \"passed\"",
        "line 5: unknown variant `passed`, expected `chat` or `native`",
    );
    check(
        "kind = \"openai\"",
        "kind = \"openai\"\nauth = \"sigv4\"",
        "line 5: requests with `auth = \"sigv4\"` have no key; remove `api_key_env` and `api_key_secret`, or `auth`",
    );
    check(
        "kind = \"openai\"\nbase_url = \"http://127.0.0.1:18080/v1/\"\napi_key_env = \"MOCK_KEY\"",
        "kind = \"gemini\"\nauth = \"sigv4\"",
        "line 5: `auth` is for providers of the kinds `openai` and `anthropic`; remove it",
    );
    check(
        "kind = \"openai\"",
        "kind = \"openai\"\npreset = \"mystral\"",
        "line 5: `mystral` is no preset; expected one of `openai`, `azure`, `openrouter`, `deepseek`, `mistral`, `groq`, `xai`, `together`, `fireworks`, `vllm`, `ollama`, `llama_cpp`, `lm_studio`",
    );
    check(
        "kind = \"openai\"",
        "kind = \"anthropic\"\npreset = \"openai\"",
        "line 5: `preset` is for providers of the kind `openai`; remove it",
    );
    check(
        "kind = \"openai\"",
        "kind = \"bedrock\"\ndrop = [\"store\"]",
        "line 5: `drop` is for providers of the kind `openai`; remove it",
    );
    check(
        "kind = \"openai\"",
        "kind = \"openai\"\ndrop = [\"max_tokens\"]",
        "line 5: `drop` has `max_tokens`, by which weir limits, charges or streams a call",
    );
    check(
        "kind = \"openai\"",
        "kind = \"openai\"\ndrop = [\"stream_options\"]",
        "line 5: `drop` has `stream_options`, by which weir limits, charges or streams a call; write `stream_options = false`",
    );
    check(
        "kind = \"openai\"",
        "kind = \"openai\"\ndrop = [\"messages.\"]",
        "line 5: `drop` has `messages.`; write a member, or its place such as \"messages.name\"",
    );
    check(
        "kind = \"openai\"",
        "kind = \"openai\"\ndeveloper_role = \"user\"",
        "line 5: unknown variant `user`, expected `developer` or `system`",
    );
    check(
        "kind = \"openai\"",
        "kind = \"openai\"\nunreported = \"free\"",
        "line 5: unknown variant `free`, expected one of `worst_case`, `received`, `nothing`",
    );
    check(
        "max_output_tokens = 4096",
        "max_output_tokens = 4096\ntokens_per_second = 0",
        "line 9: `tokens_per_second` of model `mock-chat` is 0; it must be at least 1",
    );
    for (setting, reason) in [
        ("failure_share = 0", "`failure_share` is 0; it must be above 0 and at most 1"),
        ("min_calls = 0", "`min_calls` is 0; it must be at least 1"),
        ("open_ms = 1", "`open_ms` is 1; it must be between 1000 and 600000"),
        ("trickle = 0.0", "`trickle` is 0; it must be between 0.01 and 1"),
        (
            "failures = 5",
            "unknown field `failures`, expected one of `failure_share`, `min_calls`, `window_ms`, `open_ms`, `trickle`",
        ),
    ] {
        let breaker = format!("kind = \"openai\"\nbreaker = {{ {setting} }}");
        check("kind = \"openai\"", &breaker, &format!("line 5: {reason}"));
    }
    check(
        "kind = \"openai\"",
        "kind = \"gemini\"\nallow_members = [\"top_k\"]",
        "line 5: `allow_members` is for providers that get bodies as they are, and Gemini gets a translation; remove it",
    );
    check(
        "api_key_env = \"MOCK_KEY\"",
        "media_urls = [\"data:\", \"https://a.example\"]",
        "line 6: `media_urls` has `https://a.example`; expected \"data:\", \"https://\", \"http://\", or one of the last two with a host and a slash: \"https://images.example.com/\"",
    );
    check(
        "output = 2 ",
        "output = 2, tiers = { flex = { input = 1 } } ",
        "line 12: the price has no `output`, in USD per million tokens",
    );
    check(
        "output = 2 ",
        "output = 2, tiers = { flex = { input = 1, output = 1, tiers = { x = { input = 1, output = 1 } } } } ",
        "line 12: the price of the tier `flex` has tiers; write them beside it",
    );
}

#[test]
fn a_tier_and_long_storage_have_prices_of_their_own() {
    let price = "cache_write = 3, cache_write_1h = 4, output = 2, tiers = { flex = { input = 0.5, output = 1 } } ";
    let catalog = Catalog::parse(&GOOD.replace("output = 2 ", price)).unwrap();
    let model = catalog.model("chat").unwrap();
    let own = model.price.as_ref().unwrap().rates;
    let writes = [own.cache_write, own.cache_write_30m, own.cache_write_1h, own.cache_write_12h];
    assert_eq!(writes, [3_000_000, 3_000_000, 4_000_000, 4_000_000]);
    assert_eq!(model.price_of_tier("flex").unwrap().rates, Rates::flat(500_000, 1_000_000));
}

#[test]
fn a_member_is_allowed_where_all_targets_that_get_it_allow_it() {
    let provider = |name: &str, kind: &str, allowed: &str| {
        format!("[[provider]]\nname = '{name}'\nkind = '{kind}'\nbase_url = 'http://a.example'\n{allowed}\n")
    };
    let providers = [
        provider("a", "openai", "allow_members = ['x', 'y']"),
        provider("b", "openai", "allow_members = ['y', 'z']"),
        provider("c", "anthropic", ""),
    ]
    .concat();
    let allowed = |targets: &[&str]| {
        let targets: Vec<String> =
            targets.iter().map(|name| format!("{{ provider = '{name}', model = 'm' }}")).collect();
        let model = format!("[[model]]\nname = 'm'\nkind = 'chat'\ntargets = [{}]\n", targets.join(", "));
        let catalog = Catalog::parse(&format!("{providers}{model}")).unwrap();
        let allowed = catalog.model("m").unwrap().allow_members.clone();
        allowed.map(|members| members.into_iter().collect::<Vec<_>>().join(" "))
    };
    assert_eq!(allowed(&["a"]).as_deref(), Some("x y"));
    assert_eq!(allowed(&["a", "c", "b"]).as_deref(), Some("y"));
    assert_eq!(allowed(&["c"]), None);
}

#[test]
fn the_first_file_wins_when_two_are_merged() {
    let other = GOOD.replace("4096", "1").replace("\"mock-chat\"\nali", "\"second\"\nali").replace("[\"chat\"]", "[]");
    let merged = Catalog::parse(GOOD).unwrap().merged_with(Catalog::parse(&other).unwrap());
    assert_eq!(merged.models().len(), 2);
    assert_eq!(merged.model("chat").unwrap().max_output_tokens, 4096);
}

#[test]
fn all_problems_are_found_at_once() {
    let bad = GOOD.replace("max_output_tokens = 4096", "max_tokens = 4096").replace("weight = 3", "weight = \"x\"");
    let bad = bad.replace("base_url = \"h", "base_url = \"f").replace("output = 2 ", "output = -2 ");
    let catalog = Catalog::read(&format!("{bad}\n[providers]\n")).unwrap();
    let lines: Vec<usize> = catalog.problems().iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [5, 14, 16, 18], "{:?}", catalog.problems());
    let errors = Catalog::read("a = \nb = \n").unwrap_err();
    assert_eq!(errors.iter().map(|error| error.line).collect::<Vec<_>>(), [1, 2], "{errors:?}");
}

#[test]
fn a_wrong_entry_leaves_the_others_alone() {
    let second = "[[model]]\nname = \"second\"\naliases = [\"two\"]\nkind = \"chat\"\ntargets = 3\n";
    let catalog = Catalog::read(&format!("{GOOD}{second}")).unwrap();
    assert!(catalog.model("chat").is_some() && catalog.model("two").is_none());
    let reason = catalog.wrong_model("two").unwrap().to_string();
    assert_eq!(reason, "line 18: the entry of model `two` is wrong");
    assert_eq!(catalog.problems().len(), 1, "{:?}", catalog.problems());
}

#[test]
fn a_model_keeps_the_targets_of_a_wrong_provider_and_of_none() {
    let catalog = Catalog::read(&GOOD.replace("http:", "ftp:")).unwrap();
    assert!(catalog.provider("mock").is_none() && catalog.wrong_provider("mock").is_some());
    assert_eq!(catalog.model("chat").unwrap().targets.len(), 1);
    let catalog = Catalog::read(&GOOD.replace("provider = \"mock\"", "provider = \"mok\"")).unwrap();
    assert_eq!(catalog.model("chat").unwrap().targets.len(), 1);
    assert!(catalog.wrong_provider("mok").is_some() && catalog.wrong_provider("mock").is_none());
}

/// The prices of the builtin models must not serve a name whose own entry is wrong.
#[test]
fn a_wrong_entry_keeps_its_names() {
    let wrong = Catalog::read(&GOOD.replace("max_output_tokens = 4096\n", "")).unwrap();
    let merged = wrong.merged_with(Catalog::parse(GOOD).unwrap());
    assert!(merged.model("chat").is_none() && merged.wrong_model("chat").is_some());
}

#[test]
fn a_merged_provider_never_takes_the_place_of_another() {
    let other = GOOD.replace("127.0.0.1", "127.0.0.2").replace("\"mock-chat\"\nali", "\"second\"\nali");
    let merged = Catalog::parse(GOOD).unwrap().merged_with(Catalog::parse(&other).unwrap());
    let url = |model: &str| {
        let target = &merged.model(model).unwrap().targets[0];
        merged.provider(&target.provider).unwrap().base_url.clone().unwrap()
    };
    assert_eq!(url("chat"), "http://127.0.0.1:18080/v1");
    assert_eq!(url("second"), "http://127.0.0.2:18080/v1");
    assert!(merged.model("second").unwrap().aliases.is_empty());
}

#[test]
fn a_price_has_lengths_places_and_speeds() {
    let price = "audio_input = 8, image_input = 3, output = 2, \
        longer = [{ above = 9, input = 7, output = 8 }, { above = 5, input = 5, output = 6, cached_input = 0, audio_input = 9 }], \
        inference_geo = { us = 1.1 }, speed = { fast = 2 }, \
        tiers = { priority = { input = 4, output = 4 }, batch = { input = 0.5, output = 1, speed = { fast = 3 } } } ";
    let catalog = Catalog::parse(&GOOD.replace("output = 2 ", price)).unwrap();
    let model = catalog.model("chat").unwrap();
    let own = model.price.as_ref().unwrap();
    let five =
        Rates { audio_input: Some(9_000_000), image_input: Some(5_000_000), ..Rates::flat(5_000_000, 6_000_000) };
    let five = Rates { cached_input: 0, ..five };
    let nine =
        Rates { audio_input: Some(8_000_000), image_input: Some(7_000_000), ..Rates::flat(7_000_000, 8_000_000) };
    assert_eq!(own.longer, [Longer { above: 5, rates: five }, Longer { above: 9, rates: nine }]);
    assert!(model.price_of_tier("batch").is_none(), "a request cannot ask for it");
    assert_eq!(model.price_of_tier("fast"), model.price_of_tier("priority"));
    let served = Served { geo: Label::new("us"), ..Served::default() };
    let usage = Usage { input: 10, served, ..Usage::default() };
    let asked = Asked { speed: Some(Label::new("fast")), ..Asked::default() };
    let cost = |price: &Price| price.asked(&asked).cost(&usage).0;
    assert_eq!((cost(own), cost(&model.tiers["priority"]), cost(&model.tiers["batch"])), (154, 88, 17));
}

#[test]
fn a_wrong_part_of_a_price_is_named() {
    for (price, reason) in [
        ("above = 5", "`above` is for the entries of `longer`"),
        ("longer = [{ input = 1, output = 1 }]", "the entry of `longer` has no `above`, in tokens of the prompt"),
        (
            "longer = [{ above = 1, input = 1, output = 1, tiers = { a = { input = 1, output = 1 } } }]",
            "an entry of `longer` has `above` and rates only",
        ),
        (
            "longer = [{ above = 1, input = 1, output = 1 }, { above = 1, input = 1, output = 1 }]",
            "`longer` has two entries for the same length",
        ),
        ("longer = [{ above = 1, input = 1 }]", "the price has no `output`, in USD per million tokens"),
        ("speed = { fast = -1 }", "-1 is no multiplier of a price; expected 0 to 100"),
        ("speed = { 'very fast' = 2 }", "`very fast` is no word of 1 to 16 characters without spaces"),
        ("audio_input = -1", "the price -1 is no amount of US dollars per million tokens"),
    ] {
        let text = GOOD.replace("output = 2 ", &format!("output = 2, {price} "));
        assert_eq!(Catalog::parse(&text).unwrap_err().to_string(), format!("line 12: {reason}"), "{price}");
    }
}

#[test]
fn batches_go_to_a_provider_that_has_them() {
    let text = |kind: &str, price: &str| {
        format!(
            "[[provider]]\nname = 'p'\nkind = '{kind}'\nbase_url = 'http://p.example'\n[[model]]\nname = 'm'\nkind = 'chat'\n\
             batch = 'native'\ncontext_tokens = 9000\nmax_output_tokens = 100\nprice = {price}\ntargets = [{{ provider = 'p', model = 'm' }}]"
        )
    };
    let reasons = |kind: &str, price: &str| -> Vec<String> {
        let catalog = Catalog::read(&text(kind, price)).unwrap();
        catalog.problems().iter().map(|problem| problem.reason.clone()).collect()
    };
    let model = |price: &str| Catalog::parse(&text("openai", price)).unwrap().model("m").unwrap().clone();
    let cost = |model: Model| {
        let usage = Usage { input: 3, output: 5, ..Usage::default() };
        model.charge(usage).cost.0
    };
    let discounted = model("{ input = 1, output = 3, batch_discount = 0.25 }");
    assert_eq!((discounted.batch, cost(discounted.clone()), cost(discounted.in_batch())), (BatchMode::Native, 18, 14));
    assert_eq!(cost(model("{ input = 1, output = 3, tiers = { batch = { input = 0.5, output = 1 } } }").in_batch()), 7);
    assert_eq!(
        cost(model("{ input = 1, output = 3 }").in_batch()),
        18,
        "without a price for batches, the model's holds"
    );

    let price = "{ input = 1, output = 3 }";
    assert_eq!((reasons("openai", price), reasons("anthropic", price)), (vec![], vec![]));
    let simulator = reasons("simulator", price);
    assert!(simulator[0].contains("\"openai\" or \"anthropic\""), "{simulator:?}");
    for wrong in [
        "{ input = 1, output = 3, batch_discount = 1.0 }",
        "{ input = 1, output = 3, batch_discount = -0.5 }",
        "{ input = 1, output = 3, batch_discount = 0.5, tiers = { batch = { input = 1, output = 1 } } }",
        "{ input = 1, output = 3, tiers = { flex = { input = 1, output = 1, batch_discount = 0.5 } } }",
        "{ input = 1, output = 3, longer = [{ above = 10, input = 1, output = 1, batch_discount = 0.5 }] }",
    ] {
        assert_eq!(reasons("openai", wrong).len(), 1, "{wrong}");
    }
}
