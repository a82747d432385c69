//! Never lost: what a dead process held is settled.

use std::time::Duration;

use kit::{Script, World, send};
use shared::app::Swept;
use shared::model::money::MicroUsd;
use shared::model::project::Policy;

use crate::{CHAT, CHAT_COST, CHAT_HOLD, PATH, budget};

#[tokio::test]
async fn a_process_that_died_between_hold_and_settlement_is_settled_in_full_once() {
    let world = World::new().await;
    let (project, key) = world.project(budget(1.0), Policy::default()).await;
    let (stores, first, clock) = (world.stores.clone(), world.first.clone(), world.clock.clone());
    first.then(Script::Hang);
    let router = world.router();
    let doomed = std::thread::spawn(move || {
        // A process of its own: when its runtime goes, everything that ran in it is gone.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            tokio::time::timeout(Duration::from_millis(200), send(&router, "POST", PATH, &key, &[], CHAT))
                .await
                .is_err()
        })
    });
    assert!(doomed.join().unwrap());
    assert_eq!(world.books(&project).await, (0, CHAT_HOLD));

    let gateway = world.gateway();
    assert_eq!(gateway.sweep().await.unwrap(), Swept::default(), "the lease has not ended");
    clock.advance_ms(20_000 + 60_000 + 2_000);
    let (one, other) = tokio::join!(gateway.sweep(), async { world.gateway().sweep().await });
    let (one, other) = (one.unwrap(), other.unwrap());
    assert_eq!(one.holds_settled + other.holds_settled, 1);
    assert_eq!(one.charged + other.charged, MicroUsd(CHAT_HOLD));
    assert_eq!(world.books(&project).await, (CHAT_HOLD, 0));
    let hour = clock.now().hour();
    let counted = stores.table.usage(&project.id, &hour, &hour).await.unwrap();
    assert_eq!(counted.iter().map(|(_, count)| count.cost.0).sum::<u64>(), CHAT_HOLD);
    assert_eq!(gateway.sweep().await.unwrap(), Swept::default());
}

#[tokio::test]
async fn a_sweep_leaves_calls_that_run_alone() {
    let world = World::new().await;
    let (project, key) = world.project(budget(1.0), Policy::default()).await;
    world.first.always(Script::slow(Duration::from_millis(200), "late", 10, 5));
    let router = world.router();
    let sweeping = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        world.gateway().sweep().await.unwrap()
    };
    let (reply, swept) = tokio::join!(send(&router, "POST", PATH, &key, &[], CHAT), sweeping);
    assert_eq!((reply.status, swept), (200, Swept::default()));
    assert_eq!(world.books(&project).await, (CHAT_COST, 0));
}

#[tokio::test]
async fn a_settlement_that_comes_after_the_sweep_changes_nothing() {
    let world = World::new().await;
    let (project, key) = world.project(budget(1.0), Policy::default()).await;
    world.first.always(Script::slow(Duration::from_millis(200), "late", 10, 5));
    let router = world.router();
    let sweeping = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        world.clock.advance_ms(100_000);
        world.gateway().sweep().await.unwrap()
    };
    let (reply, swept) = tokio::join!(send(&router, "POST", PATH, &key, &[], CHAT), sweeping);
    assert_eq!((reply.status, swept.holds_settled), (200, 1));
    assert_eq!(world.books(&project).await, (CHAT_HOLD, 0));
}
