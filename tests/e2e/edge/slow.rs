//! Clients that are slow or stop half-way, over real HTTP, in virtual time.

use local::Settings;
use shared::edge::config::HttpConfig;
use tokio::time::Instant;

use super::connection::{Connection, Server, serve};
use crate::{CHAT, PATH};

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_whole_head_is_closed() {
    let (server, _stop) = serve(HttpConfig::default()).await;
    let begun = Instant::now();
    let mut silent = Connection::open(&server).await;
    silent.ended().await;
    let mut half = Connection::open(&server).await;
    half.send(b"GET /healthz HTTP/1.1\r\nhost: weir\r\nx-slow: ").await;
    half.ended().await;
    let mut idle = Connection::open(&server).await;
    idle.send_head("GET", "/healthz", "", &[]).await;
    assert_eq!(idle.reply().await.status, 200);
    idle.ended().await;
    assert!((90..95).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn half_a_body_is_waited_for_only_with_a_key_and_not_for_ever() {
    let (server, _stop) = serve(HttpConfig::default()).await;
    let key = server.key.clone();
    for (key, status, seconds) in [("", 401, 5..7), ("sk-weir-wrong", 401, 5..7), (&*key, 408, 60..70)] {
        let mut half = Connection::open(&server).await;
        half.send_head("POST", PATH, key, &["content-length: 1000"]).await;
        half.send(&CHAT.as_bytes()[..20]).await;
        let begun = Instant::now();
        let reply = half.reply().await;
        assert_eq!(reply.status, status, "{}", reply.text());
        assert!(seconds.contains(&begun.elapsed().as_secs()), "{status}: {:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_broken_chunk_is_called_so() {
    let (server, _stop) = serve(HttpConfig::default()).await;
    let mut broken = Connection::open(&server).await;
    broken.send_head("POST", PATH, &server.key, &["transfer-encoding: chunked"]).await;
    broken.send(b"5\r\n{\"mod\r\nzz\r\n").await;
    let reply = broken.reply().await;
    assert!(reply.status == 400 && reply.text().contains("The request body could not be read: "), "{}", reply.text());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_stops_waits_for_no_client() {
    let running = local::serve(&Settings::default()).await.unwrap();
    let server = Server::of(&running);
    let clients = async {
        let mut open = Vec::new();
        for text in
            ["", "GET /healthz HTTP/1.1\r\n", "POST /v1/chat/completions HTTP/1.1\r\ncontent-length: 9\r\n\r\n{"]
        {
            let mut connection = Connection::open(&server).await;
            connection.send(text.as_bytes()).await;
            open.push(connection);
        }
        let mut last = Connection::open(&server).await;
        last.send_head("GET", "/healthz", "", &[]).await;
        assert_eq!(last.reply().await.status, 200); // So the server has accepted the others too.
        open
    };
    let (stop, stopped) = tokio::sync::oneshot::channel();
    let stopping = async {
        let open = clients.await;
        let _ = stop.send(());
        let begun = Instant::now();
        (open, begun)
    };
    let ((), (_open, begun)) = tokio::join!(running.run(async { drop(stopped.await) }), stopping);
    assert!(begun.elapsed().as_secs() <= 11, "{:?}", begun.elapsed());
}
