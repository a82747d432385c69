//! Answers of the store that are lost after the write took effect, and transactions that are in the way.

use kit::{Fault, TestApp, send};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use shared::model::project::{Limits, Policy};

use crate::{CHAT, CHAT_COST, PATH, STREAM, budget, seed};

/// Every write of a call is repeated by the SDK after it took effect.
#[tokio::test(start_paused = true)]
async fn a_write_that_took_effect_and_is_repeated_counts_once() {
    let app = TestApp::new().await;
    let limits = Limits { requests_per_minute: Some(3), ..budget(1.0) };
    let (project, key) = app.project(limits, Policy::default()).await;
    let router = app.router();
    let mut lose = true;
    app.faults.set(move |operation| {
        lose = !lose;
        if operation == "UpdateItem" && !lose { Fault::LoseAnswer } else { Fault::None }
    });
    let first = send(&router, "POST", PATH, &key, &[("idempotency-key", "k")], CHAT).await;
    let second = send(&router, "POST", PATH, &key, &[], STREAM).await;
    app.faults.clear();
    assert_eq!((first.status, second.status), (200, 200), "{} {}", first.text(), second.text());
    assert_eq!(second.header("x-ratelimit-remaining-requests"), "1");
    let replay = send(&router, "POST", PATH, &key, &[("idempotency-key", "k")], CHAT).await;
    assert_eq!((replay.header("idempotent-replayed"), &replay.body), ("true", &first.body));
    let shards = app.shards(&project).await;
    let avail: i64 = shards.iter().map(|shard| shard.avail).sum();
    assert_eq!(app.books(&project).await, (2 * CHAT_COST, 0));
    assert_eq!(avail, 1_000_000 - 2 * i64::try_from(CHAT_COST).unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_is_in_the_way_is_waited_for() {
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    let router = app.router();
    let mut conflicts = 0;
    app.faults.set(move |operation| {
        conflicts += usize::from(operation == "UpdateItem");
        if operation == "UpdateItem" && conflicts % 3 != 0 { Fault::Conflict } else { Fault::None }
    });
    assert_eq!(send(&router, "POST", PATH, &key, &[], CHAT).await.status, 200);
    app.faults.clear();
    assert_eq!(app.books(&project).await, (CHAT_COST, 0));
}

#[tokio::test(start_paused = true)]
async fn seeded_faults_leave_books_that_add_up() {
    let seed = seed();
    let mut rng = StdRng::seed_from_u64(seed);
    let app = TestApp::new().await;
    let (project, key) = app.project(budget(1.0), Policy::default()).await;
    let routers = [app.router(), app.router()];
    app.faults.set(move |_| match rng.random_range(0..10) {
        0 => Fault::Throttle,
        1 => Fault::LoseAnswer,
        2 => Fault::Lose,
        3 => Fault::Conflict,
        _ => Fault::None,
    });
    let mut answered = 0;
    for n in 0..60 {
        let (body, name) = (if n % 2 == 0 { CHAT } else { STREAM }, format!("key-{}", n / 3));
        let reply = send(&routers[n % 2], "POST", PATH, &key, &[("idempotency-key", &name)], body).await;
        assert!(matches!(reply.status, 200 | 422 | 500 | 503), "{} {}", reply.status, reply.text());
        answered += u32::from(reply.status == 200);
        app.clock.advance_ms(40_000);
    }
    app.faults.clear();
    assert!(answered > 10, "{answered}");
    // What could not be settled is settled by the sweep, in full.
    app.clock.advance_ms(200_000);
    app.instance().sweeper().sweep().await.unwrap();
    let (spent, held) = app.books(&project).await;
    let avail: i64 = app.shards(&project).await.iter().map(|shard| shard.avail).sum();
    assert_eq!((held, avail), (0, 1_000_000 - i64::try_from(spent).unwrap()));
}
