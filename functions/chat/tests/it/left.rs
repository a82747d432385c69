//! Streams whose client leaves in the middle.

use crate::chat_function::{ChatFunction, finish, until, word};

#[tokio::test]
async fn a_stream_that_nobody_reads_is_billed_and_can_be_replayed_in_the_next_invocation() {
    let mut chat = ChatFunction::new("stream").await;
    let (mut answer, call) = chat.streams("k", "one").await;
    answer.prelude().await.unwrap();
    until(&mut answer, "one").await;
    drop(answer);
    call.event(word("two"));
    finish(call);
    chat.function.polled().await.unwrap();
    chat.assert_closed(1, &["k"]).await;

    let event = chat.event(true, "k");
    let replay = chat.function.invoke(event).await.unwrap().whole().await.unwrap();
    assert_eq!((replay.status, replay.header("idempotent-replayed")), (200, "true"));
    assert!(replay.text().contains("two") && replay.text().ends_with("data: [DONE]\n\n"), "{}", replay.text());
    assert!(chat.upstream.is_quiet());
}

#[tokio::test]
async fn a_connection_that_is_cut_ends_the_process_but_not_before_the_books_are_closed() {
    let mut chat = ChatFunction::new("stream").await;
    let (mut answer, call) = chat.streams("k", "one").await;
    answer.prelude().await.unwrap();
    until(&mut answer, "one").await;
    answer.cut();
    call.event(word("two"));
    finish(call);
    assert!(!chat.function.ended().await.unwrap().success());
    chat.assert_closed(1, &["k"]).await;

    chat.restart().await;
    let event = chat.event(true, "k");
    let replay = chat.function.invoke(event).await.unwrap().whole().await.unwrap();
    assert_eq!((replay.status, replay.header("idempotent-replayed")), (200, "true"));
    assert!(replay.text().contains("two"), "{}", replay.text());
    assert!(chat.upstream.is_quiet());
}
