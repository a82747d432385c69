//! Streams whose client stays.

use crate::chat_function::{ChatFunction, finish, until, word};

#[tokio::test]
async fn the_first_chunk_is_there_before_the_last_is_made() {
    let mut chat = ChatFunction::new("stream").await;
    let (mut answer, call) = chat.streams("k", "one").await;
    let prelude = answer.prelude().await.unwrap();
    assert_eq!(prelude.status, 200);
    assert_eq!(prelude.headers["content-type"], "text/event-stream; charset=utf-8");
    // Each word is made only after the one before it was seen.
    until(&mut answer, "one").await;
    for next in ["two", "three"] {
        call.event(word(next));
        until(&mut answer, next).await;
    }
    finish(call);
    let rest = answer.rest().await.unwrap();
    assert!(rest.ends_with(b"data: [DONE]\n\n"));
}

#[tokio::test]
async fn books_are_closed_when_the_stream_ends_and_before_the_next_invocation_is_asked_for() {
    let mut chat = ChatFunction::new("stream").await;
    for call_number in 1..=2 {
        let key = format!("k{call_number}");
        let (mut answer, call) = chat.streams(&key, "one").await;
        answer.prelude().await.unwrap();
        until(&mut answer, "one").await;
        let (spent, held) = chat.books().await;
        assert!(spent < 20 * call_number && held > 0, "{spent} {held}");
        finish(call);
        answer.rest().await.unwrap();
        // The stream has ended, and the function was not told yet that its answer was taken: it could be frozen here.
        assert!(!chat.function.has_polled());
        chat.assert_closed(call_number, &[&key]).await;
        answer.accept();
        chat.function.polled().await.unwrap();
    }
}

#[tokio::test]
async fn a_provider_that_breaks_off_ends_the_stream_with_an_error_event_and_nothing_of_the_runtime() {
    let mut chat = ChatFunction::new("stream").await;
    let (mut answer, call) = chat.streams("k", "one").await;
    answer.prelude().await.unwrap();
    until(&mut answer, "one").await;
    call.break_off();
    let rest = String::from_utf8(answer.rest().await.unwrap().to_vec()).unwrap();
    let last = rest.trim_end().rsplit("\n\n").next().unwrap();
    let error: serde_json::Value = serde_json::from_str(last.strip_prefix("data: ").unwrap()).unwrap();
    assert_eq!(error["error"]["code"], "stream_interrupted");
    assert!(!rest.contains("Lambda-Runtime") && !rest.contains("[DONE]"), "{rest}");
    let (spent, held) = chat.books().await;
    assert!(spent > 0 && held == 0, "{spent} {held}");
    answer.accept();
    // It ended well, and the next call is served.
    let (answer, call) = chat.streams("k", "two").await;
    finish(call);
    let whole = answer.whole().await.unwrap();
    assert!(whole.trailers.is_empty());
    assert!(whole.text().contains("two") && whole.text().ends_with("data: [DONE]\n\n"), "{}", whole.text());
}
