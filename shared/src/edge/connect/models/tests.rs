use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use aws_smithy_runtime_api::client::http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use embedded::{Engines, Place};

use super::*;
use crate::app::{Error, Models};
use crate::model::clock::Clock;
use crate::model::provider::{Failure, Provider, ProviderRequest, Reply};

struct Silent;

#[async_trait]
impl Provider for Silent {
    async fn send(&self, _: &ProviderRequest) -> Result<Reply, Failure> {
        Err(Failure::wrong_entry("it is silent"))
    }
}

/// A bucket with a models file, and the number of providers that were made.
struct Fixture {
    client: Client,
    clock: Clock,
    made: Arc<AtomicUsize>,
    _engines: Engines,
}

const MINUTE: u64 = 60_000;

fn models_file(price: u32, second: &str) -> String {
    format!(
        "[[provider]]\nname = \"a\"\nkind = \"simulator\"\n[[provider]]\nname = \"b\"\nkind = \"openai\"\nbase_url = \"{second}\"\n\
         [[model]]\nname = \"m\"\nkind = \"chat\"\nprice = {{ input = {price}.0, output = 1.0 }}\ncontext_tokens = 9\n\
         max_output_tokens = 9\ntargets = [{{ provider = \"a\", model = \"x\" }}]\n"
    )
}

impl Fixture {
    async fn new() -> Self {
        let engines = Engines::open(&Place::Memory, Arc::new(|| 0)).unwrap();
        let client = embedded::s3_client(engines.s3.clone());
        client.create_bucket().bucket("models").send().await.unwrap();
        Self { client, clock: Clock::manual(1), made: Arc::default(), _engines: engines }
    }

    async fn put(&self, text: &str) {
        let body = text.as_bytes().to_vec().into();
        self.client.put_object().bucket("models").key("models.toml").body(body).send().await.unwrap();
    }

    async fn start(&self) -> Models {
        let made = Arc::clone(&self.made);
        let make: MakeProvider = Arc::new(move |_| {
            made.fetch_add(1, Ordering::SeqCst);
            Arc::new(Silent) as Arc<dyn Provider>
        });
        let place =
            ModelsPlace::Object { client: self.client.clone(), bucket: "models".into(), key: "models.toml".into() };
        Models::read(Arc::new(ModelsFile::new(place, None, Some(make))), self.clock.clone()).await
    }
}

fn price(served: &ServedModels) -> u64 {
    served.catalog.model("m").unwrap().price.as_ref().unwrap().rates.input / 1_000_000
}

#[tokio::test]
async fn an_object_is_read_again_after_a_minute_and_only_changed_providers_are_made() {
    let fixture = Fixture::new().await;
    fixture.put(&models_file(1, "http://one")).await;
    let models = fixture.start().await;
    let begun_with = models.current().await.unwrap();
    assert_eq!((price(&begun_with), fixture.made.load(Ordering::SeqCst)), (1, 2));

    fixture.put(&models_file(2, "http://two")).await;
    fixture.clock.advance_ms(MINUTE - 1);
    assert_eq!(price(&models.current().await.unwrap()), 1);
    fixture.clock.advance_ms(1);
    let changed = models.current().await.unwrap();
    assert_eq!((price(&changed), price(&begun_with)), (2, 1));
    assert_eq!(fixture.made.load(Ordering::SeqCst), 3);
    assert!(Arc::ptr_eq(&changed.providers["a"], &begun_with.providers["a"]));
    assert!(!Arc::ptr_eq(&changed.providers["b"], &begun_with.providers["b"]));

    fixture.clock.advance_ms(MINUTE);
    assert!(Arc::ptr_eq(&models.current().await.unwrap(), &changed));
}

#[tokio::test]
async fn the_last_good_models_remain_while_the_object_is_wrong_or_gone() {
    let fixture = Fixture::new().await;
    fixture.put(&models_file(1, "http://one")).await;
    let models = fixture.start().await;
    fixture.put("[[model]\n").await;
    fixture.clock.advance_ms(MINUTE);
    assert_eq!(price(&models.current().await.unwrap()), 1);
    fixture.client.delete_object().bucket("models").key("models.toml").send().await.unwrap();
    fixture.clock.advance_ms(MINUTE);
    assert_eq!(price(&models.current().await.unwrap()), 1);
    fixture.put(&models_file(3, "http://one")).await;
    fixture.clock.advance_ms(MINUTE);
    assert_eq!(price(&models.current().await.unwrap()), 3);
}

