//! The models of Amazon Bedrock that a region can call.
//!
//! Bedrock calls most models through an inference profile: an id with a prefix, which names the geography whose regions
//! may answer. A profile costs a tenth more than the global one, and its data stays in its geography.

use shared::model::catalog::Catalog;

const PROVIDER: &str = "[[provider]]\nname = \"bedrock\"\nkind = \"bedrock\"\n";

const US: &str = include_str!("bedrock/us.toml");
const EU: &str = include_str!("bedrock/eu.toml");
const APAC: &str = include_str!("bedrock/apac.toml");
const JAPAN: &str = include_str!("bedrock/jp.toml");
const AUSTRALIA: &str = include_str!("bedrock/au.toml");
const INDIA: &str = include_str!("bedrock/in.toml");
const GOV: &str = include_str!("bedrock/us-gov.toml");
const GLOBAL: &str = include_str!("bedrock/global.toml");
/// The ids that are called without a profile.
const NONE: &str = include_str!("bedrock/none.toml");

/// The models that a region can call: through the profiles of its geography, without a profile where a model has none,
/// and through the global profiles under names that end in `-global`. No other name sends data out of the geography.
#[must_use]
pub fn bedrock(region: &str) -> Catalog {
    let files = files(region).iter().map(|models| super::read(&format!("{PROVIDER}{models}")));
    files.fold(Catalog::default(), Catalog::merged_with)
}

/// The files of a region; where two have a model, the first one counts.
fn files(region: &str) -> &'static [&'static str] {
    match region {
        "ap-northeast-1" | "ap-northeast-3" => &[JAPAN, APAC, NONE, GLOBAL],
        "ap-southeast-2" | "ap-southeast-4" | "ap-southeast-6" => &[AUSTRALIA, APAC, NONE, GLOBAL],
        "ap-south-1" | "ap-south-2" => &[INDIA, APAC, NONE, GLOBAL],
        _ if region.starts_with("us-gov-") => &[GOV],
        // The Canadian regions are sources of the profiles of the United States.
        _ if region.starts_with("us-") || region.starts_with("ca-") => &[US, NONE, GLOBAL],
        _ if region.starts_with("eu-") => &[EU, NONE, GLOBAL],
        _ if region.starts_with("ap-") => &[APAC, NONE, GLOBAL],
        // Bedrock is not in China.
        _ if region.is_empty() || region.starts_with("cn-") => &[],
        _ => &[NONE, GLOBAL],
    }
}

#[cfg(test)]
mod tests {
    use shared::model::catalog::ModelKind;

    use super::*;

    #[test]
    fn every_file_is_a_catalog_with_prices_and_limits() {
        for models in [US, EU, APAC, JAPAN, AUSTRALIA, INDIA, GOV, GLOBAL, NONE] {
            let catalog = Catalog::parse(&format!("{PROVIDER}{models}")).unwrap();
            assert!(!catalog.models().is_empty());
            for model in catalog.models() {
                assert!(model.price.as_ref().is_some_and(|price| price.rates.input > 0), "{}", model.name);
                assert!(model.kind != ModelKind::Chat || model.max_output_tokens > 0, "{}", model.name);
            }
        }
    }

    /// The provider's name of a model in a region.
    fn id(region: &str, name: &str) -> Option<String> {
        bedrock(region).model(name).map(|model| model.targets[0].model.clone())
    }

    #[test]
    fn a_name_stays_in_the_geography_of_the_region() {
        for (region, prefix) in [
            ("us-east-1", "us."),
            ("ca-central-1", "us."),
            ("eu-central-1", "eu."),
            ("ap-northeast-1", "jp."),
            ("ap-southeast-2", "au."),
            ("us-gov-west-1", "us-gov."),
        ] {
            let id = id(region, "claude-sonnet-4-5");
            assert_eq!(id, Some(format!("{prefix}anthropic.claude-sonnet-4-5-20250929-v1:0")), "{region}");
        }
        assert_eq!(id("ap-northeast-1", "nova-pro").as_deref(), Some("apac.amazon.nova-pro-v1:0"));
        assert_eq!(id("ap-south-1", "nova-pro").as_deref(), Some("apac.amazon.nova-pro-v1:0"));
        assert_eq!(id("eu-west-1", "titan-embed-text-v2").as_deref(), Some("amazon.titan-embed-text-v2:0"));
        assert_eq!(id("sa-east-1", "claude-sonnet-4-5"), None);
    }

    #[test]
    fn only_a_name_that_says_so_goes_around_the_world() {
        for region in ["us-east-1", "eu-west-3", "ap-northeast-1", "ap-southeast-2", "ap-south-1", "sa-east-1"] {
            let catalog = bedrock(region);
            let mut global = 0;
            for model in catalog.models() {
                let is_global = model.targets[0].model.starts_with("global.");
                assert_eq!(model.name.ends_with("-global"), is_global, "{region} {}", model.name);
                global += usize::from(is_global);
            }
            assert!(global > 10, "{region}");
        }
    }

    #[test]
    fn a_model_is_found_by_its_id_too_and_no_region_is_none() {
        assert!(bedrock("us-east-1").model("us.amazon.nova-pro-v1:0").is_some());
        assert_eq!((bedrock("").models().len(), bedrock("cn-north-1").models().len()), (0, 0));
    }
}
