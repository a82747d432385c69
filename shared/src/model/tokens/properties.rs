//! No charge exceeds its reservation, whatever the price, the request and the usage.

use proptest::prelude::*;

use super::{Asked, Bound, Charge, Label, Longer, Multipliers, Price, Rates, Served, Stored, Usage};

const WORDS: [&str; 5] = ["", "us", "eu", "fast", "default"];

fn word() -> impl Strategy<Value = Label> {
    prop::sample::select(WORDS.to_vec()).prop_map(Label::new)
}

fn rate() -> impl Strategy<Value = u64> {
    prop_oneof![0..200_000_000_u64, Just(u64::MAX), Just(1)]
}

prop_compose! {
    fn rates()(
        plain in prop::array::uniform8(rate()),
        apart in prop::array::uniform5(prop::option::of(rate())),
    ) -> Rates {
        let [input, cached_input, cache_write, cache_write_30m, cache_write_1h, cache_write_12h, output, reasoning] = plain;
        let [audio_input, cached_audio, image_input, audio_output, image_output] = apart;
        Rates {
            input, cached_input, cache_write, cache_write_30m, cache_write_1h, cache_write_12h, audio_input, cached_audio,
            image_input, output, reasoning, audio_output, image_output,
        }
    }
}

fn multipliers() -> impl Strategy<Value = Multipliers> {
    let of_word = (word(), 0..5_000_000_u64);
    prop::collection::btree_map(of_word.0, of_word.1, 0..3).prop_map(Multipliers::new)
}

prop_compose! {
    fn prices()(
        rates in rates(),
        longer in prop::collection::btree_map(0..2_000_u64, rates(), 0..4),
        geo in multipliers(),
        speed in multipliers(),
        pieces in rate(),
    ) -> Price {
        let longer = longer.into_iter().map(|(above, rates)| Longer { above, rates }).collect();
        Price { longer, geo, speed, pieces, ..Price::from(rates) }
    }
}

fn prices_of_tiers() -> impl Strategy<Value = Price> {
    // Boxed, because the stack of a test is small.
    (prices().boxed(), prop::option::of(prices().boxed()))
        .prop_map(|(own, default)| Price { in_default_tier: default.map(Box::new), ..own })
}

prop_compose! {
    fn asks()(
        stored in prop::sample::select(vec![Stored::Minutes, Stored::Hour, Stored::HalfDay]),
        media in prop::array::uniform4(any::<bool>()),
        geo in prop::option::of(word()),
        speed in prop::option::of(word()),
    ) -> Asked {
        let [audio_input, image_input, audio_output, image_output] = media;
        Asked { stored, audio_input, image_input, audio_output, image_output, geo, speed }
    }
}

fn tokens() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 0..2_000_u64, 1 => any::<u64>()]
}

prop_compose! {
    fn usages()(
        counts in prop::collection::vec(tokens(), 15),
        geo in word(),
        speed in word(),
        tier in word(),
    ) -> Usage {
        Usage {
            input: counts[0], cached_input: counts[1], cached_audio: counts[2], cache_write: counts[3],
            cache_write_30m: counts[4], cache_write_1h: counts[5], cache_write_12h: counts[6], audio_input: counts[7],
            image_input: counts[8], output: counts[9], reasoning: counts[10], audio_output: counts[11],
            image_output: counts[12], pieces: counts[14], served: Served { longest_prompt: counts[13], geo, speed, tier },
        }
    }
}

proptest! {
    #[test]
    fn no_report_of_a_provider_costs_more_than_was_held(
        price in prices_of_tiers(),
        asked in asks(),
        usage in usages(),
        input in tokens(),
        output in tokens(),
        pieces in tokens(),
    ) {
        let (price, bound) = (price.asked(&asked), Bound { input, output, pieces });
        let charge = Charge::reported(Some(&price), usage, &bound);
        prop_assert!(charge.cost <= price.worst_case(&bound));
        prop_assert!(charge.usage.input <= input && charge.usage.output <= output && charge.usage.pieces <= pieces);
        prop_assert!(Charge::at_most(Some(&price), charge.usage).cost <= price.worst_case(&bound));
    }

    #[test]
    fn a_usage_has_each_token_once(usage in usages(), input in 0..5_000_u64, output in 0..5_000_u64) {
        let cut = Bound { input, output, pieces: 0 }.cut(usage);
        prop_assert_eq!(cut.parts().iter().sum::<u64>(), cut.input + cut.output);
    }

    #[test]
    fn a_smaller_request_holds_no_more(price in prices(), asked in asks(), input in 0..4_000_u64, less in 0..4_000_u64) {
        let price = price.asked(&asked);
        let worst = |input, pieces| price.worst_case(&Bound { input, output: 10, pieces });
        prop_assert!(worst(input.saturating_sub(less), 10) <= worst(input, 10));
        prop_assert!(worst(input, 10_u64.saturating_sub(less)) <= worst(input, 10));
    }
}
