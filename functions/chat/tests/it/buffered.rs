//! Answers to callers that cannot stream.

use serde_json::Value;

use crate::chat_function::{ChatFunction, USAGE, finish, word};

#[tokio::test]
async fn a_stream_is_given_whole_where_the_caller_cannot_stream() {
    let mut chat = ChatFunction::new("buffer").await;
    let event = chat.event(true, "k");
    let (function, upstream) = (&mut chat.function, &mut chat.upstream);
    let provider = async {
        let call = upstream.call().await.unwrap();
        call.event(word("one"));
        finish(call);
    };
    let (answer, ()) = tokio::join!(function.invoke(event), provider);
    let whole = answer.unwrap().whole().await.unwrap();
    assert_eq!((whole.is_streamed, whole.status), (false, 200));
    assert!(whole.text().contains("one") && whole.text().ends_with("data: [DONE]\n\n"), "{}", whole.text());
    chat.assert_closed(1, &["k"]).await;
}

#[tokio::test]
async fn an_answer_is_json_in_both_modes() {
    for mode in ["buffer", "stream"] {
        let mut chat = ChatFunction::new(mode).await;
        let event = chat.event(false, "k");
        let (function, upstream) = (&mut chat.function, &mut chat.upstream);
        let provider = async {
            let call = upstream.call().await.unwrap();
            call.bytes(format!(
                r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1790000000,"model":"upstream-1","choices":[{{"index":0,"message":{{"role":"assistant","content":"Hello."}},"finish_reason":"stop"}}],"usage":{USAGE}}}"#
            ));
        };
        let (answer, ()) = tokio::join!(function.invoke(event), provider);
        let whole = answer.unwrap().whole().await.unwrap();
        assert_eq!(
            (whole.is_streamed, whole.status, whole.header("content-type")),
            (mode == "stream", 200, "application/json")
        );
        let body: Value = serde_json::from_slice(&whole.body).unwrap();
        assert_eq!(body["choices"][0]["message"]["content"], "Hello.");
        assert_eq!(chat.books().await, (20, 0));
    }
}
