//! The roles of the other processes: the provider, the store, and weir.

use std::io::Write as _;

use kit::ADMIN_KEY;
use local::{Data, Settings};
use shared::data::Stores;
use shared::edge::telemetry::{LogFilter, init_log};
use shared::model::clock::Clock;
use shared::model::id;
use shared::model::key_text::ApiKeySecret;
use shared::model::money::MicroUsd;
use shared::model::project::{Limits, Policy, Project};
use shared::model::secret::Secret;
use tokio::net::TcpListener;

use crate::Failure;
use crate::mock::{self, LONG, QUICK, SLOW, SOON, STALLED};
use crate::process::Ready;

pub(crate) fn provider() -> Result<(), Failure> {
    one_thread(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        report_ready(&Ready { address: listener.local_addr()?, key: String::new(), bucket: None })?;
        let listener = axum::serve::ListenerExt::tap_io(listener, |connection| drop(connection.set_nodelay(true)));
        Ok(axum::serve(listener, mock::router()).await?)
    })
}

pub(crate) fn store() -> Result<(), Failure> {
    let objects = tempfile::tempdir()?;
    one_thread(async {
        let (table, bucket) = (TcpListener::bind("127.0.0.1:0").await?, TcpListener::bind("127.0.0.1:0").await?);
        let bucket_address = Some(bucket.local_addr()?);
        report_ready(&Ready { address: table.local_addr()?, key: String::new(), bucket: bucket_address })?;
        let table = embedded::serve_dynamo(table, std::sync::Arc::new(|| Clock::system().now().0));
        Ok(tokio::try_join!(table, embedded::serve_s3(bucket, objects.path())).map(drop)?)
    })
}

fn one_thread(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

/// Runs weir as `weir serve` does, logging included, with a project that has all kinds of limits.
pub(crate) fn weir(provider: &str, store: Option<Data>) -> Result<(), Failure> {
    let models = tempfile::NamedTempFile::new()?;
    std::fs::write(models.path(), catalog(provider))?;
    let settings = Settings {
        data: store.unwrap_or(Data::Embedded(embedded::Place::Memory)),
        models: Some(models.path().to_owned()),
        admin_key: Some(Secret::new(ADMIN_KEY)),
        ..Settings::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let running = local::serve(&settings).await?;
        let key = make_project(running.stores()).await?;
        report_ready(&Ready { address: running.address()?, key: key.secret().expose().to_owned(), bucket: None })?;
        init_log(&LogFilter::default());
        running.run(std::future::pending()).await;
        Ok(())
    })
}

fn catalog(provider: &str) -> String {
    let provided =
        |name: &str| format!("[[provider]]\nname = '{name}'\nkind = 'openai'\nbase_url = '{provider}/v1'\n\n");
    let model = |name: &str, provider: &str| {
        format!(
            "[[model]]\nname = '{name}'\nkind = 'chat'\nprice = {{ input = 2.5, cached_input = 1.25, output = 10.0 }}\n\
             context_tokens = 128000\nmax_output_tokens = 16384\n\
             targets = [{{ provider = '{provider}', model = '{name}', timeouts = {{ first_byte_ms = 60000 }} }}]\n\n"
        )
    };
    let models = [QUICK, SLOW, SOON, LONG].map(|name| model(name, "mock")).concat();
    provided("mock") + &provided("stalled") + &models + &model(STALLED, "stalled")
}

/// Limits that no run reaches: weir counts every call and refuses none.
const LIMITS: Limits = Limits {
    requests_per_minute: Some(10_000_000),
    tokens_per_minute: Some(100_000_000_000),
    concurrent_requests: Some(50_000),
    budget: Some(MicroUsd(1_000_000_000_000)),
};

async fn make_project(stores: &Stores) -> Result<ApiKeySecret, Failure> {
    let check = stores.key_checks().get_or_create().await?;
    let key = ApiKeySecret::generate(&id::new("proj_"), &check);
    let project = Project {
        id: key.project_id().to_owned(),
        name: "Bench".to_owned(),
        created_at: mock::now().as_secs(),
        archived_at: None,
        purge: None,
        limits: LIMITS,
        revision: 1,
        policy: Policy::default(),
    };
    local::provision_project(stores, &project).await?;
    local::provision_key(stores, &Clock::system(), &key, "Bench").await?;
    Ok(key)
}

/// Reports to the parent process that this process is ready, and ends this process when the parent ends.
fn report_ready(ready: &Ready) -> Result<(), Failure> {
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string(ready)?)?)
}