#[tokio::test]
async fn without_good_models_every_call_says_why_until_there_are_some() {
    let fixture = Fixture::new().await;
    let models = fixture.start().await;
    let problem = async || match models.current().await {
        Err(Error::NoModels(problem)) => problem,
        other => panic!("{:?}", other.map(|_| ())),
    };
    assert_eq!(problem().await, "the object does not exist");
    fixture.put("name = [").await;
    fixture.clock.advance_ms(5_000);
    let told = problem().await;
    assert!(told.starts_with("the models file is not TOML: line 1: "), "{told}");
    fixture.put(&models_file(4, "http://one")).await;
    assert_eq!(problem().await, told);
    fixture.clock.advance_ms(5_000);
    assert_eq!(price(&models.current().await.unwrap()), 4);
}

#[tokio::test]
async fn a_file_is_read_again_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("models.toml");
    std::fs::write(&path, models_file(1, "http://one")).unwrap();
    let clock = Clock::manual(1);
    let file = ModelsFile::new(ModelsPlace::File(path.clone()), None, None);
    let models = Models::read(Arc::new(file), clock.clone()).await;
    std::fs::write(&path, models_file(22, "http://one")).unwrap();
    clock.advance_ms(MINUTE);
    assert_eq!(price(&models.current().await.unwrap()), 22);
}

/// S3 that has the models under one tag, and the tags that requests named.
#[derive(Debug, Clone, Default)]
struct Tagged(Arc<std::sync::Mutex<Vec<Option<String>>>>);

impl HttpConnector for Tagged {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let tag = request.headers().get("if-none-match").map(str::to_owned);
        let is_known = tag.as_deref() == Some("\"one\"");
        self.0.lock().unwrap().push(tag);
        let (status, text) = if is_known { (304, String::new()) } else { (200, models_file(1, "http://one")) };
        let mut answer = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(text));
        answer.headers_mut().insert("etag", "\"one\"");
        HttpConnectorFuture::ready(Ok(answer))
    }
}

#[tokio::test]
async fn an_unchanged_object_is_not_sent_again() {
    let (tagged, clock) = (Tagged::default(), Clock::manual(1));
    let client = embedded::s3_client(SharedHttpConnector::new(tagged.clone()));
    let place = ModelsPlace::Object { client, bucket: "models".into(), key: "models.toml".into() };
    let models = Models::read(Arc::new(ModelsFile::new(place, None, None)), clock.clone()).await;
    let first = models.current().await.unwrap();
    clock.advance_ms(MINUTE);
    assert!(Arc::ptr_eq(&first, &models.current().await.unwrap()));
    assert_eq!(*tagged.0.lock().unwrap(), [None, Some("\"one\"".to_owned())]);
}

/// Each caller sees one version as a whole, whenever the others swap it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn callers_see_whole_versions_while_the_models_change() {
    struct Growing(AtomicUsize, MakeProvider);

    #[async_trait]
    impl ModelsSource for Growing {
        async fn read(&self, before: Option<&ServedModels>) -> Result<Option<ServedModels>, ModelsError> {
            let n = self.0.fetch_add(1, Ordering::SeqCst) + 1;
            tokio::task::yield_now().await;
            let text = format!(
                "[[provider]]\nname = \"p{n}\"\nkind = \"simulator\"\n[[model]]\nname = \"m\"\nkind = \"chat\"\n\
                 targets = [{{ provider = \"p{n}\", model = \"x\" }}]\n"
            );
            Ok(Some(ServedModels::connect(Catalog::parse(&text).unwrap(), &self.1, before)))
        }
    }

    let clock = Clock::manual(1);
    let make: MakeProvider = Arc::new(|_| Arc::new(Silent));
    let source = Arc::new(Growing(AtomicUsize::new(0), make));
    let models = Arc::new(Models::read(Arc::clone(&source) as Arc<dyn ModelsSource>, clock.clone()).await);
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (models, clock) = (Arc::clone(&models), clock.clone());
        callers.spawn(async move {
            for _ in 0..200 {
                clock.advance_ms(MINUTE / 40);
                let served = models.current().await.unwrap();
                let target = &served.catalog.model("m").unwrap().targets[0];
                assert!(served.providers.contains_key(&target.provider) && served.providers.len() == 1);
            }
        });
    }
    callers.join_all().await;
    // One read for each minute that passed, not one for each call.
    let reads = source.0.load(Ordering::SeqCst);
    assert!((40..=82).contains(&reads), "{reads}");
}
